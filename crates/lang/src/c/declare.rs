//! Declarations: tokens to types and constants.
//!
//! All that can name or build a type is understood; functions, variables and whatever else stands in a
//! header is passed over up to its end.

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};

use super::kernel::Kernel;
use super::known;
use super::layout;
use super::lexer::{Kind, Token};
use super::number::{self, Names};
use super::types::{BASES, CMember, COMMON_TYPEDEFS, CType, Composite, Enum, Id, Types, VA_LIST};

/// What was declared.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The types.
    pub types: Types,
    /// Structs, unions and enums by keyword and tag.
    pub tags: FxHashMap<(Tag, String), Id>,
    /// Typedefs.
    pub typedefs: FxHashMap<String, Id>,
    /// Enumerators, with their enums, and constants, without.
    pub constants: FxHashMap<String, (i128, Option<Id>)>,
}

/// `struct`, `union` or `enum`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tag {
    Struct,
    Union,
    Enum,
}

impl Tag {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Tag::Struct => "struct",
            Tag::Union => "union",
            Tag::Enum => "enum",
        }
    }

    fn of(word: &str) -> Option<Tag> {
        [Tag::Struct, Tag::Union, Tag::Enum].into_iter().find(|tag| tag.keyword() == word)
    }
}

/// Reads declarations into `declared`. What could not be understood is told, one sentence each.
pub fn read(tokens: &[Token], declared: &mut Declared, kernel: &mut Kernel<'_>) -> Vec<String> {
    let mut reader =
        Reader { tokens, at: 0, declared, kernel, depth: 0, pack: Vec::new(), problems: Vec::new() };
    while reader.at < tokens.len() {
        let start = reader.at;
        if let Err(problem) = reader.declaration() {
            reader.problems.push(problem);
            reader.at = start;
            reader.skip();
        }
        if reader.at == start {
            reader.at += 1;
        }
    }
    reader.problems
}

/// Deeper nesting than any declaration has.
const MAX_DEPTH: u32 = 64;

struct Reader<'a, 'k> {
    tokens: &'a [Token],
    at: usize,
    declared: &'a mut Declared,
    kernel: &'a mut Kernel<'k>,
    depth: u32,
    /// `#pragma pack` in force, innermost last.
    pack: Vec<Option<u32>>,
    problems: Vec<String>,
}

#[derive(Default)]
struct Attributes {
    packed: bool,
    aligned: Option<u32>,
}

/// What a declarator says about a name, read inside out.
struct Declarator {
    name: String,
    ty: Id,
}

/// A part of a declarator, in the order in which they apply to the type.
enum Part {
    Pointer,
    Array(u32),
    Function(Vec<(String, Id)>),
}

type Result<T> = std::result::Result<T, String>;

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is(&self, punct: &str) -> bool {
        self.peek().is_some_and(|token| token.is(punct))
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: &str) -> Result<()> {
        if self.eat(punct) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("expected '{punct}' before '{}'", token.text),
            None => format!("expected '{punct}' at the end"),
        })
    }

    fn word(&self) -> &'a str {
        let token = self.tokens.get(self.at).filter(|token| token.kind == Kind::Ident);
        token.map_or("", |token| token.text.as_str())
    }

    fn ident(&mut self) -> Option<String> {
        let token = self.peek().filter(|token| token.kind == Kind::Ident)?.text.clone();
        self.at += 1;
        Some(token)
    }

    /// Past the declaration in hand: behind its `;`, or behind its braces if it is a function.
    fn skip(&mut self) {
        let mut depth = 0usize;
        let tokens = self.tokens;
        while let Some(token) = tokens.get(self.at) {
            let text = token.text.as_str();
            let punct = token.kind == Kind::Punct;
            self.at += 1;
            match text {
                "{" | "(" | "[" if punct => depth += 1,
                "}" if punct && depth <= 1 => {
                    self.eat(";");
                    return;
                }
                "}" | ")" | "]" if punct => depth = depth.saturating_sub(1),
                ";" if punct && depth == 0 => return,
                _ => {}
            }
        }
    }

    fn declaration(&mut self) -> Result<()> {
        if self.eat(";") {
            return Ok(());
        }
        if self.eat_word("__skep_pragma_pack") {
            self.pragma_pack();
            return Ok(());
        }
        if self.eat_word("__extension__") {
            return self.declaration();
        }
        if matches!(self.word(), "_Static_assert" | "static_assert" | "extern" | "asm" | "__asm__") {
            self.skip();
            return Ok(());
        }
        let is_typedef = self.word() == "typedef";
        let mut attributes = Attributes::default();
        let base = self.specifiers(&mut attributes)?;
        // A script may leave out the semicolon behind a type.
        if self.eat(";") || self.at >= self.tokens.len() {
            return Ok(());
        }
        loop {
            let declarator = self.declarator(base)?;
            let mut attributes = Attributes::default();
            self.attributes(&mut attributes)?;
            if is_typedef {
                let id = self.declared.types.add(CType::Typedef(declarator.name.clone(), declarator.ty));
                self.declared.typedefs.insert(declarator.name, id);
            } else if self.eat("=") {
                let value = self.initialiser();
                if let Some(value) = value {
                    self.declared.constants.insert(declarator.name, (value, None));
                }
            } else if self.is("{") {
                self.skip();
                return Ok(());
            }
            if self.eat(";") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    /// What a constant is set to, if it is a number.
    fn initialiser(&mut self) -> Option<i128> {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(token) = self.peek() {
            match token.text.as_str() {
                "(" | "{" | "[" => depth += 1,
                ")" | "}" | "]" => depth = depth.saturating_sub(1),
                "," | ";" if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        self.number(start)
    }

    /// The value of the tokens since `start`, in which values of the kernel's enums have their names, too.
    fn number(&mut self, start: usize) -> Option<i128> {
        let tokens = self.tokens.get(start..self.at)?;
        number::evaluate(tokens, &WithKernel { declared: self.declared, kernel: RefCell::new(self.kernel) })
    }

    fn pragma_pack(&mut self) {
        let start = self.at;
        while !self.eat(";") && self.at < self.tokens.len() {
            self.at += 1;
        }
        let words = self.tokens.get(start..self.at).unwrap_or_default();
        let amount = words.iter().find(|token| token.kind == Kind::Number);
        let amount =
            amount.and_then(|token| number::integer(&token.text)).and_then(|n| u32::try_from(n).ok());
        if words.iter().any(|token| token.is_word("pop")) {
            self.pack.pop();
        } else if words.iter().any(|token| token.is_word("push")) {
            let inherited = self.pack.last().copied().flatten();
            self.pack.push(amount.or(inherited));
        } else {
            self.pack.pop();
            self.pack.push(amount);
        }
    }

    /// Everything before the declarators.
    fn specifiers(&mut self, attributes: &mut Attributes) -> Result<Id> {
        let mut words: Vec<&'static str> = Vec::new();
        let mut found: Option<Id> = None;
        loop {
            self.attributes(attributes)?;
            let word = self.word();
            if let Some(tag) = Tag::of(word) {
                self.at += 1;
                found = Some(self.tagged(tag)?);
                continue;
            }
            match word {
                "typedef" | "static" | "extern" | "const" | "volatile" | "register" | "inline"
                | "__inline" | "__inline__" | "__always_inline" | "restrict" | "__restrict"
                | "__restrict__" | "__const" | "__volatile__" | "__signed__" | "_Noreturn"
                | "__extension__" | "__user" | "__kernel" | "__iomem" | "__rcu" | "__percpu" | "__force"
                | "__bitwise" | "__private" => {
                    if word == "__signed__" {
                        words.push("signed");
                    }
                    self.at += 1;
                }
                "typeof" | "__typeof__" | "__typeof" | "_Atomic" | "_Alignas" => {
                    return Err(format!("{word} is not understood"));
                }
                _ => {
                    const PARTS: [&str; 12] = [
                        "void", "char", "short", "int", "long", "signed", "unsigned", "float", "double",
                        "_Bool", "__int128", "_Complex",
                    ];
                    if let Some(part) = PARTS.into_iter().find(|part| *part == word) {
                        words.push(part);
                        self.at += 1;
                    } else if found.is_none()
                        && words.is_empty()
                        && !word.is_empty()
                        && let Some(id) = self.typedef(word)
                    {
                        found = Some(id);
                        self.at += 1;
                    } else {
                        break;
                    }
                }
            }
        }
        match found {
            Some(id) => Ok(id),
            None if words.is_empty() => Err(match self.peek() {
                Some(token) if token.kind == Kind::Ident => format!("unknown type name '{}'", token.text),
                Some(token) => format!("expected a type before '{}'", token.text),
                None => "expected a type at the end".into(),
            }),
            None if words == ["void"] => Ok(self.declared.types.add(CType::Void)),
            None => {
                let name = base_name(&words).ok_or_else(|| format!("no such type: '{}'", words.join(" ")))?;
                self.declared.types.base(name).ok_or_else(|| format!("no such type: '{name}'"))
            }
        }
    }

    fn typedef(&mut self, name: &str) -> Option<Id> {
        if let Some(id) = self.declared.typedefs.get(name) {
            return Some(*id);
        }
        if name == VA_LIST {
            // Nobody looks into it; what counts is its place: three words on x86-64.
            let word = self.declared.types.base("long")?;
            let words = self.declared.types.add(CType::Array(word, 3));
            return Some(self.declared.types.add(CType::Typedef(name.to_owned(), words)));
        }
        let id = match COMMON_TYPEDEFS.iter().find(|(common, _)| *common == name) {
            Some((_, base)) => {
                let base = self.declared.types.base(base)?;
                self.declared.types.add(CType::Typedef(name.to_owned(), base))
            }
            None => self.kernel.find(&mut self.declared.types, None, name)?,
        };
        self.declared.typedefs.insert(name.to_owned(), id);
        Some(id)
    }

    /// After `struct`, `union` or `enum`.
    fn tagged(&mut self, tag: Tag) -> Result<Id> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("types are nested too deeply".into());
        }
        let mut attributes = Attributes::default();
        self.attributes(&mut attributes)?;
        let name = self.ident();
        self.attributes(&mut attributes)?;
        let id = if self.is("{") {
            self.definition(tag, name, attributes)?
        } else {
            let name = name.ok_or_else(|| format!("expected a name or '{{' after '{}'", tag.keyword()))?;
            self.reference(tag, name)
        };
        self.depth -= 1;
        Ok(id)
    }

    /// A tag that is only mentioned.
    fn reference(&mut self, tag: Tag, name: String) -> Id {
        if let Some(id) = self.declared.tags.get(&(tag, name.clone())) {
            return *id;
        }
        let id = self.declared.types.add(incomplete(tag, &name));
        self.declared.tags.insert((tag, name), id);
        id
    }

    fn definition(&mut self, tag: Tag, name: Option<String>, mut attributes: Attributes) -> Result<Id> {
        let name = name.unwrap_or_default();
        let complete = |ty: &CType| match ty {
            CType::Composite(composite) => composite.members.is_some(),
            CType::Enum(of) => of.values.is_some(),
            _ => true,
        };
        let known = self.declared.tags.get(&(tag, name.clone())).copied().filter(|_| !name.is_empty());
        // One that is defined again is another type from here on: a header may have had it. Of what the script itself
        // wrote it is a mistake.
        if known.is_some_and(|id| complete(self.declared.types.get(id))) {
            self.problems.push(format!("redefinition of '{name}'"));
        }
        // Structs, unions and enums share one space of names.
        let others = [Tag::Struct, Tag::Union, Tag::Enum].into_iter().filter(|other| *other != tag);
        let mut others = others.filter_map(|other| self.declared.tags.get(&(other, name.clone())));
        if !name.is_empty() && others.any(|id| complete(self.declared.types.get(*id))) {
            self.problems
                .push(format!("use of '{name}' with tag type that does not match previous declaration"));
        }
        let known = known.filter(|id| !complete(self.declared.types.get(*id)));
        let id = known.unwrap_or_else(|| self.declared.types.add(incomplete(tag, &name)));
        if !name.is_empty() {
            self.declared.tags.insert((tag, name.clone()), id);
        }
        self.expect("{")?;
        let made = if tag == Tag::Enum {
            let values = self.enumerators(id)?;
            self.attributes(&mut attributes)?;
            CType::Enum(Enum { name, values: Some(values), packed: attributes.packed })
        } else {
            let members = self.members()?;
            self.attributes(&mut attributes)?;
            CType::Composite(Composite {
                name,
                is_union: tag == Tag::Union,
                members: Some(members),
                packed: attributes.packed,
                aligned: attributes.aligned,
                pack: self.pack.last().copied().flatten(),
                placed: None,
            })
        };
        if let Some(slot) = self.declared.types.get_mut(id) {
            *slot = made;
        }
        Ok(id)
    }

    fn enumerators(&mut self, id: Id) -> Result<Vec<(String, i128)>> {
        let mut values = Vec::new();
        let mut next: i128 = 0;
        while !self.eat("}") {
            let name = self.ident().ok_or("expected the name of an enumerator")?;
            self.attributes(&mut Attributes::default())?;
            if self.eat("=") {
                let start = self.at;
                let mut depth = 0usize;
                while let Some(token) = self.peek() {
                    match token.text.as_str() {
                        "(" => depth += 1,
                        ")" => depth = depth.saturating_sub(1),
                        "," | "}" if depth == 0 => break,
                        _ => {}
                    }
                    self.at += 1;
                }
                next = self.number(start).ok_or_else(|| format!("the value of {name} is not a constant"))?;
            }
            let earlier = self.declared.constants.insert(name.clone(), (next, Some(id)));
            if earlier.is_some_and(|(_, of)| of.is_some()) {
                self.problems.push(format!("redefinition of enumerator '{name}'"));
            }
            values.push((name, next));
            next += 1;
            if !self.eat(",") && !self.is("}") {
                return Err("expected ',' or '}' after an enumerator".into());
            }
        }
        Ok(values)
    }

    fn members(&mut self) -> Result<Vec<CMember>> {
        let mut members = Vec::new();
        let mut names = FxHashSet::default();
        while !self.eat("}") {
            if self.eat(";") {
                continue;
            }
            if self.at >= self.tokens.len() {
                return Err("expected '}' at the end".into());
            }
            if self.eat_word("__skep_pragma_pack") {
                self.pragma_pack();
                continue;
            }
            if matches!(self.word(), "typedef" | "static" | "extern") {
                return Err("type name does not allow storage class to be specified".into());
            }
            if matches!(self.word(), "_Static_assert" | "static_assert") {
                self.skip();
                continue;
            }
            let mut base_attributes = Attributes::default();
            let base = self.specifiers(&mut base_attributes)?;
            loop {
                let mut attributes =
                    Attributes { packed: base_attributes.packed, aligned: base_attributes.aligned };
                let anonymous = self.is(";") || self.is("}");
                let mut declarator = if anonymous || self.is(":") {
                    Declarator { name: String::new(), ty: base }
                } else {
                    self.declarator(base)?
                };
                let bits = if self.eat(":") { Some(self.width()?) } else { None };
                self.attributes(&mut attributes)?;
                if bits.is_none() {
                    declarator.ty = self.sized(declarator.ty)?;
                }
                if !declarator.name.is_empty() && !names.insert(declarator.name.clone()) {
                    self.problems.push(format!("duplicate member '{}'", declarator.name));
                }
                members.push(CMember {
                    name: declarator.name,
                    ty: declarator.ty,
                    bits,
                    packed: attributes.packed,
                    aligned: attributes.aligned,
                });
                if !self.eat(",") {
                    break;
                }
            }
            if !self.is("}") {
                self.expect(";")?;
            }
        }
        Ok(members)
    }

    /// A member's type must be complete: one that is not declared here may be the kernel's.
    fn sized(&mut self, id: Id) -> Result<Id> {
        let (tag, name) = match self.declared.types.get(id) {
            CType::Array(of, len) => {
                let (of, len) = (*of, *len);
                let sized = self.sized(of)?;
                return Ok(if sized == of { id } else { self.declared.types.add(CType::Array(sized, len)) });
            }
            CType::Composite(Composite { members: None, name, is_union, .. }) => {
                (if *is_union { Tag::Union } else { Tag::Struct }, name.clone())
            }
            CType::Enum(Enum { values: None, name, .. }) => (Tag::Enum, name.clone()),
            _ => return Ok(id),
        };
        match self.kernel.find(&mut self.declared.types, Some(tag), &name) {
            Some(found) => {
                // All that mentioned it by name means the same.
                let found = self.declared.types.get(found).clone();
                if let Some(slot) = self.declared.types.get_mut(id) {
                    *slot = found;
                }
                Ok(id)
            }
            None if tag == Tag::Enum => Ok(id),
            None => Err(format!("{} {name} is not defined", tag.keyword())),
        }
    }

    fn width(&mut self) -> Result<u32> {
        let start = self.at;
        while let Some(token) = self.peek() {
            if matches!(token.text.as_str(), "," | ";" | "}") || token.is_word("__attribute__") {
                break;
            }
            self.at += 1;
        }
        let value = self.number(start);
        value
            .and_then(|value| u32::try_from(value).ok())
            .filter(|bits| *bits <= 128)
            .ok_or_else(|| "the width of a bitfield is not a constant".into())
    }

    /// `* name[3]`, `(*name)(int)` and so on.
    fn declarator(&mut self, base: Id) -> Result<Declarator> {
        let mut parts = Vec::new();
        let name = self.declarator_parts(&mut parts)?;
        let mut ty = base;
        for part in parts {
            let made = match part {
                Part::Pointer => CType::Ptr(ty),
                Part::Array(len) => CType::Array(ty, len),
                Part::Function(params) => CType::Function { result: ty, params },
            };
            ty = self.declared.types.add(made);
        }
        Ok(Declarator { name, ty })
    }

    /// Collects the parts, those that apply to the type first in front.
    fn declarator_parts(&mut self, parts: &mut Vec<Part>) -> Result<String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("a declaration is nested too deeply".into());
        }
        loop {
            self.attributes(&mut Attributes::default())?;
            if self.eat("*") {
                parts.push(Part::Pointer);
                while matches!(
                    self.word(),
                    "const"
                        | "volatile"
                        | "restrict"
                        | "__restrict"
                        | "__restrict__"
                        | "__user"
                        | "__rcu"
                        | "__percpu"
                        | "__iomem"
                        | "__kernel"
                        | "__force"
                        | "__private"
                ) {
                    self.at += 1;
                }
            } else {
                break;
            }
        }
        let mut inner = Vec::new();
        let grouped = self.is("(") && !self.params_follow();
        let name = if grouped {
            self.at += 1;
            let name = self.declarator_parts(&mut inner)?;
            self.expect(")")?;
            name
        } else {
            self.ident().unwrap_or_default()
        };
        let mut suffixes = Vec::new();
        loop {
            if self.eat("[") {
                suffixes.push(Part::Array(self.array_length()?));
            } else if self.is("(") {
                self.at += 1;
                suffixes.push(Part::Function(self.params()?));
            } else {
                break;
            }
        }
        // `a[2][3]` is two of three, so the last applies first.
        parts.extend(suffixes.into_iter().rev());
        parts.extend(inner);
        self.depth -= 1;
        Ok(name)
    }

    /// Whether a parenthesis opens parameters rather than an inner declarator.
    fn params_follow(&self) -> bool {
        match self.tokens.get(self.at + 1) {
            Some(token) if token.is(")") => true,
            Some(token) if token.kind == Kind::Ident && !token.is_word("__attribute__") => true,
            _ => false,
        }
    }

    fn array_length(&mut self) -> Result<u32> {
        if self.eat("]") {
            return Ok(0);
        }
        let start = self.at;
        let mut depth = 0usize;
        while let Some(token) = self.peek() {
            match token.text.as_str() {
                "[" | "(" => depth += 1,
                "]" if depth == 0 => break,
                "]" | ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        let length = self.number(start);
        self.expect("]")?;
        length
            .and_then(|length| u32::try_from(length).ok())
            .ok_or_else(|| "the length of an array is not a constant".into())
    }

    fn params(&mut self) -> Result<Vec<(String, Id)>> {
        let mut params = Vec::new();
        if self.eat(")") {
            return Ok(params);
        }
        loop {
            if self.eat("...") {
                let void = self.declared.types.add(CType::Void);
                params.push((String::new(), void));
            } else {
                let base = self.specifiers(&mut Attributes::default())?;
                let declarator = self.declarator(base)?;
                self.attributes(&mut Attributes::default())?;
                params.push((declarator.name, declarator.ty));
            }
            if self.eat(")") {
                break;
            }
            self.expect(",")?;
        }
        // `(void)` takes nothing.
        if let [(name, id)] = params.as_slice()
            && name.is_empty()
            && *self.declared.types.get(*id) == CType::Void
        {
            params.clear();
        }
        Ok(params)
    }

    /// `__attribute__((packed, aligned(8)))`, and the kernel's short words for them.
    fn attributes(&mut self, attributes: &mut Attributes) -> Result<()> {
        loop {
            if self.eat_word("__packed") {
                attributes.packed = true;
            } else if self.eat_word("__attribute__") || self.eat_word("__attribute") {
                self.expect("(")?;
                let start = self.at;
                let mut depth = 1usize;
                while depth > 0 {
                    let Some(token) = self.peek() else { return Err("expected ')' at the end".into()) };
                    depth = match token.text.as_str() {
                        "(" => depth + 1,
                        ")" => depth - 1,
                        _ => depth,
                    };
                    self.at += 1;
                }
                let inner = self.tokens.get(start..self.at - 1).unwrap_or_default();
                self.attribute_list(inner, attributes);
            } else if matches!(self.word(), "__aligned" | "__cacheline_aligned" | "__randomize_layout") {
                let sized = self.word() == "__aligned";
                self.at += 1;
                if sized && self.eat("(") {
                    let start = self.at;
                    while !self.is(")") && self.at < self.tokens.len() {
                        self.at += 1;
                    }
                    let tokens = self.tokens.get(start..self.at).unwrap_or_default();
                    attributes.aligned = self.alignment(tokens).or(attributes.aligned);
                    self.expect(")")?;
                }
            } else if self.eat_word("__counted_by") || self.eat_word("__asm__") || self.eat_word("asm") {
                self.expect("(")?;
                let mut depth = 1usize;
                while depth > 0 && self.at < self.tokens.len() {
                    depth = depth + usize::from(self.is("(")) - usize::from(self.is(")"));
                    self.at += 1;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn attribute_list(&self, tokens: &[Token], attributes: &mut Attributes) {
        for (index, token) in tokens.iter().enumerate() {
            match token.text.as_str() {
                "packed" | "__packed__" => attributes.packed = true,
                // `mode(byte)` on an enum: its values fit into a byte, which then is the smallest size.
                "byte" | "__byte__" | "QI" | "__QI__" => attributes.packed = true,
                "aligned" | "__aligned__" => {
                    let rest = tokens.get(index + 1..).unwrap_or_default();
                    let argument = match rest.split_first() {
                        Some((open, rest)) if open.is("(") => {
                            let mut depth = 1i32;
                            let close = rest.iter().position(|token| {
                                depth += i32::from(token.is("(")) - i32::from(token.is(")"));
                                depth == 0
                            });
                            rest.get(..close.unwrap_or(rest.len())).unwrap_or_default()
                        }
                        // Without a number: as far as anything can be.
                        _ => {
                            attributes.aligned = Some(16);
                            continue;
                        }
                    };
                    attributes.aligned = self.alignment(argument).or(attributes.aligned);
                }
                _ => {}
            }
        }
    }

    fn alignment(&self, tokens: &[Token]) -> Option<u32> {
        let value = number::evaluate(tokens, self.declared)?;
        u32::try_from(value).ok().filter(|value| value.is_power_of_two() && *value <= 1 << 16)
    }
}

fn incomplete(tag: Tag, name: &str) -> CType {
    match tag {
        Tag::Enum => CType::Enum(Enum { name: name.to_owned(), values: None, packed: false }),
        _ => CType::Composite(Composite {
            name: name.to_owned(),
            is_union: tag == Tag::Union,
            ..Composite::default()
        }),
    }
}

/// The name of a base type that is spelled in any of C's ways.
fn base_name(words: &[&str]) -> Option<&'static str> {
    let count = |word: &str| words.iter().filter(|other| **other == word).count();
    let unsigned = count("unsigned") > 0;
    let pick = |signed: &'static str, other: &'static str| Some(if unsigned { other } else { signed });
    if count("_Complex") > 0 {
        return None;
    }
    if count("char") > 0 {
        return if count("signed") > 0 { Some("signed char") } else { pick("char", "unsigned char") };
    }
    if count("_Bool") > 0 {
        return Some("_Bool");
    }
    if count("float") > 0 {
        return Some("float");
    }
    if count("double") > 0 {
        return Some(if count("long") > 0 { "long double" } else { "double" });
    }
    if count("__int128") > 0 {
        return pick("__int128", "unsigned __int128");
    }
    if count("short") > 0 {
        return pick("short", "short unsigned int");
    }
    match count("long") {
        0 => pick("int", "unsigned int"),
        1 => pick("long", "long unsigned int"),
        _ => pick("long long", "long long unsigned int"),
    }
}

/// What is declared, and behind it the kernel's enums.
struct WithKernel<'a, 'k> {
    declared: &'a Declared,
    kernel: RefCell<&'a mut Kernel<'k>>,
}

impl Names for WithKernel<'_, '_> {
    fn value(&self, name: &str) -> Option<i128> {
        self.declared.value(name).or_else(|| self.kernel.borrow_mut().enumerator(name))
    }

    fn type_size(&self, tokens: &[Token]) -> Option<(u64, usize)> {
        self.declared.type_size(tokens)
    }
}

impl Names for Declared {
    fn value(&self, name: &str) -> Option<i128> {
        self.constants.get(name).map(|(value, _)| *value).or_else(|| known::value(name))
    }

    fn type_size(&self, tokens: &[Token]) -> Option<(u64, usize)> {
        let mut words = Vec::new();
        let mut id = None;
        let mut taken = 0;
        while let Some(token) = tokens.get(taken).filter(|token| token.kind == Kind::Ident) {
            let word = token.text.as_str();
            if let Some(tag) = Tag::of(word) {
                let name = tokens.get(taken + 1)?;
                id = Some(*self.tags.get(&(tag, name.text.clone()))?);
                taken += 2;
                continue;
            }
            match word {
                "const" | "volatile" => {}
                "char" | "short" | "int" | "long" | "signed" | "unsigned" | "float" | "double" | "_Bool"
                | "void" | "__int128" => words.push(word),
                _ => {
                    if id.is_some() || !words.is_empty() {
                        return None;
                    }
                    if let Some(known) = self.typedefs.get(word) {
                        id = Some(*known);
                    } else {
                        let (_, base) = COMMON_TYPEDEFS.iter().find(|(name, _)| *name == word)?;
                        words.push(base);
                    }
                }
            }
            taken += 1;
        }
        let mut size = match id {
            Some(id) => layout::layout(&self.types, id).ok()?.size,
            None if words.is_empty() => return None,
            None if words == ["void"] => 1,
            None => {
                let name = words.first().filter(|word| BASES.iter().any(|base| base.name == **word));
                let name = name.copied().or_else(|| base_name(&words))?;
                let name = if words.len() > 1 { base_name(&words)? } else { name };
                BASES.iter().find(|base| base.name == name)?.size.into()
            }
        };
        while tokens.get(taken).is_some_and(|token| token.is("*")) {
            size = 8;
            taken += 1;
        }
        Some((size, taken))
    }
}
