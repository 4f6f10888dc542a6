//! Which targets of a program share one load of it, and how they will be attached: one program for many targets
//! where the kernel can tell them apart, else one for each.

use skep_compile::artifact::{Program, RelocKind};
use skep_kernel::features::{Feature, Features};
use skep_lang::hir::{Attach, KernelPlace, Kprobe, ProbeKind, Target, TargetId};

/// How a loaded program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To each target on its own.
    Single,
    /// To all of them by one kprobe.multi link.
    KprobeMulti,
    /// To all of them by one uprobe.multi link for each file.
    UprobeMulti,
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
    let uses_cookie = program.relocs.iter().any(|reloc| reloc.kind == RelocKind::Cookie);
    let mut groups = Vec::new();
    let (many, single) = split(program, targets, features);
    if let Some((way, targets)) = many {
        groups.push(Group { targets, way, wants_cookie: uses_cookie });
    }
    let feature = match program.kind {
        // A run without an event has no cookie, and these are loaded for one target.
        ProbeKind::RawTestRun | ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter => None,
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

/// Whether programs of this kind are loaded for one function, whose types the verifier knows.
pub(crate) fn is_typed(kind: ProbeKind) -> bool {
    matches!(kind, ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter)
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
