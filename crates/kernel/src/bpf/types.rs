//! The kernel's enumerations for bpf(2): commands and the types of programs, maps, links and attachments.
//!
//! Each is an open number with names: a newer kernel may know values that this table does not, and they must
//! pass through unharmed. The names are those that libbpf and bpftool print.

use std::fmt;

/// Declares an open enumeration with a constant and a printed name per value.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($konst:ident = $value:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(
            /// The kernel's number.
            pub u32,
        );

        #[allow(missing_docs, reason = "each constant is the kernel's own name")]
        impl $name {
            $(pub const $konst: Self = Self($value);)*

            /// All values this table knows, in the kernel's order.
            pub const ALL: &[Self] = &[$(Self($value),)*];

            /// The name as libbpf prints it; `None` for a value newer than this table.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)* _ => None }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self($value)),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

open_enum! {
    /// A command of bpf(2) (`enum bpf_cmd`).
    Cmd {
        MAP_CREATE = 0 "bpf(BPF_MAP_CREATE)",
        MAP_LOOKUP_ELEM = 1 "bpf(BPF_MAP_LOOKUP_ELEM)",
        MAP_UPDATE_ELEM = 2 "bpf(BPF_MAP_UPDATE_ELEM)",
        MAP_DELETE_ELEM = 3 "bpf(BPF_MAP_DELETE_ELEM)",
        MAP_GET_NEXT_KEY = 4 "bpf(BPF_MAP_GET_NEXT_KEY)",
        PROG_LOAD = 5 "bpf(BPF_PROG_LOAD)",
        OBJ_PIN = 6 "bpf(BPF_OBJ_PIN)",
        OBJ_GET = 7 "bpf(BPF_OBJ_GET)",
        PROG_ATTACH = 8 "bpf(BPF_PROG_ATTACH)",
        PROG_DETACH = 9 "bpf(BPF_PROG_DETACH)",
        PROG_TEST_RUN = 10 "bpf(BPF_PROG_TEST_RUN)",
        PROG_GET_NEXT_ID = 11 "bpf(BPF_PROG_GET_NEXT_ID)",
        MAP_GET_NEXT_ID = 12 "bpf(BPF_MAP_GET_NEXT_ID)",
        PROG_GET_FD_BY_ID = 13 "bpf(BPF_PROG_GET_FD_BY_ID)",
        MAP_GET_FD_BY_ID = 14 "bpf(BPF_MAP_GET_FD_BY_ID)",
        OBJ_GET_INFO_BY_FD = 15 "bpf(BPF_OBJ_GET_INFO_BY_FD)",
        PROG_QUERY = 16 "bpf(BPF_PROG_QUERY)",
        RAW_TRACEPOINT_OPEN = 17 "bpf(BPF_RAW_TRACEPOINT_OPEN)",
        BTF_LOAD = 18 "bpf(BPF_BTF_LOAD)",
        BTF_GET_FD_BY_ID = 19 "bpf(BPF_BTF_GET_FD_BY_ID)",
        TASK_FD_QUERY = 20 "bpf(BPF_TASK_FD_QUERY)",
        MAP_LOOKUP_AND_DELETE_ELEM = 21 "bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM)",
        MAP_FREEZE = 22 "bpf(BPF_MAP_FREEZE)",
        BTF_GET_NEXT_ID = 23 "bpf(BPF_BTF_GET_NEXT_ID)",
        MAP_LOOKUP_BATCH = 24 "bpf(BPF_MAP_LOOKUP_BATCH)",
        MAP_LOOKUP_AND_DELETE_BATCH = 25 "bpf(BPF_MAP_LOOKUP_AND_DELETE_BATCH)",
        MAP_UPDATE_BATCH = 26 "bpf(BPF_MAP_UPDATE_BATCH)",
        MAP_DELETE_BATCH = 27 "bpf(BPF_MAP_DELETE_BATCH)",
        LINK_CREATE = 28 "bpf(BPF_LINK_CREATE)",
        LINK_UPDATE = 29 "bpf(BPF_LINK_UPDATE)",
        LINK_GET_FD_BY_ID = 30 "bpf(BPF_LINK_GET_FD_BY_ID)",
        LINK_GET_NEXT_ID = 31 "bpf(BPF_LINK_GET_NEXT_ID)",
        ENABLE_STATS = 32 "bpf(BPF_ENABLE_STATS)",
        ITER_CREATE = 33 "bpf(BPF_ITER_CREATE)",
        LINK_DETACH = 34 "bpf(BPF_LINK_DETACH)",
        PROG_BIND_MAP = 35 "bpf(BPF_PROG_BIND_MAP)",
        TOKEN_CREATE = 36 "bpf(BPF_TOKEN_CREATE)",
        PROG_STREAM_READ_BY_FD = 37 "bpf(BPF_PROG_STREAM_READ_BY_FD)",
        PROG_ASSOC_STRUCT_OPS = 38 "bpf(BPF_PROG_ASSOC_STRUCT_OPS)",
    }
}

open_enum! {
    /// The type of a map (`enum bpf_map_type`).
    MapType {
        UNSPEC = 0 "unspec",
        HASH = 1 "hash",
        ARRAY = 2 "array",
        PROG_ARRAY = 3 "prog_array",
        PERF_EVENT_ARRAY = 4 "perf_event_array",
        PERCPU_HASH = 5 "percpu_hash",
        PERCPU_ARRAY = 6 "percpu_array",
        STACK_TRACE = 7 "stack_trace",
        CGROUP_ARRAY = 8 "cgroup_array",
        LRU_HASH = 9 "lru_hash",
        LRU_PERCPU_HASH = 10 "lru_percpu_hash",
        LPM_TRIE = 11 "lpm_trie",
        ARRAY_OF_MAPS = 12 "array_of_maps",
        HASH_OF_MAPS = 13 "hash_of_maps",
        DEVMAP = 14 "devmap",
        SOCKMAP = 15 "sockmap",
        CPUMAP = 16 "cpumap",
        XSKMAP = 17 "xskmap",
        SOCKHASH = 18 "sockhash",
        CGROUP_STORAGE = 19 "cgroup_storage",
        REUSEPORT_SOCKARRAY = 20 "reuseport_sockarray",
        PERCPU_CGROUP_STORAGE = 21 "percpu_cgroup_storage",
        QUEUE = 22 "queue",
        STACK = 23 "stack",
        SK_STORAGE = 24 "sk_storage",
        DEVMAP_HASH = 25 "devmap_hash",
        STRUCT_OPS = 26 "struct_ops",
        RINGBUF = 27 "ringbuf",
        INODE_STORAGE = 28 "inode_storage",
        TASK_STORAGE = 29 "task_storage",
        BLOOM_FILTER = 30 "bloom_filter",
        USER_RINGBUF = 31 "user_ringbuf",
        CGRP_STORAGE = 32 "cgrp_storage",
        ARENA = 33 "arena",
        INSN_ARRAY = 34 "insn_array",
        RHASH = 35 "rhash",
    }
}

impl MapType {
    /// Whether a value read by a system call is one slot per possible CPU, each rounded up to 8 bytes.
    pub const fn is_per_cpu(self) -> bool {
        matches!(
            self,
            Self::PERCPU_HASH | Self::PERCPU_ARRAY | Self::LRU_PERCPU_HASH | Self::PERCPU_CGROUP_STORAGE
        )
    }
}

open_enum! {
    /// The type of a program (`enum bpf_prog_type`).
    ProgType {
        UNSPEC = 0 "unspec",
        SOCKET_FILTER = 1 "socket_filter",
        KPROBE = 2 "kprobe",
        SCHED_CLS = 3 "sched_cls",
        SCHED_ACT = 4 "sched_act",
        TRACEPOINT = 5 "tracepoint",
        XDP = 6 "xdp",
        PERF_EVENT = 7 "perf_event",
        CGROUP_SKB = 8 "cgroup_skb",
        CGROUP_SOCK = 9 "cgroup_sock",
        LWT_IN = 10 "lwt_in",
        LWT_OUT = 11 "lwt_out",
        LWT_XMIT = 12 "lwt_xmit",
        SOCK_OPS = 13 "sock_ops",
        SK_SKB = 14 "sk_skb",
        CGROUP_DEVICE = 15 "cgroup_device",
        SK_MSG = 16 "sk_msg",
        RAW_TRACEPOINT = 17 "raw_tracepoint",
        CGROUP_SOCK_ADDR = 18 "cgroup_sock_addr",
        LWT_SEG6LOCAL = 19 "lwt_seg6local",
        LIRC_MODE2 = 20 "lirc_mode2",
        SK_REUSEPORT = 21 "sk_reuseport",
        FLOW_DISSECTOR = 22 "flow_dissector",
        CGROUP_SYSCTL = 23 "cgroup_sysctl",
        RAW_TRACEPOINT_WRITABLE = 24 "raw_tracepoint_writable",
        CGROUP_SOCKOPT = 25 "cgroup_sockopt",
        TRACING = 26 "tracing",
        STRUCT_OPS = 27 "struct_ops",
        EXT = 28 "ext",
        LSM = 29 "lsm",
        SK_LOOKUP = 30 "sk_lookup",
        SYSCALL = 31 "syscall",
        NETFILTER = 32 "netfilter",
    }
}

open_enum! {
    /// Where a program expects to be attached (`enum bpf_attach_type`).
    AttachType {
        CGROUP_INET_INGRESS = 0 "cgroup_inet_ingress",
        CGROUP_INET_EGRESS = 1 "cgroup_inet_egress",
        CGROUP_INET_SOCK_CREATE = 2 "cgroup_inet_sock_create",
        CGROUP_SOCK_OPS = 3 "cgroup_sock_ops",
        SK_SKB_STREAM_PARSER = 4 "sk_skb_stream_parser",
        SK_SKB_STREAM_VERDICT = 5 "sk_skb_stream_verdict",
        CGROUP_DEVICE = 6 "cgroup_device",
        SK_MSG_VERDICT = 7 "sk_msg_verdict",
        CGROUP_INET4_BIND = 8 "cgroup_inet4_bind",
        CGROUP_INET6_BIND = 9 "cgroup_inet6_bind",
        CGROUP_INET4_CONNECT = 10 "cgroup_inet4_connect",
        CGROUP_INET6_CONNECT = 11 "cgroup_inet6_connect",
        CGROUP_INET4_POST_BIND = 12 "cgroup_inet4_post_bind",
        CGROUP_INET6_POST_BIND = 13 "cgroup_inet6_post_bind",
        CGROUP_UDP4_SENDMSG = 14 "cgroup_udp4_sendmsg",
        CGROUP_UDP6_SENDMSG = 15 "cgroup_udp6_sendmsg",
        LIRC_MODE2 = 16 "lirc_mode2",
        FLOW_DISSECTOR = 17 "flow_dissector",
        CGROUP_SYSCTL = 18 "cgroup_sysctl",
        CGROUP_UDP4_RECVMSG = 19 "cgroup_udp4_recvmsg",
        CGROUP_UDP6_RECVMSG = 20 "cgroup_udp6_recvmsg",
        CGROUP_GETSOCKOPT = 21 "cgroup_getsockopt",
        CGROUP_SETSOCKOPT = 22 "cgroup_setsockopt",
        TRACE_RAW_TP = 23 "trace_raw_tp",
        TRACE_FENTRY = 24 "trace_fentry",
        TRACE_FEXIT = 25 "trace_fexit",
        MODIFY_RETURN = 26 "modify_return",
        LSM_MAC = 27 "lsm_mac",
        TRACE_ITER = 28 "trace_iter",
        CGROUP_INET4_GETPEERNAME = 29 "cgroup_inet4_getpeername",
        CGROUP_INET6_GETPEERNAME = 30 "cgroup_inet6_getpeername",
        CGROUP_INET4_GETSOCKNAME = 31 "cgroup_inet4_getsockname",
        CGROUP_INET6_GETSOCKNAME = 32 "cgroup_inet6_getsockname",
        XDP_DEVMAP = 33 "xdp_devmap",
        CGROUP_INET_SOCK_RELEASE = 34 "cgroup_inet_sock_release",
        XDP_CPUMAP = 35 "xdp_cpumap",
        SK_LOOKUP = 36 "sk_lookup",
        XDP = 37 "xdp",
        SK_SKB_VERDICT = 38 "sk_skb_verdict",
        SK_REUSEPORT_SELECT = 39 "sk_reuseport_select",
        SK_REUSEPORT_SELECT_OR_MIGRATE = 40 "sk_reuseport_select_or_migrate",
        PERF_EVENT = 41 "perf_event",
        TRACE_KPROBE_MULTI = 42 "trace_kprobe_multi",
        LSM_CGROUP = 43 "lsm_cgroup",
        STRUCT_OPS = 44 "struct_ops",
        NETFILTER = 45 "netfilter",
        TCX_INGRESS = 46 "tcx_ingress",
        TCX_EGRESS = 47 "tcx_egress",
        TRACE_UPROBE_MULTI = 48 "trace_uprobe_multi",
        CGROUP_UNIX_CONNECT = 49 "cgroup_unix_connect",
        CGROUP_UNIX_SENDMSG = 50 "cgroup_unix_sendmsg",
        CGROUP_UNIX_RECVMSG = 51 "cgroup_unix_recvmsg",
        CGROUP_UNIX_GETPEERNAME = 52 "cgroup_unix_getpeername",
        CGROUP_UNIX_GETSOCKNAME = 53 "cgroup_unix_getsockname",
        NETKIT_PRIMARY = 54 "netkit_primary",
        NETKIT_PEER = 55 "netkit_peer",
        TRACE_KPROBE_SESSION = 56 "trace_kprobe_session",
        TRACE_UPROBE_SESSION = 57 "trace_uprobe_session",
        TRACE_FSESSION = 58 "trace_fsession",
        TRACE_FENTRY_MULTI = 59 "trace_fentry_multi",
        TRACE_FEXIT_MULTI = 60 "trace_fexit_multi",
        TRACE_FSESSION_MULTI = 61 "trace_fsession_multi",
    }
}

open_enum! {
    /// The type of a link (`enum bpf_link_type`).
    LinkType {
        UNSPEC = 0 "unspec",
        RAW_TRACEPOINT = 1 "raw_tracepoint",
        TRACING = 2 "tracing",
        CGROUP = 3 "cgroup",
        ITER = 4 "iter",
        NETNS = 5 "netns",
        XDP = 6 "xdp",
        PERF_EVENT = 7 "perf_event",
        KPROBE_MULTI = 8 "kprobe_multi",
        STRUCT_OPS = 9 "struct_ops",
        NETFILTER = 10 "netfilter",
        TCX = 11 "tcx",
        UPROBE_MULTI = 12 "uprobe_multi",
        NETKIT = 13 "netkit",
        SOCKMAP = 14 "sockmap",
        TRACING_MULTI = 15 "tracing_multi",
    }
}
