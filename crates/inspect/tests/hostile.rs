//! Files that someone made to do harm: whatever the bytes, there is output or an error, and soon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsString;

use proptest::prelude::*;
use proptest::sample::Index;
use skep_btf::{BtfBuilder, IntEncoding, Linkage, Member, Param};

/// Types that refer to each other.
fn types() -> Vec<u8> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let node = b.declare_struct("node");
    let next = b.ptr(node);
    let text = b.array(int, int, 8);
    let member = |name, ty, bit_offset| Member { name, ty, bit_offset, bitfield_size: 0 };
    b.define_struct(node, 40, &[member("next", next, 0), member("text", text, 64)]);
    let alias = b.typedef("node_t", node);
    let proto = b.func_proto(int, &[Param { name: "n", ty: next }]);
    b.func("walk", proto, Linkage::Global);
    b.var("head", alias, Linkage::Static);
    b.finish()
}

/// An ELF object with these types and nothing else.
fn elf(types: &[u8]) -> Vec<u8> {
    const HEADER: usize = 64;
    const NAMES: &[u8] = b"\0.BTF\0.shstrtab\0";
    const PROGBITS: u32 = 1;
    const STRTAB: u32 = 3;
    let names_at = HEADER + types.len();
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    // Magic, 64 bits, little-endian, version 1.
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Relocatable, for BPF, version 1.
    bytes.extend([1, 0, 247, 0, 1, 0, 0, 0]);
    bytes.extend([0; 16]);
    bytes.extend((sections_at as u64).to_le_bytes());
    bytes.extend([0; 4]);
    for half in [HEADER as u16, 0, 0, 64, 3, 2] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(types);
    bytes.extend(NAMES);
    bytes.resize(sections_at, 0);
    let sections = [(0, 0, 0, 0), (1, PROGBITS, HEADER, types.len()), (6, STRTAB, names_at, NAMES.len())];
    for (name, kind, at, len) in sections {
        bytes.extend((name as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for word in [0, 0, at as u64, len as u64, 0, 1, 0] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes
}

/// Dumps a file's types in every form; what comes out in JSON must be JSON.
fn dump(bytes: &[u8]) -> [u8; 3] {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    [&["-n"][..], &["-j"], &["format", "c"]].map(|more| {
        let line = ["bpftool", "btf", "dump", "file"].map(OsString::from);
        let path = std::iter::once(file.path().as_os_str().to_owned());
        let words: Vec<OsString> =
            line.into_iter().chain(path).chain(more.iter().map(OsString::from)).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = skep_inspect::main(&words, &mut out, &mut err);
        assert!(status == 0 || !out.is_empty() || !err.is_empty());
        if more == ["-j"] {
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        }
        status
    })
}

#[test]
fn files_as_they_should_be() {
    assert_eq!(dump(&types()), [0; 3]);
    assert_eq!(dump(&elf(&types())), [0; 3]);
    assert_ne!(dump(b""), [0; 3]);
    assert_ne!(dump(&elf(b"")), [0; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn changed_bytes(changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8), in_elf: bool) {
        let mut bytes = if in_elf { elf(&types()) } else { types() };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        dump(&bytes);
    }

    #[test]
    fn files_cut_short(at: Index, in_elf: bool) {
        let bytes = if in_elf { elf(&types()) } else { types() };
        dump(&bytes[..at.index(bytes.len())]);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0usize..3) {
        let magic: &[u8] = [&b"\x7fELF\x02\x01\x01"[..], b"\x9f\xeb\x01\0\x18\0\0\0", b""][magic];
        dump(&[magic, &bytes].concat());
    }
}
