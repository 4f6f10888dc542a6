//! What the caller decides: parameters, settings of the environment, the filter by process; and a
//! kernel that does not answer.

use skep_lang::hir::{MissingProbes, Program};
use skep_lang::sema::testing::{Fixture, Unreadable};
use skep_lang::world::World;
use skep_lang::{Options, compile_front, dump};
use skep_ui::{Colors, SourceMap};

fn check(script: &str, options: &Options, world: &dyn World) -> (Option<Program>, String) {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", script);
    let analysis = compile_front(&mut sources, file, options, world);
    let shown = analysis.render(&sources, Colors::Never);
    (analysis.program, shown)
}

fn with_params(params: &[&str]) -> Options {
    Options { params: params.iter().map(|param| (*param).to_owned()).collect(), ..Options::default() }
}

#[test]
fn parameters_are_literals() {
    let script = "tracepoint:$2 { $a = $1; $b = $3; $c = str($1); $d = str($3 + 1); $e = $#; \
                  if (comm == $3 && pid == $1) { exit($1) } }";
    let options = with_params(&["-300", "syscalls:sys_enter_creat", "hello"]);
    let (program, shown) = check(script, &options, &Fixture::default());
    assert_eq!(shown, "");
    insta::assert_snapshot!(dump(&program.unwrap()));
}

#[test]
fn a_parameter_of_the_wrong_kind_is_a_type_mismatch() {
    let (program, shown) = check("begin { $x = pid == $1 }", &with_params(&["abc"]), &Fixture::default());
    assert!(program.is_none());
    insta::assert_snapshot!(shown);
}

#[test]
fn a_parameter_longer_than_any_text_is_refused_where_it_is_one() {
    let settings = "config = { max_strlen = 5 } begin";
    let script = format!("{settings} {{ print(str($1)); print($2); @[$1] = 1 }}");
    let (program, shown) = check(&script, &with_params(&["abcde", "abcd"]), &Fixture::default());
    assert!(program.is_none());
    insta::assert_snapshot!(shown);

    // What is left of it is short enough.
    let script =
        format!("{settings} {{ print(str($1, 3)); print(str($1 + 2)); if ($1 == \"abcde\") {{ exit() }} }}");
    let (program, shown) = check(&script, &with_params(&["abcdef"]), &Fixture::default());
    assert!(program.is_some(), "{shown}");
}

#[test]
fn nothing_is_said_of_probes_that_may_be_missing() {
    let script = |policy| {
        format!("config = {{ missing_probes = {policy} }} kprobe:no_such_function {{ }} begin {{ }}")
    };
    let (program, shown) = check(&script("ignore"), &Options::default(), &Fixture::default());
    assert_eq!((program.map(|program| program.probes.len()), shown.as_str()), (Some(1), ""));
    let (_, shown) = check(&script("warn"), &Options::default(), &Fixture::default());
    assert!(shown.contains("WARNING: No matches for kprobe no_such_function. Skipping."), "{shown}");
}

#[test]
fn the_filter_guards_what_processes_do() {
    let options = Options { pid_filter: true, has_command: true, ..Options::default() };
    let script =
        "begin { print(cpid) } interval:s:1 { print(1) } profile:hz:9 /pid/ { print(2) } end { print(3) }";
    let (program, shown) = check(script, &options, &Fixture::default());
    assert_eq!(shown, "");
    insta::assert_snapshot!(dump(&program.unwrap()));
}

#[test]
fn the_environment_beats_the_script() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let config = vec![
        pair("BPFTRACE_MAX_STRLEN", "32"),
        pair("missing_probes", "ignore"),
        pair("BPFTRACE_BTF", "/some/file"),
        pair("BPFTRACE_PRINT_MAPS_ON_EXIT", "0"),
    ];
    let options = Options { config, ..Options::default() };
    let script = "config = { max_strlen = 64; max_map_keys = 5 } begin { @[1] = 1 } t:no:such { }";
    let (program, shown) = check(script, &options, &Fixture::default());
    assert_eq!(shown, "");
    let program = program.unwrap();
    assert_eq!(program.config.max_strlen, 32);
    assert_eq!(program.config.max_map_keys, 5);
    assert_eq!(program.config.missing_probes, MissingProbes::Ignore);
    assert!(!program.config.print_maps_on_exit);
    assert_eq!(program.maps[0].max_entries, 5);
    assert_eq!(program.probes.len(), 1);
}

#[test]
fn the_environment_may_hold_what_is_no_setting() {
    let config = vec![("BPFTRACE_NO_SUCH_KEY".to_owned(), "1".to_owned())];
    let (program, shown) = check("begin { }", &Options { config, ..Options::default() }, &Fixture::default());
    assert!(program.is_some());
    assert_eq!(shown, "");
}

#[test]
fn wrong_settings_of_the_environment_have_no_place() {
    let config = vec![("BPFTRACE_MAX_STRLEN".to_owned(), "many".to_owned())];
    let (program, shown) = check("begin { }", &Options { config, ..Options::default() }, &Fixture::default());
    assert!(program.is_none());
    assert_eq!(
        shown,
        "ERROR: max_strlen: expecting a number, got many\nHINT: It comes from BPFTRACE_MAX_STRLEN in the environment.\n"
    );
}

#[test]
fn a_kernel_that_does_not_answer_is_an_error_at_the_attach_point() {
    for script in ["t:a:b { print(args.x) }", "t:a:* { }", "begin { print(1) }"] {
        let (program, shown) = check(script, &Options::default(), &Unreadable);
        assert_eq!(program.is_some(), script.starts_with("begin"), "{shown}");
        assert_eq!(shown.contains("tracefs is not mounted"), !script.starts_with("begin"), "{shown}");
    }
}

#[test]
fn what_cannot_be_verified_is_checked_as_far_as_possible() {
    let script = "t:a:b { @x = 1; @x = str(args.c); @y = args.n + 1; @x = \"a\"; } t:a:* { nothing() }";
    let (program, shown) = check(script, &Options::default(), &Unreadable);
    assert!(program.is_none());
    insta::assert_snapshot!(shown);
}

#[test]
fn too_many_probes_are_refused() {
    let script = "config = { max_probes = 3 } t:syscalls:* { }";
    let (program, shown) = check(script, &Options::default(), &Fixture::default());
    assert!(program.is_none());
    insta::assert_snapshot!(shown);
}

fn with_named(named: &[&str]) -> Options {
    let split = |text: &&str| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*text).to_owned(), None),
    };
    Options { named: named.iter().map(split).collect(), ..Options::default() }
}

#[test]
fn options_of_the_script_have_the_type_of_their_default() {
    let script = "begin { print((getopt(\"aa\", 20), getopt(\"bb\", -1), getopt(\"cc\", true), getopt(\"dd\"), \
                  getopt(\"ee\", \"hello\"), getopt(\"ff\", 1 << 4, \"of f\"), getopt(\"gg\", 7), getopt(\"hh\", \"x\"))); }";
    let named = ["dd", "aa=0xffffffffffffffff", "bb=-10", "cc=False", "gg=-1", "hh=a=b"];
    let (program, shown) = check(script, &with_named(&named), &Fixture::default());
    assert_eq!(shown, "");
    insta::assert_snapshot!(dump(&program.unwrap()));
}

#[test]
fn wrong_options_of_the_script_are_told() {
    let script = "begin { print((getopt(\"int\", 1), getopt(\"bool\"), getopt(\"text\", \"a\"), getopt(\"neg\", -1))); }";
    for (given, expected) in [
        ("int", "ERROR: program command line option --int expects an integer (value: true)\n"),
        ("int=x", "ERROR: program command line option --int invalid integer (value: x)\n"),
        (
            "neg=18446744073709551615",
            "ERROR: program command line option --neg invalid integer (value: 18446744073709551615)\n",
        ),
        ("bool=x", "ERROR: program command line option --bool expects a boolean (e.g. 'true') (value: x)\n"),
        ("text", "ERROR: program command line option --text expects a string (value: true)\n"),
        (
            "txt=1",
            "ERROR: unexpected program command line options: --txt\n\
             HINT: expected program options: --int, --bool, --text, --neg\nHINT: Did you mean --text?\n",
        ),
    ] {
        let (program, shown) = check(script, &with_named(&[given]), &Fixture::default());
        assert!(program.is_none(), "{given}");
        assert_eq!(shown, expected, "{given}");
    }
    let (_, shown) = check("begin { }", &with_named(&["x"]), &Fixture::default());
    assert!(shown.ends_with("HINT: no custom program options defined.\n"), "{shown}");
}

#[test]
fn a_pattern_may_match_nothing_beside_others_that_do() {
    let at = |points: &str| check(&format!("{points} {{ }}"), &Options::default(), &Fixture::default());
    let (program, shown) = at("tracepoint:syscalls:sys_enter_creat, tracepoint:syscalls:nothing*");
    assert_eq!((program.unwrap().targets.len(), shown.as_str()), (1, ""));
    let (program, shown) = at("tracepoint:a*:b, tracepoint:nothing*:c");
    assert!(program.is_none());
    assert!(shown.starts_with("stdin:1:1-39: ERROR: Probe has no valid attach points."), "{shown}");
    // One that is written out has to be there.
    let (program, shown) = at("tracepoint:syscalls:sys_enter_creat, tracepoint:syscalls:nothing");
    assert!(program.is_none());
    assert!(shown.contains("ERROR: No matches for tracepoint syscalls:nothing."), "{shown}");
}
