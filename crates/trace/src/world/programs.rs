//! The BPF programs in the kernel by the names of their functions, which their types tell in full.

use std::os::fd::AsFd;

use skep_btf::{Btf, Type};
use skep_kernel::Result;
use skep_kernel::bpf::{self, NAME_LEN, ObjectKind};

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
    // The kernel's own name for it is cut short.
    let cut = info.name.len() + 1 >= NAME_LEN;
    btf.types().find_map(|(_, ty)| match ty {
        Type::Func { name, .. } if name == info.name || cut && name.starts_with(&info.name) => {
            Some(name.to_owned())
        }
        _ => None,
    })
}
