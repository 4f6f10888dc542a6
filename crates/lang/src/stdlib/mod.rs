//! The standard library: macros in the script's own language, part of the binary.
//!
//! A file is read when a script uses one of its names. What is faster or better told by the compiler is
//! a builtin instead (`sema/builtins`); here is what is only a short way to write something.

/// What the names of its files start with.
pub const PREFIX: &str = "stdlib/";

/// A file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// As `import` and messages name it.
    pub name: &'static str,
    /// What is in it.
    pub text: &'static str,
    /// The macros that it defines.
    pub macros: &'static [&'static str],
}

const FILES: &[File] = &[
    File { name: "stdlib/base.bt", text: include_str!("base.bt"), macros: &["assert"] },
    File { name: "stdlib/meta.bt", text: include_str!("meta.bt"), macros: &["static_assert"] },
    File {
        name: "stdlib/process.bt",
        text: include_str!("process.bt"),
        macros: &["comm", "leader_comm", "leader_tid", "pcomm", "ppid"],
    },
];

/// The file that defines a macro.
pub fn file_of(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.macros.contains(&name))
}

/// Whether `import` may name this: one of the files, or a directory of them.
pub fn has_file(path: &str) -> bool {
    FILES.iter().any(|file| file.name == path)
}

/// The names of the files.
pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.name)
}

/// The names of all macros.
pub fn macros() -> impl Iterator<Item = &'static str> {
    FILES.iter().flat_map(|file| file.macros.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::builtins;
    use crate::syntax::ast::ItemKind;
    use skep_ui::FileId;

    #[test]
    fn each_file_defines_what_the_table_says() {
        for file in FILES {
            let parsed = crate::syntax::parse(FileId(0), file.text);
            assert_eq!(parsed.diagnostics, [], "{}", file.name);
            let mut defined: Vec<String> = Vec::new();
            for item in parsed.script.items {
                let ItemKind::Macro(def) = item.kind else {
                    panic!("{}: only macros belong here", file.name)
                };
                defined.push(def.name.name);
            }
            defined.sort();
            defined.dedup();
            assert_eq!(defined, file.macros, "{}", file.name);
        }
    }

    /// A builtin of the same name and number of arguments would never be called.
    #[test]
    fn no_macro_hides_a_builtin() {
        for file in FILES {
            for item in crate::syntax::parse(FileId(0), file.text).script.items {
                let ItemKind::Macro(def) = item.kind else { continue };
                let Some(builtin) = builtins::by_name(&def.name.name) else { continue };
                let arity = builtin.args;
                assert!(!(arity.min..=arity.max).contains(&def.params.len()), "{}", def.name.name);
            }
        }
    }
}
