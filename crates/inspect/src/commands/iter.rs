//! `iter`: programs that walk over the kernel's objects.

use super::{HELP, MAP, OPTIONS, Object, later};

pub(super) static OBJECT: Object = Object {
    name: "iter",
    commands: &[HELP, later("pin")],
    usage: &["pin OBJ PATH [map MAP]", "help"],
    terms: &["", MAP, OPTIONS],
};
