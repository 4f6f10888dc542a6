//! `btf`: types.

mod dump;
mod raw;
mod show;
mod source;

use super::{HELP, MAP, OPTIONS_BEGIN, Object, PROG, run};

pub(super) static OBJECT: Object = Object {
    name: "btf",
    commands: &[run("show", show::run), run("list", show::run), HELP, run("dump", dump::run)],
    usage: &["{ show | list } [id BTF_ID]", "dump BTF_SRC [format FORMAT] [root_id ROOT_ID]", "help"],
    terms: &[
        "",
        "BTF_SRC := { id BTF_ID | prog PROG | map MAP [{key | value | kv | all}] |",
        "             file FILE [file FILE]... }",
        "FORMAT  := { raw | c [unsorted] }",
        MAP,
        PROG,
        OPTIONS_BEGIN,
        "             {-B|--base-btf} }",
    ],
};
