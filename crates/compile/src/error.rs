//! Why a program that is right as a script cannot become a BPF program.

use skep_ui::Span;

/// The script is fine but a program made from it exceeds what the kernel can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The language knows it, the compiler does not yet.
    #[error("{what} cannot be compiled yet")]
    Unsupported {
        /// Where it stands.
        span: Span,
        /// What it is, to begin a sentence with.
        what: String,
    },
    /// Too many jumps do not reach their targets.
    #[error(
        "this probe compiles to {insns} instructions, and too many jumps within it are longer than the kernel allows \
         (32,767 instructions); make it shorter or split it into several probes"
    )]
    TooLong {
        /// The probe.
        span: Span,
        /// Its length.
        insns: usize,
    },
    /// The values alive at once do not fit the stack even with everything else moved away.
    #[error(
        "this probe keeps too many values at once: they need {needed} bytes of the 512 bytes of stack; \
         use fewer variables at the same time or split the probe"
    )]
    Stack {
        /// The probe.
        span: Span,
        /// Bytes of the values that fit no register.
        needed: u32,
    },
    /// More functions would be active at once than the kernel allows.
    #[error(
        "loops and functions are nested too deeply here: the kernel allows eight at once, the probe included"
    )]
    Depth {
        /// The innermost that is too deep.
        span: Span,
    },
    /// The strings, tuples and buffers of one program exceed what a per-CPU map value may have.
    #[error(
        "the strings and buffers of this probe need {needed} bytes at once, the kernel gives at most {limit}; \
         read shorter texts (`str(p, n)`, max_strlen) or split the probe"
    )]
    Scratch {
        /// The probe.
        span: Span,
        /// Bytes needed.
        needed: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// The compiler contradicts itself. Not the script's fault.
    #[error("the compiler made a mistake: {what}; please report it together with the script")]
    Internal {
        /// The probe.
        span: Span,
        /// What went wrong.
        what: String,
    },
}

impl Error {
    /// The probe it is about.
    pub fn span(&self) -> Span {
        match self {
            Error::Unsupported { span, .. }
            | Error::TooLong { span, .. }
            | Error::Stack { span, .. }
            | Error::Depth { span }
            | Error::Scratch { span, .. }
            | Error::Internal { span, .. } => *span,
        }
    }
}
