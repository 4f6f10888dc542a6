//! The functions of a script: which there are, who calls whom, and which of them each clause reaches.
//!
//! A function is checked for each program that reaches it, in the order of [`Reached`], callees first. So it may ask
//! for what its callers know of their context, and one that nobody calls costs nothing.

use rustc_hash::FxHashMap;
use skep_ui::{Diagnostic, Diagnostics, Span};

use super::builtins;
use crate::syntax::ast::{Expr, ExprKind, FunctionDef, ItemKind, Probe, Script};
use crate::syntax::visit::{self, Visitor};

/// All functions of a script.
#[derive(Debug, Default)]
pub struct Functions<'a> {
    defs: Vec<&'a FunctionDef>,
    by_name: FxHashMap<&'a str, usize>,
    /// Of each function, those that it calls.
    calls: Vec<Vec<Call>>,
    /// All of them, each behind those that it calls.
    order: Vec<usize>,
}

/// The functions that a clause reaches, each behind those that it calls.
#[derive(Clone, Debug, Default)]
pub struct Reached<'a> {
    /// The definitions.
    pub defs: Vec<&'a FunctionDef>,
    by_name: FxHashMap<&'a str, usize>,
}

impl Reached<'_> {
    /// The place of the function of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// A call of a function.
#[derive(Clone, Copy, Debug)]
struct Call {
    function: usize,
    span: Span,
}

impl<'a> Functions<'a> {
    /// The functions of a script, with complaints about names that are taken and about those that call themselves.
    pub fn of(script: &'a Script, diagnostics: &mut Diagnostics) -> Functions<'a> {
        let mut functions = Functions::default();
        for item in &script.items {
            let ItemKind::Function(def) = &item.kind else { continue };
            let name = def.name.name.as_str();
            if builtins::is_name(name) {
                let message = format!("The name of a builtin cannot be given to a function: {name}");
                diagnostics.error(def.name.span, message);
            } else if let Some(&earlier) = functions.by_name.get(name) {
                diagnostics.push(
                    Diagnostic::error(def.name.span, format!("Redefinition of function: {name}"))
                        .note(functions.defs[earlier].name.span, "This is the original definition."),
                );
            } else {
                functions.by_name.insert(name, functions.defs.len());
                functions.defs.push(def);
            }
        }
        functions.calls = functions
            .defs
            .iter()
            .map(|def| functions.calls_in(|collector| collector.visit_block(&def.body)))
            .collect();
        functions.settle_order(diagnostics);
        functions
    }

    /// What a clause reaches.
    pub fn reached(&self, probe: &Probe) -> Reached<'a> {
        let mut found = vec![false; self.defs.len()];
        let mut todo = self.calls_in(|collector| {
            probe.predicate.iter().for_each(|predicate| collector.visit_expr(&predicate.cond));
            collector.visit_block(&probe.body);
        });
        while let Some(call) = todo.pop() {
            if !std::mem::replace(&mut found[call.function], true) {
                todo.extend(&self.calls[call.function]);
            }
        }
        let mut reached = Reached::default();
        for &at in self.order.iter().filter(|at| found[**at]) {
            reached.by_name.insert(&self.defs[at].name.name, reached.defs.len());
            reached.defs.push(self.defs[at]);
        }
        reached
    }

    fn calls_in(&self, walk: impl FnOnce(&mut Collector<'_>)) -> Vec<Call> {
        if self.defs.is_empty() {
            return Vec::new();
        }
        let mut collector = Collector { by_name: &self.by_name, calls: Vec::new() };
        walk(&mut collector);
        collector.calls
    }

    /// Puts callees before callers. A call that leads back to a function which is not done yet is a circle.
    fn settle_order(&mut self, diagnostics: &mut Diagnostics) {
        let mut state = vec![State::New; self.defs.len()];
        for start in 0..self.defs.len() {
            if state[start] != State::New {
                continue;
            }
            state[start] = State::Open;
            // The functions on the way here, and how many calls of each were followed.
            let mut way = vec![(start, 0)];
            while let Some((at, followed)) = way.last_mut() {
                let at = *at;
                let Some(call) = self.calls[at].get(*followed).copied() else {
                    state[at] = State::Done;
                    self.order.push(at);
                    way.pop();
                    continue;
                };
                *followed += 1;
                match state[call.function] {
                    State::New => {
                        state[call.function] = State::Open;
                        way.push((call.function, 0));
                    }
                    State::Open => {
                        let between =
                            way.iter().map(|(at, _)| *at).skip_while(|at| *at != call.function).skip(1);
                        diagnostics.push(self.circle(call, between.collect()));
                    }
                    State::Done => {}
                }
            }
        }
    }

    /// The complaint about a function that calls itself through others.
    fn circle(&self, call: Call, between: Vec<usize>) -> Diagnostic {
        let name = |at: usize| self.defs[at].name.name.as_str();
        let through: Vec<String> = between.into_iter().map(|at| format!("{}()", name(at))).collect();
        let through =
            if through.is_empty() { String::new() } else { format!(" through {}", through.join(", ")) };
        Diagnostic::error(call.span, format!("Function {}() calls itself{through}.", name(call.function)))
            .help("Recursion is not possible in the kernel, where all calls share 512 bytes of stack; use a loop")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// Some of the functions that it calls are still to come.
    Open,
    Done,
}

struct Collector<'f> {
    by_name: &'f FxHashMap<&'f str, usize>,
    calls: Vec<Call>,
}

impl Visitor for Collector<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        if let ExprKind::Call { callee, .. } = &expr.kind
            && let Some(&function) = self.by_name.get(callee.name.as_str())
        {
            self.calls.push(Call { function, span: expr.span });
        }
        visit::walk_expr(self, expr);
    }
}
