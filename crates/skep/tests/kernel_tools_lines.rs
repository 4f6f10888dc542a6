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
use support::{Running, run, skep};

/// Runs a tool from before `act` until it has printed `last`, and gives its lines below the header.
fn lines(tool: &[&str], header: &str, last: &str, act: impl FnOnce()) -> Vec<String> {
    let running = Running::start(skep(tool));
    running.wait_for(header);
    act();
    running.wait_for(last);
    running.signal(Signal::INT);
    let run = running.end().success();
    assert_eq!(run.stderr, "");
    run.stdout.lines().skip(1).map(str::to_owned).collect()
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
    let lines = lines(&["execsnoop", "-P", &me()], "ARGS\n", "/bin/true last\n", act);
    let ppid = me();
    let tail = |line: &str| {
        let mut words = line.splitn(3, &ppid);
        assert!(words.next().is_some(), "{line}");
        words.last().unwrap().trim_start().to_owned()
    };
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("echo "), "{lines:?}");
    assert_eq!(tail(&lines[0]), "0 /bin/echo hello wide world");
    assert_eq!(tail(&lines[1]), format!("0 /bin/true {long} two\\nlines"));
    let nineteen: Vec<String> = (1..20).map(|n| n.to_string()).collect();
    assert_eq!(tail(&lines[2]), format!("0 /bin/true {} ...", nineteen.join(" ")));
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
    let ended = lines(&["exitsnoop", "-p", &pid], "EXIT_CODE\n", "code 3\n", act);
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
    let lines = lines(&["tcplife", "-p", &me()], " MS\n", "4      2 ", || ports = talk());
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    let (near, far) = (ports.0.to_string(), ports.1.to_string());
    let client = rows.iter().find(|row| row[3] == near).unwrap();
    assert_eq!(
        (client[0], client[2], client[4], client[5]),
        (me().as_str(), "127.0.0.1", "127.0.0.1", far.as_str())
    );
    assert_eq!((client[6], client[7]), ("4", "2"));
}

#[test]
fn tcpconnect_shows_connections() {
    need!(Root, Bpf, RingBuf, Tracefs);
    let _alone = alone();
    let mut ports = (0, 0);
    let shown =
        lines(&["tcpconnect", "-U", "-p", &me()], "DPORT\n", "127.0.0.1        127.0.0.1", || ports = talk());
    let words: Vec<&str> = shown[0].split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("0", me().as_str(), "4"));
    assert_eq!(words.last(), Some(&ports.1.to_string().as_str()));

    let with_port =
        lines(&["tcpconnect", "-L", "-p", &me()], "DPORT\n", "127.0.0.1        ", || ports = talk());
    let words: Vec<&str> = with_port[0].split_whitespace().collect();
    assert_eq!(words[4], ports.0.to_string());

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
fn every_tool_tells_about_itself() {
    need!(Root);
    let listed = run(skep(&["tools"])).quiet_output();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 5 && names.is_sorted(), "{names:?}");
    for name in names {
        let help = run(skep(&["tools", name, "--help"])).quiet_output();
        insta::assert_snapshot!(format!("help_of_{name}"), help);
        assert_eq!(run(skep(&[name, "--no-such-flag"])).code(), 1, "{name}");
    }
}
