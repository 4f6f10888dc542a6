//! C text in scripts: `#define`, `#include`, `struct`, `union`, `enum`.
//!
//! A preprocessor and a reader of declarations of our own. What they find becomes constants and macros
//! for the script's expressions ([`Definitions::expand`]) and BTF for its types
//! ([`Definitions::types`]). Headers come through the [`World`]; one that is not there is no loss, as
//! the kernel's BTF has its types and [`known`] its constants.

mod declare;
mod emit;
mod kernel;
pub mod known;
mod layout;
mod lexer;
mod number;
mod preprocess;
mod types;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use skep_btf::Btf;
use skep_ui::{Diagnostic, Diagnostics, Span};

use crate::sema::Options;
use crate::world::World;
use declare::Declared;
use kernel::Kernel;
use lexer::{Kind, Token, spell};
use preprocess::{Branches, Include, Macros, Preprocessor};

/// A piece of C in the order in which it is read.
#[derive(Clone, Debug)]
pub struct CText {
    /// What messages call its source.
    pub name: String,
    /// The C.
    pub text: String,
    /// Where the script has it, or has the import that drew it in.
    pub place: Span,
}

/// What the C text of a script defines.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    macros: Macros,
    declared: Declared,
    types: Option<Arc<Btf>>,
}

/// What a use of a macro comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// An expression of the script's language, if it is one at all.
    pub text: String,
    /// The names in it that stand for the arguments.
    pub placeholders: Vec<String>,
}

/// Reads all C of a script.
pub fn read(
    texts: &[CText],
    options: &Options,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Definitions {
    if texts.is_empty() && options.includes.is_empty() {
        return Definitions::default();
    }
    let mut open = |include: &Include, from: &str| {
        world.header(&include.path, include.system, from).map(|found| (found.name, found.text))
    };
    let mut preprocessor = Preprocessor::new(predefined(world), &mut open);
    preprocessor.read("", known::MACROS);
    let mut declared = Declared::default();
    let mut kernel = Kernel::new(world);
    for path in &options.includes {
        let text = format!("#include \"{path}\"\n");
        preprocessor.read("", &text);
        declare::read(&preprocessor.take_tokens(), &mut declared, &mut kernel);
        if preprocessor.missing.pop().is_some() {
            diagnostics.push(Diagnostic::error_without_place(format!("'{path}' file not found")));
        }
    }
    // A script's directives and types come one by one, and an `#if` is closed by a later one.
    let mut open_branches: FxHashMap<&str, Branches> = FxHashMap::default();
    for piece in texts {
        preprocessor.missing.clear();
        let branches = open_branches.entry(piece.name.as_str()).or_default();
        preprocessor.read_piece(&piece.name, &piece.text, branches);
        let problems = declare::read(&preprocessor.take_tokens(), &mut declared, &mut kernel);
        // A header is read for what can be understood of it; what the script wrote itself must be right.
        let own = !piece.text.trim_start().starts_with('#') && !piece.name.ends_with(".h");
        if own && let Some(problem) = problems.into_iter().next() {
            diagnostics.error(piece.place, problem);
        }
        for problem in std::mem::take(&mut preprocessor.errors) {
            diagnostics.error(piece.place, problem);
        }
        let directly = piece.text.trim_start().starts_with('#');
        for missing in preprocessor.missing.iter().filter(|missing| directly && !replaceable(missing)) {
            diagnostics.push(
                Diagnostic::error(piece.place, format!("'{}' file not found", missing.path))
                    .help("Name the directory that it is in with -I"),
            );
        }
    }
    let macros = std::mem::take(&mut preprocessor.macros);
    let mut problems = Vec::new();
    let types = emit::btf(&declared, &mut problems).map(Arc::new);
    Definitions { macros, declared, types }
}

/// Whether a header that is not there is one of the kernel or of the C library, whose types and
/// constants are known anyway.
fn replaceable(include: &Include) -> bool {
    const DIRECTORIES: [&str; 20] = [
        "linux/",
        "asm/",
        "asm-generic/",
        "net/",
        "uapi/",
        "scsi/",
        "sound/",
        "crypto/",
        "rdma/",
        "drm/",
        "trace/",
        "video/",
        "xen/",
        "generated/",
        "sys/",
        "netinet/",
        "netinet6/",
        "arpa/",
        "bits/",
        "kvm/",
    ];
    const FILES: [&str; 24] = [
        "errno.h",
        "fcntl.h",
        "inttypes.h",
        "limits.h",
        "poll.h",
        "sched.h",
        "signal.h",
        "stdarg.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdio.h",
        "stdlib.h",
        "string.h",
        "strings.h",
        "time.h",
        "unistd.h",
        "vmlinux.h",
        "endian.h",
        "elf.h",
        "pthread.h",
        "dirent.h",
        "ctype.h",
        "assert.h",
    ];
    let path = include.path.as_str();
    FILES.contains(&path) || DIRECTORIES.iter().any(|directory| path.starts_with(directory))
}

/// Macros that are there before anything is read.
fn predefined(world: &dyn World) -> Macros {
    let mut macros = Macros::default();
    for (name, body) in [
        ("BPFTRACE_HAVE_BTF", "1"),
        ("__linux__", "1"),
        ("__STDC__", "1"),
        ("__LP64__", "1"),
        ("__CHAR_BIT__", "8"),
        ("__ORDER_LITTLE_ENDIAN__", "1234"),
        ("__ORDER_BIG_ENDIAN__", "4321"),
        ("__BYTE_ORDER__", "1234"),
        ("__SIZEOF_POINTER__", "8"),
        ("__SIZEOF_LONG__", "8"),
        (if cfg!(target_arch = "aarch64") { "__aarch64__" } else { "__x86_64__" }, "1"),
    ] {
        macros.define_text(name, body);
    }
    if let Some(version) = world.kernel_version() {
        macros.define_text("LINUX_VERSION_CODE", &known::version_code(version).to_string());
    }
    macros
}

impl Definitions {
    /// The types, and the enumerators with them.
    pub fn types(&self) -> Option<&Arc<Btf>> {
        self.types.as_ref()
    }

    /// The value of a constant variable.
    pub fn constant(&self, name: &str) -> Option<i128> {
        match self.declared.constants.get(name) {
            Some((value, None)) => Some(*value),
            _ => None,
        }
    }

    /// Whether a name without parentheses is a macro.
    pub fn has_constant(&self, name: &str) -> bool {
        self.macros.get(name).is_some_and(|made| made.params.is_none() && !made.body.is_empty())
    }

    /// What a name means, or with `args` a call: the texts of its arguments. `None` if it is no macro
    /// that could be meant.
    pub fn expand(&self, name: &str, args: Option<Vec<&str>>) -> Option<Result<Expanded, String>> {
        let made = self.macros.get(name)?;
        match (&made.params, args) {
            (None, None) if !made.body.is_empty() => {
                let tokens = self.macros.expand_all(&[Token::ident(name)]);
                // `#define NAME NAME` is how headers tell of an enumerator.
                if matches!(tokens.as_slice(), [only] if only.is_word(name)) {
                    return None;
                }
                Some(Ok(Expanded { text: self.script_text(&tokens), placeholders: Vec::new() }))
            }
            (Some(params), Some(args)) => Some(self.call(name, params, made.variadic, &args)),
            _ => None,
        }
    }

    fn call(&self, name: &str, params: &[String], variadic: bool, args: &[&str]) -> Result<Expanded, String> {
        let enough = if variadic { args.len() + 1 >= params.len() } else { args.len() == params.len() };
        if !enough {
            return Err(format!("The macro {name} takes {} arguments ({} given)", params.len(), args.len()));
        }
        // Names stand for the arguments, so that those keep their meaning; only where texts are put
        // together must they be there as they were written.
        let pasted = self.macros.get(name).is_some_and(|made| made.body.iter().any(|token| token.is("##")));
        let placeholders: Vec<String> = (0..args.len()).map(|n| format!("__skep_arg_{n}")).collect();
        let given: Vec<&str> =
            if pasted { args.to_vec() } else { placeholders.iter().map(String::as_str).collect() };
        let mut call = lexer::tokens(&format!("{name}({})", given.join(",")));
        call.retain(|token| token.kind != Kind::Newline);
        let mut tokens = self.macros.expand_all(&call);
        for token in tokens.iter_mut().filter(|token| token.kind == Kind::String) {
            for (placeholder, arg) in placeholders.iter().zip(args).rev() {
                let spelled = arg.replace('\\', "\\\\").replace('"', "\\\"");
                token.text = token.text.replace(placeholder, &spelled);
            }
        }
        let tokens = without_parentheses(tokens, &placeholders);
        Ok(Expanded { text: self.script_text(&tokens), placeholders })
    }

    /// Tokens as an expression of the script's language: a constant as its value, anything else as it
    /// is spelled, in so far as the two languages spell things alike.
    fn script_text(&self, tokens: &[Token]) -> String {
        let lone_name = matches!(tokens, [token] if token.kind == Kind::Ident);
        if !lone_name && let Some(value) = number::evaluate(tokens, &self.declared) {
            return if value < 0 { format!("({value})") } else { value.to_string() };
        }
        let mut adapted: Vec<Token> = Vec::with_capacity(tokens.len());
        for token in tokens {
            let mut token = token.clone();
            match token.kind {
                Kind::Number => {
                    if let Some(value) = number::integer(&token.text) {
                        token.text = value.to_string();
                    }
                }
                Kind::Char => {
                    if let Some(value) = number::character(&token.text) {
                        token.text = value.to_string();
                    }
                }
                Kind::String => {
                    // Strings one after the other are one.
                    if let Some(last) = adapted.last_mut().filter(|last| last.kind == Kind::String) {
                        last.text.pop();
                        last.text.push_str(token.text.get(1..).unwrap_or("\""));
                        continue;
                    }
                }
                _ => {}
            }
            adapted.push(token);
        }
        spell(&adapted)
    }
}

/// `(x) & 1` with `x` for an argument is not a cast of `& 1`: arguments need no parentheses, as what
/// they stand for is an expression already.
fn without_parentheses(tokens: Vec<Token>, placeholders: &[String]) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.is(")")
            && let [before @ .., open, arg] = out.as_slice()
            && open.is("(")
            && placeholders.contains(&arg.text)
            && before.last().is_none_or(|last| last.kind == Kind::Punct && !last.is(")") && !last.is("]"))
        {
            let open = out.remove(out.len() - 2);
            if let Some(arg) = out.last_mut() {
                arg.spaced = open.spaced;
            }
        } else {
            out.push(token);
        }
    }
    out
}
