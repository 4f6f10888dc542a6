//! `dw_ustack` end to end: stacks of programs that keep no frame pointers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use skep_testing::need;
use skep_testing::programs::{self, Program};
use support::target::{WAIT, Waiting};
use support::{Running, functions, trace};

/// `main` calls what its argument says, which leads to `leaf`, by all sorts of frames.
const CHAIN: &str = r#"
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define KEEP __asm__ volatile("" ::: "memory")
#define FUNCTION __attribute__((noinline, noclone))
/* The frame pointer is a register like any other. */
#define CLOBBER __asm__ volatile("" ::: "rbx", "rbp", "r12", "r13", "r14", "r15", "memory")
static volatile char sink;
static char *library;
FUNCTION void leaf(void) { KEEP; }
FUNCTION void pushes(void) { CLOBBER; leaf(); CLOBBER; }
FUNCTION void big(void) { volatile char room[70000]; room[sink] = 1; pushes(); sink = room[1]; }
FUNCTION void dynamic(int size) { char *room = alloca(size); memset(room, 1, size); big(); sink = room[size - 1]; }
FUNCTION void aligned(void) { _Alignas(128) volatile char room[128]; room[sink] = 1; dynamic(300); sink = room[1]; }
FUNCTION int compare(const void *a, const void *b) { leaf(); KEEP; return *(int *)a - *(int *)b; }
FUNCTION void sorts(void) { int numbers[] = { 2, 1 }; qsort(numbers, 2, sizeof *numbers, compare); sink = numbers[0]; }
FUNCTION void handler(int number) { leaf(); KEEP; }
FUNCTION void signals(void) { signal(SIGUSR2, handler); raise(SIGUSR2); KEEP; }
FUNCTION int deep(int depth) { int below; if (depth == 0) { leaf(); return 0; } below = deep(depth - 1); KEEP; return below + 1; }
FUNCTION void enters(void) { CLOBBER; syscall(SYS_getppid); CLOBBER; }
FUNCTION void calls(void) { CLOBBER; enters(); CLOBBER; }
FUNCTION void spin(void) { for (;;) { CLOBBER; sink++; } }
FUNCTION void busy(void) { CLOBBER; spin(); CLOBBER; }
FUNCTION void repeats(void) { for (;;) { leaf(); usleep(1000); } }
FUNCTION void forks(void) { if (fork() == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); repeats(); } pause(); KEEP; }
FUNCTION void late(void) { void (*through)(void (*)(void)) = dlsym(dlopen(library, RTLD_NOW), "through"); for (;;) { through(leaf); usleep(1000); } }
"#;

const MAIN: &str = r#"
int main(int argc, char **argv) {
    START;
    library = argv[1];
    WORK;
    KEEP;
    return 0;
}
"#;

const FLAGS: &[&str] = &["-O1", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];

fn program(work: &str) -> Program {
    programs::c("chain", &format!("{CHAIN}{}", MAIN.replace("START;", "").replace("WORK", work)), FLAGS)
}

/// One that waits to be told to go on.
fn waiting(work: &str) -> Program {
    let main = MAIN.replace("START", "wait_for_test()").replace("WORK", work);
    programs::c("chain", &format!("{CHAIN}{WAIT}{main}"), FLAGS)
}

const CONFIG: &str = "config = { unstable_dw_ustack = enable; show_debug_info = 0 }";

fn at_leaf(program: &Path, body: &str) -> String {
    format!("{CONFIG} uprobe:{}:leaf {{ {body} }}", program.display())
}

fn output(work: &str, body: &str) -> String {
    let program = program(work);
    let script = at_leaf(program.path(), body);
    trace(&["-q", "-e", &script, "-c", program.path().to_str().unwrap()]).quiet_output()
}

/// The functions of the stack that are the program's.
fn ours(text: &str) -> Vec<&str> {
    let is = |kind: &str, name: &str| CHAIN.contains(&format!("FUNCTION {kind} {name}("));
    let known = |name: &&str| is("void", name) || is("int", name) || *name == "main";
    functions(text).into_iter().filter(known).collect()
}

/// Frames of all shapes: pushed registers, a large frame, one of a size known at run time, an aligned one.
#[test]
fn frames_of_all_shapes() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let expected = ["leaf", "pushes", "big", "dynamic", "aligned", "main"];
    let text = output("aligned()", "print(dw_ustack);");
    let found = functions(&text);
    assert_eq!(found[..6], expected, "{text}");
    // And to the end, which is where every program begins.
    assert_eq!(found.last(), Some(&"_start"), "{text}");
    // That is not what frame pointers give.
    let text = output("aligned()", "print(ustack);");
    assert_ne!(ours(&text), expected, "{text}");
}

/// As a key, in a tuple, in all modes, with a limit.
#[test]
fn stacks_like_any_other() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let body = "@[dw_ustack(3)] = count(); @whole = dw_ustack(); printf(\"%s\\n\", dw_ustack(perf, 2)); \
                print((1, dw_ustack(raw, 2))); print(len(dw_ustack(5))); @t[1, dw_ustack(2)] = comm; \
                if (dw_ustack(2) == dw_ustack(2)) { print(\"same\"); } print(len(dw_ustack(0)));";
    let text = output("aligned(); aligned()", body);
    let key = text.split("@[").nth(1).unwrap();
    assert_eq!(functions(key.split("]: 2\n").next().unwrap()), ["leaf", "pushes", "big"], "{text}");
    let whole = text.split("@whole: ").nth(1).unwrap();
    assert_eq!(functions(whole)[..6], ["leaf", "pushes", "big", "dynamic", "aligned", "main"], "{text}");
    assert!(text.lines().any(|line| line.starts_with('\t') && line.contains(" pushes+")), "{text}");
    assert!(text.contains("\n5\nsame\n0\n"), "{text}");
    assert!(text.contains("]: chain\n"), "{text}");
}

/// Through a library, and out of it again.
#[test]
fn through_a_library() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let text = output("sorts()", "print(dw_ustack);");
    assert_eq!(ours(&text), ["leaf", "compare", "sorts", "main"], "{text}");
    assert!(functions(&text).len() > 5, "{text}");
}

/// A signal interrupts a function anywhere.
#[test]
fn through_a_signal() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let text = output("signals()", "print(dw_ustack);");
    assert_eq!(ours(&text), ["leaf", "handler", "signals", "main"], "{text}");
}

#[test]
fn as_deep_as_wanted() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let body = "printf(\"%d %d %d\\n\", len(dw_ustack), len(dw_ustack(1000)), len(dw_ustack(1024)));";
    let text = output("deep(800)", body);
    let lengths: Vec<u32> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    // `leaf`, `deep` 801 times, `main` and what called that.
    assert!(lengths[0] == 127 && lengths[1] == lengths[2] && (803..820).contains(&lengths[1]), "{text}");
}

/// A program without any library.
#[test]
fn a_static_program() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = CHAIN.replace("dlsym(dlopen(library, RTLD_NOW), \"through\")", "0");
    let source = format!("{source}{}", MAIN.replace("START;", "").replace("WORK", "aligned()"));
    let program = programs::c("chain", &source, &[FLAGS, &["-static"]].concat());
    let script = at_leaf(program.path(), "print(dw_ustack(6));");
    let text = trace(&["-q", "-e", &script, "-c", program.path().to_str().unwrap()]).quiet_output();
    assert_eq!(functions(&text), ["leaf", "pushes", "big", "dynamic", "aligned", "main"], "{text}");
}

/// Where the kernel runs for the process, it knows with which registers that goes on.
#[test]
fn from_within_the_kernel() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, Gcc);
    let program = program("calls()");
    let script = format!(
        "{CONFIG} tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {{ print(dw_ustack); }} \
         rawtracepoint:sys_exit /pid == cpid/ {{ $n = len(dw_ustack(4)); if ($n == 4) {{ @deep = 1; }} }}"
    );
    for without in [&[][..], &["--no-feature", "task_pt_regs"]] {
        let args = [&["-q", "-e", &script, "-c", program.path().to_str().unwrap()], without].concat();
        let run = trace(&args).success();
        // What the linker does before the program begins has no tables yet.
        let text = run.stdout;
        assert_eq!(ours(&text), ["enters", "calls", "main"], "{text}");
        assert!(text.contains("@deep: 1\n"), "{text}");
    }
}

/// Timers interrupt processes anywhere.
#[test]
fn a_profile() {
    need!(Root, Bpf, RingBuf, Gcc);
    let program = program("busy()");
    let script = format!(
        "{CONFIG} profile:hz:999 /pid == cpid/ {{ @[dw_ustack(3)] = count(); @samples++; \
         if (@samples >= 200) {{ exit(); }} }}"
    );
    let text = trace(&["-q", "-e", &script, "-c", program.path().to_str().unwrap()]).success().stdout;
    assert!(text.split("@[").any(|key| functions(key) == ["spin", "busy", "main"]), "{text}");
}

/// Processes that run already.
#[test]
fn running_processes() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = waiting("aligned()");
    let script = at_leaf(program.path(), "print(dw_ustack(6)); exit();");
    for option in ["-p", "--dwarf-pid"] {
        let target = Waiting::start(program.path());
        let pid = target.pid();
        // Other processes may be named, too.
        let own = std::process::id().to_string();
        let running = Running::attached(&["-q", "-e", &script, option, &pid, "--dwarf-pid", &own]);
        target.go();
        let text = running.end().quiet_output();
        assert_eq!(functions(&text), ["leaf", "pushes", "big", "dynamic", "aligned", "main"], "{text}");
    }
}

/// What a process maps while it is traced, and the children it makes.
#[test]
fn what_comes_later() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let source = "void through(void (*call)(void)) { call(); __asm__ volatile(\"\" ::: \"memory\"); }";
    let library = programs::c("through.so", source, &[FLAGS, &["-shared", "-fPIC"]].concat());
    let program = program("late()");
    // It goes on until its tables are there.
    let script = at_leaf(program.path(), "if (len(dw_ustack(4)) == 4) { print(dw_ustack(4)); exit(); }");
    let command = format!("{} {library}", program.path().display());
    let text = trace(&["-q", "-e", &script, "-c", &command]).quiet_output();
    assert_eq!(functions(&text), ["leaf", "through", "late", "main"], "{text}");

    let program = waiting("forks()");
    let target = Waiting::start(program.path());
    let script = at_leaf(program.path(), "if (len(dw_ustack(4)) == 4) { print(dw_ustack(4)); exit(); }");
    let running = Running::attached(&["-q", "--no-warnings", "-e", &script, "--dwarf-pid", &target.pid()]);
    target.release();
    let text = running.end().quiet_output();
    assert_eq!(functions(&text), ["leaf", "repeats", "forks", "main"], "{text}");
}

/// What is said where there is nothing to unwind, and about a feature that may change.
#[test]
fn messages() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let program = program("pushes()");
    let path = program.path().to_str().unwrap();
    let script = at_leaf(program.path(), "print(dw_ustack); exit();");
    let run = trace(&["-e", &script]);
    assert_eq!(run.code(), 255);
    let wanted = "ERROR: dw_ustack requires a target process. Use -p, -c, or --dwarf-pid to specify one.\n";
    assert_eq!(run.stderr, wanted);

    let target = waiting("pushes()");
    let waiting = Waiting::start(target.path());
    let script = at_leaf(target.path(), "print(dw_ustack); exit();");
    let own = std::process::id().to_string();
    let running = Running::attached(&["-q", "-e", &script, "--dwarf-pid", &own]);
    waiting.go();
    let run = running.end().success();
    assert!(functions(&run.stdout).is_empty(), "{run:?}");
    let wanted = "WARNING: No DWARF unwind data available for this process. Use -p or --dwarf-pid to specify target PIDs.\n";
    assert!(run.stderr.contains(wanted), "{run:?}");

    let script = "begin { print(len(dw_ustack)); print(len(dw_ustack(2))); exit(); }";
    let run = trace(&["-q", "-e", script, "-c", path]).success();
    let wanted = "WARNING: Script is using an unstable feature: dw_ustack (DWARF stack unwinding). To prevent this warning you must explicitly enable it in the config e.g. unstable_dw_ustack=enable\n";
    assert_eq!(run.stderr.matches(wanted).count(), 1, "{run:?}");
    let run =
        trace(&["-q", "-e", &format!("config = {{ unstable_dw_ustack = error }} {script}"), "-c", path]);
    let wanted = "ERROR: dw_ustack (DWARF stack unwinding) feature is not enabled by default. To enable this unstable feature, set the config flag to enable. unstable_dw_ustack=enable\n";
    assert!(run.stderr.contains(wanted) && run.code() == 1, "{run:?}");
    let run = trace(&["-q", "-e", "begin { print(dw_ustack(build_id, 3)); }", "-c", path]);
    assert!(run.stderr.contains("'build_id' stack mode can only be used for ustack\n"), "{run:?}");
    let run = trace(&["-q", "-e", "begin { }", "--dwarf-pid", "x"]);
    assert!(run.stderr.contains("Failed to parse pid: invalid integer: x\n"), "{run:?}");
    // What turns out late not to be executable fails as ever.
    let place = tempfile::tempdir().unwrap();
    let command = place.path().join("command");
    std::fs::write(&command, "#!/nonexistent/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&command, mode).unwrap();
    let run = trace(&["-e", "begin { print(len(dw_ustack)); }", "-c", command.to_str().unwrap()]);
    assert!(run.code() == 1 && run.stderr.contains("ENOENT"), "{run:?}");
}
