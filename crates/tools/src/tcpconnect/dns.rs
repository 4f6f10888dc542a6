//! What name servers answered: which name an address was given for (RFC 1035, section 4).

use std::collections::HashMap;
use std::net::IpAddr;

/// The names that addresses were given for, as far as answers were seen.
#[derive(Debug, Default)]
pub struct Answers(HashMap<String, String>);

impl Answers {
    /// Takes an answer; what is none is passed over.
    pub fn take(&mut self, message: &[u8]) {
        if let Some((name, addresses)) = read(message) {
            for address in addresses {
                self.0.insert(address.to_string(), name.clone());
            }
        }
    }

    /// The name that was asked for when this address came.
    pub fn name_of(&self, address: &str) -> Option<&str> {
        // IPv4 over a socket of IPv6.
        let address = address.strip_prefix("::ffff:").unwrap_or(address);
        self.0.get(address).map(String::as_str)
    }
}

/// The name of the question and the addresses of the answers.
fn read(message: &[u8]) -> Option<(String, Vec<IpAddr>)> {
    const RESPONSE: u8 = 0x80;
    let short = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    if message.get(2)? & RESPONSE == 0 || short(4)? != 1 {
        return None;
    }
    let (name, end) = name(message, 12)?;
    // Type and class of the question.
    let mut at = end + 4;
    let mut addresses = Vec::new();
    for _ in 0..short(6)? {
        // What was cut off is not there.
        let Some(record) = skip_name(message, at) else { break };
        let (Some(kind), Some(length)) = (short(record), short(record + 8)) else { break };
        let data = record + 10;
        at = data + usize::from(length);
        let Some(bytes) = message.get(data..at) else { break };
        match (kind, bytes.len()) {
            (1, 4) => addresses.extend(bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes))),
            (28, 16) => addresses.extend(bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes))),
            _ => {}
        }
    }
    Some((name, addresses))
}

/// A name that is written out, and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels.join("."), at)),
            1..64 => labels.push(String::from_utf8_lossy(message.get(at..at + length)?).into_owned()),
            _ => return None,
        }
        at += length;
    }
}

/// Where a name ends that may refer to another one.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..64 => at += 1 + length,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Vec<u8> {
        let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0];
        message.extend(b"\x04skep\x04test\x00\x00\x01\x00\x01");
        message.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c");
        message.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01");
        message.extend(b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10");
        message.extend(std::net::Ipv6Addr::LOCALHOST.octets());
        message
    }

    #[test]
    fn addresses_have_the_name_that_was_asked_for() {
        let mut answers = Answers::default();
        answers.take(&answer());
        assert_eq!(answers.name_of("127.0.0.1"), Some("skep.test"));
        assert_eq!(answers.name_of("::ffff:127.0.0.1"), Some("skep.test"));
        assert_eq!(answers.name_of("::1"), Some("skep.test"));
        assert_eq!(answers.name_of("10.0.0.1"), None);
    }

    #[test]
    fn what_is_cut_off_or_no_answer_is_passed_over() {
        let whole = answer();
        for end in 0..whole.len() {
            let _ = read(&whole[..end]);
        }
        let mut question = whole;
        question[2] = 1;
        assert_eq!(read(&question), None);
    }
}
