//! Flags of bpf(2) by name (include/uapi/linux/bpf.h).

use super::node::Node;

/// A set of bits: their names in the order they are shown.
pub struct Set {
    bits: &'static [(u64, &'static str)],
    /// What zero is called; empty for `0`.
    zero: &'static str,
    /// What a value without any known bit is said to be one of.
    prefix: &'static str,
}

impl Set {
    /// The names of a value's bits.
    pub fn of(&self, value: u64) -> Node {
        let mut rest = value;
        let mut names = Vec::new();
        for &(bit, name) in self.bits {
            if rest & bit != 0 {
                rest &= !bit;
                names.push(name);
            }
        }
        Node::Flags { names, rest, zero: self.zero, set: self.prefix }
    }
}

/// Of a map that is made.
pub static MAP: Set = Set {
    bits: &[
        (1 << 0, "BPF_F_NO_PREALLOC"),
        (1 << 1, "BPF_F_NO_COMMON_LRU"),
        (1 << 2, "BPF_F_NUMA_NODE"),
        (1 << 3, "BPF_F_RDONLY"),
        (1 << 4, "BPF_F_WRONLY"),
        (1 << 5, "BPF_F_STACK_BUILD_ID"),
        (1 << 6, "BPF_F_ZERO_SEED"),
        (1 << 7, "BPF_F_RDONLY_PROG"),
        (1 << 8, "BPF_F_WRONLY_PROG"),
        (1 << 9, "BPF_F_CLONE"),
        (1 << 10, "BPF_F_MMAPABLE"),
        (1 << 11, "BPF_F_PRESERVE_ELEMS"),
        (1 << 12, "BPF_F_INNER_MAP"),
        (1 << 13, "BPF_F_LINK"),
        (1 << 14, "BPF_F_PATH_FD"),
        (1 << 15, "BPF_F_VTYPE_BTF_OBJ_FD"),
        (1 << 16, "BPF_F_TOKEN_FD"),
        (1 << 17, "BPF_F_SEGV_ON_FAULT"),
        (1 << 18, "BPF_F_NO_USER_CONV"),
        (1 << 19, "BPF_F_RB_OVERWRITE"),
    ],
    zero: "",
    prefix: "BPF_F_",
};

/// Of an object that is opened or pinned.
pub static OPEN: Set = Set {
    bits: &[
        (1 << 3, "BPF_F_RDONLY"),
        (1 << 4, "BPF_F_WRONLY"),
        (1 << 14, "BPF_F_PATH_FD"),
        (1 << 16, "BPF_F_TOKEN_FD"),
    ],
    zero: "",
    prefix: "BPF_F_",
};

/// Of an element that is written.
pub static UPDATE: Set = Set {
    bits: &[
        (16, "BPF_F_ALL_CPUS"),
        (8, "BPF_F_CPU"),
        (4, "BPF_F_LOCK"),
        (2, "BPF_EXIST"),
        (1, "BPF_NOEXIST"),
    ],
    zero: "BPF_ANY",
    prefix: "BPF_",
};

/// Of an element that is read.
pub static LOOKUP: Set = Set {
    bits: &[(16, "BPF_F_ALL_CPUS"), (8, "BPF_F_CPU"), (4, "BPF_F_LOCK")],
    zero: "BPF_ANY",
    prefix: "BPF_",
};

/// Of a program that is loaded.
pub static PROG: Set = Set {
    bits: &[
        (1 << 0, "BPF_F_STRICT_ALIGNMENT"),
        (1 << 1, "BPF_F_ANY_ALIGNMENT"),
        (1 << 2, "BPF_F_TEST_RND_HI32"),
        (1 << 3, "BPF_F_TEST_STATE_FREQ"),
        (1 << 4, "BPF_F_SLEEPABLE"),
        (1 << 5, "BPF_F_XDP_HAS_FRAGS"),
        (1 << 6, "BPF_F_XDP_DEV_BOUND_ONLY"),
        (1 << 7, "BPF_F_TEST_REG_INVARIANTS"),
        (1 << 16, "BPF_F_TOKEN_FD"),
    ],
    zero: "",
    prefix: "BPF_F_",
};

/// Of a program that is attached, and of links.
pub static ATTACH: Set = Set {
    bits: &[
        (1 << 0, "BPF_F_ALLOW_OVERRIDE"),
        (1 << 1, "BPF_F_ALLOW_MULTI"),
        (1 << 2, "BPF_F_REPLACE"),
        (1 << 3, "BPF_F_BEFORE"),
        (1 << 4, "BPF_F_AFTER"),
        (1 << 5, "BPF_F_ID"),
        (1 << 6, "BPF_F_PREORDER"),
        (1 << 13, "BPF_F_LINK"),
    ],
    zero: "",
    prefix: "BPF_F_",
};

/// Of a query for attached programs.
pub static QUERY: Set = Set { bits: &[(1, "BPF_F_QUERY_EFFECTIVE")], zero: "", prefix: "BPF_F_QUERY_" };

/// Of a test run.
pub static TEST: Set = Set {
    bits: &[
        (1, "BPF_F_TEST_RUN_ON_CPU"),
        (2, "BPF_F_TEST_XDP_LIVE_FRAMES"),
        (4, "BPF_F_TEST_SKB_CHECKSUM_COMPLETE"),
    ],
    zero: "",
    prefix: "BPF_F_TEST_",
};

/// Of a link to many kernel functions.
pub static KPROBE_MULTI: Set =
    Set { bits: &[(1, "BPF_F_KPROBE_MULTI_RETURN")], zero: "", prefix: "BPF_F_KPROBE_MULTI_" };

/// Of a link to many places of a program.
pub static UPROBE_MULTI: Set =
    Set { bits: &[(1, "BPF_F_UPROBE_MULTI_RETURN")], zero: "", prefix: "BPF_F_UPROBE_MULTI_" };

/// Of a link to a hook of netfilter.
pub static NETFILTER: Set =
    Set { bits: &[(1, "BPF_F_NETFILTER_IP_DEFRAG")], zero: "", prefix: "BPF_F_NETFILTER_" };
