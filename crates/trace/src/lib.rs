//! A compiled script made live: loaded, attached, read, decoded, handed to a sink. And the command line of the
//! tracing face.
//!
//! ```text
//! script text --compile--> Artifact --Session::load--> programs and maps in the kernel
//!     --attach--> links --rings--> reader --decode--> Event --> Sink (text, JSON, your closure)
//! ```
//!
//! Everything the command line does goes through the public interface: [`compile`], [`Session`], [`Sink`].

pub mod aggregate;
pub mod aot;
mod attach;
pub mod cli;
mod compile;
pub mod decode;
mod error;
mod files;
pub mod host;
mod load;
mod lost;
pub mod maps;
mod pace;
mod pcap;
mod plan;
mod reader;
mod refusal;
mod second_signal;
pub mod series;
mod session;
mod shown;
pub mod sink;
pub mod stack;
mod symbols;
mod unwind;
mod user_space;
mod world;

pub use compile::{Compiled, compile};
pub use error::{Error, Refusal, Result};
pub use session::{Ended, Mode, Notice, Notices, Options, Outcome, Session};
pub use sink::Sink;
pub use skep_lang::Options as CompileOptions;
pub use skep_lang::world::{World, WorldError};
pub use world::KernelWorld;
