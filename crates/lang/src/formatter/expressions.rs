//! Expressions and types.
//!
//! Each is first written on one line. Where that is too long, the outermost construct that can be broken
//! is: a list behind its commas, a chain of operators behind each operator, a choice before its marks.

use super::wrap::{column_after, fits};
use super::{Formatter, INDENT};
use crate::syntax::ast::{
    BinaryOp, Expr, ExprKind, Ident, IfExpr, TypeExpr, TypeExprKind, TypeOrExpr, UnaryOp,
};

impl Formatter<'_> {
    /// An expression that begins at a column, in lines that are indented so far.
    pub(super) fn expr(&mut self, expr: &Expr, column: usize, indent: usize) -> String {
        match &expr.kind {
            ExprKind::Int(literal) => literal.text.clone(),
            ExprKind::String(text) => self.source(text.span).to_owned(),
            ExprKind::Bool(value) => value.to_string(),
            ExprKind::Ident(name) => name.clone(),
            ExprKind::Var(var) => format!("${}", var.name),
            ExprKind::Map(map) => format!("@{}", map.name),
            ExprKind::MapAccess { map, keys } => {
                let head = format!("@{}", map.name);
                let keys = self.list(keys, column + head.len(), ("[", "]"), indent);
                format!("{head}{keys}")
            }
            ExprKind::Param(n) => format!("${n}"),
            ExprKind::ParamCount => "$#".into(),
            ExprKind::Paren(inner) => format!("({})", self.expr(inner, column + 1, indent)),
            ExprKind::Unary { op, operand, .. } => self.unary(*op, operand, column, indent),
            ExprKind::Binary { op, lhs, rhs, .. } => self.binary(*op, lhs, rhs, column, indent),
            ExprKind::Ternary { cond, then, otherwise } => {
                self.ternary(cond, then.as_deref(), otherwise, column, indent)
            }
            ExprKind::If(of) => self.if_value(of, column, indent),
            ExprKind::Block(block) => {
                if let ([], Some(tail)) = (block.stmts.as_slice(), &block.tail)
                    && !self.has_comment_within(block.span)
                {
                    let tail = self.expr(tail, column + 2, indent);
                    if !tail.contains('\n') {
                        return format!("{{ {tail} }}");
                    }
                    return format!("{{\n{0}{tail}\n{1}}}", " ".repeat(indent + INDENT), " ".repeat(indent));
                }
                self.block(block, indent, true)
            }
            ExprKind::Field { base, arrow, field } => {
                let base = self.expr(base, column, indent);
                format!("{base}{}{}", if *arrow { "->" } else { "." }, field.name)
            }
            ExprKind::TupleField { base, index } => {
                format!("{}.{}", self.expr(base, column, indent), index.node)
            }
            ExprKind::Index { base, index } => {
                let base = self.expr(base, column, indent);
                let index = self.expr(index, column_after(&base, column) + 1, indent);
                format!("{base}[{index}]")
            }
            ExprKind::Call { callee, args } => {
                let args = self.list(args, column + callee.name.len(), ("(", ")"), indent);
                format!("{}{args}", callee.name)
            }
            ExprKind::Cast { ty, header: _, operand } => {
                let head = format!("({})", self.ty(ty));
                let operand = self.expr(operand, column + head.len(), indent);
                format!("{head}{operand}")
            }
            ExprKind::Tuple(elems) => match elems.as_slice() {
                [only] => format!("({},)", self.expr(only, column + 1, indent)),
                elems => self.list(elems, column, ("(", ")"), indent),
            },
            ExprKind::Record(fields) => {
                let parts: Vec<(String, &Expr)> =
                    fields.iter().map(|field| (format!("{}=", field.name.name), &field.value)).collect();
                self.listed(&parts, column, ("(", ")"), indent)
            }
            ExprKind::Sizeof(of) => format!("sizeof({})", self.type_or_expr(of, column + 7, indent)),
            ExprKind::Offsetof { of, path } => {
                let names: Vec<&str> = path.iter().map(|Ident { name, .. }| name.as_str()).collect();
                format!("offsetof({}, {})", self.type_or_expr(of, column + 9, indent), names.join("."))
            }
            ExprKind::Typeof(of) => format!("typeof({})", self.type_or_expr(of, column + 7, indent)),
            ExprKind::Typeinfo(of) => format!("typeinfo({})", self.type_or_expr(of, column + 9, indent)),
            ExprKind::Comptime(inner) => format!("comptime {}", self.expr(inner, column + 9, indent)),
            ExprKind::Error => self.source(expr.span).to_owned(),
        }
    }

    fn has_comment_within(&self, span: skep_ui::Span) -> bool {
        // Comments that are still to come are those that nothing before this took.
        self.comments.is_next_before(span.range().end)
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, column: usize, indent: usize) -> String {
        if op.is_postfix() {
            return format!("{}{}", self.expr(operand, column, indent), op.symbol());
        }
        let operand_text = self.expr(operand, column + op.symbol().len(), indent);
        // `- -1` and `& &x` must stay apart.
        let apart = match &operand.kind {
            ExprKind::Unary { op: inner, .. } if !inner.is_postfix() => {
                op.symbol().chars().next_back() == inner.symbol().chars().next()
            }
            _ => false,
        };
        format!("{}{}{operand_text}", op.symbol(), if apart { " " } else { "" })
    }

    fn binary(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, column: usize, indent: usize) -> String {
        let left = self.expr(lhs, column, indent);
        let operator = op.symbol();
        let mark = self.comments.mark();
        let right = self.expr(rhs, column_after(&left, column) + operator.len() + 2, indent);
        let flat = format!("{left} {operator} {right}");
        if fits(&flat, column) && !right.contains('\n') {
            return flat;
        }
        // The right side is written anew where it stands then.
        self.comments.reset(mark);
        let below = self.expr(rhs, column, indent);
        // What has lines of its own gains nothing by that.
        if below.contains('\n') && fits(&flat, column) {
            return flat;
        }
        format!("{left} {operator}\n{}{below}", " ".repeat(column))
    }

    fn ternary(
        &mut self,
        cond: &Expr,
        then: Option<&Expr>,
        otherwise: &Expr,
        column: usize,
        indent: usize,
    ) -> String {
        let cond = self.expr(cond, column, indent);
        let inner = indent + INDENT;
        let Some(then) = then else {
            let otherwise = self.expr(otherwise, column_after(&cond, column) + 4, indent);
            return format!("{cond} ?: {otherwise}");
        };
        let then = self.expr(then, inner + 2, inner);
        let otherwise = self.expr(otherwise, inner + 2, inner);
        let flat = format!("{cond} ? {then} : {otherwise}");
        if fits(&flat, column) && !flat.contains('\n') {
            return flat;
        }
        let pad = " ".repeat(inner);
        format!("{cond}\n{pad}? {then}\n{pad}: {otherwise}")
    }

    /// The condition of `if` and `while`: in parentheses where it is more than one word.
    pub(super) fn condition(&mut self, cond: &Expr, column: usize, indent: usize) -> String {
        if let ExprKind::Comptime(inner) = &cond.kind {
            return format!("comptime {}", self.condition(inner, column + 9, indent));
        }
        let mut bare = cond;
        while let ExprKind::Paren(inner) = &bare.kind {
            bare = inner;
        }
        match &bare.kind {
            ExprKind::Binary { .. }
            | ExprKind::Ternary { .. }
            | ExprKind::Unary { .. }
            | ExprKind::Cast { .. } => {
                format!("({})", self.expr(bare, column + 1, indent))
            }
            // What begins with a parenthesis or a brace could be taken for something else.
            ExprKind::Tuple(_) | ExprKind::Record(_) | ExprKind::Block(_) | ExprKind::If(_) => {
                format!("({})", self.expr(bare, column + 1, indent))
            }
            _ => self.expr(bare, column, indent),
        }
    }

    /// `if` on lines of its own; `value`: it is worth something.
    pub(super) fn if_lines(&mut self, of: &IfExpr, indent: usize, value: bool) -> String {
        let cond = self.condition(&of.cond, indent + 3, indent);
        let mut out = format!("if {cond} {}", self.block(&of.then, indent, value));
        if let Some(otherwise) = of.otherwise.as_deref() {
            out.push_str(" else ");
            out.push_str(&match &otherwise.kind {
                ExprKind::If(next) => self.if_lines(next, indent, value),
                ExprKind::Block(block) => self.block(block, indent, value),
                _ => self.expr(otherwise, indent, indent),
            });
        }
        out
    }

    /// `if` as a value: on one line if its branches are no more than values.
    fn if_value(&mut self, of: &IfExpr, column: usize, indent: usize) -> String {
        let mark = self.comments.mark();
        let cond = self.condition(&of.cond, column + 3, indent);
        let lone = |block: &crate::syntax::ast::Block| block.stmts.is_empty() && block.tail.is_some();
        let otherwise_is_lone = match of.otherwise.as_deref().map(|otherwise| &otherwise.kind) {
            Some(ExprKind::Block(block)) => lone(block),
            Some(ExprKind::If(_)) => true,
            _ => false,
        };
        if lone(&of.then)
            && otherwise_is_lone
            && let (Some(then), Some(otherwise)) = (&of.then.tail, &of.otherwise)
            && !self.comments.is_next_before(otherwise.span.range().end)
        {
            let then = self.expr(then, column, indent);
            let otherwise = self.expr(otherwise, column, indent);
            let flat = format!("if {cond} {{ {then} }} else {otherwise}");
            if fits(&flat, column) && !flat.contains('\n') {
                return flat;
            }
        }
        self.comments.reset(mark);
        self.if_lines(of, indent, true)
    }

    /// Expressions between brackets.
    pub(super) fn list(
        &mut self,
        exprs: &[Expr],
        column: usize,
        brackets: (&str, &str),
        indent: usize,
    ) -> String {
        let parts: Vec<(String, &Expr)> = exprs.iter().map(|expr| (String::new(), expr)).collect();
        self.listed(&parts, column, brackets, indent)
    }

    /// The same, each with something before it. What fits on a line stands on a line. Of what does not,
    /// as much stands on each line as there is room for, but where the author ended a line one ends;
    /// further lines begin below the first.
    fn listed(
        &mut self,
        parts: &[(String, &Expr)],
        column: usize,
        brackets: (&str, &str),
        indent: usize,
    ) -> String {
        let mark = self.comments.mark();
        let flat = self.listed_in_lines(parts, column, brackets, indent, false);
        if !flat.contains('\n') {
            return flat;
        }
        self.comments.reset(mark);
        self.listed_in_lines(parts, column, brackets, indent, true)
    }

    fn listed_in_lines(
        &mut self,
        parts: &[(String, &Expr)],
        column: usize,
        (open, close): (&str, &str),
        indent: usize,
        keep_lines: bool,
    ) -> String {
        let start = column + open.len();
        let mut out = open.to_owned();
        let mut at = start;
        let mut last_end = None;
        for (index, (before, expr)) in parts.iter().enumerate() {
            let range = expr.span.range();
            let between = last_end.and_then(|end| self.text.get(end..range.start)).unwrap_or("");
            let ended = keep_lines && between.contains('\n');
            last_end = Some(range.end);
            if index > 0 {
                out.push(' ');
                at += 1;
            }
            let mark = self.comments.mark();
            let text = format!("{before}{}", self.expr(expr, at + before.len(), indent));
            let behind = if index + 1 == parts.len() { 2 } else { 1 };
            let too_long = !fits(&format!("{text}{}", " ".repeat(behind)), at);
            let text = if (too_long || ended) && index > 0 {
                out.pop();
                out.push('\n');
                out.push_str(&" ".repeat(start));
                at = start;
                self.comments.reset(mark);
                format!("{before}{}", self.expr(expr, at + before.len(), indent))
            } else {
                text
            };
            at = column_after(&text, at);
            out.push_str(&text);
            if index + 1 < parts.len() {
                out.push(',');
                at += 1;
            }
        }
        out.push_str(close);
        out
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr, column: usize, indent: usize) -> String {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(expr) => self.expr(expr, column, indent),
        }
    }

    /// A type.
    pub(super) fn ty(&mut self, ty: &TypeExpr) -> String {
        match &ty.kind {
            TypeExprKind::Name(name) => name.clone(),
            TypeExprKind::Tagged { tag, name } => format!("{} {}", tag.keyword(), name.name),
            TypeExprKind::Pointer(to) => format!("{}*", self.ty(to)),
            TypeExprKind::Array { elem, len } => {
                let len = len.as_ref().map_or_else(String::new, |len| self.source(len.span).to_owned());
                format!("{}[{len}]", self.ty(elem))
            }
            TypeExprKind::Typeof(of) => format!("typeof({})", self.type_or_expr(of, 0, 0)),
            TypeExprKind::Error => self.source(ty.span).to_owned(),
        }
    }
}
