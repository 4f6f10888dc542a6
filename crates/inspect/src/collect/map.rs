//! One map, asked and put into its model.

use std::os::fd::BorrowedFd;

use skep_kernel::bpf::{self, MapType, ProgType};
use skep_kernel::proc::FdInfo;

use super::Surroundings;
use crate::error::{Error, Result};
use crate::model::{Map, MapHead, TypeName};

/// Asks the kernel about a map.
pub(crate) fn collect(fd: BorrowedFd<'_>, around: &Surroundings) -> Result<Map> {
    let info = bpf::map_info(fd).map_err(|error| Error::kernel("can't get map info", &error))?;
    let fdinfo = FdInfo::of(fd).unwrap_or_default();
    let owner = |key| if info.kind == MapType::PROG_ARRAY { fdinfo.number(key) } else { None };
    let owner_prog_type = owner("owner_prog_type")
        .and_then(|number| u32::try_from(number).ok())
        .map(|number| TypeName::new(ProgType(number).name(), number));
    Ok(Map {
        head: MapHead::of(&info),
        bytes_key: info.key_size,
        bytes_value: info.value_size,
        max_entries: info.max_entries,
        bytes_memlock: fdinfo.number("memlock"),
        owner_prog_type,
        owner_jited: owner("owner_jited").map(|jited| jited != 0),
        frozen: u8::from(fdinfo.number("frozen").is_some_and(|frozen| frozen != 0)),
        btf_id: (info.btf_id != 0).then_some(info.btf_id),
        pinned: around.pins_of(info.id),
        pids: around.holders_of(info.id),
    })
}
