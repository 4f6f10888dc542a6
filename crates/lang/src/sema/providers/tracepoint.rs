//! `tracepoint:category:event`: the places the kernel's authors chose, with a record of fields.

use skep_ui::{Diagnostic, suggest};

use super::{Match, Offers, Parts, Place, Provider, or_all};
use crate::hir::{Attach, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::world::{World, WorldError};

pub(super) static TRACEPOINT: Provider = Provider {
    name: "tracepoint",
    aliases: &["t"],
    class: "tracepoint",
    kind: ProbeKind::Tracepoint,
    has_args: true,
    offers: Offers::NOTHING,
    // A single part with a wildcard is an event of any category.
    parts: Parts(1, 2, "2"),
    filtered: true,
    expand,
    list,
    in_overviews: true,
    nearest,
};

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let (category, event) = match place.parts.as_slice() {
        [category, event] => (category.as_str(), event.as_str()),
        [event] if pattern::has_wildcard(event) => ("*", event.as_str()),
        other => {
            return Err(Diagnostic::error(
                place.span,
                format!("tracepoint probe type requires 2 arguments, found {}", other.len()),
            ));
        }
    };
    if category.is_empty() || event.is_empty() {
        return Err(Diagnostic::error(place.span, "tracepoint probe must have a target"));
    }
    // Without an answer the clause is checked all the same, as far as that goes.
    let unverified =
        |error: WorldError| vec![Match { unverified: Some(error), ..found(category, event, false) }];
    if !pattern::has_wildcard(category) && !pattern::has_wildcard(event) {
        return Ok(match place.world.has_tracepoint(category, event) {
            Ok(true) => vec![found(category, event, false)],
            Ok(false) => Vec::new(),
            Err(error) => unverified(error),
        });
    }
    let all = match place.world.tracepoints() {
        Ok(all) => all,
        Err(error) => return Ok(unverified(error)),
    };
    Ok(all
        .iter()
        .filter(|(c, e)| pattern::matches(category, c) && pattern::matches(event, e))
        .map(|(c, e)| found(c, e, true))
        .collect())
}

fn found(category: &str, event: &str, wildcard: bool) -> Match {
    Match {
        name: format!("tracepoint:{category}:{event}"),
        attach: Attach::Tracepoint { category: category.into(), event: event.into() },
        wildcard,
        unverified: None,
    }
}

/// What the author may have meant by a name that does not exist.
fn nearest(world: &dyn World, parts: &[String]) -> Option<String> {
    let [category, event] = parts else { return None };
    let all = world.tracepoints().ok()?;
    let near = |category: &str| {
        let events = all.iter().filter(|(c, _)| c == category).map(|(_, e)| e.as_str());
        let stripped = event.trim_matches('*');
        suggest(stripped, events).map(|near| format!("tracepoint:{category}:{near}"))
    };
    if let Some(found) = near(category) {
        return Some(found);
    }
    // The event is right, or nearly so, and the category is not.
    if let Some((c, e)) = all.iter().find(|(_, e)| e == event) {
        return Some(format!("tracepoint:{c}:{e}"));
    }
    let mut categories: Vec<&str> = all.iter().map(|(c, _)| c.as_str()).collect();
    categories.dedup();
    let other = suggest(category, categories)?;
    near(other).or_else(|| Some(format!("tracepoint:{other}:{event}")))
}

fn list(world: &dyn World, detailed: bool, parts: &[&str]) -> Result<Vec<Listed>, WorldError> {
    let (category, event) = match parts {
        [category, event] => (*category, *event),
        [any] => ("*", *any),
        _ => return Ok(Vec::new()),
    };
    let all = world.tracepoints()?;
    let mut listed = Vec::new();
    for (c, e) in all.iter() {
        if !pattern::matches(or_all(category), c) || !pattern::matches(or_all(event), e) {
            continue;
        }
        let mut entry = Listed::name(format!("tracepoint:{c}:{e}"));
        if detailed {
            let format = world.tracepoint_format(c, e)?;
            entry.fields = format.fields.iter().map(|field| spelled(&field.ctype, &field.name)).collect();
        }
        listed.push(entry);
    }
    Ok(listed)
}

/// Type and name as C spells them: `char comm[16]`, but `__data_loc char[] cmd`.
fn spelled(ctype: &str, name: &str) -> String {
    match ctype.find('[') {
        Some(at) if !ctype.starts_with("__data_loc") && !ctype.starts_with("__rel_loc") => {
            let (elem, dimension) = ctype.split_at(at);
            format!("{} {name}{dimension}", elem.trim_end())
        }
        _ => format!("{ctype} {name}"),
    }
}
