//! Probes on functions of programs and libraries: which places are meant, what is seen there, and for whom.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use skep_testing::need;
use skep_testing::programs::{self, Program};
use support::objects::Objects;
use support::target::{WAIT, Waiting};
use support::{Running, trace};

const SOURCE: &str = "\
#include <stdio.h>
struct item { int number; const char *name; char tag[4]; };
enum color { RED, GREEN = 5 };
int first_function(int a, const char *text) { return a + text[0]; }
long second_function(long a, signed char b, enum color c, struct item *item) { return -a; }
int many(int a, int b, int c, int d, int e, int f, int g, short h) { return g + h; }
static void third_function(void) {
    __asm__ volatile(\"nop\");
}
int main(void)
{
    struct item item = { 7, \"seven\", \"abc\" };
    /* Programs cannot read what is not in memory yet. */
    const char *volatile texts[] = { \"one\", \"two\", \"seven\" };
    for (int i = 0; i < 3; i++) *(volatile const char *)texts[i];
    first_function(1, \"one\");
    first_function(-2, \"two\");
    second_function(3, -4, GREEN, &item);
    many(1, 2, 3, 4, 5, 6, 7, -8);
    third_function();
    return 0;
}
";

fn program() -> Program {
    programs::c("simple", SOURCE, &["-g", "-O0"])
}

/// What a script prints around a program. `{}` stands for the program's path.
fn around(program: &Program, script: &str, more: &[&str]) -> String {
    let path = program.to_string();
    let script = script.replace("{}", &path);
    trace(&[&["-q", "-e", &script, "-c", &path], more].concat()).quiet_output()
}

/// The message of a script that is refused.
fn refused(program: &Program, script: &str) -> String {
    let path = program.to_string();
    let run = trace(&["-e", &script.replace("{}", &path)]);
    assert_eq!(run.code(), 1, "{run:?}");
    run.stderr.replace(&path, "{}")
}

#[test]
fn arguments_and_results() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script =
        "uprobe:{}:first_function { printf(\"%s %d %s\\n\", func, (int32)arg0, str(arg1)); @calls++; }
        uretprobe:{}:first_function { printf(\"%d\\n\", (int32)retval); }
        uprobe:{}:second_function { printf(\"%d %d\\n\", arg0, (int8)arg1); }
        uretprobe:{}:second_function { printf(\"%d\\n\", (int64)retval); }
        ur:{}:third_function { printf(\"%s\\n\", func); }";
    let expected =
        "first_function 1 one\n112\nfirst_function -2 two\n114\n3 -4\n-3\nthird_function\n\n\n@calls: 2\n";
    assert_eq!(around(&program, script, &[]), expected);
}

/// Functions that look into texts find the names of probes there.
#[test]
fn names_are_texts() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:*_function { if (strcontains(probe, \"second\")) { @a[probe] = count(); }
        if (strncmp(func, \"first\", 5) == 0) { @b[func, strlen(func)] = count(); } }";
    let expected = format!("@a[uprobe:{program}:second_function]: 1\n@b[first_function, 14]: 2\n");
    assert_eq!(around(&program, script, &[]).trim_start(), expected);
}

#[test]
fn parameters_at_once() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:second_function { @ = args.a; print(args); }";
    let printed = around(&program, script, &[]);
    assert!(printed.starts_with("{ .a = 3, .b = -4, .c = GREEN, .item = 0x"), "{printed}");
}

/// In a namespace of process ids of its own, stacks have the names of the processes there.
#[test]
fn stacks_in_a_namespace_of_process_ids() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let path = program.to_string();
    let script = format!(
        "config = {{ show_debug_info = 0 }} uprobe:{path}:second_function {{ print(ustack(2)); print(usym(reg(\"ip\"))); }}"
    );
    let skep = support::binary().to_str().unwrap();
    let args = ["--fork", "--pid", "--mount-proc", skep, "trace", "-q", "-e", &script, "-c", &path];
    let run = support::run(support::call(Path::new("unshare"), &args)).quiet_output();
    assert!(run.contains("second_function+") && run.contains("main+"), "{run}");
    assert!(run.trim_end().ends_with("second_function"), "{run}");
}

#[test]
fn parameters_by_name() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:first_function { printf(\"%d %s\\n\", args.a, str(args.text)); }
        uprobe:{}:second_function { printf(\"%d %d %d\\n\", args.a, args.b, args.c); print(args.c); }";
    assert_eq!(around(&program, script, &[]), "1 one\n-2 two\n3 -4 5\nGREEN\n\n\n");
}

#[test]
fn registers_and_the_place() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    // The same instruction, by name, by its address and by its line.
    let elf = skep_symbols::elf::Elf::open(program.path()).unwrap();
    let debug = skep_symbols::elf::DebugPath::default();
    let address = elf.functions_named("first_function", &debug).unwrap()[0].address;
    let script = format!(
        "uprobe:{{}}:first_function {{ @name = reg(\"ip\"); @si = reg(\"si\") == arg1; }}
        uprobe:{{}}:{address:#x} {{ @address = reg(\"pc\"); @[func] = count(); }}
        uprobe:{{}}@simple.c:4 {{ @line = reg(\"pc\"); printf(\"%s %d\\n\", probe, @line == @name && @line == @address); }}"
    );
    let printed = around(&program, &script, &[]);
    let expected = format!("uprobe:{program}:{address} 1\n");
    assert!(printed.starts_with(&expected.repeat(2)), "{printed}");
    assert!(printed.contains("\n@[first_function]: 2\n"), "{printed}");
    assert!(printed.contains("\n@si: true\n"), "{printed}");
}

#[test]
fn offsets_are_places_in_a_function() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:third_function+1 { printf(\"%s %s\\n\", probe, func); }";
    assert_eq!(
        around(&program, script, &[]),
        format!("uprobe:{program}:third_function+1 third_function\n\n\n")
    );
}

#[test]
fn wildcards_in_every_way_of_attaching() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:*_function { @[func] = count(); } uretprobe:{}:*_function { @returns++; }
        uprobe:{}:*_function { printf(\"%s\\n\", probe); }";
    let name = |function: &str| format!("uprobe:{program}:{function}_function\n");
    let names = ["first", "first", "second", "third"].map(name).concat();
    let expected =
        format!("{names}@[second_function]: 1\n@[third_function]: 1\n@[first_function]: 2\n@returns: 4\n");
    for without in [
        "no_feature_at_all",
        "uprobe_multi",
        "uprobe_multi,attach_cookie",
        "uprobe_multi,perf_event_link,attach_cookie",
    ] {
        let args: &[&str] = if without.starts_with("no_") { &[] } else { &["--no-feature", without] };
        let printed = around(&program, script, args);
        let maps = |text: &str| {
            let mut lines: Vec<String> =
                text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(maps(&printed), maps(&expected), "without {without}");
        assert!(printed.starts_with(&names), "without {without}: {printed}");
    }
}

#[test]
fn many_places_are_one_link() {
    need!(Root, Bpf, RingBuf, Uprobe, UprobeMulti, Gcc);
    let program = program();
    let script = format!("uprobe:{program}:*_function {{ @[probe] = count(); }}");
    let objects = |args: &[&str]| {
        let running = Running::attached(&[&["-q", "-e", &script], args].concat());
        let objects = Objects::of(running.pid());
        // However it ends, the kernel takes everything away.
        running.signal(Signal::KILL);
        running.end();
        objects.wait_until_gone();
        (objects.programs.len(), objects.links.len())
    };
    assert_eq!(objects(&[]), (1, 1));
    assert_eq!(objects(&["--no-feature", "uprobe_multi"]), (1, 3));
}

#[test]
fn many_files() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let copy = program.directory().join("simple2");
    std::fs::copy(program.path(), &copy).unwrap();
    let script =
        format!("uprobe:{}/sim*:first_function {{ @[probe] = count(); }}", program.directory().display());
    let run = trace(&["-e", &script, "-c", copy.to_str().unwrap()]).success();
    // The source is no program and is passed over.
    assert_eq!(run.stderr, "Attached 2 probes\n");
    assert_eq!(run.stdout.trim(), format!("@[uprobe:{}:first_function]: 2", copy.display()));
}

#[test]
fn names_of_cpp() {
    need!(Root, Bpf, RingBuf, Uprobe, Gxx);
    let source = "\
struct Counter { int n; int add(int by) { return n += by; } int add(long by) { return n += by; } };
namespace outer { int twice(int x) { return 2 * x; } }
int main() { Counter c = { 1 }; return c.add(2) + c.add(3L) + outer::twice(4) == 0; }
";
    let program = programs::cpp("classes", source, &["-g", "-O0"]);
    let all = "uprobe:{}:cpp:\"Counter::add\" { printf(\"%d\\n\", arg1); }
        uprobe:{}:cpp:\"outer::twice(int)\" { printf(\"%s %d\\n\", func, args.x); }
        uprobe:{}:cpp:\"Counter::add(long)\" { printf(\"%d %d\\n\", args.by, *(int32*)arg0); }";
    let printed = around(&program, all, &[]);
    assert_eq!(printed, "2\n3\n3 3\n_ZN5outer5twiceEi 4\n\n\n");
    let listed = trace(&["-l", &format!("uprobe:{program}:cpp:\"outer::*\"")]).quiet_output();
    assert_eq!(listed, format!("uprobe:{program}:cpp:_ZN5outer5twiceEi\n"));
}

#[test]
fn libraries_by_name() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = programs::c(
        "caller",
        "#include <unistd.h>\nint main(void) { getppid(); return getppid() == 0; }",
        &[],
    );
    let path = program.to_string();
    for library in ["libc", "libc.so.6"] {
        let script = format!("uprobe:{library}:getppid {{ printf(\"%s %d\\n\", func, pid == cpid); }}");
        let printed = trace(&["-q", "-e", &script, "-c", &path]).quiet_output();
        assert_eq!(printed, "getppid 1\ngetppid 1\n\n\n", "{library}");
    }
}

#[test]
fn functions_with_arguments_on_the_stack() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script = "uprobe:{}:many { printf(\"%d %d %d\\n\", arg5, (int32)arg6, (int16)arg7);
        printf(\"%d %d %d\\n\", args.f, args.g, args.h); }";
    assert_eq!(around(&program, script, &[]), "6 7 -8\n6 7 -8\n\n\n");
}

#[test]
fn structs_of_the_program() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let script =
        "uprobe:{}:second_function { printf(\"%d %s %s\\n\", args.item->number, str(args.item->name),
        args.item->tag); print(((struct item *)arg3)->number); }";
    assert_eq!(around(&program, script, &[]), "7 seven abc\n7\n\n\n");
}

/// What is no pointer, or not followed, is a number.
#[test]
fn returned_pointers() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = "\
struct item { int number; struct item *next; } items[2] = { { 7, items + 1 }, { -9, 0 } };
struct item *take(int n) { return &items[n]; }
int count(void) { return -1; }
int main(void) { return take(0)->number + count() == 0; }
";
    let program = programs::c("returns", source, &["-g", "-O0"]);
    let script = "uretprobe:{}:take { print((retval->next->number, (*retval).number, retval[1].number)); }
        uretprobe:{}:take { print(*retval); }
        uretprobe:{}:count { print(retval); }";
    assert_eq!(around(&program, script, &[]), "(-9, 7, -9)\n7\n4294967295\n\n\n");
    let refusal = refused(&program, "uretprobe:{}:count { print(retval->number); }");
    assert!(refusal.contains("ERROR: "), "{refusal}");
}

#[test]
fn variables_of_the_program() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = "\
int number = 0x55;
static short small = -7;
long big;
int work(void) { return number + small; }
int main(void) { big = 12; return work() == 0; }
";
    let script =
        "uprobe:{}:work { printf(\"%d %d %d\\n\", *uaddr(\"number\"), *uaddr(\"small\"), *uaddr(\"big\"));
        print(uaddr(\"work\") == reg(\"ip\")); }";
    for flags in [&["-O0", "-no-pie"][..], &["-O0", "-pie", "-fPIE"]] {
        let program = programs::c("variables", source, flags);
        assert_eq!(around(&program, script, &[]), "85 -7 12\ntrue\n\n\n", "{flags:?}");
        let refusal = refused(&program, "uprobe:{}:work { print(uaddr(\"nothing\")); }");
        assert!(refusal.contains("ERROR: Could not resolve symbol: {}:nothing"), "{refusal}");
    }
}

#[test]
fn structs_passed_by_value() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = "\
struct small { int a; short b; };
struct pair { long a; int b; };
struct large { long a[3]; int b; };
int take(struct small small, struct pair pair, struct large large, int after) { return after; }
int main(void)
{
    struct small small = { 1, -2 };
    struct pair pair = { 3, -4 };
    struct large large = { { 5, 6, 7 }, -8 };
    return take(small, pair, large, 9) == 0;
}
";
    let program = programs::c("values", source, &["-g", "-O0"]);
    let script =
        "uprobe:{}:take { printf(\"%d %d %d %d %d %d %d\\n\", args.small.a, args.small.b, args.pair.a,
        args.pair.b, args.large.a[2], args.large.b, args.after); }";
    assert_eq!(around(&program, script, &[]), "1 -2 3 -4 7 -8 9\n\n\n");
}

fn waiting_source() -> String {
    format!(
        "{WAIT}\nint work(int n) {{ return n; }}\nint main(void) {{ wait_for_test(); work(1); work(2); return 0; }}\n"
    )
}

/// Runs a script about one of two processes that do the same.
fn about_one_of_two(program: &Program, script: &str, more: &[&str]) -> String {
    let (one, other) = (Waiting::start(program.path()), Waiting::start(program.path()));
    let pid = one.pid();
    let running = Running::attached(&[&["-q", "-p", &pid, "-e", script], more].concat());
    other.go();
    one.go();
    running.end().quiet_output()
}

#[test]
fn one_process_only() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = programs::c("waiting", &waiting_source(), &[]);
    for features in ["", "uprobe_multi", "uprobe_multi,attach_cookie"] {
        let args: &[&str] = if features.is_empty() { &[] } else { &["--no-feature", features] };
        // By path, by all that it has mapped, and without a target.
        for target in [format!("{program}:"), "*:".to_owned(), String::new()] {
            for function in ["work", "wor*"] {
                let script = format!("uprobe:{target}{function} {{ printf(\"%d\\n\", arg0); }}");
                assert_eq!(
                    about_one_of_two(&program, &script, args),
                    "1\n2\n\n\n",
                    "{script} without {features}"
                );
            }
        }
    }
}

#[test]
fn a_process_among_other_mounts() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = programs::c("waiting", &waiting_source(), &[]);
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    // Only that process sees the program there.
    command.args(["-m", "--propagation", "private", "sh", "-c"]).arg(format!(
        "mount --bind {} {place} && exec {place}/waiting",
        program.directory().display(),
        place = place.path().display()
    ));
    let one = Waiting::command(command);
    let pid = one.pid();
    let inside = place.path().join("waiting").display().to_string();
    assert!(!Path::new(&inside).exists());
    let listed = trace(&["-p", &pid, "-l", "uprobe:*:work"]).quiet_output();
    assert_eq!(listed, format!("uprobe:/proc/{pid}/root{inside}:work\n"));
    let script = format!("uprobe:{inside}:work {{ printf(\"%d\\n\", arg0); }}");
    let running = Running::attached(&["-q", "-p", &pid, "-e", &script]);
    one.go();
    assert_eq!(running.end().quiet_output(), "1\n2\n\n\n");
}

#[test]
fn debugging_information_apart() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = programs::c("simple", SOURCE, &["-g", "-O0", "-Wl,--build-id"]);
    let debug = program.directory().join("elsewhere");
    std::fs::create_dir(&debug).unwrap();
    let file = debug.join("simple.debug");
    programs::run(Command::new("objcopy").arg("--only-keep-debug").arg(program.path()).arg(&file));
    programs::run(Command::new("objcopy").arg("--strip-all").arg(program.path()));
    let script = "uprobe:{}:first_function { printf(\"%d\\n\", args.a); }";
    assert!(refused(&program, script).contains("No matches for uprobe {}:first_function."));
    let debug = debug.to_str().unwrap();
    assert_eq!(around(&program, script, &["--debuginfo", debug]), "1\n-2\n\n\n");
}

/// An archive of one member that is not compressed.
fn archive(path: &Path, name: &str, content: &[u8]) {
    let mut file = std::fs::File::create(path).unwrap();
    let size = (content.len() as u32).to_le_bytes();
    // Version, flags, method, time, date, checksum, sizes, and the lengths of name and extra field.
    let common = |name_length: usize| {
        [
            &[10u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &size,
            &size,
            &(name_length as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat()
    };
    let local = [b"PK\x03\x04", &common(name.len())[..], name.as_bytes(), content].concat();
    let central = [b"PK\x01\x02", &[10u8, 0][..], &common(name.len()), &[0; 14], name.as_bytes()].concat();
    let (central_length, offset) = (central.len() as u32, local.len() as u32);
    let end = [
        b"PK\x05\x06",
        &[0u8, 0, 0, 0, 1, 0, 1, 0][..],
        &central_length.to_le_bytes(),
        &offset.to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    file.write_all(&[local, central, end].concat()).unwrap();
}

#[test]
fn members_of_archives() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let zip = program.directory().join("app.zip");
    archive(&zip, "lib/simple", &std::fs::read(program.path()).unwrap());
    let member = format!("{}!/lib/simple", zip.display());
    let listed = trace(&["-l", &format!("uprobe:{member}:*_function")]).quiet_output();
    let names = ["first", "second", "third"].map(|name| format!("uprobe:{member}:{name}_function\n"));
    assert_eq!(listed, names.concat());
    let attached = trace(&["--dry-run", "-e", &format!("uprobe:\"{member}\":first_function {{ }}")]);
    attached.success();
}

#[test]
fn listings() {
    need!(Root, Gcc);
    let program = program();
    let list = |args: &[&str]| trace(args).quiet_output().replace(&program.to_string(), "{}");
    let pattern = format!("uprobe:{program}:*_function");
    assert_eq!(
        list(&["-l", &pattern]),
        "uprobe:{}:first_function\nuprobe:{}:second_function\nuprobe:{}:third_function\n"
    );
    assert_eq!(
        list(&["-lv", &pattern]),
        "uprobe:{}:first_function\n    int a\n    const char* text\n\
         uprobe:{}:second_function\n    long int a\n    signed char b\n    enum color c\n    struct item* item\n\
         uprobe:{}:third_function\n"
    );
    assert_eq!(list(&["-lv", &format!("uretprobe:{program}:first*")]), "uretprobe:{}:first_function\n");
    assert_eq!(list(&["-l", &format!("*:{program}:first*")]), "uprobe:{}:first_function\n");
    assert_eq!(
        list(&["-l", "-e", &format!("u:{program}:first_function {{ }}")]),
        "uprobe:{}:first_function\n"
    );
}

#[test]
fn what_cannot_be_probed() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program();
    let says = |script: &str, message: &str| {
        let refused = refused(&program, script);
        assert!(refused.contains(message), "{script}: {refused}");
    };
    says("uprobe:{}:first_functio { }", "ERROR: No matches for uprobe {}:first_functio.");
    says("uprobe:{}:first_functio { }", "HINT: Did you mean 'uprobe:{}:first_function'?");
    says("uprobe:{}:nothing* { }", "ERROR: Probe has no valid attach points.");
    says("uprobe:{}2:main { }", "ERROR: uprobe target file '{}2' does not exist or is not executable");
    says("uprobe::main { }", "ERROR: uprobe should have a target");
    says(
        "uprobe:{}: { }",
        "ERROR: uprobe should be attached to a function, address, or source file and line",
    );
    says("uprobe:{} { }", "ERROR: uprobe probe type requires 2 or 3 arguments, found 1");
    says("uprobe:{}:rust:main { }", "ERROR: unsupported language type: rust");
    says("uprobe:{}:main+100000 { }", "ERROR: Offset outside the function bounds ('main' size is ");
    says("uprobe:{}:main+2 { }", "ERROR: Could not add uprobe into middle of instruction: {}:main+2");
    says("uprobe:{}:_init { }", "ERROR: Could not determine boundary for _init (symbol has size 0).");
    says(
        "uprobe:{}:0x3 { }",
        "ERROR: Could not determine instruction boundary for uprobe:{}:3 (binary appears stripped).",
    );
    says("uretprobe:{}:main+4 { }", "ERROR: Offset not allowed");
    says("uretprobe:{}@simple.c:4 { }", "ERROR: Source code location not allowed");
    says("uprobe:{}@simple.c:2 { }", "ERROR: DWARF error: Unable to map 'simple.c:2' to address");
    says("uprobe:{}@other.c:2 { }", "ERROR: DWARF error: No compilation unit matches other.c");
    says("uprobe:{}@simple.c:x { }", "ERROR: Invalid line number: invalid integer: x");
    says("uprobe:{}:main { print(args.nope) }", "ERROR: Can't find function parameter nope");
    says("uprobe:{}:_start { print(args.nope) }", "ERROR: Cannot read function parameters");
    says(
        "uretprobe:{}:main { print(arg0) }",
        "ERROR: The arg0 builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes",
    );
    let missing = "config = { missing_probes = \"warn\" } uprobe:{}:main { exit(); } uprobe:{}:nope { }";
    let run = trace(&["--dry-run", "-e", &missing.replace("{}", &program.to_string())]).success();
    assert!(run.stderr.contains("WARNING: No matches for uprobe"), "{}", run.stderr);
}
