//! `test:NAME` and `bench:NAME`: run by the tracer itself, when it is asked for tests or benchmarks.

use skep_ui::Diagnostic;

use super::{Match, Offers, Parts, Place, Provider};
use crate::hir::{Attach, ProbeKind};
use crate::syntax::ast;

pub(super) static TEST: Provider = Provider {
    name: "test",
    aliases: &[],
    class: "test",
    kind: ProbeKind::RawTestRun,
    has_args: false,
    offers: Offers::NOTHING,
    parts: Parts(1, 1, "1"),
    filtered: false,
    expand: |place| named(place, |name| Attach::Test { name }),
    list: |_, _, _| Ok(Vec::new()),
    in_overviews: false,
    nearest: |_, _| None,
};

pub(super) static BENCH: Provider = Provider {
    name: "bench",
    class: "bench",
    expand: |place| named(place, |name| Attach::Bench { name }),
    ..TEST
};

fn named(place: &Place<'_>, attach: fn(String) -> Attach) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    match place.parts.as_slice() {
        [name] if !name.is_empty() => Ok(vec![Match {
            name: format!("{provider}:{name}"),
            attach: attach(name.clone()),
            wildcard: false,
            unverified: None,
        }]),
        _ => Err(Diagnostic::error(place.span, format!("{provider} probes must have a name"))),
    }
}

/// Complaints about names that are there twice.
pub fn repeated(script: &ast::Script) -> Vec<Diagnostic> {
    let mut seen: Vec<(&'static Provider, String, skep_ui::Span)> = Vec::new();
    let mut complaints = Vec::new();
    for attach_point in script.probes().flat_map(|probe| &probe.attach_points) {
        let Some(provider) = super::by_name(&attach_point.provider.text()) else { continue };
        if !std::ptr::eq(provider, &TEST) && !std::ptr::eq(provider, &BENCH) {
            continue;
        }
        let name = attach_point.parts.iter().map(ast::ApPart::text).collect::<Vec<_>>().join(":");
        match seen.iter().find(|(known, other, _)| std::ptr::eq(*known, provider) && *other == name) {
            Some((_, _, first)) => {
                let kind = provider.name.to_ascii_uppercase();
                let problem = format!("\"{name}\" was used as the name for more than one {kind} probe");
                complaints.push(
                    Diagnostic::error(attach_point.span, problem).note(*first, "this is the other instance"),
                );
            }
            None => seen.push((provider, name, attach_point.span)),
        }
    }
    complaints
}
