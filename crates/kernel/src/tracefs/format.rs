//! The text of a tracepoint's `format` file, parsed.
//!
//! One line per field: `field:TYPE NAME;` and then, each behind a tab, `offset:N;`, `size:N;` and `signed:N;`. The
//! common fields come first and end with a blank line; the format of the kernel's own print follows the fields.

use crate::{Error, Result};

/// The layout of a tracepoint's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// The tracepoint's name, without its category.
    pub name: String,
    /// Its id.
    pub id: u64,
    /// The fields that every record begins with (`common_type`, `common_pid`, ...).
    pub common: Vec<Field>,
    /// The tracepoint's own fields, in the order of the text.
    pub fields: Vec<Field>,
    /// How the kernel prints the record: a C format string and its arguments.
    pub print_fmt: String,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its C type, as written but without an array's length: `const char *`, `unsigned long`, `char`.
    pub ctype: String,
    /// Where it begins, in bytes from the record's start.
    pub offset: u32,
    /// Its bytes in the record; 4 for data that lies elsewhere in the record.
    pub size: u32,
    /// Whether the kernel calls it signed.
    pub signed: bool,
    /// What it is.
    pub kind: FieldKind,
}

/// What a field is, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number of 1, 2, 4 or 8 bytes, enumerations among them.
    Integer,
    /// An address.
    Pointer {
        /// The C type behind it, e.g. `const char`.
        pointee: String,
    },
    /// `char name[N]`: text that ends at its first zero.
    CharArray {
        /// Its bytes.
        len: u32,
    },
    /// `TYPE name[N]`.
    Array {
        /// The C type of an element.
        element: String,
        /// Bytes of an element.
        element_size: u32,
        /// How many.
        len: u32,
    },
    /// `__data_loc TYPE[] name`: a 4-byte word, offset from the record's start in the low half, length in the high.
    DataLoc {
        /// The C type of an element; `char` is text.
        element: String,
    },
    /// `__rel_loc TYPE[] name`: the same, but the offset counts from the end of the word.
    RelLoc {
        /// The C type of an element; `char` is text.
        element: String,
    },
    /// A structure, or whatever else has a size that no number has.
    Bytes,
}

impl TracepointFormat {
    /// Parses the text of a `format` file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the line, if a line that begins like a field is none, or name or id are missing.
    pub fn parse(text: &str) -> Result<Self> {
        let mut name = None;
        let mut id = None;
        let mut common = Vec::new();
        let mut fields = Vec::new();
        let mut print_fmt = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(value) = line.strip_prefix("name:") {
                name = Some(value.trim().to_owned());
            } else if let Some(value) = line.strip_prefix("ID:") {
                id = value.trim().parse().ok();
            } else if let Some(declaration) = line.trim_start().strip_prefix("field:") {
                let field = parse_field(declaration)
                    .ok_or_else(|| Error::Format { what: "a tracepoint field", text: line.to_owned() })?;
                if field.name.starts_with("common_") { &mut common } else { &mut fields }.push(field);
            } else if let Some(value) = line.strip_prefix("print fmt:") {
                print_fmt = value.trim_start().to_owned();
                // Whatever follows still belongs to it.
                for rest in lines.by_ref() {
                    print_fmt.push('\n');
                    print_fmt.push_str(rest);
                }
            }
        }
        match (name, id) {
            (Some(name), Some(id)) => Ok(Self { name, id, common, fields, print_fmt }),
            _ => {
                let text = text.lines().next().unwrap_or_default().to_owned();
                Err(Error::Format { what: "a tracepoint format", text })
            }
        }
    }

    /// The field with this name, the tracepoint's own before the common ones.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().chain(&self.common).find(|field| field.name == name)
    }

    /// Bytes of the fixed part of a record: the end of its last field.
    pub fn size(&self) -> u32 {
        let ends = self.common.iter().chain(&self.fields).map(|f| f.offset.saturating_add(f.size));
        ends.max().unwrap_or(0)
    }
}

fn parse_field(text: &str) -> Option<Field> {
    let (declaration, rest) = text.split_once(';')?;
    let mut offset = None;
    let mut size = None;
    let mut signed = None;
    for part in rest.split(';') {
        match part.trim().split_once(':') {
            Some(("offset", value)) => offset = Some(value.parse().ok()?),
            Some(("size", value)) => size = Some(value.parse().ok()?),
            Some(("signed", value)) => signed = Some(value.trim() == "1"),
            _ => {}
        }
    }
    let size = size?;
    let (ctype, name, length) = split_declaration(declaration.trim())?;
    let kind = classify(ctype, length, size);
    let ctype = ctype.to_owned();
    Some(Field { name: name.to_owned(), ctype, offset: offset?, size, signed: signed.unwrap_or(false), kind })
}

/// Splits `unsigned long args[6]` into type, name and what stands between the brackets behind the name.
fn split_declaration(declaration: &str) -> Option<(&str, &str, Option<&str>)> {
    let (before, length) = match declaration.strip_suffix(']') {
        Some(open) => {
            let (before, length) = open.rsplit_once('[')?;
            (before.trim_end(), Some(length.trim()))
        }
        None => (declaration, None),
    };
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let (ctype, name) = before.split_at(start);
    let ctype = ctype.trim_end();
    (!name.is_empty() && !ctype.is_empty()).then_some((ctype, name, length))
}

fn classify(ctype: &str, length: Option<&str>, size: u32) -> FieldKind {
    let element_of = |rest: &str| {
        let rest = rest.trim();
        rest.strip_suffix("[]").unwrap_or(rest).trim_end().to_owned()
    };
    if let Some(rest) = ctype.strip_prefix("__data_loc ") {
        return FieldKind::DataLoc { element: element_of(rest) };
    }
    if let Some(rest) = ctype.strip_prefix("__rel_loc ") {
        return FieldKind::RelLoc { element: element_of(rest) };
    }
    if let Some(length) = length {
        return classify_array(ctype, length, size);
    }
    if let Some(pointee) = ctype.strip_suffix('*')
        && size == 8
    {
        return FieldKind::Pointer { pointee: pointee.trim_end().to_owned() };
    }
    // A structure of a number's size cannot be told from a typedef by its name, except when it says so.
    if matches!(size, 1 | 2 | 4 | 8) && !ctype.starts_with("struct ") && !ctype.starts_with("union ") {
        return FieldKind::Integer;
    }
    FieldKind::Bytes
}

fn classify_array(ctype: &str, length: &str, size: u32) -> FieldKind {
    if matches!(ctype.strip_prefix("const ").unwrap_or(ctype), "char") {
        return FieldKind::CharArray { len: size };
    }
    // The length may be a constant's name; then the element's type must tell.
    let known = element_size(ctype);
    let len = match length.parse::<u32>() {
        Ok(len) if len > 0 && size.is_multiple_of(len) => len,
        _ => match known {
            Some(known) if size.is_multiple_of(known) => size / known,
            _ => return FieldKind::Bytes,
        },
    };
    if len == 0 {
        return FieldKind::Bytes;
    }
    FieldKind::Array { element: ctype.to_owned(), element_size: size / len, len }
}

fn element_size(ctype: &str) -> Option<u32> {
    Some(match ctype.strip_prefix("const ").unwrap_or(ctype) {
        "char" | "signed char" | "unsigned char" | "u8" | "s8" | "__u8" | "__s8" | "uint8_t" | "bool" => 1,
        "short" | "unsigned short" | "u16" | "s16" | "__u16" | "__s16" | "__be16" | "__le16" | "uint16_t" => {
            2
        }
        "int" | "unsigned int" | "u32" | "s32" | "__u32" | "__s32" | "__be32" | "__le32" | "uint32_t" => 4,
        "long" | "unsigned long" | "u64" | "s64" | "__u64" | "__s64" | "__be64" | "__le64" | "uint64_t"
        | "long long" | "unsigned long long" | "size_t" => 8,
        pointer if pointer.ends_with('*') => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPENAT: &str = "name: sys_enter_openat\nID: 650\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\
        \n\
        \tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\
        \tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n\
        \n\
        print fmt: \"dfd: 0x%08lx\", ((unsigned long)(REC->dfd))\n";

    fn kind_of(declaration: &str, size: u32) -> FieldKind {
        parse_field(&format!("{declaration};\toffset:8;\tsize:{size};\tsigned:0;")).unwrap().kind
    }

    #[test]
    fn a_syscall() {
        let format = TracepointFormat::parse(OPENAT).unwrap();
        assert_eq!((format.name.as_str(), format.id), ("sys_enter_openat", 650));
        assert_eq!(format.common.len(), 2);
        assert_eq!(format.fields.len(), 2);
        let filename = format.field("filename").unwrap();
        assert_eq!(filename.kind, FieldKind::Pointer { pointee: "const char".to_owned() });
        assert_eq!((filename.ctype.as_str(), filename.offset, filename.size), ("const char *", 24, 8));
        assert_eq!(format.print_fmt, "\"dfd: 0x%08lx\", ((unsigned long)(REC->dfd))");
        assert_eq!(format.size(), 32);
    }

    #[test]
    fn kinds_of_fields() {
        assert_eq!(kind_of("pid_t prev_pid", 4), FieldKind::Integer);
        assert_eq!(kind_of("char comm[16]", 16), FieldKind::CharArray { len: 16 });
        assert_eq!(kind_of("char comm[TASK_COMM_LEN]", 16), FieldKind::CharArray { len: 16 });
        assert_eq!(
            kind_of("unsigned long args[6]", 48),
            FieldKind::Array { element: "unsigned long".to_owned(), element_size: 8, len: 6 }
        );
        assert_eq!(
            kind_of("__u8 saddr[ADDR_LEN]", 4),
            FieldKind::Array { element: "__u8".to_owned(), element_size: 1, len: 4 }
        );
        assert_eq!(kind_of("__data_loc char[] name", 4), FieldKind::DataLoc { element: "char".to_owned() });
        assert_eq!(kind_of("__rel_loc u8[] buf", 4), FieldKind::RelLoc { element: "u8".to_owned() });
        assert_eq!(
            kind_of("const char *const * argv", 8),
            FieldKind::Pointer { pointee: "const char *const".to_owned() }
        );
        assert_eq!(kind_of("struct sockaddr_storage addr", 128), FieldKind::Bytes);
        assert_eq!(
            kind_of("struct in6 a[2]", 32),
            FieldKind::Array { element: "struct in6".to_owned(), element_size: 16, len: 2 }
        );
    }

    #[test]
    fn broken_texts_are_errors() {
        assert!(TracepointFormat::parse("").is_err());
        assert!(TracepointFormat::parse("name: x\nformat:\n").is_err());
        let error =
            TracepointFormat::parse("name: x\nID: 1\n\tfield:int;\toffset:0;\tsize:4;\n").unwrap_err();
        assert!(error.to_string().contains("field:int"), "{error}");
        assert!(TracepointFormat::parse("name: x\nID: 1\n\tfield:int a;\toffset:x;\tsize:4;\n").is_err());
    }

    proptest! {
        #[test]
        fn fields_round_trip(
            ctype in prop_oneof!["int", "unsigned long", "const char \\*", "struct page \\*", "u8"],
            name in "[a-z_][a-z0-9_]{0,20}",
            offset in 0u32..100_000,
            size in prop_oneof![Just(1u32), Just(2), Just(4), Just(8)],
            signed: bool,
        ) {
            let line = format!("{ctype} {name};\toffset:{offset};\tsize:{size};\tsigned:{};", u8::from(signed));
            let field = parse_field(&line).unwrap();
            prop_assert_eq!((field.name, field.ctype), (name, ctype));
            prop_assert_eq!((field.offset, field.size, field.signed), (offset, size, signed));
        }

        #[test]
        fn any_text_is_survived(text in "(name: |ID: |\tfield:|offset:|size:|;|\\[|\\]|[0-9]|\\PC|\n){0,60}") {
            let _ = TracepointFormat::parse(&text);
        }
    }
}
