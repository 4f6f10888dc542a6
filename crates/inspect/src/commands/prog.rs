//! `prog`: programs.

use skep_kernel::bpf::ObjectKind;

use super::{Body, Command, Object, later, show};
use crate::collect;

pub(super) static OBJECT: Object = Object {
    name: "prog",
    commands: &[
        Command { name: "show", usage: "{ show | list } [PROG]", body: SHOW },
        Command { name: "list", usage: "", body: SHOW },
        Command { name: "help", usage: "help", body: Body::Help },
        later("dump"),
        later("pin"),
        later("load"),
        later("loadall"),
        later("attach"),
        later("detach"),
        later("tracelog"),
        later("run"),
        later("profile"),
    ],
    terms: &[
        "PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }",
        "OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |",
        "             {-f|--bpffs} | {-m|--mapcompat} | {-n|--nomount} |",
        "             {-L|--use-loader} }",
    ],
};

const SHOW: Body = Body::Run(|session, words| show::run(session, words, ObjectKind::Prog, collect::prog));
