//! Static probes that programs bring along: their places, their arguments in every form, and their switches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use skep_testing::need;
use skep_testing::programs::{self, NOTES, Program};
use support::target::{WAIT, Waiting};
use support::{Running, trace};

fn build(text: &str) -> Program {
    programs::c("probed", &format!("{NOTES}\n{text}"), &["-O1", "-fno-inline"])
}

fn around(program: &Program, script: &str, more: &[&str]) -> String {
    let path = program.to_string();
    let script = script.replace("{}", &path);
    trace(&[&["-q", "-e", &script, "-c", &path], more].concat()).quiet_output()
}

const SIMPLE: &str = "\
int main(int argc, char **argv)
{
    /* Programs cannot read what is not in memory yet. */
    *(volatile const char *)\"hello\";
    NOTE(\"one\", \"first\", \"0\", \"-4@%[n] 8@%[text]\", [n] \"r\"(-7), [text] \"r\"(\"hello\"));
    NOTE(\"one\", \"second\", \"0\", \"-4@%[n]\", [n] \"r\"(8));
    NOTE(\"two\", \"second\", \"0\", \"-4@%[n]\", [n] \"r\"(9));
    return 0;
}
";

#[test]
fn probes_by_name_and_by_pattern() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = build(SIMPLE);
    let script = "usdt:{}:one:first { printf(\"%d %s\\n\", arg0, str(arg1)); }
        usdt:{}:first { printf(\"%s\\n\", probe); }
        usdt:{}:second { printf(\"a %d\\n\", arg0); }
        usdt:{}:two:* { printf(\"b %d\\n\", arg0); }
        U:{}:*second { @ = count(); }";
    let expected = format!("-7 hello\nusdt:{program}:one:first\na 8\na 9\nb 9\n\n\n@: 2\n");
    assert_eq!(around(&program, script, &[]), expected);
    let attached = trace(&["--dry-run", "-v", "-e", &format!("usdt:{program}:* {{ }}")]).success();
    assert_eq!(attached.stderr.matches("Trying to attach probe").count(), 3, "{}", attached.stderr);
}

/// One call of a function with a note whose one argument is in a given form.
fn form(index: usize, spelled: &str, operands: &str) -> String {
    format!("    NOTE(\"form\", \"f{index}\", \"0\", \"{spelled}\", {operands});\n")
}

#[test]
fn arguments_in_every_form() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    // The value is the same everywhere; how much of it is looked at, and how, is not.
    const VALUE: &str = "0xf7f6f5f4f3f2f1f0ul";
    let forms: &[(&str, &str, i64)] = &[
        ("8@%[x]", "[x] \"a\"(value)", 0xf7f6f5f4f3f2f1f0u64 as i64),
        ("4@%k[x]", "[x] \"a\"(value)", 0xf3f2f1f0),
        ("-4@%k[x]", "[x] \"D\"(value)", 0xf3f2f1f0u32 as i32 as i64),
        ("2@%w[x]", "[x] \"S\"(value)", 0xf1f0),
        ("-2@%w[x]", "[x] \"d\"(value)", 0xf1f0u16 as i16 as i64),
        ("1@%b[x]", "[x] \"c\"(value)", 0xf0),
        ("-1@%b[x]", "[x] \"b\"(value)", 0xf0u8 as i8 as i64),
        ("1@%h[x]", "[x] \"a\"(value)", 0xf1),
        ("8@%%r10", "\"i\"(0)", 42),
        ("4@%%r10d", "\"i\"(0)", 42),
        ("-8@$-5", "\"i\"(0)", -5),
        ("-4@$4294967291", "\"i\"(0)", -5),
        ("1@$-1", "\"i\"(0)", 255),
        ("8@(%[p])", "[p] \"r\"(cells)", 10),
        ("-4@8(%[p])", "[p] \"r\"(cells)", 11),
        ("8@-8(%[p])", "[p] \"r\"(cells + 3)", 12),
        ("8@(%[p],%[i],8)", "[p] \"r\"(cells), [i] \"r\"(3l)", 13),
        ("-2@8(%[p],%[i],4)", "[p] \"r\"(cells), [i] \"r\"(6l)", -14),
        ("8@(%[p],%[i])", "[p] \"r\"(cells), [i] \"r\"(16l)", 12),
        ("8@(,%[i],1)", "[i] \"r\"(cells + 1)", 11),
        ("8@counter(%%rip)", "\"i\"(0)", 77),
        ("4@counter+8(%%rip)", "\"i\"(0)", 78),
        ("8@counter", "\"i\"(0)", 77),
    ];
    let notes: Vec<String> = forms
        .iter()
        .enumerate()
        .map(|(index, (spelled, operands, _))| form(index, spelled, operands))
        .collect();
    let source = format!(
        "long counter[2] = {{ 77, 78 }};
long cells[5] = {{ 10, 11, 12, 13, -14 }};
unsigned long start = {VALUE};
int main(void)
{{
    unsigned long value = *(volatile unsigned long *)&start;
    __asm__ volatile(\"mov $42, %%r10\" ::: \"r10\");
{}
    return 0;
}}
",
        notes.concat()
    );
    for flags in [&["-O1", "-no-pie", "-fno-pie"][..], &["-O1", "-pie", "-fPIE"]] {
        let program = programs::c("forms", &format!("{NOTES}\n{source}"), flags);
        let clauses: Vec<String> = (0..forms.len())
            .map(|index| format!("usdt:{{}}:form:f{index} {{ printf(\"{index} %lld\\n\", arg0); }}"))
            .collect();
        let printed = around(&program, &clauses.join("\n"), &[]);
        let expected: Vec<String> =
            forms.iter().enumerate().map(|(index, (_, _, value))| format!("{index} {value}\n")).collect();
        assert_eq!(printed, format!("{}\n\n", expected.concat()), "{flags:?}");
    }
}

#[test]
fn one_program_for_each_form() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = "\
static void place(int n) { NOTE(\"p\", \"same\", \"0\", \"-4@%[n]\", [n] \"D\"(n)); }
int main(void)
{
    place(1);
    NOTE(\"p\", \"same\", \"0\", \"-4@$2\", \"i\"(0));
    NOTE(\"p\", \"same\", \"0\", \"\", \"i\"(0));
    place(3);
    return 0;
}
";
    let program = build(source);
    let script = "usdt:{}:p:same { printf(\"%d\\n\", arg0); @[probe] = count(); }";
    for features in ["", "uprobe_multi", "uprobe_multi,attach_cookie"] {
        let args: &[&str] = if features.is_empty() { &[] } else { &["--no-feature", features] };
        let path = program.to_string();
        let run = trace(&[&["-e", &script.replace("{}", &path), "-c", &path][..], args].concat()).success();
        let expected = format!("1\n2\n0\n3\n\n\n@[usdt:{program}:p:same]: 4\n");
        assert_eq!(run.stdout, expected, "without {features}");
        assert!(run.stderr.ends_with("Attached 1 probe\n"), "{}", run.stderr);
        assert!(run.stderr.contains("has no arg0: it is 0 there."), "{}", run.stderr);
    }
}

#[test]
fn semaphores_are_raised_while_somebody_listens() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = format!(
        "{WAIT}
unsigned short listeners __attribute__((section(\".probes\"), used));
int main(void)
{{
    wait_for_test();
    NOTE(\"p\", \"watched\", \"listeners\", \"2@%w[n]\", [n] \"a\"(*(volatile unsigned short *)&listeners));
    NOTE(\"p\", \"always\", \"0\", \"2@%w[n]\", [n] \"a\"(*(volatile unsigned short *)&listeners));
    return 0;
}}
"
    );
    let program = build(&source);
    for features in ["", "uprobe_multi"] {
        let args: &[&str] = if features.is_empty() { &[] } else { &["--no-feature", features] };
        for (probes, listeners) in [("watched", 1), ("*", 1), ("always", 0)] {
            let one = Waiting::start(program.path());
            let pid = one.pid();
            let script = format!("usdt:{program}:p:{probes} {{ printf(\"%d\\n\", arg0); }}");
            let running = Running::attached(&[&["-q", "-p", &pid, "-e", &script], args].concat());
            one.go();
            let expected = if probes == "*" { "1\n1\n\n\n".to_owned() } else { format!("{listeners}\n\n\n") };
            assert_eq!(running.end().quiet_output(), expected, "{probes} without {features}");
        }
    }
}

#[test]
fn listings() {
    need!(Root, Gcc);
    let program = build(SIMPLE);
    let list = |pattern: &str| trace(&["-l", pattern]).quiet_output().replace(&program.to_string(), "{}");
    let all = "usdt:{}:one:first\nusdt:{}:one:second\nusdt:{}:two:second\n";
    assert_eq!(list(&format!("usdt:{program}:*")), all);
    assert_eq!(list(&format!("usdt:{program}:two:*")), "usdt:{}:two:second\n");
    assert_eq!(list(&format!("usdt:{program}:*:second")), "usdt:{}:one:second\nusdt:{}:two:second\n");
    assert_eq!(list(&format!("*:{program}:first")), "usdt:{}:one:first\n");
    let waiting = programs::c(
        "waiting",
        &format!(
            "{NOTES}\n{WAIT}\nint main(void) {{ wait_for_test(); NOTE(\"p\", \"mine\", \"0\", \"\", \"i\"(0)); return 0; }}"
        ),
        &[],
    );
    let one = Waiting::start(waiting.path());
    let pid = one.pid();
    let listed = trace(&["-p", &pid, "-l", "usdt:*"]).quiet_output();
    assert!(listed.contains(&format!("usdt:/proc/{pid}/root{waiting}:p:mine\n")), "{listed}");
}

#[test]
fn probes_of_a_process() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = format!(
        "{WAIT}
int main(void)
{{
    wait_for_test();
    NOTE(\"mine\", \"one\", \"0\", \"-4@$1\", \"i\"(0));
    return 0;
}}
"
    );
    let program = build(&source);
    for target in ["usdt::mine:one", "usdt:*:mine:one", "usdt:one", &format!("usdt:{program}:one")] {
        let (one, other) = (Waiting::start(program.path()), Waiting::start(program.path()));
        let pid = one.pid();
        let script = format!("{target} {{ printf(\"%d\\n\", arg0); @[probe] = count(); }}");
        let running = Running::attached(&["-q", "-p", &pid, "-e", &script]);
        other.go();
        one.go();
        let expected = format!("1\n\n\n@[usdt:/proc/{pid}/root{program}:mine:one]: 1\n");
        assert_eq!(running.end().quiet_output(), expected, "{target}");
    }
}

#[test]
fn what_cannot_be_probed() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = build(SIMPLE);
    let says = |script: &str, message: &str| {
        let run = trace(&["-e", &script.replace("{}", &program.to_string())]);
        assert_eq!(run.code(), 1, "{run:?}");
        let stderr = run.stderr.replace(&program.to_string(), "{}");
        assert!(stderr.contains(message), "{script}: {stderr}");
    };
    says("usdt:{}:one:furst { }", "ERROR: No matches for usdt {}:one:furst.");
    says("usdt:{}:one:furst { }", "HINT: Did you mean 'usdt:{}:one:first'?");
    says("usdt:{}:three:* { }", "ERROR: Probe has no valid attach points.");
    says("usdt:{} { }", "ERROR: usdt probe type requires 2 or 3 arguments, found 1");
    says("usdt::first { }", "ERROR: usdt probe must specify at least path or pid to probe.");
    says("usdt:{}2:first { }", "ERROR: usdt target file '{}2' does not exist or is not executable");
    says("usdt:{}:first { print(args) }", "ERROR: The args builtin can only be used with");
    says("usdt:{}:first { print(func) }", "ERROR: The func builtin can not be used with 'usdt' probes");
    says("usdt:{}:first { print(retval) }", "ERROR: The retval builtin can only be used with");
}
