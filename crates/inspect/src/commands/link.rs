//! `link`: programs attached to places.

use skep_kernel::bpf::ObjectKind;

use super::{Body, Command, HELP, OPTIONS_BEGIN, Object, later, show};
use crate::collect;

pub(super) static OBJECT: Object = Object {
    name: "link",
    commands: &[
        Command { name: "show", body: SHOW },
        Command { name: "list", body: SHOW },
        HELP,
        later("pin"),
        later("detach"),
    ],
    usage: &["{ show | list }   [LINK]", "pin        LINK  FILE", "detach     LINK", "help"],
    terms: &[
        "",
        "LINK := { id LINK_ID | pinned FILE }",
        OPTIONS_BEGIN,
        "             {-f|--bpffs} | {-n|--nomount} }",
    ],
};

const SHOW: Body = Body::Run(|session, words| show::run(session, words, ObjectKind::Link, collect::link));
