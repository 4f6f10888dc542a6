//! Script text to a typed, resolved program.
//!
//! Pure: what must be known of the kernel is asked of a [`world::World`]. Text
//! becomes a tree in [`syntax`], which never fails; [`prepare`] brings in imported
//! files and C headers and expands macros; the tree becomes the typed program of [`hir`]
//! in [`sema`].

pub mod c;
pub mod dump;
pub mod formatter;
pub mod hir;
pub mod names;
pub mod portable;
pub mod prepare;
pub mod sema;
mod stdlib;
pub mod syntax;
pub mod ty;
pub mod walk;
pub mod world;

pub use dump::dump;
pub use prepare::{Prepared, prepare};
pub use sema::{
    Analysis, Listed, Options, ProgramOption, analyse, check_settings, compile_front, list, list_types,
    program_options, searches,
};
