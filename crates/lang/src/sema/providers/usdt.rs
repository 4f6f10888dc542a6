//! `usdt:TARGET:[PROVIDER:]PROBE`: static probes that a program's authors put into it.

use skep_ui::{Diagnostic, suggest};

use super::uprobe::target_files;
use super::{Arguments, Match, Offers, Parts, Place, Provider, or_all};
use crate::hir::{Attach, ProbeKind, Usdt};
use crate::sema::list::Listed;
use crate::sema::pattern;
use crate::world::user_space::StaticProbe;
use crate::world::{World, WorldError};

pub(super) static USDT: Provider = Provider {
    name: "usdt",
    aliases: &["U"],
    class: "usdt",
    kind: ProbeKind::Kprobe,
    has_args: false,
    offers: Offers { arguments: Arguments::Notes, ..Offers::REGISTERS },
    // Without a target it is any file of the process.
    parts: Parts(1, 3, "2 or 3"),
    filtered: true,
    expand,
    list: |world, _, parts| list(world, parts),
    in_overviews: true,
    nearest,
};

fn expand(place: &Place<'_>) -> Result<Vec<Match>, Diagnostic> {
    let space = place.world.user_space();
    let wrong = |problem: String| Diagnostic::error(place.span, problem);
    let parts: Vec<&str> = place.parts.iter().map(String::as_str).collect();
    let (target, provider, name) = match *parts.as_slice() {
        [name] if space.has_process() => ("", "", name),
        [target, name] => (target, "", name),
        [target, provider, name] => (target, provider, name),
        _ => {
            return Err(wrong(format!(
                "usdt probe type requires {} arguments, found {}",
                place.provider.parts.2,
                parts.len()
            )));
        }
    };
    if target.is_empty() && !space.has_process() {
        return Err(wrong(
            "usdt probe must specify at least path or pid to probe. To target all paths/pids set the path to '*'."
                .into(),
        ));
    }
    if name.is_empty() {
        return Err(wrong("usdt probe must have a target function or wildcard".into()));
    }
    let files = match target {
        "*" if !space.has_process() => Ok(space.running_files()),
        _ => target_files(place, target),
    }?;
    let unverified = |error: WorldError| {
        let attach = Attach::Usdt(Usdt::default());
        vec![Match {
            name: format!("usdt:{}", parts.join(":")),
            attach,
            wildcard: false,
            unverified: Some(error),
        }]
    };
    let files = match files {
        Ok(files) => files,
        Err(error) => return Ok(unverified(error)),
    };
    let many = pattern::has_wildcard(target) || target.is_empty();
    let wildcard = many || pattern::has_wildcard(name) || pattern::has_wildcard(provider);
    let mut matches = Vec::new();
    for file in &files {
        match space.static_probes(file) {
            Ok(probes) => matches.extend(found(file, &probes, provider, name, wildcard)),
            // Among many files there may be some that are no programs.
            Err(_) if many => {}
            Err(error) => return Err(wrong(error.0)),
        }
    }
    Ok(matches)
}

/// The probes of a file that fit. Each place of a probe is a match of its own, as each has its own operands; all
/// but the first are marked as belonging to the one before.
fn found(file: &str, probes: &[StaticProbe], provider: &str, name: &str, wildcard: bool) -> Vec<Match> {
    let fits = |probe: &&StaticProbe| {
        pattern::matches(or_all(provider), &probe.provider) && pattern::matches(name, &probe.name)
    };
    let mut sorted: Vec<&StaticProbe> = probes.iter().filter(fits).collect();
    // The order of the file stays within a probe.
    sorted.sort_by_key(|probe| (&probe.provider, &probe.name));
    let mut matches: Vec<Match> = Vec::with_capacity(sorted.len());
    for probe in sorted {
        let name = format!("usdt:{file}:{}:{}", probe.provider, probe.name);
        let further = matches.last().is_some_and(|last| last.name == name);
        let attach = Usdt {
            path: probe.path.clone(),
            offset: probe.offset,
            address: probe.address,
            file: file.to_owned(),
            semaphore: probe.semaphore,
            args: probe.args.clone(),
            further,
        };
        matches.push(Match { name, attach: Attach::Usdt(attach), wildcard, unverified: None });
    }
    matches
}

/// What the author may have meant by a probe that does not exist.
fn nearest(world: &dyn World, parts: &[String]) -> Option<String> {
    let space = world.user_space();
    let [target, .., wanted] = parts else { return None };
    let files = space.files(target).ok()?;
    let probes = space.static_probes(files.first()?).ok()?;
    let near = suggest(wanted.trim_matches('*'), probes.iter().map(|probe| probe.name.as_str()))?;
    let probe = probes.iter().find(|probe| probe.name == near)?;
    Some(format!("usdt:{}:{}:{}", files.first()?, probe.provider, probe.name))
}

fn list(world: &dyn World, parts: &[&str]) -> Result<Vec<Listed>, WorldError> {
    let space = world.user_space();
    let (target, provider, name) = match *parts {
        [name] if space.has_process() => ("", "", name),
        [target, name] => (target, "", name),
        [target, provider, name] => (target, provider, name),
        _ => return Ok(Vec::new()),
    };
    let files = match (target, space.has_process()) {
        ("", false) => return Ok(Vec::new()),
        ("*", false) => space.running_files()?,
        _ => space.files(target)?,
    };
    let mut listed = Vec::new();
    for file in files {
        let Ok(probes) = space.static_probes(&file) else { continue };
        let matches = found(&file, &probes, provider, or_all(name), true);
        listed.extend(matches.into_iter().map(|found| Listed::name(found.name)));
    }
    listed.sort();
    listed.dedup();
    Ok(listed)
}
