//! What a tracing program is loaded for: the function or tracepoint, by its type's number in the kernel's types or others.

use std::os::fd::{AsFd, OwnedFd};

use skep_btf::{Btf, Kind};
use skep_kernel::bpf::{self, AttachType, LoadError, ObjectKind};
use skep_kernel::{Error, Result, btf_file};
use skep_lang::hir::{Attach, Fentry, FentryPlace, ProbeKind, Target};
use skep_lang::world::KERNEL;

use crate::world::vmlinux;

/// A function that a program is loaded for.
#[derive(Debug)]
pub(super) struct Typed {
    /// The number of its type.
    pub btf_id: u32,
    /// The types or the program in which that counts; `None` for the kernel's own.
    pub within: Option<OwnedFd>,
    /// At its entry, at its exit, or on a walk.
    pub attach_type: AttachType,
}

/// Looks up a target of a tracing program.
pub(super) fn find(target: &Target) -> Result<Typed> {
    match &target.attach {
        Attach::Fentry(Fentry { place, on_return }) => {
            let attach_type = if *on_return { AttachType::TRACE_FEXIT } else { AttachType::TRACE_FENTRY };
            let (btf_id, within) = match place {
                FentryPlace::Kernel { module, name } if module == KERNEL => {
                    (in_kernel(Kind::Func, name)?, None)
                }
                FentryPlace::Kernel { module, name } => in_module(module, Kind::Func, name)?,
                FentryPlace::Program { id, name } => in_program(*id, name)?,
            };
            Ok(Typed { btf_id, within, attach_type })
        }
        Attach::RawTracepoint { module, event } => {
            let name = format!("btf_trace_{event}");
            let (btf_id, within) = match &**module {
                KERNEL => (in_kernel(Kind::Typedef, &name)?, None),
                module => in_module(module, Kind::Typedef, &name)?,
            };
            Ok(Typed { btf_id, within, attach_type: AttachType::TRACE_RAW_TP })
        }
        Attach::Iter(iter) => {
            let btf_id = in_kernel(Kind::Func, &format!("bpf_iter_{}", iter.over))?;
            Ok(Typed { btf_id, within: None, attach_type: AttachType::TRACE_ITER })
        }
        _ => Err(Error::Invalid(format!("{} has no type", target.name))),
    }
}

/// Why a program could not be loaded although nothing is wrong with its code.
pub(super) fn refused(kind: ProbeKind, error: LoadError) -> Error {
    if let Some(verdict) = error.verdict() {
        return Error::Invalid(format!("the kernel refuses it: {verdict}"));
    }
    Error::call("bpf(BPF_PROG_LOAD)", error.errno).with_hint(match kind {
        ProbeKind::Iter => "this kernel does not let programs walk over its objects (BPF_TRACE_ITER)",
        _ => "this kernel does not let programs be put at the entry or exit of functions (BPF_TRACE_FENTRY)",
    })
}

/// The number of the type of a function of the kernel that programs may call.
pub(super) fn function_number(name: &str) -> Option<u32> {
    in_kernel(Kind::Func, name).ok()
}

fn in_kernel(kind: Kind, name: &str) -> Result<u32> {
    let btf = vmlinux().map_err(|error| Error::Invalid(error.to_string()))?;
    number(&btf, kind, name)
}

fn in_module(module: &str, kind: Kind, name: &str) -> Result<(u32, Option<OwnedFd>)> {
    let base = vmlinux().map_err(|error| Error::Invalid(error.to_string()))?;
    let bytes = btf_file::module(module)?.to_vec();
    let btf = Btf::parse_split(bytes, base).map_err(unreadable)?;
    for id in bpf::ids(ObjectKind::Btf) {
        // Another may be gone before it is looked at.
        let Ok(fd) = bpf::get_fd_by_id(ObjectKind::Btf, id?, 0) else { continue };
        if bpf::btf_name(fd.as_fd()).is_ok_and(|(_, known)| known == module) {
            return Ok((number(&btf, kind, name)?, Some(fd)));
        }
    }
    Err(Error::Invalid(format!("the types of the module {module} are not loaded")))
}

fn in_program(id: u32, name: &str) -> Result<(u32, Option<OwnedFd>)> {
    let program = bpf::get_fd_by_id(ObjectKind::Prog, id, 0)?;
    let types = bpf::prog_info(program.as_fd())?.btf_id;
    let types = bpf::get_fd_by_id(ObjectKind::Btf, types, 0)?;
    let btf = Btf::parse(bpf::btf_info(types.as_fd())?.data).map_err(unreadable)?;
    Ok((number(&btf, Kind::Func, name)?, Some(program)))
}

fn number(btf: &Btf, kind: Kind, name: &str) -> Result<u32> {
    let id = btf.find_own(kind, name);
    id.map(|id| id.0).ok_or_else(|| Error::Invalid(format!("the types do not describe {name}")))
}

fn unreadable(error: skep_btf::Error) -> Error {
    Error::Invalid(format!("the types cannot be read: {error}"))
}
