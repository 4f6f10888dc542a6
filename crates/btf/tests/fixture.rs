//! The checked-in BTF that unprivileged tests of this and other crates read.
//!
//! It is made here, by the builder, and resembles what a kernel has: some types, some
//! functions, the types of some tracepoints. Run this test with `UPDATE_FIXTURES=1` to write
//! it anew after a change.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use skep_btf::{
    Btf, BtfBuilder, Endian, Enumerator, IntEncoding, Linkage, Member, Param, SecVar, Type, TypeId,
};

#[test]
fn the_fixture_is_what_the_builder_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel.btf");
    let made = kernel_like();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read(&path).unwrap();
    assert!(kept == made, "{} is out of date; run this test with UPDATE_FIXTURES=1", path.display());
}

#[test]
fn the_fixture_reads_as_it_was_written() {
    let btf = Btf::parse(kernel_like()).unwrap();
    insta::assert_snapshot!(listing(&btf));
}

#[test]
fn byte_order_makes_no_difference() {
    let little = Btf::parse(types().finish_as(Endian::Little)).unwrap();
    let big = Btf::parse(types().finish_as(Endian::Big)).unwrap();
    assert_eq!(big.endian(), Endian::Big);
    assert_eq!(listing(&little), listing(&big));
}

fn kernel_like() -> Vec<u8> {
    types().finish_as(Endian::Little)
}

/// One line per type, and below it one per member and the like, with what follows from the layout.
fn listing(btf: &Btf) -> String {
    let mut out = String::new();
    for (id, ty) in btf.types() {
        write!(out, "[{id}] {} {:?}", ty.kind().as_str(), btf.c_name(id).to_string()).unwrap();
        if let (Ok(size), Ok(align)) = (btf.size_of(id), btf.align_of(id)) {
            write!(out, " size {size} align {align}").unwrap();
        }
        match ty {
            Type::Func { linkage, .. } | Type::Var { linkage, .. } => write!(out, " {linkage:?}").unwrap(),
            Type::DeclTag { target, component, .. } => write!(out, " of {target} {component:?}").unwrap(),
            Type::TypeTag { name, target, .. } => write!(out, " {name} of {target}").unwrap(),
            Type::DataSec(section) => {
                for var in section.vars() {
                    write!(out, "\n    {} at {} size {}", btf.c_name(var.var), var.offset, var.size).unwrap();
                }
            }
            Type::Enum(of) => {
                for value in of.enumerators() {
                    write!(out, "\n    {} = {}", value.name, value.value).unwrap();
                }
            }
            Type::Struct(_) | Type::Union(_) => {
                for field in btf.fields(id).unwrap() {
                    write!(
                        out,
                        "\n    {} at bit {}",
                        btf.c_declaration(field.ty, field.name),
                        field.bit_offset
                    )
                    .unwrap();
                    if let Some(bits) = field.bitfield_size {
                        write!(out, " of {bits} bits").unwrap();
                    }
                }
            }
            _ => {}
        }
        out.push('\n');
    }
    out
}

fn member(name: &str, ty: TypeId, byte_offset: u32) -> Member<'_> {
    Member { name, ty, bit_offset: 8 * byte_offset, bitfield_size: 0 }
}

fn bitfield(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> Member<'_> {
    Member { name, ty, bit_offset, bitfield_size }
}

fn param(name: &str, ty: TypeId) -> Param<'_> {
    Param { name, ty }
}

fn types() -> BtfBuilder {
    let mut b = BtfBuilder::new();
    let b_ = &mut b;

    let int = b_.int("int", 4, IntEncoding::SIGNED);
    let unsigned = b_.int("unsigned int", 4, IntEncoding::UNSIGNED);
    let char = b_.int("char", 1, IntEncoding::SIGNED);
    let uchar = b_.int("unsigned char", 1, IntEncoding::UNSIGNED);
    let ushort = b_.int("short unsigned int", 2, IntEncoding::UNSIGNED);
    let long = b_.int("long int", 8, IntEncoding::SIGNED);
    let ulong = b_.int("long unsigned int", 8, IntEncoding::UNSIGNED);
    let llong = b_.int("long long int", 8, IntEncoding::SIGNED);
    let ullong = b_.int("long long unsigned int", 8, IntEncoding::UNSIGNED);
    let c_bool = b_.int("_Bool", 1, IntEncoding::BOOL);
    let double = b_.float("double", 8);

    let u8 = b_.typedef("u8", uchar);
    b_.typedef("u16", ushort);
    let u32 = b_.typedef("u32", unsigned);
    let u64 = b_.typedef("u64", ullong);
    let bool = b_.typedef("bool", c_bool);
    let kernel_pid = b_.typedef("__kernel_pid_t", int);
    let pid = b_.typedef("pid_t", kernel_pid);
    let size = b_.typedef("size_t", ulong);
    let ssize = b_.typedef("ssize_t", long);
    let loff = b_.typedef("loff_t", llong);
    let umode = b_.typedef("umode_t", ushort);

    let void_ptr = b_.ptr(TypeId::VOID);
    let const_char = b_.const_(char);
    let string = b_.ptr(const_char);
    let user_char = b_.type_tag("user", char);
    let user_buf = b_.ptr(user_char);

    let list_head = b_.declare_struct("list_head");
    let list_ptr = b_.ptr(list_head);
    b_.define_struct(list_head, 16, &[member("next", list_ptr, 0), member("prev", list_ptr, 8)]);

    let hash_len = b_.struct_("", 8, &[member("hash", u32, 0), member("len", u32, 4)]);
    let hash_or_both = b_.union_("", 8, &[member("", hash_len, 0), member("hash_len", u64, 0)]);
    let const_uchar = b_.const_(uchar);
    let name_ptr = b_.ptr(const_uchar);
    let qstr = b_.struct_("qstr", 16, &[member("", hash_or_both, 0), member("name", name_ptr, 8)]);

    let super_block = b_.fwd("super_block", false);
    let super_ptr = b_.ptr(super_block);
    let inode = b_.struct_(
        "inode",
        32,
        &[
            member("i_mode", umode, 0),
            member("i_sb", super_ptr, 8),
            member("i_ino", ulong, 16),
            member("i_size", loff, 24),
        ],
    );
    let inode_ptr = b_.ptr(inode);
    let dentry = b_.declare_struct("dentry");
    let dentry_ptr = b_.ptr(dentry);
    b_.define_struct(
        dentry,
        40,
        &[
            member("d_parent", dentry_ptr, 0),
            member("d_name", qstr, 8),
            member("d_inode", inode_ptr, 24),
            member("d_flags", unsigned, 32),
        ],
    );
    let path = b_.struct_("path", 16, &[member("mnt", void_ptr, 0), member("dentry", dentry_ptr, 8)]);
    let file = b_.struct_(
        "file",
        40,
        &[
            member("f_flags", unsigned, 0),
            member("f_pos", loff, 8),
            member("f_path", path, 16),
            member("f_inode", inode_ptr, 32),
        ],
    );
    let file_ptr = b_.ptr(file);

    let task = b_.declare_struct("task_struct");
    let task_ptr = b_.ptr(task);
    let rcu_task = b_.type_tag("rcu", task);
    let rcu_task_ptr = b_.ptr(rcu_task);
    let volatile_unsigned = b_.volatile(unsigned);
    let state =
        b_.union_("", 4, &[member("__state", volatile_unsigned, 0), member("saved_state", unsigned, 0)]);
    let mm = b_.struct_("mm_struct", 16, &[member("start_brk", ulong, 0), member("brk", ulong, 8)]);
    let mm_ptr = b_.ptr(mm);
    let randomized = b_.struct_(
        "",
        24,
        &[member("prio", int, 0), member("mm", mm_ptr, 8), member("pid", pid, 16), member("tgid", pid, 20)],
    );
    let comm = b_.array(char, unsigned, 16);
    let counts_row = b_.array(u64, unsigned, 3);
    let counts = b_.array(counts_row, unsigned, 2);
    let callback_proto = b_.func_proto(int, &[param("", task_ptr), param("", void_ptr)]);
    let callback = b_.ptr(callback_proto);
    b_.define_struct(
        task,
        176,
        &[
            member("", state, 0),
            member("flags", unsigned, 4),
            member("tasks", list_head, 8),
            member("", randomized, 24),
            bitfield("in_execve", unsigned, 48 * 8, 1),
            bitfield("in_iowait", unsigned, 48 * 8 + 1, 1),
            bitfield("level", int, 48 * 8 + 2, 5),
            member("real_parent", rcu_task_ptr, 56),
            member("comm", comm, 64),
            member("group_leader", task_ptr, 80),
            member("counts", counts, 88),
            member("start_time", u64, 136),
            member("notify", callback, 144),
            member("files", file_ptr, 152),
            member("load", double, 160),
            member("last", u8, 168),
        ],
    );

    let value = |name, value| Enumerator { name, value };
    b_.enum_(
        "pid_type",
        4,
        false,
        &[value("PIDTYPE_PID", 0), value("PIDTYPE_TGID", 1), value("PIDTYPE_MAX", 4)],
    );
    b_.enum_("migrate_mode", 4, true, &[value("MIGRATE_NONE", -1), value("MIGRATE_ASYNC", 0)]);
    b_.enum64("wide_flags", 8, false, &[value("WIDE_LOW", 1), value("WIDE_HIGH", 1 << 63)]);
    b_.enum64("wide_errors", 8, true, &[value("WIDE_ERR", -(1 << 40)), value("WIDE_OK", 0)]);

    let loff_ptr = b_.ptr(loff);
    let read = b_.func_proto(
        ssize,
        &[param("file", file_ptr), param("buf", user_buf), param("count", size), param("pos", loff_ptr)],
    );
    b_.func("vfs_read", read, Linkage::Static);
    b_.func("vfs_write", read, Linkage::Static);
    let const_path = b_.const_(path);
    let const_path_ptr = b_.ptr(const_path);
    let open = b_.func_proto(int, &[param("path", const_path_ptr), param("file", file_ptr)]);
    let vfs_open = b_.func("vfs_open", open, Linkage::Static);
    b_.decl_tag("bpf_kfunc", vfs_open, None);
    b_.decl_tag("first", vfs_open, Some(0));
    let log = b_.func_proto(int, &[param("fmt", string), param("", TypeId::VOID)]);
    b_.func("_printk", log, Linkage::Static);
    let wake = b_.func_proto(int, &[param("p", task_ptr)]);
    b_.func("wake_up_process", wake, Linkage::Static);

    let switch = b_.func_proto(
        TypeId::VOID,
        &[
            param("", void_ptr),
            param("", bool),
            param("", task_ptr),
            param("", task_ptr),
            param("", unsigned),
        ],
    );
    let switch = b_.ptr(switch);
    b_.typedef("btf_trace_sched_switch", switch);
    let exit = b_.func_proto(TypeId::VOID, &[param("", void_ptr), param("", task_ptr), param("", bool)]);
    let exit = b_.ptr(exit);
    b_.typedef("btf_trace_sched_process_exit", exit);

    let current = b_.var("current_task", task_ptr, Linkage::Global);
    let runs = b_.var("runs", counts, Linkage::Static);
    b_.datasec(
        ".data..percpu",
        64,
        &[SecVar { var: current, offset: 0, size: 8 }, SecVar { var: runs, offset: 16, size: 48 }],
    );
    b
}
