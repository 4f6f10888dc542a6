//! `/etc/ld.so.cache`: where the dynamic linker finds libraries. The format is that of glibc since 2.2, which may
//! stand behind an older one in the same file.

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_LEN: usize = 48;
const ENTRY_LEN: usize = 24;
/// A library of glibc for this machine's 64 bits.
const X86_64_LIBC6: u32 = 0x0303;

/// Name and path of each library for this machine, best first among those of one name. A file that makes no sense
/// has none.
pub(super) fn entries(file: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let start = file.windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
    // Texts are found by their distance from here.
    let cache = start.and_then(|start| file.get(start..)).unwrap_or_default();
    let count = word(cache, MAGIC.len()).unwrap_or(0) as usize;
    let entries = cache.get(HEADER_LEN..).unwrap_or_default().chunks_exact(ENTRY_LEN).take(count);
    entries.filter_map(move |entry| {
        let flags = word(entry, 0)?;
        let text = |at| {
            let rest = cache.get(word(entry, at)? as usize..)?;
            rest.split(|byte| *byte == 0).next()
        };
        if flags == X86_64_LIBC6 { Some((text(4)?, text(8)?)) } else { None }
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(entries_of: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut texts = Vec::new();
        let mut records = Vec::new();
        let texts_at = HEADER_LEN + entries_of.len() * ENTRY_LEN;
        let mut add = |text: &str| {
            let at = (texts_at + texts.len()) as u32;
            texts.extend_from_slice(text.as_bytes());
            texts.push(0);
            at
        };
        for (flags, name, path) in entries_of {
            for word in [*flags, add(name), add(path), 0, 0, 0] {
                records.extend_from_slice(&word.to_le_bytes());
            }
        }
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&(entries_of.len() as u32).to_le_bytes());
        file.resize(HEADER_LEN, 0);
        [file, records, texts].concat()
    }

    #[test]
    fn libraries_of_this_machine_only() {
        let file =
            cache(&[(0x0303, "libc.so.6", "/lib/libc.so.6"), (0x0003, "libc.so.6", "/lib32/libc.so.6")]);
        let found: Vec<_> = entries(&file).collect();
        assert_eq!(found, [(&b"libc.so.6"[..], &b"/lib/libc.so.6"[..])]);
        let behind = [&b"ld.so-1.7.0 and something"[..], &file].concat();
        assert_eq!(entries(&behind).count(), 1);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(at in 0usize..200, byte: u8) {
            let mut file = cache(&[(0x0303, "libc.so.6", "/lib/libc.so.6"), (0x0303, "libm.so.6", "/lib/libm.so.6")]);
            let at = at % file.len();
            file[at] = byte;
            let _ = entries(&file).count();
        }
    }
}
