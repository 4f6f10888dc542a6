//! `fentry[:module]:function` and `fexit[:module]:function`: a function's entry and exit with typed arguments, also of
//! BPF programs (`fentry:bpf[:id]:program`).

use skep_btf::{Btf, Kind};
use skep_ui::{Diagnostic, suggest};

use super::{Match, Offers, Parts, Place, Provider, ReturnValue, described, number, or_all};
use crate::hir::{Attach, Fentry, FentryPlace, ProbeKind};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::world::{KERNEL, World, WorldError};

pub(super) static FENTRY: Provider = Provider {
    name: "fentry",
    aliases: &["f", "kfunc"],
    class: "fentry",
    kind: ProbeKind::Fentry,
    has_args: true,
    offers: Offers { function: true, ..Offers::NOTHING },
    parts: Parts(1, 3, "1 or 3"),
    filtered: true,
    expand,
    list: |world, detailed, parts| list("fentry", world, detailed, parts),
    in_overviews: true,
    nearest: |world, parts| nearest("fentry", world, parts),
};

pub(super) static FEXIT: Provider = Provider {
    name: "fexit",
    aliases: &["fr", "kretfunc"],
    class: "fexit",
    kind: ProbeKind::Fexit,
    offers: Offers { return_value: ReturnValue::Typed, ..FENTRY.offers },
    list: |world, detailed, parts| list("fexit", world, detailed, parts),
    in_overviews: false,
    nearest: |world, parts| nearest("fexit", world, parts),
    ..FENTRY
};

/// Where functions are BPF programs.
const PROGRAMS: &str = "bpf";

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    let (module, function) = match place.parts.as_slice() {
        [programs] if programs == PROGRAMS => {
            let problem =
                "the 'bpf' variant of this probe requires a bpf program name and optional bpf program id";
            return Err(Diagnostic::error(place.span, problem));
        }
        [function] => ("*", function.as_str()),
        [module, program] if module == PROGRAMS => return programs(place, "*", program),
        [module, function] => (module.as_str(), function.as_str()),
        [module, id, program] if module == PROGRAMS => return programs(place, id, program),
        _ => {
            let problem = format!("Only the '{PROGRAMS}' variant of this probe supports 4 arguments");
            return Err(Diagnostic::error(place.span, problem));
        }
    };
    if function.is_empty() {
        return Err(Diagnostic::error(place.span, "fentry/fexit should specify a function"));
    }
    if module.is_empty() {
        return Err(Diagnostic::error(place.span, format!("{provider} probe must have a target")));
    }
    let found = |module: &str, name: &str, wildcard: bool| Match {
        name: format!("{provider}:{module}:{name}"),
        attach: attach(place.provider, FentryPlace::Kernel { module: module.into(), name: name.into() }),
        wildcard,
        unverified: None,
    };
    let all = matching(place.world, module, function);
    let wildcard = pattern::has_wildcard(function) || pattern::has_wildcard(module) && place.parts.len() > 1;
    Ok(match all {
        Ok(all) => all.iter().map(|(module, name)| found(module, name, wildcard)).collect(),
        Err(error) => {
            let module = if module == "*" { KERNEL } else { module };
            vec![Match { unverified: Some(error), ..found(module, function, false) }]
        }
    })
}

/// The functions with types that fit, with their modules.
pub(super) fn matching(
    world: &dyn World,
    module: &str,
    function: &str,
) -> Result<Vec<(String, String)>, WorldError> {
    let mut all = Vec::new();
    each_matching(world, module, function, &mut |module, name| {
        all.push((module.to_owned(), name.to_owned()));
    })?;
    Ok(all)
}

/// Shows `each` the functions with types that fit: their modules and names, sorted.
fn each_matching(
    world: &dyn World,
    module: &str,
    function: &str,
    each: &mut dyn FnMut(&str, &str),
) -> Result<(), WorldError> {
    let is_in = |btf: &Btf| btf.find_own(Kind::Func, function).is_some();
    if !pattern::has_wildcard(function) && (module == "*" || !pattern::has_wildcard(module)) {
        let first = if module == "*" { KERNEL } else { module };
        // A module without types has no such functions either.
        let btf = if first == KERNEL {
            world.kernel_btf()?
        } else {
            match world.module_btf(first) {
                Ok(btf) => btf,
                Err(_) => return Ok(()),
            }
        };
        if is_in(&btf) {
            if world.has_function(Some(first), function)? {
                each(first, function);
            }
            return Ok(());
        }
        if module != "*" {
            return Ok(());
        }
    }
    let functions = world.functions()?;
    let mut btf: Option<(&str, _)> = None;
    for (m, name) in functions.iter() {
        if !pattern::matches(module, m) || !pattern::matches(function, name) {
            continue;
        }
        if functions.are_typed() {
            each(m, name);
            continue;
        }
        if btf.as_ref().is_none_or(|(known, _)| *known != m) {
            let types = if m == KERNEL { world.kernel_btf() } else { world.module_btf(m) };
            btf = Some((m, types.ok()));
        }
        if let Some((_, Some(types))) = &btf
            && types.find_own(Kind::Func, name).is_some()
        {
            each(m, name);
        }
    }
    Ok(())
}

fn programs(place: &Place<'_>, id: &str, program: &str) -> Result<Vec<Match>, Diagnostic> {
    let provider = place.provider.name;
    if id != "*" && number::read(id).is_err() {
        return Err(Diagnostic::error(place.span, "bpf program id must be a number or '*'"));
    }
    let wildcard = pattern::has_wildcard(program) || pattern::has_wildcard(id) && place.parts.len() > 2;
    let found = |id: u32, name: &str| Match {
        name: format!("{provider}:{PROGRAMS}:{id}:{name}"),
        attach: attach(place.provider, FentryPlace::Program { id, name: name.into() }),
        wildcard,
        unverified: None,
    };
    match place.world.programs() {
        Ok(all) => Ok(all
            .iter()
            .filter(|(known, name)| {
                pattern::matches(id, &known.to_string()) && pattern::matches(program, name)
            })
            .map(|(id, name)| found(*id, name))
            .collect()),
        Err(error) => Ok(vec![Match { unverified: Some(error), wildcard: false, ..found(0, program) }]),
    }
}

fn attach(provider: &Provider, place: FentryPlace) -> Attach {
    Attach::Fentry(Fentry { place, on_return: provider.kind == ProbeKind::Fexit })
}

/// What the author may have meant by a function that does not exist.
fn nearest(provider: &str, world: &dyn World, parts: &[String]) -> Option<String> {
    if parts.first().is_some_and(|first| first == PROGRAMS) {
        return None;
    }
    let wanted = parts.last()?.trim_matches('*');
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
        [function] => ("*", *function),
        [PROGRAMS, program] => return list_programs(provider, world, "*", program),
        [module, function] => (*module, *function),
        [PROGRAMS, id, program] => return list_programs(provider, world, id, program),
        _ => return Ok(Vec::new()),
    };
    let mut all = Vec::new();
    each_matching(world, or_all(module), or_all(function), &mut |module, name| {
        let mut entry = Listed::name([provider, ":", module, ":", name].concat());
        if detailed {
            entry.fields = described::function(world, module, name).map_or_else(Vec::new, |described| {
                let result = described.result.filter(|_| provider == FEXIT.name);
                let mut fields = described.params;
                fields.extend(result.map(|result| format!("{result} retval")));
                fields
            });
        }
        all.push(entry);
    })?;
    Ok(all)
}

fn list_programs(
    provider: &str,
    world: &dyn World,
    id: &str,
    program: &str,
) -> Result<Vec<Listed>, WorldError> {
    let all = world.programs()?;
    let fits = |(known, name): &&(u32, String)| {
        pattern::matches(or_all(id), &known.to_string()) && pattern::matches(or_all(program), name)
    };
    let listed = |(id, name): &(u32, String)| Listed::name(format!("{provider}:{PROGRAMS}:{id}:{name}"));
    Ok(all.iter().filter(fits).map(listed).collect())
}
