//! The builtins: one row each in one table, with what they take, what they mean, and how they are
//! checked and written as typed program. Rows stand in the file of their kind.
//!
//! A builtin without arguments can be written with or without parentheses.

mod actions;
mod aggregate;
mod context;
mod maps;
mod memory;
mod meta;
mod names;
mod network;
mod objects;
mod output;
mod pinned;
mod registers;
mod stacks;
mod strings;
mod text;
mod time;

pub use aggregate::with_time;
pub use context::pid;
pub use meta::config_field;
pub use registers::{argument, numbered, walk_field};

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use skep_ui::Span;

use super::check::Checker;
use crate::hir::{Expr, StmtKind};
use crate::syntax::ast;
use crate::ty::Agg;

/// A builtin.
pub struct Builtin {
    /// As messages spell it.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// How many arguments it takes.
    pub args: Arity,
    /// Where it may stand and what it becomes.
    pub action: Action,
    /// One line for a user.
    pub doc: &'static str,
}

/// How many arguments a builtin takes.
#[derive(Clone, Copy)]
pub struct Arity {
    /// At least.
    pub min: usize,
    /// At most.
    pub max: usize,
}

/// Where a builtin may stand, and what it becomes. The number of arguments has been checked.
pub enum Action {
    /// Anywhere an expression may.
    Value(fn(&mut Checker<'_>, &Call<'_>) -> Expr),
    /// As a statement; it has no value. `None` after a complaint.
    Statement(fn(&mut Checker<'_>, &Call<'_>) -> Option<StmtKind>),
    /// Only as the right side of an assignment to a map. `None` after a complaint.
    Aggregate(fn(&mut Checker<'_>, &Call<'_>) -> Option<Aggregation>),
}

/// A use of a builtin.
pub struct Call<'e> {
    /// Its name in the table.
    pub name: &'static str,
    /// What stands in the parentheses.
    pub args: &'e [ast::Expr],
    /// All of it.
    pub span: Span,
}

/// What an aggregating builtin does with a sample.
pub struct Aggregation {
    /// Which; the sign is decided by all samples together.
    pub agg: Agg,
    /// The sample; `None` for `count()`.
    pub sample: Option<Expr>,
}

/// All builtins there are.
const TABLES: &[&[Builtin]] = &[
    context::TABLE,
    registers::TABLE,
    text::TABLE,
    strings::TABLE,
    time::TABLE,
    network::TABLE,
    names::TABLE,
    objects::TABLE,
    output::TABLE,
    stacks::TABLE,
    actions::TABLE,
    maps::TABLE,
    memory::TABLE,
    aggregate::TABLE,
    meta::TABLE,
];

/// The format and as many values as an event can carry.
const MAX_PRINTF_ARGS: usize = 128;

/// The builtin of this name or alias.
pub fn by_name(name: &str) -> Option<&'static Builtin> {
    // The original writes those parts of itself that are scripts with these names.
    let name = name.strip_prefix("__builtin_").unwrap_or(name);
    BY_NAME.get(name).copied()
}

static BY_NAME: LazyLock<FxHashMap<&str, &Builtin>> = LazyLock::new(|| {
    let builtins = TABLES.iter().flat_map(|table| table.iter());
    builtins
        .flat_map(|builtin| builtin.aliases.iter().chain([&builtin.name]).map(move |name| (*name, builtin)))
        .collect()
});

/// Whether a builtin has this name.
pub fn is_name(name: &str) -> bool {
    by_name(name).is_some() || numbered(name).is_some()
}

/// All names, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|builtin| builtin.name)
}

/// Names and one line about each, in the order of the tables.
pub fn docs() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().flat_map(|table| table.iter()).map(|builtin| (builtin.name, builtin.doc))
}

impl Arity {
    /// No arguments.
    pub const NONE: Arity = Arity { min: 0, max: 0 };
    /// One argument.
    pub const ONE: Arity = Arity { min: 1, max: 1 };

    /// From `min` to `max` arguments.
    pub const fn range(min: usize, max: usize) -> Arity {
        Arity { min, max }
    }

    /// What is wrong with a number of arguments, if anything.
    pub fn complaint(self, name: &str, given: usize) -> Option<String> {
        if (self.min..=self.max).contains(&given) {
            return None;
        }
        let count = |n: usize| match n {
            1 => "one argument".to_owned(),
            n => format!("{n} arguments"),
        };
        let wanted = match self {
            Arity { max: 0, .. } => "requires no arguments".to_owned(),
            Arity { min, max } if min == max => format!("requires {}", count(min)),
            Arity { min, .. } if given < min => format!("requires at least {}", count(min)),
            Arity { max, .. } => format!("takes up to {}", count(max)),
        };
        Some(format!("{name}() {wanted} ({given} provided)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustc_hash::FxHashSet;

    #[test]
    fn every_name_is_there_once() {
        let mut seen = FxHashSet::default();
        for builtin in TABLES.iter().flat_map(|table| table.iter()) {
            for name in [builtin.name].iter().chain(builtin.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
            assert!(builtin.args.min <= builtin.args.max);
            assert!(!builtin.doc.is_empty() && !builtin.doc.ends_with('.'), "{}", builtin.doc);
        }
    }

    /// The parser needs to know them to tell `(pid) - 1` from a cast, and has a list of its own because
    /// it knows nothing of what names mean.
    #[test]
    fn the_parser_knows_all_builtins_that_are_values() {
        for builtin in TABLES.iter().flat_map(|table| table.iter()) {
            let is_value = builtin.args.min == 0 && matches!(builtin.action, Action::Value(_));
            assert_eq!(crate::syntax::is_builtin_value(builtin.name), is_value, "{}", builtin.name);
        }
    }
}
