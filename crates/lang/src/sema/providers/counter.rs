//! `software:event[:count]` and `hardware:event[:count]`: run whenever the kernel or the processor has counted so
//! many events more.

use skep_ui::{Diagnostic, suggest};

use super::{Match, Offers, Parts, Place, Provider, number};
use crate::hir::{Attach, Counter, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;

pub(super) static SOFTWARE: Provider = Provider {
    name: "software",
    aliases: &["s"],
    class: "software",
    kind: ProbeKind::PerfEvent,
    has_args: false,
    offers: Offers::REGISTERS,
    parts: Parts(1, 2, "1 or 2"),
    filtered: true,
    expand: |place| expand(place, SOFTWARE_EVENTS),
    list: |_, _, parts| Ok(list("software", SOFTWARE_EVENTS, parts)),
    in_overviews: true,
    nearest: |_, _| None,
};

pub(super) static HARDWARE: Provider = Provider {
    name: "hardware",
    aliases: &["h"],
    class: "hardware",
    expand: |place| expand(place, HARDWARE_EVENTS),
    list: |_, _, parts| Ok(list("hardware", HARDWARE_EVENTS, parts)),
    ..SOFTWARE
};

/// An event, its other name, its number, and how many are counted for one run unless the script says.
type Row = (&'static str, Option<&'static str>, u64, u64);

/// The numbers are those of `enum perf_sw_ids`.
const SOFTWARE_EVENTS: &[Row] = &[
    ("alignment-faults", None, 7, 1),
    ("bpf-output", None, 10, 1),
    ("context-switches", Some("cs"), 3, 1_000),
    ("cpu-clock", Some("cpu"), 0, 1_000_000),
    ("cpu-migrations", None, 4, 1),
    ("dummy", None, 9, 1),
    ("emulation-faults", None, 8, 1),
    ("major-faults", None, 6, 1),
    ("minor-faults", None, 5, 100),
    ("page-faults", Some("faults"), 2, 100),
    ("task-clock", None, 1, 1),
];

/// The numbers are those of `enum perf_hw_id`.
const HARDWARE_EVENTS: &[Row] = &[
    ("backend-stalls", None, 8, 1_000_000),
    ("branch-instructions", Some("branches"), 4, 100_000),
    ("branch-misses", None, 5, 100_000),
    ("bus-cycles", None, 6, 100_000),
    ("cache-misses", None, 3, 1_000_000),
    ("cache-references", None, 2, 1_000_000),
    ("cpu-cycles", Some("cycles"), 0, 1_000_000),
    ("frontend-stalls", None, 7, 1_000_000),
    ("instructions", None, 1, 1_000_000),
    ("ref-cycles", None, 9, 1_000_000),
];

fn expand(place: &Place<'_>, events: &[Row]) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    let wrong = |problem: String| Err(Diagnostic::error(place.span, problem));
    let (event, count) = match place.parts.as_slice() {
        [event] => (event, None),
        [event, count, ..] => (event, Some(count)),
        [] => return wrong(format!("{provider} probe type requires 1 or 2 arguments, found 0")),
    };
    let count = match count {
        None => None,
        // As many as are usual for the event.
        Some(any) if any == "*" => None,
        Some(text) => match number::read(text) {
            Ok(count) => Some(count),
            Err(_) if number::is_negative(text) => {
                return wrong(format!("{provider} count should be a positive integer"));
            }
            Err(problem) => return wrong(format!("Invalid count for {provider} probe: {problem}")),
        },
    };
    if event.is_empty() {
        return wrong(format!("{provider} probe must have a {provider} event name"));
    }
    if pattern::has_wildcard(event) {
        return wrong(format!("wildcards are not allowed for {provider} probe type"));
    }
    let Some((.., number, usual)) =
        events.iter().find(|(name, alias, ..)| name == event || *alias == Some(event.as_str()))
    else {
        let diagnostic = Diagnostic::error(place.span, format!("{event} is not a {provider} probe"));
        return Err(match suggest(event, names(events)) {
            Some(near) => diagnostic.help(format!("Did you mean '{near}'?")),
            None => diagnostic.help(format!("Events: {}", names(events).collect::<Vec<_>>().join(", "))),
        });
    };
    let name = match count {
        Some(count) => format!("{provider}:{event}:{count}"),
        None => format!("{provider}:{event}"),
    };
    let period = count.filter(|count| *count > 0).unwrap_or(*usual);
    let counter = Counter { hardware: provider == HARDWARE.name, number: *number, period };
    Ok(vec![Match { name, attach: Attach::Counter(counter), wildcard: false, unverified: None }])
}

fn names(events: &[Row]) -> impl Iterator<Item = &'static str> {
    events.iter().flat_map(|(name, alias, ..)| std::iter::once(*name).chain(*alias))
}

fn list(provider: &str, events: &[Row], parts: &[&str]) -> Vec<Listed> {
    let wanted = match parts {
        [] | [""] => "*",
        [event] | [event, ""] => event,
        _ => return Vec::new(),
    };
    names(events)
        .filter(|name| pattern::matches(wanted, name))
        .map(|name| Listed::name(format!("{provider}:{name}:")))
        .collect()
}
