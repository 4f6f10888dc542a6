//! The tree as text, one node a line, children indented: what `-d ast` shows and tests compare.
//!
//! ```text
//! probe
//!   attach-point kprobe : vfs_read
//!   block
//!     assign =
//!       map @
//!       call count
//! ```

use std::fmt::{Display, Write};

use skep_ui::Span;

use super::ast::*;

/// Whether each line ends with the node's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spans {
    /// No places.
    Hide,
    /// ` @start..end` in bytes.
    Show,
}

/// The tree of a script.
pub fn script(script: &Script, spans: Spans) -> String {
    let mut p = Printer { out: String::new(), depth: 0, spans };
    if let Some(shebang) = script.shebang {
        p.line("shebang", shebang);
    }
    script.items.iter().for_each(|item| p.item(item));
    p.out
}

/// The tree of one expression.
pub fn expr(expr: &Expr, spans: Spans) -> String {
    let mut p = Printer { out: String::new(), depth: 0, spans };
    p.expr(expr);
    p.out
}

struct Printer {
    out: String,
    depth: usize,
    spans: Spans,
}

impl Printer {
    fn line(&mut self, text: impl Display, span: Span) {
        let indent = self.depth * 2;
        // Writing to a `String` cannot fail.
        let _ = write!(self.out, "{:indent$}{text}", "");
        if self.spans == Spans::Show {
            let _ = write!(self.out, " @{}..{}", span.start, span.end);
        }
        self.out.push('\n');
    }

    /// A line, and what `children` prints below it.
    fn node(&mut self, text: impl Display, span: Span, children: impl FnOnce(&mut Self)) {
        self.line(text, span);
        self.depth += 1;
        children(self);
        self.depth -= 1;
    }

    fn item(&mut self, item: &Item) {
        let span = item.span;
        match &item.kind {
            ItemKind::C(c) => self.line(c_definition(c), span),
            ItemKind::Config(config) => self.node("config", span, |p| {
                for entry in &config.entries {
                    p.line(format!("{} = {}", entry.key.name, config_value(&entry.value.node)), entry.span);
                }
            }),
            ItemKind::Import(import) => self.line(format!("import {}", quote(&import.path.bytes)), span),
            ItemKind::MapDecl(decl) => {
                let label = format!("map-declaration @{} {}", decl.map.name, decl.map_type.name);
                self.node(label, span, |p| p.exprs(&decl.args));
            }
            ItemKind::Macro(def) => {
                let params: Vec<String> = def.params.iter().map(macro_param).collect();
                let label = format!("macro {}({})", def.name.name, params.join(", "));
                self.node(label, span, |p| p.block(&def.body));
            }
            ItemKind::Function(def) => self.node(format!("function {}", def.name.name), span, |p| {
                for param in &def.params {
                    p.node(format!("param ${}", param.var.name), param.span, |p| p.ty(&param.ty));
                }
                p.node("returns", def.ret.span, |p| p.ty(&def.ret));
                p.block(&def.body);
            }),
            ItemKind::Probe(probe) => self.probe(probe, span),
            ItemKind::Error => self.line("error", span),
        }
    }

    fn probe(&mut self, probe: &Probe, span: Span) {
        let label = match &probe.name {
            Some(name) => format!("probe {}", name.name),
            None => "probe".to_owned(),
        };
        self.node(label, span, |p| {
            for attach_point in &probe.attach_points {
                p.line(attach_point_text(attach_point), attach_point.span);
            }
            if let Some(predicate) = &probe.predicate {
                p.node("predicate", predicate.span, |p| p.expr(&predicate.cond));
            }
            p.block(&probe.body);
        });
    }

    fn block(&mut self, block: &Block) {
        self.node("block", block.span, |p| {
            block.stmts.iter().for_each(|stmt| p.stmt(stmt));
            if let Some(tail) = &block.tail {
                p.node("tail", tail.span, |p| p.expr(tail));
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Expr(expr) => self.node("do", span, |p| p.expr(expr)),
            StmtKind::Let { var, ty, init } => self.node(format!("let ${}", var.name), span, |p| {
                ty.iter().for_each(|ty| p.node("type", ty.span, |p| p.ty(ty)));
                init.iter().for_each(|init| p.expr(init));
            }),
            StmtKind::Assign { target, op, value } => {
                let label = format!("assign {}=", op.map_or("", |op| op.node.symbol()));
                self.node(label, span, |p| {
                    p.expr(target);
                    p.expr(value);
                });
            }
            StmtKind::Discard(value) => self.node("discard", span, |p| p.expr(value)),
            StmtKind::For(f) => self.node(format!("for ${}", f.var.name), span, |p| {
                match &f.over {
                    ForOver::Map(map) => p.line(format!("over map @{}", map.name), map.span),
                    ForOver::Range { start, end } => p.node("over range", start.span.to(end.span), |p| {
                        p.expr(start);
                        p.expr(end);
                    }),
                    ForOver::Error => p.line("error", f.header),
                }
                p.block(&f.body);
            }),
            StmtKind::While { cond, body } => self.node("while", span, |p| {
                p.expr(cond);
                p.block(body);
            }),
            StmtKind::Unroll { count, body } => self.node("unroll", span, |p| {
                p.expr(count);
                p.block(body);
            }),
            StmtKind::Return(value) => {
                self.node("return", span, |p| value.iter().for_each(|value| p.expr(value)));
            }
            StmtKind::Break => self.line("break", span),
            StmtKind::Continue => self.line("continue", span),
            StmtKind::Import(import) => self.line(format!("import {}", quote(&import.path.bytes)), span),
            StmtKind::Error => self.line("error", span),
        }
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        exprs.iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Int(lit) if lit.value.to_string() == lit.text => {
                self.line(format!("int {}", lit.text), span);
            }
            ExprKind::Int(lit) => self.line(format!("int {} = {}", lit.text, lit.value), span),
            ExprKind::String(lit) => self.line(format!("string {}", quote(&lit.bytes)), span),
            ExprKind::Bool(value) => self.line(format!("bool {value}"), span),
            ExprKind::Ident(name) => self.line(format!("name {name}"), span),
            ExprKind::Var(var) => self.line(format!("var ${}", var.name), span),
            ExprKind::Map(map) => self.line(format!("map @{}", map.name), span),
            ExprKind::MapAccess { map, keys } => {
                self.node(format!("map-element @{}", map.name), span, |p| p.exprs(keys));
            }
            ExprKind::Param(n) => self.line(format!("param ${n}"), span),
            ExprKind::ParamCount => self.line("param-count", span),
            ExprKind::Paren(inner) => self.node("paren", span, |p| p.expr(inner)),
            ExprKind::Unary { op, operand, .. } => {
                let side = match op {
                    op if op.is_postfix() => "postfix",
                    _ => "prefix",
                };
                self.node(format!("{side} {}", op.symbol()), span, |p| p.expr(operand));
            }
            ExprKind::Binary { op, lhs, rhs, .. } => {
                self.node(format!("binary {}", op.symbol()), span, |p| {
                    p.expr(lhs);
                    p.expr(rhs);
                });
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                let label = if then.is_some() { "ternary" } else { "ternary-short" };
                self.node(label, span, |p| {
                    p.expr(cond);
                    then.iter().for_each(|then| p.expr(then));
                    p.expr(otherwise);
                });
            }
            ExprKind::If(IfExpr { cond, then, otherwise }) => self.node("if", span, |p| {
                p.expr(cond);
                p.block(then);
                otherwise.iter().for_each(|otherwise| p.node("else", otherwise.span, |p| p.expr(otherwise)));
            }),
            ExprKind::Block(block) => self.block(block),
            ExprKind::Field { base, arrow, field } => {
                let operator = if *arrow { "->" } else { "." };
                self.node(format!("field {operator}{}", field.name), span, |p| p.expr(base));
            }
            ExprKind::TupleField { base, index } => {
                self.node(format!("tuple-field .{}", index.node), span, |p| p.expr(base));
            }
            ExprKind::Index { base, index } => self.node("index", span, |p| {
                p.expr(base);
                p.expr(index);
            }),
            ExprKind::Call { callee, args } => {
                self.node(format!("call {}", callee.name), span, |p| p.exprs(args));
            }
            ExprKind::Cast { ty, operand, .. } => self.node("cast", span, |p| {
                p.ty(ty);
                p.expr(operand);
            }),
            ExprKind::Tuple(elems) => self.node("tuple", span, |p| p.exprs(elems)),
            ExprKind::Record(fields) => self.node("record", span, |p| {
                for field in fields {
                    p.node(format!("{} =", field.name.name), field.span, |p| p.expr(&field.value));
                }
            }),
            ExprKind::Sizeof(of) => self.node("sizeof", span, |p| p.type_or_expr(of)),
            ExprKind::Offsetof { of, path } => {
                let path: Vec<&str> = path.iter().map(|name| name.name.as_str()).collect();
                self.node(format!("offsetof .{}", path.join(".")), span, |p| p.type_or_expr(of));
            }
            ExprKind::Typeof(of) => self.node("typeof", span, |p| p.type_or_expr(of)),
            ExprKind::Typeinfo(of) => self.node("typeinfo", span, |p| p.type_or_expr(of)),
            ExprKind::Comptime(inner) => self.node("comptime", span, |p| p.expr(inner)),
            ExprKind::Error => self.line("error", span),
        }
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(expr) => self.expr(expr),
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        let span = ty.span;
        match &ty.kind {
            TypeExprKind::Name(name) => self.line(format!("type {name}"), span),
            TypeExprKind::Tagged { tag, name } => {
                self.line(format!("type {} {}", tag.keyword(), name.name), span);
            }
            TypeExprKind::Pointer(inner) => self.node("pointer to", span, |p| p.ty(inner)),
            TypeExprKind::Array { elem, len } => {
                let len = len.map_or(String::new(), |len| len.node.to_string());
                self.node(format!("array [{len}] of"), span, |p| p.ty(elem));
            }
            TypeExprKind::Typeof(of) => self.node("typeof", span, |p| p.type_or_expr(of)),
            TypeExprKind::Error => self.line("error", span),
        }
    }
}

fn macro_param(param: &MacroParam) -> String {
    match param {
        MacroParam::Var(var) => format!("${}", var.name),
        MacroParam::Map(map) => format!("@{}", map.name),
        MacroParam::Expr(ident) => ident.name.clone(),
    }
}

fn config_value(value: &ConfigValue) -> String {
    match value {
        ConfigValue::String(bytes) => quote(bytes),
        ConfigValue::Int(n) => n.to_string(),
        ConfigValue::Bool(b) => b.to_string(),
        ConfigValue::Word(word) => word.clone(),
        ConfigValue::Error => "error".to_owned(),
    }
}

fn c_definition(c: &CDefinition) -> String {
    match &c.kind {
        CKind::Include { path, system } => {
            format!("include {} {}", if *system { "system" } else { "local" }, quote(path.node.as_bytes()))
        }
        CKind::Define { name, params, body } => {
            let params = params.as_ref().map_or(String::new(), |params| {
                let names: Vec<&str> = params.iter().map(|name| name.name.as_str()).collect();
                format!("({})", names.join(", "))
            });
            format!("define {}{params} {}", name.name, quote(body.node.as_bytes()))
        }
        CKind::Directive(word) => format!("directive {} {}", word.name, quote(c.text.node.as_bytes())),
        CKind::Declaration => format!("declaration {}", quote(c.text.node.as_bytes())),
        CKind::Type { tag, name, body, attributes } => {
            let mut line = format!("c-{}", tag.keyword());
            name.iter().for_each(|name| line.push_str(&format!(" {}", name.name)));
            line.push_str(&format!(" {}", quote(body.node.as_bytes())));
            attributes.iter().for_each(|text| line.push_str(&format!(" {}", text.node)));
            line
        }
    }
}

/// Provider, then each part quoted behind its separator, with parameters bare.
fn attach_point_text(attach_point: &AttachPoint) -> String {
    let mut line = "attach-point".to_owned();
    for part in std::iter::once(&attach_point.provider).chain(&attach_point.parts) {
        line.push_str(match part.separator {
            ApSeparator::Start => " ",
            ApSeparator::Colon => " : ",
            ApSeparator::At => " @ ",
        });
        let pieces: Vec<String> = part
            .pieces
            .iter()
            .map(|piece| match &piece.kind {
                ApPieceKind::Text(text) => text.clone(),
                ApPieceKind::Quoted(text) => quote(text.as_bytes()),
                ApPieceKind::Param(n) => format!("<param {n}>"),
            })
            .collect();
        line.push_str(&pieces.concat());
    }
    line
}

fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
