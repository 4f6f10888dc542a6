//! `ARCHIVE!/MEMBER`: programs within zip archives, which is how Android maps the libraries of an app.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rawzip::{CompressionMethod, ZipArchive};

/// The archive and the member's name, if a path is of that form.
pub(super) fn split(path: &Path) -> Option<(&Path, &str)> {
    let (archive, member) = path.to_str()?.split_once("!/")?;
    Some((Path::new(archive), member))
}

/// Where a member's bytes lie in an archive. The error is a sentence.
pub(super) fn member(archive: &[u8], name: &str) -> Result<Range<usize>, String> {
    let broken = |error: rawzip::Error| format!("not a zip archive: {error}");
    let zip = ZipArchive::from_slice(archive).map_err(broken)?;
    let mut entries = zip.entries();
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        if entry.file_path().as_bytes() != std::ffi::OsStr::new(name).as_bytes() {
            continue;
        }
        if entry.compression_method() != CompressionMethod::STORE {
            return Err("the member is compressed, so that nothing can run from where it is".to_owned());
        }
        let (start, end) = zip.get_entry(entry.wayfinder()).map_err(broken)?.compressed_data_range();
        return match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if start <= end && end <= archive.len() => Ok(start..end),
            _ => Err("the member lies outside of its archive".to_owned()),
        };
    }
    Err("the archive has no such member".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn archive() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, text) in [("a.txt", "first"), ("lib/b.so", "second")] {
            let (mut entry, config) = writer.new_file(name).start().unwrap();
            let mut data = config.wrap(&mut entry);
            data.write_all(text.as_bytes()).unwrap();
            let (_, descriptor) = data.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn members_are_found() {
        let bytes = archive();
        assert_eq!(&bytes[member(&bytes, "lib/b.so").unwrap()], b"second");
        assert!(member(&bytes, "b.so").is_err());
        assert_eq!(split(Path::new("x/base.apk!/lib/b.so")), Some((Path::new("x/base.apk"), "lib/b.so")));
        assert_eq!(split(Path::new("x/base.apk")), None);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(at in 0usize..300, byte: u8) {
            let mut bytes = archive();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(range) = member(&bytes, "lib/b.so") {
                prop_assert!(bytes.get(range).is_some());
            }
        }
    }
}
