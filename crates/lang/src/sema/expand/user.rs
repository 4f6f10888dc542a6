//! What a clause sees of probes in programs: parameters by name, arguments of static probes by number, types of the
//! program.

use skep_ui::{Diagnostic, Span, suggest};

use super::{Candidate, Filled, LeftOut, Located, Shape, Shaper, names_have};
use crate::hir::Attach;
use crate::sema::record::{Access, AccessKind};
use crate::sema::{params, registers};
use crate::ty::Space;
use crate::world::user_space::Symbol;

/// An argument that some static probes lack.
pub(super) struct Lack {
    number: u32,
    span: Span,
    /// The probe, and why it cannot be read if it is there.
    probe: String,
    why: Option<String>,
}

impl Shaper<'_, '_> {
    /// The types of the program that the probe is in, for a clause that may name them.
    pub(super) fn add_types(&mut self, candidate: &Candidate, shape: &mut Shape) {
        let (file, entry) = match &candidate.target.attach {
            Attach::Uprobe(uprobe) => (&uprobe.file, uprobe.entry),
            Attach::Usdt(usdt) => (&usdt.file, None),
            _ => return,
        };
        let space = self.context.world.user_space();
        // Without them the kernel's types are all there are.
        if let Ok(Some((source, _))) = params::source(self.types, space, file, entry.as_slice()) {
            shape.sources = vec![source];
        }
    }

    /// The parameters that the clause names.
    pub(super) fn fill_params(&mut self, candidate: &Candidate, shape: &mut Shape) -> Filled {
        let Attach::Uprobe(uprobe) = &candidate.target.attach else { return Filled::Yes };
        let space = self.context.world.user_space();
        let found = match params::source(self.types, space, &uprobe.file, uprobe.entry.as_slice()) {
            Ok(found) => found,
            Err(error) => {
                self.diagnostics.error(candidate.span, error.to_string());
                return Filled::Failed;
            }
        };
        let function =
            found.as_ref().and_then(|(source, program)| Some((*source, program.function(uprobe.entry?)?)));
        let Some((source, function)) = function else {
            let Some((name, span)) = self.uses.fields.first() else { return Filled::Yes };
            let complaint = Diagnostic::error(*span, "Cannot read function parameters").help(format!(
                "There is no debugging information (DWARF) about {}; its first arguments are arg0, arg1, …",
                candidate.target.name
            ));
            return self.lacks(candidate, name, complaint, shape);
        };
        shape.sources = vec![source];
        let params = params::of(self.types, source, function);
        for (name, span) in &self.uses.fields {
            let Some(param) = params.iter().find(|param| *param.name == **name) else {
                let names: Vec<&str> = params.iter().map(|param| &*param.name).collect();
                let available = match names.as_slice() {
                    [] => "The function has no parameters.".to_owned(),
                    names => format!("Parameters: {}", names.join(", ")),
                };
                let help = match suggest(name, names.iter().copied()) {
                    Some(near) => format!("Did you mean '{near}'? {available}"),
                    None => available,
                };
                let complaint =
                    Diagnostic::error(*span, format!("Can't find function parameter {name}")).help(help);
                return self.lacks(candidate, name, complaint, shape);
            };
            match &param.access {
                Ok(access) => shape.fields.push((name.clone(), Some(*access))),
                Err(why) => {
                    return self.lacks(candidate, name, Diagnostic::error(*span, why.clone()), shape);
                }
            }
        }
        if self.uses.whole.is_some() {
            let reached = params.iter().filter_map(|param| Some((&param.name, *param.access.as_ref().ok()?)));
            self.whole(reached, shape);
        }
        Filled::Yes
    }

    /// What the function returns, if debugging information tells.
    pub(super) fn result_of_program(&mut self, candidate: &Candidate, shape: &mut Shape) -> Option<Access> {
        let Attach::Uprobe(uprobe) = &candidate.target.attach else { return None };
        let space = self.context.world.user_space();
        let found = params::source(self.types, space, &uprobe.file, uprobe.entry.as_slice());
        let (source, program) = found.ok()??;
        let function = program.function(uprobe.entry?)?;
        let result = self.types.signature(source, function.id, Space::User)?.result;
        shape.sources = vec![source];
        Some(Access { kind: AccessKind::Direct, offset: registers::RETURN_VALUE, ty: result })
    }

    /// What is done about a probe that lacks what the clause names: one of many does without the clause.
    fn lacks(
        &mut self,
        candidate: &Candidate,
        field: &str,
        complaint: Diagnostic,
        shape: &mut Shape,
    ) -> Filled {
        if candidate.target.wildcard {
            let left = LeftOut { name: candidate.target.name.clone(), complaint };
            self.left_out.entry(field.to_owned()).or_default().push(left);
            return Filled::LeftOut;
        }
        self.diagnostics.push(complaint);
        shape.fields = self.uses.fields.iter().map(|(name, _)| (name.clone(), None)).collect();
        Filled::Failed
    }

    /// Where the arguments are that the clause names by number.
    pub(super) fn fill_numbered(&mut self, candidate: &Candidate, shape: &mut Shape) {
        let Attach::Usdt(usdt) = &candidate.target.attach else { return };
        for (number, span) in &self.uses.numbered {
            let why = match usdt.args.get(*number as usize) {
                Some(Ok(argument)) => {
                    shape.numbered.push((*number, Some(argument.clone())));
                    continue;
                }
                Some(Err(why)) => Some(why.clone()),
                None => None,
            };
            shape.numbered.push((*number, None));
            let probe = candidate.target.name.clone();
            self.lacking.push(Lack { number: *number, span: *span, probe, why });
        }
    }

    /// Where the symbols are that the clause asks the addresses of.
    pub(super) fn fill_symbols(&mut self, candidate: &Candidate, shape: &mut Shape) {
        let (file, at, enters) = match &candidate.target.attach {
            Attach::Uprobe(uprobe) => (&uprobe.file, uprobe.address, !uprobe.on_return),
            Attach::Usdt(usdt) => (&usdt.file, usdt.address, true),
            _ => return,
        };
        let space = self.context.world.user_space();
        for (name, span) in &self.uses.symbols {
            let located = match space.symbol(file, name) {
                Ok(Some(Symbol { address, size, fixed: true })) => {
                    Some(Located { from_here: false, offset: address.cast_signed(), size })
                }
                Ok(Some(Symbol { address, size, fixed: false })) if enters && at != 0 => {
                    Some(Located { from_here: true, offset: address.wrapping_sub(at).cast_signed(), size })
                }
                Ok(Some(_)) => {
                    let problem = format!("Where {file} is loaded cannot be told when a function returns");
                    let help = "Take the address in a uprobe and keep it in a map.";
                    self.diagnostics.push(Diagnostic::error(*span, problem).help(help));
                    None
                }
                Ok(None) => {
                    self.diagnostics.error(*span, format!("Could not resolve symbol: {file}:{name}"));
                    None
                }
                Err(error) => {
                    self.diagnostics.error(*span, error.to_string());
                    None
                }
            };
            shape.symbols.push((name.clone(), located));
        }
    }

    /// Says once per argument which static probes do not have it.
    pub(super) fn report_lacking(&mut self) {
        for (number, span) in &self.uses.numbered {
            let lacking = || self.lacking.iter().filter(|lack| lack.number == *number && lack.span == *span);
            let mut names: Vec<String> =
                lacking().filter(|lack| lack.why.is_none()).map(|lack| lack.probe.clone()).collect();
            names.dedup();
            let mut reasons: Vec<String> = lacking()
                .filter_map(|lack| Some(format!("{}: {}", lack.probe, lack.why.as_ref()?)))
                .collect();
            reasons.dedup();
            if !names.is_empty() {
                self.diagnostics
                    .warning(*span, format!("{} no arg{number}: it is 0 there.", names_have(&names)));
            }
            for reason in reasons {
                self.diagnostics
                    .warning(*span, format!("arg{number} is 0 where it cannot be read: {reason}"));
            }
        }
    }
}
