//! Child processes that wait for their release, pidfds and signals.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::Duration;

use skep_kernel::child::{Child, Exit};
use skep_kernel::poll::Poll;
use skep_kernel::signals::{self, Signal, SignalFd};
use skep_kernel::{Errno, maps, proc};

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[test]
fn a_command_runs_only_after_its_release() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made");
    let mut child = Child::spawn(&command(&["touch", file.to_str().unwrap()])).unwrap();
    // It exists, but it is still this program.
    assert_eq!(proc::exe(child.pid()).unwrap(), proc::exe(std::process::id() as i32).unwrap());
    assert_eq!(child.try_wait().unwrap(), None);
    assert!(!file.exists());
    child.release().unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Status(0));
    assert!(file.exists());
    assert_eq!(child.wait().unwrap(), Exit::Status(0), "the status can be asked for again");
}

#[test]
fn a_command_that_is_never_released_never_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made");
    let child = Child::spawn(&command(&["touch", file.to_str().unwrap()])).unwrap();
    let pid = child.pid();
    drop(child);
    assert!(!file.exists());
    assert!(proc::comm(pid).is_err(), "it is gone and reaped");
}

#[test]
fn statuses_and_signals_come_back() {
    let mut child = Child::spawn(&command(&["sh", "-c", "exit 7"])).unwrap();
    child.release().unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Status(7));

    let mut child = Child::spawn(&command(&["sleep", "1000"])).unwrap();
    child.release().unwrap();
    let mut poll = Poll::new().unwrap();
    poll.add(&child, 5).unwrap();
    assert_eq!(poll.wait(Some(Duration::ZERO)).unwrap().count(), 0);
    child.kill(Signal::Terminate).unwrap();
    assert_eq!(poll.wait(None).unwrap().collect::<Vec<_>>(), [5]);
    assert_eq!(child.wait().unwrap(), Exit::Signal(libc::SIGTERM));
    child.kill(Signal::Terminate).unwrap();
}

/// It is looked at when it has become its program, and again when its libraries are there.
#[test]
fn a_command_can_be_looked_at_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made");
    let mut child = Child::spawn(&command(&["touch", file.to_str().unwrap()])).unwrap();
    let pid = child.pid().unsigned_abs();
    let mut seen = Vec::new();
    child
        .release_looking(|| {
            assert!(!file.exists());
            let mapped = maps::of(pid).unwrap();
            let named = |name: &str| mapped.iter().any(|map| map.path.to_string_lossy().contains(name));
            seen.push((named("touch") || named("coreutils") || named("busybox"), named("libc")));
        })
        .unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Status(0));
    assert!(file.exists());
    // A static program has no libraries to wait for.
    assert!(matches!(seen[..], [(true, false), (true, _)]), "{seen:?}");

    let mut child = Child::spawn(&command(&["sh", "-c", "kill -TERM $$"])).unwrap();
    child.release_looking(|| ()).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Signal(libc::SIGTERM));
    std::fs::write(&file, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Child::spawn(&command(&[file.to_str().unwrap()])).unwrap();
    assert!(child.release_looking(|| panic!("it never began")).is_err());
}

#[test]
fn what_cannot_be_executed_is_said() {
    let error = Child::spawn(&command(&["no-such-command-anywhere"])).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::ENOENT)));
    assert!(Child::spawn(&[]).is_err());

    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "echo hello\n").unwrap();
    let error = Child::spawn(&command(&[plain.to_str().unwrap()])).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::EACCES)));
    // Being root would not help.
    assert!(error.to_string().ends_with("hint: the command of -c cannot be executed"), "{error}");
    let error = Child::spawn(&command(&[dir.path().to_str().unwrap()])).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::EACCES)));

    // What no look at the file tells is found out when it is executed.
    std::fs::write(&plain, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&plain, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Child::spawn(&command(&[plain.to_str().unwrap()])).unwrap();
    assert_eq!(child.release().unwrap_err().errno(), Some(Errno(libc::ENOENT)));
    assert_eq!(child.wait().unwrap(), Exit::Status(127));
}

#[test]
fn a_script_without_an_interpreter_line_goes_to_the_shell() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "exit $1\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = Child::spawn(&command(&[script.to_str().unwrap(), "9"])).unwrap();
    child.release().unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Status(9));
}

#[test]
fn blocked_signals_become_readable_and_children_do_not_inherit_the_block() {
    let signals = SignalFd::new(&[Signal::User1]).unwrap();
    assert_eq!(signals.read().unwrap(), None);
    // SAFETY: raises a signal that this thread has blocked.
    unsafe { libc::raise(libc::SIGUSR1) };
    let mut poll = Poll::new().unwrap();
    poll.add(&signals, 1).unwrap();
    assert_eq!(poll.wait(None).unwrap().count(), 1);
    assert_eq!(signals.read().unwrap(), Some(Signal::User1));
    assert_eq!(signals.read().unwrap(), None);

    let mut child = Child::spawn(&command(&["sleep", "1000"])).unwrap();
    child.release().unwrap();
    child.kill(Signal::User1).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Signal(libc::SIGUSR1));
}

#[test]
fn an_ignored_signal_is_seen_unless_it_is_a_hang_up() {
    // SAFETY: no handlers are installed.
    let before = [libc::SIGTERM, libc::SIGHUP].map(|signal| unsafe { libc::signal(signal, libc::SIG_IGN) });
    let signals = SignalFd::new(&[Signal::Terminate, Signal::HangUp]).unwrap();
    // SAFETY: this thread ignores or has blocked what it raises.
    unsafe { libc::raise(libc::SIGHUP) };
    assert_eq!(signals.read().unwrap(), None);
    // SAFETY: as above.
    unsafe { libc::raise(libc::SIGTERM) };
    assert_eq!(signals.read().unwrap(), Some(Signal::Terminate));
    for (signal, before) in [libc::SIGTERM, libc::SIGHUP].into_iter().zip(before) {
        // SAFETY: the action comes from the same call.
        unsafe { libc::signal(signal, before) };
    }
}

#[test]
fn a_pidfd_needs_a_process() {
    let mut child = Child::spawn(&command(&["true"])).unwrap();
    let pid = child.pid();
    assert!(signals::pidfd(pid).unwrap().as_fd().try_clone_to_owned().is_ok());
    child.release().unwrap();
    child.wait().unwrap();
    let error = signals::pidfd(pid).unwrap_err();
    assert_eq!(error.errno(), Some(Errno(libc::ESRCH)));
    assert!(signals::pidfd(0).is_err());
}
