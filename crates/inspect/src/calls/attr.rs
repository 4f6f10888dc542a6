//! The attributes of each command of bpf(2), as far as the caller filled them (include/uapi/linux/bpf.h).

use skep_kernel::bpf::{AttachType, Cmd, MapType, ProgType};

use super::flags::{self, Set};
use super::node::Node;

/// Longest structure of attributes that the kernel takes: a page.
pub const MAX_SIZE: u32 = 4096;

/// The caller, as far as its memory and descriptors are concerned.
pub trait Caller {
    /// As many of `len` bytes at an address as can be read.
    fn read(&self, address: u64, len: usize) -> Vec<u8>;
    /// What a descriptor is.
    fn fd_path(&self, fd: i32) -> Option<String>;
    /// The name of a network interface.
    fn interface(&self, index: u32) -> Option<String>;
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// Instructions, structures and bytes beyond what is known.
    pub verbose: bool,
    /// What descriptors are.
    pub paths: bool,
    /// Bytes of a text that are shown at most.
    pub text: usize,
}

/// A call: its attributes before and after it.
pub struct Call<'a> {
    /// The command.
    pub cmd: Cmd,
    /// Where the attributes are.
    pub address: u64,
    /// How many bytes the caller says they have.
    pub size: u32,
    /// The attributes as the kernel found them.
    pub before: &'a [u8],
    /// The attributes as the kernel left them.
    pub after: &'a [u8],
    /// The structure that BPF_OBJ_GET_INFO_BY_FD was given.
    pub info: &'a [u8],
    /// Whether the call succeeded.
    pub success: bool,
    /// The caller's memory.
    pub caller: &'a dyn Caller,
    /// What is shown.
    pub detail: Detail,
}

impl Call<'_> {
    /// The attributes as a tree; the address alone where they cannot be read or the command is not known.
    pub fn decode(&self) -> Node {
        let readable = self.size > 0 && self.size <= MAX_SIZE && self.before.len() == self.size as usize;
        let Some(command) = command(self.cmd).filter(|_| readable) else {
            return Node::Address(self.address);
        };
        let mut fields = Fields { call: self, since: 0, known: command.size, out: Vec::new() };
        (command.fields)(&mut fields);
        let Fields { mut out, known, .. } = fields;
        if let Some(group) = command.group {
            out = vec![(group, Node::Struct(out))];
        }
        let extra = self.before.get(known..).unwrap_or(&[]);
        if extra.iter().any(|byte| *byte != 0) {
            let shown = self.detail.verbose;
            out.push(("extra_data", Node::Extra { at: known, bytes: extra.to_vec(), shown }));
        }
        Node::Struct(out)
    }
}

/// What a command takes.
struct Command {
    /// The structure within the union that holds all of it, if it has a name.
    group: Option<&'static str>,
    /// Bytes that are known.
    size: usize,
    /// Shows each.
    fields: fn(&mut Fields<'_>),
}

fn command(cmd: Cmd) -> Option<Command> {
    let (group, size, fields): (_, _, fn(&mut Fields<'_>)) = match cmd {
        Cmd::MAP_CREATE => (None, 92, map_create),
        Cmd::MAP_LOOKUP_ELEM | Cmd::MAP_LOOKUP_AND_DELETE_ELEM => (None, 32, map_lookup),
        Cmd::MAP_UPDATE_ELEM => (None, 32, map_update),
        Cmd::MAP_DELETE_ELEM => (None, 16, map_delete),
        Cmd::MAP_GET_NEXT_KEY => (None, 24, map_next_key),
        Cmd::PROG_LOAD => (None, 168, prog_load),
        Cmd::OBJ_PIN | Cmd::OBJ_GET => (None, 20, object),
        Cmd::PROG_ATTACH | Cmd::PROG_DETACH => (None, 32, prog_attach),
        Cmd::PROG_TEST_RUN => (Some("test"), 76, test_run),
        Cmd::PROG_GET_NEXT_ID | Cmd::MAP_GET_NEXT_ID | Cmd::BTF_GET_NEXT_ID | Cmd::LINK_GET_NEXT_ID => {
            (None, 8, next_id)
        }
        Cmd::PROG_GET_FD_BY_ID => (None, 4, |f| f.int("prog_id", 0)),
        Cmd::LINK_GET_FD_BY_ID => (None, 4, |f| f.int("link_id", 0)),
        Cmd::MAP_GET_FD_BY_ID => (None, 12, |f| {
            f.int("map_id", 0);
            f.since(8);
            f.flags("open_flags", 8, &flags::OPEN);
        }),
        Cmd::BTF_GET_FD_BY_ID => (None, 16, |f| {
            f.int("btf_id", 0);
            f.since(8);
            f.flags("open_flags", 8, &flags::OPEN);
            f.fd("fd_by_id_token_fd", 12);
        }),
        Cmd::OBJ_GET_INFO_BY_FD => (Some("info"), 16, super::info::object_info),
        Cmd::PROG_QUERY => (Some("query"), 64, prog_query),
        Cmd::RAW_TRACEPOINT_OPEN => (Some("raw_tracepoint"), 24, |f| {
            f.text_at("name", 0, 128);
            f.fd("prog_fd", 8);
            f.since(16);
            f.hex("cookie", 16);
        }),
        Cmd::BTF_LOAD => (None, 40, btf_load),
        Cmd::TASK_FD_QUERY => (Some("task_fd_query"), 48, task_fd_query),
        Cmd::MAP_FREEZE => (None, 4, |f| f.fd("map_fd", 0)),
        Cmd::MAP_LOOKUP_BATCH | Cmd::MAP_LOOKUP_AND_DELETE_BATCH => (Some("batch"), 56, batch_lookup),
        Cmd::MAP_UPDATE_BATCH => (Some("batch"), 56, |f| batch_change(f, true)),
        Cmd::MAP_DELETE_BATCH => (Some("batch"), 56, |f| batch_change(f, false)),
        Cmd::LINK_CREATE => (Some("link_create"), 64, link_create),
        Cmd::LINK_UPDATE => (Some("link_update"), 16, link_update),
        Cmd::ENABLE_STATS => (Some("enable_stats"), 4, |f| {
            f.name("type", 0, |value| (value == 0).then(|| "BPF_STATS_RUN_TIME".into()), "BPF_STATS_");
        }),
        Cmd::ITER_CREATE => (Some("iter_create"), 8, |f| {
            f.fd("link_fd", 0);
            f.hex32("flags", 4);
        }),
        Cmd::LINK_DETACH => (Some("link_detach"), 4, |f| f.fd("link_fd", 0)),
        Cmd::PROG_BIND_MAP => (Some("prog_bind_map"), 12, |f| {
            f.fd("prog_fd", 0);
            f.fd("map_fd", 4);
            f.hex32("flags", 8);
        }),
        Cmd::TOKEN_CREATE => (Some("token_create"), 8, |f| {
            f.hex32("flags", 0);
            f.fd("bpffs_fd", 4);
        }),
        Cmd::PROG_STREAM_READ_BY_FD => (Some("prog_stream_read"), 20, stream_read),
        Cmd::PROG_ASSOC_STRUCT_OPS => (Some("prog_assoc_struct_ops"), 12, |f| {
            f.fd("map_fd", 0);
            f.fd("prog_fd", 4);
            f.hex32("flags", 8);
        }),
        _ => return None,
    };
    Some(Command { group, size, fields })
}

fn map_create(f: &mut Fields<'_>) {
    f.name("map_type", 0, map_type, "BPF_MAP_TYPE_");
    f.int("key_size", 4);
    f.int("value_size", 8);
    f.int("max_entries", 12);
    f.since(16);
    f.flags("map_flags", 16, &flags::MAP);
    f.since(20);
    f.fd("inner_map_fd", 20);
    const NUMA_NODE: u32 = 4;
    if f.u32(16) & NUMA_NODE != 0 {
        f.int("numa_node", 24);
    }
    f.since(28);
    f.inline_name("map_name", 28);
    f.since(44);
    f.interface("map_ifindex", 44);
    f.since(48);
    f.fd("btf_fd", 48);
    f.int("btf_key_type_id", 52);
    f.int("btf_value_type_id", 56);
    f.since(60);
    f.int("btf_vmlinux_value_type_id", 60);
    f.since(64);
    f.uint64("map_extra", 64);
    f.since(72);
    f.fd("value_type_btf_obj_fd", 72);
    f.since(76);
    f.fd("map_token_fd", 76);
    f.since(80);
    f.address("excl_prog_hash", 80);
    f.int("excl_prog_hash_size", 88);
}

fn map_lookup(f: &mut Fields<'_>) {
    f.fd("map_fd", 0);
    f.address("key", 8);
    f.address("value", 16);
    f.since(24);
    f.flags64("flags", 24, &flags::LOOKUP);
}

fn map_update(f: &mut Fields<'_>) {
    f.fd("map_fd", 0);
    f.address("key", 8);
    f.address("value", 16);
    f.flags64("flags", 24, &flags::UPDATE);
}

fn map_delete(f: &mut Fields<'_>) {
    f.fd("map_fd", 0);
    f.address("key", 8);
}

fn map_next_key(f: &mut Fields<'_>) {
    f.fd("map_fd", 0);
    f.address("key", 8);
    f.address("next_key", 16);
}

fn prog_load(f: &mut Fields<'_>) {
    f.name("prog_type", 0, prog_type, "BPF_PROG_TYPE_");
    f.int("insn_cnt", 4);
    f.instructions("insns", 8, 4);
    f.text_at("license", 16, 128);
    f.since(24);
    f.int("log_level", 24);
    f.int("log_size", 28);
    f.push("log_buf", |f| f.log(32, 28));
    f.since(40);
    f.version("kern_version", 40);
    f.since(44);
    f.flags("prog_flags", 44, &flags::PROG);
    f.since(48);
    f.inline_name("prog_name", 48);
    f.since(64);
    f.interface("prog_ifindex", 64);
    f.since(68);
    f.name("expected_attach_type", 68, attach_type, "BPF_");
    f.since(72);
    f.fd("prog_btf_fd", 72);
    f.int("func_info_rec_size", 76);
    f.address("func_info", 80);
    f.int("func_info_cnt", 88);
    f.int("line_info_rec_size", 92);
    f.address("line_info", 96);
    f.int("line_info_cnt", 104);
    f.since(108);
    f.int("attach_btf_id", 108);
    f.since(112);
    f.fd("attach_prog_fd", 112);
    // It fills a gap that was there before.
    f.since(128);
    f.int("core_relo_cnt", 116);
    f.since(120);
    f.address("fd_array", 120);
    f.since(128);
    f.address("core_relos", 128);
    f.int("core_relo_rec_size", 136);
    f.since(140);
    f.int_after("log_true_size", 140);
    f.since(144);
    f.fd("prog_token_fd", 144);
    f.since(148);
    f.int("fd_array_cnt", 148);
    f.since(152);
    f.bytes_at("signature", 152, 160, true);
    f.int("signature_size", 160);
    f.sint("keyring_id", 164);
}

fn object(f: &mut Fields<'_>) {
    f.text_at("pathname", 0, 4096);
    f.fd("bpf_fd", 8);
    f.since(12);
    f.flags("file_flags", 12, &flags::OPEN);
    f.since(16);
    f.fd("path_fd", 16);
}

/// Attach types whose target is a network interface.
fn targets_interface(attach: u32) -> bool {
    attach_type(attach).is_some_and(|name| {
        matches!(
            name.as_str(),
            "BPF_XDP" | "BPF_TCX_INGRESS" | "BPF_TCX_EGRESS" | "BPF_NETKIT_PRIMARY" | "BPF_NETKIT_PEER"
        )
    })
}

fn target(f: &mut Fields<'_>, at: usize, attach: u32) {
    if targets_interface(attach) {
        f.interface("target_ifindex", at);
    } else {
        f.fd("target_fd", at);
    }
}

/// `BPF_F_ID`: the neighbour is named by its number, not by a descriptor.
const BY_ID: u32 = 1 << 5;

/// `BPF_F_BEFORE` and `BPF_F_AFTER`: there is a neighbour.
const BEFORE: u32 = 1 << 3;
const AFTER: u32 = 1 << 4;

fn relative(f: &mut Fields<'_>, at: usize, flags: u32) {
    if flags & BY_ID != 0 {
        f.int("relative_id", at);
    } else {
        f.fd("relative_fd", at);
    }
}

fn prog_attach(f: &mut Fields<'_>) {
    target(f, 0, f.u32(8));
    f.fd("attach_bpf_fd", 4);
    f.name("attach_type", 8, attach_type, "BPF_");
    f.flags("attach_flags", 12, &flags::ATTACH);
    f.since(16);
    f.fd("replace_bpf_fd", 16);
    f.since(20);
    relative(f, 20, f.u32(12));
    f.uint64("expected_revision", 24);
}

fn test_run(f: &mut Fields<'_>) {
    f.fd("prog_fd", 0);
    f.int_changed("retval", 4);
    f.int("data_size_in", 8);
    f.int_changed("data_size_out", 12);
    f.address("data_in", 16);
    f.address("data_out", 24);
    f.int("repeat", 32);
    f.int_changed("duration", 36);
    f.since(40);
    f.int("ctx_size_in", 40);
    f.int_changed("ctx_size_out", 44);
    f.address("ctx_in", 48);
    f.address("ctx_out", 56);
    f.since(64);
    f.flags("flags", 64, &flags::TEST);
    f.int("cpu", 68);
    f.since(72);
    f.int("batch_size", 72);
}

fn next_id(f: &mut Fields<'_>) {
    f.int("start_id", 0);
    f.int_after("next_id", 4);
}

fn prog_query(f: &mut Fields<'_>) {
    target(f, 0, f.u32(4));
    f.name("attach_type", 4, attach_type, "BPF_");
    f.flags("query_flags", 8, &flags::QUERY);
    f.push("attach_flags", |f| flags::ATTACH.of(u64::from(f.after(12))));
    let filled = |f: &mut Fields<'_>, name, at| {
        if f.call.success || f.after(24) == 0 { f.list32(name, at, 24) } else { f.address(name, at) }
    };
    filled(f, "prog_ids", 16);
    f.int_changed("prog_cnt", 24);
    f.since(32);
    filled(f, "prog_attach_flags", 32);
    f.since(40);
    filled(f, "link_ids", 40);
    filled(f, "link_attach_flags", 48);
    f.push("revision", |f| Node::Hex(f.u64_after(56)));
}

fn btf_load(f: &mut Fields<'_>) {
    f.bytes_at("btf", 0, 16, false);
    f.push("btf_log_buf", |f| {
        let (size, level) = (f.u32(20), f.u32(24));
        if size == 0 || level == 0 { Node::Address(f.u64(8)) } else { f.log(8, 20) }
    });
    f.int("btf_size", 16);
    f.int("btf_log_size", 20);
    f.int("btf_log_level", 24);
    f.since(28);
    f.int_after("btf_log_true_size", 28);
    f.since(32);
    f.flags("btf_flags", 32, &flags::OPEN);
    f.fd("btf_token_fd", 36);
}

fn task_fd_query(f: &mut Fields<'_>) {
    const TYPES: [&str; 6] = ["RAW_TRACEPOINT", "TRACEPOINT", "KPROBE", "KRETPROBE", "UPROBE", "URETPROBE"];
    f.sint("pid", 0);
    f.fd("fd", 4);
    f.int("flags", 8);
    f.int_changed("buf_len", 12);
    f.push("buf", |f| f.text(16, f.u32(12) as usize));
    f.int_after("prog_id", 24);
    f.push("fd_type", |f| {
        let value = f.after(28);
        let name = TYPES.get(value as usize).map(|name| format!("BPF_FD_TYPE_{name}"));
        Node::Name { value: u64::from(value), name, set: "BPF_FD_TYPE_" }
    });
    f.push("probe_offset", |f| Node::Hex(f.u64_after(32)));
    f.push("probe_addr", |f| Node::Hex(f.u64_after(40)));
}

fn batch_lookup(f: &mut Fields<'_>) {
    f.address("in_batch", 0);
    f.address("out_batch", 8);
    f.address("keys", 16);
    f.address("values", 24);
    f.int_changed("count", 32);
    f.fd("map_fd", 36);
    f.flags64("elem_flags", 40, &flags::LOOKUP);
    f.hex("flags", 48);
}

fn batch_change(f: &mut Fields<'_>, update: bool) {
    f.address("keys", 16);
    if update {
        f.address("values", 24);
    }
    f.int_changed("count", 32);
    f.fd("map_fd", 36);
    f.flags64("elem_flags", 40, if update { &flags::UPDATE } else { &flags::LOOKUP });
    f.hex("flags", 48);
}

fn link_create(f: &mut Fields<'_>) {
    let attach = f.u32(8);
    f.fd("prog_fd", 0);
    target(f, 4, attach);
    f.name("attach_type", 8, attach_type, "BPF_");
    f.flags("flags", 12, &flags::ATTACH);
    f.since(16);
    let name = attach_type(attach).unwrap_or_default();
    let neighbour = |f: &mut Fields<'_>| {
        relative(f, 16, f.u32(12));
        f.hex("expected_revision", 24);
    };
    // How far what is known of each type reaches.
    f.known = match name.as_str() {
        "BPF_TRACE_ITER" => {
            f.push("iter_info", Fields::iter_info);
            f.int("iter_info_len", 24);
            28
        }
        "BPF_PERF_EVENT" => {
            f.group("perf_event", |f| f.hex("bpf_cookie", 16));
            24
        }
        "BPF_TRACE_FENTRY" | "BPF_TRACE_FEXIT" | "BPF_MODIFY_RETURN" | "BPF_LSM_MAC"
        | "BPF_TRACE_FSESSION" => {
            f.group("tracing", |f| {
                f.int("target_btf_id", 16);
                f.hex("cookie", 24);
            });
            32
        }
        "BPF_TRACE_FENTRY_MULTI" | "BPF_TRACE_FEXIT_MULTI" | "BPF_TRACE_FSESSION_MULTI" => {
            f.group("tracing_multi", |f| {
                f.list32("ids", 16, 32);
                f.list64("cookies", 24, 32);
                f.int("cnt", 32);
            });
            36
        }
        "BPF_TRACE_KPROBE_MULTI" | "BPF_TRACE_KPROBE_SESSION" => {
            f.group("kprobe_multi", |f| {
                f.flags("flags", 16, &flags::KPROBE_MULTI);
                f.int("cnt", 20);
                f.texts("syms", 24, 20);
                f.list64("addrs", 32, 20);
                f.list64("cookies", 40, 20);
            });
            48
        }
        "BPF_TRACE_UPROBE_MULTI" | "BPF_TRACE_UPROBE_SESSION" => {
            f.group("uprobe_multi", |f| {
                f.text_at("path", 16, 4096);
                f.list64("offsets", 24, 48);
                f.list64("ref_ctr_offsets", 32, 48);
                f.list64("cookies", 40, 48);
                f.int("cnt", 48);
                f.flags("flags", 52, &flags::UPROBE_MULTI);
                f.int("pid", 56);
                f.since(60);
                f.int("path_fd", 60);
            });
            64
        }
        "BPF_NETFILTER" => {
            f.group("netfilter", |f| {
                f.int("pf", 16);
                f.int("hooknum", 20);
                f.sint("priority", 24);
                f.flags("flags", 28, &flags::NETFILTER);
            });
            32
        }
        "BPF_TCX_INGRESS" | "BPF_TCX_EGRESS" => {
            f.group("tcx", neighbour);
            32
        }
        "BPF_NETKIT_PRIMARY" | "BPF_NETKIT_PEER" => {
            f.group("netkit", neighbour);
            32
        }
        // Older callers know of no order there.
        name if name.starts_with("BPF_CGROUP_")
            && (f.u32(12) & (BEFORE | AFTER) != 0 || (f.u32(16), f.u64(24)) != (0, 0)) =>
        {
            f.group("cgroup", neighbour);
            32
        }
        _ => 16,
    };
}

fn link_update(f: &mut Fields<'_>) {
    const REPLACE: u32 = 4;
    f.fd("link_fd", 0);
    f.fd("new_prog_fd", 4);
    f.flags("flags", 8, &flags::ATTACH);
    if f.u32(8) & REPLACE != 0 {
        f.fd("old_prog_fd", 12);
    }
}

fn stream_read(f: &mut Fields<'_>) {
    f.push("stream_buf", |f| f.bytes(0, f.u32(8) as usize, false));
    f.int("stream_buf_len", 8);
    f.int("stream_id", 12);
    f.fd("prog_fd", 16);
}

pub(super) fn map_type(value: u32) -> Option<String> {
    MapType(value).name().map(|name| format!("BPF_MAP_TYPE_{}", name.to_uppercase()))
}

pub(super) fn prog_type(value: u32) -> Option<String> {
    ProgType(value).name().map(|name| format!("BPF_PROG_TYPE_{}", name.to_uppercase()))
}

pub(super) fn attach_type(value: u32) -> Option<String> {
    AttachType(value).name().map(|name| format!("BPF_{}", name.to_uppercase()))
}

/// Takes the fields of a call one after the other, as far as its attributes reach.
pub(super) struct Fields<'a> {
    pub(super) call: &'a Call<'a>,
    /// Where the fields begin that came with one version of the kernel.
    since: usize,
    /// Bytes that are known.
    known: usize,
    out: Vec<(&'static str, Node)>,
}

impl Fields<'_> {
    /// What follows came together, with a later version of the kernel: it is shown as a whole, if the attributes
    /// reach so far.
    fn since(&mut self, at: usize) {
        self.since = at;
    }

    /// One more field, if its version's part of the attributes is there.
    pub(super) fn push(&mut self, name: &'static str, node: impl FnOnce(&Self) -> Node) {
        if self.since < self.call.before.len() {
            let node = node(self);
            self.out.push((name, node));
        }
    }

    /// Fields in a structure of their own.
    fn group(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        if self.since < self.call.before.len() {
            let outer = std::mem::take(&mut self.out);
            fields(self);
            let inner = std::mem::replace(&mut self.out, outer);
            self.out.push((name, Node::Struct(inner)));
        }
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32_at(self.call.before, at)
    }

    pub(super) fn after(&self, at: usize) -> u32 {
        u32_at(self.call.after, at)
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64_at(self.call.before, at)
    }

    fn u64_after(&self, at: usize) -> u64 {
        u64_at(self.call.after, at)
    }

    fn int(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Int(i64::from(f.u32(at))));
    }

    fn sint(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Int(i64::from(f.u32(at) as i32)));
    }

    fn uint64(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Uint(f.u64(at)));
    }

    fn int_after(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Int(i64::from(f.after(at))));
    }

    /// A number that the kernel may have changed.
    pub(super) fn int_changed(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| {
            let (before, after) = (Node::Int(i64::from(f.u32(at))), Node::Int(i64::from(f.after(at))));
            if before == after { before } else { Node::Changed(Box::new(before), Box::new(after)) }
        });
    }

    fn hex(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Hex(f.u64(at)));
    }

    fn hex32(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Hex(u64::from(f.u32(at))));
    }

    fn version(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Version(f.u32(at)));
    }

    pub(super) fn address(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| Node::Address(f.u64(at)));
    }

    pub(super) fn fd(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| {
            let fd = f.u32(at) as i32;
            Node::Fd(fd, f.call.detail.paths.then(|| f.call.caller.fd_path(fd)).flatten())
        });
    }

    fn interface(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| {
            let index = f.u32(at);
            Node::Interface(index, f.call.caller.interface(index).filter(|_| index != 0))
        });
    }

    fn name(
        &mut self,
        name: &'static str,
        at: usize,
        names: impl Fn(u32) -> Option<String>,
        set: &'static str,
    ) {
        self.push(name, |f| {
            let value = f.u32(at);
            Node::Name { value: u64::from(value), name: names(value), set }
        });
    }

    fn flags(&mut self, name: &'static str, at: usize, set: &Set) {
        self.push(name, |f| set.of(u64::from(f.u32(at))));
    }

    fn flags64(&mut self, name: &'static str, at: usize, set: &Set) {
        self.push(name, |f| set.of(f.u64(at)));
    }

    /// A name of up to 15 bytes in the attributes themselves.
    fn inline_name(&mut self, name: &'static str, at: usize) {
        self.push(name, |f| inline_name(f.call.before, at));
    }

    fn text_at(&mut self, name: &'static str, at: usize, max: usize) {
        self.push(name, |f| f.text(at, max));
    }

    /// The text that a pointer points to.
    fn text(&self, at: usize, max: usize) -> Node {
        text(self.call.caller, self.u64(at), max, self.call.detail.text)
    }

    fn bytes_at(&mut self, name: &'static str, at: usize, len_at: usize, hex: bool) {
        self.push(name, |f| f.bytes(at, f.u32(len_at) as usize, hex));
    }

    /// The bytes that a pointer points to.
    fn bytes(&self, at: usize, len: usize, hex: bool) -> Node {
        let address = self.u64(at);
        let wanted = len.min(self.call.detail.text);
        let bytes =
            if address == 0 || wanted == 0 { Vec::new() } else { self.call.caller.read(address, wanted) };
        if address == 0 || bytes.len() < wanted {
            return Node::Address(address);
        }
        Node::Text { bytes, cut: len > wanted, hex }
    }

    /// The text that the verifier wrote, with details all of it.
    fn log(&self, at: usize, size_at: usize) -> Node {
        let shown = if self.call.detail.verbose { usize::MAX } else { self.call.detail.text };
        text(self.call.caller, self.u64(at), self.u32(size_at) as usize, shown)
    }

    /// Instructions: where they are, and with details each of them.
    fn instructions(&mut self, name: &'static str, at: usize, count_at: usize) {
        self.push(name, |f| {
            let address = f.u64(at);
            if !f.call.detail.verbose || address == 0 {
                return Node::Address(address);
            }
            super::insns::list(f.call.caller, address, f.u32(count_at) as usize)
        });
    }

    pub(super) fn list32(&mut self, name: &'static str, at: usize, count_at: usize) {
        let element = |bytes: &[u8]| Node::Int(i64::from(u32_at(bytes, 0)));
        self.push(name, |f| f.list(at, f.after(count_at), 4, element));
    }

    fn list64(&mut self, name: &'static str, at: usize, count_at: usize) {
        let element = |bytes: &[u8]| Node::Hex(u64_at(bytes, 0));
        self.push(name, |f| f.list(at, f.after(count_at), 8, element));
    }

    /// The elements that a pointer points to.
    fn list(&self, at: usize, count: u32, size: usize, element: impl Fn(&[u8]) -> Node) -> Node {
        /// As many as are shown; with details, all.
        const SHOWN: usize = 32;
        let address = self.u64(at);
        if address == 0 {
            return Node::Address(0);
        }
        let count = count as usize;
        let shown = if self.call.detail.verbose { count } else { count.min(SHOWN) };
        let bytes = self.call.caller.read(address, shown.saturating_mul(size).min(1 << 24));
        if bytes.is_empty() && shown > 0 {
            return Node::Address(address);
        }
        Node::List(bytes.chunks_exact(size).map(element).collect(), count > bytes.len() / size)
    }

    fn texts(&mut self, name: &'static str, at: usize, count_at: usize) {
        self.push(name, |f| {
            let (caller, max) = (f.call.caller, f.call.detail.text);
            f.list(at, f.u32(count_at), 8, |bytes| text(caller, u64_at(bytes, 0), 512, max))
        });
    }

    fn iter_info(&self) -> Node {
        let (address, size) = (self.u64(16), self.u32(24));
        let bytes = self.call.caller.read(address, 4);
        if size == 0 {
            return Node::List(Vec::new(), false);
        }
        if bytes.len() < 4 {
            return Node::Address(address);
        }
        let fd = u32_at(&bytes, 0) as i32;
        let path = self.call.detail.paths.then(|| self.call.caller.fd_path(fd)).flatten();
        let map = Node::Struct(vec![("map_fd", Node::Fd(fd, path))]);
        Node::List(vec![Node::Struct(vec![("map", map)])], false)
    }
}

/// The text at an address: its first `shown` bytes, of at most `max`.
fn text(caller: &dyn Caller, address: u64, max: usize, shown: usize) -> Node {
    if address == 0 {
        return Node::Address(0);
    }
    if max == 0 {
        return Node::Text { bytes: Vec::new(), cut: false, hex: false };
    }
    let mut bytes = caller.read(address, max.min(shown.saturating_add(1)).min(1 << 24));
    if bytes.is_empty() {
        return Node::Address(address);
    }
    let end = bytes.iter().position(|byte| *byte == 0);
    let cut = end.is_none_or(|end| end > shown);
    bytes.truncate(end.unwrap_or(bytes.len()).min(shown));
    Node::Text { bytes, cut, hex: false }
}

/// A name of up to 15 bytes in a structure.
pub(super) fn inline_name(bytes: &[u8], at: usize) -> Node {
    const LEN: usize = 16;
    let field = bytes.get(at..bytes.len().min(at + LEN)).unwrap_or(&[]);
    let len = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let shown = field.get(..len.min(LEN - 1)).unwrap_or(&[]);
    Node::Text { bytes: shown.to_vec(), cut: len == LEN, hex: false }
}

/// A number in the caller's byte order; bytes beyond the end are zero.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u64_at(bytes, at) as u32
}

/// As [`u32_at`], of 64 bits.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    for (slot, byte) in word.iter_mut().zip(bytes.get(at..).unwrap_or(&[])) {
        *slot = *byte;
    }
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller whose memory is one block at an address.
    struct Memory(u64, Vec<u8>);

    impl Caller for Memory {
        fn read(&self, address: u64, len: usize) -> Vec<u8> {
            let Some(from) = address.checked_sub(self.0).and_then(|from| usize::try_from(from).ok()) else {
                return Vec::new();
            };
            self.1.get(from..).map_or_else(Vec::new, |rest| rest[..rest.len().min(len)].to_vec())
        }

        fn fd_path(&self, fd: i32) -> Option<String> {
            (fd == 3).then(|| "anon_inode:bpf-prog".into())
        }

        fn interface(&self, index: u32) -> Option<String> {
            (index == 1).then(|| "lo".into())
        }
    }

    fn shown(cmd: Cmd, words: &[u32], memory: &Memory, verbose: bool) -> String {
        let before: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let detail = Detail { verbose, paths: verbose, text: 8 };
        let call = Call {
            cmd,
            address: 0x1000,
            size: before.len() as u32,
            before: &before,
            after: &before,
            info: &[],
            success: true,
            caller: memory,
            detail,
        };
        let node = call.decode();
        // Both forms are there for whatever is decoded.
        let _ = node.to_json();
        node.to_string()
    }

    #[test]
    fn texts_are_cut_and_quoted() {
        let memory = Memory(0x100, b"/sys\n\"\x01\x007/a/b\0".to_vec());
        let shown = |at: u32| shown(Cmd::OBJ_GET, &[at, 0, 3, 0x4008], &memory, false);
        assert_eq!(
            shown(0x100),
            r#"{pathname="/sys\n\"\1", bpf_fd=3, file_flags=BPF_F_RDONLY|BPF_F_PATH_FD}"#
        );
        assert_eq!(shown(0x108), r#"{pathname="7/a/b", bpf_fd=3, file_flags=BPF_F_RDONLY|BPF_F_PATH_FD}"#);
        assert_eq!(shown(0), "{pathname=NULL, bpf_fd=3, file_flags=BPF_F_RDONLY|BPF_F_PATH_FD}");
        assert_eq!(shown(0x4000), "{pathname=0x4000, bpf_fd=3, file_flags=BPF_F_RDONLY|BPF_F_PATH_FD}");
    }

    #[test]
    fn targets_are_descriptors_or_interfaces() {
        let memory = Memory(0, Vec::new());
        let attach = |kind: AttachType| shown(Cmd::PROG_ATTACH, &[1, 3, kind.0, 0], &memory, true);
        assert_eq!(
            attach(AttachType::XDP),
            "{target_ifindex=if_nametoindex(\"lo\"), attach_bpf_fd=3<anon_inode:bpf-prog>, attach_type=BPF_XDP, attach_flags=0}"
        );
        assert!(attach(AttachType::LIRC_MODE2).starts_with("{target_fd=1, "));
    }

    #[test]
    fn buffers_without_room_are_empty_texts() {
        let memory = Memory(0x100, b"left over\0".to_vec());
        let query = |len: u32| shown(Cmd::TASK_FD_QUERY, &[u32::MAX, 3, 0, len, 0x100], &memory, false);
        let rest = "prog_id=0, fd_type=BPF_FD_TYPE_RAW_TRACEPOINT, probe_offset=0, probe_addr=0}}";
        assert_eq!(query(0), format!("{{task_fd_query={{pid=-1, fd=3, flags=0, buf_len=0, buf=\"\", {rest}"));
        assert!(query(16).contains("buf_len=16, buf=\"left ove\"..., "), "{}", query(16));
        let read = shown(Cmd::PROG_STREAM_READ_BY_FD, &[0x100, 0, 4, 1, 5], &memory, false);
        assert_eq!(
            read,
            r#"{prog_stream_read={stream_buf="left", stream_buf_len=4, stream_id=1, prog_fd=5}}"#
        );
    }

    #[test]
    fn what_lies_beyond_a_links_type_is_not_known() {
        let memory = Memory(0, Vec::new());
        let link = |kind: AttachType, words: &[u32]| {
            shown(Cmd::LINK_CREATE, &[&[1, 2, kind.0, 0], words].concat(), &memory, false)
        };
        let begin = "{link_create={prog_fd=1, target_fd=2, attach_type=BPF_PERF_EVENT, flags=0, perf_event=";
        assert_eq!(link(AttachType::PERF_EVENT, &[7, 0]), format!("{begin}{{bpf_cookie=0x7}}}}}}"));
        assert_eq!(link(AttachType::PERF_EVENT, &[7, 0, 1]), format!("{begin}{{bpf_cookie=0x7}}}}, ...}}"));
        assert!(link(AttachType::LIRC_MODE2, &[0, 0, 1]).ends_with("flags=0}, ...}"));
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        let memory = Memory(0, Vec::new());
        assert_eq!(shown(Cmd(77), &[1], &memory, false), "0x1000");
        assert_eq!(shown(Cmd::MAP_FREEZE, &[1, 0, 2], &memory, false), "{map_fd=1, ...}");
        assert_eq!(
            shown(Cmd::MAP_FREEZE, &[1, 0x0a00], &memory, true),
            "{map_fd=1, extra_data=\"\\x00\\x0a\\x00\\x00\" /* bytes 4..7 */}"
        );
    }

    proptest::proptest! {
        /// Whatever a caller hands over, there is something to show.
        #[test]
        fn nothing_panics(cmd in 0u32..40, words in proptest::collection::vec(proptest::num::u32::ANY, 0..60),
                          memory in proptest::collection::vec(proptest::num::u8::ANY, 0..64), verbose: bool) {
            let base = u64::from(words.first().copied().unwrap_or(0));
            assert!(!shown(Cmd(cmd), &words, &Memory(base, memory), verbose).is_empty());
        }
    }
}
