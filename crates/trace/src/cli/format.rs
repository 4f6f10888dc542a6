//! `--fmt`: a script in its usual form.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use skep_lang::{formatter, syntax};
use skep_ui::Diagnostics;

use super::request::{Request, Script};
use super::{print, show};

/// Prints the script, or writes it to the file of `-o`, which is replaced as a whole so that a script
/// can be formatted in place.
pub(super) fn format(script: &Script, request: &Request) -> Result<ExitCode, String> {
    let text = script.sources.text(script.file);
    let parsed = syntax::parse(script.file, text);
    let diagnostics = Diagnostics::from(parsed.diagnostics);
    if diagnostics.has_errors() {
        show(&diagnostics, &script.sources, request.warnings);
        return Ok(ExitCode::FAILURE);
    }
    let formatted = formatter::format(text, &parsed.script);
    match &request.output {
        None => Ok(print(&formatted)),
        Some(path) => replace(path, &formatted).map(|()| ExitCode::SUCCESS).map_err(|error| {
            let reason = skep_kernel::Errno::from(error).meaning();
            format!("failed to write '{}': {reason}", path.to_string_lossy())
        }),
    }
}

fn replace(path: &OsStr, text: &str) -> std::io::Result<()> {
    let path = Path::new(path);
    // A link is followed, and a device written to as it is.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if target.exists() && !target.is_file() {
        return std::fs::write(target, text);
    }
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = target.metadata() {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.persist(&target).map_err(|error| error.error)?;
    Ok(())
}
