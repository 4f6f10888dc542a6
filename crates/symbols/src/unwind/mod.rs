//! How to get from a function to its caller: what `.eh_frame` says, as a sorted table.
//!
//! Programs that are built without frame pointers carry call frame information (DWARF 5, section 6.4, in the form of
//! the Linux Standard Base), from which exceptions are unwound. It is a program for each function; here all of them
//! are run once, and what they say about each instruction becomes a row. Few rules differ, so rows only number them.

mod x86_64;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, EndianSlice, LittleEndian, RegisterRule,
    UnwindContext, UnwindExpression, UnwindOffset, UnwindSection,
};
use rustc_hash::FxHashMap;

pub use self::x86_64::{RETURN_ADDRESS, SAVED};
use crate::elf::{DebugPath, Elf};
use crate::error::{Error, Result};

/// The rules for the code of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By ascending address, each for the code up to the next one. Behind the last function there is one more.
    pub rows: Vec<Row>,
    /// None twice; the first one is [`Rule::Unknown`], unless there are no rows.
    pub rules: Vec<Rule>,
}

/// From an address on a rule is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// As the file is linked.
    pub address: u64,
    /// Index into [`Table::rules`].
    pub rule: u32,
}

/// What leads from a function to its caller, at some of its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Nobody says.
    Unknown,
    /// There is no caller: threads and programs begin here.
    End,
    /// There is one.
    Caller(Caller),
}

/// Where the state of a caller is found. Registers have the numbers of DWARF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The canonical frame address, which is the caller's stack pointer once the call has returned.
    pub cfa: Cfa,
    /// Where the registers of [`SAVED`] are, in that order; `None` for those that the function has not changed.
    pub saved: [Option<Slot>; SAVED.len()],
    /// Where it goes on.
    pub return_address: Slot,
    /// The function did not call but was interrupted by a signal.
    pub interrupted: bool,
}

/// A canonical frame address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cfa {
    /// A register and some more.
    Register(u16, i32),
    /// What memory holds at a register and some more.
    Memory(u16, i32),
}

/// A place in memory where a register is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The register it is counted from; `None` for the canonical frame address.
    pub base: Option<u16>,
    /// Bytes from there.
    pub offset: i32,
}

impl Table {
    /// The table of a program or library: from its `.eh_frame`, and from `.debug_frame`, its own or that of its
    /// separate debug file, for code that the former does not speak of. What cannot be understood is left out.
    ///
    /// # Errors
    ///
    /// The file's sections cannot be read.
    pub fn of(elf: &Elf, debug: &DebugPath) -> Result<Table> {
        let mut builder = Builder::default();
        let text = elf.section_with_address(".text")?.map_or(0, |(address, _)| address);
        let got = elf.section_with_address(".got")?.map_or(0, |(address, _)| address);
        if let Some((address, bytes)) = elf.section_with_address(".eh_frame")? {
            let bases = BaseAddresses::default().set_eh_frame(address).set_text(text).set_got(got);
            let mut section = EhFrame::new(bytes, LittleEndian);
            section.set_address_size(8);
            builder.section(&section, &bases).map_err(|error| unreadable(elf, ".eh_frame", error))?;
        }
        let mut frames = elf.section(".debug_frame")?;
        if frames.is_empty()
            && builder.spans.is_empty()
            && let Some(other) = elf.with_debug_info(debug)?
        {
            frames = other.section(".debug_frame")?;
        }
        if !frames.is_empty() {
            let mut section = DebugFrame::new(&frames, LittleEndian);
            section.set_address_size(8);
            let bases = BaseAddresses::default().set_text(text);
            builder.section(&section, &bases).map_err(|error| unreadable(elf, ".debug_frame", error))?;
        }
        Ok(builder.finish())
    }

    /// The rule for the instruction at an address.
    pub fn find(&self, address: u64) -> Rule {
        let after = self.rows.partition_point(|row| row.address <= address);
        let row = after.checked_sub(1).and_then(|index| self.rows.get(index));
        row.and_then(|row| self.rules.get(row.rule as usize)).copied().unwrap_or(Rule::Unknown)
    }
}

fn unreadable(elf: &Elf, section: &str, error: gimli::Error) -> Error {
    Error::file(elf.path(), format!("section {section}: {error}"))
}

/// Code that a rule is in force for.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    end: u64,
    rule: u32,
    /// Of two rules for the same code, that of the section that was read first counts.
    section: u32,
}

/// A table on the way.
#[derive(Debug, Default)]
struct Builder {
    spans: Vec<Span>,
    rules: Vec<Rule>,
    known: FxHashMap<Rule, u32>,
    sections: u32,
}

/// Instructions of one entry of a procedure linkage table, which all have the same length.
const PLT_ENTRY: u64 = 16;

impl Builder {
    fn section<'d, S>(&mut self, section: &S, bases: &BaseAddresses) -> gimli::Result<()>
    where
        S: UnwindSection<EndianSlice<'d, LittleEndian>>,
    {
        let mut cies = FxHashMap::default();
        let mut context = UnwindContext::new();
        let mut entries = section.entries(bases);
        while let Some(entry) = entries.next()? {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(|section, bases, offset| {
                let at: usize = UnwindOffset::into(offset);
                if let Some(known) = cies.get(&at) {
                    return Ok(Clone::clone(known));
                }
                let cie = section.cie_from_offset(bases, offset)?;
                cies.insert(at, cie.clone());
                Ok(cie)
            });
            // A description that cannot be read is as good as none.
            let Ok(fde) = fde else { continue };
            // Functions that the linker has dropped are at 0.
            if fde.initial_address() == 0 || fde.len() == 0 {
                continue;
            }
            let Ok(mut table) = fde.rows(section, bases, &mut context) else { continue };
            let interrupted = fde.is_signal_trampoline();
            let encoding = fde.cie().encoding();
            while let Ok(Some(row)) = table.next_row() {
                let range = (row.start_address(), row.end_address());
                let operations = |expression: &UnwindExpression<usize>| {
                    let mut operations = expression.get(section).ok()?.operations(encoding);
                    let mut all = Vec::new();
                    while let Some(operation) = operations.next().ok()? {
                        all.push(operation);
                    }
                    Some(all)
                };
                let slot = |rule: RegisterRule<usize>| match rule {
                    RegisterRule::Offset(offset) => {
                        Some(Slot { base: None, offset: i32::try_from(offset).ok()? })
                    }
                    RegisterRule::Expression(expression) => match operations(&expression)?.as_slice() {
                        [gimli::Operation::RegisterOffset { register, offset, .. }] => {
                            Some(Slot { base: Some(register.0), offset: i32::try_from(*offset).ok()? })
                        }
                        _ => None,
                    },
                    _ => None,
                };
                let return_address = match row.register(gimli::Register(RETURN_ADDRESS)) {
                    None | Some(RegisterRule::Undefined) => {
                        self.add(range, Rule::End);
                        continue;
                    }
                    Some(rule) => slot(rule),
                };
                let Some(return_address) = return_address else {
                    self.add(range, Rule::Unknown);
                    continue;
                };
                let saved = SAVED.map(|register| row.register(gimli::Register(register)).and_then(slot));
                let caller = |cfa| Rule::Caller(Caller { cfa, saved, return_address, interrupted });
                match row.cfa() {
                    CfaRule::RegisterAndOffset { register, offset } => {
                        let offset = i32::try_from(*offset).ok();
                        let cfa = offset.map(|offset| Cfa::Register(register.0, offset));
                        self.add(range, cfa.map_or(Rule::Unknown, caller));
                    }
                    CfaRule::Expression(expression) => {
                        let operations = operations(expression).unwrap_or_default();
                        if let Some((register, offset)) = x86_64::memory(&operations) {
                            self.add(range, caller(Cfa::Memory(register, offset)));
                        } else if let Some(plt) = x86_64::Plt::read(&operations) {
                            self.plt(range, &plt, caller);
                        } else {
                            self.add(range, Rule::Unknown);
                        }
                    }
                }
            }
        }
        self.sections += 1;
        Ok(())
    }

    /// Each entry of a procedure linkage table has two parts: before and after it pushes something.
    fn plt(&mut self, (start, end): (u64, u64), plt: &x86_64::Plt, caller: impl Fn(Cfa) -> Rule) {
        let mut at = start;
        while at < end {
            let entry = at - at % PLT_ENTRY;
            let push = entry + plt.pushed_from;
            let (stop, more) = if at < push { (push, 0) } else { (entry + PLT_ENTRY, plt.more) };
            let stop = stop.min(end);
            self.add((at, stop), caller(Cfa::Register(plt.register, plt.offset.saturating_add(more))));
            at = stop;
        }
    }

    fn add(&mut self, (start, end): (u64, u64), rule: Rule) {
        if start >= end {
            return;
        }
        if self.rules.is_empty() {
            self.rules.push(Rule::Unknown);
            self.known.insert(Rule::Unknown, 0);
        }
        let rules = &mut self.rules;
        let rule = *self.known.entry(rule).or_insert_with(|| {
            rules.push(rule);
            rules.len() as u32 - 1
        });
        self.spans.push(Span { start, end, rule, section: self.sections });
    }

    fn finish(mut self) -> Table {
        self.spans.sort_by_key(|span| (span.start, span.section));
        let mut rows: Vec<Row> = Vec::with_capacity(self.spans.len() + 1);
        let mut push = |address, rule| match rows.last_mut() {
            Some(last) if last.rule == rule => {}
            _ => rows.push(Row { address, rule }),
        };
        let mut covered = self.spans.first().map_or(0, |span| span.start);
        for span in &self.spans {
            if span.start > covered {
                push(covered, 0);
            }
            let start = span.start.max(covered);
            if start < span.end {
                push(start, span.rule);
                covered = span.end;
            }
        }
        if !self.spans.is_empty() {
            push(covered, 0);
        }
        Table { rows, rules: self.rules }
    }
}

#[cfg(test)]
mod tests;
