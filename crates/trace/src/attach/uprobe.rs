//! Places in programs and libraries: one by one through perf events, or all of a file through one link.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use skep_kernel::bpf::{self, UprobeMulti};
use skep_kernel::perf::UprobeAt;
use skep_lang::hir::{Attach, Target, Uprobe, Usdt};

use super::Link;
use crate::error::Result;
use crate::load::LoadedProgram;

/// The place of a target, if it is one in a program.
pub(super) fn place(attach: &Attach) -> Option<UprobeAt<'_>> {
    match attach {
        Attach::Uprobe(Uprobe { path, offset, on_return, .. }) => {
            Some(UprobeAt { path: Path::new(path), offset: *offset, semaphore: 0, on_return: *on_return })
        }
        Attach::Usdt(Usdt { path, offset, semaphore, .. }) => Some(UprobeAt {
            path: Path::new(path),
            offset: *offset,
            semaphore: semaphore.unwrap_or(0),
            on_return: false,
        }),
        _ => None,
    }
}

/// Attaches a program to many places, by one link for each file. The kernel takes all of a link's places or none, so
/// a list with some that it does not take is halved until they are found; `failed` hears of them.
pub(super) fn many<'t>(
    program: &LoadedProgram,
    targets: &[(u64, &'t Target)],
    process: Option<i32>,
    links: &mut Vec<Link>,
    failed: &mut dyn FnMut(&'t Target, skep_kernel::Error) -> Result<()>,
) -> Result<()> {
    let key = |target: &'t Target| place(&target.attach).map(|at| (at.path, at.on_return));
    let mut rest = targets.to_vec();
    rest.sort_by_key(|(cookie, target)| (key(target), *cookie));
    for file in rest.chunk_by(|(_, a), (_, b)| key(a) == key(b)) {
        in_file(program, file, process, links, failed)?;
    }
    Ok(())
}

fn in_file<'t>(
    program: &LoadedProgram,
    targets: &[(u64, &'t Target)],
    process: Option<i32>,
    links: &mut Vec<Link>,
    failed: &mut dyn FnMut(&'t Target, skep_kernel::Error) -> Result<()>,
) -> Result<()> {
    match link(program, targets, process) {
        Ok(fd) => links.push(Link::Bpf(fd)),
        Err(error) => match targets {
            [] => {}
            [(_, only)] => failed(only, error)?,
            several => {
                let (front, back) = several.split_at(several.len() / 2);
                in_file(program, front, process, links, failed)?;
                in_file(program, back, process, links, failed)?;
            }
        },
    }
    Ok(())
}

fn link(
    program: &LoadedProgram,
    targets: &[(u64, &Target)],
    process: Option<i32>,
) -> skep_kernel::Result<OwnedFd> {
    let places: Vec<(u64, UprobeAt<'_>)> =
        targets.iter().filter_map(|(cookie, target)| Some((*cookie, place(&target.attach)?))).collect();
    let offsets: Vec<u64> = places.iter().map(|(_, at)| at.offset).collect();
    let counted = places.iter().any(|(_, at)| at.semaphore != 0);
    let semaphores: Vec<u64> = places.iter().filter(|_| counted).map(|(_, at)| at.semaphore).collect();
    let cookies: Vec<u64> =
        places.iter().filter(|_| program.wants_cookie).map(|(cookie, _)| *cookie).collect();
    let first = places.first().map(|(_, at)| at);
    let places = UprobeMulti {
        path: first.map_or(Path::new(""), |at| at.path),
        offsets: &offsets,
        ref_ctr_offsets: &semaphores,
        cookies: &cookies,
        pid: process.map_or(0, i32::unsigned_abs),
        on_return: first.is_some_and(|at| at.on_return),
        session: program.way.is_session(),
    };
    bpf::link_create_uprobe_multi(program.fd.as_fd(), &places)
}
