//! BTF bytes to types and back.
//!
//! BTF (BPF Type Format) is how the kernel describes its C types, and how a
//! program describes its own to the kernel: a header, a run of type records and
//! a run of strings. This crate reads it in place ([`Btf`]), answers questions
//! of layout and naming about it, writes it ([`BtfBuilder`]), adapts it to old
//! kernels ([`sanitize`]), and codes the records that tie instructions to
//! functions and source lines ([`ext`]).
//!
//! Nothing here touches the kernel: bytes come in, bytes and answers go out.
//! The format is that of the kernel's `include/uapi/linux/btf.h` and
//! `Documentation/bpf/btf.rst`.

mod builder;
mod cname;
mod error;
pub mod ext;
mod format;
mod index;
mod layout;
mod reader;
mod sanitize;
mod types;

pub use builder::BtfBuilder;
pub use cname::CName;
pub use error::Error;
pub use format::{Endian, IntEncoding, Kind, Linkage, TypeId};
pub use layout::{Field, POINTER_SIZE};
pub use reader::Btf;
pub use sanitize::{Support, sanitize};
pub use types::{Array, Composite, DataSec, Enum, Enumerator, FuncProto, Int, Member, Param, SecVar, Type};
