//! How a test says what it needs from the kernel, and how it is skipped without looking green.
//!
//! Tests that need the kernel live in files `tests/kernel_*.rs` of any crate. Such a test begins with
//!
//! ```
//! # use skep_testing::need;
//! # fn a_test() {
//! need!(Root, Kprobe);
//! # }
//! ```
//!
//! which returns from the test when a need is not met. A test runner counts such a test as passed, so the
//! skip is also written down: as a line `SKIP <test>: needs <need>: <what the kernel lacks>` on standard
//! error, and as a record in the file that the variable `SKEP_SKIP_LOG` names. `cargo xtask test` collects
//! the records, counts those tests as skipped, and fails if one ran nowhere.

mod bpf;
mod btf;
mod needs;
pub mod programs;

use std::fs::OpenOptions;
use std::io::Write;

pub use needs::Need;

/// The variable that names the file for records of skipped tests.
pub const SKIP_LOG: &str = "SKEP_SKIP_LOG";

/// Returns from the test unless all needs, variants of [`Need`], are met here.
#[macro_export]
macro_rules! need {
    ($($need:ident),+ $(,)?) => {
        if !$crate::need(&[$($crate::Need::$need),+]) {
            return;
        }
    };
}

/// Whether all needs are met here; if not, the calling test is recorded as skipped and must return.
///
/// Called from the test's own thread, whose name is the test's.
#[must_use]
pub fn need(needs: &[Need]) -> bool {
    let Some((need, lack)) = needs.iter().find_map(|need| Some((need, need.lack()?))) else {
        return true;
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("?");
    let reason = format!("needs {need}: {lack}").replace(['\t', '\n'], " ");
    eprintln!("SKIP {test}: {reason}");
    if let Some(path) = std::env::var_os(SKIP_LOG) {
        // Not to be able to tell must not look like success.
        let record = format!("{test}\t{reason}\n");
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut log| log.write_all(record.as_bytes()));
        if let Err(error) = written {
            panic!("the skip could not be recorded in {}: {error}", path.display());
        }
    }
    false
}
