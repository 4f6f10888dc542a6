//! `--fmt`: a script in its usual form.
//!
//! What the text means is not touched: parentheses, numbers and strings stay as they are written, and
//! every comment is kept. Formatting what was formatted changes nothing.

mod comments;
mod expressions;
mod wrap;

use crate::syntax::ast::{
    Block, ConfigBlock, Expr, ExprKind, ForOver, FunctionDef, Ident, Item, ItemKind, MacroDef, MacroParam,
    Probe, Script, Stmt, StmtKind,
};
use comments::Comments;

/// How many columns a level of blocks is indented by.
const INDENT: usize = 2;

/// Lines are broken to stay below this many columns where they can be.
const WIDTH: usize = 88;

/// More blank lines than this say nothing.
const MAX_BLANK: usize = 2;

/// A script in its usual form. `text` is what the tree was parsed from, without errors.
pub fn format(text: &str, script: &Script) -> String {
    let mut formatter = Formatter { text, comments: Comments::new(text, script) };
    formatter.script(script)
}

/// Writes a tree.
struct Formatter<'a> {
    text: &'a str,
    comments: Comments<'a>,
}

impl Formatter<'_> {
    fn script(&mut self, script: &Script) -> String {
        let mut out = String::new();
        let mut end = 0;
        if let Some(shebang) = script.shebang {
            out.push_str(self.text.get(shebang.range()).unwrap_or("").trim_end());
            out.push('\n');
            end = shebang.range().end;
        }
        for item in &script.items {
            let range = item.span.range();
            self.leading(&mut out, &mut end, range.start, 0);
            let before_body = self.comments.take_before(head_end(item));
            self.write_comments(&mut out, &before_body, 0);
            self.blank_lines(&mut out, end, range.start);
            out.push_str(&self.item(item));
            end = range.end;
            self.trailing(&mut out, &mut end, 0);
        }
        self.leading(&mut out, &mut end, self.text.len(), 0);
        if out.is_empty() {
            return out;
        }
        while out.ends_with("\n\n") {
            out.pop();
        }
        out
    }

    /// The comments up to `start`, each on lines of its own, with the blank lines between them.
    fn leading(&mut self, out: &mut String, end: &mut usize, start: usize, indent: usize) {
        for comment in self.comments.take_before(start) {
            self.blank_lines(out, *end, comment.start);
            out.push_str(&comment.lines(indent));
            out.push('\n');
            *end = comment.end;
        }
    }

    fn write_comments(&self, out: &mut String, comments: &[comments::Piece<'_>], indent: usize) {
        for comment in comments {
            out.push_str(&comment.lines(indent));
            out.push('\n');
        }
    }

    /// Ends a line, with the comment that stands behind it.
    fn trailing(&mut self, out: &mut String, end: &mut usize, indent: usize) {
        if let Some(comment) = self.comments.take_on_line(*end) {
            out.push(' ');
            out.push_str(comment.lines(indent).trim_start());
            *end = comment.end;
        }
        out.push('\n');
    }

    /// The blank lines between two places of the text, but none at the start of anything.
    fn blank_lines(&self, out: &mut String, from: usize, to: usize) {
        if out.is_empty() || out.ends_with("{\n") {
            return;
        }
        let between = self.text.get(from..to).unwrap_or("");
        let breaks = between.bytes().filter(|byte| *byte == b'\n').count();
        for _ in 0..breaks.saturating_sub(1).min(MAX_BLANK) {
            out.push('\n');
        }
    }

    fn source(&self, span: skep_ui::Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    fn item(&mut self, item: &Item) -> String {
        match &item.kind {
            ItemKind::C(definition) => {
                let semicolon = self.source(item.span).trim_end().ends_with(';')
                    || !definition.text.node.trim_start().starts_with('#');
                format!("{}{}", definition.text.node.trim_end(), if semicolon { ";" } else { "" })
            }
            ItemKind::Config(config) => self.config(config, item.span.range().end),
            ItemKind::Import(import) => format!("import {};", self.source(import.path.span)),
            ItemKind::MapDecl(decl) => {
                let head = format!("let @{} = {}", decl.map.name, decl.map_type.name);
                let args = self.list(&decl.args, head.len() + 1, ("(", ")"), 0);
                format!("{head}{args};")
            }
            ItemKind::Macro(def) => self.macro_def(def),
            ItemKind::Function(def) => self.function(def),
            ItemKind::Probe(probe) => self.probe(probe),
            ItemKind::Error => self.source(item.span).trim_end().to_owned(),
        }
    }

    fn config(&mut self, config: &ConfigBlock, end: usize) -> String {
        let mut out = String::from("config = {\n");
        let mut last = config.entries.first().map_or(end, |entry| entry.span.range().start);
        for entry in &config.entries {
            self.leading(&mut out, &mut last, entry.span.range().start, INDENT);
            self.blank_lines(&mut out, last, entry.span.range().start);
            out.push_str(&format!("  {} = {};", entry.key.name, self.source(entry.value.span)));
            last = entry.span.range().end;
            self.trailing(&mut out, &mut last, INDENT);
        }
        self.leading(&mut out, &mut last, end, INDENT);
        out.push('}');
        out
    }

    fn macro_def(&mut self, def: &MacroDef) -> String {
        let params: Vec<String> = def
            .params
            .iter()
            .map(|param| match param {
                MacroParam::Var(var) => format!("${}", var.name),
                MacroParam::Map(map) => format!("@{}", map.name),
                MacroParam::Expr(Ident { name, .. }) => name.clone(),
            })
            .collect();
        format!("macro {}({})\n{}", def.name.name, params.join(", "), self.block(&def.body, 0, true))
    }

    fn function(&mut self, def: &FunctionDef) -> String {
        let params: Vec<String> =
            def.params.iter().map(|param| format!("${} : {}", param.var.name, self.ty(&param.ty))).collect();
        let ret = self.ty(&def.ret);
        format!("fn {}({}) : {ret}\n{}", def.name.name, params.join(", "), self.block(&def.body, 0, false))
    }

    fn probe(&mut self, probe: &Probe) -> String {
        let mut head = String::new();
        if let Some(name) = &probe.name {
            head.push_str(&format!("{}=", name.name));
        }
        let points: Vec<&str> = probe.attach_points.iter().map(|point| point.text.trim()).collect();
        head.push_str(&points.join(",\n"));
        if let Some(predicate) = &probe.predicate {
            let cond = self.expr(&predicate.cond, 1, 0);
            head.push_str(&format!("\n/{cond}/"));
        }
        format!("{head}\n{}", self.block(&probe.body, 0, false))
    }

    /// A block, its braces on lines of their own unless there is nothing in it. `value`: its last
    /// expression is what it is worth, and not one more statement.
    fn block(&mut self, block: &Block, indent: usize, value: bool) -> String {
        let inner = indent + INDENT;
        let range = block.span.range();
        let mut out = String::from("{\n");
        let mut end = range.start + 1;
        for stmt in &block.stmts {
            self.statement_line(stmt, &mut out, &mut end, inner);
        }
        if let Some(tail) = &block.tail {
            self.tail_line(tail, &mut out, &mut end, inner, value);
        }
        self.leading(&mut out, &mut end, range.end.saturating_sub(1), inner);
        if out == "{\n" {
            return "{}".into();
        }
        out.push_str(&" ".repeat(indent));
        out.push('}');
        out
    }

    fn statement_line(&mut self, stmt: &Stmt, out: &mut String, end: &mut usize, indent: usize) {
        let range = stmt.span.range();
        self.before_line(out, end, range.start, first_block_of_stmt(stmt).min(range.end), indent);
        let text = self.stmt(stmt, indent);
        out.push_str(&" ".repeat(indent));
        out.push_str(&text);
        *end = range.end;
        self.trailing(out, end, indent);
    }

    /// The last expression of a block. As its value it has no `;`.
    fn tail_line(&mut self, tail: &Expr, out: &mut String, end: &mut usize, indent: usize, value: bool) {
        let range = tail.span.range();
        self.before_line(out, end, range.start, first_block(tail).unwrap_or(range.end), indent);
        let text = self.expr_stmt(tail, indent, value);
        out.push_str(&" ".repeat(indent));
        out.push_str(&text);
        if !value && !matches!(tail.kind, ExprKind::If(_) | ExprKind::Block(_)) {
            out.push(';');
        }
        *end = range.end;
        self.trailing(out, end, indent);
    }

    /// What stands before a statement: comments, also those between its words, and blank lines.
    fn before_line(
        &mut self,
        out: &mut String,
        end: &mut usize,
        start: usize,
        words_end: usize,
        indent: usize,
    ) {
        self.leading(out, end, start, indent);
        self.blank_lines(out, *end, start);
        let within = self.comments.take_before(words_end);
        self.write_comments(out, &within, indent);
    }

    fn stmt(&mut self, stmt: &Stmt, indent: usize) -> String {
        match &stmt.kind {
            StmtKind::Expr(expr) => {
                let text = self.expr_stmt(expr, indent, false);
                match expr.kind {
                    ExprKind::If(_) | ExprKind::Block(_) => text,
                    _ => format!("{text};"),
                }
            }
            StmtKind::Let { var, ty, init } => {
                let mut head = format!("let ${}", var.name);
                if let Some(ty) = ty {
                    head.push_str(&format!(" : {}", self.ty(ty)));
                }
                match init {
                    Some(init) => self.assigned(format!("{head} = "), init, indent),
                    None => format!("{head};"),
                }
            }
            StmtKind::Assign { target, op, value } => {
                let target = self.expr(target, indent, indent);
                let op = op.as_ref().map_or("", |op| op.node.symbol());
                self.assigned(format!("{target} {op}= "), value, indent)
            }
            StmtKind::Discard(expr) => self.assigned("_ = ".into(), expr, indent),
            StmtKind::For(of) => {
                let over = match &of.over {
                    ForOver::Map(map) => format!("@{}", map.name),
                    ForOver::Range { start, end } => {
                        let start = self.expr(start, indent, indent);
                        format!("{start}..{}", self.expr(end, indent, indent))
                    }
                    ForOver::Error => String::new(),
                };
                format!("for ${} : {over} {}", of.var.name, self.block(&of.body, indent, false))
            }
            StmtKind::While { cond, body } => {
                let cond = self.condition(cond, indent + 6, indent);
                format!("while {cond} {}", self.block(body, indent, false))
            }
            StmtKind::Unroll { count, body } => {
                let count = self.expr(count.peel_parens(), indent + 8, indent);
                format!("unroll ({count}) {}", self.block(body, indent, false))
            }
            StmtKind::Return(None) => "return;".into(),
            StmtKind::Return(Some(value)) => self.assigned("return ".into(), value, indent),
            StmtKind::Break => "break;".into(),
            StmtKind::Continue => "continue;".into(),
            StmtKind::Import(import) => format!("import {};", self.source(import.path.span)),
            StmtKind::Error => self.source(stmt.span).trim().to_owned(),
        }
    }

    /// `head value;`
    fn assigned(&mut self, head: String, value: &Expr, indent: usize) -> String {
        let column = indent + wrap::last_line(&head).len();
        let value = self.expr(value, column, indent);
        format!("{head}{value};")
    }

    /// An expression that stands where a statement does.
    fn expr_stmt(&mut self, expr: &Expr, indent: usize, value: bool) -> String {
        match &expr.kind {
            ExprKind::If(of) => self.if_lines(of, indent, value),
            ExprKind::Block(block) => self.block(block, indent, value),
            _ => self.expr(expr, indent, indent),
        }
    }
}

/// Where the words of an item end and its lines begin.
fn head_end(item: &Item) -> usize {
    let block = |block: &Block| block.span.range().start;
    match &item.kind {
        ItemKind::Macro(def) => block(&def.body),
        ItemKind::Function(def) => block(&def.body),
        ItemKind::Probe(probe) => block(&probe.body),
        ItemKind::Config(config) => {
            config.entries.first().map_or(item.span.range().start, |entry| entry.span.range().start)
        }
        _ => item.span.range().end,
    }
}

/// Where the first block within a statement begins; the end of the text if there is none.
fn first_block_of_stmt(stmt: &Stmt) -> usize {
    let found = match &stmt.kind {
        StmtKind::Expr(expr) | StmtKind::Discard(expr) | StmtKind::Return(Some(expr)) => first_block(expr),
        StmtKind::Let { init: Some(init), .. } => first_block(init),
        StmtKind::Assign { target, value, .. } => first_block(target).or_else(|| first_block(value)),
        StmtKind::For(of) => Some(of.body.span.range().start),
        StmtKind::While { body, .. } | StmtKind::Unroll { body, .. } => Some(body.span.range().start),
        _ => None,
    };
    found.unwrap_or(usize::MAX)
}

/// Where the first block within an expression begins.
fn first_block(expr: &Expr) -> Option<usize> {
    struct Finder(Option<usize>);
    impl crate::syntax::visit::Visitor for Finder {
        fn visit_block(&mut self, block: &Block) {
            let start = block.span.range().start;
            self.0 = Some(self.0.map_or(start, |first| first.min(start)));
        }
    }
    let mut finder = Finder(None);
    crate::syntax::visit::Visitor::visit_expr(&mut finder, expr);
    finder.0
}

#[cfg(test)]
mod tests;
