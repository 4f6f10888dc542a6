//! What can go wrong between a compiled script and its output.

use std::io;
use std::path::PathBuf;

use skep_kernel::Errno;
use skep_ui::{Colors, Diagnostic, Diagnostics, SourceMap};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The script is wrong, or exceeds what can be compiled.
    #[error("the script does not compile")]
    Script(Diagnostics),
    /// The kernel refuses something.
    #[error("{what}: {source}")]
    Kernel {
        /// What was being done, to begin a sentence with.
        what: String,
        /// Why.
        source: skep_kernel::Error,
    },
    /// The kernel's verifier refuses a program.
    #[error("{}", .0.diagnostic.message)]
    Verifier(Box<Refusal>),
    /// A probe cannot be attached.
    #[error(
        "Unable to attach probe: {probe}. If this is expected, set the 'missing_probes' config variable to 'warn'.\n{source}{}",
        .advice.as_ref().map(|advice| format!("\nHINT: {advice}")).unwrap_or_default()
    )]
    Attach {
        /// Its full name.
        probe: String,
        /// Why.
        source: skep_kernel::Error,
        /// What to do instead, where something is known.
        advice: Option<String>,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Usage(String),
    /// Stacks are to be unwound, and nobody says whose.
    #[error("dw_ustack requires a target process. Use -p, -c, or --dwarf-pid to specify one.")]
    NothingToUnwind,
    /// Results cannot be written.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

/// A program that the verifier refused.
#[derive(Debug)]
pub struct Refusal {
    /// What to tell the user, with the place in the script.
    pub diagnostic: Diagnostic,
    /// Where everything is written down: script line, listing, log.
    pub report: Option<PathBuf>,
}

impl Error {
    /// Adds what was being done.
    pub(crate) fn kernel(what: impl Into<String>) -> impl FnOnce(skep_kernel::Error) -> Error {
        let what = what.into();
        move |source| Error::Kernel { what, source }
    }

    /// The message as the user sees it, each line ended by a newline.
    pub fn render(&self, sources: &SourceMap, colors: Colors) -> String {
        match self {
            Error::Script(diagnostics) => diagnostics.render(sources, colors),
            Error::Verifier(refusal) => refusal.diagnostic.render(sources, colors),
            other => {
                let mut text = String::new();
                if matches!(other, Error::Attach { source, .. } if source.errno() == Some(Errno::EILSEQ)) {
                    let inside = "Possible attachment attempt in the middle of an instruction, try a different offset.";
                    text.push_str(&Diagnostic::error_without_place(inside).render(sources, colors));
                }
                text.push_str(&Diagnostic::error_without_place(other.to_string()).render(sources, colors));
                text
            }
        }
    }

    /// The exit status that the original gives it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Script(_) | Error::Usage(_) | Error::Output(_) | Error::Kernel { .. } => 1,
            Error::Verifier(_) | Error::Attach { .. } | Error::NothingToUnwind => 255,
        }
    }
}
