//! What a second Ctrl-C means while a script is being taken down.
//!
//! Taking down takes a while and may get stuck, when nobody reads the output: then a second signal ends the
//! process at once. But one keystroke may come as two signals, once to the process and once to its group, as
//! timeout(1) and sudo(8) send them; so what follows the first one closely counts as the same.

use std::io::{PipeReader, pipe};
use std::thread;
use std::time::{Duration, Instant};

use skep_kernel::poll::Poll;
use skep_kernel::signals::SignalFd;

/// Signals this soon after the first are its echo.
const ECHO: Duration = Duration::from_millis(500);

const STOP: u64 = 0;
const SIGNAL: u64 = 1;

/// Does the work, unless a signal ends the process before it is done.
pub(crate) fn unless_repeated<T>(signals: Option<&SignalFd>, work: impl FnOnce() -> T) -> T {
    let Some(signals) = signals else { return work() };
    // Without a pipe or a thread the work is done all the same, and cannot be cut short.
    let Ok((stopped, stop)) = pipe() else { return work() };
    thread::scope(|scope| {
        let _ = thread::Builder::new()
            .stack_size(128 << 10)
            .spawn_scoped(scope, move || watch(signals, &stopped));
        let done = work();
        drop(stop);
        done
    })
}

/// Returns when the other end of the pipe is closed.
fn watch(signals: &SignalFd, stopped: &PipeReader) {
    let begun = Instant::now();
    let Ok(mut poll) = Poll::new() else { return };
    let added = poll.add(stopped, STOP).and_then(|()| poll.add(signals, SIGNAL));
    if added.is_err() {
        return;
    }
    while let Ok(ready) = poll.wait(None) {
        if ready.into_iter().any(|token| token == STOP) {
            return;
        }
        if let Ok(Some(signal)) = signals.read()
            && begun.elapsed() > ECHO
        {
            std::process::exit(128 + signal.number());
        }
    }
}
