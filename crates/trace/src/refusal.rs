//! The verifier's refusal, brought back to the line of the script.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use skep_compile::artifact::Program;
use skep_isa::helpers::helper_by_id;
use skep_isa::insn::opcode;
use skep_isa::{Insn, disasm};
use skep_kernel::bpf::LoadError;
use skep_ui::{Diagnostic, Span};

use crate::error::{Error, Refusal};

/// How many lines of the log are shown; the report has them all.
const SHOWN_LINES: usize = 12;

/// Makes an error of a refusal, and writes the full report to a file.
pub(crate) fn explain(program: &Program, insns: &[Insn], probe: &str, error: LoadError) -> Error {
    let Some(verdict) = error.verdict().map(str::to_owned) else {
        return Error::Kernel { what: format!("cannot load the program for {probe}"), source: error.into() };
    };
    let at = last_instruction(&error.log);
    let span = at
        .and_then(|at| program.spans.get(at).copied())
        .filter(|span| *span != Span::GENERATED)
        .unwrap_or(program.span);
    if let Some(helper) = forbidden_helper(&verdict, at.and_then(|at| insns.get(at))) {
        let diagnostic = Diagnostic::error(span, format!("helper bpf_{helper} not allowed in probe"))
            .help(format!("the kernel does not let programs at {probe} call it"));
        return Error::Verifier(Box::new(Refusal { diagnostic, report: None }));
    }
    let report = write_report(program, insns, probe, &error);
    let mut diagnostic =
        Diagnostic::error(span, format!("the kernel's verifier refuses the program for {probe}: {verdict}"));
    let lines: Vec<&str> = error.log.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
        diagnostic = diagnostic.remark(format!("verifier: {line}"));
    }
    diagnostic = diagnostic.help(match &report {
        Some(path) => {
            format!("this is a fault of skep, not of the script; the full report is in {}", path.display())
        }
        None => "this is a fault of skep, not of the script; no report could be written to the temporary \
                 directory, see `-d verifier`"
            .to_owned(),
    });
    Error::Verifier(Box::new(Refusal { diagnostic, report }))
}

/// The helper that may not be called there, if that is what a verdict says of the call it stopped at.
fn forbidden_helper(verdict: &str, call: Option<&Insn>) -> Option<&'static str> {
    const SAYINGS: [&str; 3] = [
        "helper call is not allowed in probe",
        "program of this type cannot use helper",
        "unknown func bpf_",
    ];
    let said = SAYINGS.iter().any(|saying| verdict.contains(saying));
    let call = call.filter(|insn| said && insn.code == opcode::JMP | opcode::CALL && insn.src == 0)?;
    Some(helper_by_id(u32::try_from(call.imm).ok()?)?.name)
}

/// The instruction that the log speaks of last: its lines begin with `17: (85) call ...`.
pub(crate) fn last_instruction(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (number, rest) = line.trim_start().split_once(": ")?;
        if rest.starts_with('(') { number.parse().ok() } else { None }
    })
}

fn write_report(program: &Program, insns: &[Insn], probe: &str, error: &LoadError) -> Option<PathBuf> {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "skep {}: a program was refused", env!("CARGO_PKG_VERSION"));
    let (major, minor, patch) = skep_kernel::limits::kernel_version();
    let _ = writeln!(text, "kernel: {major}.{minor}.{patch}");
    let _ = writeln!(
        text,
        "probe: {probe}\nprogram: {} ({:?})\nerror: {}",
        program.name, program.kind, error.errno
    );
    let _ = writeln!(text, "\n== instructions\n{}", disasm::dump(insns, &disasm::NoNames));
    let _ = writeln!(text, "== verifier\n{}", error.log);
    save(&text).inspect_err(|error| tracing::debug!("no report: {error}")).ok()
}

/// Saves the report under a name that nobody else could have prepared.
fn save(text: &str) -> std::io::Result<PathBuf> {
    let directory = std::env::temp_dir();
    for attempt in 0..100u32 {
        let path = directory.join(format!("skep-refused-{}-{attempt}.txt", std::process::id()));
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_may_not_be_called_is_named() {
        let call = Insn::call_helper(147);
        let named = |verdict: &str| forbidden_helper(verdict, Some(&call));
        assert_eq!(named("helper call is not allowed in probe"), Some("d_path"));
        assert_eq!(named("program of this type cannot use helper bpf_d_path#147"), Some("d_path"));
        assert_eq!(named("R1 invalid mem access"), None);
        assert_eq!(forbidden_helper("helper call is not allowed in probe", Some(&Insn::exit())), None);
    }

    #[test]
    fn the_log_tells_the_instruction() {
        let log = "func#0 @0\n0: R1=ctx() R10=fp0\n0: (b7) r0 = 0\n3: (85) call bpf_trace_printk#6\nR1 type=scalar expected=fp\nprocessed 4 insns";
        assert_eq!(last_instruction(log), Some(3));
        assert_eq!(last_instruction("invalid BTF"), None);
    }
}
