//! Scripts of many shapes, which the verifier of every kernel must accept.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::trace;

/// Loads and attaches each script without running it; tells of every one that is refused.
fn all_load(scripts: &[&str]) {
    let mut wrong = String::new();
    for script in scripts {
        let run = trace(&["-q", "--no-warnings", "--dry-run", "-e", script]);
        if !run.status.success() || !run.stderr.is_empty() {
            wrong.push_str(&format!("== {script}\n{}\n{}\n", run.status, run.stderr));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn texts() {
    need!(Root, Bpf, RingBuf, Tracefs);
    all_load(&[
        "tracepoint:syscalls:sys_enter_openat { @[str(args.filename)] = count(); }",
        "tracepoint:syscalls:sys_enter_openat { @[str(args.filename), comm, pid] = sum(args.flags); }",
        "tracepoint:syscalls:sys_enter_openat { @ = str(args.filename); print(@); }",
        "tracepoint:syscalls:sys_enter_openat { printf(\"%s %s %s\\n\", str(args.filename), comm, str(args.filename, 7)); }",
        "tracepoint:syscalls:sys_enter_openat /str(args.filename) == \"/etc/passwd\"/ { print(comm); }",
        "tracepoint:syscalls:sys_enter_openat /str(args.filename) != comm/ { print(comm); }",
        "tracepoint:syscalls:sys_enter_openat { $a = str(args.filename); $b = str(args.filename, 100); if ($a == $b) { @[$a, $b] = 1; } }",
        "config = { max_strlen = 1000 } tracepoint:syscalls:sys_enter_openat { printf(\"%s\\n\", str(args.filename)); }",
        "config = { max_strlen = 1024 } tracepoint:syscalls:sys_enter_openat { @[tid] = str(args.filename); }",
        "config = { max_strlen = 200 } tracepoint:syscalls:sys_enter_openat { @[str(args.filename)] = (comm, str(args.filename), nsecs); }",
        "config = { max_strlen = 1 } tracepoint:syscalls:sys_enter_openat { print(str(args.filename)); }",
        "tracepoint:syscalls:sys_enter_openat { print(str(args.filename, args.flags)); }",
        "tracepoint:syscalls:sys_enter_openat { print(str(args.filename, (uint64)args.dfd)); @[str(args.filename, pid)] = count(); }",
        "tracepoint:syscalls:sys_enter_write { print(str(args.buf, args.count)); }",
        "tracepoint:syscalls:sys_enter_write { printf(\"%r\\n\", buf(args.buf, args.count)); }",
        "tracepoint:syscalls:sys_enter_write { printf(\"%rx|%rh|%s\\n\", buf(args.buf, 16), buf(args.buf, 200), comm); }",
        "tracepoint:sched:sched_switch { printf(\"%s %s %d\\n\", args.prev_comm, args.next_comm, args.next_pid); }",
        "tracepoint:sched:sched_switch { @[args.prev_comm, args.next_comm] = count(); }",
        "tracepoint:sched:sched_process_exec { print(str(args.filename)); @[str(args.filename)] = nsecs; }",
        "tracepoint:syscalls:sys_enter_open* { print(str(args)); }",
    ]);
}

#[test]
fn maps() {
    need!(Root, Bpf, RingBuf, Tracefs);
    all_load(&[
        "tracepoint:syscalls:sys_enter_getppid { @[pid, tid, uid, gid, cpu, nsecs, comm, probe] = count(); }",
        "tracepoint:syscalls:sys_enter_getppid { @[(pid, (tid, (comm, \"x\"))), 5] = (1, (2, (comm, probe))); }",
        "tracepoint:syscalls:sys_enter_getppid { @[(uint8)pid, (uint16)pid, (uint32)pid, (uint64)pid, (int8)pid] = 1; }",
        "tracepoint:syscalls:sys_enter_getppid { @a[tid] = nsecs; @b[tid] = @a[tid]; @c[@a[tid], @b[tid]] = @a[tid] + @b[tid]; }",
        "tracepoint:syscalls:sys_enter_getppid { @[tid] = @[tid] + 1; @[tid]++; ++@[tid]; @[tid] += 5; @[tid] -= 1; @[tid] <<= 1; }",
        "tracepoint:syscalls:sys_enter_getppid { @++; @x += @; @y = @x * @ / (@ + 1) % 7; @z |= @y; @z ^= 3; }",
        "tracepoint:syscalls:sys_enter_getppid { @t[tid] = (nsecs, comm); $x = @t[tid]; print(($x.0, $x.1)); print(@t[tid].1); delete(@t[tid]); }",
        "tracepoint:syscalls:sys_enter_getppid { if (has_key(@a, (tid, comm))) { delete(@a, (tid, comm)); } else { @a[tid, comm] = true; } }",
        "tracepoint:syscalls:sys_enter_getppid { @s[tid] = comm; if (@s[tid] == \"perl\") { @n[@s[tid]] = count(); } delete(@s[tid]); }",
        "config = { max_map_keys = 1000000 } tracepoint:syscalls:sys_enter_getppid { @[tid] = count(); }",
        "tracepoint:syscalls:sys_enter_getppid { print(@a); print(@a, 5); print(@a, 5, 2); clear(@a); zero(@a); @a[1] = 1; }",
        "tracepoint:syscalls:sys_enter_getppid { @a = 1; @b = true; @c = comm; @d = (1, comm); @e = -1; delete(@a); delete(@c); }",
        "BEGIN { @[1] = 1; } END { print(@[1]); delete(@[1]); clear(@); }",
    ]);
}

#[test]
fn aggregations() {
    need!(Root, Bpf, RingBuf, Tracefs);
    all_load(&[
        "tracepoint:syscalls:sys_exit_read { @a = count(); @b = sum(args.ret); @c = min(args.ret); @d = max(args.ret); @e = avg(args.ret); @f = stats(args.ret); }",
        "tracepoint:syscalls:sys_exit_read { @a[comm] = count(); @b[comm] = sum(args.ret); @c[comm] = min(args.ret); @d[comm] = max(args.ret); @e[comm] = avg(args.ret); @f[comm] = stats(args.ret); }",
        "tracepoint:syscalls:sys_exit_read { @ = hist(args.ret); @k[comm] = hist(args.ret); }",
        "tracepoint:syscalls:sys_exit_read { @ = hist(args.ret, 1); @b = hist(args.ret, 3); @c[pid] = hist(args.ret, 5); }",
        "tracepoint:syscalls:sys_exit_read { @ = lhist(args.ret, 0, 1000, 1); @k[comm, pid] = lhist(args.ret, 100, 1000, 7); }",
        "tracepoint:syscalls:sys_exit_read { @ = hist((uint8)args.ret); @b = sum((uint64)args.ret); @c = max((int16)args.ret); }",
        "profile:hz:99 { @[comm, cpu] = count(); } interval:s:1 { print(@); clear(@); }",
        "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = sum(args.ret); @t = sum(args.ret); } END { print(@, 10); }",
        "tracepoint:syscalls:sys_enter_read { @s[tid] = nsecs; } tracepoint:syscalls:sys_exit_read /@s[tid]/ { @us[comm] = hist((nsecs - @s[tid]) / 1000); delete(@s[tid]); }",
    ]);
}

#[test]
fn decisions_and_expressions() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let nested = (0..20).rev().fold("@deep++;".to_owned(), |inner, n| {
        format!("if (pid > {n}) {{ {inner} }} else {{ @a[{n}] = count(); printf(\"%d %s\\n\", {n}, comm); }}")
    });
    let sum = (0..25)
        .fold("pid".to_owned(), |sum, n| format!("(({sum}) {} (tid ^ {n}))", ["+", "*", "-", "|"][n % 4]));
    let ternary = (0..30).fold("0".to_owned(), |inner, n| format!("(pid == {n} ? {n} + tid : {inner})"));
    let variables: String = (0..40).map(|n| format!("$v{n} = pid * {n}; ")).collect();
    let uses: String = (0..40).map(|n| format!(" + $v{n}")).collect();
    let texts =
        (0..12).fold("\"none\"".to_owned(), |inner, n| format!("(pid == {n} ? \"text{n}\" : {inner})"));
    let chain: String =
        (0..30).map(|n| format!("if (pid == {n}) {{ print((\"is\", {n})); }} else ")).collect();
    let generated = [
        format!("tracepoint:syscalls:sys_enter_getppid {{ {nested} }}"),
        format!("tracepoint:syscalls:sys_enter_getppid {{ @ = {sum}; }}"),
        format!("tracepoint:syscalls:sys_enter_getppid {{ @ = {ternary}; }}"),
        format!("tracepoint:syscalls:sys_enter_getppid {{ {variables} @ = 0{uses}; }}"),
        format!(
            "tracepoint:syscalls:sys_enter_getppid {{ $x = {texts}; printf(\"%s\\n\", $x); @[$x] = count(); }}"
        ),
        format!("tracepoint:syscalls:sys_enter_getppid {{ {chain} {{ print(0); }} }}"),
    ];
    let mut scripts: Vec<&str> = generated.iter().map(String::as_str).collect();
    scripts.extend([
        "tracepoint:syscalls:sys_enter_read /pid == 5 && (tid != 6 || comm == \"x\") && !(uid == 0) && args.count > 10/ { print(1); }",
        "tracepoint:syscalls:sys_enter_read { @ = args.count / pid; @b = args.count % tid; @c = (int64)args.count / -3; @d = 5 / cpu; }",
        "tracepoint:syscalls:sys_enter_read { @ = args.count << (pid % 64); @b = args.count >> cpu; @c = -pid >> 2; @d = ~args.count; }",
        "tracepoint:syscalls:sys_enter_read { $a = (int8)args.count; $b = (uint8)$a; $c = (int32)$b - 300; @[$a, $b, $c] = $a < $b ? $c : -1; }",
        "tracepoint:syscalls:sys_enter_read { if (args.count > 100 && args.fd == 3) { if (comm == \"a\") { exit(); } } else { exit(args.fd); } @ = 1; }",
        "tracepoint:syscalls:sys_enter_read { $s = comm; $t = (pid, $s); $u = ($t, $t); @[$u] = $u; print($u); print($u.1.1); }",
        "tracepoint:syscalls:sys_enter_read { @ = nsecs; @b = nsecs(monotonic); @c = elapsed; @d = jiffies; @e = rand; @f = numaid; @g = cgroup; }",
        "tracepoint:syscalls:sys_enter_read { time(\"%H:%M:%S\\n\"); time(); errorf(\"%d\\n\", pid); warnf(\"%s\\n\", comm); exit(3); }",
    ]);
    all_load(&scripts);
}

#[test]
fn printing() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let integers = format!(
        "tracepoint:syscalls:sys_enter_read {{ printf(\"{}\\n\"{}); }}",
        "%d ".repeat(60),
        (0..60).map(|n| format!(", pid + {n}")).collect::<String>()
    );
    let texts = format!(
        "config = {{ max_strlen = 64 }} tracepoint:syscalls:sys_enter_openat {{ printf(\"{}\\n\"{}); }}",
        "%s ".repeat(20),
        ", str(args.filename)".repeat(20)
    );
    let mixed = format!(
        "tracepoint:syscalls:sys_enter_openat {{ printf(\"{}\\n\"{}); }}",
        "%s %d %x %s %c ".repeat(5),
        ", comm, pid, args.flags, probe, 65".repeat(5)
    );
    let tuple = format!(
        "tracepoint:syscalls:sys_enter_openat {{ print(({})); }}",
        (0..20).map(|n| format!("(comm, {n}, pid)")).collect::<Vec<_>>().join(", ")
    );
    let many: String = (0..40).map(|n| format!("printf(\"%d %s\\n\", {n}, comm); ")).collect();
    let many = format!("tracepoint:syscalls:sys_enter_read {{ {many} }}");
    all_load(&[
        &integers,
        &texts,
        &mixed,
        &tuple,
        &many,
        "tracepoint:syscalls:sys_enter_read { printf(\"plain\\n\"); print(5); print(\"x\"); print(comm); print(true); print(-1); }",
        "tracepoint:syscalls:sys_enter_read { print((pid, comm)); print(((pid, comm), (1, \"a\"))); printf(\"%s\\n\", (pid, comm)); }",
        "tracepoint:syscalls:sys_enter_get* { @[probe] = count(); }",
        "tracepoint:syscalls:sys_enter_open*, tracepoint:syscalls:sys_exit_open* { printf(\"%s %d\\n\", probe, args.__syscall_nr); }",
        "interval:s:1, interval:ms:100, interval:us:1000, interval:hz:10, profile:hz:9, profile:ms:100 { @[probe, cpu] = count(); }",
    ]);
}
