//! Functions of the kernel: one by one through perf events, or many through one link.

use std::os::fd::{AsFd, OwnedFd};

use skep_kernel::bpf::{self, KprobeMulti};
use skep_kernel::features::{Feature, Features};
use skep_kernel::perf::{self, KprobeAt};
use skep_lang::hir::{Attach, KernelPlace, Kprobe, Target};

use super::Link;
use crate::error::Result;
use crate::load::LoadedProgram;

/// The perf event of one place.
pub(super) fn open(kprobe: &Kprobe, features: &Features) -> skep_kernel::Result<OwnedFd> {
    if !features.has(Feature::Kprobe) {
        let problem = "this kernel is built without kprobes (CONFIG_KPROBES)";
        return Err(skep_kernel::Error::Invalid(if features.has(Feature::Fentry) {
            problem.to_owned()
        } else {
            format!("{problem}, and does not let fentry programs take their place")
        }));
    }
    match &kprobe.place {
        KernelPlace::Address(address) => perf::open_kprobe(KprobeAt::Address(*address), kprobe.on_return),
        KernelPlace::Function { module, name, offset } => {
            // The kernel finds `module:function` in the module; its own functions go without.
            let spelled = match module.as_deref() {
                Some(module) if module != skep_lang::world::KERNEL => format!("{module}:{name}"),
                _ => name.clone(),
            };
            perf::open_kprobe(KprobeAt::Function { name: &spelled, offset: *offset }, kprobe.on_return)
        }
    }
}

/// Attaches a program to many functions at once. The kernel takes all of a link's functions or none, so a list with
/// some that it does not take is halved until they are found; `failed` hears of them. `name` stands for all of them in
/// messages.
pub(super) fn many<'t>(
    program: &LoadedProgram,
    name: &str,
    targets: &[(u64, &'t Target)],
    links: &mut Vec<Link>,
    failed: &mut dyn FnMut(&'t Target, skep_kernel::Error) -> Result<()>,
) -> Result<()> {
    match link(program, targets) {
        Ok(fd) => links.push(Link::Functions(fd, name.to_owned())),
        Err(error) => match targets {
            [] => {}
            [(_, only)] => failed(only, error)?,
            several => {
                let (front, back) = several.split_at(several.len() / 2);
                many(program, name, front, links, failed)?;
                many(program, name, back, links, failed)?;
            }
        },
    }
    Ok(())
}

fn link(program: &LoadedProgram, targets: &[(u64, &Target)]) -> skep_kernel::Result<OwnedFd> {
    let mut symbols = Vec::with_capacity(targets.len());
    let mut cookies = Vec::with_capacity(targets.len());
    let mut returns = false;
    for (cookie, target) in targets {
        let Attach::Kprobe(Kprobe { place: KernelPlace::Function { name, .. }, on_return }) = &target.attach
        else {
            continue;
        };
        symbols.push(name.as_str());
        cookies.push(*cookie);
        returns = *on_return;
    }
    let session = program.way.is_session();
    // Also where the program does not look at them: Linux 6.18 falls over a link without cookies when somebody reads
    // its entry in /proc/PID/fdinfo.
    let places =
        KprobeMulti { symbols: &symbols, addresses: &[], cookies: &cookies, on_return: returns, session };
    bpf::link_create_kprobe_multi(program.fd.as_fd(), &places)
}
