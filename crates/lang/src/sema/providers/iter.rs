//! `iter:objects[:pin]`: a walk over all tasks, files, maps or other objects of the kernel.

use skep_btf::Type;
use skep_ui::{Diagnostic, suggest};

use super::{Match, Offers, Parts, Place, Provider, described, or_all};
use crate::hir::{Attach, Iter, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::world::{World, WorldError};

pub(super) static ITER: Provider = Provider {
    name: "iter",
    aliases: &["it"],
    class: "iter",
    kind: ProbeKind::Iter,
    has_args: false,
    offers: Offers::NOTHING,
    // A wrong number is told in its own words.
    parts: Parts(0, usize::MAX, "1 or 2"),
    // The process at hand is whoever reads the walk.
    filtered: false,
    expand,
    list,
    in_overviews: true,
    nearest: |_, _| None,
};

/// How the function of each kind of walk is called in the kernel's types, before the name of what is walked over.
const FUNCTION: &str = "bpf_iter_";
/// How the struct is called that a walk hands to its programs.
pub const CONTEXT: &str = "bpf_iter__";

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let wrong = |problem: String| Diagnostic::error(place.span, problem);
    let (over, pin) = match place.parts.as_slice() {
        [over] => (over, None),
        [over, pin] => (over, Some(pin)),
        _ => return Err(wrong("iter probe type takes 2 arguments (1 optional)".into())),
    };
    if pattern::has_wildcard(over) || pin.is_some_and(|pin| pattern::has_wildcard(pin)) {
        return Err(wrong("iter probe type does not support wildcards".into()));
    }
    let name = pin.map_or_else(|| format!("iter:{over}"), |pin| format!("iter:{over}:{pin}"));
    let attach = Attach::Iter(Iter { over: over.clone(), pin: pin.cloned() });
    let found = Match { name, attach, wildcard: false, unverified: None };
    match names(place.world) {
        Ok(all) if all.iter().any(|known| known == over) => Ok(vec![found]),
        Ok(all) => {
            let diagnostic = wrong(format!("iter {over} not available for your kernel version."));
            Err(match suggest(over, all.iter().map(String::as_str)) {
                Some(near) => diagnostic.help(format!("Did you mean 'iter:{near}'?")),
                None => diagnostic.help(format!("Available: {}", all.join(", "))),
            })
        }
        Err(error) => Ok(vec![Match { unverified: Some(error), ..found }]),
    }
}

/// What can be walked over: what has both a context and a function, sorted.
fn names(world: &dyn World) -> Result<Vec<String>, WorldError> {
    let btf = world.kernel_btf()?;
    let mut contexts = Vec::new();
    let mut functions = Vec::new();
    for id in btf.ids() {
        match btf.get(id) {
            Some(Type::Struct(composite)) => {
                contexts.extend(composite.name.strip_prefix(CONTEXT).map(str::to_owned));
            }
            Some(Type::Func { name, .. }) => functions.extend(name.strip_prefix(FUNCTION).map(str::to_owned)),
            _ => {}
        }
    }
    contexts.retain(|name| functions.contains(name));
    contexts.sort_unstable();
    contexts.dedup();
    Ok(contexts)
}

fn list(world: &dyn World, detailed: bool, parts: &[&str]) -> Result<Vec<Listed>, WorldError> {
    let [wanted] = parts else { return Ok(Vec::new()) };
    let all = names(world)?;
    Ok(all
        .iter()
        .filter(|name| pattern::matches(or_all(wanted), name))
        .map(|name| {
            let mut entry = Listed::name(format!("iter:{name}"));
            if detailed {
                let fields = described::fields(world, &format!("{CONTEXT}{name}")).unwrap_or_default();
                // The first one is about the walk itself.
                entry.fields = fields.into_iter().skip(1).collect();
            }
            entry
        })
        .collect())
}
