//! `iter`: programs that walk over the kernel's objects.

use skep_kernel::bpf::{LinkType, ObjectKind};

use super::{Body, Command, HELP, MAP, OPTIONS_BEGIN, Object, later, show};
use crate::collect;
use crate::model::{Link, TypeName};

pub(super) static OBJECT: Object = Object {
    name: "iter",
    // The original has no `show`, so it comes last: words cut short mean there what they mean here.
    commands: &[
        HELP,
        later("pin"),
        Command { name: "show", body: SHOW },
        Command { name: "list", body: SHOW },
    ],
    usage: &["pin OBJ PATH [map MAP]", "{ show | list } [LINK]", "help"],
    terms: &[
        "",
        MAP,
        "LINK := { id LINK_ID | pinned FILE }",
        OPTIONS_BEGIN,
        "             {-f|--bpffs} | {-n|--nomount} }",
    ],
};

/// An iterator is a link whose file runs its program when somebody reads it.
const SHOW: Body =
    Body::Run(|session, words| show::those(session, words, ObjectKind::Link, collect::link, is_iterator));

fn is_iterator(link: &Link) -> bool {
    link.kind == TypeName::new(LinkType::ITER.name(), LinkType::ITER.0)
}
