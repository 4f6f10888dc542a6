//! `rawtracepoint[:module]:event`: a tracepoint with what the kernel's code handed to it, before a record is made.

use skep_ui::{Diagnostic, suggest};

use super::{Arguments, Match, Offers, Parts, Place, Provider, described, or_all};
use crate::hir::{Attach, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::world::{World, WorldError};

pub(super) static RAW_TRACEPOINT: Provider = Provider {
    name: "rawtracepoint",
    aliases: &["rt"],
    class: "rawtracepoint",
    kind: ProbeKind::RawTracepoint,
    has_args: true,
    offers: Offers { arguments: Arguments::Words, ..Offers::NOTHING },
    parts: Parts(1, 2, "2 or 1"),
    filtered: true,
    expand,
    list,
    in_overviews: true,
    nearest,
};

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let (module, event) = match place.parts.as_slice() {
        [event] => ("*", event.as_str()),
        [module, event, ..] => (module.as_str(), event.as_str()),
        [] => ("*", ""),
    };
    if event.is_empty() {
        return Err(Diagnostic::error(place.span, "rawtracepoint should be attached to a function"));
    }
    if module.is_empty() {
        return Err(Diagnostic::error(place.span, "rawtracepoint probe must have a target"));
    }
    let wildcard = pattern::has_wildcard(event) || pattern::has_wildcard(module);
    // Without an answer the clause is checked all the same, as far as that goes.
    let unverified =
        |error: WorldError| Ok(vec![Match { unverified: Some(error), ..found(module, event, false) }]);
    if !pattern::has_wildcard(event) && module == "*" {
        return match place.world.raw_tracepoint(event) {
            Ok(module) => Ok(module.map(|module| found(&module, event, false)).into_iter().collect()),
            Err(error) => unverified(error),
        };
    }
    match place.world.raw_tracepoints() {
        Ok(all) => Ok(all
            .iter()
            .filter(|(m, e)| pattern::matches(module, m) && pattern::matches(event, e))
            .map(|(m, e)| found(m, e, wildcard))
            .collect()),
        Err(error) => unverified(error),
    }
}

fn found(module: &str, event: &str, wildcard: bool) -> Match {
    Match {
        name: format!("rawtracepoint:{module}:{event}"),
        attach: Attach::RawTracepoint { module: module.into(), event: event.into() },
        wildcard,
        unverified: None,
    }
}

/// What the author may have meant by a name that does not exist.
fn nearest(world: &dyn World, parts: &[String]) -> Option<String> {
    let event = parts.last()?.trim_matches('*');
    let all = world.raw_tracepoints().ok()?;
    suggest(event, all.iter().map(|(_, event)| event.as_str())).map(|near| format!("rawtracepoint:{near}"))
}

fn list(world: &dyn World, detailed: bool, parts: &[&str]) -> Result<Vec<Listed>, WorldError> {
    let (module, event) = match parts {
        [] => return Ok(Vec::new()),
        [event] => ("*", *event),
        [module, event] => (*module, *event),
        _ => return Ok(Vec::new()),
    };
    let all = world.raw_tracepoints()?;
    let fits = |(m, e): &&(String, String)| {
        pattern::matches(or_all(module), m) && pattern::matches(or_all(event), e)
    };
    let listed = |(m, e): &(String, String)| {
        let mut entry = Listed::name(format!("rawtracepoint:{m}:{e}"));
        if detailed {
            entry.fields = described::raw_tracepoint(world, m, e).map_or_else(Vec::new, |found| found.params);
        }
        entry
    };
    Ok(all.iter().filter(fits).map(listed).collect())
}
