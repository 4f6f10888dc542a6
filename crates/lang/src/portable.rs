//! What a script takes for granted about the machine it is compiled on, so that it can run on another one.
//!
//! A portable script does not contain what differs from machine to machine. It asks: its code has a place for each
//! answer ([`Runtime::Asked`](crate::hir::Runtime::Asked)), which is filled in when it is loaded. What cannot be asked
//! is a condition that must hold. Both are answered by a [`World`], the same that the compiler asks.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skep_btf::{Btf, Kind, Type, TypeId};

use crate::sema::raw_tracepoint;
use crate::world::{KERNEL, World, WorldError};

/// Everything that a script takes for granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portable {
    /// What is filled in. [`Runtime::Asked`](crate::hir::Runtime::Asked) is an index into it.
    pub questions: Vec<Question>,
    /// What must be as it was.
    pub conditions: Vec<Condition>,
}

/// Something whose answer is a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Bytes from the start of a struct to a field; of a bitfield, to the word that holds it.
    Offset(FieldUse),
    /// How far that word is shifted up, until the field's highest bit is the highest of 64.
    ShiftUp(FieldUse),
    /// How far it is then shifted down, until the field's lowest bit is the lowest.
    ShiftDown(FieldUse),
    /// The address of a symbol of the kernel.
    KernelSymbol(String),
    /// The id of the control group at a path.
    ControlGroup(String),
    /// A positional parameter, from 1: a number.
    Parameter(u32),
    /// How many positional parameters there are.
    ParameterCount,
}

/// Something that must be on the machine that a script runs on as on the one where it was compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// A field that is read at a fixed place.
    Field(FieldUse),
    /// A struct of which the script knows the size.
    Size {
        /// Which.
        of: StructName,
        /// In bytes.
        size: u64,
    },
    /// A struct whose values are taken whole: its size and all its fields.
    Layout {
        /// Which.
        of: StructName,
        /// In bytes.
        size: u64,
        /// Names, bits from the start, and shapes.
        fields: Vec<(String, u64, String)>,
    },
    /// A value of an enum.
    Enumerator {
        /// Its name.
        name: String,
        /// Its value.
        value: i128,
    },
    /// Fields of a tracepoint's record.
    Record {
        /// `sched`
        category: String,
        /// `sched_switch`
        event: String,
        /// Names, bytes from the start, and sizes in bytes.
        fields: Vec<(String, u32, u32)>,
    },
    /// Parameters of a function or a raw tracepoint.
    Parameters {
        /// Of what.
        of: Callee,
        /// Names, 64-bit slots from the first, and shapes. The result is called `return`.
        params: Vec<(String, u32, String)>,
    },
    /// A program or library in which places were looked up.
    Program {
        /// Its path.
        path: String,
        /// What tells it from others of this path.
        identity: String,
    },
    /// Types without names, which cannot be looked for: the kernel must be the same.
    Kernel {
        /// What needs them.
        what: String,
        /// Its version.
        version: (u32, u32, u32),
    },
}

/// A struct or union of the kernel, or of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StructName {
    /// `vmlinux`, or the module.
    pub module: String,
    /// Whether it is a union.
    pub union: bool,
    /// Its name, without a keyword.
    pub name: String,
}

/// A field of a struct, by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldUse {
    /// The struct where the path begins.
    pub of: StructName,
    /// From there on; more than one if what lies between has no name.
    pub path: Vec<String>,
    /// Where it was when the script was compiled.
    pub place: Place,
    /// What it must be.
    pub shape: String,
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Bits from the start of the struct.
    pub bit_offset: u64,
    /// Bits that it has, if it is a bitfield.
    pub width: Option<u8>,
    /// Bytes of the word in which a bitfield lies.
    pub word: u8,
}

/// Something of the kernel that has parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Callee {
    /// A function of a module.
    Function(String, String),
    /// A raw tracepoint of a module.
    RawTracepoint(String, String),
}

/// Why a script does not fit a machine, a sentence each.
pub type Misfits = Vec<String>;

impl Portable {
    /// The answers to all questions, in their order. `params` are the positional parameters.
    ///
    /// # Errors
    ///
    /// Everything that is not as the script takes it for granted.
    pub fn answers(&self, world: &dyn World, params: &[String]) -> Result<Vec<u64>, Misfits> {
        let mut misfits: Misfits =
            self.conditions.iter().filter_map(|condition| condition.check(world).err()).collect();
        let mut answers = Vec::with_capacity(self.questions.len());
        for question in &self.questions {
            match question.answer(world, params) {
                Ok(answer) => answers.push(answer),
                Err(misfit) => misfits.push(misfit),
            }
        }
        if misfits.is_empty() {
            return Ok(answers);
        }
        misfits.dedup();
        Err(misfits)
    }
}

impl Question {
    fn answer(&self, world: &dyn World, params: &[String]) -> Result<u64, String> {
        match self {
            Question::Offset(field) => Ok(match field.find(world)? {
                Place { bit_offset, width: None, .. } => bit_offset / 8,
                place => place.word_offset(),
            }),
            Question::ShiftUp(field) => {
                let place = field.find(world)?;
                let end = place.bit_offset - place.word_offset() * 8 + u64::from(place.width.unwrap_or(64));
                Ok(64u64.saturating_sub(end))
            }
            Question::ShiftDown(field) => {
                Ok(64u64.saturating_sub(field.find(world)?.width.unwrap_or(64).into()))
            }
            Question::KernelSymbol(name) => match world.kernel_address(name) {
                Ok(Some(address)) => Ok(address),
                Ok(None) => Err(format!("the kernel has no symbol {name}")),
                Err(error) => Err(format!("the kernel's symbol {name} cannot be looked up: {error}")),
            },
            Question::ControlGroup(path) => world
                .cgroup_id(path)
                .map_err(|error| format!("the control group {path} cannot be looked up: {error}")),
            Question::Parameter(n) => {
                let options = crate::Options { params: params.to_vec(), ..crate::Options::default() };
                options.param_number(*n).ok_or_else(|| {
                    format!("parameter ${n} has to be a number: texts are fixed when a script is compiled")
                })
            }
            Question::ParameterCount => Ok(params.len() as u64),
        }
    }
}

impl Condition {
    fn check(&self, world: &dyn World) -> Result<(), String> {
        match self {
            Condition::Field(field) => {
                let place = field.find(world)?;
                same(place == field.place, || format!("{field} lies elsewhere, and is read at a fixed place"))
            }
            Condition::Size { of, size } => {
                let (btf, id) = of.find(world)?;
                let now = btf.size_of(id).unwrap_or(0);
                same(now == *size, || format!("{of} has {now} bytes rather than {size}"))
            }
            Condition::Layout { of, size, fields } => {
                let (btf, id) = of.find(world)?;
                let now = layout(&btf, id);
                same(btf.size_of(id).ok() == Some(*size) && now == *fields, || {
                    let moved = fields.iter().find(|field| !now.contains(field)).map(|(name, ..)| name);
                    let moved = moved.map(|name| format!(", see its field {name}")).unwrap_or_default();
                    format!("{of} has another layout{moved}, and the script takes it whole")
                })
            }
            Condition::Enumerator { name, value } => {
                let now = told(world.kernel_btf())?.find_enumerator(name).map(|(_, now)| now);
                same(now == Some(*value), || match now {
                    Some(now) => format!("{name} is {now} rather than {value}"),
                    None => format!("there is no {name}"),
                })
            }
            Condition::Record { category, event, fields } => {
                let format = told(world.tracepoint_format(category, event))?;
                for (name, offset, size) in fields {
                    let now = format.fields.iter().find(|field| field.name == *name);
                    let now = now.ok_or_else(|| format!("tracepoint:{category}:{event} has no {name}"))?;
                    same((now.offset, now.size) == (*offset, *size), || {
                        format!(
                            "args.{name} of tracepoint:{category}:{event} lies elsewhere or has another size"
                        )
                    })?;
                }
                Ok(())
            }
            Condition::Parameters { of, params } => {
                let now = of.parameters(world)?;
                let moved = params.iter().find(|param| !now.contains(param));
                same(moved.is_none(), || {
                    let name = moved.map_or("", |(name, ..)| name);
                    format!("{of} has no {name} of this type at this place")
                })
            }
            Condition::Program { path, identity } => {
                let now = told(world.user_space().identity(path))?;
                same(now == *identity, || format!("{path} is not the file that the script was compiled for"))
            }
            Condition::Kernel { what, version } => same(world.kernel_version() == Some(*version), || {
                let (major, minor, patch) = version;
                format!("{what} has a type without a name, which only Linux {major}.{minor}.{patch} has")
            }),
        }
    }
}

fn same(holds: bool, misfit: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(misfit()) }
}

fn told<T>(result: Result<T, WorldError>) -> Result<T, String> {
    result.map_err(|error| error.0)
}

impl Place {
    /// Where a member is. `word` is the size of the word that a bitfield is read in.
    pub fn of(field: &skep_btf::Field<'_>, word: u8) -> Place {
        Place { bit_offset: field.bit_offset, width: field.bitfield_size, word }
    }

    /// Bytes from the start of the struct to the word that holds a bitfield.
    fn word_offset(self) -> u64 {
        let word = u64::from(self.word.max(1));
        self.bit_offset / 8 / word * word
    }
}

impl StructName {
    fn find(&self, world: &dyn World) -> Result<(Arc<Btf>, TypeId), String> {
        let btf = types_of(world, &self.module)?;
        let kind = if self.union { Kind::Union } else { Kind::Struct };
        let id = btf.find(kind, &self.name);
        id.map(|id| (btf, id)).ok_or_else(|| format!("the kernel's types have no {self}"))
    }
}

fn types_of(world: &dyn World, module: &str) -> Result<Arc<Btf>, String> {
    told(if module == KERNEL { world.kernel_btf() } else { world.module_btf(module) })
}

impl FieldUse {
    fn find(&self, world: &dyn World) -> Result<Place, String> {
        let (btf, id) = self.of.find(world)?;
        let found = member(&btf, id, &self.path)
            .ok_or_else(|| format!("{} has no field {}", self.of, self.path.join(".")))?;
        let now = shape(&btf, found.ty);
        same(now == self.shape, || format!("{self} is {now} rather than {}", self.shape))?;
        let place = Place::of(&found, self.place.word);
        let within = place.width.is_none_or(|width| {
            place.bit_offset - place.word_offset() * 8 + u64::from(width) <= u64::from(place.word) * 8
        });
        same(place.width.is_some() == self.place.width.is_some() && within, || {
            format!("{self} is not made of bits in the same way")
        })?;
        Ok(place)
    }
}

/// The member at the end of a path, with its place in the struct where the path begins.
pub(crate) fn member<'a>(btf: &'a Btf, of: TypeId, path: &[String]) -> Option<skep_btf::Field<'a>> {
    let (mut at, mut start, mut found) = (of, 0, None);
    for name in path {
        let field = btf.find_member(at, name).ok()??;
        let field = skep_btf::Field { bit_offset: field.bit_offset + start, ..field };
        (at, start, found) = (field.ty, field.bit_offset, Some(field));
    }
    found
}

/// What a type is as far as reading a value of it goes: structs by name, everything else by size and sign.
pub(crate) fn shape(btf: &Btf, id: TypeId) -> String {
    let sign = |signed: bool| if signed { "a signed" } else { "an unsigned" };
    let Ok((dims, elem)) = btf.array_dims(id) else { return "an array".into() };
    let elem = match btf.resolve(elem) {
        Ok((_, Type::Int(int))) if int.is_bool() => "a bool".to_owned(),
        Ok((_, Type::Int(int))) => format!("{} integer of {} bytes", sign(int.is_signed()), int.size),
        Ok((_, Type::Enum(of))) => format!("{} integer of {} bytes", sign(of.is_signed), of.size),
        Ok((_, Type::Ptr { .. })) => "a pointer".into(),
        Ok((id, Type::Struct(_) | Type::Union(_) | Type::Fwd { .. })) => match btf.c_name(id).to_string() {
            name if name.ends_with("(anon)") => NAMELESS.into(),
            name => name,
        },
        _ => format!("of {} bytes", btf.size_of(id).unwrap_or(0)),
    };
    let dims: String = dims.iter().map(|len| format!("[{len}]")).collect();
    format!("{elem}{dims}")
}

/// All named fields: names, bits from the start, shapes. Those of structs without a name are among them, as
/// `field.inner`.
pub(crate) fn layout(btf: &Btf, id: TypeId) -> Vec<(String, u64, String)> {
    let mut all = Vec::new();
    // Structs do not contain themselves, and C nests far less deep than BTF may claim.
    add_layout(btf, id, "", 0, 16, &mut all);
    all
}

fn add_layout(
    btf: &Btf,
    id: TypeId,
    within: &str,
    start: u64,
    depth: u32,
    all: &mut Vec<(String, u64, String)>,
) {
    for field in btf.fields(id).unwrap_or_default() {
        let (name, at) = (format!("{within}{}", field.name), start + field.bit_offset);
        let (shape, elem) = (shape(btf, field.ty), btf.array_dims(field.ty).map(|(_, elem)| elem));
        if depth > 0
            && shape.starts_with(NAMELESS)
            && let Ok(elem) = elem
        {
            add_layout(btf, elem, &format!("{name}."), at, depth - 1, all);
        }
        all.push((name, at, shape));
    }
}

/// The shape of structs that no name tells from others.
const NAMELESS: &str = "a struct without a name";

impl Callee {
    /// Its parameters and its result.
    pub(crate) fn parameters(&self, world: &dyn World) -> Result<Vec<(String, u32, String)>, String> {
        let (Callee::Function(module, name) | Callee::RawTracepoint(module, name)) = self;
        let btf = types_of(world, module)?;
        let (found, own) = match self {
            Callee::Function(..) => (btf.find(Kind::Func, name), 0),
            // The first parameter is the tracepoint's own.
            Callee::RawTracepoint(..) => (raw_tracepoint(&btf, name), 1),
        };
        let unknown = || format!("the kernel's types do not describe {self}");
        let proto = match found.and_then(|id| btf.get(id)).ok_or_else(unknown)? {
            Type::Func { proto, .. } => btf.get(proto).ok_or_else(unknown)?,
            other => other,
        };
        let Type::FuncProto(proto) = proto else { return Err(unknown()) };
        let mut slot = 0;
        let mut params = Vec::new();
        for param in proto.params().skip(own) {
            params.push((param.name.to_owned(), slot, shape(&btf, param.ty)));
            let slots = btf.size_of(param.ty).unwrap_or(8).div_ceil(8).max(1);
            slot += u32::try_from(slots).unwrap_or(1);
        }
        params.push((RESULT.to_owned(), slot, shape(&btf, proto.result)));
        Ok(params)
    }
}

/// What the result of a function is called among its parameters: no parameter can have this name.
pub(crate) const RESULT: &str = "return";

impl fmt::Display for StructName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.union { "union" } else { "struct" }, self.name)
    }
}

impl fmt::Display for FieldUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.of, self.path.join("."))
    }
}

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Callee::Function(_, name) => write!(f, "the function {name}"),
            Callee::RawTracepoint(_, name) => write!(f, "the raw tracepoint {name}"),
        }
    }
}
