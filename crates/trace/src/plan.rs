//! Which targets of a program share one load of it, and how they will be attached: one program for many targets
//! where the kernel can tell them apart, else one for each.

use std::collections::BTreeMap;

use skep_compile::artifact::{Program, RelocKind};
use skep_kernel::features::{Feature, Features};
use skep_lang::hir::{Attach, KernelPlace, Kprobe, ProbeKind, Target, TargetId, Uprobe};

/// How a loaded program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To each target on its own.
    Single,
    /// To all of them by one kprobe.multi link.
    KprobeMulti,
    /// To all of them by one uprobe.multi link for each file.
    UprobeMulti,
    /// To the call and the return of all of them by one kprobe.session link.
    KprobeSession,
    /// To the call and the return of all of them by one uprobe.session link for each file.
    UprobeSession,
}

impl Way {
    /// Whether the program runs both at the call and at the return.
    pub fn is_session(self) -> bool {
        matches!(self, Way::KprobeSession | Way::UprobeSession)
    }
}

/// Two programs that become one: what is done at the call of functions, and what is done at their return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Index of the program for the calls.
    pub entry: usize,
    /// Index of the program for the returns.
    pub exit: usize,
    /// The two targets of each place.
    pub targets: Vec<(TargetId, TargetId)>,
    /// How it is attached.
    pub way: Way,
}

/// Finds the programs that are for the call and the return of the same functions, if the kernel has links for both.
pub(crate) fn sessions(programs: &[Program], targets: &[Target], features: &Features) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let sides: Vec<_> = programs.iter().map(|program| side(program, targets)).collect();
    for (entry, side) in sides.iter().enumerate() {
        let Some(Side { way, on_return: false, places }) = side else { continue };
        let feature = match way {
            // Before Linux 6.14 a link keeps room for the returns of so many calls per function, and leaves out the
            // calls, too, when it runs out. For a single function that is soon; a probe of its own misses no call.
            Way::KprobeSession if places.len() == 1 => continue,
            Way::KprobeSession => Feature::KprobeSession,
            _ => Feature::UprobeSession,
        };
        let exit = sides.iter().enumerate().position(|(exit, other)| {
            let free = || !sessions.iter().any(|session| session.exit == exit);
            let same = |other: &Side<'_>| other.on_return && other.places.keys().eq(places.keys());
            other.as_ref().is_some_and(same) && free()
        });
        let Some((exit, Some(returns))) = exit.and_then(|exit| Some((exit, sides.get(exit)?.as_ref())))
        else {
            continue;
        };
        if features.has(feature) {
            let targets = places.values().copied().zip(returns.places.values().copied()).collect();
            sessions.push(Session { entry, exit, targets, way: *way });
        }
    }
    sessions
}

/// One side of what may become a session.
struct Side<'a> {
    way: Way,
    on_return: bool,
    /// The targets by their places.
    places: BTreeMap<(&'a str, u64), TargetId>,
}

/// What a program does, if all its targets are functions of which each has a place of its own, and all of one side.
fn side<'a>(program: &Program, targets: &'a [Target]) -> Option<Side<'a>> {
    let mut side: Option<Side<'a>> = None;
    for &id in &program.targets {
        let attach = &targets.get(id.0 as usize)?.attach;
        let (way, on_return, place) = match attach {
            Attach::Kprobe(Kprobe {
                place: KernelPlace::Function { module: None, offset: 0, name },
                on_return,
            }) => (Way::KprobeSession, *on_return, (name.as_str(), 0)),
            Attach::Uprobe(Uprobe { path, offset, on_return, .. }) => {
                (Way::UprobeSession, *on_return, (path.as_str(), *offset))
            }
            _ => return None,
        };
        let side = side.get_or_insert_with(|| Side { way, on_return, places: BTreeMap::new() });
        let fits = side.way == way && side.on_return == on_return;
        if !fits || side.places.insert(place, id).is_some() {
            return None;
        }
    }
    side
}

/// Targets that share one load of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Never empty.
    pub targets: Vec<TargetId>,
    /// How they are attached.
    pub way: Way,
    /// Whether the program asks for the attach cookie; if it does not and looks for one, it is for its one target.
    pub wants_cookie: bool,
}

/// Puts the targets of a program into groups.
pub(crate) fn groups(program: &Program, targets: &[Target], features: &Features) -> Vec<Group> {
    let uses_cookie = uses_cookie(program);
    let mut groups = Vec::new();
    let (many, single) = split(program, targets, features);
    if let Some((way, targets)) = many {
        groups.push(Group { targets, way, wants_cookie: uses_cookie });
    }
    let feature = match program.kind {
        // A run without an event has no cookie, and these are loaded for one target.
        ProbeKind::RawTestRun
        | ProbeKind::TypedTracepoint
        | ProbeKind::Fentry
        | ProbeKind::Fexit
        | ProbeKind::Iter => None,
        ProbeKind::Tracepoint | ProbeKind::PerfEvent | ProbeKind::Kprobe => Some(Feature::AttachCookie),
        ProbeKind::RawTracepoint => Some(Feature::RawTracepointCookie),
    };
    let mut alone = |targets: Vec<TargetId>, wants_cookie| {
        groups.push(Group { targets, way: Way::Single, wants_cookie });
    };
    match single.as_slice() {
        [] => {}
        [_] => alone(single, false),
        _ if !uses_cookie && !is_typed(program.kind) => alone(single, false),
        _ if feature.is_some_and(|feature| features.has(feature)) => alone(single, true),
        _ => single.into_iter().for_each(|target| alone(vec![target], false)),
    }
    groups
}

/// Whether a program asks for its target.
pub(crate) fn uses_cookie(program: &Program) -> bool {
    program.relocs.iter().any(|reloc| reloc.kind == RelocKind::Cookie)
}

/// Whether programs of this kind are loaded for one function or tracepoint, whose types the verifier knows.
pub(crate) fn is_typed(kind: ProbeKind) -> bool {
    matches!(kind, ProbeKind::TypedTracepoint | ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter)
}

/// The targets that one link can hold, if that is worth its while, and the others.
fn split(
    program: &Program,
    targets: &[Target],
    features: &Features,
) -> (Option<(Way, Vec<TargetId>)>, Vec<TargetId>) {
    let target = |id: &TargetId| targets.get(id.0 as usize);
    for (way, feature) in [(Way::KprobeMulti, Feature::KprobeMulti), (Way::UprobeMulti, Feature::UprobeMulti)]
    {
        let (many, single): (Vec<_>, Vec<_>) = program
            .targets
            .iter()
            .copied()
            .partition(|id| target(id).is_some_and(|target| link_for(&target.attach) == Some(way)));
        if many.len() > 1 && features.has(feature) {
            return (Some((way, many)), single);
        }
    }
    (None, program.targets.clone())
}

/// The kind of link that can hold a target together with others.
fn link_for(attach: &Attach) -> Option<Way> {
    match attach {
        Attach::Kprobe(Kprobe { place: KernelPlace::Function { module: None, offset: 0, .. }, .. }) => {
            Some(Way::KprobeMulti)
        }
        Attach::Uprobe(_) | Attach::Usdt(_) => Some(Way::UprobeMulti),
        _ => None,
    }
}
