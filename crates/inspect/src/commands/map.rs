//! `map`: maps.

use skep_kernel::bpf::ObjectKind;

use super::{Body, Command, Object, later, show};
use crate::collect;

pub(super) static OBJECT: Object = Object {
    name: "map",
    commands: &[
        Command { name: "show", usage: "{ show | list } [MAP]", body: SHOW },
        Command { name: "list", usage: "", body: SHOW },
        Command { name: "help", usage: "help", body: Body::Help },
        later("dump"),
        later("update"),
        later("lookup"),
        later("getnext"),
        later("delete"),
        later("pin"),
        later("event_pipe"),
        later("create"),
        later("peek"),
        later("push"),
        later("enqueue"),
        later("pop"),
        later("dequeue"),
        later("freeze"),
    ],
    terms: &[
        "MAP := { id MAP_ID | pinned FILE | name MAP_NAME }",
        "OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |",
        "             {-f|--bpffs} | {-n|--nomount} }",
    ],
};

const SHOW: Body = Body::Run(|session, words| show::run(session, words, ObjectKind::Map, collect::map));
