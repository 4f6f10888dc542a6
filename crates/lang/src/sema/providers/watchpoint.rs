//! `watchpoint:address:length:mode`: a few bytes of memory that the processor watches.

use skep_ui::Diagnostic;

use super::{Match, Offers, Parts, Place, Provider, number};
use crate::hir::{Attach, ProbeKind, Watchpoint};

pub(super) static WATCHPOINT: Provider = Provider {
    name: "watchpoint",
    aliases: &["w"],
    class: "watchpoint",
    kind: ProbeKind::PerfEvent,
    has_args: false,
    offers: Offers::REGISTERS,
    parts: Parts(3, 3, "3"),
    filtered: true,
    expand,
    list: |_, _, _| Ok(Vec::new()),
    in_overviews: false,
    nearest: |_, _| None,
};

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let [address, length, mode] = place.parts.as_slice() else { return Ok(Vec::new()) };
    let wrong = |problem: String| Diagnostic::error(place.span, problem);
    let read = |what: &str, text: &str| {
        number::read(text).map_err(|problem| wrong(format!("Invalid {what} argument: {problem}")))
    };
    let address = read("function/address", address)?;
    if address == 0 {
        return Err(wrong("watchpoint must be attached to a non-zero address".into()));
    }
    let length = match read("length", length)? {
        length @ (1 | 2 | 4 | 8) => length as u8,
        _ => return Err(wrong("watchpoint length must be one of (1,2,4,8)".into())),
    };
    let mut letters: Vec<char> = mode.chars().collect();
    letters.sort_unstable();
    if letters.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(wrong("watchpoint modes may not be duplicated".into()));
    }
    if letters.is_empty() || letters.iter().any(|letter| !"rwx".contains(*letter)) {
        return Err(wrong("watchpoint mode must be combination of (r,w,x)".into()));
    }
    let sorted: String = letters.iter().collect();
    // What x86 processors can watch for.
    if !["x", "w", "rw"].contains(&sorted.as_str()) {
        return Err(
            wrong(format!("invalid watchpoint mode: {mode}")).help("supported modes: x,w,rw".to_owned())
        );
    }
    let has = |letter| letters.contains(&letter);
    let watch = Watchpoint { address, length, read: has('r'), write: has('w'), execute: has('x') };
    Ok(vec![Match {
        name: format!("watchpoint:{address}:{length}:{sorted}"),
        attach: Attach::Watchpoint(watch),
        wildcard: false,
        unverified: None,
    }])
}
