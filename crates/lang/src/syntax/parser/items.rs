//! The outer level of a script, and the order that its items must stand in.

use skep_ui::{Diagnostic, Span};

use super::Parser;
use super::types::is_reserved;
use crate::syntax::ast::*;
use crate::syntax::lexer::TokenKind;

/// The stretches of a script. Each kind of item belongs to one; there is no way back.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    C,
    ConfigAndImports,
    Rest,
}

impl Parser<'_, '_> {
    pub(super) fn script(&mut self) -> Script {
        let shebang = self.shebang();
        let mut items = Vec::new();
        let mut stage = Stage::C;
        let mut config = None;
        while !self.at(TokenKind::Eof) {
            let start = self.start();
            let before = self.diagnostics.len();
            let kind = self.item();
            let span = self.since(start);
            if !self.lost {
                self.check_order(&kind, span, &mut stage, &mut config);
            }
            items.push(Item { id: self.ids.fresh(), span, kind });
            if self.lost {
                self.skip_to_item(start);
            } else if self.diagnostics.len() > before {
                self.skip_closing_braces();
            }
        }
        let text = self.cursor.source();
        let span = Span::new(self.cursor.file(), 0, text.len() as u32);
        let comments = self.cursor.take_comments();
        Script { id: self.ids.fresh(), span, shebang, items, comments }
    }

    /// `#!…`, which only counts at the beginning of the script.
    fn shebang(&mut self) -> Option<Span> {
        let token = self.peek();
        let rest = self.cursor.source().get(token.start as usize..).unwrap_or("");
        if !rest.starts_with("#!") {
            return None;
        }
        let length = rest.find('\n').unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or(rest).trim_end();
        let end = token.start + line.len() as u32;
        self.cursor.take_raw(end);
        Some(Span::new(self.cursor.file(), token.start, end))
    }

    fn item(&mut self) -> ItemKind {
        match self.kind() {
            TokenKind::Hash => return ItemKind::C(self.preprocessor_line()),
            TokenKind::RBrace => {
                let token = self.bump();
                let span = self.cursor.span(token);
                self.report(Diagnostic::error(span, "syntax: unexpected '}'").help("No block is open here."));
                // If statements follow, the block was closed too early, and they are no items.
                self.lost = !self.begins_item();
                return ItemKind::Error;
            }
            _ => {}
        }
        if matches!(self.kind(), TokenKind::Var | TokenKind::Map) {
            let token = self.peek();
            self.fail(
                Diagnostic::error(self.cursor.span(token), "syntax: expected attach point")
                    .help("Statements stand between the braces of a probe."),
            );
            return ItemKind::Error;
        }
        if self.at_c_type() {
            return ItemKind::C(self.c_type());
        }
        // A keyword that a colon follows is the (wrong) provider of an attach point.
        let word = if self.nth(1) == TokenKind::Colon { "" } else { self.word() };
        match word {
            "config" => self.config(),
            "import" => self.import(),
            "macro" => self.macro_def(),
            "fn" => self.function(),
            "let" => self.map_decl(),
            "typedef" | "static" | "const" => ItemKind::C(self.c_declaration()),
            _ => self.probe(),
        }
    }

    fn check_order(&mut self, kind: &ItemKind, span: Span, stage: &mut Stage, config: &mut Option<Span>) {
        let (wanted, message) = match kind {
            ItemKind::C(_) => (Stage::C, "C definitions must appear before probes and functions"),
            ItemKind::Config(_) => {
                (Stage::ConfigAndImports, "config must appear before probes and functions")
            }
            ItemKind::Import(_) => {
                (Stage::ConfigAndImports, "root imports must appear before probes and functions")
            }
            ItemKind::Error => return,
            _ => (Stage::Rest, ""),
        };
        if let ItemKind::Config(_) = kind {
            let keyword = Span::new(span.file, span.start, span.start + "config".len() as u32);
            if let Some(first) = config {
                let diagnostic = Diagnostic::error(keyword, "syntax: duplicate config block")
                    .see(*first, "The first one stands here.")
                    .help("Put all settings into one block.");
                self.report(diagnostic);
            }
            config.get_or_insert(keyword);
        }
        if wanted < *stage {
            // Of a block or import, the keyword is enough to see which one is meant.
            let place = match kind {
                ItemKind::C(_) => span,
                _ => Span::new(span.file, span.start, span.start + "config".len() as u32),
            };
            self.report(Diagnostic::error(place, format!("syntax: {message}")));
        } else {
            *stage = wanted;
        }
    }

    /// Skips the rest of a broken item, up to what looks like the beginning of the next.
    fn skip_to_item(&mut self, start: Span) {
        let mut depth = 0u32;
        loop {
            let token = self.peek();
            let moved = token.start > start.start;
            match token.kind {
                TokenKind::Eof => break,
                TokenKind::LBrace => depth += 1,
                TokenKind::RBrace => {
                    self.bump();
                    depth = depth.saturating_sub(1);
                    if depth == 0 && self.begins_item() {
                        break;
                    }
                    continue;
                }
                TokenKind::Semi if depth == 0 => {
                    self.bump();
                    if self.begins_item() {
                        break;
                    }
                    continue;
                }
                TokenKind::Hash if moved && self.cursor.at_column_one(token) => break,
                _ if moved && self.at_next_item() => break,
                TokenKind::Ident if moved && depth == 0 && self.at_item_keyword() => break,
                _ => {}
            }
            self.bump();
        }
        self.lost = false;
        self.skip_closing_braces();
    }

    /// After an error, a brace too many is most likely a consequence.
    fn skip_closing_braces(&mut self) {
        while matches!(self.kind(), TokenKind::RBrace | TokenKind::Semi) {
            self.bump();
        }
    }

    /// Whether an item may come next, rather than the statements of a block that lost its brace.
    fn begins_item(&mut self) -> bool {
        let next = self.nth(1);
        match self.kind() {
            TokenKind::Eof | TokenKind::Hash | TokenKind::RBrace => true,
            TokenKind::Ident => matches!(
                next,
                TokenKind::LBrace | TokenKind::Colon | TokenKind::Slash | TokenKind::Comma | TokenKind::Ident
            ),
            _ => false,
        }
    }

    fn at_item_keyword(&mut self) -> bool {
        let token = self.peek();
        self.cursor.at_column_one(token)
            && matches!(
                self.word(),
                "config" | "import" | "macro" | "fn" | "let" | "struct" | "union" | "enum" | "typedef"
            )
    }

    /// `config = { key = value; … }`
    fn config(&mut self) -> ItemKind {
        self.bump();
        self.expect(TokenKind::Eq, "'='");
        let Some(open) = self.expect(TokenKind::LBrace, "'{'") else {
            return ItemKind::Config(ConfigBlock { entries: Vec::new() });
        };
        let mut entries = Vec::new();
        while !matches!(self.kind(), TokenKind::RBrace | TokenKind::Eof) && !self.at_next_item() {
            let before = self.peek();
            if let Some(entry) = self.config_entry() {
                entries.push(entry);
            }
            if !self.lost && !self.at(TokenKind::RBrace) {
                self.expect(TokenKind::Semi, "';'");
            }
            if self.lost {
                self.skip_statement();
                if self.peek() == before {
                    self.bump();
                }
            }
        }
        self.close(open, TokenKind::RBrace, "'}'");
        ItemKind::Config(ConfigBlock { entries })
    }

    fn config_entry(&mut self) -> Option<ConfigEntry> {
        let start = self.start();
        let key = self.expect_ident("config key")?;
        self.expect(TokenKind::Eq, "'='")?;
        let token = self.peek();
        let value_start = self.start();
        let value = match token.kind {
            TokenKind::Str { .. } => ConfigValue::String(self.string_lit().bytes),
            TokenKind::Int => {
                self.bump();
                self.int_lit(token).map_or(ConfigValue::Error, |lit| ConfigValue::Int(lit.value))
            }
            TokenKind::Ident => {
                self.bump();
                match self.cursor.text(token) {
                    "true" => ConfigValue::Bool(true),
                    "false" => ConfigValue::Bool(false),
                    word => ConfigValue::Word(word.to_owned()),
                }
            }
            _ => {
                self.error_at(token, "expected string, int, boolean, or ident");
                ConfigValue::Error
            }
        };
        let value = Spanned::new(value, self.since(value_start));
        let span = self.since(start);
        Some(ConfigEntry { id: self.ids.fresh(), span, key, value })
    }

    /// `import "path";`
    fn import(&mut self) -> ItemKind {
        self.bump();
        let Some(path) = self.import_path() else { return ItemKind::Error };
        self.expect(TokenKind::Semi, "';' after import");
        ItemKind::Import(Import { path })
    }

    /// The string after `import`, which was taken.
    pub(super) fn import_path(&mut self) -> Option<StringLit> {
        let token = self.peek();
        if matches!(token.kind, TokenKind::Str { .. }) {
            return Some(self.string_lit());
        }
        self.error_at(token, "expected string after 'import'");
        None
    }

    /// `let @a = hash(100);`
    fn map_decl(&mut self) -> ItemKind {
        let start = self.start();
        self.bump();
        if !self.at(TokenKind::Map) {
            let token = self.peek();
            let span = start.to(self.cursor.span(token));
            self.fail(
                Diagnostic::error(
                    span,
                    "syntax: root-level let statements need to be map declarations, e.g. let @a = hash(2);",
                )
                .help("Write 'let @name = hash(100);'."),
            );
            return ItemKind::Error;
        }
        let token = self.bump();
        let map = self.map_name(token);
        self.expect(TokenKind::Eq, "'='");
        let Some(map_type) = self.expect_ident("map type name") else { return ItemKind::Error };
        let Some(open) = self.expect(TokenKind::LParen, "'('") else { return ItemKind::Error };
        let mut args = Vec::new();
        while !self.lost && !self.at(TokenKind::RParen) {
            args.push(self.expression());
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(open, TokenKind::RParen, "')'");
        self.eat(TokenKind::Semi);
        ItemKind::MapDecl(MapDecl { map, map_type, args })
    }

    /// `macro name($x, @y, z) { … }`
    fn macro_def(&mut self) -> ItemKind {
        let start = self.start();
        self.bump();
        let Some(name) = self.expect_ident("macro name") else { return ItemKind::Error };
        let Some(open) = self.expect(TokenKind::LParen, "'('") else { return ItemKind::Error };
        let mut params = Vec::new();
        while !self.lost && !self.at(TokenKind::RParen) {
            match self.macro_param() {
                Some(param) => params.push(param),
                None => break,
            }
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(open, TokenKind::RParen, "')'");
        let header = self.since(start);
        match self.block() {
            Some(body) => ItemKind::Macro(MacroDef { name, header, params, body }),
            None => ItemKind::Error,
        }
    }

    fn macro_param(&mut self) -> Option<MacroParam> {
        let token = self.peek();
        match token.kind {
            TokenKind::Var => {
                self.bump();
                Some(MacroParam::Var(self.var_name(token)))
            }
            TokenKind::Map => {
                self.bump();
                Some(MacroParam::Map(self.map_name(token)))
            }
            TokenKind::Ident => {
                self.bump();
                let ident = self.ident(token);
                if is_reserved(&ident.name) {
                    let message =
                        format!("syntax: builtin '{}' can't be used as a macro argument", ident.name);
                    self.report(Diagnostic::error(ident.span, message));
                }
                Some(MacroParam::Expr(ident))
            }
            _ => {
                self.error_at(token, "expected macro argument ($var, @map, or identifier)");
                None
            }
        }
    }

    /// `fn name($a : type, …) : type { … }`
    fn function(&mut self) -> ItemKind {
        let start = self.start();
        self.bump();
        let Some(name) = self.expect_ident("function name") else { return ItemKind::Error };
        let Some(open) = self.expect(TokenKind::LParen, "'('") else { return ItemKind::Error };
        let mut params = Vec::new();
        while !self.lost && !self.at(TokenKind::RParen) {
            let param_start = self.start();
            let Some(token) = self.expect(TokenKind::Var, "variable in function argument") else { break };
            let var = self.var_name(token);
            self.expect(TokenKind::Colon, "':'");
            let ty = self.type_expr();
            let span = self.since(param_start);
            params.push(FnParam { id: self.ids.fresh(), span, var, ty });
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        self.close(open, TokenKind::RParen, "')'");
        self.expect(TokenKind::Colon, "':' and the return type");
        let ret = self.type_expr();
        let header = self.since(start);
        match self.block() {
            Some(body) => ItemKind::Function(FunctionDef { name, header, params, ret, body }),
            None => ItemKind::Error,
        }
    }

    /// `name = attach,points /predicate/ { … }`
    fn probe(&mut self) -> ItemKind {
        let start = self.start();
        let name = if self.nth(0) == TokenKind::Ident && self.nth(1) == TokenKind::Eq {
            let token = self.bump();
            self.bump();
            Some(self.ident(token))
        } else {
            None
        };
        let mut attach_points = vec![self.attach_point()];
        let mut header = self.since(start);
        while self.eat(TokenKind::Comma).is_some() {
            // The last attach point may be followed by a comma too.
            if matches!(self.kind(), TokenKind::LBrace | TokenKind::Slash | TokenKind::Eof) {
                break;
            }
            attach_points.push(self.attach_point());
            header = self.since(start);
        }
        let predicate = self.predicate();
        if predicate.is_none() {
            self.check_for_swallowed_predicate(&attach_points);
        }
        if !self.lost && !self.at(TokenKind::LBrace) {
            self.missing_probe_body(&attach_points, predicate.is_some());
        }
        match self.block() {
            Some(body) => ItemKind::Probe(Probe { name, attach_points, header, predicate, body }),
            None => ItemKind::Error,
        }
    }

    /// In `kprobe:f/pid == 1/ { … }` the predicate reads as part of the attach point, because behind a
    /// colon a slash belongs to a path.
    fn check_for_swallowed_predicate(&mut self, attach_points: &[AttachPoint]) {
        let Some(last) = attach_points.last().and_then(|ap| ap.parts.last()) else { return };
        let text = last.text();
        if has_bare_slash(last) && text.len() > 1 && text.ends_with('/') {
            let message = "syntax: the attach point ends with '/'";
            self.report(Diagnostic::error(last.span, message).help(PREDICATE_NEEDS_BLANK));
        }
    }

    fn missing_probe_body(&mut self, attach_points: &[AttachPoint], has_predicate: bool) {
        let token = self.peek();
        let last_part = attach_points.last().and_then(|ap| ap.parts.last());
        let help = match token.kind {
            _ if last_part.is_some_and(has_bare_slash) => Some(PREDICATE_NEEDS_BLANK),
            TokenKind::Colon => Some("Write attach points without blanks: 'kprobe:vfs_read'."),
            TokenKind::Eof | TokenKind::Semi if !has_predicate => {
                Some("A probe needs a body: 'tracepoint:sched:sched_switch { … }'.")
            }
            TokenKind::Ident | TokenKind::Star | TokenKind::Int if !has_predicate => {
                Some("Several attach points are separated by commas; one with blanks in it must be quoted.")
            }
            _ => None,
        };
        let mut diagnostic = Diagnostic::error(self.cursor.span(token), "syntax: expected '{'");
        if let Some(help) = help {
            diagnostic = diagnostic.help(help);
        }
        self.fail(diagnostic);
    }

    /// `/ … /`
    fn predicate(&mut self) -> Option<Predicate> {
        let start = self.start();
        self.eat(TokenKind::Slash)?;
        self.in_predicate = true;
        let cond = self.expression();
        if self.eat(TokenKind::Slash).is_none() {
            let token = self.peek();
            self.error_at(token, "expected '/' to close predicate");
        }
        self.in_predicate = false;
        if self.lost {
            self.skip_to_probe_body();
        }
        Some(Predicate { span: self.since(start), cond })
    }

    /// Skips the rest of a broken predicate, up to the body of the probe if it is in sight.
    fn skip_to_probe_body(&mut self) {
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::LBrace => {
                    self.lost = false;
                    return;
                }
                TokenKind::Eof | TokenKind::RBrace | TokenKind::Semi => return,
                _ if self.at_next_item() => return,
                _ => {
                    self.bump();
                }
            }
        }
    }
}

const PREDICATE_NEEDS_BLANK: &str =
    "A blank must stand before a predicate: 'kprobe:vfs_read /pid == 1/ { … }'.";

fn has_bare_slash(part: &ApPart) -> bool {
    part.pieces.iter().any(|piece| matches!(&piece.kind, ApPieceKind::Text(text) if text.contains('/')))
}
