//! The report of `feature probe`: for people, as JSON, or as macros for a C preprocessor.

use std::io::{self, Write};

use skep_kernel::bpf::{MapType, ProgType};
use skep_kernel::config;

use super::{Request, probe};
use crate::cli::Session;
use crate::error::Result;
use crate::json::Writer;

/// Options of the kernel's build that matter to BPF, and whether their value is of interest as a macro.
const OPTIONS: &[(&str, bool)] = &[
    ("CONFIG_BPF", false),
    ("CONFIG_BPF_SYSCALL", false),
    ("CONFIG_HAVE_EBPF_JIT", false),
    ("CONFIG_BPF_JIT", false),
    ("CONFIG_BPF_JIT_ALWAYS_ON", false),
    ("CONFIG_DEBUG_INFO_BTF", false),
    ("CONFIG_DEBUG_INFO_BTF_MODULES", false),
    ("CONFIG_CGROUPS", false),
    ("CONFIG_CGROUP_BPF", false),
    ("CONFIG_CGROUP_NET_CLASSID", false),
    ("CONFIG_SOCK_CGROUP_DATA", false),
    ("CONFIG_BPF_EVENTS", false),
    ("CONFIG_KPROBE_EVENTS", false),
    ("CONFIG_UPROBE_EVENTS", false),
    ("CONFIG_TRACING", false),
    ("CONFIG_FTRACE_SYSCALLS", false),
    ("CONFIG_FUNCTION_ERROR_INJECTION", false),
    ("CONFIG_BPF_KPROBE_OVERRIDE", false),
    ("CONFIG_NET", false),
    ("CONFIG_XDP_SOCKETS", false),
    ("CONFIG_LWTUNNEL_BPF", false),
    ("CONFIG_NET_ACT_BPF", false),
    ("CONFIG_NET_CLS_BPF", false),
    ("CONFIG_NET_CLS_ACT", false),
    ("CONFIG_NET_SCH_INGRESS", false),
    ("CONFIG_XFRM", false),
    ("CONFIG_IP_ROUTE_CLASSID", false),
    ("CONFIG_IPV6_SEG6_BPF", false),
    ("CONFIG_BPF_LIRC_MODE2", false),
    ("CONFIG_BPF_STREAM_PARSER", false),
    ("CONFIG_NETFILTER_XT_MATCH_BPF", false),
    ("CONFIG_TEST_BPF", false),
    ("CONFIG_HZ", true),
];

/// Settings below /proc/sys, by the key of the JSON output.
const SETTINGS: &[(&str, &str)] = &[
    ("unprivileged_bpf_disabled", "kernel/unprivileged_bpf_disabled"),
    ("bpf_jit_enable", "net/core/bpf_jit_enable"),
    ("bpf_jit_harden", "net/core/bpf_jit_harden"),
    ("bpf_jit_kallsyms", "net/core/bpf_jit_kallsyms"),
    ("bpf_jit_limit", "net/core/bpf_jit_limit"),
];

/// Probes and reports.
pub(super) fn write(session: &mut Session<'_>, request: &Request) -> Result<u8> {
    if session.is_json() {
        json(&mut session.writer(), request)?;
    } else if let Some(prefix) = &request.macros {
        macros(session.out, request, prefix)?;
    } else {
        plain(session.out, request)?;
    }
    Ok(0)
}

fn prog_types(request: &Request) -> impl Iterator<Item = ProgType> + use<> {
    let offloaded_only = request.ifindex != 0;
    let all = ProgType::ALL.iter().copied().filter(|kind| *kind != ProgType::UNSPEC);
    all.filter(move |kind| !offloaded_only || probe::is_offloadable(*kind))
}

fn map_types(request: &Request) -> impl Iterator<Item = MapType> + use<> {
    let offloaded_only = request.ifindex != 0;
    let all = MapType::ALL.iter().copied().filter(|kind| *kind != MapType::UNSPEC);
    all.filter(move |kind| !offloaded_only || [MapType::HASH, MapType::ARRAY].contains(kind))
}

/// The other features: name, sentence, macro, and how to find out.
type Misc = (&'static str, &'static str, &'static str, fn() -> bool);

const MISC: [Misc; 5] = [
    ("have_large_insn_limit", "Large program size limit", "LARGE_INSN_LIMIT", probe::large_programs),
    ("have_bounded_loops", "Bounded loop support", "BOUNDED_LOOPS", probe::bounded_loops),
    ("have_v2_isa_extension", "ISA extension v2", "V2_ISA_EXTENSION", probe::isa_v2),
    ("have_v3_isa_extension", "ISA extension v3", "V3_ISA_EXTENSION", probe::isa_v3),
    ("have_v4_isa_extension", "ISA extension v4", "V4_ISA_EXTENSION", probe::isa_v4),
];

/// Programs of these tests are not offloaded, so a device has none of it.
fn misc(request: &Request, ask: fn() -> bool) -> bool {
    request.ifindex == 0 && ask()
}

fn plain(out: &mut dyn Write, request: &Request) -> io::Result<()> {
    if request.ifindex == 0 {
        writeln!(out, "Scanning system configuration...")?;
        for &(key, path) in SETTINGS {
            writeln!(out, "{}", setting_sentence(key, config::setting(path)))?;
        }
        match config::options() {
            Ok(options) => {
                for (name, _) in OPTIONS {
                    match options.get(*name) {
                        Some(value) => writeln!(out, "{name} is set to {value}")?,
                        None => writeln!(out, "{name} is not set")?,
                    }
                }
            }
            Err(error) => writeln!(out, "skipping kernel config: {error}")?,
        }
        writeln!(out)?;
    }
    let available = |yes| if yes { "available" } else { "NOT available" };
    writeln!(out, "Scanning system call availability...")?;
    let syscall = probe::syscall();
    writeln!(out, "bpf() syscall is {}\n", available(syscall))?;
    if !syscall {
        return Ok(());
    }
    writeln!(out, "Scanning eBPF program types...")?;
    let mut supported = Vec::new();
    for kind in prog_types(request) {
        let yes = probe::prog_type(kind, request.ifindex);
        writeln!(out, "eBPF program_type {kind} is {}", available(yes))?;
        supported.push((kind, yes));
    }
    writeln!(out, "\nScanning eBPF map types...")?;
    for kind in map_types(request) {
        writeln!(out, "eBPF map_type {kind} is {}", available(probe::map_type(kind, request.ifindex)))?;
    }
    writeln!(out, "\nScanning eBPF helper functions...")?;
    for (kind, yes) in supported {
        write!(out, "eBPF helpers supported for program type {kind}:")?;
        let mut any = false;
        if yes {
            for (name, known) in probe::helpers(kind, request.full, request.ifindex) {
                if known {
                    any = true;
                    write!(out, "\n\t- bpf_{name}")?;
                }
            }
        }
        writeln!(out)?;
        match (any, yes) {
            (true, _) => {}
            (false, true) => writeln!(out, "\tCould not determine which helpers are available")?,
            (false, false) => writeln!(out, "\tProgram type not supported")?,
        }
    }
    writeln!(out, "\nScanning miscellaneous eBPF features...")?;
    for (_, sentence, _, ask) in MISC {
        writeln!(out, "{sentence} is {}", available(misc(request, ask)))?;
    }
    writeln!(out)
}

/// What a setting means.
fn setting_sentence(key: &str, value: Option<i64>) -> String {
    let by_value = |known: &[(i64, &str)], what: &str, missing: &str| match value {
        None => format!("Unable to retrieve {missing}"),
        Some(value) => known
            .iter()
            .find(|(number, _)| *number == value)
            .map_or_else(|| format!("{what} has unknown value {value}"), |(_, text)| (*text).to_owned()),
    };
    match key {
        "unprivileged_bpf_disabled" => by_value(
            &[
                (0, "bpf() syscall for unprivileged users is enabled"),
                (1, "bpf() syscall restricted to privileged users (without recovery)"),
                (2, "bpf() syscall restricted to privileged users (admin can change)"),
            ],
            "bpf() syscall restriction",
            "required privileges for bpf() syscall",
        ),
        "bpf_jit_enable" => by_value(
            &[
                (0, "JIT compiler is disabled"),
                (1, "JIT compiler is enabled"),
                (2, "JIT compiler is enabled with debugging traces in kernel logs"),
            ],
            "JIT-compiler status",
            "JIT-compiler status",
        ),
        "bpf_jit_harden" => by_value(
            &[
                (0, "JIT compiler hardening is disabled"),
                (1, "JIT compiler hardening is enabled for unprivileged users"),
                (2, "JIT compiler hardening is enabled for all users"),
            ],
            "JIT hardening status",
            "JIT hardening status",
        ),
        "bpf_jit_kallsyms" => by_value(
            &[
                (0, "JIT compiler kallsyms exports are disabled"),
                (1, "JIT compiler kallsyms exports are enabled for root"),
            ],
            "JIT kallsyms exports status",
            "JIT kallsyms export status",
        ),
        _ => match value {
            None => {
                "Unable to retrieve global memory limit for JIT compiler for unprivileged users".to_owned()
            }
            Some(bytes) => {
                format!("Global memory limit for JIT compiler for unprivileged users is {bytes} bytes")
            }
        },
    }
}

fn macros(out: &mut dyn Write, request: &Request, prefix: &str) -> io::Result<()> {
    if request.ifindex == 0 {
        writeln!(out, "/*** Misc kernel config items ***/")?;
        let options = config::options().unwrap_or_default();
        for (name, _) in OPTIONS.iter().filter(|(_, is_macro)| *is_macro) {
            match options.get(*name) {
                Some(value) => writeln!(out, "#define {prefix}{name} {value}")?,
                None => writeln!(out, "/* {name} is not set */")?,
            }
        }
        writeln!(out)?;
    }
    let define = |out: &mut dyn Write, name: &str, yes: bool| {
        writeln!(out, "#define {prefix}{}HAVE_{name}", if yes { "" } else { "NO_" })
    };
    writeln!(out, "/*** System call availability ***/")?;
    let syscall = probe::syscall();
    define(out, "BPF_SYSCALL", syscall)?;
    writeln!(out)?;
    if !syscall {
        return Ok(());
    }
    writeln!(out, "/*** eBPF program types ***/")?;
    let mut supported = Vec::new();
    for kind in prog_types(request) {
        let yes = probe::prog_type(kind, request.ifindex);
        define(out, &format!("{}_PROG_TYPE", kind.to_string().to_uppercase()), yes)?;
        supported.push((kind, yes));
    }
    writeln!(out, "\n/*** eBPF map types ***/")?;
    for kind in map_types(request) {
        let yes = probe::map_type(kind, request.ifindex);
        define(out, &format!("{}_MAP_TYPE", kind.to_string().to_uppercase()), yes)?;
    }
    writeln!(out, "\n/*** eBPF helper functions ***/")?;
    // How the macro below is used; the indented lines are an example in C.
    writeln!(out, "/*")?;
    writeln!(out, " * Use {prefix}HAVE_PROG_TYPE_HELPER(prog_type_name, helper_name)")?;
    writeln!(out, " * to determine if <helper_name> is available for <prog_type_name>,")?;
    writeln!(out, " * e.g.")?;
    writeln!(out, " *\t#if {prefix}HAVE_PROG_TYPE_HELPER(xdp, bpf_redirect)")?;
    writeln!(out, " *\t\t// do stuff with this helper")?;
    writeln!(out, " *\t#elif")?;
    writeln!(out, " *\t\t// use a workaround")?;
    writeln!(out, " *\t#endif")?;
    writeln!(out, " */")?;
    writeln!(out, "#define {prefix}HAVE_PROG_TYPE_HELPER(prog_type, helper)\t\\")?;
    writeln!(out, "\t{prefix}BPF__PROG_TYPE_ ## prog_type ## __HELPER_ ## helper")?;
    for (kind, yes) in supported {
        for (name, known) in
            probe::helpers(if yes { kind } else { ProgType::TRACING }, request.full, request.ifindex)
        {
            let number = u8::from(known);
            writeln!(out, "#define {prefix}BPF__PROG_TYPE_{kind}__HELPER_bpf_{name} {number}")?;
        }
    }
    writeln!(out, "\n/*** eBPF misc features ***/")?;
    for (_, _, name, ask) in MISC {
        define(out, name, misc(request, ask))?;
    }
    writeln!(out)
}

fn json(json: &mut Writer<'_>, request: &Request) -> io::Result<()> {
    json.begin_object()?;
    if request.ifindex == 0 {
        json.name("system_config")?;
        json.begin_object()?;
        for &(key, path) in SETTINGS {
            json.field(key, &config::setting(path).unwrap_or(-1))?;
        }
        if let Ok(options) = config::options() {
            for (name, _) in OPTIONS {
                json.field(name, &options.get(*name))?;
            }
        }
        json.end_object()?;
    }
    let syscall = probe::syscall();
    json.field("syscall_config", &serde_json::json!({ "have_bpf_syscall": syscall }))?;
    if !syscall {
        return json.end_object();
    }
    json.name("program_types")?;
    json.begin_object()?;
    let mut supported = Vec::new();
    for kind in prog_types(request) {
        let yes = probe::prog_type(kind, request.ifindex);
        json.field(&format!("have_{kind}_prog_type"), &yes)?;
        supported.push((kind, yes));
    }
    json.end_object()?;
    json.name("map_types")?;
    json.begin_object()?;
    for kind in map_types(request) {
        json.field(&format!("have_{kind}_map_type"), &probe::map_type(kind, request.ifindex))?;
    }
    json.end_object()?;
    json.name("helpers")?;
    json.begin_object()?;
    for (kind, yes) in supported {
        let names: Vec<String> = if yes {
            let known = probe::helpers(kind, request.full, request.ifindex);
            known.into_iter().filter(|(_, known)| *known).map(|(name, _)| format!("bpf_{name}")).collect()
        } else {
            Vec::new()
        };
        json.field(&format!("{kind}_available_helpers"), &names)?;
    }
    json.end_object()?;
    json.name("misc")?;
    json.begin_object()?;
    for (name, _, _, ask) in MISC {
        json.field(name, &misc(request, ask))?;
    }
    json.end_object()?;
    json.end_object()
}
