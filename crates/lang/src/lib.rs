//! Script text to a typed, resolved program.
//!
//! Pure: what must be known of the kernel is asked of a [`world::World`]. Text
//! becomes a tree in [`syntax`], which never fails; the tree becomes the typed
//! program of [`hir`].

pub mod dump;
pub mod hir;
pub mod names;
pub mod sema;
pub mod syntax;
pub mod ty;
pub mod walk;
pub mod world;

pub use dump::dump;
pub use sema::{Analysis, Listed, Options, analyse, compile_front, list};
