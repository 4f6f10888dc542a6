//! The language, end to end: scripts of `BEGIN` and `END`, which run in the kernel like every other probe, and
//! scripts on probes that fire a known number of times. The expectations are what bpftrace 0.27 prints.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use support::{perl, prints, trace};

/// Runs each script and compares all that it prints; tells of every script that differs.
fn all_print(cases: &[(&[&str], &str, &str)]) {
    let mut wrong = String::new();
    for (args, script, expected) in cases {
        let run = trace(&[&["-q", "--no-warnings", "-e", script], *args].concat());
        if run.stdout != *expected || !run.status.success() || !run.stderr.is_empty() {
            let found = format!("{}\n{}{}", run.status, run.stdout, run.stderr);
            wrong.push_str(&format!("== {script}\n-- expected\n{expected}\n-- found: {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn printf_converts_as_c_does() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            r#"BEGIN { printf("%d %u %i|%5d|%-5d|%05d|%+d|\n", -5, -1, 7, 42, 42, 42, 42); }"#,
            "-5 4294967295 7|   42|42   |00042|+42|\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { printf("%x %X %#x %o %#o %p %c %%\n", 255, 255, 255, 8, 8, 4096, 65); }"#,
            "ff FF 0xff 10 010 0x1000 A %\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { printf("%s|%10s|%-10s|\n", "abc", "abc", "abc"); }"#,
            "abc|       abc|abc       |\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { printf("%hhd %hd %d %ld %lld %hhu %lx\n", 300, 70000, 1, 2, 3, 300, -1); }"#,
            "44 4464 1 2 3 44 ffffffffffffffff\n\n\n",
        ),
        (&[], r#"BEGIN { printf("%s %s %s\n", 5, (1, "x"), probe); }"#, "5 (1, x) begin\n\n\n"),
        (&[], r#"BEGIN { printf("\x41\t\101\\ \"q\" é\n"); print("a\tb"); }"#, "A\tA\\ \"q\" é\na\tb\n\n\n"),
        (&[], r#"BEGIN { printf("no newline"); }"#, "no newline\n\n"),
    ]);
}

#[test]
fn values_and_operators() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            "BEGIN { @x = 1; @x++; ++@x; @x += 5; @x--; @x <<= 2; @y = @x / 3; @z = @x % 5; @w = -@x; @v = ~1; \
             @t = 5 & 3 | 8 ^ 1; }",
            "\n\n@t: 9\n@v: 18446744073709551614\n@w: -28\n@x: 28\n@y: 9\n@z: 3\n",
        ),
        (
            &[],
            "BEGIN { @a = (uint8)300; @b = (int8)200; @c = (int32)-1; @d = (uint64)-1; @e = 1 << 40; }",
            "\n\n@a: 44\n@b: -56\n@c: -1\n@d: 18446744073709551615\n@e: 1099511627776\n",
        ),
        (
            &[],
            r#"BEGIN { printf("%d %d %d %d\n", 7 / 2, -7 / 2, 7 % 3, 7 && 0); print(1 < 2); print(-1 < 1); print(true); }"#,
            "3 -3 1 0\ntrue\ntrue\ntrue\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $x = (1, "two", 3); printf("%d %s %d\n", $x.0, $x.1, $x.2); $x = (4, "five", 6); print($x); }"#,
            "1 two 3\n(4, five, 6)\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { $s = "abc"; $s = "longer text"; print($s); @s = "x"; @s = "longer"; print(@s); }"#,
            "longer text\n@s: longer\n\n\n@s: longer\n",
        ),
        (
            &[],
            "BEGIN { print(nsecs > 0); print(elapsed < 1000000000000); print(pid > 0); print(cpu >= 0); print(uid); \
             print(gid); print(comm); print(probe); }",
            "true\ntrue\ntrue\ntrue\n0\n0\nskep\nbegin\n\n\n",
        ),
    ]);
}

#[test]
fn decisions() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            r#"BEGIN { $a = 5; if ($a > 3) { printf("big\n"); } else { printf("small\n"); }
                 if ($a == 1) { print(1) } else if ($a == 5) { print(2) } else { print(3) }
                 print($a > 3 ? "yes" : "no"); }"#,
            "big\n2\nyes\n\n\n",
        ),
        (
            &[],
            r#"BEGIN { if ("abc" == "abc") { print("eq") } if ("abc" != "abd") { print("ne") }
                 $s = "abc"; if ($s == "abc" && $s != "abcd") { print($s) } if (comm == "skep") { print(comm) } }"#,
            "eq\nne\nabc\nskep\n\n\n",
        ),
        (&[], "BEGIN /1 == 2/ { print(1); } BEGIN /1 == 1/ { print(2); }", "2\n\n\n"),
        (&[], "BEGIN { if (@never) { print(1); } @x = @never + 1; }", "\n\n@x: 1\n"),
        // An exit ends the probe at once; what END says comes all the same.
        (
            &[],
            r#"BEGIN { @[1] = 1; if (@[1]) { exit(); } print("after"); } END { print("end"); }"#,
            "end\n\n\n@[1]: 1\n",
        ),
    ]);
}

#[test]
fn maps() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        // A key of all values is told by its parts.
        (
            &[],
            r#"BEGIN { @[1, "a"] = (1, "b"); @[2, "bc"] = (7, "d"); print(@[1, "a"]); }"#,
            "(1, b)\n\n\n@[1, a]: (1, b)\n@[2, bc]: (7, d)\n",
        ),
        (
            &[],
            r#"BEGIN { @["a b", 5] = (1, "x,y"); @n[-1] = -1; @u[(uint8)255] = 1; @bb[true] = false; @z[1] = 0; }"#,
            "\n\n@[a b, 5]: (1, x,y)\n@bb[true]: false\n@n[-1]: -1\n@u[255]: 1\n@z[1]: 0\n",
        ),
        // Printing is done by what reads, which sees the map as it is by then.
        (
            &[],
            "BEGIN { @[1] = 10; @[2] = 20; @[3] = 30; print(@, 2); print(@, 0, 10); print(@, 1, 20); print(@); clear(@); print(@); }",
            "@[2]: 20\n@[3]: 30\n@[1]: 1\n@[2]: 2\n@[3]: 3\n@[3]: 1\n@[1]: 10\n@[2]: 20\n@[3]: 30\n\n\n",
        ),
        (
            &[],
            "BEGIN { @a = 5; @a = 0; delete(@a); @b = 7; zero(@b); @c[1] = 5; zero(@c); @d = count(); zero(@d); @e = hist(5); clear(@e); }",
            "\n\n@b: 0\n@c[1]: 0\n@d: 0\n",
        ),
        (
            &[],
            r#"BEGIN { @["a"] = 1; @["ab"] = 2; @["abc"] = 3; if (@["ab"] == 2) { print("there") }
                 delete(@["ab"]); if (has_key(@, "ab")) { print("there") } else { print("gone") }
                 delete(@, "abc"); }"#,
            "there\ngone\n\n\n@[a]: 1\n",
        ),
        (
            &[],
            r#"BEGIN { @x = 5; print(@x); print((1, "a", (2, 3))); print(5); print("hi"); print(@x, 1); }"#,
            "@x: 5\n(1, a, (2, 3))\n5\nhi\n@x: 5\n\n\n@x: 5\n",
        ),
        (
            &[],
            "BEGIN { $k = (1, 2); @b[$k] = 1; @c[1, 2] = 3; @d[(1, 2)] = 4; }",
            "\n\n@b[1, 2]: 1\n@c[1, 2]: 3\n@d[1, 2]: 4\n",
        ),
        // In order of the keys where the values are the same.
        (
            &[],
            r#"BEGIN { @[3]=3;@[1]=3;@[2]=1; @s["b"]=1;@s["a"]=2; @t[2,"a"]=5; @t[1,"b"]=5; @m[1]=count(); @m[0]=count(); }"#,
            "\n\n@[2]: 1\n@[1]: 3\n@[3]: 3\n@m[0]: 1\n@m[1]: 1\n@s[b]: 1\n@s[a]: 2\n@t[1, b]: 5\n@t[2, a]: 5\n",
        ),
        (&[], r#"BEGIN { @a[1] = 1; @b[2] = 2; } END { print("bye"); clear(@a); }"#, "bye\n\n\n@b[2]: 2\n"),
    ]);
}

#[test]
fn aggregations() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            "BEGIN { @a = count(); @a = count(); @s = sum(5); @s = sum(-7); @mi = min(3); @mi = min(-3); @ma = max(3); \
             @ma = max(9); @av = avg(1); @av = avg(4); @st = stats(10); @st = stats(20); }",
            "\n\n@a: 2\n@av: 2\n@ma: 9\n@mi: -3\n@s: -2\n@st: { .count = 2, .average = 15, .total = 30 }\n",
        ),
        (
            &[],
            r#"BEGIN { @a["x"] = count(); @a["y"] = count(); @a["x"] = count(); @s[1] = sum(5); @s[2] = sum(-7);
                 @mi[1,2] = min(3); @ma["k", 1] = max(9); @av[1] = avg(1); @av[2] = avg(4); @st[1] = stats(10);
                 @st[1] = stats(21); }"#,
            "\n\n@a[y]: 1\n@a[x]: 2\n@av[1]: 1\n@av[2]: 4\n@ma[k, 1]: 9\n@mi[1, 2]: 3\n@s[2]: -7\n@s[1]: 5\n\
             @st[1]: { .count = 2, .average = 15, .total = 31 }\n",
        ),
        (
            &[],
            "BEGIN { @av = avg(-7); @av = avg(2); @ma = max(-5); @mi = min((uint64)-5); @st = stats(-10); @st = stats(3); print(@av); }",
            "@av: -2\n\n\n@av: -2\n@ma: -5\n@mi: 18446744073709551611\n@st: { .count = 2, .average = -3, .total = -7 }\n",
        ),
    ]);
}

#[test]
fn histograms() {
    need!(Root, Bpf, RingBuf);
    insta::assert_snapshot!(prints(
        "BEGIN { @h = hist(0); @h = hist(1); @h = hist(-1); @h = hist(100); @h = hist(100); @h = hist(3000); \
         @k[\"a\"] = hist(5); @k[\"b\"] = hist(70); @k[\"b\"] = hist(0); \
         @bits[1] = hist(70, 2); @bits[1] = hist(75, 2); @bits[1] = hist(9, 2); \
         @l = lhist(5, 0, 50, 10); @l = lhist(-5, 0, 50, 10); @l = lhist(500, 0, 50, 10); @l = lhist(25, 0, 50, 10); \
         @m[1, \"a\"] = lhist(5, 0, 100, 10); }"
    ));
}

#[test]
fn averages_and_histograms_are_ranked_and_divided() {
    need!(Root, Bpf, RingBuf);
    insta::assert_snapshot!(prints(
        "BEGIN { @a[1] = avg(10); @a[1] = avg(20); @a[2] = avg(1); print(@a, 1); print(@a, 0, 5); \
         @h[1] = hist(3); @h[2] = hist(4); @h[2] = hist(4); print(@h, 1); print(@h, 1, 2); clear(@a); clear(@h); }"
    ));
}

#[test]
fn json_of_every_kind() {
    need!(Root, Bpf, RingBuf);
    let json = |script: &str| trace(&["-f", "json", "-e", script]).quiet_output();
    insta::assert_snapshot!(json(
        r#"BEGIN { printf("a \"b\" %d\n", 5); print(5); print("x"); print((1,"y")); @m[1]=1; @m[2]=5; print(@m);
             print(@m[1]); print(@m, 1); print(@m, 0, 2); time("x\n"); errorf("bad\n");
             @a = 1; @b[1,"x"] = 2; @c["k"] = count(); @s = sum(5); @av = avg(7); @st = stats(8);
             @st2["a"] = stats(9); @mi = min(-4); @t = (1,"z"); @str = "q\"uote"; @bo = true;
             @u = (uint64)-1; @i = -5; @e[1, (2, "b")] = (3, (4, "c")); @hb = hist(9, 1);
             @h = hist(5); @h = hist(100); @k["a"] = hist(-3);
             @l = lhist(5,0,20,10); @l = lhist(500,0,20,10); @l = lhist(-5,0,20,10); }"#
    ));
}

#[test]
fn positional_parameters() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &["17", "hello", "--", "-3", "0x10"],
            r#"BEGIN { printf("%d %s %d %d %d [%s]\n", $1, str($2), $3, $4, $#, str($5)); @[str($2)] = $1; }"#,
            "17 hello -3 16 4 []\n\n\n@[hello]: 17\n",
        ),
        (&[], r#"BEGIN { printf("%d %d [%s]\n", $1, $#, str($1)); }"#, "0 0 []\n\n\n"),
    ]);
}

#[test]
fn timers_fire() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        // Until the exit is heard it may fire again.
        (
            &[],
            "interval:ms:10 { @n++; if (@n == 3) { print(@n >= 3); exit(); } } END { clear(@n); }",
            "true\n\n\n",
        ),
        (&[], "interval:us:500 { print(probe); exit(); }", "interval:us:500\n\n\n"),
        (&[], "interval:hz:100 { printf(\"%d\\n\", cpu >= 0); exit(); }", "1\n\n\n"),
    ]);
}

#[test]
fn profiles_fire_on_the_cpu_that_works() {
    need!(Root, Bpf, RingBuf);
    // The child works until it is ended, which happens when its work was seen often enough.
    let script = "profile:hz:99 /pid == cpid && comm == \"perl\"/ {
            @n++; if (@n == 3) { printf(\"%s %s\\n\", comm, probe); exit(); }
        }
        END { clear(@n); }";
    let run = trace(&["-q", "-e", script, "-c", &perl("1 while 1")]);
    assert_eq!(run.quiet_output(), "perl profile:hz:99\n\n\n");
}

#[test]
fn probes_tell_their_fields_and_names() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let command = perl("getppid for 1..5; getpgrp for 1..3; open F, q(</nonexistent/file)");
    let script = r#"
        tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { @calls[comm, args.__syscall_nr] = count(); @last = probe; }
        tracepoint:syscalls:sys_exit_getppid /pid == cpid/ { @ret = hist(args.ret > 0 ? 3 : 0); }
        tracepoint:syscalls:sys_enter_openat /pid == cpid && str(args.filename) == "/nonexistent/file"/ {
            @path[tid] = args.filename; printf("%s %d\n", str(args.filename), args.flags & 3);
        }
        tracepoint:syscalls:sys_exit_openat /@path[tid]/ {
            printf("%s %d\n", str(@path[tid]), args.ret); delete(@path, tid);
        }
        tracepoint:syscalls:sys_enter_getpgid, tracepoint:syscalls:sys_enter_getpgrp { if (pid == cpid) { @pg++; } }
    "#;
    let run = trace(&["-q", "--no-warnings", "-e", script, "-c", &command]).quiet_output();
    assert_eq!(
        run,
        "/nonexistent/file 0\n/nonexistent/file -2\n\n\n@calls[perl, 110]: 5\n\
         @last: tracepoint:syscalls:sys_enter_getppid\n@pg: 3\n@ret:\n\
         [2, 4)                 5 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n"
    );
}

#[test]
fn settings_come_from_the_script_and_the_environment() {
    need!(Root, Bpf, RingBuf);
    let with = |environment: &[(&str, &str)], args: &[&str]| {
        let mut command = support::skep(&[&["trace", "-q"], args].concat());
        command.envs(environment.iter().copied());
        support::run(command)
    };
    let quiet = |environment, script: &str| with(environment, &["-e", script]).quiet_output();
    assert_eq!(quiet(&[], "config = { print_maps_on_exit = false } BEGIN { @a = 1; }"), "\n\n");
    assert_eq!(quiet(&[("BPFTRACE_PRINT_MAPS_ON_EXIT", "0")], "BEGIN { @a = 1; }"), "\n\n");
    // The environment wins.
    let script = "config = { print_maps_on_exit = false } BEGIN { @a = 1; }";
    assert_eq!(quiet(&[("BPFTRACE_PRINT_MAPS_ON_EXIT", "1")], script), "\n\n@a: 1\n");

    let full = "BEGIN { @[1] = 1; @[2] = 1; @[3] = 1; printf(\"%d\\n\", has_key(@, 3)); }";
    let run = with(&[("BPFTRACE_MAX_MAP_KEYS", "2")], &["-e", full]).success();
    assert_eq!(run.stdout, "0\n\n\n@[1]: 1\n@[2]: 1\n");
    assert!(run.stderr.contains("Map full; can't update element."), "{}", run.stderr);

    let bad = with(&[("BPFTRACE_MAX_STRLEN", "many")], &["-e", "BEGIN { }"]);
    assert_eq!(bad.code(), 2);
    assert!(bad.stderr.contains("expecting a number, got many"), "{}", bad.stderr);
}

#[test]
fn long_texts_are_cut_where_the_setting_says() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let name = "0123456789".repeat(20);
    let command = perl(&format!("open F, q(</nonexistent/{name})"));
    let cut = |settings: &str| {
        let script = format!(
            "{settings} tracepoint:syscalls:sys_exit_openat /@f[tid]/ {{ print(str(@f[tid])); delete(@f, tid); }}
             tracepoint:syscalls:sys_enter_openat /pid == cpid && str(args.filename, 13) == \"/nonexistent\"/
             {{ @f[tid] = args.filename; }}"
        );
        trace(&["-q", "--no-warnings", "-e", &script, "-c", &command]).quiet_output()
    };
    assert_eq!(cut(""), format!("/nonexistent/{name}\n\n\n"));
    let short = cut("config = { max_strlen = 32 }");
    assert!(short.starts_with("/nonexistent/012345678901234567"), "{short}");
    assert!(short.len() < 50, "{short}");
}

/// Kernels before 5.11, which the switch stands for elsewhere.
#[test]
fn texts_in_keys_are_cut_where_the_kernel_wants_short_keys() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let name = "0123456789".repeat(60);
    let command = perl(&format!("open F, q({name})"));
    let script =
        "tracepoint:syscalls:sys_enter_openat /pid == cpid && str(args.filename, 11) == \"0123456789\"/ {
        $t = (str(args.filename), (uint32)5); @t[$t] = 1; @[str(args.filename)] = count();
    }";
    let run = trace(&["-q", "--no-feature", "long_keys", "-e", script, "-c", &command]).success();
    assert_eq!(run.stdout, format!("\n\n@[{}]: 1\n@t[{}, 5]: 1\n", &name[..511], &name[..503]));
    assert!(run.stderr.contains("Texts in the keys of @t are cut to 503 bytes"), "{}", run.stderr);
}

#[test]
fn conditions_that_are_known_and_booleans() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            r#"BEGIN { print(1 ? 1 : "a"); print(0 ? 1 : "a"); $x = if 1 { 2 } else { "b" }; print($x);
                 if ("a") { print("t"); } if ("") { print("f"); } print("a" ? 1 : 2); print(sizeof(1 ? 1 : 300)); }"#,
            "1\na\n2\nt\n1\n1\n\n\n",
        ),
        (
            &[],
            "BEGIN { $a = true; $b = false; print($a & $b); print($a | $b); print($a ^ $b); print($a - $b); \
             print($a * $b); print($a + 1); $a += $b; print($a); }",
            "false\ntrue\ntrue\ntrue\nfalse\n2\ntrue\n\n\n",
        ),
        (&[], "BEGIN { _ = print(1); _ = 1 ? print(2) : print(3); }", "1\n2\n\n\n"),
        (
            &[],
            r#"BEGIN { print(comptime (1, "a")); print(comptime if 1 { 2 } else { 3 }); }"#,
            "(1, a)\n2\n\n\n",
        ),
    ]);
}

#[test]
fn lengths_addresses_and_types_by_name() {
    need!(Root, Bpf, RingBuf, Btf);
    all_print(&[
        (
            &[],
            r#"BEGIN { $s = "hello"; $n = 3; print(str($s, $n)); $n = 0; print(str($s, $n)); $n = 100;
                 print(str("abc", $n)); }"#,
            "he\n\nabc\n\n\n",
        ),
        (
            &[],
            "BEGIN { print((uint8 *)-1); print((uint64 *)-300); $x = -1; print((uint8 *)$x); \
             print((void *)(int64)-1); print((int8 *)5); }",
            "0xff\n0xfed4\n0xff\n0xffffffffffffffff\n0x5\n\n\n",
        ),
        (
            &[],
            "BEGIN { print(offsetof(list_head, prev)); print(offsetof(typeof(*curtask), pid) > 0); \
             print(((task_struct *)curtask).pid == tid); }",
            "8\ntrue\ntrue\n\n\n",
        ),
        (
            &[],
            "BEGIN { print(sizeof(timestamp)); print(sizeof(username_t)); print(sizeof(macaddr_t)); \
             print(sizeof(count_t)); let $t : timestamp = strftime(\"%Y\", 0); print(sizeof($t)); }",
            "16\n8\n6\n8\n16\n\n\n",
        ),
        (
            &["5ms", "2s"],
            "BEGIN { print($1 + 1); print($2); print(str($1)); }",
            "5000001\n2000000000\n5ms\n\n\n",
        ),
        (
            &[],
            "struct room { char kinds[PIDTYPE_MAX]; }; typedef struct { int a; } one_t; \
             static const int N = 5; BEGIN { print((sizeof(struct room), sizeof(one_t), N)); }",
            "(4, 4, 5)\n\n\n",
        ),
    ]);
}

#[test]
fn divisions_by_a_literal_zero() {
    need!(Root, Bpf, RingBuf);
    let run = trace(&["-q", "-e", "BEGIN { $a = 7; print($a / 0); print($a % 0); $a /= 0; print($a); }"]);
    assert_eq!(run.stdout, "1\n1\n1\n\n\n");
    assert_eq!(run.stderr.matches("Divide or modulo by 0 detected").count(), 3, "{}", run.stderr);
}

/// What is thrown away on purpose is done all the same, and nothing is said about it.
#[test]
fn values_are_thrown_away_on_purpose() {
    need!(Root, Bpf, RingBuf);
    let script = "BEGIN { _ = { print(1); 1 }; _ = print(2); _ = 5; _ = { print(3) }; }";
    assert_eq!(trace(&["-q", "-e", script]).quiet_output(), "1\n2\n3\n\n\n");
}

#[test]
fn texts_are_conditions_move_and_compare_with_probes() {
    need!(Root, Bpf, RingBuf);
    all_print(&[
        (
            &[],
            r#"begin { $s = "abc"; @e = ""; print((bool)$s); print((bool)"x"); print((bool)@e); clear(@e); }"#,
            "true\ntrue\nfalse\n\n\n",
        ),
        (
            &[],
            r#"begin { print("abc" + 1); print(2 + ("abc")); print("abc" + 7 == ""); }"#,
            "bc\nc\ntrue\n\n\n",
        ),
        (
            &[],
            r#"begin { $s = "begin"; $p = probe; print(probe == $s); print(str($1) != probe); print($p == "begin");
               print($p == "end"); print($p != $s); } end { print(probe == "end"); }"#,
            "true\ntrue\ntrue\nfalse\nfalse\ntrue\n\n\n",
        ),
        (
            &[],
            r#"begin { print(probe < "x"); print("x" < probe); print(probe <= "begin"); } end { print(probe > "b"); }"#,
            "true\nfalse\ntrue\ntrue\n\n\n",
        ),
    ]);
}
