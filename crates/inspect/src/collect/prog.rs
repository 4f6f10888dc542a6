//! One program, asked and put into its model.

use std::os::fd::BorrowedFd;

use skep_btf::Type;
use skep_kernel::bpf::{self, ProgInfo};
use skep_kernel::clock::Clock;
use skep_kernel::proc::FdInfo;

use super::{Surroundings, btf, metadata};
use crate::error::{Error, Result};
use crate::model::{Device, Prog, ProgHead};

/// Asks the kernel about a program.
pub(crate) fn collect(fd: BorrowedFd<'_>, around: &Surroundings) -> Result<Prog> {
    let info = bpf::prog_info(fd).map_err(|error| Error::kernel("can't get prog info", &error))?;
    Ok(Prog {
        head: ProgHead::of(&info),
        dev: Device::of(info.ifindex, info.netns_dev, info.netns_ino),
        loaded_at: (info.load_time != 0).then(|| wall_time(info.load_time)),
        uid: (info.load_time != 0).then_some(info.created_by_uid),
        orphaned: info.orphaned,
        bytes_xlated: info.xlated_len,
        jited: info.jited_len != 0,
        bytes_jited: (info.jited_len != 0).then_some(info.jited_len),
        bytes_memlock: FdInfo::of(fd).ok().and_then(|fdinfo| fdinfo.number("memlock")),
        btf_id: (info.btf_id != 0).then_some(info.btf_id),
        pinned: around.pins_of(info.id),
        pids: around.holders_of(info.id),
        metadata: metadata::of_maps(&info.map_ids),
        map_ids: info.map_ids,
    })
}

/// The most that the kernel keeps of a name.
const KERNEL_NAME: usize = bpf::NAME_LEN - 1;

/// The program's name; where the kernel may have cut it, that of its main function, from its types.
pub(crate) fn full_name(info: &ProgInfo) -> String {
    let from_types = || {
        if info.name.len() < KERNEL_NAME || info.btf_id == 0 {
            return None;
        }
        let first = skep_btf::ext::decode::<skep_btf::ext::FuncInfo>(
            &info.extra.func_info,
            info.extra.func_info_rec_size as usize,
        )
        .ok()?
        .into_iter()
        .next()?;
        let btf = btf(info.btf_id)?;
        match btf.get(first.type_id)? {
            Type::Func { name, .. } => Some(name.to_owned()),
            _ => None,
        }
    };
    from_types().unwrap_or_else(|| info.name.clone())
}

/// A time of the boot clock in seconds since 1970. The distance between the clocks is asked anew each time, so
/// that the second may differ between two runs.
fn wall_time(boot_ns: u64) -> i64 {
    let boot_ns = i64::try_from(boot_ns).unwrap_or(i64::MAX);
    Clock::Boot.convert(boot_ns, Clock::Real).div_euclid(1_000_000_000)
}
