//! The kinds of probes: one row each in one table, one file each for how its attach points are
//! read and what they match.

mod counter;
mod described;
mod fentry;
mod iter;
mod kprobe;
mod number;
mod offers;
mod rate;
mod raw_tracepoint;
mod signal;
mod special;
mod timer;
mod tracepoint;
mod trial;
mod uprobe;
mod usdt;
mod watchpoint;

pub use iter::CONTEXT as WALK_CONTEXT;
pub use offers::{Arguments, Offers, ReturnValue};

use std::cell::RefCell;

pub use trial::repeated as repeated_trials;

use skep_ui::{Diagnostic, Span, suggest};

use super::list::Listed;
use super::options::Options;
use super::pattern;
use crate::hir::{Attach, ProbeKind};
use crate::syntax::ast::{ApPart, ApPieceKind, ApSeparator, AttachPoint};
use crate::world::{World, WorldError};

/// A kind of probe.
pub struct Provider {
    /// As listings and the `probe` builtin spell it.
    pub name: &'static str,
    /// Other spellings. All spellings are understood in any case.
    pub aliases: &'static [&'static str],
    /// As messages about builtins call it.
    pub class: &'static str,
    /// What the kernel runs.
    pub kind: ProbeKind,
    /// Whether its context is a record with named fields, `args`.
    pub has_args: bool,
    /// What builtins find there beside it.
    pub offers: Offers,
    /// How many parts an attach point has after the provider.
    pub parts: Parts,
    /// Whether a filter by process makes sense for it: what it happens in is a process's doing, not a timer's.
    pub filtered: bool,
    /// What an attach point stands for. The parts are as many as [`Provider::parts`] allows.
    pub expand: fn(&Place<'_>) -> Result<Vec<Match>, Diagnostic>,
    /// All probes there are, for listings; see [`super::list`].
    pub list: List,
    /// Whether it is among all kinds of probes when a search does not name one.
    pub in_overviews: bool,
    /// What the author may have meant by parts that match nothing.
    pub nearest: fn(&dyn World, parts: &[String]) -> Option<String>,
}

impl Provider {
    /// Whether it is about programs and libraries: the first part of its attach points is a file.
    pub fn in_programs(&self) -> bool {
        matches!(self.name, "uprobe" | "uretprobe" | "usdt")
    }
}

/// Finds the probes that the parts of a search describe, with their fields if asked for details.
pub type List = fn(&dyn World, detailed: bool, parts: &[&str]) -> Result<Vec<Listed>, WorldError>;

/// Smallest and largest number of parts, and how messages put it.
#[derive(Clone, Copy)]
pub struct Parts(pub usize, pub usize, pub &'static str);

/// An attach point, ready for its provider.
pub struct Place<'a> {
    /// Who reads it.
    pub provider: &'static Provider,
    /// What follows the provider, positional parameters replaced.
    pub parts: Vec<String>,
    /// All of it, for messages.
    pub span: Span,
    /// The caller's wishes.
    pub options: &'a Options,
    /// The kernel.
    pub world: &'a dyn World,
    /// What there is to say beside what was found.
    pub notes: RefCell<Vec<Diagnostic>>,
}

impl Place<'_> {
    /// Has something to say beside what was found.
    fn note(&self, note: Diagnostic) {
        self.notes.borrow_mut().push(note);
    }
}

/// What an attach point stands for.
#[derive(Default)]
pub struct Expanded {
    /// Nothing found is an error of its own kind, as settings may allow it.
    pub matches: Vec<(&'static Provider, Match)>,
    /// What else there is to say.
    pub notes: Vec<Diagnostic>,
}

/// Something an attach point stands for.
#[derive(Debug)]
pub struct Match {
    /// As the `probe` builtin spells it.
    pub name: String,
    /// What to attach to.
    pub attach: Attach,
    /// Whether it was found by a wildcard rather than named.
    pub wildcard: bool,
    /// Why the world could not tell whether it is there; then it stands for whatever was meant.
    pub unverified: Option<WorldError>,
}

/// All kinds of probes there are.
pub static PROVIDERS: &[&Provider] = &[
    &special::BEGIN,
    &special::END,
    &trial::TEST,
    &trial::BENCH,
    &signal::SELF,
    &timer::INTERVAL,
    &timer::PROFILE,
    &fentry::FENTRY,
    &fentry::FEXIT,
    &counter::HARDWARE,
    &iter::ITER,
    &counter::SOFTWARE,
    &kprobe::KPROBE,
    &kprobe::KRETPROBE,
    &raw_tracepoint::RAW_TRACEPOINT,
    &tracepoint::TRACEPOINT,
    &uprobe::UPROBE,
    &uprobe::URETPROBE,
    &usdt::USDT,
    &watchpoint::WATCHPOINT,
];

/// The provider of this name or alias.
pub fn by_name(name: &str) -> Option<&'static Provider> {
    let find = |same: &dyn Fn(&str) -> bool| {
        PROVIDERS
            .iter()
            .copied()
            .find(|provider| same(provider.name) || provider.aliases.iter().any(|alias| same(alias)))
    };
    // `u` is one kind of probe and `U` another.
    find(&|known| known == name).or_else(|| find(&|known| known.eq_ignore_ascii_case(name)))
}

/// Everything an attach point stands for.
pub fn expand(
    attach_point: &AttachPoint,
    options: &Options,
    world: &dyn World,
) -> Result<Expanded, Diagnostic> {
    let span = attach_point.span;
    let mut texts = spelled(attach_point, options).into_iter();
    let name = texts.next().unwrap_or_default();
    let parts: Vec<String> = texts.collect();
    let any_provider = pattern::has_wildcard(&name);
    let providers: Vec<&'static Provider> = if any_provider {
        let lower = name.to_ascii_lowercase();
        PROVIDERS
            .iter()
            .copied()
            .filter(|provider| provider.in_overviews && pattern::matches(&lower, provider.name))
            .filter(|provider| fits(provider, &parts))
            .collect()
    } else {
        by_name(&name).into_iter().collect()
    };
    if providers.is_empty() {
        return Err(unknown(&name, span));
    }
    let mut expanded = Expanded::default();
    for provider in providers {
        let provider = kprobe::stand_in(provider, world).unwrap_or(provider);
        if !fits(provider, &parts) {
            return Err(Diagnostic::error(
                span,
                format!(
                    "{} probe type requires {} arguments, found {}",
                    provider.name,
                    provider.parts.2,
                    parts.len()
                ),
            ));
        }
        let place = Place { provider, parts: parts.clone(), span, options, world, notes: RefCell::default() };
        match (provider.expand)(&place) {
            Ok(found) => {
                expanded.matches.extend(found.into_iter().map(|found| (provider, found)));
                expanded.notes.extend(place.notes.take());
            }
            // What one kind of probe cannot make sense of was meant for another.
            Err(_) if any_provider => {}
            Err(diagnostic) => return Err(diagnostic),
        }
    }
    Ok(expanded)
}

/// An empty part of a search asks for everything.
fn or_all(pattern: &str) -> &str {
    if pattern.is_empty() { "*" } else { pattern }
}

fn fits(provider: &Provider, parts: &[String]) -> bool {
    (provider.parts.0..=provider.parts.1).contains(&parts.len())
}

/// Provider and parts with positional parameters replaced by their texts, separators included.
fn spelled(attach_point: &AttachPoint, options: &Options) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for part in std::iter::once(&attach_point.provider).chain(&attach_point.parts) {
        // What an `@` means is the provider's affair: it may stand in a path.
        match (part.separator, texts.last_mut()) {
            (ApSeparator::At, Some(last)) => last.push('@'),
            _ => texts.push(String::new()),
        }
        push_part(&mut texts, part, options);
    }
    texts
}

fn push_part(texts: &mut Vec<String>, part: &ApPart, options: &Options) {
    for piece in &part.pieces {
        let mut text = match &piece.kind {
            ApPieceKind::Text(text) | ApPieceKind::Quoted(text) => text.as_str(),
            ApPieceKind::Param(n) => {
                let mut sections = options.param_text(*n).split(':');
                let first = sections.next().unwrap_or("");
                if let Some(last) = texts.last_mut() {
                    last.push_str(first);
                }
                texts.extend(sections.map(String::from));
                continue;
            }
        };
        if let Some(last) = texts.last_mut() {
            last.push_str(std::mem::take(&mut text));
        }
    }
}

fn unknown(name: &str, span: Span) -> Diagnostic {
    if pattern::has_wildcard(name) {
        return Diagnostic::error(span, format!("No probe type matched for {name}"));
    }
    let diagnostic = Diagnostic::error(span, format!("Invalid probe type: {name}"));
    match suggest(name, PROVIDERS.iter().map(|provider| provider.name)) {
        Some(near) => diagnostic.help(format!("Did you mean '{near}'?")),
        None => diagnostic,
    }
}
