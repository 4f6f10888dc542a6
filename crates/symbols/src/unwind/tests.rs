use std::path::Path;

use proptest::prelude::*;
use skep_testing::programs;

use super::*;

const RBP: u16 = 6;
const RSP: u16 = 7;

fn table(path: &Path) -> Table {
    Table::of(&Elf::open(path).unwrap(), &DebugPath::default()).unwrap()
}

fn caller(rule: Rule) -> Caller {
    match rule {
        Rule::Caller(caller) => caller,
        other => panic!("{other:?}"),
    }
}

fn place(offset: i32) -> Option<Slot> {
    Some(Slot { base: None, offset })
}

/// Rows are in order, none says what the one before it says, and all rules are there.
fn is_sound(table: &Table) -> bool {
    let mut pairs = table.rows.windows(2);
    pairs.all(|pair| pair[0].address < pair[1].address && pair[0].rule != pair[1].rule)
        && table.rows.iter().all(|row| (row.rule as usize) < table.rules.len())
        && table.rules.first().is_none_or(|rule| *rule == Rule::Unknown)
}

const FUNCTIONS: &str = r#"
__asm__(
    ".text\n"
    "pushes: .cfi_startproc\n nop\n"
    "push %rbx\n .cfi_adjust_cfa_offset 8\n .cfi_offset %rbx, -16\n nop\n"
    "pop %rbx\n .cfi_adjust_cfa_offset -8\n .cfi_restore %rbx\n ret\n .cfi_endproc\n"
    "frame: .cfi_startproc\n push %rbp\n .cfi_def_cfa %rbp, 16\n .cfi_offset %rbp, -16\n nop\n .cfi_endproc\n"
    "aligned: .cfi_startproc\n .cfi_escape 0x0f, 3, 0x76, 0x78, 6\n .cfi_escape 0x10, 6, 2, 0x76, 0\n nop\n .cfi_endproc\n"
    "first: .cfi_startproc\n .cfi_undefined %rip\n nop\n .cfi_endproc\n"
    "strange: .cfi_startproc\n .cfi_escape 0x0f, 2, 0x30, 0x96\n nop\n .cfi_endproc\n"
    "nobody: nop\n nop\n"
    "signal: .cfi_startproc\n .cfi_signal_frame\n nop\n .cfi_endproc\n"
    ".balign 16\n"
    "linkage: .cfi_startproc\n .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22\n"
    ".fill 32, 1, 0x90\n .cfi_endproc\n"
);
int main(void) { return 0; }
"#;

#[test]
fn each_instruction_has_its_rule() {
    let program = programs::c("functions", FUNCTIONS, &["-O1"]);
    let table = table(program.path());
    assert!(is_sound(&table));
    let elf = Elf::open(program.path()).unwrap();
    let at = |name: &str, offset: u64| {
        let (address, _) = elf.symbol(name, &DebugPath::default()).unwrap().unwrap();
        table.find(address + offset)
    };
    let entry = Caller {
        cfa: Cfa::Register(RSP, 8),
        saved: [None; 6],
        return_address: Slot { base: None, offset: -8 },
        interrupted: false,
    };
    assert_eq!(caller(at("pushes", 1)), entry);
    let mut saved = [None; 6];
    saved[0] = place(-16);
    assert_eq!(caller(at("pushes", 2)), Caller { cfa: Cfa::Register(RSP, 16), saved, ..entry });
    assert_eq!(caller(at("pushes", 4)), entry);
    let mut saved = [None; 6];
    saved[1] = place(-16);
    assert_eq!(caller(at("frame", 1)), Caller { cfa: Cfa::Register(RBP, 16), saved, ..entry });
    saved[1] = Some(Slot { base: Some(RBP), offset: 0 });
    assert_eq!(caller(at("aligned", 0)), Caller { cfa: Cfa::Memory(RBP, -8), saved, ..entry });
    assert_eq!(at("first", 0), Rule::End);
    assert_eq!(at("strange", 0), Rule::Unknown);
    assert_eq!(at("nobody", 0), Rule::Unknown);
    assert_eq!(caller(at("signal", 0)), Caller { interrupted: true, ..entry });
    for (offset, bytes) in [(0, 8), (10, 8), (11, 16), (15, 16), (16, 8), (27, 16)] {
        assert_eq!(caller(at("linkage", offset)).cfa, Cfa::Register(RSP, bytes), "{offset}");
    }
    assert_eq!(table.find(0), Rule::Unknown);
    assert_eq!(table.find(u64::MAX), Rule::Unknown);
}

/// A program that says it for debuggers only.
#[test]
fn debug_frames() {
    let source = FUNCTIONS.replacen("\".text", "\".cfi_sections .debug_frame\\n .text", 1);
    let flags = ["-O1", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let program = programs::c("functions", &source, &flags);
    let elf = Elf::open(program.path()).unwrap();
    let table = table(program.path());
    let (address, _) = elf.symbol("frame", &DebugPath::default()).unwrap().unwrap();
    assert_eq!(caller(table.find(address + 1)).cfa, Cfa::Register(RBP, 16));
}

/// Whatever the libraries of this machine hold is understood, but for the odd function written by hand.
#[test]
fn libraries_are_understood() {
    let own = skep_kernel::maps::of(std::process::id()).unwrap();
    let files: Vec<_> = own.iter().filter(|mapping| mapping.executable && mapping.is_of_file()).collect();
    assert!(!files.is_empty());
    for mapping in files {
        let table = table(&mapping.path);
        assert!(is_sound(&table), "{}", mapping.path.display());
        assert!(table.rows.len() > 10, "{}", mapping.path.display());
        assert!(table.rules.len() < 4096, "{}", mapping.path.display());
    }
}

proptest! {
    /// Rows follow from spans however these overlap.
    #[test]
    fn spans_may_overlap(spans in proptest::collection::vec((0u64..200, 1u64..50, 1i32..4), 0..40)) {
        let mut builder = Builder::default();
        for (start, len, offset) in &spans {
            let caller = Caller {
                cfa: Cfa::Register(RSP, *offset),
                saved: [None; 6],
                return_address: Slot { base: None, offset: -8 },
                interrupted: false,
            };
            builder.add((*start, start + len), Rule::Caller(caller));
        }
        let table = builder.finish();
        prop_assert!(is_sound(&table));
        for address in 0..260 {
            let covered = spans.iter().any(|(start, len, _)| (*start..start + len).contains(&address));
            prop_assert_eq!(table.find(address) != Rule::Unknown, covered, "{}", address);
        }
    }

    /// Damaged sections cost their rows, nothing else.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut section = EhFrame::new(&bytes, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(0x1000).set_text(0x2000);
        let mut builder = Builder::default();
        let _ = builder.section(&section, &bases);
        prop_assert!(is_sound(&builder.finish()));
    }
}
