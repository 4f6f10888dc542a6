//! Packets written to files in the classic format of pcap, with times in nanoseconds (draft-ietf-opsawg-pcap).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// The files that packets were written to so far.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    files: HashMap<String, BufWriter<File>>,
}

/// Marks the format, and that times are in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
/// The version of the format: 2.4.
const VERSION: [u16; 2] = [2, 4];
/// The longest packet.
const LONGEST: u32 = 65_535;
/// LINKTYPE_ETHERNET.
const LINK_TYPE: u32 = 1;
const NANOSECONDS: u64 = 1_000_000_000;

impl Captures {
    /// Writes a packet of which `bytes` were taken. `length` is that of all of it, `time` is in nanoseconds since
    /// 1970. The file is made anew with the first packet that goes to it.
    pub fn write(&mut self, path: &str, bytes: &[u8], length: u64, time: u64) -> io::Result<()> {
        if !self.files.contains_key(path) {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(&header())?;
            self.files.insert(path.to_owned(), file);
        }
        let Some(file) = self.files.get_mut(path) else { return Ok(()) };
        file.write_all(&record(bytes, length, time))?;
        file.write_all(bytes)
    }

    /// Writes what was held back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.files.values_mut().try_for_each(BufWriter::flush)
    }
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    bytes.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
    // The zone and the accuracy of times, which nobody uses.
    bytes.extend([0; 8]);
    bytes.extend(LONGEST.to_le_bytes());
    bytes.extend(LINK_TYPE.to_le_bytes());
    bytes
}

fn record(bytes: &[u8], length: u64, time: u64) -> Vec<u8> {
    let taken = bytes.len() as u64;
    let words = [time / NANOSECONDS, time % NANOSECONDS, taken, length.max(taken)];
    // Seconds have 32 bits in this format, and packets are shorter.
    words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_header_and_a_record_for_each_packet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pcap");
        let name = path.to_str().unwrap();
        let mut captures = Captures::default();
        captures.write(name, &[1, 2, 3], 60, 1_700_000_000_000_000_005).unwrap();
        captures.write(name, &[4], 1, NANOSECONDS).unwrap();
        captures.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 3 + 16 + 1);
        assert_eq!(&bytes[..8], [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(&bytes[20..24], [1, 0, 0, 0]);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(24), word(28), word(32), word(36)], [1_700_000_000, 5, 3, 60]);
        assert_eq!(&bytes[40..43], [1, 2, 3]);
        assert_eq!([word(43), word(47), word(51), word(55)], [1, 0, 1, 1]);
    }
}
