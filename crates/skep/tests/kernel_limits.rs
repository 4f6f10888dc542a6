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
