//! Types as a script writes them.

use skep_ui::{Diagnostic, Span};

use super::Checker;
use crate::hir::Attach;
use crate::sema::builtins;
use crate::syntax::ast::{ExprKind, TypeExpr, TypeExprKind, TypeOrExpr};
use crate::ty::{Agg, Shown, Space, Ty, TyKind};

/// A written type.
pub enum Written {
    /// Fully known.
    Exactly(Ty),
    /// `string`: as long as it needs to be.
    AnyString,
}

impl Checker<'_> {
    /// The type that was written; `None` when that was complained about.
    pub fn written_type(&mut self, expr: &TypeExpr) -> Option<Written> {
        let ty = match &expr.kind {
            TypeExprKind::Name(name) if name == "string" => return Some(Written::AnyString),
            TypeExprKind::Name(name) => match named(name).or_else(|| self.named_by_language(name)) {
                Some(ty) => ty,
                None if WITHOUT_NAME.contains(&name.as_str()) => return self.unknown_type(name, expr.span),
                None => match self.named_ctype(None, name) {
                    Some(ty) => ty,
                    None => return self.unknown_type(name, expr.span),
                },
            },
            TypeExprKind::Array { elem, len: Some(len) } => {
                let len = u32::try_from(len.node).unwrap_or(u32::MAX);
                match &elem.kind {
                    TypeExprKind::Name(name) if name == "string" => {
                        if len == 0 {
                            self.diagnostics
                                .error(expr.span, "A string needs room for its closing NUL at least");
                            return None;
                        }
                        self.types.str(len)
                    }
                    TypeExprKind::Name(name) if name == "buffer" => self.types.intern(TyKind::Buf(len)),
                    TypeExprKind::Name(name) if name == "inet" => {
                        self.types.intern(TyKind::Shown(Shown::Address))
                    }
                    _ => {
                        let elem = self.exact_type(elem)?;
                        self.types.intern(TyKind::Array { elem, len })
                    }
                }
            }
            TypeExprKind::Pointer(to) => {
                let to = self.exact_type(to)?;
                let space = self.default_space();
                self.types.ptr(to, space)
            }
            TypeExprKind::Typeof(of) => self.type_of(of)?,
            TypeExprKind::Tagged { tag, name } => match self.named_ctype(Some(*tag), &name.name) {
                Some(ty) => ty,
                None => return self.unknown_type(&format!("{} {}", tag.keyword(), name.name), expr.span),
            },
            TypeExprKind::Array { len: None, .. } => {
                let problem = "An array needs a length here";
                self.error_with_help(expr.span, problem, "Write it between the brackets, as in int8[16]");
                return None;
            }
            TypeExprKind::Error => return None,
        };
        Some(Written::Exactly(ty))
    }

    /// Complains that there is no type of this name.
    fn unknown_type<T>(&mut self, name: &str, span: Span) -> Option<T> {
        let mut diagnostic = Diagnostic::error(span, format!("Cannot resolve unknown type \"{name}\""));
        if let Some(untold) = &self.untold {
            diagnostic = diagnostic.help(untold.to_string());
        }
        self.diagnostics.push(diagnostic);
        None
    }

    /// The types of what user space makes a text of, and of aggregations.
    fn named_by_language(&mut self, name: &str) -> Option<Ty> {
        let (signed, plain) = match name.strip_prefix('u') {
            Some(rest) if rest.ends_with("_t") => (false, rest),
            _ => (true, name),
        };
        let kind = match plain {
            "count_t" if signed => TyKind::Agg(Agg::Count),
            "sum_t" => TyKind::Agg(Agg::Sum { signed }),
            "min_t" => TyKind::Agg(Agg::Min { signed }),
            "max_t" => TyKind::Agg(Agg::Max { signed }),
            "avg_t" => TyKind::Agg(Agg::Avg { signed }),
            "stats_t" => TyKind::Agg(Agg::Stats { signed }),
            _ => match name {
                "buffer" => TyKind::Buf(0),
                "inet" => TyKind::Shown(Shown::Address),
                "username_t" => TyKind::Shown(Shown::User),
                "timestamp" => TyKind::Shown(Shown::Time),
                "macaddr_t" => TyKind::Shown(Shown::Mac),
                "cgroup_path_t" => TyKind::Shown(Shown::CgroupPath),
                _ => return None,
            },
        };
        Some(self.types.intern(kind))
    }

    pub fn exact_type(&mut self, expr: &TypeExpr) -> Option<Ty> {
        match self.written_type(expr)? {
            Written::Exactly(ty) => Some(ty),
            Written::AnyString => {
                self.diagnostics.error(expr.span, "A string needs a size here, as in string[16]");
                None
            }
        }
    }

    /// The operand of `sizeof` and `typeof`.
    pub fn type_of(&mut self, of: &TypeOrExpr) -> Option<Ty> {
        match of {
            TypeOrExpr::Type(ty) => match self.written_type(ty)? {
                Written::Exactly(ty) => Some(ty),
                // A string without a size has none, as in the original.
                Written::AnyString => Some(self.types.str(0)),
            },
            // The parser cannot know all names of types.
            TypeOrExpr::Expr(expr) => {
                if let ExprKind::Typeof(inner) = &expr.peel_parens().kind {
                    return self.type_of(inner);
                }
                if let ExprKind::Ident(name) = &expr.peel_parens().kind
                    && !builtins::is_name(name)
                    && let Some(ty) = named(name).or_else(|| self.named_ctype(None, name))
                {
                    return Some(ty);
                }
                let before = self.diagnostics.len();
                let ty = self.expr(expr).ty;
                // It is not evaluated, so there is nothing to warn about.
                self.diagnostics.drop_warnings(before);
                (ty != Ty::ERROR).then(|| crate::sema::infer::settle(&mut self.types, ty))
            }
        }
    }

    /// The memory that a number taken as an address is of.
    pub fn default_space(&self) -> Space {
        let first = self.unit_in_hand().targets.first().and_then(|id| self.targets.get(id.0 as usize));
        match first.map(|target| &target.attach) {
            Some(Attach::Uprobe(_) | Attach::Usdt(_)) => Space::User,
            Some(Attach::Tracepoint { category, .. }) if category == "syscalls" => Space::User,
            _ => Space::Kernel,
        }
    }
}

/// Integers and their like, by the names that C and the language have for them.
fn named(name: &str) -> Option<Ty> {
    Some(match name {
        "bool" => Ty::BOOL,
        // What C declares is known without asking the kernel.
        "int8" | "int8_t" | "s8" | "__s8" => Ty::I8,
        "int16" | "int16_t" | "s16" | "__s16" | "short" => Ty::I16,
        "int32" | "int32_t" | "s32" | "__s32" | "int" => Ty::I32,
        "int64" | "int64_t" | "s64" | "__s64" | "long" | "ssize_t" | "intptr_t" => Ty::I64,
        // The kernel is built with characters that have no sign.
        "uint8" | "uint8_t" | "u8" | "__u8" | "char" => Ty::U8,
        "uint16" | "uint16_t" | "u16" | "__u16" => Ty::U16,
        "uint32" | "uint32_t" | "u32" | "__u32" | "unsigned" => Ty::U32,
        "uint64" | "uint64_t" | "u64" | "__u64" | "size_t" | "uintptr_t" => Ty::U64,
        "void" => Ty::VOID,
        _ => return None,
    })
}

/// Types of the language that only values have: no script can name them.
const WITHOUT_NAME: &[&str] =
    &["ksym_t", "usym_t", "kstack", "ustack", "kstack_t", "ustack_t", "hist_t", "lhist_t", "tseries_t"];
