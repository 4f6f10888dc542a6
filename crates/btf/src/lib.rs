//! BTF bytes to types and back.
//!
//! BTF (BPF Type Format) is how the kernel describes its C types, and how a
//! program describes its own to the kernel: a header, a run of type records and
//! a run of strings. This crate reads it in place ([`Btf`]), answers questions
//! of layout and naming about it, writes it ([`BtfBuilder`]), puts several pieces
//! together ([`merge`]), adapts it to old kernels ([`sanitize`]), and codes the records that tie instructions to
//! functions and source lines ([`ext`]).
//!
//! Nothing here touches the kernel: bytes come in, bytes and answers go out.
//! The format is that of the kernel's `include/uapi/linux/btf.h` and
//! `Documentation/bpf/btf.rst`.
//!
//! ```
//! use skep_btf::{Btf, BtfBuilder, IntEncoding, Kind, Member};
//!
//! let mut builder = BtfBuilder::new();
//! let long = builder.int("long", 8, IntEncoding::SIGNED);
//! let member = |name, bit_offset| Member { name, ty: long, bit_offset, bitfield_size: 0 };
//! let inner = builder.struct_("", 16, &[member("low", 0), member("high", 64)]);
//! builder.struct_("range", 16, &[Member { name: "", ty: inner, bit_offset: 0, bitfield_size: 0 }]);
//!
//! let btf = Btf::parse(builder.finish())?;
//! let range = btf.find(Kind::Struct, "range").expect("it has just been added");
//! let high = btf.find_member(range, "high")?.expect("it is in the anonymous struct");
//! assert_eq!(high.byte_offset(), Some(8));
//! assert_eq!(btf.c_declaration(high.ty, high.name).to_string(), "long high");
//! # Ok::<(), skep_btf::Error>(())
//! ```

mod builder;
mod cdump;
mod cname;
mod error;
pub mod ext;
mod format;
mod layout;
mod merge;
mod names;
mod reader;
mod sanitize;
mod signature;
mod types;
mod value;

pub use builder::BtfBuilder;
pub use cdump::CDump;
pub use cname::CName;
pub use error::Error;
pub use format::{Endian, IntEncoding, Kind, Linkage, TypeId};
pub use layout::{Field, POINTER_SIZE};
pub use merge::merge;
pub use reader::Btf;
pub use sanitize::{Support, sanitize};
pub use types::{Array, Composite, DataSec, Enum, Enumerator, FuncProto, Int, Member, Param, SecVar, Type};
pub use value::Value;
