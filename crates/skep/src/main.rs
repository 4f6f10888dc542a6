//! The skep executable: argv to a face, nothing else.
//!
//! Called through a link named after a program it stands in for, it is that
//! program; called as `skep`, its first argument names the face. With a
//! compiled script behind it (`--aot`) it is that script.

mod faces;
mod links;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    log_to_stderr();
    match skep_trace::aot::carried() {
        Ok(None) => {}
        Ok(Some(script)) => return skep_trace::cli::carried(script, &program, &args),
        Err(error) => {
            eprintln!("ERROR: {error}");
            return ExitCode::FAILURE;
        }
    }
    faces::run_link(&name_of(&program), &args).unwrap_or_else(|| faces::skep(&args))
}

/// The name a program was called by, without its folder.
fn name_of(program: &OsString) -> String {
    Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What happens inside is told on standard error when SKEP_LOG asks for it, in
/// the usual notation: `SKEP_LOG=debug`, `SKEP_LOG=skep_kernel=trace`.
fn log_to_stderr() {
    if let Ok(filter) = std::env::var("SKEP_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .init();
    }
}
