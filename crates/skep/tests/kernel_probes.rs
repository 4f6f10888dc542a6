//! Probes on the kernel beside tracepoints and timers: raw tracepoints, counters, watched memory, signals, functions
//! of the kernel at their entry and exit, walks. Each with a workload of its own and what it must come to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use rustix::process::Signal;
use skep_testing::need;
use support::objects::Objects;
use support::{Running, perl, trace};

/// Asks who its parent is 5 times, and reads 7 bytes 3 times.
fn workload() -> String {
    // umask takes an argument, which makes its function traceable by name everywhere, and gives back what it was before.
    perl("open F, q(</dev/zero); sysread F, $b, 7 for 1..3; getppid for 1..5; umask 7 for 1..5")
}

/// What a script prints about [`workload`], without the empty lines before maps.
fn about_workload(args: &[&str], script: &str) -> String {
    let workload = workload();
    let run = trace(&[&["-q", "-e", script, "-c", &workload], args].concat());
    run.quiet_output().trim_start().to_owned()
}

/// The same where the kernel may leave out runs: from some version on programs at system calls are preempted, and while
/// one of them waits, others on its CPU do not run it. Those of other processes are told as lost.
fn about_workload_at_calls(args: &[&str], script: &str) -> String {
    let workload = workload();
    let run = trace(&[&["-q", "-e", script, "-c", &workload], args].concat()).success();
    assert!(run.stderr.is_empty() || run.stderr.starts_with("Lost "), "{run:?}");
    run.stdout.trim_start().to_owned()
}

#[test]
fn raw_tracepoints() {
    need!(Root, Bpf, Btf, RingBuf);
    let script = "rawtracepoint:sys_enter /pid == cpid && args.id == 110/ { @by_name[probe] = count(); }
        rt:vmlinux:sys_enter /pid == cpid && arg1 == 110/ { @by_number = count(); }
        rt:sys_exit /pid == cpid && args.ret == 7 && args.regs.orig_ax == 0/ { @read = count(); }";
    let expected = "@by_name[rawtracepoint:vmlinux:sys_enter]: 5\n@by_number: 5\n@read: 3\n";
    assert_eq!(about_workload_at_calls(&[], script), expected);
}

/// Each of several raw tracepoints knows its own name, with and without cookies.
#[test]
fn raw_tracepoints_by_a_wildcard() {
    need!(Root, Bpf, Btf, RingBuf);
    let script =
        "rt:vml*:sys_* /pid == cpid/ { $n = probe == \"rawtracepoint:vmlinux:sys_enter\" ? arg1 : 110;
        if ($n == 110) { @[probe]++ } }";
    for args in [&[][..], &["--no-feature", "raw_tracepoint_cookie"]] {
        let counted = about_workload_at_calls(args, script);
        assert!(counted.contains("@[rawtracepoint:vmlinux:sys_enter]: 5\n"), "{counted}");
        assert!(counted.contains("@[rawtracepoint:vmlinux:sys_exit]: "), "{counted}");
    }
}

#[test]
fn counters_of_the_kernel() {
    need!(Root, Bpf, RingBuf);
    let script = "software:faults:1, s:page-faults:1 /pid == cpid/ { @[probe] = count(); @odd += reg(\"cs\") & 3 != 3; }";
    let counted = about_workload(&[], script);
    let of = |probe: &str| {
        let line = counted.lines().find_map(|line| line.strip_prefix(&format!("@[{probe}]: ")));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    // Two names for one thing.
    assert!(of("software:faults:1") > 10, "{counted}");
    assert_eq!(of("software:faults:1"), of("software:page-faults:1"), "{counted}");
}

#[test]
fn counters_of_the_processor() {
    need!(Root, Bpf, RingBuf, HardwareCounters);
    let counted = about_workload(&[], "hardware:instructions:1e6 /pid == cpid/ { @[probe] = count(); }");
    assert!(counted.starts_with("@[hardware:instructions:1000000]: "), "{counted}");
}

/// The workload has the kernel write the time to a place that it mapped itself.
#[test]
fn watched_memory() {
    need!(Root, Bpf, RingBuf);
    let script =
        "watchpoint:0x10000000:8:w { @[probe] = count(); } w:0x10000100:8:wr { @elsewhere = count(); }";
    let workload = perl("$m = syscall 9, 0x10000000, 4096, 3, 0x32, -1, 0; syscall 96, $m, 0 for 1..4");
    let run = trace(&["-q", "-e", script, "-c", &workload]);
    assert_eq!(run.quiet_output(), "\n\n@[watchpoint:268435456:8:w]: 4\n");
    let run = trace(&["-e", "watchpoint:0x10000001:8:w { }", "--dry-run"]);
    assert!(run.stderr.contains("the address must be a multiple of the length"), "{run:?}");
}

#[test]
fn signals_to_the_tracer() {
    need!(Root, Bpf, RingBuf);
    let script = "self:signal:SIGUSR1 { @n++; printf(\"%s %d\\n\", probe, @n); } self:signal:SIGUSR1 { if (@n == 2) { exit(3) } }";
    let running = Running::attached(&["-q", "-e", script]);
    running.signal(Signal::USR1);
    running.wait_for("self:signal:SIGUSR1 1\n");
    running.signal(Signal::USR1);
    let run = running.end();
    assert_eq!(run.code(), 3, "{run:?}");
    assert_eq!(run.stdout, "self:signal:SIGUSR1 1\nself:signal:SIGUSR1 2\n\n\n@n: 2\n");
}

#[test]
fn calls_of_functions() {
    need!(Root, Bpf, Btf, RingBuf, Kprobe);
    let script = "kprobe:vfs_read /pid == cpid && arg2 == 7/ { @by_number[probe, func] = count(); @ip[reg(\"ip\") != 0]++; }
        k:vmlinux:vfs_read /pid == cpid && args.count == 7/ { @by_name[probe] = count(); }
        kprobe:vfs_read+0 /pid == cpid && arg2 == 7/ { @offset = count(); }";
    let expected = "@by_name[kprobe:vmlinux:vfs_read]: 3\n@by_number[kprobe:vfs_read, vfs_read]: 3\n\
        @ip[true]: 3\n@offset: 3\n";
    assert_eq!(about_workload(&[], script), expected);
}

#[test]
fn returns_of_functions() {
    need!(Root, Bpf, RingBuf, Btf, Kprobe);
    // Nobody waits in this function: where many do, the kernel leaves out some returns.
    let script =
        "kretprobe:__x64_sys_umask /pid == cpid/ { @[probe, func] = count(); @before[retval == 7]++ }";
    let name = "__x64_sys_umask";
    let expected = format!("@[kretprobe:{name}, {name}]: 5\n@before[false]: 1\n@before[true]: 4\n");
    assert_eq!(about_workload(&[], script), expected);
}

/// Where more processes wait than the kernel can keep in mind, it leaves out returns: each is seen or told. With one link
/// for many functions it has room for other numbers.
#[test]
fn returns_that_are_left_out_are_told() {
    need!(Root, Guest, Bpf, RingBuf, Btf, Kprobe, MissedRuns, Tracefs);
    const READERS: u64 = 40;
    let workload = perl(&format!(
        "pipe R, W; pipe Q, P; $0 = q(reader); \
         for (1..{READERS}) {{ if ($p = fork) {{ push @p, $p }} \
         else {{ syswrite P, q(x); sysread R, $b, 1; exit }} }} \
         sysread Q, $b, 1 for @p; \
         for (@p) {{ do {{ open F, qq(/proc/$_/stat); $s = <F> }} until $s =~ / S / }} \
         syswrite W, q(x) x @p; waitpid $_, 0 for @p"
    ));
    for probes in ["kretprobe:vfs_read", "kretprobe:vfs_read, kretprobe:vfs_readlink"] {
        let script = format!(
            "{probes} /comm == \"reader\" && retval == 1/ {{ @seen++; }} END {{ print(@seen); clear(@seen); }}"
        );
        let run = trace(&["-q", "-e", &script, "-c", &workload]).success();
        let seen: u64 = run.stdout.trim().strip_prefix("@seen: ").unwrap().parse().unwrap();
        let lost = run
            .stderr
            .lines()
            .find_map(|line| line.trim().strip_prefix("kretprobe:vfs_read")?.rsplit(' ').next());
        let lost: u64 = lost.map_or(0, |count| count.parse().unwrap());
        assert!(seen + lost >= READERS, "{probes}: {run:?}");
        assert_eq!(run.stderr.is_empty(), lost == 0, "{run:?}");
    }
}

/// What a function returns is a number, unless it is followed.
#[test]
fn returned_pointers() {
    need!(Root, Bpf, RingBuf, Btf, Kprobe, Tracefs);
    // Its name has changed.
    let script =
        "kretprobe:do_fil*_open /pid == cpid && str(retval->f_path.dentry->d_name.name) == \"zero\"/ {
            @opened = count(); @same[(*retval).f_flags == retval->f_flags]++;
        }
        kretprobe:do_fil*_open /pid == cpid/ { @number[retval > 0] = 1; }";
    let expected = "@number[true]: 1\n@opened: 1\n@same[true]: 1\n";
    assert_eq!(about_workload(&[], script), expected);
    let run = trace(&["-e", "kretprobe:vfs_read { print(retval->f_path); }", "--dry-run"]);
    assert!(run.code() == 1 && run.stderr.contains("ERROR: "), "{run:?}");
}

/// By one link, by links with cookies, and by a program for each.
#[test]
fn many_functions() {
    need!(Root, Bpf, RingBuf, Btf, Kprobe, Tracefs);
    let script = "kprobe:vfs_read*, kprobe:nothing* /pid == cpid && arg2 == 7/ { @[probe] = count(); @f[func] = count(); }
        kretprobe:__x64_sys_uma*k /pid == cpid/ { @r[func] = count(); }";
    let expected = "@[kprobe:vfs_read]: 3\n@f[vfs_read]: 3\n@r[__x64_sys_umask]: 5\n";
    for without in ["", "kprobe_multi", "kprobe_multi,attach_cookie"] {
        let args = if without.is_empty() { vec![] } else { vec!["--no-feature", without] };
        let workload = workload();
        let warn = format!("config = {{ missing_probes = warn }} {script}");
        let run = trace(&[&["-q", "-e", &warn, "-c", &workload], &args[..]].concat()).success();
        assert_eq!(run.stdout.trim_start(), expected, "without {without:?}");
    }
}

/// One program and one link for hundreds of functions, and nothing is left when the tracer is killed.
#[test]
fn many_functions_share_a_link() {
    need!(Root, Guest, Bpf, RingBuf, Tracefs, KprobeMulti);
    let running = Running::attached(&["-q", "-e", "kprobe:vfs_* { @[probe] = count(); }"]);
    let held = Objects::of(running.pid());
    assert_eq!((held.programs.len(), held.links.len()), (1, 1), "{held:?}");
    running.signal(Signal::KILL);
    running.end();
    held.wait_until_gone();
}

/// Clauses about one function run in their order, whatever the kernel has them attached by.
#[test]
fn clauses_about_a_function_keep_their_order() {
    need!(Root, Bpf, Btf, RingBuf, Kprobe, Fentry, Tracefs);
    for (function, without) in [
        ("vfs_read", "kprobe_session"),
        ("vfs_read*", "kprobe_session"),
        ("vfs_read*", "kprobe_multi"),
        ("vfs_read", "kprobe"),
    ] {
        let clause =
            |text| format!("kprobe:{function} /pid == cpid && arg2 == 7/ {{ printf(\"{text}\"); }}\n");
        let printed = about_workload(&["--no-feature", without], &(clause("a") + &clause("b")));
        assert_eq!(printed.trim_end(), "ababab", "{function} without {without}");
    }
    // Where many wait in a function, old kernels leave out some returns: nobody waits in this one.
    let clause = |text| format!("kretprobe:__x64_sys_umask /pid == cpid/ {{ printf(\"{text}\"); }}\n");
    assert_eq!(about_workload(&[], &(clause("a") + &clause("b"))).trim_end(), "ababababab");
}

/// Without kprobes fentry serves them, and without that the tracepoint to use is named.
#[test]
fn a_kernel_without_kprobes() {
    need!(Root, Bpf, Btf, RingBuf, Fentry);
    let script = "kprobe:vfs_read /pid == cpid && arg2 == 7/ { @called[probe, func] = count(); }
        kretprobe:vfs_read /pid == cpid && retval == 7/ { @returned[probe] = count(); }";
    let workload = workload();
    let run = trace(&["-v", "-e", script, "-c", &workload, "--no-feature", "kprobe"]).success();
    assert!(
        run.stdout.ends_with("@called[kprobe:vfs_read, vfs_read]: 3\n@returned[kretprobe:vfs_read]: 3\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("kprobe:vfs_read is served by fentry"), "{run:?}");
    for (script, problem) in [
        ("kprobe:vfs_read { @ = reg(\"ip\"); }", "reg can not be used with \"kprobe\" probes"),
        ("kprobe:vfs_read { @ = arg4; }", "kprobe:vfs_read has 4 arguments; there is no arg4"),
        ("kprobe:vfs_read+4 { }", "kprobe:vfs_read+4 needs kprobes"),
    ] {
        let run = trace(&["-e", script, "--no-feature", "kprobe", "--dry-run"]);
        assert!(run.code() == 1 && run.stderr.contains(problem), "{run:?}");
    }
}

#[test]
fn a_kernel_without_probes_on_functions() {
    need!(Root, Bpf, Btf, RingBuf, Tracefs);
    let run = trace(&["-e", "kretprobe:vfs_read { }", "--no-feature", "kprobe,fentry"]);
    assert_eq!(run.code(), 255, "{run:?}");
    assert!(run.stderr.starts_with("ERROR: Unable to attach probe: kretprobe:vfs_read."), "{run:?}");
    assert!(run.stderr.contains("without kprobes (CONFIG_KPROBES)"), "{run:?}");
    assert!(run.stderr.contains("tracepoint:syscalls:sys_exit_read"), "{run:?}");
}

#[test]
fn functions_by_their_types() {
    need!(Root, Bpf, Btf, RingBuf, Fentry);
    let script = "fentry:vfs_read /pid == cpid && args.count == 7/ { @in[probe, func] = count(); }
        fexit:vmlinux:vfs_read /pid == cpid && args.count == 7/ { @out[retval] = count(); }
        f:vmlinux:vfs_re*d /pid == cpid && args.count == 7/ { @all[probe] = count(); }";
    let expected =
        "@all[fentry:vmlinux:vfs_read]: 3\n@in[fentry:vmlinux:vfs_read, vfs_read]: 3\n@out[7]: 3\n";
    assert_eq!(about_workload(&[], script), expected);
}

/// `args` without a field is a record of all that fits a register.
#[test]
fn all_arguments_at_once() {
    need!(Root, Bpf, Btf, RingBuf, Fentry);
    let script = "fentry:vfs_read /pid == cpid && args.count == 7/ { $a = args; @in[$a.count, $a.buf == args.buf] = count(); print(args); }";
    let printed = about_workload(&[], script);
    assert!(printed.contains(", .count = 7, .pos = "), "{printed}");
    assert!(printed.starts_with("{ .file = 0x"), "{printed}");
    assert!(printed.ends_with("@in[7, true]: 3\n"), "{printed}");
}

/// A walk meets the process that makes it, and ends by itself.
#[test]
fn walks() {
    need!(Root, Bpf, Btf, RingBuf, Iter);
    let script =
        "iter:task /ctx.task.pid == $1/ { printf(\"%d %d\\n\", ctx.task.pid, ctx.task.tgid); @ = count(); }";
    let pid = std::process::id();
    let run = trace(&["-q", "-e", script, &pid.to_string()]);
    assert_eq!(run.quiet_output(), format!("{pid} {pid}\n\n\n@: 1\n"));
    // The kernel runs the program once more when there is no further object, which is not for the script.
    let run = trace(&[
        "-q",
        "-e",
        "iter:task { @[ctx.task.pid > 0] = count(); } iter:task_file { @end[ctx.task.pid > 0] = 1; }",
    ]);
    let shown = run.quiet_output();
    assert!(
        shown.contains("@[true]: ") && shown.contains("@end[true]: 1") && !shown.contains("[false]"),
        "{shown}"
    );
}

/// `exit()` ends the run for one object; the others are gone through, and what is said of them is printed.
#[test]
fn a_walk_goes_through_to_its_end() {
    need!(Root, Bpf, Btf, RingBuf, Iter);
    let printed = trace(&["-q", "-e", "iter:task { print(1); @ = count(); exit(); }"]).quiet_output();
    let (lines, count) = printed.split_once("\n\n\n@: ").unwrap();
    let count: usize = count.trim().parse().unwrap();
    assert!(count > 1 && lines.lines().count() == count, "{printed}");
}

/// A pinned walk runs whenever somebody reads its file, after the tracer has ended too, and what it prints is what they
/// read.
#[test]
fn pinned_walks() {
    need!(Root, Bpf, Btf, RingBuf, Iter);
    let script = r#"iter:task:walk /ctx.task.pid == $1/ {
        printf("%d %6d|%06d|%-6s|%.2s|%s|", ctx.task.tgid, -7, 42, "abc", "wxyz", ctx.task.comm);
        if (ctx.task.pid > 0) { printf("%x %X %c%% %llu %hhd é\n", 255, 255, 65, (uint64)-1, 511); }
    }"#;
    let pid = std::process::id();
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let line =
        format!("{pid}     -7|000042|abc   |wx|{}|ff FF A% 18446744073709551615 -1 é\n", comm.trim_end());
    for place in ["walk", "/sys/fs/bpf/other"] {
        let script = script.replace(":walk", &format!(":{place}"));
        let name = place.trim_start_matches("/sys/fs/bpf/");
        let commands = "mount -t bpf bpf /sys/fs/bpf && \"$0\" trace -q -e \"$1\" \"$2\" && cd /sys/fs/bpf && \
            cat \"$3\" && cat \"$3\"";
        let skep = support::binary().to_str().unwrap();
        let args = ["-m", "sh", "-c", commands, skep, &script, &pid.to_string(), name];
        let shown = support::run(support::call(std::path::Path::new("unshare"), &args)).quiet_output();
        assert!(shown.starts_with(&format!("Program pinned to /sys/fs/bpf/{name}\n")), "{shown}");
        assert!(shown.ends_with(&format!("\n{line}{line}")), "{shown}\n{line}");
    }
}

/// The seventh argument and those after it, by number and by name: which these are depends on the kernel.
#[test]
fn arguments_on_the_stack() {
    need!(Root, Bpf, RingBuf, Btf, Kprobe);
    let script = "kprobe:do_mmap /pid == cpid && args.len == 0x7000 && args.prot == 0/ {
            @[args.pgoff] = count();
            $populate = (uint64)args.populate;
            @same[$populate == arg6 || $populate == arg7] = count();
        }";
    let workload = perl("open F, q(</bin/sh); syscall 9, 0, 0x7000, 0, 2, fileno F, 0x5000 for 1..3");
    let run = trace(&["-q", "-e", script, "-c", &workload]);
    assert_eq!(run.quiet_output().trim_start(), "@[5]: 3\n@same[true]: 3\n");
}

/// In a namespace of process ids of its own, the tracer and its command have the ids that they have there.
#[test]
fn process_ids_of_a_namespace() {
    need!(Root, Bpf, Btf, RingBuf);
    let script = "rt:sys_enter /pid == cpid && args.id == 110/ { @[pid == pid(curr_ns), tid == pid, pid(init) > pid] = count(); }";
    let workload = workload();
    let skep = support::binary().to_str().unwrap();
    let args = ["--fork", "--pid", "--mount-proc", skep, "trace", "-q", "-e", script, "-c", &workload];
    let run = support::run(support::call(std::path::Path::new("unshare"), &args)).quiet_output();
    assert_eq!(run.trim_start(), "@[true, true, true]: 5\n");
}

#[test]
fn what_there_is_not() {
    need!(Root, Bpf, Btf, Tracefs);
    for (script, problem) in [
        ("kprobe:no_such_function { }", "No matches for kprobe no_such_function."),
        ("fentry:no_such_function { }", "No matches for fentry no_such_function."),
        ("rt:no_such_event { }", "Probe has no valid attach points."),
        ("iter:no_such_thing { }", "iter no_such_thing not available for your kernel version."),
        ("kprobe:vfs_read { print(args.cuont); }", "Can't find function parameter cuont"),
    ] {
        let run = trace(&["-e", script, "--dry-run"]);
        assert!(run.code() == 1 && run.stderr.contains(problem), "{run:?}");
    }
    let run = trace(&["--traceable-functions", "/dev/null", "-e", "kprobe:vfs_read { }", "--dry-run"]);
    assert!(run.stderr.contains("No matches for kprobe vfs_read."), "{run:?}");
}

#[test]
fn listings() {
    need!(Root, Btf);
    let listed = |search: &str| trace(&["-lv", search]).quiet_output();
    assert_eq!(
        listed("kprobe:vfs_read,kretprobe:vfs_read,fexit:vfs_read"),
        "kprobe:vfs_read\n    struct file * arg0\n    char * arg1\n    size_t arg2\n    loff_t * arg3\n\
         kretprobe:vfs_read\n    ssize_t retval\n\
         fexit:vmlinux:vfs_read\n    struct file * file\n    char * buf\n    size_t count\n    loff_t * pos\n    ssize_t retval\n"
    );
    assert_eq!(
        listed("rawtracepoint:sys_exit"),
        "rawtracepoint:vmlinux:sys_exit\n    struct pt_regs * regs\n    long int ret\n"
    );
    assert_eq!(listed("iter:task"), "iter:task\n    struct task_struct * task\n");
    let script = "k:vfs_read* { } kprobe:vmlinux:vfs_write+4 { } s:cpu:100 { } f:vfs_read { } begin { } self:signal:SIGUSR1 { }";
    assert_eq!(
        trace(&["-l", "-e", script]).quiet_output(),
        "kprobe:vfs_read\nkprobe:vfs_readlink\nkprobe:vfs_readv\nkprobe:vmlinux:vfs_write\nsoftware:cpu:\n\
         fentry:vmlinux:vfs_read\n"
    );
}
