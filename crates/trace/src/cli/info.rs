//! `--info`: what this build and this kernel can do, in the shape of the original's report.

use std::fmt::Write;

use skep_kernel::bpf::ProgType;
use skep_kernel::features::{self, Feature, Features, helper_known};
use skep_kernel::{btf_file, limits};

/// The report. Everything in it is tried out now.
pub(super) fn report() -> String {
    let known = Features::new();
    let has = |feature| known.has(feature);
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "System\n  OS: {}", limits::kernel_name());
    let _ = writeln!(out, "  Arch: {}\n", std::env::consts::ARCH);
    let _ = writeln!(
        out,
        "Build\n  version: v{} (skep v{})\n  LLVM: none (own compiler)",
        super::SPOKEN,
        super::VERSION
    );
    let _ =
        writeln!(out, "  bfd: no\n  libdw (DWARF support): yes\n  libsystemd (systemd notify support): yes");
    let _ =
        writeln!(out, "  blazesym (advanced symbolization): no\n  dwunwind (DWARF stack unwinding): yes\n");
    let helper = |name: &str| {
        skep_isa::helpers::helper_by_name(name)
            .is_some_and(|helper| helper_known(ProgType::TRACEPOINT, helper.id))
    };
    let yes_no = |row: &(&str, bool)| (row.0.to_owned(), if row.1 { "yes" } else { "no" }.to_owned());
    let helpers = [
        // It is for programs at functions only.
        ("dpath", has(Feature::Fentry)),
        ("get_tai_ns", helper("ktime_get_tai_ns")),
        ("get_func_ip", has(Feature::GetFuncIp)),
        ("lookup_percpu_elem", helper("map_lookup_percpu_elem")),
        ("loop", has(Feature::BpfLoop)),
        ("get_boot_ns", has(Feature::KtimeGetBootNs)),
    ];
    table(&mut out, "Kernel helpers", helpers.iter().map(yes_no).collect());
    let others = [
        ("btf", btf_file::has_vmlinux()),
        ("module btf", btf_file::modules().is_ok_and(|modules| !modules.is_empty())),
        ("program btf", has(Feature::ProgBtf)),
        ("ringbuf", has(Feature::RingBuffer)),
        ("map_batch", has(Feature::BatchLookup)),
        ("cpu_v4", has(Feature::CpuV4)),
        ("no_prealloc", has(Feature::NoPreallocInPerfEvent)),
        ("atomic_fetch", has(Feature::AtomicFetch)),
        ("long_keys", has(Feature::LongKeys)),
    ];
    let limit = ("Instruction limit".to_owned(), features::instruction_limit().to_string());
    table(&mut out, "Kernel features", std::iter::once(limit).chain(others.iter().map(yes_no)).collect());
    let probes = [
        ("kprobe_multi", has(Feature::KprobeMulti)),
        ("uprobe_multi", has(Feature::UprobeMulti)),
        ("kprobe_session", has(Feature::KprobeSession)),
        ("iter", has(Feature::Iter)),
        ("uprobe_session", has(Feature::UprobeSession)),
        ("kprobe", has(Feature::Kprobe)),
        ("fentry", has(Feature::Fentry)),
        ("perf_event_link", has(Feature::PerfEventLink)),
        ("attach_cookie", has(Feature::AttachCookie)),
        ("raw_tracepoint_cookie", has(Feature::RawTracepointCookie)),
    ];
    table(&mut out, "Probe types", probes.iter().map(yes_no).collect());
    out
}

/// Two columns of `name: value`.
fn table(out: &mut String, title: &str, rows: Vec<(String, String)>) {
    let _ = writeln!(out, "{title}");
    for pair in rows.chunks(2) {
        let cells: Vec<String> =
            pair.iter().map(|(name, value)| format!("{:<33}", format!("{name}: {value}"))).collect();
        let _ = writeln!(out, "  {}", cells.concat().trim_end());
    }
    out.push('\n');
}
