//! C types end to end: what the running kernel's structs hold, read by the real binary. Values that depend on the
//! kernel are compared with what builtins say, or with each other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::{perl, prints, trace};

/// Runs each script, which is to print `true` in each line and nothing else.
fn all_true(scripts: &[&str]) {
    for script in scripts {
        let run = trace(&["-q", "--no-warnings", "-e", script]);
        let lines: Vec<&str> = run.stdout.split_whitespace().collect();
        let right = !lines.is_empty() && lines.iter().all(|line| *line == "true");
        assert!(run.status.success() && right, "{script}\n{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn fields_behind_pointers() {
    need!(Root, Bpf, RingBuf, Btf);
    all_true(&[
        "BEGIN { print(curtask->pid == tid); print(curtask.tgid == pid); print(curtask->comm == comm); }",
        "BEGIN { $t = (struct task_struct *)curtask; print($t->group_leader->tgid == pid);
                 print($t->group_leader->group_leader == $t->group_leader); print($t->real_parent->pid != pid); }",
        // Fields of structs in structs, of anonymous members, arrays, bitfields.
        "BEGIN { print(curtask->se.load.weight > 0); print(curtask->se.load.weight == curtask->se.load.weight);
                 $l = curtask->se.load; print($l.weight == curtask->se.load.weight);
                 print(curtask->cpus_mask.bits[0] > 0); $i = 0; print(curtask->cpus_mask.bits[$i] > 0);
                 print(curtask->mm->mm_count.counter > 0); print(curtask->in_execve == 0);
                 $name = curtask->fs->pwd.dentry->d_name; print($name.len == $name.hash_len >> 32); }",
        "BEGIN { $m = *curtask->mm; print($m.pgd == curtask->mm->pgd); print($m.start_stack == curtask->mm->start_stack);
                 @m = $m.start_code; print(@m == $m.start_code); clear(@m); }",
        "BEGIN { $mask = curtask->cpus_mask; print($mask == curtask->cpus_mask);
                 print($mask.bits == curtask->cpus_mask.bits); }",
        // What cannot be read is zero.
        "BEGIN { print(((struct task_struct *)0)->pid == 0); print(((struct task_struct *)16)->comm == \"\");
                 print(uptr(curtask)->pid == 0); }",
    ]);
}

#[test]
fn pointers_and_addresses() {
    need!(Root, Bpf, RingBuf, Btf);
    all_true(&[
        "BEGIN { $t = curtask; print(&$t->se == &curtask->se); print((&$t->se)->load.weight == $t->se.load.weight);
                 print(container_of(&$t->se, typeof(struct task_struct), se)->pid == tid);
                 print($t[0].pid == tid); print(($t + 1) > $t); print(*(uint32 *)&$t->pid == tid);
                 $n = 1; $u = $t - $n; print($u[$n].pid == tid); }",
        "BEGIN { $x = (uint32)5; $p = &$x; print(*$p == 5); $x = 7; print(*$p == 7); $pp = &$p; print(**$pp == 7); $x++; print(*$p == 8); }",
        "BEGIN { @a = (int64)-3; $p = &@a; print(*$p == -3); @k[1] = \"text\"; print(*(&@k[1]) == \"text\"); print(&@k[2] == (void *)0);
                 clear(@a); clear(@k); }",
        "BEGIN { $t = ((int8)1, \"two\", (int64)3); $p = &$t; print($p.1 == \"two\"); print((*$p).2 == 3); $r = (a = 1, b = \"x\");
                 $q = &$r; print($q->b == \"x\"); $s = \"abc\"; print(*(&$s) == \"abc\"); print(str(&$s) == \"abc\"); }",
        "BEGIN { @t[1] = curtask; @u = (1, curtask); print(@t[1]->pid == tid); print(@u.1->pid == tid); clear(@t); clear(@u); }",
    ]);
}

#[test]
fn arrays_and_casts() {
    need!(Root, Bpf, RingBuf);
    for (script, expected) in [
        (
            "BEGIN { print((int8[8])12345); print((int8[])(int16)7); print((uint16[2])(uint32)65538); $x = 5; print((int8[])$x); }",
            "[57,48,0,0,0,0,0,0]\n[7,0]\n[2,1]\n[5]\n\n\n",
        ),
        (
            "BEGIN { print((int8[])\"hello\"); print((uint64)(int8[8])12345); print((int8[4])7 == (int8[4])7); }",
            "[104,101,108,108,111,0]\n12345\ntrue\n\n\n",
        ),
        (
            "BEGIN { $a = (int8[4])1027; $i = 1; print($a[0]); print($a[$i]); @[$a] = $a; @t = (1, $a); }",
            "3\n4\n\n\n@[[3,4,0,0]]: [3,4,0,0]\n@t: (1, [3,4,0,0])\n",
        ),
        (
            "BEGIN { $s = \"abc\"; $i = 2; print($s[1]); print($s[$i]); print(\"xyz\"[0]); }",
            "98\n99\n120\n\n\n",
        ),
        (
            "BEGIN { $a = (uint8)200; print(~$a); print(-$a); $b = (int8)-128; print(-$b); print(~$b); print(-(uint64)5); }",
            "55\n56\n128\n127\n18446744073709551611\n\n\n",
        ),
    ] {
        let run = trace(&["-q", "--no-warnings", "-e", script]);
        assert_eq!(run.stdout, expected, "{script}\n{}", run.stderr);
    }
    let run = trace(&["-q", "-e", "BEGIN { $a = (int8[4])7; $i = 9; print($a[$i]); }"]);
    assert_eq!(run.stdout, "0\n\n\n");
    assert!(
        run.stderr.contains("Array access out of bounds. This can lead to unexpected results."),
        "{}",
        run.stderr
    );
}

#[test]
fn enums_have_names() {
    need!(Root, Bpf, RingBuf, Btf);
    let script = "BEGIN { print(PIDTYPE_PID); printf(\"%s %d\\n\", PIDTYPE_TGID, PIDTYPE_TGID); print((enum pid_type)2); $n = 1;
         print((enum pid_type)$n); $n = 77; print((enum pid_type)$n); $e = PIDTYPE_TGID; print($e + 1); print(-$e);
         print((1, $e)); print(sizeof(PIDTYPE_PID)); @e[$e, 1] = $e; @mixed = PIDTYPE_PGID; @mixed = 5; }";
    let expected = "PIDTYPE_PID\nPIDTYPE_TGID 1\nPIDTYPE_PGID\nPIDTYPE_TGID\n77\n2\n18446744073709551615\n(1, PIDTYPE_TGID)\n8\n\n\n\
         @e[PIDTYPE_TGID, 1]: PIDTYPE_TGID\n@mixed: 5\n";
    assert_eq!(prints(script), expected);
    let json =
        trace(&["-q", "-f", "json", "-e", "BEGIN { print(PIDTYPE_TGID); @[PIDTYPE_TGID] = PIDTYPE_PGID; }"]);
    let expected =
        "{\"type\": \"value\", \"data\": 1}\n{\"type\": \"map\", \"data\": {\"@\": {\"PIDTYPE_TGID\": 2}}}\n";
    assert_eq!(json.stdout, expected);
}

/// A mask of the processors takes up to 1,024 bytes.
#[test]
fn large_structs_are_keys() {
    need!(Root, Bpf, RingBuf, Btf, LongKeys);
    all_true(&["BEGIN { $mask = curtask->cpus_mask; @mask[$mask] = $mask;
                 print(@mask[$mask].bits[0] == $mask.bits[0]); clear(@mask); }"]);
}

#[test]
fn structs_print_as_the_original_prints_them() {
    need!(Root, Bpf, RingBuf, Btf);
    let script = "BEGIN { print(curtask->se.load); @l = curtask->se.load; @k[curtask->se.load, 1] = 1; printf(\"%s\\n\", curtask->se.load); }";
    let run = trace(&["-q", "-e", script]);
    let load = run.stdout.lines().next().unwrap().to_owned();
    assert!(
        load.starts_with("{ .weight = ") && load.contains(", .inv_weight = ") && load.ends_with(" }"),
        "{load}"
    );
    assert_eq!(run.stdout, format!("{load}\n{load}\n\n\n@k[{load}, 1]: 1\n@l: {load}\n"));
    let json = trace(&[
        "-q",
        "-f",
        "json",
        "-e",
        "BEGIN { print(curtask->se.load); print((1, curtask->cpus_mask)); }",
    ]);
    assert!(json.stdout.starts_with("{\"type\": \"value\", \"data\": {\"weight\": "), "{}", json.stdout);
    assert!(json.stdout.contains("\"data\": [1,{\"bits\": ["), "{}", json.stdout);
    // All of it, ten thousand bytes of every sort of field.
    let whole = trace(&["-q", "-e", "BEGIN { print(*curtask); }"]);
    assert!(whole.stdout.contains(".comm = skep, "), "{}{}", whole.stdout, whole.stderr);
}

#[test]
fn what_is_asked_about_types() {
    need!(Root, Bpf, RingBuf, Btf);
    all_true(&[
        "BEGIN { print(sizeof(struct task_struct) == sizeof(*curtask)); print(sizeof(struct task_struct *) == 8); print(sizeof(curtask->comm) == 16);
                 print(offsetof(struct task_struct, se.load.inv_weight) == offsetof(struct task_struct, se) + offsetof(struct sched_entity, load) + 8);
                 print(sizeof(pid_t) == 4); print(sizeof(uint8[6]) == 6); print(sizeof(enum pid_type) == 8); }",
        "config = { unstable_typeinfo = enable } BEGIN { print(typeinfo(curtask).full_type == \"struct task_struct *\"); print(typeinfo(pid).base_type == \"int\");
                 $t = typeinfo(curtask->comm); print($t.full_type == \"string[16]\"); print(typeinfo(curtask->loginuid).full_type == \"struct {uint32}\"); }",
        "BEGIN { let $t : struct task_struct * = curtask; let $s : size_t = 5; let $m : struct cpumask = curtask->cpus_mask; let $u : typeof($t) = $t;
                 print($u->pid == tid); print($s == 5); print($m.bits[0] > 0); }",
    ]);
}

#[test]
fn records_of_tracepoints() {
    need!(Root, Bpf, RingBuf, Btf, Tracefs);
    // The struct that a system call's argument points to, in the memory of the caller.
    let script = "tracepoint:syscalls:sys_enter_pselect6 /pid == cpid/ { printf(\"%d %d\\n\", args.tsp->tv_sec, args.tsp.tv_nsec);
                 $a = args; print($a.n); print($a.tsp == args.tsp); }";
    let command = perl("select(undef, undef, undef, 0.002)");
    let run = trace(&["-q", "-e", script, "-c", &command]);
    assert_eq!(run.stdout, "0 2000000\n0\ntrue\n\n\n", "{}", run.stderr);
}

#[test]
fn the_context_of_a_timer_is_the_interrupted_registers() {
    need!(Root, Bpf, RingBuf, Btf);
    let script = "interval:ms:1 { $c = ctx; print(ctx->regs.ip == $c->regs.ip); print(((struct bpf_perf_event_data *)ctx)->sample_period > 0); exit(); }";
    assert_eq!(prints(script), "true\ntrue\n\n\n");
}
