//! `prog`: programs.

mod dump;
mod tracelog;

use skep_kernel::bpf::ObjectKind;

use super::{Body, Command, HELP, OPTIONS_BEGIN, Object, PROG, later, run, show};
use crate::collect;

pub(super) static OBJECT: Object = Object {
    name: "prog",
    commands: &[
        Command { name: "show", body: SHOW },
        Command { name: "list", body: SHOW },
        HELP,
        run("dump", dump::run),
        later("pin"),
        later("load"),
        later("loadall"),
        later("attach"),
        later("detach"),
        run("tracelog", tracelog::run),
        later("run"),
        later("profile"),
    ],
    usage: &[
        "{ show | list } [PROG]",
        "dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]",
        "dump jited  PROG [{ file FILE | [opcodes] [linum] }]",
        "dump xlated PROG visual { dot | svg | png | ascii }",
        "pin   PROG FILE",
        "{ load | loadall } OBJ  PATH \\",
        "                         [type TYPE] [{ offload_dev | xdpmeta_dev } NAME] \\",
        "                         [map { idx IDX | name NAME } MAP]\\",
        "                         [pinmaps MAP_DIR]",
        "                         [autoattach]",
        "                         [kernel_btf BTF_FILE]",
        "attach PROG ATTACH_TYPE [MAP]",
        "detach PROG ATTACH_TYPE [MAP]",
        "run PROG \\",
        "                         data_in FILE \\",
        "                         [data_out FILE [data_size_out L]] \\",
        "                         [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] \\",
        "                         [repeat N]",
        "profile PROG [duration DURATION] METRICs",
        "tracelog",
        "tracelog { stdout | stderr } PROG",
        "help",
    ],
    terms: &[
        "",
        super::MAP,
        PROG,
        "TYPE := { socket | kprobe | kretprobe | classifier | action |",
        "          tracepoint | raw_tracepoint | xdp | perf_event | cgroup/skb |",
        "          cgroup/sock | cgroup/dev | lwt_in | lwt_out | lwt_xmit |",
        "          lwt_seg6local | sockops | sk_skb | sk_msg | lirc_mode2 |",
        "          sk_reuseport | flow_dissector | cgroup/sysctl |",
        "          cgroup/bind4 | cgroup/bind6 | cgroup/post_bind4 |",
        "          cgroup/post_bind6 | cgroup/connect4 | cgroup/connect6 |",
        "          cgroup/connect_unix | cgroup/getpeername4 | cgroup/getpeername6 |",
        "          cgroup/getpeername_unix | cgroup/getsockname4 | cgroup/getsockname6 |",
        "          cgroup/getsockname_unix | cgroup/sendmsg4 | cgroup/sendmsg6 |",
        "          cgroup/sendmsg_unix | cgroup/recvmsg4 | cgroup/recvmsg6 | cgroup/recvmsg_unix |",
        "          cgroup/getsockopt | cgroup/setsockopt | cgroup/sock_release |",
        "          struct_ops | fentry | fexit | fsession | freplace | sk_lookup }",
        "ATTACH_TYPE := { sk_msg_verdict | sk_skb_verdict | sk_skb_stream_verdict |",
        "                 sk_skb_stream_parser | flow_dissector }",
        "METRIC := { cycles | instructions | l1d_loads | llc_misses | itlb_misses | dtlb_misses }",
        OPTIONS_BEGIN,
        "             {-f|--bpffs} | {-m|--mapcompat} | {-n|--nomount} |",
        "             {-L|--use-loader} | [ {-S|--sign } {-k} <private_key.pem> {-i} <certificate.x509> ] ",
    ],
};

const SHOW: Body = Body::Run(|session, words| show::run(session, words, ObjectKind::Prog, collect::prog));
