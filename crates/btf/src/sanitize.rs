//! BTF for kernels that do not know its newer kinds.
//!
//! A kernel refuses BTF that has a kind it does not know, and with it the program.
//! What it does not know is replaced by something older that takes the same bytes
//! in the type section, so that no id changes, and the same bytes in memory, so
//! that sizes and offsets stay right. What is lost is names and attributes only.

use crate::error::Error;
use crate::format::{HEADER_LEN, Info, Kind};
use crate::reader::{Btf, Header};

/// What a kernel knows of BTF, past what Linux 5.10 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// [`Kind::Float`], since Linux 5.13.
    pub float: bool,
    /// [`Kind::DeclTag`], since Linux 5.16.
    pub decl_tag: bool,
    /// [`Kind::TypeTag`], since Linux 5.17.
    pub type_tag: bool,
    /// [`Kind::Enum64`] and signed enums, since Linux 6.0.
    pub enum64: bool,
}

impl Support {
    /// All of it, as Linux 6.0 and later know it.
    pub const ALL: Support = Support { float: true, decl_tag: true, type_tag: true, enum64: true };
    /// None of it, as with Linux 5.10.
    pub const NONE: Support = Support { float: false, decl_tag: false, type_tag: false, enum64: false };

    /// What a kernel of this version knows, as far as versions tell: distributions move
    /// things back to older ones.
    pub fn of_version(major: u32, minor: u32) -> Support {
        let since = |version| (major, minor) >= version;
        Support {
            float: since((5, 13)),
            decl_tag: since((5, 16)),
            type_tag: since((5, 17)),
            enum64: since((6, 0)),
        }
    }
}

/// Makes BTF loadable by a kernel that knows what `support` says. Type ids stay.
///
/// A float becomes an empty struct of its size, a tag of a declaration an integer that
/// nothing refers to, a tag of a type a `const`, and a 64-bit enum a union of its size.
/// Fails if `bytes` is not BTF that stands for itself.
pub fn sanitize(bytes: Vec<u8>, support: Support) -> Result<Vec<u8>, Error> {
    if support == Support::ALL {
        return Ok(bytes);
    }
    let btf = Btf::parse(bytes)?;
    let mut patch = Patch::new(&btf)?;
    for id in btf.own_ids() {
        if let Some(record) = btf.record(id) {
            patch.record(record.place, record.info(), support);
        }
    }
    Ok(patch.finish())
}

/// The bytes of the BTF while they change.
struct Patch<'a> {
    btf: &'a Btf,
    header: Header,
    bytes: Vec<u8>,
    /// The id past the last: that of a one-byte integer to be added, if anything needs it.
    added: u32,
    needs_added: bool,
}

impl<'a> Patch<'a> {
    fn new(btf: &'a Btf) -> Result<Patch<'a>, Error> {
        Ok(Patch {
            btf,
            header: Header::parse(btf.bytes())?,
            bytes: btf.bytes().to_vec(),
            added: btf.end_id(),
            needs_added: false,
        })
    }

    /// Replaces the record at `place` if the kernel does not know its kind.
    fn record(&mut self, place: usize, info: Info, support: Support) {
        let (kind, vlen) = (Kind::from_number(info.kind), info.vlen);
        match kind {
            Kind::Float if !support.float => {
                // `double` is no name for a struct.
                self.write(place, &[0, Info::encode(Kind::Struct, 0, false)]);
            }
            Kind::DeclTag if !support.decl_tag => {
                self.write(place, &[0, Info::encode(Kind::Int, 0, false), 1, 8]);
            }
            Kind::TypeTag if !support.type_tag => {
                self.write(place, &[0, Info::encode(Kind::Const, 0, false)]);
            }
            Kind::Enum if info.flag && !support.enum64 => {
                self.write(place + 4, &[Info::encode(Kind::Enum, vlen, false)]);
            }
            Kind::Enum64 if !support.enum64 => {
                self.write(place + 4, &[Info::encode(Kind::Union, vlen, false)]);
                for entry in 0..vlen as usize {
                    // An enumerator has its value where a member has type and offset.
                    self.write(place + 12 + 12 * entry + 4, &[self.added, 0]);
                    self.needs_added = true;
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, place: usize, words: &[u32]) {
        for (at, word) in (place..).step_by(4).zip(words) {
            if let Some(bytes) = self.bytes.get_mut(at..at + 4) {
                bytes.copy_from_slice(&self.btf.endian().u32_bytes(*word));
            }
        }
    }

    /// The bytes, with the integer added if something refers to it.
    ///
    /// Only the plain header is kept: old kernels refuse what they do not know there, too.
    fn finish(self) -> Vec<u8> {
        let Patch { btf, header, bytes, needs_added, .. } = self;
        let mut types = bytes[header.types.clone()].to_vec();
        if needs_added {
            let int = [0, Info::encode(Kind::Int, 0, false), 1, 8];
            types.extend(int.into_iter().flat_map(|word| btf.endian().u32_bytes(word)));
        }
        let strings = &bytes[header.strings.clone()];
        let fields = [HEADER_LEN, 0, types.len(), types.len(), strings.len()];
        let mut out = Vec::with_capacity(HEADER_LEN + types.len() + strings.len());
        // Magic, version and flags.
        out.extend_from_slice(&bytes[..4]);
        out.extend(fields.into_iter().flat_map(|field| btf.endian().u32_bytes(field as u32)));
        out.extend_from_slice(&types);
        out.extend_from_slice(strings);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::types::Enumerator;

    fn newer_kinds() -> Vec<u8> {
        let mut b = BtfBuilder::new();
        let double = b.float("double", 8);
        b.type_tag("rcu", double);
        b.decl_tag("tag", double, None);
        b.enum_("sign", 4, true, &[Enumerator { name: "MINUS", value: -1 }]);
        b.enum64("wide", 8, false, &[Enumerator { name: "HIGH", value: 1 << 40 }]);
        b.finish()
    }

    fn kinds(bytes: Vec<u8>) -> Vec<(Kind, String)> {
        let btf = Btf::parse(bytes).unwrap();
        btf.types().map(|(_, ty)| (ty.kind(), ty.name().to_owned())).collect()
    }

    #[test]
    fn what_is_known_stays() {
        assert_eq!(sanitize(newer_kinds(), Support::ALL).unwrap(), newer_kinds());
        let support = Support { enum64: true, ..Support::NONE };
        let kept = kinds(sanitize(newer_kinds(), support).unwrap());
        assert_eq!(kept[3..], kinds(newer_kinds())[3..]);
    }

    #[test]
    fn what_is_not_known_is_replaced() {
        let text = |kind: Kind, name: &str| (kind, name.to_owned());
        let expected = [
            text(Kind::Struct, ""),
            text(Kind::Const, ""),
            text(Kind::Int, ""),
            text(Kind::Enum, "sign"),
            text(Kind::Union, "wide"),
            text(Kind::Int, ""),
        ];
        assert_eq!(kinds(sanitize(newer_kinds(), Support::NONE).unwrap()), expected);
    }

    #[test]
    fn versions_know_more_and_more() {
        assert_eq!(Support::of_version(5, 10), Support::NONE);
        assert_eq!(Support::of_version(5, 16), Support { float: true, decl_tag: true, ..Support::NONE });
        assert_eq!(Support::of_version(6, 0), Support::ALL);
    }
}
