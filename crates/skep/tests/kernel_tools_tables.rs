//! Tools that count and measure, each with events that the test makes itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use skep_testing::need;
use support::{Running, run, sample, skep};

/// A perl that waits for a line, does something, says so and waits for its input's end.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Worker {
    fn new(act: &str) -> Worker {
        let program = format!("$| = 1; <STDIN>; {act} print qq(done\\n); <STDIN>;");
        let mut child = Command::new("perl")
            .args(["-e", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let answers = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        Worker { child, input, answers }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Lets it act, and waits until it has.
    fn act(&mut self) {
        std::io::Write::write_all(self.input.as_mut().unwrap(), b"go\n").unwrap();
        assert_eq!(self.answers.next().unwrap().unwrap(), "done");
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Runs a tool around what a worker does, and gives what it printed.
fn around(tool: &[&str], attached: &str, worker: &mut Worker) -> String {
    let running = Running::start(skep(tool));
    running.wait_for(attached);
    worker.act();
    running.signal(Signal::INT);
    let run = running.end().success();
    assert_eq!(run.stderr, "");
    run.stdout
}

/// The part of a text from a header on.
fn from<'a>(text: &'a str, header: &str) -> &'a str {
    &text[text.find(header).unwrap_or_else(|| panic!("{header}: {text}"))..]
}

/// The row that begins with this word.
fn row<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.into_iter().find(|row| row.first() == Some(&word)).unwrap_or_else(|| panic!("{word}: {text}"))
}

#[test]
fn syscount_counts_calls() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let mut worker = Worker::new("syscall(110) for 1..7; syscall(3, 12345) for 1..4;");
    let pid = worker.pid();
    let counted = around(&["syscount", "-p", &pid], "quit.\n", &mut worker);
    assert_eq!(row(&counted, "getppid"), ["getppid", "7"]);
    worker.end();

    let mut worker = Worker::new("syscall(110) for 1..7; syscall(3, 12345) for 1..4;");
    let pid = worker.pid();
    let failed = around(&["syscount", "-e", "EBADF", "-L", "-p", &pid], "quit.\n", &mut worker);
    let close = row(&failed, "close");
    assert_eq!(close[1], "4");
    assert!(close[2].parse::<f64>().is_ok_and(|time| time > 0.0), "{failed}");
    assert!(!failed.contains("getppid"), "{failed}");
    worker.end();

    let mut worker = Worker::new("syscall(110) for 1..7;");
    let pid = worker.pid();
    let tool = ["syscount", "-P", "--syscall", "getppid", "-p", &pid];
    let by_process = around(&tool, "quit.\n", &mut worker);
    assert_eq!(row(&by_process, &pid), [pid.as_str(), "perl", "7"]);
    insta::assert_snapshot!("rows_of_syscount", sample::columns(from(&by_process, "PID "), &["PID"]));
    worker.end();
    let names = run(skep(&["syscount", "--list"])).quiet_output();
    assert!(names.lines().any(|name| name == "openat2"), "{names}");
}

#[test]
fn funccount_counts_tracepoints() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let mut worker = Worker::new("syscall(110) for 1..9; syscall(39) for 1..2;");
    let pid = worker.pid();
    let counted =
        around(&["funccount", "-p", &pid, "t:syscalls:sys_enter_getp*id"], "to end.\n", &mut worker);
    assert_eq!(row(&counted, "syscalls:sys_enter_getppid"), ["syscalls:sys_enter_getppid", "9"]);
    assert_eq!(row(&counted, "syscalls:sys_enter_getpid"), ["syscalls:sys_enter_getpid", "2"]);
    insta::assert_snapshot!("rows_of_funccount", counted);
    worker.end();
    let wrong = run(skep(&["funccount", "x:a:b"]));
    assert_eq!(wrong.code(), 1);
    assert!(wrong.stderr.contains("'x' is no kind of probe"), "{}", wrong.stderr);
}

#[test]
fn funccount_counts_kernel_functions() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, Kprobe);
    let mut worker =
        Worker::new("open(my $f, '<', '/etc/hostname'); sysread($f, my $b, 1) for 1..5; close $f;");
    let pid = worker.pid();
    let counted = around(&["funccount", "-p", &pid, "vfs_rea*"], "to end.\n", &mut worker);
    // What perl reads for itself comes on top.
    assert!(row(&counted, "vfs_read")[1].parse::<u64>().unwrap() >= 5, "{counted}");
    worker.end();
}

/// How many samples the histograms in a text hold.
fn samples(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(" : ")?.1.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn runqlat_measures_waiting() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let mut worker = Worker::new("select(undef, undef, undef, 0.001) for 1..20;");
    let pid = worker.pid();
    let all = around(&["runqlat", "-p", &pid], "to end.\n", &mut worker);
    assert!(all.contains("     usecs               : count     distribution\n"), "{all}");
    assert!(samples(&all) >= 20, "{all}");
    insta::assert_snapshot!("rows_of_runqlat", sample::histogram(&all));
    worker.end();

    let mut worker = Worker::new("select(undef, undef, undef, 0.001) for 1..20;");
    let pid = worker.pid();
    let each = around(&["runqlat", "-m", "-P", "-T", "-p", &pid], "to end.\n", &mut worker);
    assert!(each.contains(&format!("\npid = {pid} perl\n     msecs ")), "{each}");
    worker.end();
}

/// Writes to the guest's scratch disk, past the page cache.
fn write_blocks(count: u32) {
    let count = format!("count={count}");
    let written = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/vda", "bs=4096", "oflag=direct", &count])
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
}

#[test]
fn biolatency_measures_block_io() {
    need!(Root, Bpf, RingBuf, Tracefs, BlockDisk);
    for (flags, section) in [
        (&[][..], Some("     usecs               : count     distribution\n")),
        (&["-Q", "-e"], None),
        (&["-D", "-m"], Some("disk = vda\n")),
        (&["-d", "vda"], None),
    ] {
        let running = Running::start(skep(&[&["biolatency"], flags].concat()));
        running.wait_for("to end.\n");
        write_blocks(10);
        running.signal(Signal::INT);
        let run = running.end().success();
        assert_eq!(samples(&run.stdout), 10, "{flags:?}: {}", run.stdout);
        insta::assert_snapshot!(
            format!("rows_of_biolatency{}", flags.concat()),
            sample::histogram(&run.stdout)
        );
        if let Some(section) = section {
            assert!(run.stdout.contains(section), "{}", run.stdout);
        }
        assert_eq!(run.stdout.contains("count: 10\n"), flags.contains(&"-e"), "{}", run.stdout);
    }
    let missing = run(skep(&["biolatency", "-d", "no-such-disk"]));
    assert_eq!(missing.code(), 1);
    assert!(missing.stderr.contains("no such disk 'no-such-disk'"), "{}", missing.stderr);
}

#[test]
fn biolatency_tells_flags_apart() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, BlockDisk);
    let running = Running::start(skep(&["biolatency", "-F"]));
    running.wait_for("to end.\n");
    write_blocks(10);
    running.signal(Signal::INT);
    let run = running.end().success();
    assert!(run.stdout.contains("Sync-Write\n"), "{}", run.stdout);
    assert!(samples(&run.stdout) >= 10, "{}", run.stdout);

    let running = Running::start(skep(&["biolatency", "-j", "-F", "1", "1"]));
    // It ends by itself after one round; what is written meanwhile is in it, once it is attached.
    support::until("it ends", || {
        write_blocks(1);
        running.so_far().contains('\n')
    });
    let run = running.end().success();
    let object: Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(object["val_type"], "usecs");
    assert!(object["data"].as_array().is_some_and(|data| !data.is_empty()), "{object}");
}

#[test]
fn biolatency_tells_control_groups_apart() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, BlockDisk);
    let running = Running::start(skep(&["biolatency", "--cgroups"]));
    running.wait_for("to end.\n");
    write_blocks(10);
    running.signal(Signal::INT);
    let run = running.end().success();
    assert!(run.stdout.contains("\ncgroup = /"), "{}", run.stdout);
    assert_eq!(samples(&run.stdout), 10, "{}", run.stdout);
}

#[test]
fn biotop_shows_who_uses_disks() {
    need!(Root, Bpf, RingBuf, Tracefs, BlockDisk);
    // The rounds are long; what is left at the end is shown, too.
    let running = Running::start(skep(&["biotop", "-n", "dd", "60"]));
    running.wait_for("to end\n");
    write_blocks(10);
    running.signal(Signal::INT);
    let run = running.end().success();
    let header = format!(
        "{:<7} {:<16} D {:<3} {:<3} {:<8} {:>5} {:>7} {:>6}\n",
        "PID", "COMM", "MAJ", "MIN", "DISK", "I/O", "Kbytes", "AVGms"
    );
    insta::assert_snapshot!(
        "rows_of_biotop",
        sample::columns(from(&run.stdout, "PID "), &["PID", "MAJ", "AVGms"])
    );
    assert!(run.stdout.contains(&header), "{}", run.stdout);
    assert!(run.stdout.contains("\n\n") && run.stdout.contains(" loadavg: "), "{}", run.stdout);
    let row: Vec<&str> = run.stdout.lines().last().unwrap().split_whitespace().collect();
    assert_eq!((row[1], row[2], row[5], row[6], row[7]), ("dd", "W", "vda", "10", "40"), "{}", run.stdout);
}

#[test]
fn filetop_shows_which_files_are_used() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let act = "open(my $f, '<', '/etc/hostname'); sysread($f, my $b, 1024) for 1..5; close $f; \
               open(my $g, '>', '/tmp/filetop-test'); syswrite($g, 'x' x 2048) for 1..3; close $g; unlink '/tmp/filetop-test';";
    let mut worker = Worker::new(act);
    let pid = worker.pid();
    let shown = around(&["filetop", "-p", &pid, "60"], "to end\n", &mut worker);
    let header = format!(
        "{:<7} {:<16} {:<6} {:<6} {:<7} {:<7} T FILE\n",
        "TID", "COMM", "READS", "WRITES", "R_Kb", "W_Kb"
    );
    assert!(shown.contains(&header), "{shown}");
    insta::assert_snapshot!("rows_of_filetop", sample::columns(from(&shown, "TID "), &["TID"]));
    let row = |file: &str| -> Vec<String> {
        let line =
            shown.lines().find(|line| line.ends_with(file)).unwrap_or_else(|| panic!("{file}: {shown}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(row(" hostname"), ["perl", "5", "0", "5", "0", "R", "hostname"]);
    assert_eq!(row(" filetop-test"), ["perl", "0", "3", "0", "6", "R", "filetop-test"]);
    worker.end();

    let mut worker = Worker::new(act);
    let pid = worker.pid();
    let flags = ["filetop", "-p", &pid, "--write-only", "-a", "-s", "writes", "-r", "1", "60"];
    let shown = around(&flags, "to end\n", &mut worker);
    let rows: Vec<&str> = shown.lines().filter(|line| line.contains("perl")).collect();
    assert!(rows.len() == 1 && rows[0].ends_with(" R filetop-test"), "{shown}");
    worker.end();
}

#[test]
fn cachestat_counts_pages() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let shown = run(skep(&["cachestat", "-T", "1", "1"]));
    // A kernel that has no way to it says so.
    if shown.code() == 1 {
        assert!(shown.stderr.contains("mm_filemap_get_pages"), "{}", shown.stderr);
        return;
    }
    let lines: Vec<&str> = shown.stdout.lines().collect();
    let header = format!(
        "{:<8} {:>8} {:>8} {:>8} {:>8} {:>12} {:>10}",
        "TIME", "HITS", "MISSES", "DIRTIES", "HITRATIO", "BUFFERS_MB", "CACHED_MB"
    );
    assert_eq!((lines.len(), lines[0]), (2, header.as_str()), "{lines:?}");
    assert!(lines[1].contains('%') && lines[1].len() == header.len(), "{lines:?}");
    let differing: Vec<&str> = header.split_whitespace().collect();
    insta::assert_snapshot!("rows_of_cachestat", sample::columns(&shown.stdout, &differing));
}

#[test]
fn cachestat_sees_hits_and_misses() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, Kprobe);
    let mut worker = Worker::new(
        "open(my $g, '>', '/tmp/cachestat-test'); syswrite($g, 'x' x 409600); close $g; \
         for (1..3) { open(my $f, '<', '/tmp/cachestat-test'); 1 while sysread($f, my $b, 4096); close $f; } \
         unlink '/tmp/cachestat-test';",
    );
    let running = Running::start(skep(&["cachestat", "-v", "--json", "60"]));
    running.wait_for_message("all probes are attached");
    worker.act();
    running.signal(Signal::INT);
    let run = running.end().success();
    worker.end();
    let object: Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    // A hundred pages are written, and read three times; which of them count as misses differs.
    let [hits, misses] = ["hits", "misses"].map(|key| object[key].as_u64().unwrap());
    assert!(hits + misses >= 300 && hits >= 200, "{object}");
    assert!(object["cached_mb"].as_f64().is_some_and(|size| size > 0.0), "{object}");
}

#[test]
fn funccount_takes_regular_expressions() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let mut worker = Worker::new("syscall(110) for 1..9; syscall(39) for 1..2;");
    let pid = worker.pid();
    let pattern = "t:syscalls:^sys_enter_getp(p)?id$";
    let counted = around(&["funccount", "-r", "-p", &pid, pattern], "to end.\n", &mut worker);
    assert_eq!(row(&counted, "syscalls:sys_enter_getppid")[1], "9");
    assert_eq!(row(&counted, "syscalls:sys_enter_getpid")[1], "2");
    worker.end();
    let wrong = run(skep(&["funccount", "-r", "t:syscalls:("]));
    assert_eq!(wrong.code(), 1, "{wrong:?}");
}

#[test]
fn syscount_runs_a_command() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let run = run(skep(&["syscount", "--exec", "perl", "-e", "syscall(110) for 1..7"])).success();
    assert_eq!(row(&run.stdout, "getppid"), ["getppid", "7"]);
}
