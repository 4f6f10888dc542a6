//! The options that a script defines for itself with `getopt()`, and what they were set to.

use rustc_hash::FxHashMap;
use skep_ui::{Diagnostic, Diagnostics, Span, suggest};

use super::options::Options;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Script, UnaryOp};
use crate::syntax::visit::{self, Visitor};

/// The value of an option. Its default decides which of these it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `true` or `false`, the latter without a default.
    Bool(bool),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number whose default is negative.
    Signed(i64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(f),
            Value::Unsigned(value) => value.fmt(f),
            Value::Signed(value) => value.fmt(f),
            Value::Text(value) => value.fmt(f),
        }
    }
}

/// An option that a script defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramOption {
    /// Without the dashes.
    pub name: String,
    /// Its value where it is not given.
    pub default: Value,
    /// What it is for; empty if that is not said.
    pub description: String,
}

/// The options of a script, in order of appearance. What is wrong with their definitions is told.
pub fn defined(script: &Script, diagnostics: &mut Diagnostics) -> Vec<ProgramOption> {
    let mut collector = Collector { options: Vec::new(), diagnostics };
    visit::walk_script(&mut collector, script);
    collector.options
}

/// The values of a script's options, as they were given or by default.
pub fn values(script: &Script, options: &Options, diagnostics: &mut Diagnostics) -> FxHashMap<String, Value> {
    let defined = defined(script, diagnostics);
    let mut values: FxHashMap<String, Value> =
        defined.iter().map(|option| (option.name.clone(), option.default.clone())).collect();
    let mut unknown = Vec::new();
    for (name, given) in &options.named {
        let Some(slot) = values.get_mut(name) else {
            unknown.push(format!("--{name}"));
            continue;
        };
        match parse(slot, given.as_deref()) {
            Ok(value) => *slot = value,
            Err(problem) => {
                let given = given.as_deref().unwrap_or("true");
                diagnostics.push(Diagnostic::error_without_place(format!(
                    "program command line option --{name} {problem} (value: {given})"
                )));
            }
        }
    }
    if !unknown.is_empty() {
        let error = format!("unexpected program command line options: {}", unknown.join(", "));
        let names: Vec<String> = defined.iter().map(|option| format!("--{}", option.name)).collect();
        let hint = match names.as_slice() {
            [] => "no custom program options defined.".to_owned(),
            names => format!("expected program options: {}", names.join(", ")),
        };
        let mut diagnostic = Diagnostic::error_without_place(error).remark(hint);
        if let [only] = unknown.as_slice()
            && let Some(near) = suggest(only, names.iter().map(String::as_str))
        {
            diagnostic = diagnostic.help(format!("Did you mean {near}?"));
        }
        diagnostics.push(diagnostic);
    }
    values
}

/// A value as the command line gives it; without one the option is only there.
fn parse(default: &Value, given: Option<&str>) -> Result<Value, &'static str> {
    match (default, given) {
        (Value::Bool(_), None) => Ok(Value::Bool(true)),
        (Value::Bool(_), Some(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err("expects a boolean (e.g. 'true')"),
        },
        (Value::Text(_), Some(text)) => Ok(Value::Text(text.to_owned())),
        (Value::Text(_), None) => Err("expects a string"),
        (Value::Unsigned(_) | Value::Signed(_), None) => Err("expects an integer"),
        (number, Some(text)) => {
            let value = integer(text).ok_or("invalid integer")?;
            let fits = |bits: u64| match number {
                Value::Signed(_) => Value::Signed(bits as i64),
                _ => Value::Unsigned(bits),
            };
            // A negative number for one without sign wraps, as in the original.
            match (u64::try_from(value), i64::try_from(value)) {
                (_, Ok(value)) => Ok(fits(value as u64)),
                (Ok(value), _) if matches!(number, Value::Unsigned(_)) => Ok(fits(value)),
                _ => Err("invalid integer"),
            }
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?);
    Some(if negative { -magnitude } else { magnitude })
}

struct Collector<'a> {
    options: Vec<ProgramOption>,
    diagnostics: &'a mut Diagnostics,
}

impl Visitor for Collector<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Call { callee, args } if callee.name == "getopt" => self.option(args, expr.span),
            _ => visit::walk_expr(self, expr),
        }
    }
}

impl Collector<'_> {
    fn option(&mut self, args: &[Expr], span: Span) {
        if args.is_empty() || args.len() > 3 {
            self.diagnostics.error(
                span,
                "The 'getopt' function can take a maximum of three arguments and a minimum of one argument.",
            );
            return;
        }
        let Some(name) = args.first().and_then(literal_text) else {
            let place = args.first().map_or(span, |arg| arg.span);
            self.diagnostics.error(place, "First argument to 'getopt' must be a string literal.");
            return;
        };
        let default = match args.get(1) {
            None => Value::Bool(false),
            Some(arg) => match literal(arg) {
                Some(value) => value,
                None => {
                    self.diagnostics.error(
                        arg.span,
                        "Second argument to 'getopt' must be a string literal, integer literal, or a boolean literal.",
                    );
                    return;
                }
            },
        };
        let description = match args.get(2) {
            None => String::new(),
            Some(arg) => match literal_text(arg) {
                Some(text) => text,
                None => {
                    let message = "Function 'getopt' requires the third parameter to be a string literal.";
                    self.diagnostics.error(arg.span, message);
                    return;
                }
            },
        };
        self.define(ProgramOption { name, default, description }, span);
    }

    fn define(&mut self, new: ProgramOption, span: Span) {
        let Some(known) = self.options.iter_mut().find(|option| option.name == new.name) else {
            self.options.push(new);
            return;
        };
        if known.default != new.default {
            let message = format!(
                "Command line option '{}' needs to have the same default value in all places it is used. Previous default value: {}",
                new.name, known.default
            );
            self.diagnostics.error(span, message);
        } else if known.description.is_empty() {
            known.description = new.description;
        } else if !new.description.is_empty() && known.description != new.description {
            let message = format!(
                "Command line option '{}' must have the same description in all places it's used. Hint: You can wrap it in a macro",
                new.name
            );
            self.diagnostics.error(span, message);
        }
    }
}

/// The name of the option that a call of `getopt` asks for.
pub fn literal_text(arg: &Expr) -> Option<String> {
    match &arg.peel_parens().kind {
        ExprKind::String(text) => Some(text.to_text()),
        _ => None,
    }
}

fn literal(arg: &Expr) -> Option<Value> {
    match &arg.peel_parens().kind {
        ExprKind::String(text) => Some(Value::Text(text.to_text())),
        ExprKind::Bool(value) => Some(Value::Bool(*value)),
        _ => {
            let value = number(arg)?;
            match u64::try_from(value) {
                Ok(value) => Some(Value::Unsigned(value)),
                Err(_) => Some(Value::Signed(i64::try_from(value).ok()?)),
            }
        }
    }
}

/// A number as it is written, or computed of numbers.
fn number(expr: &Expr) -> Option<i128> {
    match &expr.peel_parens().kind {
        ExprKind::Int(literal) => Some(literal.value.into()),
        ExprKind::Comptime(inner) => number(inner),
        ExprKind::Unary { op: UnaryOp::Neg, operand, .. } => number(operand)?.checked_neg(),
        ExprKind::Unary { op: UnaryOp::BitNot, operand, .. } => Some(!number(operand)?),
        ExprKind::Binary { op, lhs, rhs, .. } => {
            let (lhs, rhs) = (number(lhs)?, number(rhs)?);
            let amount = u32::try_from(rhs).ok().filter(|amount| *amount < 64);
            match op {
                BinaryOp::Add => lhs.checked_add(rhs),
                BinaryOp::Sub => lhs.checked_sub(rhs),
                BinaryOp::Mul => lhs.checked_mul(rhs),
                BinaryOp::Div => lhs.checked_div(rhs),
                BinaryOp::Rem => lhs.checked_rem(rhs),
                BinaryOp::BitOr => Some(lhs | rhs),
                BinaryOp::BitAnd => Some(lhs & rhs),
                BinaryOp::BitXor => Some(lhs ^ rhs),
                BinaryOp::Shl => Some(lhs << amount?),
                BinaryOp::Shr => Some(lhs >> amount?),
                _ => None,
            }
        }
        _ => None,
    }
}
