//! Reads the text form of the IR, as `print` writes it and describes it at its head.
//!
//! Tests of passes are written in it. Only what a line says is checked here; whether the program keeps the
//! rules of the IR is for [`super::verify`] to tell. Lines that start with `;` are comments. Layouts of records
//! and the script's types of maps are not IR: lines of events are passed over, and maps come back without types.

use std::str::FromStr;

use skep_lang::hir::Runtime;
use skep_lang::ty::Ty;
use skep_ui::Span;

use super::print::RUNTIME_WORDS;
use super::{
    BinOp, Block, BlockId, CmpOp, Edge, Func, FuncId, Home, Inst, MapRef, Module, Object, ObjectId, Op, Term,
    Value, ValueData, ValueTy, Width,
};
use crate::artifact::{MapRole, MapSpec, Storage};

/// Why a text is not IR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Values, blocks and objects are numbered below this, so that a text cannot ask for more memory than it is worth.
const MAX_INDEX: u32 = 1 << 20;

impl FromStr for Module {
    type Err = ParseError;

    /// Reads maps and functions.
    fn from_str(text: &str) -> Result<Module, ParseError> {
        let mut module = Module::default();
        let mut func: Option<FuncReader> = None;
        let mut last = 0;
        for (at, text) in text.lines().enumerate() {
            last = at + 1;
            let text = text.trim();
            if text.is_empty() || text.starts_with(';') {
                continue;
            }
            let mut line = Line { rest: text };
            let step = match &mut func {
                None => outside(&mut line, &mut module).map(|started| func = started),
                Some(_) if text == "}" => {
                    let ended =
                        func.take().map(FuncReader::end).unwrap_or_else(|| Ok((Func::default(), false)));
                    ended.map(
                        |(done, is_sub)| {
                            if is_sub { module.subs.push(done) } else { module.funcs.push(done) }
                        },
                    )
                }
                Some(reader) => reader.line(&mut line),
            };
            step.map_err(|what| ParseError { line: last, what })?;
        }
        match func {
            None => Ok(module),
            Some(_) => Err(ParseError { line: last, what: "the function has no end, a line `}`".into() }),
        }
    }
}

/// What a line lacks, or has too much of.
type Read<T> = Result<T, String>;

/// A line between functions. Gives the function that it starts.
fn outside(line: &mut Line<'_>, module: &mut Module) -> Read<Option<FuncReader>> {
    match line.word()? {
        "map" => {
            let at = line.index('m')?;
            if at as usize != module.maps.len() {
                return Err(format!("the next map is m{}", module.maps.len()));
            }
            module.maps.push(map(line)?);
            line.end()?;
        }
        "event" => {}
        "func" => return FuncReader::start(line, false, false).map(Some),
        "sub" if line.take("func") => return FuncReader::start(line, true, false).map(Some),
        "sub" if line.take("global") && line.take("func") => {
            return FuncReader::start(line, true, true).map(Some);
        }
        other => return Err(format!("`{other}` is none of `map`, `event`, `func` and `sub func`")),
    }
    Ok(None)
}

fn map(line: &mut Line<'_>) -> Read<MapSpec> {
    let name = line.quoted()?;
    let role = line.choice(&MapRole::ALL.map(|role| (role, role.word())))?;
    let storage = line.choice(&Storage::ALL.map(|storage| (storage, storage.word())))?;
    let key_size = line.named("key")?;
    let value_size = line.named("value")?;
    let max_entries = line.named("entries")?;
    let mark = if line.take("mark") { Some(line.number()?) } else { None };
    let read_only = line.take("read_only");
    let mut init = Vec::new();
    if line.take("init") {
        let len = index(line.word()?)? as usize;
        let digits = if line.peek().is_empty() { "" } else { line.word()? };
        for at in (0..digits.len()).step_by(2) {
            let byte = digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            init.push(byte.ok_or("the bytes of `init` must be pairs of hexadecimal digits")?);
        }
        if init.len() > len {
            return Err(format!("`init` has more than {len} bytes"));
        }
        init.resize(len, 0);
    }
    Ok(MapSpec { name, role, storage, key_size, value_size, mark, max_entries, btf: (0, 0), init, read_only })
}

impl MapRole {
    /// All of them; the types of the script's maps are not known.
    const ALL: [MapRole; 10] = [
        MapRole::User { key: Ty::VOID, value: Ty::VOID },
        MapRole::Events,
        MapRole::Control,
        MapRole::Lost,
        MapRole::Processes,
        MapRole::UnwindRanges,
        MapRole::UnwindRows,
        MapRole::UnwindRules,
        MapRole::Scratch,
        MapRole::Constants,
    ];
}

impl Storage {
    const ALL: [Storage; 9] = [
        Storage::Hash,
        Storage::PerCpuHash,
        Storage::LruHash,
        Storage::PerCpuLruHash,
        Storage::Array,
        Storage::PerCpuArray,
        Storage::RingBuf,
        Storage::LpmTrie,
        Storage::ArrayOfMaps,
    ];
}

const VALUE_TYPES: [(ValueTy, &str); 3] =
    [(ValueTy::Int, "int"), (ValueTy::Ptr, "ptr"), (ValueTy::Ctx, "ctx")];

const WIDTHS: [(Width, &str); 4] =
    [(Width::W8, "8"), (Width::W16, "16"), (Width::W32, "32"), (Width::W64, "64")];

/// A function being read.
struct FuncReader {
    func: Func,
    is_sub: bool,
    /// Of each value that was defined so far.
    types: Vec<Option<ValueTy>>,
    /// The block being read: parameters and instructions.
    open: Option<(Vec<Value>, Vec<Inst>)>,
}

impl FuncReader {
    /// `name(v0: int) {`
    fn start(line: &mut Line<'_>, is_sub: bool, is_global: bool) -> Read<FuncReader> {
        let name = line.word()?.to_owned();
        let func = Func { name, is_global, ..Func::default() };
        let mut reader = FuncReader { func, is_sub, types: Vec::new(), open: None };
        reader.func.params = line.list(|line| reader.definition(line))?;
        line.mark("{")?;
        line.end()?;
        Ok(reader)
    }

    fn end(mut self) -> Read<(Func, bool)> {
        if self.open.is_some() {
            return Err(format!("block{} has no end", self.func.blocks.len()));
        }
        // Numbers may have gaps where passes removed values; nothing reads those.
        let types = self.types.into_iter().map(|ty| ty.unwrap_or(ValueTy::Int));
        self.func.values = types.map(|ty| ValueData { ty }).collect();
        Ok((self.func, self.is_sub))
    }

    fn line(&mut self, line: &mut Line<'_>) -> Read<()> {
        match self.open.take() {
            None if line.take("object") => self.object(line)?,
            None => {
                let params = self.head(line)?;
                self.open = Some((params, Vec::new()));
            }
            Some((params, insts)) if line.is_term() => {
                let term = line.term()?;
                self.func.blocks.push(Block { params, insts, term, term_span: Span::GENERATED });
            }
            Some((params, mut insts)) => {
                insts.push(self.inst(line)?);
                self.open = Some((params, insts));
            }
        }
        line.end()
    }

    fn object(&mut self, line: &mut Line<'_>) -> Read<()> {
        let objects = &mut self.func.objects;
        if line.index('o')? as usize != objects.len() {
            return Err(format!("the next object is o{}", objects.len()));
        }
        let name = line.quoted()?;
        let (size, align) = (line.named("size")?, line.named("align")?);
        let home = match line.peek() {
            "" => Home::Any,
            _ if line.take("on_stack") => Home::Stack,
            _ if line.take("common") => Home::Common(line.number()?),
            _ => line.choice(&[(Home::Scratch, "in_scratch")])?,
        };
        objects.push(Object { name, size, align, home });
        Ok(())
    }

    /// `block1(v4: int):`
    fn head(&mut self, line: &mut Line<'_>) -> Read<Vec<Value>> {
        let BlockId(at) = line.block()?;
        if at as usize != self.func.blocks.len() {
            return Err(format!("the next block is block{}", self.func.blocks.len()));
        }
        let params = line.list(|line| self.definition(line))?;
        line.mark(":")?;
        Ok(params)
    }

    fn inst(&mut self, line: &mut Line<'_>) -> Read<Inst> {
        let result = if line.is_definition() {
            let result = self.definition(line)?;
            line.mark("=")?;
            Some(result)
        } else {
            None
        };
        let returns = result.and_then(|Value(at)| self.types[at as usize]).unwrap_or(ValueTy::Int);
        Ok(Inst { result, op: line.op(returns)?, span: Span::GENERATED })
    }

    /// `v4: int`
    fn definition(&mut self, line: &mut Line<'_>) -> Read<Value> {
        let value = line.value()?;
        line.mark(":")?;
        let ty = line.choice(&VALUE_TYPES)?;
        let at = value.0 as usize;
        if self.types.len() <= at {
            self.types.resize(at + 1, None);
        }
        match self.types[at].replace(ty) {
            None => Ok(value),
            Some(_) => Err(format!("{value} is defined twice")),
        }
    }
}

/// What is left of a line.
struct Line<'a> {
    rest: &'a str,
}

impl<'a> Line<'a> {
    fn is_term(&self) -> bool {
        matches!(self.peek(), "jump" | "br" | "return")
    }

    /// Whether it starts with a value.
    fn is_definition(&self) -> bool {
        self.peek().strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn term(&mut self) -> Read<Term> {
        Ok(match self.word()? {
            "jump" => Term::Jump(self.edge()?),
            "return" => Term::Return(self.value()?),
            _ => {
                let op = self.choice(&CmpOp::WORDS)?;
                let lhs = self.value()?;
                let rhs = self.next_value()?;
                self.mark(",")?;
                let then = self.edge()?;
                self.mark(",")?;
                Term::Branch { op, lhs, rhs, then, otherwise: self.edge()? }
            }
        })
    }

    /// An operation; `returns` is what its result is, for a call.
    fn op(&mut self, returns: ValueTy) -> Read<Op> {
        let word = self.word()?;
        Ok(match word {
            "const" => Op::Const(self.number()?),
            "ctx" => Op::Ctx,
            "object" => Op::ObjectAddr(ObjectId(self.index('o')?), self.plus()?),
            "map" => Op::Map(MapRef(self.index('m')?)),
            "map_value" => Op::MapValue(MapRef(self.index('m')?), self.plus()?),
            "runtime" => Op::Runtime(self.choice(&RUNTIME_WORDS)?),
            "variable" => Op::Runtime(Runtime::KernelVariable(self.number()?)),
            "asked" => Op::Runtime(Runtime::Asked(self.number()?)),
            "cookie" => Op::Cookie(self.value()?),
            "cmp" => {
                let op = self.choice(&CmpOp::WORDS)?;
                Op::Cmp(op, self.value()?, self.next_value()?)
            }
            "func_addr" => Op::FuncAddr(FuncId(self.index('f')?)),
            "call_func" => {
                let func = FuncId(self.index('f')?);
                Op::CallFunc { func, args: self.list(Line::value)? }
            }
            "call" | "call_pure" => {
                let helper = self.number()?;
                // The name is for the reader; the number says it.
                self.word()?;
                Op::Call { helper, args: self.list(Line::value)?, returns, pure: word == "call_pure" }
            }
            "zero" => {
                let (addr, offset) = self.place()?;
                let (len, align) = self.run()?;
                Op::Zero { addr, offset, len, align }
            }
            "copy" => {
                let (dst, dst_offset) = self.place()?;
                self.mark(",")?;
                let (src, src_offset) = self.place()?;
                let (len, align) = self.run()?;
                Op::Copy { dst, dst_offset, src, src_offset, len, align }
            }
            word => match word.split_once('.') {
                Some((word, width)) => self.with_width(word, width)?,
                None => {
                    let op = find(&BinOp::WORDS, word)?;
                    Op::Bin(op, self.value()?, self.next_value()?)
                }
            },
        })
    }

    /// An operation whose name ends with a width: `store.64`, `load.u32`.
    fn with_width(&mut self, word: &str, width: &str) -> Read<Op> {
        let (signed, bits) = match word {
            "load" => match (width.strip_prefix('s'), width.strip_prefix('u')) {
                (Some(bits), _) => (true, bits),
                (_, Some(bits)) => (false, bits),
                _ => return Err("a load says `s` or `u` before its width".into()),
            },
            word => (word == "sext", width),
        };
        let width = find(&WIDTHS, bits)?;
        Ok(match word {
            "load" => {
                let (addr, offset) = self.place()?;
                Op::Load { width, signed, addr, offset }
            }
            "sext" | "zext" => Op::Extend { from: width, signed, value: self.value()? },
            "bswap" => Op::ByteSwap(width, self.value()?),
            "store" | "atomic_add" => {
                let (addr, offset) = self.place()?;
                let value = self.next_value()?;
                if word == "store" {
                    Op::Store { width, addr, offset, value }
                } else {
                    Op::AtomicAdd { width, addr, offset, value }
                }
            }
            _ => return Err(format!("there is no operation `{word}`")),
        })
    }

    fn edge(&mut self) -> Read<Edge> {
        Ok(Edge { to: self.block()?, args: self.list(Line::value)? })
    }

    /// `[v1 + 8]`, `[v1 - 8]`
    fn place(&mut self) -> Read<(Value, i32)> {
        self.mark("[")?;
        let base = self.value()?;
        let negative = self.take_mark("-");
        if !negative {
            self.mark("+")?;
        }
        let distance: u32 = self.number()?;
        self.mark("]")?;
        let signed = i64::from(distance);
        let offset = i32::try_from(if negative { -signed } else { signed });
        Ok((base, offset.map_err(|_| format!("the offset {distance} is too large"))?))
    }

    /// `, 16, align 8`
    fn run(&mut self) -> Read<(u32, u32)> {
        self.mark(",")?;
        let len = self.number()?;
        self.mark(",")?;
        Ok((len, self.named("align")?))
    }

    /// `+ 8`
    fn plus(&mut self) -> Read<u32> {
        self.mark("+")?;
        self.number()
    }

    /// `(v1, v2)`, or nothing.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut list = Vec::new();
        if !self.take_mark("(") || self.take_mark(")") {
            return Ok(list);
        }
        loop {
            list.push(one(self)?);
            if self.take_mark(")") {
                return Ok(list);
            }
            self.mark(",")?;
        }
    }

    fn next_value(&mut self) -> Read<Value> {
        self.mark(",")?;
        self.value()
    }

    fn value(&mut self) -> Read<Value> {
        self.index('v').map(Value)
    }

    fn block(&mut self) -> Read<BlockId> {
        let word = self.word()?;
        let number = word.strip_prefix("block").ok_or_else(|| format!("`{word}` is not a block"))?;
        index(number).map(BlockId)
    }

    /// A letter and a number: `v4`.
    fn index(&mut self, letter: char) -> Read<u32> {
        let word = self.word()?;
        let number = word.strip_prefix(letter);
        index(number.ok_or_else(|| format!("`{word}` does not start with `{letter}` and go on as a number"))?)
    }

    /// A word and a number: `align 8`.
    fn named(&mut self, name: &str) -> Read<u32> {
        if self.take(name) {
            self.number()
        } else {
            Err(format!("`{name}` is missing before `{}`", self.rest))
        }
    }

    fn number<T: FromStr>(&mut self) -> Read<T> {
        let negative = self.take_mark("-");
        let digits = self.word()?;
        // The sign is read with the digits, since the lowest number has no positive counterpart.
        let text = if negative { format!("-{digits}") } else { digits.to_owned() };
        text.parse().map_err(|_| format!("`{text}` is not a number that fits here"))
    }

    fn choice<T: Copy>(&mut self, words: &[(T, &str)]) -> Read<T> {
        find(words, self.word()?)
    }

    /// A text as `{:?}` prints it.
    fn quoted(&mut self) -> Read<String> {
        self.mark("\"")?;
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next().ok_or("the text has no end")? {
                '"' => break,
                '\\' => text.push(escaped(&mut chars)?),
                other => text.push(other),
            }
        }
        self.rest = chars.as_str().trim_start();
        Ok(text)
    }

    /// The next word: letters, digits, `_` and `.`.
    fn word(&mut self) -> Read<&'a str> {
        let word = self.peek();
        if word.is_empty() {
            let here = if self.rest.is_empty() { "the end of the line" } else { self.rest };
            return Err(format!("a word is missing before `{here}`"));
        }
        self.rest = self.rest[word.len()..].trim_start();
        Ok(word)
    }

    fn peek(&self) -> &'a str {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        let len = self.rest.bytes().take_while(|byte| is_part(*byte)).count();
        // All of these bytes are characters of their own.
        &self.rest[..len]
    }

    /// Whether the next word is this one, which is then passed.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.rest = self.rest[word.len()..].trim_start();
        }
        found
    }

    fn take_mark(&mut self, mark: &str) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    fn mark(&mut self, mark: &str) -> Read<()> {
        if self.take_mark(mark) { Ok(()) } else { Err(format!("`{mark}` is missing before `{}`", self.rest)) }
    }

    fn end(&self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("`{}` is too much", self.rest)) }
    }
}

fn index(digits: &str) -> Read<u32> {
    let number = digits.parse().ok().filter(|number| *number < MAX_INDEX);
    number.ok_or_else(|| format!("`{digits}` is not a number below {MAX_INDEX}"))
}

fn find<T: Copy>(words: &[(T, &str)], word: &str) -> Read<T> {
    let found = words.iter().find(|(_, known)| *known == word).map(|(one, _)| *one);
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        format!("`{word}` is none of {}", known.join(", "))
    })
}

/// What follows a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Read<char> {
    match chars.next() {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('0') => Ok('\0'),
        Some('u') => {
            let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
            let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
            code.ok_or_else(|| "`\\u` is followed by no character's number".into())
        }
        Some(other @ ('"' | '\'' | '\\')) => Ok(other),
        _ => Err("there is no such escape in a text".into()),
    }
}
