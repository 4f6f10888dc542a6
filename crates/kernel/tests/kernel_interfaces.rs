//! Pins, features, kernel types and symbols of the running kernel.

mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use skep_kernel::bpf::{self, ObjectKind};
use skep_kernel::features::{Feature, Features};
use skep_kernel::{Errno, bpffs, btf_file, kallsyms};
use support::{count, counter, may_use_bpf};

#[test]
fn a_pin_leads_back_to_its_object() {
    let test = "a_pin_leads_back_to_its_object";
    if !may_use_bpf(test) {
        return;
    }
    // A bpffs of our own that is attached nowhere and vanishes with its descriptor.
    let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    let directory = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));

    let map = counter();
    let pin = directory.join("map");
    bpf::obj_pin(map.as_fd(), &pin).unwrap();
    let (fd, kind) = bpffs::open(&pin).unwrap();
    assert_eq!(kind, Some(ObjectKind::Map));
    assert_eq!(bpf::map_info(fd.as_fd()).unwrap().id, bpf::map_info(map.as_fd()).unwrap().id);
    let readonly = bpf::Map::from_fd(bpf::obj_get_readonly(&pin).unwrap()).unwrap();
    assert_eq!(count(&readonly), 0);
    let missing = bpf::obj_get(&directory.join("nothing")).unwrap_err();
    assert_eq!(missing.errno(), Some(Errno(libc::ENOENT)));
}

#[test]
fn features_of_this_kernel_agree_with_its_version() {
    if !may_use_bpf("features_of_this_kernel_agree_with_its_version") {
        return;
    }
    let features = Features::new();
    for feature in Feature::all() {
        eprintln!("{feature}: {}", features.has(feature));
    }
    // A mainline kernel of this version has them, whatever it is built with.
    let since = [
        (Feature::RingBuffer, (5, 8)),
        (Feature::KtimeGetBootNs, (5, 8)),
        (Feature::ProgBtf, (5, 0)),
        (Feature::BatchLookup, (5, 6)),
        (Feature::AtomicFetch, (5, 12)),
        (Feature::AttachCookie, (5, 15)),
        (Feature::PerfEventLink, (5, 15)),
        (Feature::BpfLoop, (5, 17)),
        (Feature::NoPreallocInPerfEvent, (6, 1)),
        (Feature::CpuV4, (6, 6)),
    ];
    let (major, minor, _) = skep_kernel::limits::kernel_version();
    for (feature, version) in since {
        assert_eq!(features.has(feature), (major, minor) >= version, "{feature}");
    }
}

#[test]
fn the_kernels_types_are_there_or_the_error_says_why_not() {
    match btf_file::vmlinux() {
        Ok(bytes) => {
            assert_eq!(bytes[..2], [0x9f, 0xeb], "the magic number");
            assert!(bytes.len() > 1 << 20);
            assert!(btf_file::modules().unwrap().is_sorted());
        }
        Err(error) => assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF"), "{error}"),
    }
    assert!(btf_file::module("../vmlinux").is_err());
}

#[test]
fn loaded_types_are_read_back() {
    if !may_use_bpf("loaded_types_are_read_back") {
        return;
    }
    // `void f(void)`: a header, a prototype, a function, and two names.
    let words = [0x0001_eb9fu32, 24, 0, 24, 24, 3, 0, 13 << 24, 0, 1, 12 << 24, 1];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain(*b"\0f\0").collect();
    let loaded = bpf::btf_load(&data).unwrap();
    let info = bpf::btf_info(loaded.as_fd()).unwrap();
    assert_eq!((info.data, info.kernel, info.name.as_str()), (data, false, ""));
    let again = bpf::get_fd_by_id(ObjectKind::Btf, info.id, 0).unwrap();
    assert_eq!(bpf::btf_name(again.as_fd()).unwrap().0, info.id);
    let refused = bpf::btf_load(&[1, 2, 3]).unwrap_err();
    assert_eq!(refused.errno, Errno(libc::EINVAL));
}

#[test]
fn kernel_symbols_are_read() {
    let text = kallsyms::read().unwrap();
    if text.is_empty() {
        return eprintln!("SKIP: kernel_symbols_are_read: the kernel has no CONFIG_KALLSYMS");
    }
    assert!(kallsyms::symbols(&text).any(|symbol| symbol.name == "schedule" && symbol.is_function()));
    assert_eq!(kallsyms::symbols(&text).count(), text.lines().count());
}
