//! The types of the fixture's kernel: few, but of all sorts that the kernel has.

use skep_btf::{Btf, BtfBuilder, Enumerator, IntEncoding, Linkage, Member, Param, TypeId};

/// Builds them.
pub fn kernel() -> Btf {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let uint = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
    let char = b.int("char", 1, IntEncoding::UNSIGNED);
    let uchar = b.int("unsigned char", 1, IntEncoding::UNSIGNED);
    let long = b.int("long int", 8, IntEncoding::SIGNED);
    let ulong = b.int("long unsigned int", 8, IntEncoding::UNSIGNED);
    let bool = b.int("_Bool", 1, IntEncoding::BOOL);
    let u8 = b.typedef("u8", uchar);
    let pid_t = b.typedef("pid_t", int);
    b.typedef("loff_t", long);
    let void_ptr = b.ptr(TypeId::VOID);

    let pid_type =
        b.enum_("pid_type", 4, false, &named_from_zero(&["PIDTYPE_PID", "PIDTYPE_TGID", "PIDTYPE_PGID"]));
    let node = b.declare_struct("list_head");
    let node_ptr = b.ptr(node);
    b.define_struct(node, 16, &[at("next", node_ptr, 0), at("prev", node_ptr, 8)]);

    let bits = b.array(ulong, int, 4);
    let cpumask = b.struct_("cpumask", 32, &[at("bits", bits, 0)]);
    let load = b.struct_("load_weight", 16, &[at("weight", ulong, 0), at("inv_weight", uint, 8)]);
    let entity = b.struct_(
        "sched_entity",
        40,
        &[at("load", load, 0), at("group_node", node, 16), at("on_rq", uchar, 32)],
    );
    let qstr_halves = b.struct_("", 8, &[at("hash", uint, 0), at("len", uint, 4)]);
    let qstr_hash = b.union_("", 8, &[at("", qstr_halves, 0), at("hash_len", ulong, 0)]);
    let name = b.const_(uchar);
    let name = b.ptr(name);
    let qstr = b.struct_("qstr", 16, &[at("", qstr_hash, 0), at("name", name, 8)]);
    let short_name = b.array(uchar, int, 8);
    let mac = b.array(u8, int, 6);
    let dentry =
        b.struct_("dentry", 48, &[at("d_name", qstr, 0), at("d_iname", short_name, 16), at("mac", mac, 24)]);
    let dentry_ptr = b.ptr(dentry);
    let handler = b.func_proto(int, &[Param { name: "", ty: void_ptr }]);
    let handler = b.ptr(handler);
    let gone = b.fwd("gone", false);
    let gone_ptr = b.ptr(gone);
    let user_text = b.type_tag("user", char);
    let user_text = b.ptr(user_text);
    let table = b.array(int, int, 3);
    let table = b.array(table, int, 2);

    let task = b.declare_struct("task_struct");
    let task_ptr = b.ptr(task);
    let comm = b.array(char, int, 16);
    let kuid = b.struct_("", 4, &[at("val", uint, 0)]);
    b.define_struct(
        task,
        280,
        &[
            at("__state", uint, 0),
            at("flags", uint, 4),
            at("pid", pid_t, 8),
            at("tgid", pid_t, 12),
            at("group_leader", task_ptr, 16),
            at("comm", comm, 24),
            at("cpus_mask", cpumask, 40),
            at("se", entity, 72),
            bitfield("in_execve", uint, 896, 1),
            bitfield("in_iowait", uint, 897, 1),
            bitfield("level", int, 898, 5),
            at("kind", pid_type, 116),
            at("throttled", bool, 120),
            at("loginuid", kuid, 124),
            at("dentry", dentry_ptr, 128),
            at("handler", handler, 136),
            at("gone", gone_ptr, 144),
            at("argv", user_text, 152),
            at("table", table, 160),
            at("inline_dentry", dentry, 184),
            at("stack", void_ptr, 232),
            at("tasks", node, 240),
        ],
    );

    let size_t = b.typedef("size_t", ulong);
    let buf = b.type_tag("user", char);
    let buf = b.ptr(buf);
    let proto = b.func_proto(
        long,
        &[
            Param { name: "task", ty: task_ptr },
            Param { name: "buf", ty: buf },
            Param { name: "count", ty: size_t },
        ],
    );
    b.func("vfs_read", proto, Linkage::Static);
    b.func("vfs_readv", proto, Linkage::Static);
    let proto = b.func_proto(TypeId::VOID, &[Param { name: "mode", ty: bool }]);
    b.func("do_nanosleep", proto, Linkage::Static);

    // What a raw tracepoint's programs are handed, and a walk over tasks.
    let params = [
        Param { name: "__data", ty: void_ptr },
        Param { name: "preempt", ty: bool },
        Param { name: "prev", ty: task_ptr },
        Param { name: "prev_state", ty: uint },
    ];
    let proto = b.func_proto(int, &params);
    b.func("__traceiter_sched_switch", proto, Linkage::Static);
    let meta = b.struct_("bpf_iter_meta", 16, &[at("session_id", ulong, 0), at("seq_num", ulong, 8)]);
    let meta_ptr = b.ptr(meta);
    b.struct_("bpf_iter__task", 16, &[at("meta", meta_ptr, 0), at("task", task_ptr, 8)]);
    let proto =
        b.func_proto(int, &[Param { name: "meta", ty: meta_ptr }, Param { name: "task", ty: task_ptr }]);
    b.func("bpf_iter_task", proto, Linkage::Global);
    // What the builder wrote the reader reads.
    Btf::parse(b.finish()).unwrap_or_else(|error| unreachable!("the fixture's BTF: {error}"))
}

fn at(name: &str, ty: TypeId, byte_offset: u32) -> Member<'_> {
    Member { name, ty, bit_offset: 8 * byte_offset, bitfield_size: 0 }
}

fn bitfield(name: &str, ty: TypeId, bit_offset: u32, bits: u8) -> Member<'_> {
    Member { name, ty, bit_offset, bitfield_size: bits }
}

fn named_from_zero<'a>(names: &[&'a str]) -> Vec<Enumerator<'a>> {
    names.iter().zip(0..).map(|(name, value)| Enumerator { name, value }).collect()
}
