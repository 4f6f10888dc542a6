//! `kprobe[:module]:function[+offset]`, `kretprobe[:module]:function`, and both of an address: any place in the
//! kernel's code.

use skep_ui::{Diagnostic, suggest};

use super::{
    Arguments, Match, Offers, Parts, Place, Provider, ReturnValue, described, fentry, number, or_all,
};
use crate::hir::{Attach, Fentry, FentryPlace, KernelPlace, Kprobe, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::ty::Space;
use crate::world::{World, WorldError};

pub(super) static KPROBE: Provider = Provider {
    name: "kprobe",
    aliases: &["k"],
    class: "kprobe",
    kind: ProbeKind::Kprobe,
    // By their types: the original has none here.
    has_args: true,
    offers: Offers {
        arguments: Arguments::RegistersAndStack(Space::Kernel),
        function: true,
        ..Offers::REGISTERS
    },
    parts: Parts(1, 2, "1 or 2"),
    filtered: true,
    expand,
    list: |world, detailed, parts| list("kprobe", world, detailed, parts),
    in_overviews: true,
    nearest: |world, parts| nearest("kprobe", world, parts),
};

pub(super) static KRETPROBE: Provider = Provider {
    name: "kretprobe",
    aliases: &["kr"],
    class: "kretprobe",
    has_args: false,
    offers: Offers { return_value: ReturnValue::Register, function: true, ..Offers::REGISTERS },
    list: |world, detailed, parts| list("kretprobe", world, detailed, parts),
    in_overviews: false,
    nearest: |world, parts| nearest("kretprobe", world, parts),
    ..KPROBE
};

/// What serves kprobes at the start of functions on a kernel that has none.
static KPROBE_BY_FENTRY: Provider = Provider {
    kind: ProbeKind::Fentry,
    offers: Offers { arguments: Arguments::Words, function: true, ..Offers::NOTHING },
    expand: by_type,
    ..KPROBE
};

/// What serves kretprobes on a kernel that has none.
static KRETPROBE_BY_FEXIT: Provider = Provider {
    kind: ProbeKind::Fexit,
    offers: Offers { return_value: ReturnValue::LastWord, function: true, ..Offers::NOTHING },
    expand: by_type,
    ..KRETPROBE
};

/// What takes a provider's place on this kernel, if something has to.
pub(super) fn stand_in(provider: &Provider, world: &dyn World) -> Option<&'static Provider> {
    if provider.kind != ProbeKind::Kprobe || world.has_kprobes() || !world.has_fentry() {
        return None;
    }
    [&KPROBE_BY_FENTRY, &KRETPROBE_BY_FEXIT].into_iter().find(|other| other.name == provider.name)
}

/// The same places by their types: only functions that have one, and only where they begin.
fn by_type(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let mut served = Vec::new();
    for mut found in expand(place)? {
        let Attach::Kprobe(Kprobe { place: KernelPlace::Function { module, name, offset: 0 }, on_return }) =
            &found.attach
        else {
            let problem =
                format!("{} needs kprobes, and this kernel is built without (CONFIG_KPROBES)", found.name);
            return Err(Diagnostic::error(place.span, problem)
                .help("Probes at the start of a function are served by fentry here."));
        };
        let by_type = fentry::matching(place.world, module.as_deref().unwrap_or("*"), name);
        let typed = by_type.ok().and_then(|all| all.into_iter().next());
        match typed {
            Some((module, name)) => {
                let place = FentryPlace::Kernel { module, name };
                found.attach = Attach::Fentry(Fentry { place, on_return: *on_return });
                served.push(found);
            }
            None if found.wildcard => {}
            None => {
                let problem = format!(
                    "{} cannot be served: this kernel has no kprobes (CONFIG_KPROBES), and its types do not describe \
                     {name}, as fentry would need",
                    found.name
                );
                return Err(Diagnostic::error(place.span, problem));
            }
        }
    }
    Ok(served)
}

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    let on_return = provider == KRETPROBE.name;
    let (module, spot) = match place.parts.as_slice() {
        [spot] => (None, spot.as_str()),
        [module, spot, ..] => (Some(module.as_str()), spot.as_str()),
        [] => (None, ""),
    };
    let wrong = |problem: String| Diagnostic::error(place.span, problem);
    if spot.is_empty() {
        return Err(wrong("kprobes should be attached to a function or an address".into()));
    }
    let prefix = module.map_or(String::new(), |module| format!("{module}:"));
    let one = |place: KernelPlace, spelled: String, wildcard: bool| Match {
        name: format!("{provider}:{spelled}"),
        attach: Attach::Kprobe(Kprobe { place, on_return }),
        wildcard,
        unverified: None,
    };
    if let Ok(address) = number::read(spot) {
        if !place.options.unsafe_mode {
            return Err(wrong("Probing by address requires --unsafe".into()));
        }
        return Ok(vec![one(KernelPlace::Address(address), format!("{prefix}{address}"), false)]);
    }
    let (name, offset) = split_offset(spot).map_err(wrong)?;
    if on_return && offset.is_some() {
        return Err(wrong("Offset not allowed".into()));
    }
    let named = |module: Option<&str>, name: &str, wildcard| {
        // `vmlinux` is the kernel itself, whose functions have no module.
        let spelled = module.map_or_else(|| name.to_owned(), |module| format!("{module}:{name}"));
        let offset = offset.unwrap_or(0);
        let spelled = if offset == 0 { spelled } else { format!("{spelled}+{offset}") };
        let place = KernelPlace::Function { module: module.map(str::to_owned), name: name.into(), offset };
        one(place, spelled, wildcard)
    };
    if pattern::has_wildcard(name) || module.is_some_and(pattern::has_wildcard) {
        // Where in a function an offset leads to is different for each.
        if offset.is_some() {
            return Ok(Vec::new());
        }
        return match place.world.functions() {
            Ok(all) => Ok(all
                .iter()
                .filter(|(m, f)| pattern::matches(module.unwrap_or("*"), m) && pattern::matches(name, f))
                .map(|(m, f)| named(module.map(|_| m), f, true))
                .collect()),
            Err(error) => Ok(vec![Match { unverified: Some(error), ..named(module, name, false) }]),
        };
    }
    match place.world.has_function(module, name) {
        Ok(true) => return Ok(vec![named(module, name, false)]),
        Ok(false) => {}
        Err(error) => return Ok(vec![Match { unverified: Some(error), ..named(module, name, false) }]),
    }
    if let Some(module) = module
        && place.world.has_module(module).is_ok_and(|loaded| !loaded)
    {
        let spelled = format!("{provider}:{module}:{spot}");
        let problem = format!("specified module {module} in probe {spelled} is not loaded.");
        place.note(Diagnostic::error(place.span, problem));
    }
    place.note(Diagnostic::warning(
        place.span,
        format!(
            "{name} is not traceable (either non-existing, inlined, or marked as \"notrace\"); attaching to it will \
             likely fail"
        ),
    ));
    // The kernel has the last word if the user says so.
    Ok(if place.options.unsafe_mode { vec![named(module, name, false)] } else { Vec::new() })
}

/// Splits `function+offset`.
pub(super) fn split_offset(spot: &str) -> Result<(&str, Option<u64>), String> {
    let mut pieces = spot.split('+');
    let name = pieces.next().unwrap_or("");
    let Some(offset) = pieces.next() else { return Ok((name, None)) };
    if pieces.next().is_some() {
        return Err("Cannot take more than one offset".into());
    }
    if name.is_empty() || offset.is_empty() {
        return Err("Invalid offset".into());
    }
    match number::read(offset) {
        Ok(offset) => Ok((name, Some(offset))),
        Err(problem) => Err(format!("Invalid offset: {problem}")),
    }
}

/// What the author may have meant by a function that does not exist.
fn nearest(provider: &str, world: &dyn World, parts: &[String]) -> Option<String> {
    let wanted = parts.last()?.trim_matches('*');
    let (wanted, _) = split_offset(wanted).ok()?;
    let all = world.functions().ok()?;
    suggest(wanted, all.iter().map(|(_, name)| name)).map(|near| format!("{provider}:{near}"))
}

fn list(
    provider: &str,
    world: &dyn World,
    detailed: bool,
    parts: &[&str],
) -> Result<Vec<Listed>, WorldError> {
    let (module, function) = match parts {
        [function] => (None, *function),
        [module, function] => (Some(*module), *function),
        _ => return Ok(Vec::new()),
    };
    let all = world.functions()?;
    let fits = |(m, f): &(&str, &str)| {
        pattern::matches(or_all(module.unwrap_or("*")), m) && pattern::matches(or_all(function), f)
    };
    Ok(all
        .iter()
        .filter(fits)
        .map(|(m, f)| {
            let mut entry = Listed::name(match module {
                Some(_) => [provider, ":", m, ":", f].concat(),
                None => [provider, ":", f].concat(),
            });
            if let Some(described) = detailed.then(|| described::function(world, m, f)).flatten() {
                let result = described.result.map(|result| format!("{result} retval"));
                let numbered = |(n, ctype): (usize, String)| format!("{ctype} arg{n}");
                entry.fields = match provider {
                    "kretprobe" => result.into_iter().collect(),
                    _ => described.types.into_iter().enumerate().map(numbered).collect(),
                };
            }
            entry
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::split_offset;

    #[test]
    fn offsets() {
        assert_eq!(split_offset("f"), Ok(("f", None)));
        assert_eq!(split_offset("f+0x10"), Ok(("f", Some(16))));
        assert!(
            split_offset("f+").is_err() && split_offset("f+1+2").is_err() && split_offset("f+x").is_err()
        );
    }
}
