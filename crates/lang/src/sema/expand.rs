//! Clauses to units: what the attach points match, grouped so that one program serves all matches
//! in which the clause sees the same.

pub(super) mod kernel;
mod user;

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use skep_ui::{Diagnostic, Diagnostics, Span, suggest};

use super::functions::{Functions, Reached};
use super::named::Value;
use super::options::Options;
use super::providers::{self, Expanded, Provider};
use super::record::{self, Access, TextPointer};
use super::uses::{self, Name, Uses};
use crate::c::Definitions;
use crate::hir::{Attach, Config, MissingProbes, ProbeKind, Target, TargetId};
use crate::syntax::ast;
use crate::ty::{SourceId, Types};
use crate::world::user_space::StaticArgument;
use crate::world::{TracepointFormat, World};

/// A clause for those of its targets that can share one program.
pub struct Unit<'a> {
    /// Index of the clause in the script.
    pub clause: u32,
    /// The clause.
    pub probe: &'a ast::Probe,
    /// The functions that it reaches.
    pub functions: Reached<'a>,
    /// The attach point of its first target, as far as the name of a program can hold it.
    pub name: String,
    /// The kind of probe.
    pub provider: &'static Provider,
    /// Where it attaches; never empty.
    pub targets: Vec<TargetId>,
    /// What it sees of the record.
    pub shape: Shape,
    /// Where C types are looked for by name before the kernel is asked: the debug information of the
    /// program it attaches to, or the module its function is in.
    pub sources: Vec<SourceId>,
}

/// What a clause sees of its context: equal shapes share a program.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shape {
    provider: &'static str,
    /// In the order of use; `None` where a complaint was already made.
    fields: Vec<(String, Option<Access>)>,
    /// For `str(args)`; `None` when that is not used or was complained about.
    pub text: Option<TextPointer>,
    /// Where the result of the function is; `None` when that is not used or was complained about.
    pub retval: Option<Access>,
    /// What is walked over.
    pub over: String,
    /// Whether the walk is pinned: it runs when somebody reads the file, who sees what the program writes into it.
    pub pinned: bool,
    /// The fields that have a type, in the order of the record, for `args` as a whole.
    pub whole: Vec<String>,
    /// What each comparison of a name of the probe with a text comes to.
    names: Vec<(Name, String, bool)>,
    /// The names of the probe that are taken for texts.
    spelled: Vec<(Name, String)>,
    /// The arguments named by number, of static probes only; `None` where there is none that can be read.
    numbered: Vec<(u32, Option<StaticArgument>)>,
    /// The symbols whose addresses are asked for; `None` where a complaint was made.
    symbols: Vec<(String, Option<Located>)>,
    /// Where types of C are looked for before the kernel is asked.
    sources: Vec<SourceId>,
}

/// Where a function or variable of the probe's program is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Located {
    /// Whether `offset` counts from the instruction that the probe is at.
    pub from_here: bool,
    /// Bytes.
    pub offset: i64,
    /// Bytes that it takes; 0 when nothing tells.
    pub size: u64,
}

impl Shape {
    /// How a field is reached.
    pub fn field(&self, name: &str) -> Option<Access> {
        self.fields.iter().find(|(field, _)| field == name).and_then(|(_, access)| *access)
    }

    /// The names of the fields that are used.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// Where an argument of a static probe is; `None` if it has none that can be read.
    pub fn argument(&self, number: u32) -> Option<&StaticArgument> {
        self.numbered.iter().find(|(known, _)| *known == number).and_then(|(_, argument)| argument.as_ref())
    }

    /// Where a symbol of the probe's program is.
    pub fn symbol(&self, name: &str) -> Option<Located> {
        self.symbols.iter().find(|(known, _)| known == name).and_then(|(_, located)| *located)
    }

    /// A name of the probe as a text, if something takes it for one.
    pub fn spelled(&self, name: Name) -> Option<&str> {
        self.spelled.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// Whether a name of the probe is this text.
    pub fn is_named(&self, name: Name, text: &str) -> bool {
        self.names.iter().any(|(known, with, equal)| *known == name && with == text && *equal)
    }
}

/// Where expanding looks things up.
pub struct Context<'a> {
    /// The kernel.
    pub world: &'a dyn World,
    /// The caller's wishes.
    pub options: &'a Options,
    /// The settings.
    pub config: &'a Config,
    /// What the script's C text defines.
    pub c: &'a Definitions,
    /// The values of the script's own options.
    pub named: &'a FxHashMap<String, Value>,
    /// The script's functions.
    pub functions: &'a Functions<'a>,
}

/// A target that is not yet in a unit.
struct Candidate<'a> {
    provider: &'static Provider,
    target: Target,
    /// The attach point that it was found by.
    written: &'a ast::AttachPoint,
    /// Whether the world could not tell anything about it, which is reported already.
    unverified: bool,
    span: Span,
}

impl Candidate<'_> {
    /// What a program for it is called: its attach point, each character that a name cannot have replaced.
    fn program_name(&self) -> String {
        let Candidate { provider, target, written, .. } = self;
        let text = if target.wildcard {
            let parts = written.parts.iter().map(ast::ApPart::text);
            std::iter::once(provider.name.to_owned()).chain(parts).collect::<Vec<_>>().join(":")
        } else {
            target.name.clone()
        };
        let mut name = text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // The kernel takes names of 127 bytes; a number and more will follow.
        name.truncate(100);
        name
    }
}

/// Expands all clauses. Targets are numbered in script order.
pub fn expand<'a>(
    script: &'a ast::Script,
    context: &Context<'a>,
    types: &mut Types,
    diagnostics: &mut Diagnostics,
) -> (Vec<Target>, Vec<Unit<'a>>) {
    let mut targets = Vec::new();
    let mut units = Vec::new();
    for (clause, probe) in script.probes().enumerate() {
        let candidates = candidates(probe, context, diagnostics);
        let functions = context.functions.reached(probe);
        let uses = uses::collect(probe, &functions.defs, context.options);
        let left_out = FxHashMap::default();
        let shaper = Shaper {
            context,
            types,
            diagnostics,
            uses: &uses,
            left_out,
            ambiguous: false,
            lacking: Vec::new(),
        };
        let shaped = shaper.shape_all(candidates);
        let mut groups: IndexMap<Shape, (&'static Provider, String, Vec<TargetId>), FxBuildHasher> =
            IndexMap::default();
        for (candidate, shape) in shaped {
            let id = TargetId(u32::try_from(targets.len()).unwrap_or(u32::MAX));
            let group = groups.entry(shape);
            let new = || (candidate.provider, candidate.program_name(), Vec::new());
            group.or_insert_with(new).2.push(id);
            targets.push(candidate.target);
        }
        let clause = u32::try_from(clause).unwrap_or(u32::MAX);
        units.extend(groups.into_iter().map(|(shape, (provider, name, targets))| Unit {
            clause,
            probe,
            functions: functions.clone(),
            name,
            provider,
            targets,
            sources: shape.sources.clone(),
            shape,
        }));
    }
    (targets, units)
}

/// All that the attach points of a clause match.
fn candidates<'a>(
    probe: &'a ast::Probe,
    context: &Context<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    let mut failed = false;
    let mut likely = None;
    for attach_point in &probe.attach_points {
        match providers::expand(attach_point, context.options, context.world) {
            Err(diagnostic) => {
                failed = true;
                diagnostics.push(diagnostic);
            }
            Ok(Expanded { matches, notes }) => {
                // Of what may be missing nothing is said.
                let silent = matches.is_empty() && context.config.missing_probes == MissingProbes::Ignore;
                diagnostics.extend(notes.into_iter().filter(|note| note.is_error() || !silent));
                if matches.is_empty() {
                    match nothing_found(attach_point, context) {
                        Nothing::Said(complaint) => {
                            failed |= complaint.is_error();
                            diagnostics.push(complaint);
                        }
                        Nothing::Allowed(near) => likely = likely.or(near),
                    }
                }
                found.extend(matches.into_iter().map(|(provider, found)| {
                    if let Some(error) = &found.unverified {
                        let problem = format!("{} could not be verified: {error}", found.name);
                        diagnostics.error(attach_point.span, problem);
                    }
                    Candidate {
                        provider,
                        target: Target { name: found.name, attach: found.attach, wildcard: found.wildcard },
                        written: attach_point,
                        unverified: found.unverified.is_some(),
                        span: attach_point.span,
                    }
                }));
            }
        }
    }
    if found.is_empty() && !failed {
        diagnostics.extend(no_candidates(probe, likely, context.config.missing_probes));
    }
    found
}

/// A clause of which nothing is left.
fn no_candidates(probe: &ast::Probe, likely: Option<String>, missing: MissingProbes) -> Option<Diagnostic> {
    let diagnostic = match missing {
        MissingProbes::Error => Diagnostic::error(
            probe.header,
            "Probe has no valid attach points. If this is expected, set the 'missing_probes' config variable to 'warn'.",
        ),
        MissingProbes::Warn => Diagnostic::warning(
            probe.header,
            "Probe has no valid attach points. It is being removed which may cause issues with program behavior.",
        ),
        MissingProbes::Ignore => return None,
    };
    Some(match likely {
        Some(near) if missing == MissingProbes::Error => diagnostic.help(format!("Did you mean '{near}'?")),
        _ => diagnostic,
    })
}

/// What comes of an attach point without matches.
enum Nothing {
    /// It was meant to have some.
    Said(Diagnostic),
    /// A pattern may match nothing here, as long as the clause as a whole matches something. With what its author may
    /// have meant.
    Allowed(Option<String>),
}

/// An attach point without matches. How bad that is, the settings say.
fn nothing_found(attach_point: &ast::AttachPoint, context: &Context<'_>) -> Nothing {
    let parts: Vec<String> = attach_point.parts.iter().map(ast::ApPart::text).collect();
    let provider = providers::by_name(&attach_point.provider.text());
    let wildcard = attach_point.provider.has_wildcard() || attach_point.parts.iter().any(ast::ApPart::has_wildcard)
        // A raw tracepoint without a module is one of any module.
        || parts.len() == 1 && provider.is_some_and(|provider| provider.kind == ProbeKind::RawTracepoint);
    let name = provider.map_or_else(|| attach_point.provider.text(), |provider| provider.name.to_owned());
    let missing = format!("No matches for {name} {}.", as_found(provider, &parts, context).join(":"));
    let near = provider.and_then(|provider| (provider.nearest)(context.world, &parts));
    if wildcard || context.config.missing_probes == MissingProbes::Ignore {
        return Nothing::Allowed(near);
    }
    let diagnostic = match context.config.missing_probes {
        MissingProbes::Error => Diagnostic::error(attach_point.span, missing),
        _ => Diagnostic::warning(attach_point.span, format!("{missing} Skipping.")),
    };
    Nothing::Said(match near {
        Some(near) => diagnostic.help(format!("Did you mean '{near}'?")),
        None => diagnostic,
    })
}

/// The parts of an attach point as they were understood: the file instead of the name of a command or library.
fn as_found(provider: Option<&Provider>, parts: &[String], context: &Context<'_>) -> Vec<String> {
    let mut found = parts.to_vec();
    if let Some(provider) = provider
        && provider.in_programs()
        && let [target, .., spot] = found.as_mut_slice()
    {
        let files = context.world.user_space().files(target).unwrap_or_default();
        if let Some(file) = files.into_iter().next() {
            *target = file;
        }
        // What stands behind a name that is not there does not matter.
        if let Some((name, _)) = spot.split_once('+').filter(|_| !spot.contains("operator")) {
            *spot = name.to_owned();
        }
    }
    found
}

/// Finds out what the candidates of one clause look like to it.
struct Shaper<'a, 'b> {
    context: &'b Context<'a>,
    types: &'b mut Types,
    diagnostics: &'b mut Diagnostics,
    uses: &'b Uses,
    /// Matches of wildcards that lack a field, by field.
    left_out: FxHashMap<String, Vec<LeftOut>>,
    /// Whether it was said that `str(args)` could mean several texts.
    ambiguous: bool,
    /// Arguments that static probes lack.
    lacking: Vec<user::Lack>,
}

struct LeftOut {
    name: String,
    /// What is said if that leaves nothing.
    complaint: Diagnostic,
}

impl Shaper<'_, '_> {
    fn shape_all(mut self, candidates: Vec<Candidate>) -> Vec<(Candidate, Shape)> {
        let any = !candidates.is_empty();
        let mut complained_args = false;
        let mut shaped = Vec::new();
        let mut without_text = Vec::new();
        let mut failed = false;
        for candidate in candidates {
            let mut shape = Shape { provider: candidate.provider.name, ..Shape::default() };
            shape.names = self
                .uses
                .names
                .iter()
                .map(|(name, text)| (*name, text.clone(), name.in_target(&candidate.target) == text))
                .collect();
            let spelled = self.uses.spelled.iter();
            shape.spelled =
                spelled.map(|name| (*name, name.in_target(&candidate.target).to_owned())).collect();
            self.fill_numbered(&candidate, &mut shape);
            self.fill_symbols(&candidate, &mut shape);
            if self.uses.types {
                self.add_types(&candidate, &mut shape);
            }
            if let Attach::Iter(iter) = &candidate.target.attach {
                shape.over = iter.over.clone();
                shape.pinned = iter.pin.is_some();
            }
            match self.fill_function(&candidate, &mut shape) {
                Filled::Yes => {}
                Filled::LeftOut => continue,
                Filled::Failed => failed = true,
            }
            if let Some(args) = self.uses.args
                && !candidate.provider.has_args
            {
                if !std::mem::replace(&mut complained_args, true) {
                    self.diagnostics.error(args, no_args(candidate.provider));
                }
                shape.fields = self.uses.fields.iter().map(|(name, _)| (name.clone(), None)).collect();
            } else if candidate.unverified {
                failed = true;
                shape.fields = self.uses.fields.iter().map(|(name, _)| (name.clone(), None)).collect();
            } else if self.uses.args.is_some() {
                match self.fill(&candidate, &mut shape) {
                    Filled::Yes => {}
                    Filled::LeftOut => continue,
                    Filled::Failed => failed = true,
                }
                if shape.text == Some(TextPointer::None) {
                    without_text.push(candidate.target.name.clone());
                }
            }
            shaped.push((candidate, shape));
        }
        let none_left = any && shaped.is_empty();
        self.report_left_out(none_left, failed);
        self.report_lacking();
        if let Some(span) = self.uses.text_pointer
            && !without_text.is_empty()
        {
            self.diagnostics
                .warning(span, format!("{} no text: str(args) is empty there.", names_have(&without_text)));
        }
        shaped
    }

    fn fill(&mut self, candidate: &Candidate, shape: &mut Shape) -> Filled {
        let Attach::Tracepoint { category, event } = &candidate.target.attach else {
            return match &candidate.target.attach {
                Attach::Uprobe(_) | Attach::Usdt(_) => self.fill_params(candidate, shape),
                _ => self.fill_arguments(candidate, shape),
            };
        };
        let format = match self.context.world.tracepoint_format(category, event) {
            Ok(format) => format,
            Err(error) => {
                self.diagnostics.error(candidate.span, error.to_string());
                return Filled::Failed;
            }
        };
        let user = category == "syscalls";
        let text_capacity = self.context.config.text_capacity();
        let mut filled = Filled::Yes;
        for (name, span) in &self.uses.fields {
            let Some(field) = format.fields.iter().find(|field| field.name == *name) else {
                if candidate.target.wildcard {
                    let complaint = no_field(*span, &candidate.target.name, name, &format);
                    let left = LeftOut { name: candidate.target.name.clone(), complaint };
                    self.left_out.entry(name.clone()).or_default().push(left);
                    return Filled::LeftOut;
                }
                self.diagnostics.push(no_field(*span, &candidate.target.name, name, &format));
                shape.fields.push((name.clone(), None));
                filled = Filled::Failed;
                continue;
            };
            let access = record::access(self.types, self.context.world, field, user, text_capacity);
            if access.is_none() {
                self.diagnostics
                    .error(*span, format!("Fields of type '{}' are not supported yet", field.ctype));
            }
            shape.fields.push((name.clone(), access));
        }
        if self.uses.whole.is_some() {
            for field in &format.fields {
                let access = record::access(self.types, self.context.world, field, user, text_capacity);
                if access.is_none() {
                    continue;
                }
                shape.whole.push(field.name.clone());
                if shape.field(&field.name).is_none() {
                    shape.fields.push((field.name.clone(), access));
                }
            }
        }
        if let Some(span) = self.uses.text_pointer {
            let text = record::text_pointer(self.types, self.context.world, &format, user, text_capacity);
            if let TextPointer::Several(names) = &text {
                if std::mem::replace(&mut self.ambiguous, true) {
                    return filled;
                }
                self.diagnostics.push(
                    Diagnostic::error(
                        span,
                        format!("str(args) is ambiguous: {} has several texts", candidate.target.name),
                    )
                    .help(format!("Choose one: {}", names.join(", "))),
                );
            } else {
                shape.text = Some(text);
            }
        }
        filled
    }

    /// Says once per field which matches were left out for it; when that leaves none, it is an error.
    fn report_left_out(&mut self, none_left: bool, failed: bool) {
        let whole = self.uses.args.or(self.uses.retval).map(|span| ("args".to_owned(), span));
        let retval = self.uses.retval.map(|span| ("retval".to_owned(), span));
        let numbered = self.uses.last_numbered().map(|(number, span)| (format!("arg{number}"), span));
        for (field, span) in self.uses.fields.iter().chain(&whole).chain(&retval).chain(&numbered) {
            let Some(left_out) = self.left_out.get(field) else { continue };
            if none_left {
                if let (Some(first), false) = (left_out.first(), failed) {
                    self.diagnostics.push(first.complaint.clone());
                }
                return;
            }
            let names: Vec<String> = left_out.iter().map(|left| left.name.clone()).collect();
            self.diagnostics.warning(
                *span,
                format!("{} no field named '{field}' and will not be attached.", names_have(&names)),
            );
        }
    }
}

enum Filled {
    Yes,
    /// A match of a wildcard that lacks a field.
    LeftOut,
    /// A complaint was made.
    Failed,
}

/// `a has`, `a and b have`, `a, b, c and 4 more have`
fn names_have(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names {
        [] => "nothing has".into(),
        [one] => format!("{one} has"),
        [front @ .., last] if front.len() < SHOWN => format!("{} and {last} have", front.join(", ")),
        many => {
            let (shown, rest) = many.split_at(SHOWN - 1);
            format!("{} and {} more have", shown.join(", "), rest.len())
        }
    }
}

fn no_args(provider: &Provider) -> String {
    format!(
        "The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes ({} used here)",
        provider.class
    )
}

fn no_field(span: Span, probe: &str, field: &str, format: &TracepointFormat) -> Diagnostic {
    let names: Vec<&str> = format.fields.iter().map(|field| field.name.as_str()).collect();
    let near = suggest(field, names.iter().copied());
    let available = if names.is_empty() {
        "It has no fields.".to_owned()
    } else {
        format!("Available fields: {}", names.join(", "))
    };
    let help = match near {
        Some(near) => format!("Did you mean '{near}'? {available}"),
        None => available,
    };
    Diagnostic::error(
        span,
        format!("Struct/union of type 'struct {probe}_args' does not contain a field named '{field}'"),
    )
    .help(help)
}
