//! Scripts that are long, and texts that are.

mod support;

use std::fmt::Write;

use skep_testing::need;
use support::{file, path, trace};

/// Lines that add up, in one block.
fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, at| {
        // Writing to a text cannot fail.
        let _ = match at % 4 {
            0 => writeln!(text, "  @sum += {at};"),
            1 => writeln!(text, "  @at[{}] = (uint64)pid;", at % 5),
            2 => writeln!(text, "  $v{at} = @sum * 2;"),
            _ => writeln!(text, "  if ($v{} > 10) {{ @more = count(); }}", at - 1),
        };
        text
    })
}

fn printed(script: &str) -> String {
    let script = file(script);
    let run = trace(&["-q", "--no-warnings", path(&script)]);
    assert!(run.status.success(), "{}", run.stderr);
    run.stdout
}

/// Far more instructions than a jump of the kernel's is long, and a condition that leads past all of them.
#[test]
fn a_clause_of_thousands_of_lines() {
    need!(Root, Bpf, RingBuf);
    let sum: usize = (0..400).step_by(4).sum();
    let more = (2..400).step_by(4).filter(|at| (0..=*at).step_by(4).sum::<usize>() * 2 > 10).count();
    let (far, near) = (lines(2600), lines(400));
    let script = format!(
        "begin {{ if (pid == 0) {{\n{far}}} if (pid != 0) {{\n{near}}} print((@sum, 1)); clear(@at); }}\n"
    );
    assert_eq!(printed(&script).trim(), format!("({sum}, 1)\n\n\n@more: {more}\n@sum: {sum}"));
}

/// More memory than a value of a per-CPU map can have.
#[test]
fn long_texts() {
    need!(Root, Bpf, RingBuf, Btf);
    for capacity in [12_000, 65_536] {
        let script = format!(
            r#"config = {{ max_strlen = {capacity} }}
            fn twice($s : string) : string {{ return $s; }}
            begin {{
              $s = str((uint8 *)&curtask->comm);
              $t = twice($s);
              @kept = $t;
              printf("%s %s %d\n", $s, @kept, strlen($t));
              clear(@kept);
            }}"#
        );
        assert_eq!(printed(&script).trim(), "skep skep 4", "{capacity}");
    }
}

/// Two texts of 64 KiB have more words than there can be branches.
#[test]
fn long_texts_compare() {
    need!(Root, Bpf, RingBuf, Btf);
    let script = r#"config = { max_strlen = 65536 }
        begin { $s = str((uint8 *)&curtask->comm); $t = str((uint8 *)&curtask->comm); print(($s == $t, 1)); }"#;
    assert_eq!(printed(script).trim(), "(true, 1)");
}

/// More branches on one way than the kernel's verifier keeps notes of, with an end in one of them.
#[test]
fn thousands_of_branches() {
    need!(Root, Bpf, RingBuf);
    let (count, mut sum) = (4_500, 0);
    let mut lines = String::new();
    for at in 0..count {
        let known = at % 7 == 1;
        sum += if known { at } else { 1 };
        // Writing to a text cannot fail.
        let _ = writeln!(lines, "  if (@m[{}] > 3) {{ $s += {at}; }} else {{ $s += 1; }}", at % 7);
    }
    let script = format!(
        "begin {{ $s = 0; @m[1] = 5;\n{lines}print($s); if (@m[1] == 5) {{ exit(4); }} print(\"not this\"); }}"
    );
    let script = file(&script);
    let run = trace(&["-q", "--no-warnings", path(&script)]);
    assert_eq!((run.stdout.trim(), run.status.code()), (format!("{sum}\n\n\n@m[1]: 5").as_str(), Some(4)));
}

/// The kernel's own limit of programs at a tracepoint is told as what it is.
#[test]
fn more_programs_at_a_tracepoint_than_the_kernel_runs() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let clause = "tracepoint:syscalls:sys_enter_getpriority /pid == cpid/ { @++ } ";
    let run = trace(&["--dry-run", "-e", &clause.repeat(66), "-c", "true"]);
    assert!(
        run.code() != 0 && run.stderr.contains("the kernel runs 64 programs at one place at most"),
        "{run:?}"
    );
}
