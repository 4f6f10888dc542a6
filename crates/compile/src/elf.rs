//! An artifact as a BPF ELF object, in the form in which compilers of C write it and libbpf reads it: each program
//! in a section that tells its type, the functions it calls in `.text`, maps described by the BTF of `.maps`, array
//! values that programs address directly in data sections, and `.BTF` and `.BTF.ext` with types, functions and lines.
//!
//! What is known only when a script is started (the time, process ids, how many CPUs there are) is 0 in it.

use object::write::{Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};
use skep_btf::ext::{self, FuncInfo, LineInfo};
use skep_btf::{Btf, BtfBuilder, IntEncoding, Linkage, Member, SecVar, TypeId};
use skep_isa::insn::opcode;
use skep_isa::{Imm64, Insn, Reg, encode_all};
use skep_lang::hir::{Attach, FentryPlace, KernelPlace, ProbeKind, Target};

use crate::artifact::{Artifact, MapRole, MapSpec, Program, RelocKind, Storage};

/// Why an artifact cannot be written as an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Its own types cannot be read.
    #[error("the types of the compiled script cannot be read: {0}")]
    Types(#[from] skep_btf::Error),
    /// The writer of ELF files refuses it.
    #[error("the object cannot be written: {0}")]
    Object(String),
    /// A function refers to something that is not there.
    #[error("the compiled script is damaged: {0}")]
    Damaged(&'static str),
    /// It takes stacks by tables, which only this program fills.
    #[error("a script with dw_ustack cannot be written to an object: its tables are made while it runs")]
    Unwinds,
}

impl From<object::write::Error> for ElfError {
    fn from(error: object::write::Error) -> ElfError {
        ElfError::Object(error.to_string())
    }
}

/// The bytes of the object.
///
/// # Errors
/// See [`ElfError`].
pub fn object(artifact: &Artifact) -> Result<Vec<u8>, ElfError> {
    if artifact.maps.iter().any(|map| map.role == MapRole::UnwindRanges) {
        return Err(ElfError::Unwinds);
    }
    let types = if artifact.btf.is_empty() { BtfBuilder::new().finish() } else { artifact.btf.clone() };
    let types = Btf::parse(types)?;
    let mut writer = Writer {
        artifact,
        object: Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little),
        btf: BtfBuilder::split(&types),
        maps: Vec::new(),
        sections: Vec::new(),
        infos: Vec::new(),
    };
    writer.license();
    writer.maps();
    for program in &artifact.programs {
        writer.program(program)?;
    }
    let ext = writer.btf_ext();
    let section = |object: &mut Object<'_>, name: &str, bytes: &[u8], align| {
        let id = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Other);
        object.append_section_data(id, bytes, align);
    };
    let all = writer.btf.finish_onto(&types)?;
    section(&mut writer.object, ".BTF", &all, 4);
    section(&mut writer.object, ".BTF.ext", &ext, 4);
    Ok(writer.object.write()?)
}

struct Writer<'a> {
    artifact: &'a Artifact,
    object: Object<'a>,
    btf: BtfBuilder,
    /// For each map the symbol that stands for it.
    maps: Vec<SymbolId>,
    /// The sections of programs, by name.
    sections: Vec<(String, SectionId)>,
    /// For each section with code what is known of it, in the order in which it was filled.
    infos: Vec<SectionInfo>,
}

/// What `.BTF.ext` tells of a section.
struct SectionInfo {
    name: String,
    functions: Vec<FuncInfo>,
    lines: Vec<LineInfo>,
}

/// A function within a program.
struct Part {
    /// Its first instruction and the one after its last, in the program.
    start: usize,
    end: usize,
    /// Where it is in its section, in bytes.
    at: u64,
    section: SectionId,
}

impl Writer<'_> {
    fn license(&mut self) {
        let section = self.data_section("license", SectionKind::Data);
        let mut bytes = self.artifact.config.license.clone().into_bytes();
        bytes.push(0);
        let size = bytes.len() as u64;
        self.object.append_section_data(section, &bytes, 1);
        self.symbol("LICENSE", section, 0, size, SymbolKind::Data, SymbolScope::Dynamic);
        let char = self.btf.int("char", 1, IntEncoding::SIGNED);
        let index = self.btf.int("__ARRAY_SIZE_TYPE__", 4, IntEncoding::empty());
        let text = self.btf.array(char, index, size as u32);
        let var = self.btf.var("LICENSE", text, Linkage::Global);
        self.btf.datasec("license", size as u32, &[SecVar { var, offset: 0, size: size as u32 }]);
    }

    fn data_section(&mut self, name: &str, kind: SectionKind) -> SectionId {
        self.object.add_section(Vec::new(), name.as_bytes().to_vec(), kind)
    }

    fn symbol(
        &mut self,
        name: &str,
        section: SectionId,
        value: u64,
        size: u64,
        kind: SymbolKind,
        scope: SymbolScope,
    ) -> SymbolId {
        self.object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size,
            kind,
            scope,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    /// Maps whose value is addressed directly become data sections, the others are described in `.maps`.
    fn maps(&mut self) {
        let artifact = self.artifact;
        let addressed = |index: usize| {
            let relocs = artifact.programs.iter().flat_map(|program| &program.relocs);
            relocs
                .into_iter()
                .any(|reloc| matches!(reloc.kind, RelocKind::MapValue(map, _) if map.0 as usize == index))
        };
        let described = self.data_section(".maps", SectionKind::Data);
        let (mut vars, mut end) = (Vec::new(), 0u32);
        for (index, map) in artifact.maps.iter().enumerate() {
            let name = symbol_name(&map.name);
            if addressed(index) {
                let symbol = self.data_map(map, &name);
                self.maps.push(symbol);
                continue;
            }
            let (definition, size) = self.definition(map);
            let var = self.btf.var(&name, definition, Linkage::Global);
            vars.push(SecVar { var, offset: end, size });
            self.object.append_section_data(described, &vec![0; size as usize], 8);
            let (at, size) = (u64::from(end), u64::from(size));
            let symbol = self.symbol(&name, described, at, size, SymbolKind::Data, SymbolScope::Dynamic);
            self.maps.push(symbol);
            end += size as u32;
        }
        if !vars.is_empty() {
            self.btf.datasec(".maps", end, &vars);
        }
    }

    fn data_map(&mut self, map: &MapSpec, name: &str) -> SymbolId {
        let (prefix, kind) = match map.read_only {
            true => (".rodata", SectionKind::ReadOnlyData),
            false => (".data", SectionKind::Data),
        };
        let section_name = format!("{prefix}.{name}");
        let section = self.data_section(&section_name, kind);
        let mut bytes = map.init.clone();
        bytes.resize(map.value_size.max(1) as usize, 0);
        self.object.append_section_data(section, &bytes, 8);
        let size = bytes.len() as u32;
        let ty = match map.btf.1 {
            0 => self.bytes(size),
            value => TypeId(value),
        };
        let var = self.btf.var(name, ty, Linkage::Global);
        self.btf.datasec(&section_name, size, &[SecVar { var, offset: 0, size }]);
        self.symbol(name, section, 0, size.into(), SymbolKind::Data, SymbolScope::Dynamic);
        // Relocations are against the section: then it is the whole of it that is meant.
        self.object.section_symbol(section)
    }

    fn bytes(&mut self, len: u32) -> TypeId {
        let char = self.btf.int("char", 1, IntEncoding::SIGNED);
        let index = self.btf.int("__ARRAY_SIZE_TYPE__", 4, IntEncoding::empty());
        self.btf.array(char, index, len)
    }

    /// The struct by which libbpf knows a map: each member is a pointer, and what it points to is the setting: an
    /// array of as many elements, or the type. Also its size.
    fn definition(&mut self, map: &MapSpec) -> (TypeId, u32) {
        let entries = match (map.storage, map.max_entries) {
            (Storage::RingBuf, 0) if map.role == MapRole::Control => CONTROL_BYTES,
            (Storage::RingBuf, 0) => EVENTS_BYTES,
            // Who loads the object does not know that there is to be one for each CPU.
            (Storage::Array, 0) => MOST_CPUS,
            (_, entries) => entries.max(1),
        };
        let int = self.btf.int("int", 4, IntEncoding::SIGNED);
        let index = self.btf.int("__ARRAY_SIZE_TYPE__", 4, IntEncoding::empty());
        let mut members: Vec<(&str, TypeId)> = Vec::new();
        let mut number = |btf: &mut BtfBuilder, name, value| {
            let array = btf.array(int, index, value);
            members.push((name, btf.ptr(array)));
        };
        number(&mut self.btf, "type", kernel_type(map.storage));
        number(&mut self.btf, "max_entries", entries);
        if map.storage != Storage::RingBuf {
            number(&mut self.btf, "key_size", map.key_size);
            number(&mut self.btf, "value_size", map.value_size.max(1));
        }
        let members: Vec<Member<'_>> = members
            .iter()
            .enumerate()
            .map(|(at, (name, ty))| Member { name, ty: *ty, bit_offset: 64 * at as u32, bitfield_size: 0 })
            .collect();
        let size = 8 * members.len() as u32;
        (self.btf.struct_("", size, &members), size)
    }

    fn program(&mut self, program: &Program) -> Result<(), ElfError> {
        let name = section_name(program, &self.artifact.targets);
        let parts = self.place(program, &name)?;
        let mut insns = program.insns.clone();
        let part_of = |insn: usize| {
            parts
                .iter()
                .find(|part| (part.start..part.end).contains(&insn))
                .ok_or(ElfError::Damaged("a function"))
        };
        let mut relocations: Vec<(usize, SymbolId, elf::RelocationType)> = Vec::new();
        // Calls, and addresses of functions, are from one section to another now.
        for (at, insn) in insns.iter_mut().enumerate() {
            let address = insn.is_ld_imm64() && insn.src == opcode::PSEUDO_FUNC;
            let call = insn.code == opcode::JMP | opcode::CALL && insn.src == opcode::PSEUDO_CALL;
            if address || call {
                let target = usize::try_from(at as i64 + 1 + i64::from(insn.imm)).unwrap_or(usize::MAX);
                let target = part_of(target)?;
                let symbol = self.object.section_symbol(target.section);
                // Where it is in its section: in bytes, but for a call in instructions, from the one after it on.
                insn.imm = if call { (target.at / 8) as i32 - 1 } else { target.at as i32 };
                relocations.push((at, symbol, if call { elf::R_BPF_64_32 } else { elf::R_BPF_64_64 }));
            }
        }
        for reloc in &program.relocs {
            let at = reloc.insn as usize;
            let (map, offset) = match reloc.kind {
                RelocKind::Map(map) => (map, 0),
                RelocKind::MapValue(map, offset) => (map, offset),
                RelocKind::Runtime(_) | RelocKind::Cookie => continue,
            };
            let pair = insns.get_mut(at..at + 2).ok_or(ElfError::Damaged("a relocation"))?;
            let dst = Reg::new(pair[0].dst).ok_or(ElfError::Damaged("a register"))?;
            // The offset within the section stands in the instruction.
            pair.copy_from_slice(&Insn::ld_imm64(dst, Imm64::Value(offset.into())));
            let symbol = *self.maps.get(map.0 as usize).ok_or(ElfError::Damaged("a map"))?;
            relocations.push((at, symbol, elf::R_BPF_64_64));
        }
        for part in &parts {
            let bytes = encode_all(&insns[part.start..part.end]);
            let at = self.object.append_section_data(part.section, &bytes, 8);
            if at != part.at {
                return Err(ElfError::Damaged("the order of functions"));
            }
        }
        for (at, symbol, r_type) in relocations {
            let part = part_of(at)?;
            let offset = part.at + 8 * (at - part.start) as u64;
            let flags = RelocationFlags::Elf { r_type };
            self.object.add_relocation(part.section, Relocation { offset, symbol, addend: 0, flags })?;
        }
        Ok(())
    }

    /// Gives each function of a program its place: the program itself in its own section, what it calls in `.text`.
    fn place(&mut self, program: &Program, name: &str) -> Result<Vec<Part>, ElfError> {
        let mut starts: Vec<usize> = program.func_info.iter().map(|info| info.insn_off as usize).collect();
        if starts.is_empty() {
            starts.push(0);
        }
        let mut parts = Vec::with_capacity(starts.len());
        for (index, start) in starts.iter().copied().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(program.insns.len());
            if start > end || end > program.insns.len() {
                return Err(ElfError::Damaged("the order of functions"));
            }
            let (section_name, section, scope, function) = if index == 0 {
                let known = self.sections.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
                let section = known.unwrap_or_else(|| {
                    let section = self.data_section(name, SectionKind::Text);
                    self.sections.push((name.to_owned(), section));
                    section
                });
                (name.to_owned(), section, SymbolScope::Dynamic, symbol_name(&program.name))
            } else {
                let section = self.object.section_id(StandardSection::Text);
                let function = format!("{}_{index}", symbol_name(&program.name));
                (".text".to_owned(), section, SymbolScope::Compilation, function)
            };
            let at = self.end_of(section, &parts);
            let size = 8 * (end - start) as u64;
            self.symbol(&function, section, at, size, SymbolKind::Text, scope);
            self.describe(&section_name, program, start..end, at);
            parts.push(Part { start, end, at, section });
        }
        Ok(parts)
    }

    /// Where the next function of a section goes, behind those that have a place but no code yet.
    fn end_of(&self, section: SectionId, parts: &[Part]) -> u64 {
        let placed = parts.iter().filter(|part| part.section == section);
        let filled = self.object.section(section).data().len() as u64;
        placed.map(|part| part.at + 8 * (part.end - part.start) as u64).max().unwrap_or(filled)
    }

    fn describe(&mut self, section: &str, program: &Program, range: std::ops::Range<usize>, at: u64) {
        let known = self.infos.iter().position(|info| info.name == section);
        let index = known.unwrap_or_else(|| {
            self.infos.push(SectionInfo {
                name: section.to_owned(),
                functions: Vec::new(),
                lines: Vec::new(),
            });
            self.infos.len() - 1
        });
        // Offsets are in bytes here, not in instructions as the kernel counts.
        let place = |insn: u32| {
            let insn = insn as usize;
            range.contains(&insn).then(|| at as u32 + 8 * (insn - range.start) as u32)
        };
        let info = &mut self.infos[index];
        info.functions.extend(
            program
                .func_info
                .iter()
                .filter_map(|function| Some(FuncInfo { insn_off: place(function.insn_off)?, ..*function })),
        );
        info.lines.extend(
            program
                .line_info
                .iter()
                .filter_map(|line| Some(LineInfo { insn_off: place(line.insn_off)?, ..*line })),
        );
    }

    /// A header of 24 bytes, then for functions and for lines the size of a record and for each section its name,
    /// how many records it has, and these.
    fn btf_ext(&mut self) -> Vec<u8> {
        let (mut functions, mut lines) = (word(8), word(16));
        for info in std::mem::take(&mut self.infos) {
            let name = self.btf.add_string(&info.name);
            for (out, count, bytes) in [
                (&mut functions, info.functions.len(), ext::encode(&info.functions)),
                (&mut lines, info.lines.len(), ext::encode(&info.lines)),
            ] {
                if count > 0 {
                    out.extend(word(name));
                    out.extend(word(count as u32));
                    out.extend(bytes);
                }
            }
        }
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let (functions_len, lines_len) = (functions.len() as u32, lines.len() as u32);
        for field in [24, 0, functions_len, functions_len, lines_len] {
            bytes.extend(word(field));
        }
        bytes.extend(functions);
        bytes.extend(lines);
        bytes
    }
}

/// What the runtime makes of rings whose size it decides.
const EVENTS_BYTES: u32 = 8 << 20;
const CONTROL_BYTES: u32 = 256 << 10;

/// CPUs that large scratch memory is there for.
const MOST_CPUS: u32 = 512;

fn word(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// The number of the kernel's `enum bpf_map_type`.
fn kernel_type(storage: Storage) -> u32 {
    match storage {
        Storage::Hash => 1,
        Storage::Array => 2,
        Storage::PerCpuHash => 5,
        Storage::PerCpuArray => 6,
        Storage::LruHash => 9,
        Storage::PerCpuLruHash => 10,
        Storage::LpmTrie => 11,
        Storage::ArrayOfMaps => 12,
        Storage::RingBuf => 27,
    }
}

/// A name of C: `@x` is `AT_x`, as it is to the kernel.
fn symbol_name(name: &str) -> String {
    let name = name.replace('@', "AT_");
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// The section by which libbpf knows what a program is and, if that is one place, where it is attached.
fn section_name(program: &Program, targets: &[Target]) -> String {
    let mut all = program.targets.iter().filter_map(|id| targets.get(id.0 as usize));
    let (first, more) = (all.next(), all.next().is_some());
    let attach = first.map(|target| &target.attach).filter(|_| !more);
    match (program.kind, attach) {
        (ProbeKind::Tracepoint, Some(Attach::Tracepoint { category, event })) => {
            format!("tp/{category}/{event}")
        }
        (ProbeKind::Tracepoint, _) => "tp".into(),
        (ProbeKind::RawTracepoint, Some(Attach::RawTracepoint { event, .. })) => format!("raw_tp/{event}"),
        (ProbeKind::TypedTracepoint, Some(Attach::RawTracepoint { event, .. })) => format!("tp_btf/{event}"),
        (ProbeKind::TypedTracepoint, _) => "tp_btf".into(),
        (ProbeKind::RawTestRun | ProbeKind::RawTracepoint, _) => "raw_tp".into(),
        (ProbeKind::PerfEvent, _) => "perf_event".into(),
        (ProbeKind::Kprobe, attach) => kprobe_section(attach, first.map(|target| &target.attach)),
        (kind @ (ProbeKind::Fentry | ProbeKind::Fexit), attach) => {
            let prefix = if kind == ProbeKind::Fentry { "fentry" } else { "fexit" };
            match attach {
                Some(Attach::Fentry(fentry)) => match &fentry.place {
                    FentryPlace::Kernel { name, .. } | FentryPlace::Program { name, .. } => {
                        format!("{prefix}/{name}")
                    }
                },
                Some(Attach::Kprobe(kprobe)) => match &kprobe.place {
                    KernelPlace::Function { name, .. } => format!("{prefix}/{name}"),
                    KernelPlace::Address(_) => prefix.into(),
                },
                _ => prefix.into(),
            }
        }
        (ProbeKind::Iter, Some(Attach::Iter(iter))) => format!("iter/{}", iter.over),
        (ProbeKind::Iter, _) => "iter".into(),
    }
}

fn kprobe_section(attach: Option<&Attach>, first: Option<&Attach>) -> String {
    match (attach, first) {
        (Some(Attach::Kprobe(kprobe)), _) => {
            let prefix = if kprobe.on_return { "kretprobe" } else { "kprobe" };
            match &kprobe.place {
                KernelPlace::Function { name, offset: 0, .. } => format!("{prefix}/{name}"),
                KernelPlace::Function { name, offset, .. } => format!("{prefix}/{name}+{offset}"),
                KernelPlace::Address(_) => prefix.into(),
            }
        }
        (Some(Attach::Uprobe(uprobe)), _) => {
            let prefix = if uprobe.on_return { "uretprobe" } else { "uprobe" };
            match &uprobe.function {
                Some(function) => format!("{prefix}/{}:{function}", uprobe.path),
                None => prefix.into(),
            }
        }
        (_, Some(Attach::Uprobe(_) | Attach::Usdt(_))) => "uprobe".into(),
        _ => "kprobe".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    use skep_lang::sema::testing::Fixture;
    use skep_lang::{Options, compile_front};
    use skep_ui::SourceMap;

    fn compiled(script: &str) -> Vec<u8> {
        let mut sources = SourceMap::new();
        let file = sources.add("stdin", script);
        let analysis = compile_front(&mut sources, file, &Options::default(), &Fixture::default());
        let program = analysis.program.unwrap();
        let mut module = crate::lower(&program).unwrap();
        crate::optimise(&mut module);
        object(&crate::backend::compile(module, &program, &sources).unwrap()).unwrap()
    }

    #[test]
    fn programs_maps_and_types_are_where_libbpf_looks_for_them() {
        let bytes = compiled(
            "begin { @x[1] = count(); @y = 5; for ($kv : @x) { print($kv.0); } } \
             tracepoint:syscalls:sys_enter_creat { printf(\"%s\\n\", comm); }",
        );
        let file = object::File::parse(&*bytes).unwrap();
        assert_eq!(file.architecture(), Architecture::Bpf);
        let section = |name: &str| file.section_by_name(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(section("license").data().unwrap(), b"GPL\0");
        let types = Btf::parse(section(".BTF").data().unwrap().to_vec()).unwrap();
        assert!(types.find(skep_btf::Kind::DataSec, ".maps").is_some());
        assert_eq!(&section(".BTF.ext").data().unwrap()[..4], [0x9f, 0xeb, 1, 0]);
        for name in ["raw_tp", "tp/syscalls/sys_enter_creat"] {
            let code = section(name);
            assert!(code.relocations().next().is_some(), "{name} uses maps");
            let known = file.symbols().any(|symbol| {
                symbol.section_index() == Some(code.index()) && symbol.kind() == SymbolKind::Text
            });
            assert!(known, "{name} has a function");
        }
        // The body of the loop is called, so it is in another section.
        let text = section(".text");
        assert!(text.size() > 0);
        assert!(file.symbols().any(|symbol| symbol.name() == Ok("AT_x")));
    }
}
