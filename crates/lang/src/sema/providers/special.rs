//! `begin` and `end`: run once, before everything is attached and after it is detached.

use super::{Match, Offers, Parts, Provider};
use crate::hir::{Attach, ProbeKind};

pub(super) static BEGIN: Provider = Provider {
    name: "begin",
    aliases: &[],
    class: "special",
    kind: ProbeKind::RawTestRun,
    has_args: false,
    offers: Offers::NOTHING,
    parts: Parts(0, 0, "0"),
    filtered: false,
    expand: |_| {
        Ok(vec![Match { name: "begin".into(), attach: Attach::Begin, wildcard: false, unverified: None }])
    },
    list: |_, _, _| Ok(Vec::new()),
    in_overviews: false,
    nearest: |_, _| None,
};

pub(super) static END: Provider = Provider {
    name: "end",
    expand: |_| {
        Ok(vec![Match { name: "end".into(), attach: Attach::End, wildcard: false, unverified: None }])
    },
    ..BEGIN
};
