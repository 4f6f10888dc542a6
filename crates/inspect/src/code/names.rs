//! Names for what a program calls.

use skep_isa::disasm::Names;
use skep_isa::helpers::helper_by_id;
use skep_isa::{Insn, insn::opcode};
use skep_kernel::kallsyms::{self, Found, Wanted};

use super::Code;
use crate::collect;

/// The symbol from which calls of the kernel's functions count.
const CALL_BASE: &str = "__bpf_call_base";

/// The names of all calls in a program.
#[derive(Debug)]
pub(crate) struct CallNames<'a> {
    code: &'a Code,
    found: Found,
    /// Kernel functions by their type id.
    kfuncs: Vec<(i32, String)>,
}

impl<'a> CallNames<'a> {
    /// Looks up what the program calls.
    pub(crate) fn look_up(code: &'a Code) -> Self {
        let calls = code.insns.iter().filter(|insn| insn.code == opcode::JMP | opcode::CALL);
        let mut wanted = Wanted { base: CALL_BASE, ..Wanted::default() };
        let mut kfunc_ids = Vec::new();
        for call in calls {
            match call.src {
                opcode::PSEUDO_CALL => {}
                opcode::PSEUDO_KFUNC_CALL if call.off == 0 => kfunc_ids.push(call.imm),
                0 if is_helper(call) => {}
                _ => wanted.distances.push(i64::from(call.imm)),
            }
        }
        wanted.distances.sort_unstable();
        wanted.distances.dedup();
        let kfuncs = if kfunc_ids.is_empty() { Vec::new() } else { kfunc_names(kfunc_ids) };
        // Without names the numbers are shown.
        let found = if wanted.distances.is_empty() {
            Found::default()
        } else {
            kallsyms::find(&wanted).unwrap_or_default()
        };
        Self { code, found, kfuncs }
    }
}

impl Names for CallNames<'_> {
    fn call(&self, insn: &Insn) -> Option<String> {
        if insn.src == opcode::PSEUDO_CALL {
            let distance = insn.off;
            let address = usize::try_from(insn.imm)
                .ok()
                .and_then(|number| Some((number, *self.code.info.extra.jited_ksyms.get(number)?)));
            let Some((number, address)) = address else { return Some(format!("{distance:+}")) };
            return Some(match self.code.symbol(number) {
                Some(name) => format!("{distance:+}#{name}"),
                None => format!("{distance:+}#{address:#x}"),
            });
        }
        if insn.src == opcode::PSEUDO_KFUNC_CALL
            && let Some((_, name)) = self.kfuncs.iter().find(|(id, _)| *id == insn.imm)
        {
            return Some(name.clone());
        }
        let address = self.found.base.wrapping_add_signed(i64::from(insn.imm));
        let name = self.found.names.get(&address);
        Some(name.map_or_else(|| format!("{address:#x}"), Clone::clone))
    }
}

fn is_helper(call: &Insn) -> bool {
    call.imm >= 0 && (call.imm == 0 || helper_by_id(call.imm as u32).is_some())
}

/// The names of functions by their ids in the kernel's types.
fn kfunc_names(ids: Vec<i32>) -> Vec<(i32, String)> {
    let Some(btf) = collect::kernel_btf() else { return Vec::new() };
    let name = |id: i32| {
        let ty = btf.get(skep_btf::TypeId(u32::try_from(id).ok()?))?;
        matches!(ty, skep_btf::Type::Func { .. }).then(|| (id, ty.name().to_owned()))
    };
    ids.into_iter().filter_map(name).collect()
}
