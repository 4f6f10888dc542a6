//! Stacks and symbols end to end: of programs whose chain of calls is known.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::Command;

use skep_testing::need;
use skep_testing::programs::{self, run};
use support::{functions, trace};

/// `main` calls `outer`, which calls `middle`, all through `inner`, which is inlined, and `middle` calls `syscall`.
const CHAIN: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
#define KEEP __asm__ volatile("" ::: "memory")
/* Without it gcc leaves out the frame of a function that calls nothing. */
#define FRAME __asm__ volatile("" :: "r"(__builtin_frame_address(0)))
static inline long enter(void) {
    long result;
    FRAME;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
    return result;
}
__attribute__((noinline)) long middle(void) { long n = enter(); KEEP; return n + 1; }
static inline __attribute__((always_inline)) long inner(void) { long n = middle(); KEEP; return n + 1; }
__attribute__((noinline)) long outer(void) { long n = inner(); KEEP; return n + 1; }
int main(void) { long n = outer(); KEEP; return n == 0; }
"#;

const FLAGS: &[&str] = &["-g", "-O1", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer"];

/// The clause's body, run for the one call of the program.
fn script(config: &str, body: &str) -> String {
    format!("{config} tracepoint:syscalls:sys_enter_getppid /pid == cpid/ {{ {body} }}")
}

fn output(program: &Path, config: &str, body: &str) -> String {
    trace(&["-q", "-e", &script(config, body), "-c", program.to_str().unwrap()]).quiet_output()
}

/// The first three frames of the chain, whatever comes before `main` was called.
fn assert_chain(text: &str) {
    assert_eq!(functions(text)[..3], ["middle", "outer", "main"], "{text}");
}

/// The process is gone long before its stack is shown: what it had mapped was noted.
#[test]
fn a_process_that_is_gone() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let plain = "config = { show_debug_info = false }";
    assert_chain(&output(chain.path(), plain, "print(ustack);"));
    assert_chain(&output(chain.path(), plain, "@[ustack(9)] = count();"));
    assert_chain(&output(chain.path(), plain, "@ = ustack;"));
    assert_chain(&output(chain.path(), plain, "@ = (1, ustack, comm);"));
}

/// Debug information gives lines, and the functions that were inlined.
#[test]
fn lines_and_inlined_functions() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let text = output(chain.path(), "", "print(ustack(3));");
    let frames: Vec<&str> = text.lines().filter(|line| !line.is_empty()).map(str::trim_start).collect();
    let [middle, inner, outer, main] = frames[..] else { panic!("{text}") };
    let line = |frame: &str| frame.rsplit_once(".c:").unwrap().1.parse::<u32>().unwrap();
    assert!(middle.starts_with("middle+") && line(middle) == 14, "{text}");
    assert!(inner.starts_with("[inlined] inner@/") && line(inner) == 15, "{text}");
    assert!(outer.starts_with("outer+") && line(outer) == 16, "{text}");
    assert!(main.starts_with("main+") && line(main) == 17, "{text}");
}

/// The four modes, in text and in JSON.
#[test]
fn modes() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let path = chain.path().display();
    let text = output(chain.path(), "config = { show_debug_info = 0 }", "print(ustack(perf, 2));");
    let lines: Vec<&str> = text.lines().collect();
    let (address, rest) = lines[1].strip_prefix('\t').unwrap().split_once(' ').unwrap();
    assert!(u64::from_str_radix(address, 16).is_ok(), "{text}");
    assert!(rest.starts_with("middle+") && rest.ends_with(&format!(" ({path})")), "{text}");

    let text =
        output(chain.path(), "config = { stack_mode = raw }", "print(ustack(2)); print(len(ustack(2)));");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].is_empty() && lines[3].is_empty() && lines[4] == "2", "{text}");
    assert!(lines[1..3].iter().all(|line| u64::from_str_radix(line, 16).is_ok()), "{text}");

    let text = output(chain.path(), "", "print(ustack(build_id, 1));");
    let notes = Command::new("readelf").args(["-n"]).arg(chain.path()).output();
    let (id, offset) = text.trim().split_once(" 0x").unwrap();
    assert!(u64::from_str_radix(offset, 16).unwrap() > 0, "{text}");
    if let Ok(notes) = notes {
        let notes = String::from_utf8(notes.stdout).unwrap();
        assert!(notes.contains(&format!("Build ID: {id}\n")), "{text}{notes}");
    }

    let json = script("config = { show_debug_info = 0 }", "print(ustack(1)); @[1, kstack(1)] = 2;");
    let run = trace(&["-q", "-f", "json", "-e", &json, "-c", chain.path().to_str().unwrap()]);
    let text = run.quiet_output();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stack = lines[0]["data"].as_str().unwrap();
    assert!(stack.starts_with("\n        middle+") && stack.ends_with('\n'), "{text}");
    let key = lines[1]["data"]["@"].as_object().unwrap().keys().next().unwrap();
    assert!(key.starts_with("1,\n") && !key.contains(' '), "{text}");
}

/// Equal stacks are one key, different ones several; the number of frames is the limit.
#[test]
fn stacks_are_keys() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let twice = CHAIN.replace(
        "int main(void) { long n = outer();",
        "int main(void) { long n = 0; for (int i = 0; i < 5; i++) n += outer(); n += middle();",
    );
    let chain = programs::c("twice", &twice, FLAGS);
    let body = "@[ustack(2)] = count(); if (ustack == ustack && kstack == kstack) { @same++ } \
                if (len(ustack(1)) == 1 && len(kstack(0)) == 0) { @one++ }";
    let text = output(chain.path(), "config = { show_debug_info = 0 }", body);
    let keys: Vec<&str> = text.split("@[").skip(1).collect();
    assert_eq!(keys.len(), 2, "{text}");
    assert!(functions(keys[0]) == ["middle", "main"] && keys[0].contains("]: 1\n"), "{text}");
    assert!(functions(keys[1]) == ["middle", "outer"] && keys[1].contains("]: 5\n"), "{text}");
    assert!(text.contains("@same: 6\n") && text.contains("@one: 6\n"), "{text}");
}

/// A stripped program whose symbols lie in another file.
#[test]
fn separate_debug_files() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let debug = chain.path().with_extension("debug");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run(Command::new("objcopy").arg("--only-keep-debug").args([chain.path(), &debug]));
    run(Command::new("objcopy").args(["--strip-all", &link]).arg(chain.path()));
    let text = output(chain.path(), "", "print(ustack);");
    assert!(text.contains("[inlined] inner@/") && text.contains("        outer+"), "{text}");
    // Names are told without lines, too.
    assert_chain(&output(chain.path(), "config = { show_debug_info = false }", "print(ustack);"));
    // In a directory of its own, in one that is named, and nowhere.
    let directory = debug.with_file_name(".debug");
    std::fs::create_dir(&directory).unwrap();
    let moved = directory.join(debug.file_name().unwrap());
    std::fs::rename(&debug, &moved).unwrap();
    let has_lines = |text: &str| text.contains("[inlined] inner@/") && text.contains("        outer+");
    assert!(has_lines(&output(chain.path(), "", "print(ustack);")));
    let named = debug.with_file_name("elsewhere");
    std::fs::rename(&directory, &named).unwrap();
    let text = output(chain.path(), "", "print(ustack(1));");
    assert!(text.trim().starts_with("0x"), "{text}");
    let path = chain.path().display().to_string();
    let script = script("", "print(ustack);");
    let args = ["-q", "--debuginfo", named.to_str().unwrap(), "-e", &script, "-c", &path];
    assert!(has_lines(&trace(&args).quiet_output()));
    std::fs::remove_dir_all(&named).unwrap();
    let text = output(chain.path(), "", "print(ustack(1));");
    assert!(text.trim().starts_with("0x"), "{text}");
}

/// The symbols that distributions leave in stripped programs.
#[test]
fn mini_debug_info() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let mini = chain.path().with_extension("mini");
    run(Command::new("objcopy")
        .args(["--strip-debug", "--remove-section=.comment"])
        .args([chain.path(), &mini]));
    let packed = Command::new("xz").args(["-z", "-k"]).arg(&mini).status();
    if !packed.is_ok_and(|status| status.success()) {
        return;
    }
    let section = format!("--add-section=.gnu_debugdata={}.xz", mini.display());
    run(Command::new("objcopy").args(["--strip-all", &section]).arg(chain.path()));
    assert_chain(&output(chain.path(), "", "print(ustack);"));
}

/// A program that was deleted while it ran, and one that another has replaced.
#[test]
fn a_deleted_program() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let source = CHAIN.replace("long n = outer();", "unlink(argv[0]); long n = outer(); sleep(100);");
    let source = source.replace("main(void)", "main(int argc, char **argv)");
    let chain = programs::c("deleted", &source, FLAGS);
    let script = script("config = { show_debug_info = 0 }", "print(ustack); exit();");
    let text = trace(&["-q", "-e", &script, "-c", chain.path().to_str().unwrap()]).quiet_output();
    assert_chain(&text);
}

/// What a compiler at run time wrote about its functions.
#[test]
fn functions_compiled_at_run_time() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    // push rbp; mov rbp, rsp; mov eax, SYS_getppid; syscall; pop rbp; ret
    let jit = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    static const unsigned char code[] = "\x55\x48\x89\xe5\xb8\x6e\x00\x00\x00\x0f\x05\x5d\xc3";
    char *made = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char path[64];
    memcpy(made, code, sizeof code);
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    fprintf(map, "%lx %lx Made::up(int, char)\n", (unsigned long)made, (unsigned long)sizeof code);
    fclose(map);
    ((long (*)(void))made)();
    sleep(100);
    return 0;
}
"#;
    let program = programs::c("jit", jit, FLAGS);
    let script = script("config = { show_debug_info = 0 }", "print(ustack); printf(\"%d\\n\", pid); exit();");
    let text = trace(&["-q", "-e", &script, "-c", program.path().to_str().unwrap()]).quiet_output();
    let pid: u32 = text.trim().lines().last().unwrap().parse().unwrap();
    std::fs::remove_file(format!("/tmp/perf-{pid}.map")).unwrap();
    assert!(text.starts_with("\n        Made::up(int, char)+11\n        main+"), "{text}");
}

/// The names of C++ are shown as its sources spell them, unless that is not wanted.
#[test]
fn demangling() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    // What a C++ compiler calls `ns::deep(int)`.
    let source = CHAIN.replace("middle", "_ZN2ns4deepEi");
    let chain = programs::c("mangled", &source, FLAGS);
    let text = output(chain.path(), "config = { show_debug_info = 0 }", "print(ustack(1));");
    assert!(text.contains("        ns::deep(int)+"), "{text}");
    let text =
        output(chain.path(), "config = { show_debug_info = 0; cpp_demangle = 0 }", "print(ustack(1));");
    assert!(text.contains("        _ZN2ns4deepEi+"), "{text}");
}

/// Timers interrupt processes anywhere, also in the kernel.
#[test]
fn a_profile() {
    need!(Root, Bpf, RingBuf, Gcc);
    let busy = "long n; __attribute__((noinline)) void spin(void) { __asm__ volatile(\"\" :: \"r\"(__builtin_frame_address(0))); for (;;) { __asm__ volatile(\"\"); n++; } }\n\
                int main(void) { spin(); return 0; }";
    let busy = programs::c("busy", busy, FLAGS);
    // The first samples may be of what runs before `main`.
    let script = "config = { show_debug_info = 0 } profile:hz:999 /pid == cpid/ \
                  { @[ustack(2)] = count(); @samples++; if (@samples >= 200) { exit(); } }";
    let text = trace(&["-q", "-e", script, "-c", busy.path().to_str().unwrap()]).quiet_output();
    assert!(text.split("@[").any(|key| functions(key) == ["spin", "main"]), "{text}");
}

/// The kernel's own functions, and a program of ours among them.
#[test]
fn the_kernels_stack() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let text =
        trace(&["-q", "-e", "begin { print(kstack); print(kstack(perf, 1)); exit(); }"]).quiet_output();
    let functions = functions(&text);
    assert!(functions[0].starts_with("bpf_prog_"), "{text}");
    assert!(functions.iter().any(|name| name.contains("sys_bpf")), "{text}");
    let script = "begin { $a = kaddr(\"vfs_read\"); print(ksym($a)); print(ksym($a + 1)); print(ksym(3)); \
                  @[ksym($a), 1] = usym(7); print(ksym($a) == ksym($a)); }";
    let text = trace(&["-q", "-e", script]).quiet_output();
    assert_eq!(text, "vfs_read\nvfs_read\n0x3\ntrue\n\n\n@[vfs_read, 1]: 0x7\n");
}

/// An address of a process by its name.
#[test]
fn a_symbol_of_a_process() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let source = CHAIN.replace("long n = outer();", "write(12345, (char *)outer + 2, 0); long n = outer();");
    let program = programs::c("symbol", &source, FLAGS);
    let script = "tracepoint:syscalls:sys_enter_write /pid == cpid && args.fd == 12345/ \
                  { print(usym(args.buf)); @[usym(args.buf)] = usym(args.buf); print(usym(args.buf) == usym(args.buf)); }";
    let text = trace(&["-q", "-e", script, "-c", program.path().to_str().unwrap()]).quiet_output();
    assert_eq!(text, "outer\ntrue\n\n\n@[outer]: outer\n");
}

/// `profile` names what a process does all the time, and `offcputime` what it waits for.
#[test]
fn tools_that_show_stacks() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let source = "#include <time.h>\n\
        long n; __attribute__((noinline)) void spin(void) { \
        __asm__ volatile(\"\" :: \"r\"(__builtin_frame_address(0))); for (;;) { __asm__ volatile(\"\"); n++; } }\n\
        __attribute__((noinline)) void doze(void) { \
        struct timespec t = { 0, 1000000 }; for (;;) { nanosleep(&t, 0); n++; } }\n\
        int main(int argc, char **argv) { if (argc > 1) doze(); else spin(); return 0; }";
    let program = programs::c("worker", source, FLAGS);
    let of = |tool: &str, mode: &[&str]| {
        let mut worker = Command::new(program.path()).args(mode).spawn().unwrap();
        let pid = worker.id().to_string();
        let run = support::run(support::skep(&[tool, "-f", "-p", &pid, "0.5"])).success();
        let plain =
            support::run(support::skep(&[tool, "-p", &pid, "0.5"])).success().stdout.replace(&pid, "#");
        // What it says first, and the end of the most frequent stack: whose it is, and its count or time.
        let mut ends: Vec<&str> = plain.lines().filter(|line| !line.is_empty()).collect();
        let count = ends.pop().unwrap();
        assert!(count.starts_with("        ") && count.trim().parse::<u64>().is_ok(), "{plain}");
        insta::assert_snapshot!(
            format!("rows_of_{tool}"),
            [ends[0], ends[ends.len() - 1], "        #"].join("\n")
        );
        worker.kill().unwrap();
        worker.wait().unwrap();
        run.stdout
    };
    let folded = of("profile", &[]);
    assert!(
        folded.lines().any(|line| line.starts_with("worker;") && line.contains(";main;spin")),
        "{folded}"
    );
    let folded = of("offcputime", &["doze"]);
    let waits = |line: &str| line.contains("nanosleep") && line.contains(";schedule;");
    assert!(folded.lines().any(|line| line.starts_with("worker;") && waits(line)), "{folded}");
}

/// A file that only the process can reach by its path, and nobody once it is gone.
#[test]
fn another_mount_namespace() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let source = CHAIN.replace("long n = outer();", "long n = outer(); sleep(100);");
    let chain = programs::c("chain", &source, FLAGS);
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (chain.path().display(), place.path().display());
    let command =
        format!("unshare -m sh -c \"mount -t tmpfs none {to} && cp {from} {to}/hidden && exec {to}/hidden\"");
    let script = "config = { show_debug_info = 0 } tracepoint:syscalls:sys_enter_getppid \
                  /pid == cpid && comm == \"hidden\"/ { @[ustack(3)] = count(); exit(); }";
    let text = trace(&["-q", "-e", script, "-c", &command]).quiet_output();
    assert_chain(&text);
    assert!(!place.path().join("hidden").exists());
}

/// At the entry of a function its own frame is not made yet, but the address is exact.
#[test]
fn at_a_uprobe() {
    need!(Root, Bpf, RingBuf, Uprobe, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let script = format!(
        "config = {{ show_debug_info = 0 }} uprobe:{}:middle /pid == cpid/ {{ print(ustack); @[ustack(1)] = 1; }}",
        chain.path().display()
    );
    let text = trace(&["-q", "-e", &script, "-c", chain.path().to_str().unwrap()]).quiet_output();
    let functions = functions(&text);
    assert!(text.starts_with("\n        middle+0\n") && functions.contains(&"main"), "{text}");
    assert!(text.ends_with("@[\n        middle+0\n]: 1\n"), "{text}");
}

/// The stack of a probe is the same inside its loops.
#[test]
fn in_a_loop() {
    need!(Root, Bpf, RingBuf, Tracefs, Gcc);
    let chain = programs::c("chain", CHAIN, FLAGS);
    let body = "for $i : 0..3 { @[ustack(3)] = count(); @k[kstack(2)] = count(); }";
    let text = output(chain.path(), "config = { show_debug_info = 0 }", body);
    assert_chain(&text);
    assert_eq!(text.matches("]: 3\n").count(), 2, "{text}");
}
