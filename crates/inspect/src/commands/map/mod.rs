//! `map`: maps.

mod data;
mod element;
mod read;

use skep_kernel::bpf::ObjectKind;

use super::{Body, Command, HELP, OPTIONS_BEGIN, Object, PROG, later, run, show};
use crate::collect;

pub(super) static OBJECT: Object = Object {
    name: "map",
    commands: &[
        Command { name: "show", body: SHOW },
        Command { name: "list", body: SHOW },
        HELP,
        run("dump", read::dump),
        later("update"),
        run("lookup", read::lookup),
        run("getnext", read::next),
        later("delete"),
        later("pin"),
        later("event_pipe"),
        later("create"),
        run("peek", read::lookup),
        later("push"),
        later("enqueue"),
        later("pop"),
        later("dequeue"),
        later("freeze"),
    ],
    usage: &[
        "{ show | list }   [MAP]",
        "create     FILE type TYPE key KEY_SIZE value VALUE_SIZE \\",
        "                                  entries MAX_ENTRIES name NAME [flags FLAGS] \\",
        "                                  [inner_map MAP] [offload_dev NAME]",
        "dump       MAP",
        "update     MAP [key DATA] [value VALUE] [UPDATE_FLAGS]",
        "lookup     MAP [key DATA]",
        "getnext    MAP [key DATA]",
        "delete     MAP  key DATA",
        "pin        MAP  FILE",
        "event_pipe MAP [cpu N index M]",
        "peek       MAP",
        "push       MAP value VALUE",
        "pop        MAP",
        "enqueue    MAP value VALUE",
        "dequeue    MAP",
        "freeze     MAP",
        "help",
    ],
    terms: &[
        "",
        super::MAP,
        "DATA := { [hex] BYTES }",
        PROG,
        "VALUE := { DATA | MAP | PROG }",
        "UPDATE_FLAGS := { any | exist | noexist }",
        "TYPE := { hash | array | prog_array | perf_event_array | percpu_hash |",
        "          percpu_array | stack_trace | cgroup_array | lru_hash |",
        "          lru_percpu_hash | lpm_trie | array_of_maps | hash_of_maps |",
        "          devmap | devmap_hash | sockmap | cpumap | xskmap | sockhash |",
        "          cgroup_storage | reuseport_sockarray | percpu_cgroup_storage |",
        "          queue | stack | sk_storage | struct_ops | ringbuf | inode_storage |",
        "          task_storage | bloom_filter | user_ringbuf | cgrp_storage | arena |",
        "          insn_array | rhash }",
        OPTIONS_BEGIN,
        "             {-f|--bpffs} | {-n|--nomount} }",
    ],
};

const SHOW: Body = Body::Run(|session, words| show::run(session, words, ObjectKind::Map, collect::map));
