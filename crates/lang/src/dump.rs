//! The typed program as text, for `-d hir` and for tests.
//!
//! One statement a line, indented by block; an operation with its operands in parentheses, and
//! behind each leaf its type. The form is stable, so that it can be compared.

use std::fmt::{self, Display, Write};

use crate::hir::*;
use crate::ty::{Agg, Bits, Space, Ty, TyKind, Types};

/// The text of a program.
pub fn dump(program: &Program) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = Dumper { program, out: &mut out }.program();
    out
}

struct Dumper<'a> {
    program: &'a Program,
    out: &'a mut String,
}

/// What the names in a body mean.
#[derive(Clone, Copy)]
struct Within<'a> {
    locals: &'a [Local],
    functions: &'a [Function],
}

impl Dumper<'_> {
    fn program(&mut self) -> fmt::Result {
        for map in &self.program.maps {
            let (key, value) = (self.ty(map.key), self.ty(map.value));
            writeln!(self.out, "map {}: [{key}] -> {value}, {} entries", map.name, map.max_entries)?;
        }
        for probe in &self.program.probes {
            self.probe(probe)?;
        }
        Ok(())
    }

    fn probe(&mut self, probe: &Probe) -> fmt::Result {
        writeln!(self.out, "program {:?} of clause {}", probe.kind, probe.clause)?;
        for id in &probe.targets {
            match self.program.targets.get(id.0 as usize) {
                Some(target) => {
                    writeln!(self.out, "  target {}: {} = {}", id.0, target.name, Attached(&target.attach))?
                }
                None => writeln!(self.out, "  target {}: ?", id.0)?,
            }
        }
        let functions = &probe.functions;
        self.locals(&probe.locals, "  ")?;
        self.block(&probe.body, Within { locals: &probe.locals, functions }, 1)?;
        for function in functions {
            writeln!(self.out, "  function {}: {}", function.name, self.ty(function.ret))?;
            self.locals(&function.locals, "    ")?;
            self.block(&function.body, Within { locals: &function.locals, functions }, 2)?;
        }
        Ok(())
    }

    fn locals(&mut self, locals: &[Local], indent: &str) -> fmt::Result {
        for (index, local) in locals.iter().enumerate() {
            writeln!(self.out, "{indent}local {index}: {}: {}", local.name, self.ty(local.ty))?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block, within: Within<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        for stmt in &block.stmts {
            self.out.push_str(&indent);
            match &stmt.kind {
                StmtKind::Expr(expr) => writeln!(self.out, "{}", self.expr(expr, within))?,
                StmtKind::SetLocal { local, value } => {
                    let value = self.expr(value, within);
                    writeln!(self.out, "{} = {value}", local_name(within, *local))?;
                }
                StmtKind::SetMap { map, key, value } => {
                    let (place, value) = (self.entry(*map, key.as_ref(), within), self.expr(value, within));
                    writeln!(self.out, "{place} = {value}")?;
                }
                StmtKind::Aggregate { map, key, sample } => {
                    let place = self.entry(*map, key.as_ref(), within);
                    let sample = sample.as_ref().map_or(String::new(), |sample| self.expr(sample, within));
                    writeln!(self.out, "{place} <- ({sample})")?;
                }
                StmtKind::If { cond, then, otherwise } => {
                    writeln!(self.out, "if {}", self.expr(cond, within))?;
                    self.block(then, within, depth + 1)?;
                    if !otherwise.stmts.is_empty() {
                        writeln!(self.out, "{indent}else")?;
                        self.block(otherwise, within, depth + 1)?;
                    }
                }
                StmtKind::Block(inner) => {
                    writeln!(self.out, "block")?;
                    self.block(inner, within, depth + 1)?;
                }
                StmtKind::Part(inner) => {
                    writeln!(self.out, "part")?;
                    self.block(inner, within, depth + 1)?;
                }
                StmtKind::ForRange { local, start, end, body } => {
                    let (start, end) = (self.expr(start, within), self.expr(end, within));
                    writeln!(self.out, "for {} in {start}..{end}", local_name(within, *local))?;
                    self.block(body, within, depth + 1)?;
                }
                StmtKind::ForMap { map, local, entry, body } => {
                    let (name, entry) = (map_name(self.program, *map), self.expr(entry, within));
                    writeln!(self.out, "for {} = {entry} in {name}", local_name(within, *local))?;
                    self.block(body, within, depth + 1)?;
                }
                StmtKind::While { cond, body } => {
                    writeln!(self.out, "while {}", self.expr(cond, within))?;
                    self.block(body, within, depth + 1)?;
                }
                StmtKind::Unroll { count, body } => {
                    writeln!(self.out, "unroll {count}")?;
                    self.block(body, within, depth + 1)?;
                }
                StmtKind::Break => writeln!(self.out, "break")?,
                StmtKind::Continue => writeln!(self.out, "continue")?,
                StmtKind::Return(None) => writeln!(self.out, "return")?,
                StmtKind::Return(Some(value)) => writeln!(self.out, "return {}", self.expr(value, within))?,
                StmtKind::Printf { to, format, args } => {
                    write!(self.out, "printf {to:?}")?;
                    for piece in &format.pieces {
                        match piece {
                            Piece::Text(text) => write!(self.out, " {}", quoted(text))?,
                            Piece::Conversion(conversion) => write!(self.out, " {}", Converted(conversion))?,
                        }
                    }
                    writeln!(self.out)?;
                    for arg in args {
                        writeln!(self.out, "{indent}  {}", self.expr(arg, within))?;
                    }
                }
                StmtKind::PrintMap { map, top, div } => {
                    writeln!(self.out, "print {} top {top} div {div}", map_name(self.program, *map))?;
                }
                StmtKind::PrintValue(value) => writeln!(self.out, "print {}", self.expr(value, within))?,
                StmtKind::Clear(map) => writeln!(self.out, "clear {}", map_name(self.program, *map))?,
                StmtKind::Zero(map) => writeln!(self.out, "zero {}", map_name(self.program, *map))?,
                StmtKind::Time { format } => writeln!(self.out, "time {format:?}")?,
                StmtKind::Exit { code } => writeln!(self.out, "exit {}", self.expr(code, within))?,
            }
        }
        Ok(())
    }

    fn expr(&self, expr: &Expr, within: Within<'_>) -> String {
        let ty = self.ty(expr.ty);
        let inner = |inner: &Expr| self.expr(inner, within);
        match &expr.kind {
            ExprKind::Int(value) => match self.program.types.kind(expr.ty) {
                TyKind::Bool => (*value != 0).to_string(),
                TyKind::Int { signed: true, .. } => format!("{}:{ty}", *value as i64),
                _ => format!("{value}:{ty}"),
            },
            ExprKind::Str(text) => format!("{}:{ty}", quoted(text)),
            ExprKind::Local(local) => format!("{}:{ty}", local_name(within, *local)),
            ExprKind::MapGet { map, key } => format!("{}:{ty}", self.entry(*map, key.as_deref(), within)),
            ExprKind::AggEntry { map, key } => {
                format!("entry({}):{ty}", self.entry(*map, key.as_deref(), within))
            }
            ExprKind::AggValue { map, key } => {
                format!("reduced({}):{ty}", self.entry(*map, key.as_deref(), within))
            }
            ExprKind::MapAdd { map, key, by, old } => {
                let place = self.entry(*map, key.as_deref(), within);
                format!("add{}({place}, {})", if *old { "_old" } else { "" }, inner(by))
            }
            ExprKind::LocalAdd { local, by, old } => {
                let name = local_name(within, *local);
                format!("add{}({name}, {})", if *old { "_old" } else { "" }, inner(by))
            }
            ExprKind::Delete { map, key } => format!("delete({})", self.entry(*map, key.as_deref(), within)),
            ExprKind::Find { map, key, local, value } => {
                let (place, value) = (self.entry(*map, Some(key), within), self.expr(value, within));
                format!("find({place}, {} = {value})", local_name(within, *local))
            }
            ExprKind::MapLen(map) => format!("len({}):{ty}", map_name(self.program, *map)),
            ExprKind::HasKey { map, key } => format!("has_key({})", self.entry(*map, Some(key), within)),
            ExprKind::EntryKey => format!("key:{ty}"),
            ExprKind::EntryValue => format!("value:{ty}"),
            ExprKind::Binary { op, lhs, rhs } => {
                format!("({} {} {}):{ty}", inner(lhs), binary(*op), inner(rhs))
            }
            ExprKind::Compare { op, lhs, rhs } => format!("({} {} {})", inner(lhs), compare(*op), inner(rhs)),
            ExprKind::Logic { or, lhs, rhs } => {
                format!("({} {} {})", inner(lhs), if *or { "||" } else { "&&" }, inner(rhs))
            }
            ExprKind::Not(e) => format!("!{}", inner(e)),
            ExprKind::Neg(e) => format!("-{}", inner(e)),
            ExprKind::BitNot(e) => format!("~{}", inner(e)),
            ExprKind::Cond { cond, then, otherwise } => {
                format!("({} ? {} : {})", inner(cond), inner(then), inner(otherwise))
            }
            ExprKind::Cast(e) => format!("cast({}):{ty}", inner(e)),
            ExprKind::Tuple(elems) => {
                let elems: Vec<String> = elems.iter().map(inner).collect();
                format!("({})", elems.join(", "))
            }
            ExprKind::Block { body, value } => {
                let mut text = String::new();
                let mut nested = Dumper { program: self.program, out: &mut text };
                // Writing to a String does not fail.
                let _ = nested.block(body, within, 0);
                let stmts: Vec<&str> = text.lines().map(str::trim).collect();
                format!("{{ {}; {} }}", stmts.join("; "), inner(value))
            }
            ExprKind::Element { base, index } => format!("{}.{index}:{ty}", inner(base)),
            ExprKind::Helper(helper) => {
                let name = skep_isa::helpers::helper_by_id(helper.id).map_or("unknown", |helper| helper.name);
                format!("{name}{}():{ty}", if helper.once { "" } else { "!" })
            }
            ExprKind::Call { function, args } => {
                let name = within.functions.get(function.0 as usize).map_or("?", |known| &known.name);
                let args: Vec<String> = args.iter().map(inner).collect();
                format!("{name}({}):{ty}", args.join(", "))
            }
            ExprKind::Op { op, args } => {
                let args: Vec<String> = args.iter().map(inner).collect();
                format!("{}({}):{ty}", operation(*op), args.join(", "))
            }
            ExprKind::Runtime(runtime) => format!("{runtime:?}:{ty}"),
            ExprKind::Ctx => format!("ctx:{ty}"),
            ExprKind::Comm => format!("comm:{ty}"),
            ExprKind::Probe => "probe".into(),
            ExprKind::Func => "func".into(),
            ExprKind::Stack => ty,
            ExprKind::Unwound => format!("unwound:{ty}"),
            ExprKind::Context { offset } => format!("ctx[{offset}]:{ty}{}", self.space(expr.ty)),
            ExprKind::Registers { first, second: None } => format!("ctx[{first}]:{ty}"),
            ExprKind::Registers { first, second: Some(second) } => format!("ctx[{first}, {second}]:{ty}"),
            ExprKind::DataLoc { offset, relative } => {
                format!("{}[{offset}]:{ty}", if *relative { "rel_loc" } else { "data_loc" })
            }
            ExprKind::Read { pointer, offset, bits } => {
                let space = self.space(pointer.ty);
                format!("read({}, {}):{ty}{space}", inner(pointer), place(*offset, *bits))
            }
            ExprKind::Part { base, offset, bits } => {
                format!("part({}, {}):{ty}", inner(base), place(i64::from(*offset), *bits))
            }
            ExprKind::ElementAddress { pointer, offset, index, len } => {
                format!("element({}, {offset}, {} of {len}):{ty}", inner(pointer), inner(index))
            }
            ExprKind::AddressOf(e) => format!("address({}):{ty}", inner(e)),
            ExprKind::ReadStr { pointer, length } => {
                self.read("str", pointer, length.as_deref(), &ty, within)
            }
            ExprKind::ReadBuf { pointer, length } => {
                self.read("buf", pointer, length.as_deref(), &ty, within)
            }
            ExprKind::Bytes { value, length } => format!("bytes({}, {}):{ty}", inner(value), inner(length)),
        }
    }

    fn read(
        &self,
        what: &str,
        pointer: &Expr,
        length: Option<&Expr>,
        ty: &str,
        within: Within<'_>,
    ) -> String {
        let space = self.space(pointer.ty);
        let pointer = self.expr(pointer, within);
        match length {
            Some(length) => format!("{what}({pointer}, {}):{ty}{space}", self.expr(length, within)),
            None => format!("{what}({pointer}):{ty}{space}"),
        }
    }

    fn space(&self, ty: Ty) -> &'static str {
        match self.program.types.kind(ty) {
            TyKind::Ptr { space: Space::User, .. } => "@user",
            TyKind::Ptr { space: Space::Kernel, .. } => "@kernel",
            TyKind::Ptr { space: Space::Context, .. } => "@context",
            _ => "",
        }
    }

    fn entry(&self, map: MapId, key: Option<&Expr>, within: Within<'_>) -> String {
        match key {
            Some(key) => format!("{}[{}]", map_name(self.program, map), self.expr(key, within)),
            None => map_name(self.program, map).to_owned(),
        }
    }

    fn ty(&self, ty: Ty) -> String {
        let types: &Types = &self.program.types;
        match types.kind(ty) {
            TyKind::Probe => "probe".into(),
            TyKind::Func => "func".into(),
            TyKind::Agg(Agg::Hist { bits }) => format!("hist_t({bits})"),
            TyKind::Agg(Agg::Tseries(series)) => {
                format!("tseries_t({:?}, {}, {})", series.of, series.interval_ns, series.intervals)
            }
            TyKind::Agg(Agg::Lhist { min, max, step }) => format!("lhist_t({min}, {max}, {step})"),
            _ => types.name(ty),
        }
    }
}

/// `16`, or for a bitfield `16 bits 3..8`.
fn place(offset: i64, bits: Option<Bits>) -> String {
    match bits {
        None => offset.to_string(),
        Some(Bits { shift, width }) => {
            format!("{offset} bits {shift}..{}", u32::from(shift) + u32::from(width))
        }
    }
}

fn map_name(program: &Program, id: MapId) -> &str {
    program.maps.get(id.0 as usize).map_or("@?", |map| &map.name)
}

fn local_name<'a>(within: Within<'a>, id: LocalId) -> &'a str {
    within.locals.get(id.0 as usize).map_or("$?", |local| &local.name)
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::And => "&",
        BinaryOp::Or => "|",
        BinaryOp::Xor => "^",
        BinaryOp::Shl => "<<",
        BinaryOp::Shr => ">>",
    }
}

fn compare(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "==",
        CompareOp::Ne => "!=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}

fn operation(op: Operation) -> String {
    match op {
        Operation::Helper { id, .. } => {
            skep_isa::helpers::helper_by_id(id).map_or("unknown", |helper| helper.name).to_owned()
        }
        other => format!("{other:?}"),
    }
}

struct Attached<'a>(&'a Attach);

impl Display for Attached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Attach::Begin => f.write_str("begin"),
            Attach::End => f.write_str("end"),
            Attach::Tracepoint { category, event } => write!(f, "{category}/{event}"),
            Attach::RawTracepoint { module, event } => write!(f, "{module}/{event}"),
            Attach::Fentry(fentry) => {
                let end = if fentry.on_return { "exit" } else { "entry" };
                match &fentry.place {
                    FentryPlace::Kernel { module, name } => write!(f, "{end} of {module}/{name}"),
                    FentryPlace::Program { id, name } => write!(f, "{end} of program {id} {name}"),
                }
            }
            Attach::Iter(iter) => {
                write!(f, "walk over {}", iter.over)?;
                iter.pin.as_ref().map_or(Ok(()), |pin| write!(f, " pinned as {pin}"))
            }
            Attach::Kprobe(kprobe) => {
                let when = if kprobe.on_return { "return of" } else { "call of" };
                match &kprobe.place {
                    KernelPlace::Address(address) => write!(f, "{when} {address:#x}"),
                    KernelPlace::Function { module, name, offset } => {
                        let module = module.as_deref().map(|module| format!("{module}/"));
                        write!(f, "{when} {}{name}", module.unwrap_or_default())?;
                        if *offset == 0 { Ok(()) } else { write!(f, "+{offset}") }
                    }
                }
            }
            Attach::Uprobe(uprobe) => {
                let moment = if uprobe.on_return { "return of " } else { "" };
                write!(f, "{moment}{}+{:#x}", uprobe.path, uprobe.offset)
            }
            Attach::Usdt(usdt) => {
                write!(f, "{}+{:#x}", usdt.path, usdt.offset)?;
                match usdt.semaphore {
                    Some(semaphore) => write!(f, ", counter at {semaphore:#x}"),
                    None => Ok(()),
                }
            }
            Attach::Counter(counter) => {
                let who = if counter.hardware { "processor's" } else { "kernel's" };
                write!(f, "{who} counter {}, every {}", counter.number, counter.period)
            }
            Attach::Watchpoint(watch) => {
                let modes = [(watch.read, "r"), (watch.write, "w"), (watch.execute, "x")];
                let modes: String = modes.iter().filter(|(on, _)| *on).map(|(_, mode)| *mode).collect();
                write!(f, "{modes} of {} bytes at {:#x}", watch.length, watch.address)
            }
            Attach::Signal => f.write_str("SIGUSR1"),
            Attach::Test { name } => write!(f, "test {name}"),
            Attach::Bench { name } => write!(f, "benchmark {name}"),
            Attach::Interval(rate) => write!(f, "one CPU, {}", Paced(*rate)),
            Attach::Profile(rate) => write!(f, "all CPUs, {}", Paced(*rate)),
        }
    }
}

struct Paced(Rate);

impl Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rate::PeriodNs(ns) => write!(f, "every {ns} ns"),
            Rate::Hertz(hz) => write!(f, "{hz} times a second"),
        }
    }
}

struct Converted<'a>(&'a Conversion);

impl Display for Converted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.0;
        f.write_char('%')?;
        let flags = [(c.left, '-'), (c.plus, '+'), (c.space, ' '), (c.zero, '0'), (c.alternate, '#')];
        for (_, flag) in flags.iter().filter(|(set, _)| *set) {
            f.write_char(*flag)?;
        }
        if let Some(width) = c.width {
            write!(f, "{width}")?;
        }
        if let Some(precision) = c.precision {
            write!(f, ".{precision}")?;
        }
        if let Some(bits) = c.bits {
            write!(f, "<{bits}>")?;
        }
        write!(f, "{:?}", c.spec)
    }
}

/// A text as Rust spells it; bytes that are not UTF-8 as `\xff`.
pub(crate) fn quoted(text: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        format!("{}{}", chunk.valid().escape_debug(), chunk.invalid().escape_ascii())
    };
    format!("\"{}\"", text.utf8_chunks().map(chunk).collect::<String>())
}
