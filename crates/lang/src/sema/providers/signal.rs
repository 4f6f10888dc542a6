//! `self:signal:SIGUSR1`: run when somebody sends that signal to the tracer.

use skep_ui::Diagnostic;

use super::{Match, Offers, Parts, Place, Provider};
use crate::hir::{Attach, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;

pub(super) static SELF: Provider = Provider {
    name: "self",
    aliases: &[],
    class: "self",
    kind: ProbeKind::RawTestRun,
    has_args: false,
    offers: Offers::NOTHING,
    parts: Parts(2, 2, "2"),
    filtered: false,
    expand,
    list: |_, _, parts| Ok(list(parts)),
    in_overviews: false,
    nearest: |_, _| None,
};

const NAME: &str = "self:signal:SIGUSR1";

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let problem = match place.parts.as_slice() {
        [trigger, signal] if trigger == "signal" && signal == "SIGUSR1" => {
            let attach = Attach::Signal;
            return Ok(vec![Match { name: NAME.into(), attach, wildcard: false, unverified: None }]);
        }
        [trigger, signal] if trigger == "signal" => format!("{signal} is not a supported signal"),
        [trigger, ..] => format!("{trigger} is not a supported trigger"),
        [] => "self probe type requires 2 arguments, found 0".into(),
    };
    Err(Diagnostic::error(place.span, problem).help(format!("The only one is {NAME}")))
}

fn list(parts: &[&str]) -> Vec<Listed> {
    let fits = |part: usize, name: &str| {
        let wanted = parts.get(part).copied().unwrap_or("");
        wanted.is_empty() || pattern::matches(wanted, name)
    };
    if fits(0, "signal") && fits(1, "SIGUSR1") { vec![Listed::name(NAME.into())] } else { Vec::new() }
}
