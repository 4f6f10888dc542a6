//! The convention itself, on a kernel: what a guest is known to have is found there.

use skep_testing::{Need, need};

#[test]
fn every_guest_has_the_basics() {
    need!(Guest);
    for need in [
        Need::Root,
        Need::Bpf,
        Need::Btf,
        Need::Tracefs,
        Need::Kprobe,
        Need::Uprobe,
        Need::RingBuf,
        Need::Lsm,
        Need::BlockDisk,
    ] {
        assert_eq!(need.lack(), None, "{need}");
    }
    assert!(Need::HardwareCounters.lack().is_some(), "no guest has a hardware PMU");
}

#[test]
fn newer_features_come_with_their_kernels() {
    need!(Guest);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    for (need, since) in [
        (Need::Cookies, (5, 15)),
        (Need::KprobeMulti, (6, 12)),
        (Need::UprobeMulti, (6, 6)),
        (Need::Fentry, (6, 1)),
    ] {
        // Debian's 5.10 may or may not have what came a little later; newer ones must.
        if version >= since {
            assert_eq!(need.lack(), None, "{need} on {release}");
        }
    }
    if version < (5, 15) {
        assert!(Need::Cookies.lack().is_some() && Need::UprobeMulti.lack().is_some());
    }
}
