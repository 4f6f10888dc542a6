//! `begin` and `end`: run once, before everything is attached and after it is detached.

use skep_ui::Diagnostic;

use super::{Match, Offers, Parts, Place, Provider};
use crate::hir::{Attach, ProbeKind};

pub(super) static BEGIN: Provider = Provider {
    name: "begin",
    aliases: &[],
    class: "special",
    kind: ProbeKind::RawTestRun,
    has_args: false,
    offers: Offers::NOTHING,
    // `begin:*` is `begin`.
    parts: Parts(0, 1, "0"),
    filtered: false,
    expand: |place| only(place, "begin", Attach::Begin),
    list: |_, _, _| Ok(Vec::new()),
    in_overviews: false,
    nearest: |_, _| None,
};

pub(super) static END: Provider =
    Provider { name: "end", expand: |place| only(place, "end", Attach::End), ..BEGIN };

fn only(place: &Place<'_>, name: &str, attach: Attach) -> Result<Vec<Match>, Diagnostic> {
    match place.parts.as_slice() {
        [] => {}
        [all] if all == "*" => {}
        parts => {
            let problem = format!("{name} probe type requires 0 arguments, found {}", parts.len());
            return Err(Diagnostic::error(place.span, problem));
        }
    }
    Ok(vec![Match { name: name.into(), attach, wildcard: false, unverified: None }])
}
