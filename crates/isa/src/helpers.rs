//! The kernel's helper functions: number, name, and for those that tracing programs use, the signature.
//!
//! The set is frozen at 211 (Linux 6.2); newer functions are kfuncs, found through BTF. Numbers and names are
//! those of `enum bpf_func_id` in the kernel's UAPI header, signatures follow each helper's `bpf_func_proto`.

/// One helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Helper {
    /// The number a call's immediate holds.
    pub id: u32,
    /// The name without the prefix `bpf_`.
    pub name: &'static str,
    /// What it takes and gives; `None` for helpers that only networking programs use.
    pub signature: Option<Signature>,
}

/// What a helper takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The arguments, in r1 to r5; at most five. Optional further ones, as `bpf_trace_printk` has, are left
    /// out.
    pub args: &'static [Arg],
    /// What r0 holds afterwards.
    pub ret: Ret,
}

/// What an argument of a helper is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arg {
    /// Any number.
    Scalar,
    /// Flag bits.
    Flags,
    /// An address that the helper checks itself: nothing is known about it.
    Address,
    /// The program's context.
    Ctx,
    /// A map.
    Map,
    /// Memory of the map's key size, read.
    MapKey,
    /// Memory of the map's value size, read.
    MapValue,
    /// As [`Arg::MapValue`], or null.
    MapValueOrNull,
    /// Memory of the map's value size, written.
    MapValueOut,
    /// Memory that is read; the next argument is its size.
    Mem,
    /// As [`Arg::Mem`], or null.
    MemOrNull,
    /// Memory that is written and need not be initialised; the next argument is its size, except where the
    /// helper writes eight bytes.
    MemOut,
    /// As [`Arg::MemOut`], or null.
    MemOutOrNull,
    /// Bytes in the memory of the previous argument, not zero.
    Size,
    /// Bytes in the memory of the previous argument.
    SizeOrZero,
    /// A constant number of bytes to hand out.
    AllocSize,
    /// A NUL-terminated string in a read-only map.
    Str,
    /// A function of this program.
    Func,
    /// A pointer into the stack that a callback receives, or null.
    StackPtrOrNull,
    /// A kernel object known by its BTF type.
    Object,
    /// As [`Arg::Object`], or null.
    ObjectOrNull,
    /// A field of a map value that the kernel manages: spin lock, timer, kptr.
    MapField,
    /// A record reserved in a ring buffer; the call gives it up.
    Record,
    /// An initialised dynptr.
    Dynptr,
    /// Stack memory that becomes a dynptr.
    DynptrOut,
}

/// What a helper returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// Nothing: r0 is undefined.
    Void,
    /// A number.
    Scalar,
    /// 0 or a negative errno.
    Status,
    /// A pointer to a map's value, or null.
    MapValueOrNull,
    /// A pointer to as many bytes as an argument asked for, or null.
    MemOrNull,
    /// A ring buffer record that must be submitted or discarded, or null.
    RecordOrNull,
    /// A kernel object.
    Object,
    /// A kernel object, or null.
    ObjectOrNull,
}

/// The helper of this number.
#[must_use]
pub fn helper_by_id(id: u32) -> Option<&'static Helper> {
    // The table is ordered and without gaps from 1, which a test holds.
    HELPERS.get((id as usize).checked_sub(1)?)
}

/// The helper of this name, written with or without the prefix `bpf_`.
#[must_use]
pub fn helper_by_name(name: &str) -> Option<&'static Helper> {
    let bare = name.strip_prefix("bpf_").unwrap_or(name);
    HELPERS.iter().find(|helper| helper.name == bare)
}

/// Turns the rows into the table and the module of numbers.
macro_rules! helpers {
    ($( $id:literal $constant:ident $name:literal $( ($($arg:ident),*) -> $ret:ident )?; )*) => {
        /// The helpers' numbers, for [`crate::Insn::call_helper`].
        pub mod id {
            $(
                #[doc = concat!("`bpf_", $name, "`")]
                pub const $constant: u32 = $id;
            )*
        }

        /// Every helper, ordered by number from 1.
        pub static HELPERS: &[Helper] = &[
            $( Helper { id: $id, name: $name, signature: helpers!(@signature $( ($($arg),*) -> $ret )?) }, )*
        ];
    };
    (@signature) => { None };
    (@signature ($($arg:ident),*) -> $ret:ident) => {
        Some(Signature { args: &[$(Arg::$arg),*], ret: Ret::$ret })
    };
}

helpers! {
    1 MAP_LOOKUP_ELEM "map_lookup_elem" (Map, MapKey) -> MapValueOrNull;
    2 MAP_UPDATE_ELEM "map_update_elem" (Map, MapKey, MapValue, Flags) -> Status;
    3 MAP_DELETE_ELEM "map_delete_elem" (Map, MapKey) -> Status;
    4 PROBE_READ "probe_read" (MemOut, SizeOrZero, Address) -> Status;
    5 KTIME_GET_NS "ktime_get_ns" () -> Scalar;
    6 TRACE_PRINTK "trace_printk" (Mem, Size) -> Scalar;
    7 GET_PRANDOM_U32 "get_prandom_u32" () -> Scalar;
    8 GET_SMP_PROCESSOR_ID "get_smp_processor_id" () -> Scalar;
    9 SKB_STORE_BYTES "skb_store_bytes";
    10 L3_CSUM_REPLACE "l3_csum_replace";
    11 L4_CSUM_REPLACE "l4_csum_replace";
    12 TAIL_CALL "tail_call" (Ctx, Map, Scalar) -> Void;
    13 CLONE_REDIRECT "clone_redirect";
    14 GET_CURRENT_PID_TGID "get_current_pid_tgid" () -> Scalar;
    15 GET_CURRENT_UID_GID "get_current_uid_gid" () -> Scalar;
    16 GET_CURRENT_COMM "get_current_comm" (MemOut, Size) -> Status;
    17 GET_CGROUP_CLASSID "get_cgroup_classid" (Ctx) -> Scalar;
    18 SKB_VLAN_PUSH "skb_vlan_push";
    19 SKB_VLAN_POP "skb_vlan_pop";
    20 SKB_GET_TUNNEL_KEY "skb_get_tunnel_key";
    21 SKB_SET_TUNNEL_KEY "skb_set_tunnel_key";
    22 PERF_EVENT_READ "perf_event_read" (Map, Flags) -> Scalar;
    23 REDIRECT "redirect";
    24 GET_ROUTE_REALM "get_route_realm";
    25 PERF_EVENT_OUTPUT "perf_event_output" (Ctx, Map, Flags, Mem, SizeOrZero) -> Status;
    26 SKB_LOAD_BYTES "skb_load_bytes";
    27 GET_STACKID "get_stackid" (Ctx, Map, Flags) -> Scalar;
    28 CSUM_DIFF "csum_diff" (MemOrNull, SizeOrZero, MemOrNull, SizeOrZero, Scalar) -> Scalar;
    29 SKB_GET_TUNNEL_OPT "skb_get_tunnel_opt";
    30 SKB_SET_TUNNEL_OPT "skb_set_tunnel_opt";
    31 SKB_CHANGE_PROTO "skb_change_proto";
    32 SKB_CHANGE_TYPE "skb_change_type";
    33 SKB_UNDER_CGROUP "skb_under_cgroup";
    34 GET_HASH_RECALC "get_hash_recalc";
    35 GET_CURRENT_TASK "get_current_task" () -> Scalar;
    36 PROBE_WRITE_USER "probe_write_user" (Address, Mem, Size) -> Status;
    37 CURRENT_TASK_UNDER_CGROUP "current_task_under_cgroup" (Map, Scalar) -> Scalar;
    38 SKB_CHANGE_TAIL "skb_change_tail";
    39 SKB_PULL_DATA "skb_pull_data";
    40 CSUM_UPDATE "csum_update";
    41 SET_HASH_INVALID "set_hash_invalid";
    42 GET_NUMA_NODE_ID "get_numa_node_id" () -> Scalar;
    43 SKB_CHANGE_HEAD "skb_change_head";
    44 XDP_ADJUST_HEAD "xdp_adjust_head";
    45 PROBE_READ_STR "probe_read_str" (MemOut, SizeOrZero, Address) -> Scalar;
    46 GET_SOCKET_COOKIE "get_socket_cookie";
    47 GET_SOCKET_UID "get_socket_uid";
    48 SET_HASH "set_hash";
    49 SETSOCKOPT "setsockopt";
    50 SKB_ADJUST_ROOM "skb_adjust_room";
    51 REDIRECT_MAP "redirect_map";
    52 SK_REDIRECT_MAP "sk_redirect_map";
    53 SOCK_MAP_UPDATE "sock_map_update";
    54 XDP_ADJUST_META "xdp_adjust_meta";
    55 PERF_EVENT_READ_VALUE "perf_event_read_value" (Map, Flags, MemOut, Size) -> Status;
    56 PERF_PROG_READ_VALUE "perf_prog_read_value" (Ctx, MemOut, Size) -> Status;
    57 GETSOCKOPT "getsockopt";
    58 OVERRIDE_RETURN "override_return" (Ctx, Scalar) -> Status;
    59 SOCK_OPS_CB_FLAGS_SET "sock_ops_cb_flags_set";
    60 MSG_REDIRECT_MAP "msg_redirect_map";
    61 MSG_APPLY_BYTES "msg_apply_bytes";
    62 MSG_CORK_BYTES "msg_cork_bytes";
    63 MSG_PULL_DATA "msg_pull_data";
    64 BIND "bind";
    65 XDP_ADJUST_TAIL "xdp_adjust_tail";
    66 SKB_GET_XFRM_STATE "skb_get_xfrm_state";
    67 GET_STACK "get_stack" (Ctx, MemOut, SizeOrZero, Flags) -> Scalar;
    68 SKB_LOAD_BYTES_RELATIVE "skb_load_bytes_relative";
    69 FIB_LOOKUP "fib_lookup";
    70 SOCK_HASH_UPDATE "sock_hash_update";
    71 MSG_REDIRECT_HASH "msg_redirect_hash";
    72 SK_REDIRECT_HASH "sk_redirect_hash";
    73 LWT_PUSH_ENCAP "lwt_push_encap";
    74 LWT_SEG6_STORE_BYTES "lwt_seg6_store_bytes";
    75 LWT_SEG6_ADJUST_SRH "lwt_seg6_adjust_srh";
    76 LWT_SEG6_ACTION "lwt_seg6_action";
    77 RC_REPEAT "rc_repeat";
    78 RC_KEYDOWN "rc_keydown";
    79 SKB_CGROUP_ID "skb_cgroup_id";
    80 GET_CURRENT_CGROUP_ID "get_current_cgroup_id" () -> Scalar;
    81 GET_LOCAL_STORAGE "get_local_storage";
    82 SK_SELECT_REUSEPORT "sk_select_reuseport";
    83 SKB_ANCESTOR_CGROUP_ID "skb_ancestor_cgroup_id";
    84 SK_LOOKUP_TCP "sk_lookup_tcp";
    85 SK_LOOKUP_UDP "sk_lookup_udp";
    86 SK_RELEASE "sk_release";
    87 MAP_PUSH_ELEM "map_push_elem" (Map, MapValue, Flags) -> Status;
    88 MAP_POP_ELEM "map_pop_elem" (Map, MapValueOut) -> Status;
    89 MAP_PEEK_ELEM "map_peek_elem" (Map, MapValueOut) -> Status;
    90 MSG_PUSH_DATA "msg_push_data";
    91 MSG_POP_DATA "msg_pop_data";
    92 RC_POINTER_REL "rc_pointer_rel";
    93 SPIN_LOCK "spin_lock" (MapField) -> Void;
    94 SPIN_UNLOCK "spin_unlock" (MapField) -> Void;
    95 SK_FULLSOCK "sk_fullsock";
    96 TCP_SOCK "tcp_sock";
    97 SKB_ECN_SET_CE "skb_ecn_set_ce";
    98 GET_LISTENER_SOCK "get_listener_sock";
    99 SKC_LOOKUP_TCP "skc_lookup_tcp";
    100 TCP_CHECK_SYNCOOKIE "tcp_check_syncookie";
    101 SYSCTL_GET_NAME "sysctl_get_name";
    102 SYSCTL_GET_CURRENT_VALUE "sysctl_get_current_value";
    103 SYSCTL_GET_NEW_VALUE "sysctl_get_new_value";
    104 SYSCTL_SET_NEW_VALUE "sysctl_set_new_value";
    105 STRTOL "strtol" (Mem, Size, Flags, MemOut) -> Scalar;
    106 STRTOUL "strtoul" (Mem, Size, Flags, MemOut) -> Scalar;
    107 SK_STORAGE_GET "sk_storage_get" (Map, Object, MapValueOrNull, Flags) -> MapValueOrNull;
    108 SK_STORAGE_DELETE "sk_storage_delete" (Map, Object) -> Status;
    109 SEND_SIGNAL "send_signal" (Scalar) -> Status;
    110 TCP_GEN_SYNCOOKIE "tcp_gen_syncookie";
    111 SKB_OUTPUT "skb_output" (Object, Map, Flags, Mem, SizeOrZero) -> Status;
    112 PROBE_READ_USER "probe_read_user" (MemOut, SizeOrZero, Address) -> Status;
    113 PROBE_READ_KERNEL "probe_read_kernel" (MemOut, SizeOrZero, Address) -> Status;
    114 PROBE_READ_USER_STR "probe_read_user_str" (MemOut, SizeOrZero, Address) -> Scalar;
    115 PROBE_READ_KERNEL_STR "probe_read_kernel_str" (MemOut, SizeOrZero, Address) -> Scalar;
    116 TCP_SEND_ACK "tcp_send_ack";
    117 SEND_SIGNAL_THREAD "send_signal_thread" (Scalar) -> Status;
    118 JIFFIES64 "jiffies64" () -> Scalar;
    119 READ_BRANCH_RECORDS "read_branch_records" (Ctx, MemOutOrNull, SizeOrZero, Flags) -> Scalar;
    120 GET_NS_CURRENT_PID_TGID "get_ns_current_pid_tgid" (Scalar, Scalar, MemOut, Size) -> Status;
    121 XDP_OUTPUT "xdp_output" (Object, Map, Flags, Mem, SizeOrZero) -> Status;
    122 GET_NETNS_COOKIE "get_netns_cookie";
    123 GET_CURRENT_ANCESTOR_CGROUP_ID "get_current_ancestor_cgroup_id" (Scalar) -> Scalar;
    124 SK_ASSIGN "sk_assign";
    125 KTIME_GET_BOOT_NS "ktime_get_boot_ns" () -> Scalar;
    126 SEQ_PRINTF "seq_printf" (Object, Mem, Size, MemOrNull, SizeOrZero) -> Status;
    127 SEQ_WRITE "seq_write" (Object, Mem, SizeOrZero) -> Status;
    128 SK_CGROUP_ID "sk_cgroup_id";
    129 SK_ANCESTOR_CGROUP_ID "sk_ancestor_cgroup_id";
    130 RINGBUF_OUTPUT "ringbuf_output" (Map, Mem, SizeOrZero, Flags) -> Status;
    131 RINGBUF_RESERVE "ringbuf_reserve" (Map, AllocSize, Flags) -> RecordOrNull;
    132 RINGBUF_SUBMIT "ringbuf_submit" (Record, Flags) -> Void;
    133 RINGBUF_DISCARD "ringbuf_discard" (Record, Flags) -> Void;
    134 RINGBUF_QUERY "ringbuf_query" (Map, Flags) -> Scalar;
    135 CSUM_LEVEL "csum_level";
    136 SKC_TO_TCP6_SOCK "skc_to_tcp6_sock" (Object) -> ObjectOrNull;
    137 SKC_TO_TCP_SOCK "skc_to_tcp_sock" (Object) -> ObjectOrNull;
    138 SKC_TO_TCP_TIMEWAIT_SOCK "skc_to_tcp_timewait_sock" (Object) -> ObjectOrNull;
    139 SKC_TO_TCP_REQUEST_SOCK "skc_to_tcp_request_sock" (Object) -> ObjectOrNull;
    140 SKC_TO_UDP6_SOCK "skc_to_udp6_sock" (Object) -> ObjectOrNull;
    141 GET_TASK_STACK "get_task_stack" (Object, MemOut, SizeOrZero, Flags) -> Scalar;
    142 LOAD_HDR_OPT "load_hdr_opt";
    143 STORE_HDR_OPT "store_hdr_opt";
    144 RESERVE_HDR_OPT "reserve_hdr_opt";
    145 INODE_STORAGE_GET "inode_storage_get" (Map, Object, MapValueOrNull, Flags) -> MapValueOrNull;
    146 INODE_STORAGE_DELETE "inode_storage_delete" (Map, Object) -> Status;
    147 D_PATH "d_path" (Object, MemOut, SizeOrZero) -> Scalar;
    148 COPY_FROM_USER "copy_from_user" (MemOut, SizeOrZero, Address) -> Status;
    149 SNPRINTF_BTF "snprintf_btf" (MemOut, Size, Mem, Size, Flags) -> Scalar;
    150 SEQ_PRINTF_BTF "seq_printf_btf" (Object, Mem, SizeOrZero, Flags) -> Status;
    151 SKB_CGROUP_CLASSID "skb_cgroup_classid";
    152 REDIRECT_NEIGH "redirect_neigh";
    153 PER_CPU_PTR "per_cpu_ptr" (Object, Scalar) -> ObjectOrNull;
    154 THIS_CPU_PTR "this_cpu_ptr" (Object) -> Object;
    155 REDIRECT_PEER "redirect_peer";
    156 TASK_STORAGE_GET "task_storage_get" (Map, Object, MapValueOrNull, Flags) -> MapValueOrNull;
    157 TASK_STORAGE_DELETE "task_storage_delete" (Map, Object) -> Status;
    158 GET_CURRENT_TASK_BTF "get_current_task_btf" () -> Object;
    159 BPRM_OPTS_SET "bprm_opts_set" (Object, Flags) -> Status;
    160 KTIME_GET_COARSE_NS "ktime_get_coarse_ns" () -> Scalar;
    161 IMA_INODE_HASH "ima_inode_hash" (Object, MemOut, Size) -> Scalar;
    162 SOCK_FROM_FILE "sock_from_file" (Object) -> ObjectOrNull;
    163 CHECK_MTU "check_mtu";
    164 FOR_EACH_MAP_ELEM "for_each_map_elem" (Map, Func, StackPtrOrNull, Flags) -> Scalar;
    165 SNPRINTF "snprintf" (MemOutOrNull, SizeOrZero, Str, MemOrNull, SizeOrZero) -> Scalar;
    166 SYS_BPF "sys_bpf" (Scalar, Mem, Size) -> Scalar;
    167 BTF_FIND_BY_NAME_KIND "btf_find_by_name_kind" (Mem, Size, Scalar, Flags) -> Scalar;
    168 SYS_CLOSE "sys_close" (Scalar) -> Status;
    169 TIMER_INIT "timer_init" (MapField, Map, Flags) -> Status;
    170 TIMER_SET_CALLBACK "timer_set_callback" (MapField, Func) -> Status;
    171 TIMER_START "timer_start" (MapField, Scalar, Flags) -> Status;
    172 TIMER_CANCEL "timer_cancel" (MapField) -> Status;
    173 GET_FUNC_IP "get_func_ip" (Ctx) -> Scalar;
    174 GET_ATTACH_COOKIE "get_attach_cookie" (Ctx) -> Scalar;
    175 TASK_PT_REGS "task_pt_regs" (Object) -> Object;
    176 GET_BRANCH_SNAPSHOT "get_branch_snapshot" (MemOut, SizeOrZero, Flags) -> Scalar;
    177 TRACE_VPRINTK "trace_vprintk" (Mem, Size, MemOrNull, SizeOrZero) -> Scalar;
    178 SKC_TO_UNIX_SOCK "skc_to_unix_sock" (Object) -> ObjectOrNull;
    179 KALLSYMS_LOOKUP_NAME "kallsyms_lookup_name" (Mem, SizeOrZero, Flags, MemOut) -> Status;
    180 FIND_VMA "find_vma" (Object, Scalar, Func, StackPtrOrNull, Flags) -> Status;
    181 LOOP "loop" (Scalar, Func, StackPtrOrNull, Flags) -> Scalar;
    182 STRNCMP "strncmp" (Mem, Size, Str) -> Scalar;
    183 GET_FUNC_ARG "get_func_arg" (Ctx, Scalar, MemOut) -> Status;
    184 GET_FUNC_RET "get_func_ret" (Ctx, MemOut) -> Status;
    185 GET_FUNC_ARG_CNT "get_func_arg_cnt" (Ctx) -> Scalar;
    186 GET_RETVAL "get_retval" () -> Scalar;
    187 SET_RETVAL "set_retval" (Scalar) -> Status;
    188 XDP_GET_BUFF_LEN "xdp_get_buff_len";
    189 XDP_LOAD_BYTES "xdp_load_bytes";
    190 XDP_STORE_BYTES "xdp_store_bytes";
    191 COPY_FROM_USER_TASK "copy_from_user_task" (MemOut, SizeOrZero, Address, Object, Flags) -> Status;
    192 SKB_SET_TSTAMP "skb_set_tstamp";
    193 IMA_FILE_HASH "ima_file_hash" (Object, MemOut, Size) -> Scalar;
    194 KPTR_XCHG "kptr_xchg" (MapField, ObjectOrNull) -> ObjectOrNull;
    195 MAP_LOOKUP_PERCPU_ELEM "map_lookup_percpu_elem" (Map, MapKey, Scalar) -> MapValueOrNull;
    196 SKC_TO_MPTCP_SOCK "skc_to_mptcp_sock" (Object) -> ObjectOrNull;
    197 DYNPTR_FROM_MEM "dynptr_from_mem" (Mem, SizeOrZero, Flags, DynptrOut) -> Status;
    198 RINGBUF_RESERVE_DYNPTR "ringbuf_reserve_dynptr" (Map, Scalar, Flags, DynptrOut) -> Status;
    199 RINGBUF_SUBMIT_DYNPTR "ringbuf_submit_dynptr" (Dynptr, Flags) -> Void;
    200 RINGBUF_DISCARD_DYNPTR "ringbuf_discard_dynptr" (Dynptr, Flags) -> Void;
    201 DYNPTR_READ "dynptr_read" (MemOut, SizeOrZero, Dynptr, Scalar, Flags) -> Status;
    202 DYNPTR_WRITE "dynptr_write" (Dynptr, Scalar, Mem, SizeOrZero, Flags) -> Status;
    203 DYNPTR_DATA "dynptr_data" (Dynptr, Scalar, AllocSize) -> MemOrNull;
    204 TCP_RAW_GEN_SYNCOOKIE_IPV4 "tcp_raw_gen_syncookie_ipv4";
    205 TCP_RAW_GEN_SYNCOOKIE_IPV6 "tcp_raw_gen_syncookie_ipv6";
    206 TCP_RAW_CHECK_SYNCOOKIE_IPV4 "tcp_raw_check_syncookie_ipv4";
    207 TCP_RAW_CHECK_SYNCOOKIE_IPV6 "tcp_raw_check_syncookie_ipv6";
    208 KTIME_GET_TAI_NS "ktime_get_tai_ns" () -> Scalar;
    209 USER_RINGBUF_DRAIN "user_ringbuf_drain" (Map, Func, StackPtrOrNull, Flags) -> Scalar;
    210 CGRP_STORAGE_GET "cgrp_storage_get" (Map, Object, MapValueOrNull, Flags) -> MapValueOrNull;
    211 CGRP_STORAGE_DELETE "cgrp_storage_delete" (Map, Object) -> Status;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_dense_and_names_match_constants() {
        assert_eq!(HELPERS.len(), 211);
        for (at, helper) in HELPERS.iter().enumerate() {
            assert_eq!(helper.id as usize, at + 1, "{}", helper.name);
            assert_eq!(helper_by_id(helper.id), Some(helper));
            assert_eq!(helper_by_name(helper.name), Some(helper));
            assert_eq!(helper_by_name(&format!("bpf_{}", helper.name)), Some(helper));
            assert!(helper.signature.is_none_or(|s| s.args.len() <= 5), "{}", helper.name);
        }
        assert_eq!(helper_by_id(0), None);
        assert_eq!(helper_by_id(212), None);
        assert_eq!(helper_by_name("nonsense"), None);
        assert_eq!(id::CGRP_STORAGE_DELETE, 211);
    }

    #[test]
    fn sizes_follow_memory() {
        for helper in HELPERS {
            let args = helper.signature.map_or(&[][..], |s| s.args);
            for (at, arg) in args.iter().enumerate() {
                if matches!(arg, Arg::Size | Arg::SizeOrZero) {
                    let before = at.checked_sub(1).and_then(|i| args.get(i));
                    assert!(
                        matches!(before, Some(Arg::Mem | Arg::MemOrNull | Arg::MemOut | Arg::MemOutOrNull)),
                        "{}: argument {at} is the size of {before:?}",
                        helper.name
                    );
                }
            }
        }
    }
}
