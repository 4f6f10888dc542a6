//! What a call's attributes are, as a tree; and its two forms, the line that strace prints and JSON.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A number in decimal.
    Int(i64),
    /// A number of 64 bits without a sign.
    Uint(u64),
    /// A number in hexadecimal.
    Hex(u64),
    /// An address in the caller's memory; 0 is `NULL`.
    Address(u64),
    /// A descriptor and what it is, if that was asked for.
    Fd(i32, Option<String>),
    /// One of a set of names; a number that has none is shown with the set's name.
    Name {
        /// The number.
        value: u64,
        /// Its name.
        name: Option<String>,
        /// What the names begin with: `BPF_MAP_TYPE_`.
        set: &'static str,
    },
    /// Bits with names, and those that have none.
    Flags {
        /// In the order they are shown.
        names: Vec<&'static str>,
        /// Bits without a name.
        rest: u64,
        /// What zero is called, `0` if empty.
        zero: &'static str,
        /// What the names begin with, for values without any known bit.
        set: &'static str,
    },
    /// Parts of one number.
    Bits(Vec<Node>),
    /// A text from the caller's memory.
    Text {
        /// The bytes, without the NUL.
        bytes: Vec<u8>,
        /// Whether there is more than is shown.
        cut: bool,
        /// Whether each byte is shown in hexadecimal.
        hex: bool,
    },
    /// A device's number.
    Device(u32, u32),
    /// A kernel's version.
    Version(u32),
    /// An interface.
    Interface(u32, Option<String>),
    /// A number, and what it means.
    Remark(Box<Node>, String),
    /// Fields in order.
    Struct(Vec<(&'static str, Node)>),
    /// Elements in order, and whether there are more.
    List(Vec<Node>, bool),
    /// Before and after the call.
    Changed(Box<Node>, Box<Node>),
    /// Bytes beyond what is known: from where in the attributes on; shown where details are asked for.
    Extra {
        /// The offset of the first.
        at: usize,
        /// All of them.
        bytes: Vec<u8>,
        /// Whether they are shown.
        shown: bool,
    },
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Int(value) => write!(f, "{value}"),
            Node::Uint(value) => write!(f, "{value}"),
            Node::Hex(0) => f.write_str("0"),
            Node::Hex(value) => write!(f, "{value:#x}"),
            Node::Address(0) => f.write_str("NULL"),
            Node::Address(value) => write!(f, "{value:#x}"),
            Node::Fd(fd, None) => write!(f, "{fd}"),
            Node::Fd(fd, Some(path)) => write!(f, "{fd}<{path}>"),
            Node::Name { name: Some(name), .. } => f.write_str(name),
            Node::Name { value, name: None, set } => write!(f, "{value:#x} /* {set}??? */"),
            Node::Flags { names, rest: 0, zero, .. } if names.is_empty() => {
                f.write_str(if zero.is_empty() { "0" } else { zero })
            }
            Node::Flags { names, rest, set, .. } if names.is_empty() => {
                write!(f, "{rest:#x}")?;
                if set.is_empty() { Ok(()) } else { write!(f, " /* {set}??? */") }
            }
            Node::Flags { names, rest, .. } => {
                f.write_str(&names.join("|"))?;
                if *rest == 0 { Ok(()) } else { write!(f, "|{rest:#x}") }
            }
            Node::Bits(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join("|"))
            }
            Node::Text { bytes, cut, hex } => {
                f.write_str(&quoted(bytes, *hex))?;
                f.write_str(if *cut { "..." } else { "" })
            }
            Node::Version(version) => {
                let (major, minor, patch) = (version >> 16, version >> 8 & 0xff, version & 0xff);
                write!(f, "KERNEL_VERSION({major}, {minor}, {patch})")
            }
            Node::Device(major, minor) => {
                write!(f, "makedev({}, {})", Node::Hex(u64::from(*major)), Node::Hex(u64::from(*minor)))
            }
            Node::Interface(0, _) => f.write_str("0"),
            Node::Interface(_, Some(name)) => write!(f, "if_nametoindex({})", quoted(name.as_bytes(), false)),
            Node::Interface(index, None) => write!(f, "{index}"),
            Node::Remark(node, remark) => write!(f, "{node} /* {remark} */"),
            Node::Struct(fields) => {
                f.write_char('{')?;
                for (index, (name, node)) in fields.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    match (name, node) {
                        (_, Node::Extra { shown: false, .. }) => f.write_str("...")?,
                        (name, node) => write!(f, "{name}={node}")?,
                    }
                }
                f.write_char('}')
            }
            Node::List(nodes, more) => {
                f.write_char('[')?;
                for (index, node) in nodes.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{node}")?;
                }
                f.write_str(if *more { ", ...]" } else { "]" })
            }
            Node::Changed(before, after) => write!(f, "{before} => {after}"),
            Node::Extra { at, bytes, .. } => {
                write!(f, "{} /* bytes {at}..{} */", quoted(bytes, true), at + bytes.len() - 1)
            }
        }
    }
}

impl Node {
    /// As JSON: numbers as numbers, names and texts as strings, flags as lists.
    pub fn to_json(&self) -> Value {
        match self {
            Node::Int(value) => json!(value),
            Node::Uint(value) | Node::Hex(value) | Node::Address(value) => json!(value),
            Node::Fd(fd, None) => json!(fd),
            Node::Fd(fd, Some(path)) => json!({ "fd": fd, "path": path }),
            Node::Name { name: Some(name), .. } => json!(name),
            Node::Name { value, name: None, .. } => json!(value),
            Node::Flags { names, rest, .. } => {
                let mut flags: Vec<Value> = names.iter().map(|name| json!(name)).collect();
                if *rest != 0 {
                    flags.push(json!(rest));
                }
                Value::Array(flags)
            }
            Node::Bits(_) => json!(self.to_string()),
            Node::Text { bytes, hex: true, .. } | Node::Extra { bytes, .. } => {
                Value::String(bytes.iter().fold(String::new(), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                }))
            }
            Node::Text { bytes, .. } => json!(String::from_utf8_lossy(bytes)),
            Node::Version(version) => {
                json!(format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff))
            }
            Node::Device(major, minor) => json!(format!("{major}:{minor}")),
            Node::Interface(_, Some(name)) => json!(name),
            Node::Interface(index, None) => json!(index),
            Node::Remark(node, _) => node.to_json(),
            Node::Struct(fields) => {
                let fields = fields.iter().map(|(name, node)| ((*name).to_owned(), node.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Node::List(nodes, _) => nodes.iter().map(Node::to_json).collect(),
            Node::Changed(before, after) => json!({ "before": before.to_json(), "after": after.to_json() }),
        }
    }
}

/// A C string literal. Octal escapes are as short as what follows allows.
pub fn quoted(bytes: &[u8], hex: bool) -> String {
    let mut out = String::from("\"");
    for (index, &byte) in bytes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match byte {
            _ if hex => write!(out, "\\x{byte:02x}"),
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            b'\n' => write!(out, "\\n"),
            b'\t' => write!(out, "\\t"),
            b'\r' => write!(out, "\\r"),
            0x0b => write!(out, "\\v"),
            0x0c => write!(out, "\\f"),
            b' '..=b'~' => write!(out, "{}", byte as char),
            _ if bytes.get(index + 1).is_some_and(u8::is_ascii_digit) => write!(out, "\\{byte:03o}"),
            _ => write!(out, "\\{byte:o}"),
        };
    }
    out.push('"');
    out
}
