//! What scripts ask about objects of the kernel: paths of files, cookies of sockets, packets, variables of each CPU; and
//! programs written to BPF objects.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::{path, perl, prints, trace};

#[test]
fn a_file_has_a_path() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry, LongKeys);
    let script = "fentry:filp_close /pid == cpid/ { @[path(args.filp->f_path)] = count(); \
                  @short[path(args.filp->f_path, 4)] = count(); }";
    let command = perl("open F, \"</etc/passwd\"; require POSIX; POSIX::dup2(0, fileno F)");
    let printed = trace(&["-q", "-e", script, "-c", &command]).quiet_output();
    assert!(printed.contains("@[/etc/passwd]: "), "{printed}");
    // The kernel gives no part of a path.
    assert!(!printed.contains("@short[/et"), "{printed}");
}

#[test]
fn a_socket_has_a_cookie_that_stays() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry, SocketCookie);
    let script = "fentry:tcp_v4_connect /pid == cpid/ { @at[tid] = socket_cookie(args.sk); } \
                  fexit:tcp_v4_connect /pid == cpid/ { \
                  printf(\"%d %d\\n\", @at[tid] > 0, @at[tid] == socket_cookie(args.sk)); clear(@at); }";
    let command =
        perl("use Socket; socket(S, AF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(9, INADDR_LOOPBACK))");
    assert_eq!(trace(&["-q", "-e", script, "-c", &command]).quiet_output(), "1 1\n\n\n");
}

#[test]
fn a_socket_has_a_cookie_at_a_raw_tracepoint_too() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry, SocketCookie);
    let script = "rawtracepoint:inet_sock_set_state /pid == cpid/ { @ = socket_cookie(args.sk) > 0; }";
    let command =
        perl("use Socket; socket(S, AF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(9, INADDR_LOOPBACK))");
    assert_eq!(trace(&["-q", "-e", script, "-c", &command]).quiet_output(), "\n\n@: true\n");
}

#[test]
fn of_a_path_that_is_too_long_the_end_stays() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry);
    let script = "fentry:filp_close /pid == cpid/ { @[path(args.filp->f_path, 7)] = 1; }";
    // close(2) takes another way to the same end since Linux 6.6; files that are left open are closed by this one.
    let command = perl("use POSIX; open(F, q(/etc/passwd)); POSIX::_exit(0)");
    let printed = trace(&["-q", "-e", script, "-c", &command]).quiet_output();
    // Kernels before 5.14 give nothing at all.
    assert!(printed.contains("@[passwd]: 1\n") || printed == "\n\n@[]: 1\n", "{printed}");
}

#[test]
fn packets_are_written_as_pcap() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.pcap");
    let script = format!(
        "fentry:loopback_xmit /pid == cpid/ {{ $r = skboutput(\"{}\", args.skb, 20, 14); @ = count(); }}",
        file.display()
    );
    let send = "use Socket; socket(S, AF_INET, SOCK_DGRAM, 0); send(S, \"hello\", 0, sockaddr_in(9, INADDR_LOOPBACK))";
    // The loopback device of a fresh guest is down.
    let command = format!("sh -c \"ip link set lo up; exec perl -e '{}'\"", send.replace('"', "\\\""));
    let printed = trace(&["-q", "-e", &script, "-c", &command]).quiet_output();
    // The answer that nobody listens is sent by the same process.
    assert!(printed.starts_with("\n\n@: "), "{printed}");
    let bytes = std::fs::read(&file).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 1));
    // Behind the Ethernet header there are 20 + 8 + 5 bytes, of which 20 - 14 were wanted: the start of an IPv4 header.
    assert_eq!((word(32), word(36), bytes[40]), (6, 33, 0x45));
    assert!(bytes.len() >= 24 + 16 + 6);
}

#[test]
fn each_cpu_has_its_own_variable() {
    need!(Root, Guest, Bpf, Btf, RingBuf, CpuVariables);
    let printed = prints(
        "begin { $rq = (struct rq *)percpu_kaddr(\"runqueues\", 0); print($rq->cpu); \
         print(percpu_kaddr(\"runqueues\") > 0); print(percpu_kaddr(\"runqueues\", 100000)); }",
    );
    assert_eq!(printed, "0\ntrue\n0\n\n\n");
}

#[test]
fn an_address_is_watched_no_more() {
    need!(Root, Guest, Bpf, Btf, RingBuf);
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    let jiffies = symbols.lines().find(|line| line.ends_with(" jiffies")).unwrap();
    let address = jiffies.split(' ').next().unwrap();
    let script =
        format!("watchpoint:0x{address}:8:w {{ @++; unwatch(0x{address}); }} interval:ms:200 {{ exit(); }}");
    let run = trace(&["-q", "-e", &script]).success();
    let count: u64 = run.stdout.trim().strip_prefix("@: ").unwrap().parse().unwrap();
    // Some tens without an end: it is written at each tick, and ends a moment after the first.
    assert!((1..20).contains(&count), "{count}");
}

#[test]
fn where_they_cannot_be_used_they_are_refused_as_the_original_does() {
    need!(Root, Bpf, RingBuf);
    let refused = |script: &str| {
        let run = trace(&["-q", "-e", script]);
        assert_eq!(run.code(), 1, "{}", run.stdout);
        run.stderr.lines().next().unwrap().split("ERROR: ").nth(1).unwrap().to_owned()
    };
    assert_eq!(
        refused("begin { print(path(curtask)); }"),
        "The path function can only be used with 'fentry', 'fexit', 'iter' probes"
    );
    assert_eq!(
        refused("begin { print(socket_cookie(0)); }"),
        "socket_cookie can not be used with \"begin\" probes"
    );
    assert_eq!(
        refused("begin { skboutput(\"a\", 1, 2, 3); }"),
        "skboutput can not be used with \"begin\" probes"
    );
    assert_eq!(
        refused("begin { unwatch(\"x\"); }"),
        "unwatch() only supports int arguments (string provided)"
    );
    assert_eq!(
        refused("begin { print(percpu_kaddr(\"no_such_variable\")); }"),
        "Could not resolve variable \"no_such_variable\" from BTF"
    );
}

#[test]
fn the_kernel_decides_where_paths_are_told() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry);
    let run = trace(&["-q", "-e", "fentry:vfs_read { print(path(args.file->f_path)); }"]);
    assert_eq!(run.code(), 255);
    assert!(
        run.stderr.starts_with("stdin:1:25-48: ERROR: helper bpf_d_path not allowed in probe\n"),
        "{run:?}"
    );
}

#[test]
fn arguments_are_a_record_as_a_whole() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Fentry);
    let script = "fentry:do_nanosleep /pid == cpid/ { $a = args; printf(\"%d\\n\", $a.mode == args.mode); print(args); }";
    let command = perl("$t = pack(\"qq\", 0, 1000); syscall(35, $t, 0)");
    let printed = trace(&["-q", "-e", script, "-c", &command]).quiet_output();
    assert!(printed.starts_with("1\n{ .t = 0x"), "{printed}");
}

#[test]
fn func_and_ksym_meet_in_one_map() {
    need!(Root, Guest, Bpf, Btf, RingBuf, Kprobe);
    let script = "begin { @name[0] = ksym(0); } kprobe:do_nanosleep /pid == cpid/ { @name[1] = func; } \
                  end { printf(\"%s\\n\", @name[1]); clear(@name); }";
    let command = perl("select(undef, undef, undef, 0.01); $t = pack(\"qq\", 0, 1000); syscall(35, $t, 0)");
    assert_eq!(trace(&["-q", "-e", script, "-c", &command]).quiet_output(), "do_nanosleep\n\n\n");
}

#[test]
fn programs_are_written_to_an_object() {
    need!(Root, Bpf, RingBuf, ForEachMapElem);
    let object = support::file("");
    let script = "BEGIN { @x[1] = count(); for ($kv : @x) { print($kv.0); } }";
    assert_eq!(trace(&["--emit-elf", path(&object), "-e", script]).quiet_output(), "");
    let bytes = std::fs::read(object.path()).unwrap();
    // ELF, 64 bits, little-endian, relocatable, for BPF.
    assert_eq!((&bytes[..6], &bytes[16..20]), (&b"\x7fELF\x02\x01"[..], &[1, 0, 247, 0][..]));
    let refused = trace(&["--emit-elf", "/nonexistent/x", "-e", "BEGIN { }"]);
    assert_eq!(refused.code(), 1);
    assert_eq!(refused.stderr, "ERROR: failed to write '/nonexistent/x': No such file or directory\n");
}
