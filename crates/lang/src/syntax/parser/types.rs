//! Types, and telling them from expressions.

use skep_ui::Span;

use super::Parser;
use crate::syntax::ast::*;
use crate::syntax::lexer::TokenKind;

/// The types that the language itself names. A bare name among these is a type wherever a type may
/// stand; other bare names can be expressions too.
const BUILTIN_TYPES: [&str; 33] = [
    "avg_t",
    "bool",
    "buffer",
    "cgroup_path_t",
    "count_t",
    "hist_t",
    "inet",
    "int16",
    "int32",
    "int64",
    "int8",
    "ksym_t",
    "lhist_t",
    "macaddr_t",
    "max_t",
    "min_t",
    "stats_t",
    "string",
    "sum_t",
    "timestamp",
    "tseries_t",
    "uavg_t",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "umax_t",
    "umin_t",
    "ustats_t",
    "usum_t",
    "username_t",
    "usym_t",
    "void",
];

/// Builtins that are values, so that `(pid) - 1` subtracts and does not cast.
///
/// The grammar cannot tell a parenthesised value from a cast without knowing names. Types of the
/// kernel are many and these are few, so this list is the exception and a type the rule.
const BUILTIN_VALUES: [&str; 24] = [
    "cgroup",
    "comm",
    "config",
    "cpid",
    "cpu",
    "curtask",
    "default_str_length",
    "dw_ustack",
    "elapsed",
    "func",
    "gid",
    "has_cpid",
    "jiffies",
    "ncpus",
    "numaid",
    "pcomm",
    "ppid",
    "probe",
    "probetype",
    "rand",
    "retval",
    "uid",
    "usermode",
    "username",
];

/// Builtins that the language reserves: they cannot name a parameter of a macro.
const RESERVED: [&str; 7] = ["args", "ctx", "kstack", "nsecs", "pid", "tid", "ustack"];

/// Whether a name is that of a builtin which is a value without parentheses.
pub(crate) fn is_builtin_value(name: &str) -> bool {
    BUILTIN_VALUES.contains(&name) || is_reserved(name)
}

pub(super) fn is_reserved(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    RESERVED.contains(&name) || name.starts_with("__builtin_") || numbered("arg") || numbered("sarg")
}

impl Parser<'_, '_> {
    /// A type that is required here.
    pub(super) fn type_expr(&mut self) -> TypeExpr {
        let parsed = self.nested(|p| {
            let start = p.start();
            let base = p.base_type(start);
            p.type_suffixes(start, base)
        });
        parsed.unwrap_or_else(|| self.error_type())
    }

    fn error_type(&mut self) -> TypeExpr {
        let span = self.here();
        self.type_node(span, TypeExprKind::Error)
    }

    fn base_type(&mut self, start: Span) -> TypeExpr {
        let Some(token) = self.expect(TokenKind::Ident, "type name") else { return self.error_type() };
        let kind = match self.cursor.text(token) {
            "typeof" => TypeExprKind::Typeof(Box::new(self.type_operand())),
            word => match tag(word) {
                Some(tag) => match self.expect_ident(&format!("the name of the {word}")) {
                    Some(name) => TypeExprKind::Tagged { tag, name },
                    None => TypeExprKind::Error,
                },
                None => TypeExprKind::Name(word.to_owned()),
            },
        };
        let span = self.since(start);
        self.type_node(span, kind)
    }

    /// Any number of `*` and `[N]`.
    fn type_suffixes(&mut self, start: Span, mut ty: TypeExpr) -> TypeExpr {
        loop {
            let kind = if self.eat(TokenKind::Star).is_some() {
                TypeExprKind::Pointer(Box::new(ty))
            } else if self.eat(TokenKind::LBracket).is_some() {
                let len = if self.at(TokenKind::Int) { self.array_len() } else { None };
                self.expect(TokenKind::RBracket, "']'");
                TypeExprKind::Array { elem: Box::new(ty), len }
            } else {
                return ty;
            };
            let span = self.since(start);
            ty = self.type_node(span, kind);
        }
    }

    fn array_len(&mut self) -> Option<Spanned<u64>> {
        let token = self.bump();
        let lit = self.int_lit(token)?;
        Some(Spanned::new(lit.value, self.cursor.span(token)))
    }

    /// `(type or expression)` after `typeof` and the like.
    pub(super) fn type_operand(&mut self) -> TypeOrExpr {
        self.expect(TokenKind::LParen, "'('");
        let operand = self.type_or_expr();
        self.expect(TokenKind::RParen, "')'");
        operand
    }

    /// A type if it can only be one, an expression otherwise.
    pub(super) fn type_or_expr(&mut self) -> TypeOrExpr {
        let reads_as_type = !self.lost
            && match self.scan_type(0) {
                Some(scan) => {
                    scan.certain && matches!(self.nth(scan.end), TokenKind::RParen | TokenKind::Comma)
                }
                None => false,
            };
        if reads_as_type || self.at_tagged_type() {
            TypeOrExpr::Type(self.type_expr())
        } else {
            TypeOrExpr::Expr(Box::new(self.expression()))
        }
    }

    /// `struct name` and the like, which cannot begin an expression.
    pub(super) fn at_tagged_type(&mut self) -> bool {
        !self.lost && tag(self.word()).is_some() && self.nth(1) == TokenKind::Ident
    }

    /// Whether the tokens from the `from`th on can be a type, without taking them.
    pub(super) fn scan_type(&mut self, from: usize) -> Option<TypeScan> {
        let word = self.nth_word(from);
        if word.is_empty() || word == "typeof" {
            return None;
        }
        let mut at = from + 1;
        let mut certain = BUILTIN_TYPES.contains(&word);
        if tag(word).is_some() {
            if self.nth(at) != TokenKind::Ident {
                return None;
            }
            at += 1;
            certain = true;
        } else if is_builtin_value(word) {
            return None;
        }
        loop {
            match self.nth(at) {
                TokenKind::Star => at += 1,
                TokenKind::LBracket if self.nth(at + 1) == TokenKind::RBracket => at += 2,
                TokenKind::LBracket
                    if self.nth(at + 1) == TokenKind::Int && self.nth(at + 2) == TokenKind::RBracket =>
                {
                    at += 3;
                }
                _ => return Some(TypeScan { end: at, certain }),
            }
            certain = true;
        }
    }
}

/// What [`Parser::scan_type`] found.
pub(super) struct TypeScan {
    /// Which token follows the type.
    pub(super) end: usize,
    /// It is no bare name that could be an expression as well.
    pub(super) certain: bool,
}

pub(super) fn tag(word: &str) -> Option<TypeTag> {
    match word {
        "struct" => Some(TypeTag::Struct),
        "union" => Some(TypeTag::Union),
        "enum" => Some(TypeTag::Enum),
        _ => None,
    }
}
