//! What the kernel says about an object (`BPF_OBJ_GET_INFO_BY_FD`).

use std::os::fd::BorrowedFd;

use super::attr::{self, Plain};
use super::types::{Cmd, MapType, ProgType};
use super::{address_mut, field_text, gate, len32, raw, refused};
use crate::Result;

/// What the kernel says about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgInfo {
    /// Its type.
    pub kind: ProgType,
    /// Its id.
    pub id: u32,
    /// The name given at load, cut to 15 bytes.
    pub name: String,
    /// A hash of the instructions.
    pub tag: [u8; 8],
    /// Bytes of machine code; 0 if it is interpreted.
    pub jited_len: u32,
    /// Bytes of instructions after the verifier's rewriting.
    pub xlated_len: u32,
    /// When it was loaded, in nanoseconds of the boot clock.
    pub load_time: u64,
    /// Who loaded it.
    pub created_by_uid: u32,
    /// The ids of the maps it uses.
    pub map_ids: Vec<u32>,
    /// The network device it is offloaded or bound to, or 0.
    pub ifindex: u32,
    /// Device number of that device's network namespace.
    pub netns_dev: u64,
    /// Inode of that device's network namespace.
    pub netns_ino: u64,
    /// Whether its licence allows GPL-only helpers.
    pub gpl_compatible: bool,
    /// The id of its BTF object, or 0.
    pub btf_id: u32,
    /// How many functions it consists of, as func_info counts them.
    pub func_info_count: u32,
    /// How many lines of its line table.
    pub line_info_count: u32,
    /// How many functions after JIT.
    pub jited_func_count: u32,
    /// Nanoseconds spent in it while run time statistics were on.
    pub run_time_ns: u64,
    /// Runs while run time statistics were on.
    pub run_count: u64,
    /// Runs that were left out because the program was running on that CPU already.
    pub recursion_misses: u64,
    /// Instructions that the verifier walked.
    pub verified_insns: u32,
    /// The BTF object of the function it is attached to, or 0.
    pub attach_btf_obj_id: u32,
    /// The type id of that function, or 0.
    pub attach_btf_id: u32,
    /// Whether the device it was offloaded to is gone.
    pub orphaned: bool,
    /// The arrays that were asked for.
    pub extra: ProgInfoExtra,
}

/// The long parts of a program's info, fetched by [`prog_info_with`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgInfoExtra {
    /// `struct bpf_func_info` records, [`ProgInfoExtra::func_info_rec_size`] bytes each.
    pub func_info: Vec<u8>,
    /// Bytes of one record as this kernel writes it.
    pub func_info_rec_size: u32,
    /// `struct bpf_line_info` records.
    pub line_info: Vec<u8>,
    /// Bytes of one record as this kernel writes it.
    pub line_info_rec_size: u32,
    /// The instructions after the verifier's rewriting, 8 bytes each.
    pub xlated: Vec<u8>,
    /// The machine code of all functions, one behind the other.
    pub jited: Vec<u8>,
    /// The kernel address of each function.
    pub jited_ksyms: Vec<u64>,
    /// The length of each function's machine code.
    pub jited_func_lens: Vec<u32>,
    /// For each line the address of its machine code.
    pub jited_line_info: Vec<u64>,
    /// The tag of each function, 8 bytes each.
    pub prog_tags: Vec<u8>,
}

/// Reads a program's info without its code.
pub fn prog_info(fd: BorrowedFd<'_>) -> Result<ProgInfo> {
    read_prog(fd, Part::FuncInfo)
}

/// Reads a program's info with everything the kernel gives: instructions, machine code, function and line tables.
pub fn prog_info_with(fd: BorrowedFd<'_>) -> Result<ProgInfo> {
    read_prog(fd, Part::All)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The maps and the function table: small, and what a listing shows.
    FuncInfo,
    All,
}

fn read_prog(fd: BorrowedFd<'_>, part: Part) -> Result<ProgInfo> {
    let mut sizes = attr::RawProgInfo::zeroed();
    // SAFETY: a zeroed structure asks for no arrays.
    let first = unsafe { fill_prog(fd, &mut sizes) }?;

    // The second call must ask with the record sizes of the first, and only for arrays that have room.
    let mut map_ids = vec![0u32; sizes.nr_map_ids as usize];
    let mut extra = ProgInfoExtra {
        func_info: vec![0; (sizes.nr_func_info * sizes.func_info_rec_size) as usize],
        func_info_rec_size: sizes.func_info_rec_size,
        line_info_rec_size: sizes.line_info_rec_size,
        ..ProgInfoExtra::default()
    };
    let mut info = attr::RawProgInfo {
        nr_map_ids: sizes.nr_map_ids,
        map_ids: address_mut(&mut map_ids),
        nr_func_info: sizes.nr_func_info,
        func_info_rec_size: sizes.func_info_rec_size,
        func_info: address_mut(&mut extra.func_info),
        ..Plain::zeroed()
    };
    if part == Part::All {
        extra.line_info = vec![0; (sizes.nr_line_info * sizes.line_info_rec_size) as usize];
        extra.xlated = vec![0; sizes.xlated_prog_len as usize];
        extra.jited = vec![0; sizes.jited_prog_len as usize];
        extra.jited_ksyms = vec![0; sizes.nr_jited_ksyms as usize];
        extra.jited_func_lens = vec![0; sizes.nr_jited_func_lens as usize];
        extra.jited_line_info = vec![0; sizes.nr_jited_line_info as usize];
        extra.prog_tags = vec![0; sizes.nr_prog_tags as usize * 8];
        info = attr::RawProgInfo {
            nr_line_info: sizes.nr_line_info,
            line_info_rec_size: sizes.line_info_rec_size,
            line_info: address_mut(&mut extra.line_info),
            xlated_prog_len: sizes.xlated_prog_len,
            xlated_prog_insns: address_mut(&mut extra.xlated),
            jited_prog_len: sizes.jited_prog_len,
            jited_prog_insns: address_mut(&mut extra.jited),
            nr_jited_ksyms: sizes.nr_jited_ksyms,
            jited_ksyms: address_mut(&mut extra.jited_ksyms),
            nr_jited_func_lens: sizes.nr_jited_func_lens,
            jited_func_lens: address_mut(&mut extra.jited_func_lens),
            nr_jited_line_info: sizes.nr_jited_line_info,
            jited_line_info_rec_size: sizes.jited_line_info_rec_size,
            jited_line_info: address_mut(&mut extra.jited_line_info),
            nr_prog_tags: sizes.nr_prog_tags,
            prog_tags: address_mut(&mut extra.prog_tags),
            ..info
        };
    }
    // SAFETY: every array is as long as the count beside it says.
    let second = unsafe { fill_prog(fd, &mut info) }?;
    Ok(ProgInfo {
        kind: ProgType(info.kind),
        id: info.id,
        name: field_text(&info.name),
        tag: info.tag,
        jited_len: info.jited_prog_len,
        xlated_len: info.xlated_prog_len,
        load_time: info.load_time,
        created_by_uid: info.created_by_uid,
        map_ids,
        ifindex: info.ifindex,
        netns_dev: info.netns_dev,
        netns_ino: info.netns_ino,
        gpl_compatible: info.gpl_compatible & 1 != 0,
        btf_id: info.btf_id,
        func_info_count: info.nr_func_info,
        line_info_count: info.nr_line_info,
        jited_func_count: info.nr_jited_ksyms,
        run_time_ns: info.run_time_ns,
        run_count: info.run_cnt,
        recursion_misses: info.recursion_misses,
        verified_insns: info.verified_insns,
        attach_btf_obj_id: info.attach_btf_obj_id,
        attach_btf_id: info.attach_btf_id,
        orphaned: first == Presence::DeviceGone || second == Presence::DeviceGone,
        extra,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    /// An offloaded program whose device vanished: the info is filled all the same.
    DeviceGone,
}

/// # Safety
///
/// Each array in `info` is as long as the count beside it says.
unsafe fn fill_prog(fd: BorrowedFd<'_>, info: &mut attr::RawProgInfo) -> Result<Presence> {
    // SAFETY: passed on.
    match unsafe { fill(raw(fd), info) } {
        Ok(()) => Ok(Presence::Here),
        Err(error) if error.errno().is_some_and(|e| e.0 == libc::ENODEV) => Ok(Presence::DeviceGone),
        Err(error) => Err(error),
    }
}

/// The kernel's own structure about a map as bytes, for those who know its type from the kernel: `size` bytes of
/// `struct bpf_map_info`.
pub fn map_info_bytes(fd: BorrowedFd<'_>, size: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; size];
    let mut attr =
        attr::Info { bpf_fd: raw(fd), info_len: len32(bytes.len())?, info: address_mut(&mut bytes) };
    // SAFETY: the buffer is as long as the length beside it says, and zeroes in it ask for no arrays.
    unsafe { gate(Cmd::OBJ_GET_INFO_BY_FD, &mut attr) }.map_err(|e| refused(Cmd::OBJ_GET_INFO_BY_FD, e))?;
    Ok(bytes)
}

/// What the kernel says about a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Its type.
    pub kind: MapType,
    /// Its id.
    pub id: u32,
    /// The name given at creation, cut to 15 bytes.
    pub name: String,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value (of one CPU's value in per-CPU maps).
    pub value_size: u32,
    /// The most entries.
    pub max_entries: u32,
    /// [`super::map_flags`].
    pub flags: u32,
    /// The network device it is offloaded to, or 0.
    pub ifindex: u32,
    /// Device number of that device's network namespace.
    pub netns_dev: u64,
    /// Inode of that device's network namespace.
    pub netns_ino: u64,
    /// The id of the BTF object with its types, or 0.
    pub btf_id: u32,
    /// Type id of the key, or 0.
    pub btf_key_type_id: u32,
    /// Type id of the value, or 0.
    pub btf_value_type_id: u32,
    /// For struct_ops maps: the value's type id in the kernel's BTF.
    pub btf_vmlinux_value_type_id: u32,
    /// For struct_ops maps: the kernel or module BTF that id counts in.
    pub btf_vmlinux_id: u32,
    /// Per-type extra.
    pub extra: u64,
}

/// Reads a map's info.
pub fn map_info(fd: BorrowedFd<'_>) -> Result<MapInfo> {
    let mut info = attr::RawMapInfo::zeroed();
    // SAFETY: a zeroed structure asks for no arrays.
    unsafe { fill(raw(fd), &mut info) }?;
    Ok(MapInfo {
        kind: MapType(info.kind),
        id: info.id,
        name: field_text(&info.name),
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
        ifindex: info.ifindex,
        netns_dev: info.netns_dev,
        netns_ino: info.netns_ino,
        btf_id: info.btf_id,
        btf_key_type_id: info.btf_key_type_id,
        btf_value_type_id: info.btf_value_type_id,
        btf_vmlinux_value_type_id: info.btf_vmlinux_value_type_id,
        btf_vmlinux_id: info.btf_vmlinux_id,
        extra: info.map_extra,
    })
}

/// Fills an info structure.
///
/// # Safety
///
/// Each address in `info` points to a buffer as long as the count beside it says.
pub(super) unsafe fn fill<I: Plain>(fd: u32, info: &mut I) -> Result<()> {
    let mut attr =
        attr::Info { bpf_fd: fd, info_len: len32(size_of::<I>())?, info: std::ptr::from_mut(info) as u64 };
    // SAFETY: `info` is a plain structure of the length given; the caller vouches for the addresses in it.
    unsafe { gate(Cmd::OBJ_GET_INFO_BY_FD, &mut attr) }.map_err(|e| refused(Cmd::OBJ_GET_INFO_BY_FD, e))?;
    Ok(())
}
