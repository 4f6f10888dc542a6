//! Script text to a typed, resolved program.
//!
//! Pure: what must be known of the kernel is asked of a [`world::World`]. Text
//! becomes a tree in [`syntax`], which never fails; the tree becomes the typed
//! program of [`hir`].

pub mod hir;
pub mod syntax;
pub mod ty;
pub mod world;
