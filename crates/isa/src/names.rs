//! The kernel's numbered kinds of programs, maps, attachments and links, with the names users know.
//!
//! Numbers are those of the UAPI header, names the ones libbpf and bpftool print. A kernel newer than the
//! tables may report a number without a name, so these are numbers with constants and not closed enums.

use std::fmt;

/// Makes a number type from its rows: value, constant, printed name.
macro_rules! kinds {
    ($( #[doc = $doc:literal] $kind:ident { $( $value:literal $constant:ident $name:literal; )* } )*) => { $(
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $kind(pub u32);

        impl $kind {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self($value);
            )*

            /// Every known value with its name, ordered by value from 0 without gaps.
            pub const ALL: &[(Self, &str)] = &[ $( (Self::$constant, $name), )* ];

            /// The name, if the value is known.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Self::ALL.get(self.0 as usize).map(|(_, name)| *name)
            }

            /// The value of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
            }
        }

        impl fmt::Display for $kind {
            /// The name, or `type N` for a value that has none.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "type {}", self.0),
                }
            }
        }
    )* };
}

kinds! {
    /// A kind of program, `enum bpf_prog_type`.
    ProgType {
        0 UNSPEC "unspec";
        1 SOCKET_FILTER "socket_filter";
        2 KPROBE "kprobe";
        3 SCHED_CLS "sched_cls";
        4 SCHED_ACT "sched_act";
        5 TRACEPOINT "tracepoint";
        6 XDP "xdp";
        7 PERF_EVENT "perf_event";
        8 CGROUP_SKB "cgroup_skb";
        9 CGROUP_SOCK "cgroup_sock";
        10 LWT_IN "lwt_in";
        11 LWT_OUT "lwt_out";
        12 LWT_XMIT "lwt_xmit";
        13 SOCK_OPS "sock_ops";
        14 SK_SKB "sk_skb";
        15 CGROUP_DEVICE "cgroup_device";
        16 SK_MSG "sk_msg";
        17 RAW_TRACEPOINT "raw_tracepoint";
        18 CGROUP_SOCK_ADDR "cgroup_sock_addr";
        19 LWT_SEG6LOCAL "lwt_seg6local";
        20 LIRC_MODE2 "lirc_mode2";
        21 SK_REUSEPORT "sk_reuseport";
        22 FLOW_DISSECTOR "flow_dissector";
        23 CGROUP_SYSCTL "cgroup_sysctl";
        24 RAW_TRACEPOINT_WRITABLE "raw_tracepoint_writable";
        25 CGROUP_SOCKOPT "cgroup_sockopt";
        26 TRACING "tracing";
        27 STRUCT_OPS "struct_ops";
        28 EXT "ext";
        29 LSM "lsm";
        30 SK_LOOKUP "sk_lookup";
        31 SYSCALL "syscall";
        32 NETFILTER "netfilter";
    }

    /// A kind of map, `enum bpf_map_type`.
    MapType {
        0 UNSPEC "unspec";
        1 HASH "hash";
        2 ARRAY "array";
        3 PROG_ARRAY "prog_array";
        4 PERF_EVENT_ARRAY "perf_event_array";
        5 PERCPU_HASH "percpu_hash";
        6 PERCPU_ARRAY "percpu_array";
        7 STACK_TRACE "stack_trace";
        8 CGROUP_ARRAY "cgroup_array";
        9 LRU_HASH "lru_hash";
        10 LRU_PERCPU_HASH "lru_percpu_hash";
        11 LPM_TRIE "lpm_trie";
        12 ARRAY_OF_MAPS "array_of_maps";
        13 HASH_OF_MAPS "hash_of_maps";
        14 DEVMAP "devmap";
        15 SOCKMAP "sockmap";
        16 CPUMAP "cpumap";
        17 XSKMAP "xskmap";
        18 SOCKHASH "sockhash";
        19 CGROUP_STORAGE "cgroup_storage";
        20 REUSEPORT_SOCKARRAY "reuseport_sockarray";
        21 PERCPU_CGROUP_STORAGE "percpu_cgroup_storage";
        22 QUEUE "queue";
        23 STACK "stack";
        24 SK_STORAGE "sk_storage";
        25 DEVMAP_HASH "devmap_hash";
        26 STRUCT_OPS "struct_ops";
        27 RINGBUF "ringbuf";
        28 INODE_STORAGE "inode_storage";
        29 TASK_STORAGE "task_storage";
        30 BLOOM_FILTER "bloom_filter";
        31 USER_RINGBUF "user_ringbuf";
        32 CGRP_STORAGE "cgrp_storage";
        33 ARENA "arena";
        34 INSN_ARRAY "insn_array";
        35 RHASH "rhash";
    }

    /// Where a program is attached, `enum bpf_attach_type`.
    AttachType {
        0 CGROUP_INET_INGRESS "cgroup_inet_ingress";
        1 CGROUP_INET_EGRESS "cgroup_inet_egress";
        2 CGROUP_INET_SOCK_CREATE "cgroup_inet_sock_create";
        3 CGROUP_SOCK_OPS "cgroup_sock_ops";
        4 SK_SKB_STREAM_PARSER "sk_skb_stream_parser";
        5 SK_SKB_STREAM_VERDICT "sk_skb_stream_verdict";
        6 CGROUP_DEVICE "cgroup_device";
        7 SK_MSG_VERDICT "sk_msg_verdict";
        8 CGROUP_INET4_BIND "cgroup_inet4_bind";
        9 CGROUP_INET6_BIND "cgroup_inet6_bind";
        10 CGROUP_INET4_CONNECT "cgroup_inet4_connect";
        11 CGROUP_INET6_CONNECT "cgroup_inet6_connect";
        12 CGROUP_INET4_POST_BIND "cgroup_inet4_post_bind";
        13 CGROUP_INET6_POST_BIND "cgroup_inet6_post_bind";
        14 CGROUP_UDP4_SENDMSG "cgroup_udp4_sendmsg";
        15 CGROUP_UDP6_SENDMSG "cgroup_udp6_sendmsg";
        16 LIRC_MODE2 "lirc_mode2";
        17 FLOW_DISSECTOR "flow_dissector";
        18 CGROUP_SYSCTL "cgroup_sysctl";
        19 CGROUP_UDP4_RECVMSG "cgroup_udp4_recvmsg";
        20 CGROUP_UDP6_RECVMSG "cgroup_udp6_recvmsg";
        21 CGROUP_GETSOCKOPT "cgroup_getsockopt";
        22 CGROUP_SETSOCKOPT "cgroup_setsockopt";
        23 TRACE_RAW_TP "trace_raw_tp";
        24 TRACE_FENTRY "trace_fentry";
        25 TRACE_FEXIT "trace_fexit";
        26 MODIFY_RETURN "modify_return";
        27 LSM_MAC "lsm_mac";
        28 TRACE_ITER "trace_iter";
        29 CGROUP_INET4_GETPEERNAME "cgroup_inet4_getpeername";
        30 CGROUP_INET6_GETPEERNAME "cgroup_inet6_getpeername";
        31 CGROUP_INET4_GETSOCKNAME "cgroup_inet4_getsockname";
        32 CGROUP_INET6_GETSOCKNAME "cgroup_inet6_getsockname";
        33 XDP_DEVMAP "xdp_devmap";
        34 CGROUP_INET_SOCK_RELEASE "cgroup_inet_sock_release";
        35 XDP_CPUMAP "xdp_cpumap";
        36 SK_LOOKUP "sk_lookup";
        37 XDP "xdp";
        38 SK_SKB_VERDICT "sk_skb_verdict";
        39 SK_REUSEPORT_SELECT "sk_reuseport_select";
        40 SK_REUSEPORT_SELECT_OR_MIGRATE "sk_reuseport_select_or_migrate";
        41 PERF_EVENT "perf_event";
        42 TRACE_KPROBE_MULTI "trace_kprobe_multi";
        43 LSM_CGROUP "lsm_cgroup";
        44 STRUCT_OPS "struct_ops";
        45 NETFILTER "netfilter";
        46 TCX_INGRESS "tcx_ingress";
        47 TCX_EGRESS "tcx_egress";
        48 TRACE_UPROBE_MULTI "trace_uprobe_multi";
        49 CGROUP_UNIX_CONNECT "cgroup_unix_connect";
        50 CGROUP_UNIX_SENDMSG "cgroup_unix_sendmsg";
        51 CGROUP_UNIX_RECVMSG "cgroup_unix_recvmsg";
        52 CGROUP_UNIX_GETPEERNAME "cgroup_unix_getpeername";
        53 CGROUP_UNIX_GETSOCKNAME "cgroup_unix_getsockname";
        54 NETKIT_PRIMARY "netkit_primary";
        55 NETKIT_PEER "netkit_peer";
        56 TRACE_KPROBE_SESSION "trace_kprobe_session";
        57 TRACE_UPROBE_SESSION "trace_uprobe_session";
        58 TRACE_FSESSION "trace_fsession";
        59 TRACE_FENTRY_MULTI "trace_fentry_multi";
        60 TRACE_FEXIT_MULTI "trace_fexit_multi";
        61 TRACE_FSESSION_MULTI "trace_fsession_multi";
    }

    /// A kind of link, `enum bpf_link_type`.
    LinkType {
        0 UNSPEC "unspec";
        1 RAW_TRACEPOINT "raw_tracepoint";
        2 TRACING "tracing";
        3 CGROUP "cgroup";
        4 ITER "iter";
        5 NETNS "netns";
        6 XDP "xdp";
        7 PERF_EVENT "perf_event";
        8 KPROBE_MULTI "kprobe_multi";
        9 STRUCT_OPS "struct_ops";
        10 NETFILTER "netfilter";
        11 TCX "tcx";
        12 UPROBE_MULTI "uprobe_multi";
        13 NETKIT "netkit";
        14 SOCKMAP "sockmap";
        15 TRACING_MULTI "tracing_multi";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: impl Iterator<Item = (u32, &'static str)>, len: usize) {
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), len);
        for (at, (value, name)) in all.iter().enumerate() {
            assert_eq!(*value as usize, at, "{name}");
        }
    }

    #[test]
    fn tables_are_dense() {
        check(ProgType::ALL.iter().map(|(v, n)| (v.0, *n)), 33);
        check(MapType::ALL.iter().map(|(v, n)| (v.0, *n)), 36);
        check(AttachType::ALL.iter().map(|(v, n)| (v.0, *n)), 62);
        check(LinkType::ALL.iter().map(|(v, n)| (v.0, *n)), 16);
    }

    #[test]
    fn names_go_both_ways() {
        assert_eq!(ProgType::from_name("raw_tracepoint"), Some(ProgType::RAW_TRACEPOINT));
        assert_eq!(MapType::RINGBUF.name(), Some("ringbuf"));
        assert_eq!(AttachType::MODIFY_RETURN.to_string(), "modify_return");
        assert_eq!(LinkType(4000).to_string(), "type 4000");
        assert_eq!(LinkType::from_name("bogus"), None);
    }
}
