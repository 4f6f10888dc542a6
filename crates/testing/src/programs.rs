//! Small programs to be traced, built by the test that traces them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A built program; it vanishes with the value.
#[derive(Debug)]
pub struct Program {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl Program {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds it, its source and nothing else.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl std::fmt::Display for Program {
    /// Its path, as attach points spell it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Builds a C program called `name` from a source called `name.c`, with gcc's flags. A test that does so needs
/// [`Need::Gcc`](crate::Need::Gcc).
///
/// # Panics
///
/// It does not compile.
pub fn c(name: &str, source: &str, flags: &[&str]) -> Program {
    build("gcc", name, "c", source, flags)
}

/// Builds a C++ program, as [`c`] does.
///
/// # Panics
///
/// It does not compile.
pub fn cpp(name: &str, source: &str, flags: &[&str]) -> Program {
    build("g++", name, "cpp", source, flags)
}

fn build(compiler: &str, name: &str, extension: &str, source: &str, flags: &[&str]) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("{name}.{extension}");
    std::fs::write(directory.path().join(&file), source).expect("a source file");
    let path = directory.path().join(name);
    run(Command::new(compiler).current_dir(directory.path()).args(["-w", "-o", name, &file]).args(flags));
    Program { directory, path }
}

/// The bpftool to compare with: the one that the variable `SKEP_PEER_BPFTOOL` names, of the version that ours stands
/// for.
pub fn bpftool() -> Option<PathBuf> {
    std::env::var_os("SKEP_PEER_BPFTOOL").map(PathBuf::from).filter(|file| file.is_file())
}

/// Runs a tool, as `objcopy`, to its successful end.
///
/// # Panics
///
/// It fails, or is not there.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// C definitions for static probes, as the notes of SystemTap's format describe them. `NOTE(provider, name,
/// semaphore, arguments, operands...)` puts one where it stands: the semaphore is a symbol's name or `0`, the
/// arguments are a text for the note, in which `%[x]` is an operand of the `asm` statement.
pub const NOTES: &str = r#"
#define NOTE(provider, name, semaphore, arguments, ...) \
    __asm__ volatile( \
        "990: nop\n" \
        ".pushsection .note.stapsdt,\"\",\"note\"\n" \
        ".balign 4\n" \
        ".4byte 992f-991f, 994f-993f, 3\n" \
        "991: .asciz \"stapsdt\"\n" \
        "992: .balign 4\n" \
        "993: .8byte 990b, stapsdt_base, " semaphore "\n" \
        ".asciz \"" provider "\"\n" \
        ".asciz \"" name "\"\n" \
        ".asciz \"" arguments "\"\n" \
        "994: .balign 4\n" \
        ".popsection\n" \
        ".ifndef stapsdt_base\n" \
        ".pushsection .stapsdt.base,\"a\",\"progbits\"\n" \
        "stapsdt_base: .space 1\n" \
        ".popsection\n" \
        ".endif\n" :: __VA_ARGS__)
"#;
