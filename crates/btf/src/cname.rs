//! Types as C spells them: `struct task_struct *`, `const char *`, `int[4]`.
//!
//! A C declarator is written from the inside out: pointers and qualifiers to its
//! left, dimensions and parameters to its right, parentheses where the left side
//! meets the right one. The name of a type is a declarator that declares nothing.

use std::fmt;

use crate::format::TypeId;
use crate::reader::Btf;
use crate::types::Type;

/// How many types may take part in a name. What is beyond is written as `...`, so that
/// types that refer to each other in a circle have a name too.
const MAX_PARTS: usize = 256;

/// How deep types may be nested in a name.
const MAX_DEPTH: usize = 64;

/// The C name of a type, to be displayed.
#[derive(Debug, Clone, Copy)]
pub struct CName<'a> {
    btf: &'a Btf,
    id: TypeId,
    declared: &'a str,
}

impl Btf {
    /// The name of a type as C spells it, typedefs and qualifiers as declared. Type tags
    /// are left out. A type that does not exist, or not within reach, is shown as `...`.
    pub fn c_name(&self, id: TypeId) -> CName<'_> {
        CName { btf: self, id, declared: "" }
    }

    /// The declaration of something called `name` of a type, as `int (*name)(void)`.
    pub fn c_declaration<'a>(&'a self, id: TypeId, name: &'a str) -> CName<'a> {
        CName { btf: self, id, declared: name }
    }
}

impl fmt::Display for CName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = MAX_PARTS;
        f.pad(&declaration(self.btf, self.id, self.declared.to_owned(), &mut parts, 0))
    }
}

/// Wraps the declarator `inner` in what the type `id` adds to it.
fn declaration(btf: &Btf, id: TypeId, mut inner: String, parts: &mut usize, depth: usize) -> String {
    let mut id = id;
    // Qualifiers seen that belong to the type below them.
    let mut qualifiers = String::new();
    loop {
        let ty = match btf.get(id) {
            Some(ty) if *parts > 0 && depth < MAX_DEPTH => ty,
            _ => return specifier(&qualifiers, "", "...", &inner),
        };
        *parts -= 1;
        let (keyword, name) = match ty {
            Type::Const { target } => {
                qualifiers.push_str("const ");
                id = target;
                continue;
            }
            Type::Volatile { target } => {
                qualifiers.push_str("volatile ");
                id = target;
                continue;
            }
            Type::Restrict { target } => {
                qualifiers.push_str("restrict ");
                id = target;
                continue;
            }
            Type::TypeTag { target, .. } => {
                id = target;
                continue;
            }
            Type::Ptr { target } => {
                let gap = if qualifiers.is_empty() || inner.is_empty() { "" } else { " " };
                inner = format!("*{}{gap}{inner}", qualifiers.trim_end());
                qualifiers.clear();
                id = target;
                continue;
            }
            Type::Array(array) => {
                // Qualifiers of an array are those of its elements, so they stay.
                inner = format!("{}[{}]", parenthesised(inner), array.len);
                id = array.element;
                continue;
            }
            Type::FuncProto(proto) => {
                let params = proto.params().take(MAX_PARTS).map(|param| {
                    if param.ty == TypeId::VOID && param.name.is_empty() {
                        return "...".to_owned();
                    }
                    declaration(btf, param.ty, String::new(), parts, depth + 1)
                });
                let params = params.collect::<Vec<_>>().join(", ");
                let params = if params.is_empty() { "void" } else { &params };
                inner = format!("{}({params})", parenthesised(inner));
                id = proto.result;
                continue;
            }
            Type::Func { name, proto, .. } => {
                if inner.is_empty() {
                    inner = name.to_owned();
                }
                id = proto;
                continue;
            }
            Type::Var { name, target, .. } => {
                if inner.is_empty() {
                    inner = name.to_owned();
                }
                id = target;
                continue;
            }
            Type::Void => ("", "void"),
            Type::Struct(of) => ("struct ", of.name),
            Type::Union(of) => ("union ", of.name),
            Type::Enum(of) => ("enum ", of.name),
            Type::Fwd { name, is_union: false } => ("struct ", name),
            Type::Fwd { name, is_union: true } => ("union ", name),
            Type::Int(_)
            | Type::Typedef { .. }
            | Type::DataSec(_)
            | Type::Float { .. }
            | Type::DeclTag { .. }
            | Type::Unknown { .. } => ("", ty.name()),
        };
        let name = if name.is_empty() { "(anon)" } else { name };
        return specifier(&qualifiers, keyword, name, &inner);
    }
}

/// A declarator that something is to follow on the right.
fn parenthesised(inner: String) -> String {
    if inner.starts_with('*') { format!("({inner})") } else { inner }
}

/// The type specifier and the declarator side by side.
fn specifier(qualifiers: &str, keyword: &str, name: &str, inner: &str) -> String {
    let gap = if inner.is_empty() || inner.starts_with('[') { "" } else { " " };
    format!("{qualifiers}{keyword}{name}{gap}{inner}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::format::{IntEncoding, Linkage};
    use crate::types::Param;

    #[test]
    fn names_and_declarations() {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let char = b.int("char", 1, IntEncoding::SIGNED);
        let const_char = b.const_(char);
        let string = b.ptr(const_char);
        let const_string = b.const_(string);
        let pointed = b.ptr(const_string);
        let restrict = b.restrict(pointed);
        let row = b.array(int, int, 4);
        let rows = b.array(row, int, 2);
        let row_ptr = b.ptr(row);
        let const_row = b.const_(row);
        let ptrs = b.array(string, int, 3);
        let anonymous = b.union_("", 0, &[]);
        let task = b.fwd("task_struct", false);
        let task = b.ptr(task);
        let volatile = b.volatile(int);
        let both = b.const_(volatile);
        let nothing = b.func_proto(TypeId::VOID, &[]);
        let handler =
            b.func_proto(int, &[Param { name: "t", ty: task }, Param { name: "", ty: TypeId::VOID }]);
        let handler = b.ptr(handler);
        let handlers = b.array(handler, int, 8);
        let signal = b.func_proto(handler, &[Param { name: "n", ty: int }, Param { name: "h", ty: handler }]);
        let function = b.func("signal", signal, Linkage::Global);
        let btf = Btf::parse(b.finish()).unwrap();

        let all = [
            TypeId::VOID,
            int,
            string,
            const_string,
            pointed,
            restrict,
            rows,
            row_ptr,
            const_row,
            ptrs,
            anonymous,
            task,
            both,
            nothing,
            handler,
            handlers,
            signal,
            function,
        ];
        let lines = all.map(|id| format!("{} | {}", btf.c_name(id), btf.c_declaration(id, "x")));
        insta::assert_snapshot!(lines.join("\n"), @r"
        void | void x
        int | int x
        const char * | const char *x
        const char *const | const char *const x
        const char *const * | const char *const *x
        const char *const *restrict | const char *const *restrict x
        int[2][4] | int x[2][4]
        int (*)[4] | int (*x)[4]
        const int[4] | const int x[4]
        const char *[3] | const char *x[3]
        union (anon) | union (anon) x
        struct task_struct * | struct task_struct *x
        const volatile int | const volatile int x
        void (void) | void x(void)
        int (*)(struct task_struct *, ...) | int (*x)(struct task_struct *, ...)
        int (*[8])(struct task_struct *, ...) | int (*x[8])(struct task_struct *, ...)
        int (*(int, int (*)(struct task_struct *, ...)))(struct task_struct *, ...) | int (*x(int, int (*)(struct task_struct *, ...)))(struct task_struct *, ...)
        int (*signal(int, int (*)(struct task_struct *, ...)))(struct task_struct *, ...) | int (*x(int, int (*)(struct task_struct *, ...)))(struct task_struct *, ...)
        ");
        assert_eq!(format!("{:>5}|{:<5}", btf.c_name(int), btf.c_name(int)), "  int|int  ");
    }

    #[test]
    fn circles_have_names() {
        let mut b = BtfBuilder::new();
        b.ptr(TypeId(1));
        // A prototype whose two parameters are itself: without a limit this would double at each level.
        b.func_proto(TypeId(2), &[Param { name: "", ty: TypeId(2) }, Param { name: "", ty: TypeId(2) }]);
        b.const_(TypeId(3));
        let btf = Btf::parse(b.finish()).unwrap();
        for id in btf.ids() {
            let name = btf.c_name(id).to_string();
            assert!(name.contains("...") && name.len() < 10_000, "{name}");
        }
    }
}
