//! `interval` and `profile`: timers on one CPU and on all.

use super::{Match, Offers, Parts, Place, Provider, rate};
use crate::hir::{Attach, ProbeKind, Rate};
use crate::sema::list::Listed;
use crate::sema::pattern;
use skep_ui::Diagnostic;

pub(super) static INTERVAL: Provider = Provider {
    name: "interval",
    aliases: &["i"],
    class: "interval",
    kind: ProbeKind::PerfEvent,
    has_args: false,
    offers: Offers::REGISTERS,
    parts: Parts(1, 2, "1 or 2"),
    filtered: false,
    expand: |place| one(place, Attach::Interval),
    list: |_, _, parts| Ok(units("interval", parts)),
    in_overviews: false,
    nearest: |_, _| None,
};

pub(super) static PROFILE: Provider = Provider {
    name: "profile",
    aliases: &["p"],
    class: "profile",
    filtered: true,
    expand: |place| one(place, Attach::Profile),
    list: |_, _, parts| Ok(units("profile", parts)),
    ..INTERVAL
};

fn one(place: &Place<'_>, attach: fn(Rate) -> Attach) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    let (rate, shown) =
        rate::read(provider, &place.parts).map_err(|problem| Diagnostic::error(place.span, problem))?;
    Ok(vec![Match {
        name: format!("{provider}:{shown}"),
        attach: attach(rate),
        wildcard: false,
        unverified: None,
    }])
}

fn units(provider: &str, parts: &[&str]) -> Vec<Listed> {
    let wanted = match parts {
        [] | [""] => "*",
        [wanted] | [wanted, ""] => wanted,
        _ => return Vec::new(),
    };
    let units = ["hz", "ms", "s", "us"].into_iter().filter(|unit| pattern::matches(wanted, unit));
    units.map(|unit| Listed::name(format!("{provider}:{unit}:"))).collect()
}
