//! Finds a type's number in the kernel's BTF by its name.

use std::io;

/// The kinds of types that programs attach to (the kernel's Documentation/bpf/btf.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `BTF_KIND_TYPEDEF`
    Typedef = 8,
    /// `BTF_KIND_FUNC`
    Function = 12,
    /// `BTF_KIND_VAR`
    Variable = 14,
}

/// The number of the type of that kind and name in the running kernel.
pub fn find(kind: Kind, name: &str) -> io::Result<u32> {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux")?;
    find_in(&bytes, kind, name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in the kernel's BTF")))
}

fn find_in(bytes: &[u8], kind: Kind, name: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    // The header: magic, version and flags; its length; offset and length of the types, then of the names.
    let header = word(4)? as usize;
    let types = header + word(8)? as usize;
    let end = types + word(12)? as usize;
    let names = bytes.get(header + word(16)? as usize..)?;
    let (mut at, mut number) = (types, 1);
    while at < end {
        let (name_offset, info) = (word(at)? as usize, word(at + 4)?);
        let (found, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let text = names.get(name_offset..)?;
        if found == kind as u32
            && text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        {
            return Some(number);
        }
        at += 12
            + match found {
                // INT, VAR, DECL_TAG
                1 | 14 | 17 => 4,
                // ARRAY; STRUCT, UNION, DATASEC, ENUM64
                3 => 12,
                4 | 5 | 15 | 19 => 12 * count,
                // ENUM, FUNC_PROTO
                6 | 13 => 8 * count,
                _ => 0,
            };
        number += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_behind_others() {
        let mut bytes = Vec::new();
        let mut push = |words: &[u32]| words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        // The header, an int "int", a struct "s" with one member, and a typedef "s".
        push(&[0x0001_eb9f, 24, 0, 16 + 24 + 12, 52, 7]);
        push(&[1, 1 << 24, 4, 32]);
        push(&[5, (4 << 24) | 1, 4, 0, 1, 0]);
        push(&[5, 8 << 24, 2]);
        bytes.extend(b"\0int\0s\0");
        assert_eq!(find_in(&bytes, Kind::Typedef, "s"), Some(3));
        assert_eq!(find_in(&bytes, Kind::Typedef, "int"), None);
        bytes.truncate(40);
        assert_eq!(find_in(&bytes, Kind::Typedef, "s"), None);
    }
}
