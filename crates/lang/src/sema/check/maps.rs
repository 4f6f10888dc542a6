//! Maps: whether they have keys, and the types of their keys and values.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Checker, node};
use crate::hir::{Expr, ExprKind, Map, MapId};
use crate::sema::infer;
use crate::syntax::ast::{self, MapDecl, MapName};
use crate::ty::{Ty, TyKind};

/// What is known of a map.
pub struct MapInfo {
    /// With its `@`.
    pub name: String,
    /// Where it appeared first.
    pub span: Span,
    /// Whether it has keys, once that is known.
    pub keyed: Option<bool>,
    /// Type of its keys; [`Ty::ERROR`] while that is not known.
    pub key: Ty,
    /// Type of its values, which may be an aggregation; [`Ty::ERROR`] while that is not known.
    pub value: Ty,
    /// The joined type of an aggregation's samples, which decides about its sign.
    pub sample: Ty,
    /// What kind of map it was declared to be.
    pub kind: Option<MapKind>,
    /// How many keys it was declared to hold.
    pub max_entries: Option<u32>,
    /// The declaration.
    pub declared: Option<Span>,
    /// Whether this pass came upon it.
    pub used: bool,
    /// Whether this pass assigned it something whose type is not known yet.
    pub pending: bool,
}

/// A kind of map that can be declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapKind {
    name: &'static str,
    /// Each CPU has values of its own, as aggregations want.
    per_cpu: bool,
    /// New keys push out old ones.
    lru: bool,
}

const KINDS: [MapKind; 4] = [
    MapKind { name: "percpulruhash", per_cpu: true, lru: true },
    MapKind { name: "percpuhash", per_cpu: true, lru: false },
    MapKind { name: "lruhash", per_cpu: false, lru: true },
    MapKind { name: "hash", per_cpu: false, lru: false },
];

/// The number of a map and its key.
pub type Entry = (MapId, Option<Expr>);

impl Checker<'_> {
    /// The map of this name, made if there is none.
    pub fn map(&mut self, name: &MapName) -> MapId {
        let full = format!("@{}", name.name);
        let index = self.map_places.get(&full).copied().unwrap_or_else(|| {
            self.map_places.insert(full.clone(), self.maps.len());
            self.maps.push(MapInfo {
                name: full,
                span: name.span,
                keyed: None,
                key: Ty::ERROR,
                value: Ty::ERROR,
                sample: Ty::ERROR,
                kind: None,
                max_entries: None,
                declared: None,
                used: false,
                pending: false,
            });
            self.maps.len() - 1
        });
        MapId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// What is known of a map that [`Checker::map`] numbered.
    pub fn map_info(&mut self, id: MapId) -> &mut MapInfo {
        &mut self.maps[id.0 as usize]
    }

    fn map_name(&self, id: MapId) -> String {
        self.maps[id.0 as usize].name.clone()
    }

    /// The map and key that an expression names. `None` when that was complained about.
    pub fn entry(&mut self, name: &MapName, keys: Option<&[ast::Expr]>, span: Span) -> Option<Entry> {
        let id = self.map(name);
        self.map_info(id).used = true;
        self.check_kind(id, name.span);
        if !self.set_keyed(id, keys.is_some(), span) {
            return None;
        }
        let Some(keys) = keys else { return Some((id, None)) };
        let key = self.key(keys, span);
        let key = self.fit_key(id, key, span)?;
        Some((id, Some(key)))
    }

    /// Complains if what a map keeps does not suit the kind that was declared.
    fn check_kind(&mut self, id: MapId, span: Span) {
        let info = &self.maps[id.0 as usize];
        let Some(kind) = info.kind.filter(|_| info.value != Ty::ERROR) else { return };
        let aggregates = matches!(self.types.kind(info.value), TyKind::Agg(_));
        if aggregates != kind.per_cpu {
            let needed = if aggregates { "percpuhash" } else { "hash" };
            let fitting: Vec<&str> =
                KINDS.iter().filter(|kind| kind.per_cpu == aggregates).map(|kind| kind.name).collect();
            let diagnostic = Diagnostic::error(
                span,
                format!(
                    "Incompatible map types. Type from declaration: {}. Type from value/key type: {needed}",
                    kind.name
                ),
            );
            let values = if aggregates { "Aggregations go" } else { "Values that are not aggregated go" };
            self.diagnostics
                .push(diagnostic.help(format!("{values} into maps of type {}", fitting.join(" and "))));
        }
    }

    /// Remembers whether a map has keys; complains if it is used both ways.
    pub fn set_keyed(&mut self, id: MapId, keyed: bool, span: Span) -> bool {
        let info = self.map_info(id);
        match info.keyed {
            Some(before) if before != keyed => {
                let with = |keyed| {
                    if keyed {
                        "with an explicit key (non-scalar map)"
                    } else {
                        "without an explicit key (scalar map)"
                    }
                };
                let message =
                    format!("{} used as a map {}, previously used {}", info.name, with(keyed), with(before));
                self.diagnostics.error(span, message);
                false
            }
            Some(_) => true,
            None => {
                info.keyed = Some(keyed);
                self.changed = true;
                true
            }
        }
    }

    fn key(&mut self, keys: &[ast::Expr], span: Span) -> Expr {
        let mut parts: Vec<Expr> = keys.iter().map(|key| self.key_part(key, span)).collect();
        match parts.len() {
            0 => self.broken(span),
            1 => parts.remove(0),
            _ => self.tuple_of(parts, span),
        }
    }

    /// A key, or one of several, of the access at `span`.
    pub fn key_part(&mut self, key: &ast::Expr, span: Span) -> Expr {
        let key = self.operand(key);
        if let TyKind::Agg(_) = self.types.kind(key.ty) {
            let name = self.type_name(key.ty);
            return self.error(span, format!("Value '{name}' cannot be used as a map key."));
        }
        key
    }

    /// Makes a key what the map wants, or the map what the key wants.
    pub fn fit_key(&mut self, id: MapId, key: Expr, span: Span) -> Option<Expr> {
        if key.ty == Ty::ERROR {
            return Some(key);
        }
        if key.ty == Ty::VOID {
            self.diagnostics.error(span, "Value 'void' cannot be used as a map key.");
            return None;
        }
        let old = self.map_info(id).key;
        let Some(joined) = infer::join(&mut self.types, old, key.ty) else {
            let message = format!(
                "Argument mismatch for {}: trying to access with arguments: '{}' when map expects arguments: '{}'",
                self.map_name(id),
                self.type_name(key.ty),
                self.type_name(old),
            );
            self.diagnostics.error(span, message);
            return None;
        };
        if joined != old {
            self.map_info(id).key = joined;
            self.changed = true;
        }
        let from = key.ty;
        let converted = self.convert(key, joined);
        if converted.is_none() {
            let message = format!(
                "Type mismatch for {}: trying to assign key of type '{}' when map already has a key type '{}'",
                self.map_name(id),
                self.type_name(from),
                self.type_name(joined),
            );
            self.diagnostics.error(span, message);
        }
        converted
    }

    /// Widens the values of a map so that they hold a type; complains at `span` if that cannot be.
    pub fn widen_map(&mut self, id: MapId, ty: Ty, span: Span) -> bool {
        let old = self.map_info(id).value;
        match infer::join(&mut self.types, old, ty) {
            Some(joined) => {
                if joined != old {
                    self.map_info(id).value = joined;
                    self.changed = true;
                }
                true
            }
            None => {
                self.map_mismatch(id, ty, old, span);
                false
            }
        }
    }

    /// Complains that a value does not fit a map.
    pub fn map_mismatch(&mut self, id: MapId, given: Ty, has: Ty, span: Span) {
        let message = format!(
            "Type mismatch for {}: trying to assign value of type '{}' when map already has a type '{}'",
            self.map_name(id),
            self.type_name(given),
            self.type_name(has),
        );
        self.diagnostics.error(span, message);
    }

    /// A map's value where a value is wanted: `@x` or `@x[k]`.
    pub fn map_value(&mut self, name: &MapName, keys: Option<&[ast::Expr]>, span: Span) -> Expr {
        let Some((id, key)) = self.entry(name, keys, span) else { return self.broken(span) };
        let ty = self.map_info(id).value;
        let key = key.map(Box::new);
        let kind = match self.types.kind(ty) {
            TyKind::Agg(_) => ExprKind::AggEntry { map: id, key },
            _ => ExprKind::MapGet { map: id, key },
        };
        node(kind, ty, span)
    }

    /// The map itself, as functions over whole maps take it. Complains if it is never filled.
    pub fn whole_map(&mut self, name: &MapName) -> Option<MapId> {
        let full = format!("@{}", name.name);
        let known = self.map_places.get(&full).copied().filter(|place| self.maps[*place].keyed.is_some());
        let Some(index) = known else {
            let mut diagnostic = Diagnostic::error(name.span, format!("Undefined map: {full}"));
            let names = self.maps.iter().filter(|map| map.keyed.is_some()).map(|map| map.name.as_str());
            if let Some(near) = suggest(&full, names) {
                diagnostic = diagnostic.help(format!("Did you mean {near}?"));
            }
            self.diagnostics.push(diagnostic);
            return None;
        };
        self.maps[index].used = true;
        Some(MapId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Takes in the declarations: `let @a = hash(100);`.
    pub fn declare_maps(&mut self, declarations: &[&MapDecl]) {
        for declaration in declarations {
            let span = declaration.map.span;
            let id = self.map(&declaration.map);
            let wanted = declaration.map_type.name.as_str();
            let kind = KINDS.into_iter().find(|kind| kind.name == wanted);
            if kind.is_none() {
                let valid = KINDS.map(|kind| kind.name).join(", ");
                self.diagnostics.push(
                    Diagnostic::error(declaration.map_type.span, format!("Invalid bpf map type: {wanted}"))
                        .help(format!("Valid map types: {valid}")),
                );
            }
            let entries = match declaration.args.as_slice() {
                [only] => match &only.peel_parens().kind {
                    ast::ExprKind::Int(literal) => {
                        u32::try_from(literal.value).ok().filter(|entries| *entries > 0)
                    }
                    ast::ExprKind::Error => Some(1),
                    _ => None,
                },
                _ => None,
            };
            if entries.is_none() {
                let place = declaration.args.first().map_or(declaration.map_type.span, |arg| arg.span);
                self.diagnostics
                    .error(place, "syntax: expected positive integer for map declaration max entries");
            }
            let info = self.map_info(id);
            info.kind = kind;
            info.max_entries = entries;
            info.declared = Some(span);
        }
    }

    /// Warns about maps that are declared and not used.
    pub fn warn_unused_maps(&mut self) {
        for map in &self.maps {
            if let (Some(span), false) = (map.declared, map.used) {
                self.diagnostics.warning(span, format!("Unused map: {}", map.name));
            }
        }
    }

    /// Lets maps whose values nothing tells about hold integers; `false` if there are none. Those
    /// that are assigned something unknown wait for what that depends on.
    pub fn default_unknown_maps(&mut self) -> bool {
        let literal = infer::literal(&mut self.types, 0);
        let unknown = |map: &MapInfo| map.keyed.is_some() && map.value == Ty::ERROR;
        let all_pending = self.maps.iter().filter(|map| unknown(map)).all(|map| map.pending);
        let mut any = false;
        for map in &mut self.maps {
            if unknown(map) && (all_pending || !map.pending) {
                map.value = literal;
                any = true;
            }
        }
        any
    }

    /// The maps of the program, all types settled.
    pub fn finish_maps(&mut self) -> Vec<Map> {
        let maps = std::mem::take(&mut self.maps);
        maps.into_iter()
            .map(|map| {
                let keyed = map.keyed == Some(true);
                let default = if keyed { self.config.max_map_keys } else { 1 };
                // A map that is only declared holds nothing, and yet takes its place.
                let value = if map.keyed.is_some() { map.value } else { Ty::I64 };
                Map {
                    key: if keyed { infer::settle(&mut self.types, map.key) } else { Ty::VOID },
                    value: infer::settle(&mut self.types, value),
                    max_entries: map.max_entries.unwrap_or(default),
                    lru: map.kind.is_some_and(|kind| kind.lru),
                    name: map.name,
                    span: map.span,
                }
            })
            .collect()
    }
}
