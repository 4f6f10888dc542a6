//! USDT: the static probes that authors put into their programs, found in notes of the ELF file.
//!
//! A note tells the address of an instruction that does nothing, a counter that switches the probe on where the
//! author asked for one, and in which operands the arguments are at that point, in the assembler's words. The format
//! is that of SystemTap's `sys/sdt.h`, version 3: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation

mod argument;

use object::{Object, ObjectSymbol};
use rustc_hash::FxHashMap;

pub use argument::{Argument, Operand};

use crate::elf::Elf;
use crate::error::{Error, Result};

/// One place of a probe. A probe may have several: a function that is inlined takes its probes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who defines it.
    pub provider: String,
    /// What it is called.
    pub name: String,
    /// Address of the instruction, as the program is linked.
    pub address: u64,
    /// Address of the counter of those who listen, if it has one.
    pub semaphore: Option<u64>,
    /// The arguments in order, each on its own or why it cannot be read.
    pub args: Vec<std::result::Result<Argument, String>>,
}

const SECTION: &str = ".note.stapsdt";
const OWNER: &[u8] = b"stapsdt\0";
const VERSION: u32 = 3;
/// Its address in the note tells by how much the program was moved after it was linked.
const BASE_SECTION: &str = ".stapsdt.base";

/// All notes of a program in the order of the file; none if it has no such section.
///
/// # Errors
///
/// The section is not made of notes. Single notes that make no sense are left out.
pub fn notes(elf: &Elf) -> Result<Vec<Note>> {
    let Some((_, section)) = elf.section_with_address(SECTION)? else { return Ok(Vec::new()) };
    let base = elf.section_with_address(BASE_SECTION)?.map(|(address, _)| address);
    let raw = raw_notes(section)
        .ok_or_else(|| Error::file(elf.path(), format!("the section {SECTION} is damaged")))?;
    let mut symbols = Symbols { elf, known: None };
    Ok(raw.into_iter().map(|raw| raw.resolve(base, &mut symbols)).collect())
}

/// A note as it stands in the file.
struct Raw<'a> {
    address: u64,
    base: u64,
    semaphore: u64,
    provider: &'a [u8],
    name: &'a [u8],
    args: &'a [u8],
}

fn raw_notes(mut section: &[u8]) -> Option<Vec<Raw<'_>>> {
    let mut notes = Vec::new();
    while let Some((header, rest)) = section.split_first_chunk::<12>() {
        let word = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let (owner_len, data_len, kind) = (word(0) as usize, word(4) as usize, word(8));
        let owner = rest.get(..owner_len)?;
        let rest = rest.get(owner_len.next_multiple_of(4)..)?;
        let data = rest.get(..data_len)?;
        // The last one may lack its padding.
        section = rest.get(data_len.next_multiple_of(4)..).unwrap_or_default();
        if owner == OWNER && kind == VERSION {
            notes.extend(Raw::read(data));
        }
    }
    Some(notes)
}

impl<'a> Raw<'a> {
    fn read(data: &'a [u8]) -> Option<Raw<'a>> {
        let (address, data) = data.split_first_chunk::<8>()?;
        let (base, data) = data.split_first_chunk::<8>()?;
        let (semaphore, data) = data.split_first_chunk::<8>()?;
        let mut texts = data.split(|byte| *byte == 0);
        Some(Raw {
            address: u64::from_le_bytes(*address),
            base: u64::from_le_bytes(*base),
            semaphore: u64::from_le_bytes(*semaphore),
            provider: texts.next()?,
            name: texts.next()?,
            args: texts.next()?,
        })
    }

    fn resolve(&self, base: Option<u64>, symbols: &mut Symbols<'_>) -> Note {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let moved = base.map_or(0, |base| base.wrapping_sub(self.base));
        let address = self.address.wrapping_add(moved);
        let mut resolve =
            |name: &str| symbols.address(name).map(|symbol| symbol.wrapping_sub(address).cast_signed());
        let args = text(self.args);
        Note {
            provider: text(self.provider),
            name: text(self.name),
            address,
            semaphore: (self.semaphore != 0).then(|| self.semaphore.wrapping_add(moved)),
            args: argument::split(&args).map(|arg| Argument::parse(arg, &mut resolve)).collect(),
        }
    }
}

/// Addresses of what arguments call by name, read when the first one does.
struct Symbols<'a> {
    elf: &'a Elf,
    known: Option<FxHashMap<String, u64>>,
}

impl Symbols<'_> {
    fn address(&mut self, name: &str) -> Option<u64> {
        let elf = self.elf;
        let known = self.known.get_or_insert_with(|| {
            let Ok(parsed) = elf.parse() else { return FxHashMap::default() };
            let defined =
                parsed.symbols().chain(parsed.dynamic_symbols()).filter(|symbol| !symbol.is_undefined());
            defined.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address()))).collect()
        });
        known.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A note as the assembler writes it.
    fn note(address: u64, semaphore: u64, texts: &str) -> Vec<u8> {
        let mut data = [address, 0x1000, semaphore].map(u64::to_le_bytes).concat();
        data.extend_from_slice(texts.as_bytes());
        let mut note = [8u32, data.len() as u32, VERSION].map(u32::to_le_bytes).concat();
        note.extend_from_slice(OWNER);
        note.extend_from_slice(&data);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    #[test]
    fn notes_follow_each_other() {
        let section = [note(0x11, 0, "p\0a\0-4@%edi\0"), note(0x22, 0x33, "p\0b\0\0")].concat();
        let notes = raw_notes(&section).unwrap();
        assert_eq!(notes.len(), 2);
        assert_eq!((notes[0].address, notes[0].name, notes[0].args), (0x11, &b"a"[..], &b"-4@%edi"[..]));
        assert_eq!((notes[1].semaphore, notes[1].provider), (0x33, &b"p"[..]));
        assert!(raw_notes(&section[..section.len() - 9]).is_none());
    }

    proptest! {
        #[test]
        fn any_section_is_survived(section in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = raw_notes(&section);
        }
    }
}
