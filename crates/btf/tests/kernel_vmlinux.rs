//! The reader on the BTF of the running kernel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use skep_btf::{Btf, Kind, Type};

/// The kernel's BTF, or `None`, having said why.
fn vmlinux(test: &str) -> Option<Btf> {
    let path = "/sys/kernel/btf/vmlinux";
    match fs::read(path) {
        Ok(bytes) => Some(Btf::parse(bytes).unwrap()),
        Err(error) => {
            eprintln!("SKIP: {test}: {path} cannot be read: {error}");
            None
        }
    }
}

#[test]
fn every_type_can_be_asked_everything() {
    let Some(btf) = vmlinux("every_type_can_be_asked_everything") else { return };
    assert!(btf.len() > 10_000);
    for (id, ty) in btf.types() {
        let name = btf.c_name(id).to_string();
        // Only as the last parameter; anywhere else it stands for a type out of reach.
        assert!(!name.replace(", ...)", ")").contains("..."), "[{id}] {name}");
        match ty {
            Type::Struct(of) | Type::Union(of) => {
                assert_eq!(btf.size_of(id), Ok(u64::from(of.size)));
                assert!(btf.fields(id).is_ok());
                let end = 8 * u64::from(of.size);
                let fits = of.members().all(|member| u64::from(member.bit_offset) <= end);
                assert!(fits, "[{id}] {name} has a member past its end");
            }
            Type::Unknown { kind, .. } => eprintln!("[{id}] has the unknown kind {kind}"),
            _ => {}
        }
    }
}

#[test]
fn members_are_found_where_the_kernel_has_them() {
    let Some(btf) = vmlinux("members_are_found_where_the_kernel_has_them") else { return };
    let task = btf.find(Kind::Struct, "task_struct").unwrap();
    assert_eq!(btf.c_name(task).to_string(), "struct task_struct");
    let size = btf.size_of(task).unwrap();
    assert!(size.is_multiple_of(u64::from(btf.align_of(task).unwrap())));

    let pid = btf.find_member(task, "pid").unwrap().unwrap();
    assert_eq!(btf.c_name(pid.ty).to_string(), "pid_t");
    assert_eq!(btf.size_of(pid.ty), Ok(4));
    let tgid = btf.find_member(task, "tgid").unwrap().unwrap();
    assert_eq!(tgid.bit_offset, pid.bit_offset + 32);

    let comm = btf.find_member(task, "comm").unwrap().unwrap();
    assert_eq!(btf.c_name(comm.ty).to_string(), "char[16]");
    assert!(comm.byte_offset().unwrap() + 16 <= size);

    // Two levels of anonymous members down.
    let qstr = btf.find(Kind::Struct, "qstr").unwrap();
    assert_eq!(btf.find_member(qstr, "hash").unwrap().unwrap().byte_offset(), Some(0));
    assert_eq!(btf.find_member(qstr, "len").unwrap().unwrap().byte_offset(), Some(4));
    assert_eq!(btf.find_member(qstr, "no_such_member"), Ok(None));
}

#[test]
fn functions_have_prototypes() {
    let Some(btf) = vmlinux("functions_have_prototypes") else { return };
    let id = btf.find(Kind::Func, "vfs_read").unwrap();
    let Some(Type::Func { proto, .. }) = btf.get(id) else { panic!("{id} is not a function") };
    let Some(Type::FuncProto(proto)) = btf.get(proto) else { panic!("{proto} is not a prototype") };
    let params: Vec<_> =
        proto.params().map(|param| btf.c_declaration(param.ty, param.name).to_string()).collect();
    assert_eq!(params, ["struct file *file", "char *buf", "size_t count", "loff_t *pos"]);
}
