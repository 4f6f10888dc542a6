//! `--info`: what this build and this kernel can do, in the shape of the original's report.

use std::fmt::Write;

use skep_kernel::bpf::ProgType;
use skep_kernel::features::{Feature, Features, helper_known};
use skep_kernel::{btf_file, limits};

/// The report. Everything in it is tried out now.
pub(super) fn report() -> String {
    let features = Features::new();
    let has = |feature| features.has(feature);
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "System\n  OS: {}", limits::kernel_name());
    let _ = writeln!(out, "  Arch: {}\n", std::env::consts::ARCH);
    let _ = writeln!(out, "Build\n  version: v{}\n  compiler: own (without LLVM)", super::VERSION);
    let _ =
        writeln!(out, "  bfd: no\n  libdw (DWARF support): yes\n  libsystemd (systemd notify support): no");
    let _ =
        writeln!(out, "  blazesym (advanced symbolization): no\n  dwunwind (DWARF stack unwinding): no\n");
    let helper = |name: &str| {
        skep_isa::helpers::helper_by_name(name)
            .is_some_and(|helper| helper_known(ProgType::TRACEPOINT, helper.id))
    };
    table(
        &mut out,
        "Kernel helpers",
        &[
            ("dpath", helper("d_path")),
            ("get_tai_ns", helper("ktime_get_tai_ns")),
            ("get_func_ip", has(Feature::GetFuncIp)),
            ("lookup_percpu_elem", helper("map_lookup_percpu_elem")),
            ("loop", has(Feature::BpfLoop)),
            ("get_boot_ns", has(Feature::KtimeGetBootNs)),
        ],
    );
    table(
        &mut out,
        "Kernel features",
        &[
            ("btf", btf_file::has_vmlinux()),
            ("module btf", btf_file::modules().is_ok_and(|modules| !modules.is_empty())),
            ("program btf", has(Feature::ProgBtf)),
            ("ringbuf", has(Feature::RingBuffer)),
            ("map_batch", has(Feature::BatchLookup)),
            ("cpu_v4", has(Feature::CpuV4)),
            ("no_prealloc", has(Feature::NoPreallocInPerfEvent)),
            ("atomic_fetch", has(Feature::AtomicFetch)),
        ],
    );
    table(
        &mut out,
        "Probe types",
        &[
            ("perf_event_link", has(Feature::PerfEventLink)),
            ("attach_cookie", has(Feature::AttachCookie)),
            ("kprobe_multi", has(Feature::KprobeMulti)),
            ("uprobe_multi", has(Feature::UprobeMulti)),
            ("kprobe_session", false),
        ],
    );
    out
}

/// Two columns of `name: yes`.
fn table(out: &mut String, title: &str, rows: &[(&str, bool)]) {
    let _ = writeln!(out, "{title}");
    for pair in rows.chunks(2) {
        let cells: String = pair
            .iter()
            .map(|(name, yes)| format!("  {:<33}", format!("{name}: {}", if *yes { "yes" } else { "no" })))
            .collect();
        let _ = writeln!(out, "{}", cells.trim_end());
    }
    out.push('\n');
}
