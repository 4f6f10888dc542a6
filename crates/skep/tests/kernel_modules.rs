//! Functions of the kernel's modules and of BPF programs, with a workload that calls them so many times.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use rustix::process::Signal;
use skep_testing::need;
use support::objects::{self, Objects};
use support::{Running, perl, trace};

/// Opens the device of the module `tun` 3 times.
fn workload() -> String {
    perl("open $f[$_], q(</dev/net/tun) for 1..3")
}

fn about_workload(script: &str) -> String {
    trace(&["-q", "-e", script, "-c", &workload()]).quiet_output().trim_start().to_owned()
}

#[test]
fn functions_of_a_module() {
    need!(Root, Bpf, Btf, RingBuf, Tracefs, Kprobe, TunModule);
    let script = "kprobe:tun:tun_chr_open /pid == cpid/ { @named[probe, func] = count(); }
        kprobe:tun_chr_open /pid == cpid/ { @bare[probe, str(args.file.f_path.dentry.d_name.name)] = count(); }
        kprobe:tun:tun_chr_op* /pid == cpid/ { @all[probe] = count(); }
        kretprobe:tun:tun_chr_open /pid == cpid/ { @returned[retval] = count(); }";
    let expected = "@all[kprobe:tun:tun_chr_open]: 3\n@bare[kprobe:tun_chr_open, tun]: 3\n\
        @named[kprobe:tun:tun_chr_open, tun_chr_open]: 3\n@returned[0]: 3\n";
    assert_eq!(about_workload(script), expected);
    // Stacks know them, too.
    let stack = about_workload("kprobe:tun:tun_chr_open /pid == cpid/ { print(kstack(5)); }");
    assert!(stack.contains("tun_chr_open+"), "{stack}");
    let run = trace(&["-e", "kprobe:no_such_module:f { }", "--dry-run"]);
    assert!(run.code() == 1 && run.stderr.contains("specified module no_such_module in probe"), "{run:?}");
}

#[test]
fn functions_of_a_module_by_their_types() {
    need!(Root, Bpf, Btf, RingBuf, Tracefs, Fentry, TunModule);
    let script = "fentry:tun:tun_chr_open /pid == cpid/ { @in[probe, str(args.file.f_path.dentry.d_name.name)] = count(); }
        fexit:tun_chr_open /pid == cpid/ { @out[probe, retval] = count(); }";
    let expected = "@in[fentry:tun:tun_chr_open, tun]: 3\n@out[fexit:tun:tun_chr_open, 0]: 3\n";
    assert_eq!(about_workload(script), expected);
    let listed = trace(&["-l", "fentry:tun:tun_chr_op*"]).quiet_output();
    assert_eq!(listed, "fentry:tun:tun_chr_open\n");
}

/// A program is found by its full name or its id.
#[test]
fn programs_of_others() {
    need!(Root, Bpf, Btf, RingBuf, Tracefs, Fentry);
    let traced = Running::attached(&["-q", "-e", "tracepoint:syscalls:sys_enter_getppid { @++ }"]);
    let held = Objects::of(traced.pid());
    let id = held.programs.first().unwrap();
    let name = "tracepoint_syscalls_sys_enter_getppid_1";
    let script = format!(
        "fentry:bpf:{name} /pid == cpid/ {{ @by_name[probe, func] = count(); }}
        fexit:bpf:{id}:{name} /pid == cpid/ {{ @by_id[probe] = count(); }}"
    );
    let counted = trace(&["-q", "-e", &script, "-c", &perl("getppid for 1..5")]).quiet_output();
    let expected = format!("@by_id[fexit:bpf:{id}:{name}]: 5\n@by_name[fentry:bpf:{id}:{name}, {name}]: 5\n");
    assert_eq!(counted.trim_start(), expected);
    let listed = trace(&["-l", "fentry:bpf:tracepoint_syscalls_sys_enter_getpp*"]).quiet_output();
    assert_eq!(listed, format!("fentry:bpf:{id}:{name}\n"));
    traced.signal(Signal::INT);
    traced.end().success();
    assert!(!objects::ids("prog").contains(id));
}

/// Programs that share their types are called after their own function each.
#[test]
fn programs_of_others_are_listed() {
    need!(Root, Bpf, Btf, RingBuf, Tracefs);
    let clause = "tracepoint:syscalls:sys_enter_getppid { @++ }";
    let traced = Running::attached(&["-q", "-e", &[clause; 2].join(" ")]);
    let held = Objects::of(traced.pid());
    let listed = trace(&["-l", "fentry:bpf:tracepoint_syscalls_sys_enter_getpp*"]).quiet_output();
    for (id, number) in held.programs.iter().zip(1..) {
        let line = format!("fentry:bpf:{id}:tracepoint_syscalls_sys_enter_getppid_{number}\n");
        assert!(listed.contains(&line), "{listed}");
    }
    assert_eq!(held.programs.len(), 2);
    traced.signal(Signal::INT);
    traced.end().success();
}
