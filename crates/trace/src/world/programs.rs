//! The BPF programs in the kernel by the names of their functions, which their types tell in full.

use std::os::fd::AsFd;

use skep_btf::{Btf, Type, TypeId};
use skep_kernel::Result;
use skep_kernel::bpf::{self, ObjectKind};

/// Id and name of every program with types, in the order of ids.
pub(super) fn named() -> Result<Vec<(u32, String)>> {
    let mut all = Vec::new();
    for id in bpf::ids(ObjectKind::Prog) {
        let id = id?;
        // A program may be gone before it is looked at.
        all.extend(name_of(id).map(|name| (id, name)));
    }
    Ok(all)
}

fn name_of(id: u32) -> Option<String> {
    let fd = bpf::get_fd_by_id(ObjectKind::Prog, id, 0).ok()?;
    let info = bpf::prog_info(fd.as_fd()).ok()?;
    let types = bpf::get_fd_by_id(ObjectKind::Btf, info.btf_id, 0).ok()?;
    let btf = Btf::parse(bpf::btf_info(types.as_fd()).ok()?.data).ok()?;
    // The first record is about the program's own function: four bytes of where it begins, four of its type.
    let function = info.extra.func_info.get(4..8)?.try_into().ok().map(u32::from_ne_bytes)?;
    match btf.get(TypeId(function))? {
        Type::Func { name, .. } => Some(name.to_owned()),
        _ => None,
    }
}
