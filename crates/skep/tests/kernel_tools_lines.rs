//! Tools that print a line for each event, each with events that the test makes itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use serde_json::Value;
use skep_testing::need;
use support::{Running, run, sample, skep};

/// Runs a tool from before `act` until it has printed `last`, and gives its lines below the header.
fn lines(tool: &[&str], header: &str, last: &str, act: impl FnOnce()) -> Vec<String> {
    shown(tool, header, last, act).lines().skip(1).map(str::to_owned).collect()
}

/// Runs a tool from before `act` until it has printed `last`, and gives what it printed.
fn shown(tool: &[&str], header: &str, last: &str, act: impl FnOnce()) -> String {
    let running = Running::start(skep(tool));
    running.wait_for(header);
    act();
    running.wait_for(last);
    running.signal(Signal::INT);
    let run = running.end().success();
    assert_eq!(run.stderr, "");
    run.stdout
}

/// The tests here watch this process, so one at a time has it do something.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn me() -> String {
    std::process::id().to_string()
}

fn start(program: &str, args: &[&str]) {
    // Its own output and whether it can be run is no matter.
    let _ = Command::new(program).args(args).output();
}

#[test]
fn execsnoop_shows_programs_and_their_arguments() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let long = "x".repeat(3000);
    let act = || {
        start("/bin/echo", &["hello", "wide world"]);
        start("/bin/true", &[&long, "two\nlines"]);
        let many: Vec<String> = (1..=25).map(|n| n.to_string()).collect();
        start("/bin/true", &many.iter().map(String::as_str).collect::<Vec<_>>());
        start("/bin/true", &["last"]);
    };
    let shown = shown(&["execsnoop", "-P", &me()], "ARGS\n", "/bin/true last\n", act);
    let lines: Vec<&str> = shown.lines().skip(1).collect();
    let ppid = me();
    let tail = |line: &str| {
        let mut words = line.splitn(3, &ppid);
        assert!(words.next().is_some(), "{line}");
        words.last().unwrap().trim_start().to_owned()
    };
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("echo "), "{lines:?}");
    assert_eq!(tail(lines[0]), "0 /bin/echo hello wide world");
    assert_eq!(tail(lines[1]), format!("0 /bin/true {long} two\\nlines"));
    let nineteen: Vec<String> = (1..20).map(|n| n.to_string()).collect();
    assert_eq!(tail(lines[2]), format!("0 /bin/true {} ...", nineteen.join(" ")));
    let rows = shown.replace(&long, "x");
    insta::assert_snapshot!("rows_of_execsnoop", sample::columns(&rows, &["PID", "PPID"]));
}

#[test]
fn execsnoop_has_the_flags_of_bcc() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let act = || {
        start("/nonexistent/program", &["a", "b c"]);
        start("/bin/true", &["say \"hi\""]);
    };
    let flags = ["execsnoop", "-x", "-q", "-T", "-t", "-U", "-C", "-M", "-u", "root", "-P", &me()];
    let lines = lines(&flags, "ARGS\n", "/bin/true", act);
    // A failed call is tried with clone and exec in one, by whatever the standard library does.
    let failed: Vec<&String> = lines.iter().filter(|line| line.contains("/nonexistent/program")).collect();
    assert!(!failed.is_empty(), "{lines:?}");
    assert!(
        failed.iter().all(|line| line.contains(" -2 \"/nonexistent/program\" \"a\" \"b c\"")),
        "{lines:?}"
    );
    let last = lines.last().unwrap();
    assert!(last.ends_with("  0 \"/bin/true\" \"say \\\"hi\\\"\""), "{last}");

    // By name and by line, and as objects.
    let act = || {
        start("/bin/echo", &["one"]);
        start("/bin/true", &["two"]);
        start("/bin/true", &["the end"]);
    };
    let flags = ["execsnoop", "--json", "-n", "^true$", "-l", "end|one", "-P", &me()];
    let running = Running::start(skep(&flags));
    // Nothing tells that it is attached: objects have no header. What it sees first is asked for until it is seen.
    support::until("it is attached", || {
        act();
        running.so_far().contains("the end")
    });
    running.signal(Signal::INT);
    let run = running.end().success();
    for line in run.stdout.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["args"], "/bin/true the end");
        assert_eq!(object["ppid"].as_u64(), Some(u64::from(std::process::id())));
    }
}

#[test]
fn exitsnoop_tells_how_processes_end() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let mut child = Command::new("perl")
        .args(["-e", "<STDIN>; exit 3"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let act = || {
        child.stdin.take();
        child.wait().unwrap();
    };
    let shown = shown(&["exitsnoop", "-p", &pid], "EXIT_CODE\n", "code 3\n", act);
    insta::assert_snapshot!("rows_of_exitsnoop", sample::columns(&shown, &["PID", "PPID", "TID", "AGE(s)"]));
    let ended: Vec<&str> = shown.lines().skip(1).collect();
    let words: Vec<&str> = ended[0].split_whitespace().collect();
    assert_eq!((words[0], words[1], words[2], words[3]), ("perl", pid.as_str(), me().as_str(), pid.as_str()));
    assert!(words[4].parse::<f64>().is_ok_and(|age| age >= 0.0), "{ended:?}");

    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id().to_string();
    let act = || {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let killed = lines(&["exitsnoop", "-x", "--label=mine", "-p", &pid], "EXIT_CODE\n", "(KILL)\n", act);
    assert!(killed[0].starts_with("mine   sleep "), "{killed:?}");
    assert!(killed[0].ends_with("signal 9 (KILL)"), "{killed:?}");
}

/// A session that sends 5,000 bytes and receives 3,000, from this process to itself; gives the ports.
fn talk() -> (u16, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[1; 5000]).unwrap();
    server.read_exact(&mut [0; 5000]).unwrap();
    server.write_all(&[2; 3000]).unwrap();
    client.read_exact(&mut [0; 3000]).unwrap();
    (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port())
}

#[test]
fn tcplife_shows_sessions_that_end() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let mut ports = (0, 0);
    let shown = shown(&["tcplife", "-p", &me()], " MS\n", "4      2 ", || ports = talk());
    let rows: Vec<Vec<&str>> = shown.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let (near, far) = (ports.0.to_string(), ports.1.to_string());
    let client = rows.iter().find(|row| row[3] == near).unwrap();
    assert_eq!(
        (client[0], client[2], client[4], client[5]),
        (me().as_str(), "127.0.0.1", "127.0.0.1", far.as_str())
    );
    assert_eq!((client[6], client[7]), ("4", "2"));
    let differing = ["PID", "COMM", "LPORT", "RPORT", "MS"];
    let client = shown.lines().filter(|line| {
        let row: Vec<&str> = line.split_whitespace().collect();
        row[0] == "PID" || row[6..8] == ["4", "2"]
    });
    let client = client.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("rows_of_tcplife", sample::columns(&client, &differing));
}

/// Has a name server of its own asked for a name, which it says is 127.0.0.1.
fn answer(name: &str) {
    let program = r#"
        use IO::Socket::INET;
        my $server = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.99', LocalPort => 53) or die;
        my $client = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.99', PeerPort => 53) or die;
        my $question = join('', map { pack('C/a', $_) } split(/\./, $ARGV[0])) . pack('Cnn', 0, 1, 1);
        $client->send(pack('nnnnnn', 7, 0x100, 1, 0, 0, 0) . $question);
        $server->recv(my $asked, 512);
        $server->send(pack('nnnnnn', 7, 0x8180, 1, 1, 0, 0) . $question . pack('nnnNnC4', 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1));
        $client->recv(my $answer, 512);
    "#;
    assert!(Command::new("perl").args(["-e", program, name]).status().unwrap().success());
}

#[test]
fn tcpconnect_shows_connections() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let _alone = alone();
    let mut ports = (0, 0);
    let connected =
        shown(&["tcpconnect", "-U", "-p", &me()], "DPORT\n", "127.0.0.1        127.0.0.1", || ports = talk());
    insta::assert_snapshot!("rows_of_tcpconnect", sample::columns(&connected, &["PID", "COMM", "DPORT"]));
    let words: Vec<&str> = connected.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("0", me().as_str(), "4"));
    assert_eq!(words.last(), Some(&ports.1.to_string().as_str()));

    let with_port =
        lines(&["tcpconnect", "-L", "-p", &me()], "DPORT\n", "127.0.0.1        ", || ports = talk());
    let words: Vec<&str> = with_port[0].split_whitespace().collect();
    assert_eq!(words[4], ports.0.to_string());

    // With the name that a name server gave the address for; that server is one of ours, and another program asks it.
    let named = lines(&["tcpconnect", "-d"], "QUERY\n", "skep.test", || {
        answer("skep.test");
        talk();
    });
    assert!(named.iter().any(|line| line.ends_with(" skep.test")), "{named:?}");

    // Counted, and only one port.
    let running = Running::start(skep(&["tcpconnect", "-c", "-p", &me()]));
    running.wait_for("to end\n");
    let (_, port) = talk();
    running.signal(Signal::INT);
    let run = running.end().success();
    let expected = format!("{:<25} {:<25} {port:<20} 1\n", "127.0.0.1", "127.0.0.1");
    assert!(run.stdout.ends_with(&expected), "{}", run.stdout);
}

#[test]
fn gethostlatency_shows_lookups() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let run = run(skep(&["gethostlatency", "--exec", "getent", "ahosts", "localhost"])).success();
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(rows[0], format!("{:<9} {:<7} {:<16} {:>10} HOST", "TIME", "PID", "COMM", "LATms"));
    // What the command itself prints stands among them.
    let line = rows.iter().find(|row| row.contains("getent")).unwrap();
    let row: Vec<&str> = line.split_whitespace().collect();
    assert!(row[3].parse::<f64>().is_ok_and(|time| time > 0.0), "{row:?}");
    assert_eq!(row[4], "localhost");
    let first = format!("{}\n{line}", rows[0]);
    insta::assert_snapshot!("rows_of_gethostlatency", sample::columns(&first, &["TIME", "PID", "LATms"]));
}

#[test]
fn bashreadline_shows_what_is_typed() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let _alone = alone();
    // A shell that believes itself at a terminal, and one line after the tool is attached.
    let mut shell = Command::new("script")
        .args(["-qc", "bash --norc", "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let shown = shown(&["bashreadline", "-n", "bash"], "COMMAND\n", ": it is seen\n", || {
        input.write_all(b": it is seen\n").unwrap();
    });
    let rows: Vec<&str> = shown.lines().skip(1).collect();
    input.write_all(b"exit\n").unwrap();
    shell.wait().unwrap();
    assert!(rows.last().unwrap().ends_with(" : it is seen"), "{rows:?}");
    let words: Vec<&str> = rows[0].split_whitespace().collect();
    assert_eq!((words[0].len(), words[1].parse::<u32>().is_ok()), (8, true), "{rows:?}");
    insta::assert_snapshot!("rows_of_bashreadline", sample::columns(&shown, &["TIME", "PID"]));
}

/// A program that opens three files, one of them by a relative path and one for writing.
const OPENS: &[&str] = &[
    "perl",
    "-e",
    "chdir q(/sys/kernel); open(A, q(nothing)); open(B, q(>), q(/dev/null)); open(C, q(/etc/hostname))",
];

#[test]
fn opensnoop_runs_a_command() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let opens = |flags: &[&str]| {
        let args = [&["opensnoop"], flags, &["--exec"], OPENS].concat();
        run(skep(&args)).success().stdout
    };
    let header =
        format!("{:<6} {:<16} {:>4} {:>3} {:<8} {:<4} PATH\n", "PID", "COMM", "FD", "ERR", "FLAGS", "MODE");
    let extended = opens(&["-e", "-F"]);
    assert!(extended.starts_with(&header), "{extended}");
    assert!(
        extended.contains(&format!("{:<16}   -1   2 02000000 n/a  /sys/kernel/nothing\n", "perl")),
        "{extended}"
    );
    assert!(extended.contains(" 0 02001101 0666 /dev/null\n"), "{extended}");
    let writes = opens(&["-f", "O_WRONLY", "--no-header"]);
    assert_eq!(writes.lines().count(), 1, "{writes}");
    assert!(writes.ends_with("/dev/null\n"), "{writes}");
    let callers = opens(&["-f", "O_WRONLY", "-c", "--json"]);
    let object: Value = serde_json::from_str(callers.lines().next().unwrap()).unwrap();
    assert!(object["callers"].as_array().is_some_and(|frames| !frames.is_empty()), "{object}");
    let wrong = run(skep(&["opensnoop", "-f", "O_NONSENSE"]));
    assert!(wrong.code() == 1 && wrong.stderr.contains("Bad flag: O_NONSENSE"), "{wrong:?}");
}

#[test]
fn lost_events_are_counted() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let _alone = alone();
    // While the tool stands still nobody reads what the program does.
    const OPENS: usize = 5000;
    let running = Running::start(skep(&["opensnoop", "-b", "16", "-n", "lossy", "--no-header", "-v"]));
    running.wait_for_message("all probes are attached");
    // What is seen shows that all is read.
    support::until("it is attached", || {
        start("perl", &["-e", "$0 = 'lossy'; open(A, q(/nonexistent/before))"]);
        running.so_far().contains("/nonexistent/before")
    });
    running.signal(Signal::STOP);
    start("perl", &["-e", &format!("$0 = 'lossy'; open(A, q(/nonexistent/counted)) for 1..{OPENS}")]);
    running.signal(Signal::CONT);
    running.signal(Signal::INT);
    let run = running.end().success();
    let shown = run.stdout.lines().filter(|line| line.ends_with("/nonexistent/counted")).count();
    let lost =
        run.stderr.lines().find_map(|line| line.strip_prefix("opensnoop: ")?.split_once(" events were lost"));
    let lost: usize = lost.unwrap_or_else(|| panic!("{}", run.stderr)).0.parse().unwrap();
    assert!(shown < OPENS && shown + lost == OPENS, "{shown} and {lost}: {}", run.stderr);
}

#[test]
fn rows_tell_of_containers_and_times() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let flags = ["opensnoop", "-x", "--container", "--time-format", "unix", "--json", "-v", "--exec"];
    let run = run(skep(&[&flags[..], OPENS].concat())).success();
    assert!(run.stderr.contains("probe: tracepoint:syscalls:sys_enter_openat\n"), "{}", run.stderr);
    let object: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(object["path"], "nothing");
    assert!(object["when"].as_f64().is_some_and(|seconds| seconds > 1.7e9), "{object}");
    assert_eq!(object["inner_pid"], object["pid"]);
    assert!(object["container"].is_string(), "{object}");
}

#[test]
fn trace_prints_messages_of_its_own() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let probe = "t:syscalls:sys_enter_openat (STRCMP(\"/etc/hostname\", args->filename) && $uid == 0) \
                 \"%s flags %#o at %d of %s\", args->filename, args->flags, args->dfd, $task->comm";
    let trace = |flags: &[&str], probes: &[&str]| {
        let args = [&["tools", "trace"], flags, probes, &["--exec"], OPENS].concat();
        run(skep(&args)).success()
    };
    let traced = trace(&[], &[probe]);
    let rows: Vec<&str> = traced.stdout.lines().collect();
    assert_eq!(rows[0], format!("{:<7} {:<7} {:<15} {:<16} -", "PID", "TID", "COMM", "FUNC"));
    let message =
        format!("{:<15} {:<16} /etc/hostname flags 02000000 at -100 of perl", "perl", "sys_enter_openat");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[1].ends_with(&message), "{rows:?}");
    insta::assert_snapshot!("rows_of_trace", sample::columns(&traced.stdout, &["PID", "TID"]));

    // Functions of a library, by their arguments and results; only one message, with its stack.
    let probes = ["c:open64 (arg2 & O_WRONLY) \"%s\", arg1", "r:c:open64 ((int)retval == -1) \"%d\", retval"];
    let traced = trace(&["-U", "-f", "-1"], &probes);
    assert!(traced.stdout.contains(" open64           -1\n"), "{}", traced.stdout);
    let one = trace(&["-M", "1", "-A"], &["c:open64 \"%c%u\", 'x', 1 ? 7UL : 8"]);
    assert!(one.stdout.ends_with("open64           x7-->COUNT 1\n\n"), "{}", one.stdout);
    for wrong in ["t:a:b(int x)", "f (arg9)", "f \"%d\"", "x:y:z"] {
        let wrong = run(skep(&["tools", "trace", wrong]));
        assert!(wrong.code() == 1 && wrong.stderr.starts_with("trace: "), "{wrong:?}");
    }
}

#[test]
fn trace_reads_kernel_structures() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf, Kprobe);
    let _alone = alone();
    let probes = [
        "do_sys_openat2(int dfd, const char __user *name) (STRCMP(\"/etc/hostname\", name)) \"%d %s\", dfd, name",
        "r::do_sys_openat2 ((int)retval < 0) \"failed %d\", retval",
        "__x64_sys_openat (STRCMP(\"/dev/null\", arg2@user)) \"called %s from %K\", arg2@user, $task->thread_pid ? 0 : 0",
    ];
    let args = [&["tools", "trace", "-K"], &probes[..], &["--exec"], OPENS].concat();
    let traced = run(skep(&args)).success();
    let has = |text: &str| assert!(traced.stdout.contains(text), "{text}: {}", traced.stdout);
    has(" do_sys_openat2   -100 /etc/hostname\n");
    has(" do_sys_openat2   failed -2\n");
    has(" __x64_sys_openat called /dev/null from ");
    has("        do_sys_openat2+0x");
}

/// A control group of this name while it lives.
struct Group(std::path::PathBuf);

impl Group {
    fn new(name: &str) -> Option<Group> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| path.to_owned())
        })?;
        let path = std::path::Path::new(&root).join(name);
        std::fs::create_dir(&path).ok()?;
        Some(Group(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn tools_look_at_one_control_group() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    // Where no control group can be made, that there are none is told.
    let Some(group) = Group::new(&format!("skep-{}", std::process::id())) else {
        let wrong = run(skep(&["execsnoop", "--cgroup", "/etc"]));
        assert!(wrong.code() == 1 && wrong.stderr.contains("control group"), "{wrong:?}");
        return;
    };
    let path = group.0.to_str().unwrap().to_owned();
    let inside = |word: &str| {
        let script = format!("echo $$ > {path}/cgroup.procs; /bin/echo {word}");
        start("/bin/sh", &["-c", &script]);
    };
    let shown = lines(&["execsnoop", "-c", &path], "ARGS\n", " inside\n", || {
        start("/bin/echo", &["outside"]);
        inside("inside");
    });
    assert_eq!(shown.len(), 1, "{shown:?}");
    let wrong = run(skep(&["execsnoop", "--cgroup", "/etc"]));
    assert!(wrong.code() == 1 && wrong.stderr.contains("control group"), "{wrong:?}");
}

/// Makes a set of numbers of 64 bits with one in it, as others do for tools to read, and pins it.
const PIN_SET: &str = r#"
    my ($path, $number) = @ARGV;
    sub address { unpack("Q", pack("P", $_[0])) }
    sub bpf { my $result = syscall(321, $_[0], $_[1], length $_[1]); $result >= 0 or die $!; $result }
    my $set = bpf(0, pack("L4", 1, 8, 4, 16) . "\0" x 16);
    my ($key, $value, $name) = (pack("Q", $number), pack("L", 1), "$path\0");
    bpf(2, pack("LLQQQ", $set, 0, address($key), address($value), 0));
    bpf(6, pack("QLL", address($name), $set, 0));
"#;

#[test]
fn tools_look_at_namespaces_of_a_pinned_set() {
    need!(Root, Bpf, RingBuf, Tracefs, Btf);
    let _alone = alone();
    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let own = own.to_str().unwrap().trim_start_matches("mnt:[").trim_end_matches(']').to_owned();
    let shown = |number: &str, act: &dyn Fn(&Running)| {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().to_str().unwrap();
        // What is mounted there is seen by the tool only, and gone with it.
        let script =
            "mount -t bpf none $1 && perl -e \"$2\" $1/set $3 && shift 3 && exec \"$@\" --mntnsmap $0/set";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, place, place, PIN_SET, number]);
        let running = Running::start({
            command.arg(support::binary()).args(["execsnoop", "-P", &me()]);
            command
        });
        running.wait_for("ARGS\n");
        act(&running);
        running.signal(Signal::INT);
        running.end().success().stdout
    };
    let ours = shown(&own, &|running| {
        start("/bin/echo", &["seen"]);
        running.wait_for("/bin/echo seen\n");
    });
    assert_eq!(ours.lines().count(), 2, "{ours}");
    let of_nobody = shown("1", &|_| start("/bin/echo", &["unseen"]));
    assert_eq!(of_nobody.lines().count(), 1, "{of_nobody}");
}

#[test]
fn every_tool_tells_about_itself() {
    need!(Root);
    let _alone = alone();
    let listed = run(skep(&["tools"])).quiet_output();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 5 && names.is_sorted(), "{names:?}");
    for name in names {
        let help = run(skep(&["tools", name, "--help"])).quiet_output();
        insta::assert_snapshot!(format!("help_of_{name}"), help);
        assert_eq!(run(skep(&["tools", name, "--no-such-flag"])).code(), 1, "{name}");
    }
}
