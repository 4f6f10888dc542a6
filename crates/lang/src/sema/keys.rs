//! Keys that fit the kernel: before Linux 5.11 a hash map takes keys of at most 512 bytes, which is less than one
//! text or stack of the usual length.

use skep_ui::{Diagnostic, Diagnostics};

use crate::hir::Program;
use crate::ty::{Stack, Ty, TyKind, Types};

/// Keys of so many bytes fit every kernel, which then need not be asked.
pub const ALWAYS_FIT: u32 = 512;

/// Cuts the texts and stacks in keys that take more than `most` bytes, all to the same length and no more than
/// needed, and says so.
pub fn fit(program: &mut Program, most: u32, diagnostics: &mut Diagnostics) {
    let types = &mut program.types;
    for map in &mut program.maps {
        let size = types.size(map.key);
        if size <= most {
            continue;
        }
        // Capacities in steps of a word, so that what follows a text stays where it can be compared fast.
        let capacity = (1..=most / 8).rev().map(|words| words * 8).find(|&capacity| {
            let cut = with_parts_cut(types, map.key, capacity);
            types.size(cut) <= most
        });
        let Some(capacity) = capacity else {
            let message = format!(
                "The keys of {} take {size} bytes, and this kernel takes keys of at most {most} bytes",
                map.name
            );
            diagnostics.push(Diagnostic::error(map.span, message));
            continue;
        };
        let cut = with_parts_cut(types, map.key, capacity);
        let (what, help) = match largest_stack(types, map.key) {
            None => (
                format!("Texts in the keys of {} are cut to {} bytes", map.name, capacity - 1),
                "To choose what is kept, give str() a length, or set max_strlen.",
            ),
            Some(_) => (
                format!(
                    "Stacks in the keys of {} are cut to their innermost {} frames",
                    map.name,
                    largest_stack(types, cut).unwrap_or(0)
                ),
                "To choose what is kept, give kstack() and ustack() a number of frames.",
            ),
        };
        map.key = cut;
        let message = format!("{what}: this kernel takes keys of at most {most} bytes.");
        diagnostics.push(Diagnostic::warning(map.span, message).help(help));
    }
}

/// The most frames that a stack in the type has, if there is one in it.
fn largest_stack(types: &Types, ty: Ty) -> Option<u32> {
    match types.kind(ty) {
        TyKind::Stack(stack) => Some(stack.frames),
        TyKind::Tuple(_) | TyKind::Record(_) => {
            types.elems(ty).into_iter().filter_map(|elem| largest_stack(types, elem)).max()
        }
        _ => None,
    }
}

/// The type with no text or stack in it that takes more than `capacity` bytes.
fn with_parts_cut(types: &mut Types, ty: Ty, capacity: u32) -> Ty {
    match types.kind(ty).clone() {
        TyKind::Str(old) if old > capacity => types.str(capacity),
        TyKind::Stack(stack) if types.size(ty) > capacity => {
            let frames = capacity.saturating_sub(Stack::HEADER) / stack.frame_size();
            types.intern(TyKind::Stack(Stack { frames, ..stack }))
        }
        TyKind::Tuple(elems) => {
            let elems: Vec<Ty> = elems.iter().map(|elem| with_parts_cut(types, *elem, capacity)).collect();
            types.tuple(elems)
        }
        TyKind::Record(fields) => {
            let fields = fields
                .iter()
                .map(|(name, ty)| (name.clone(), with_parts_cut(types, *ty, capacity)))
                .collect();
            types.intern(TyKind::Record(fields))
        }
        _ => ty,
    }
}

#[cfg(test)]
mod tests {
    use skep_ui::Span;

    use super::*;
    use crate::hir::Map;
    use crate::ty::StackMode;

    fn map(key: Ty) -> Map {
        Map { name: "@m".into(), key, value: Ty::U64, max_entries: 1, lru: false, span: Span::GENERATED }
    }

    #[test]
    fn texts_share_what_room_there_is() {
        let mut program = Program::default();
        let types = &mut program.types;
        let (long, short) = (types.str(1024), types.str(16));
        let inner = types.tuple([long, Ty::U32]);
        let key = types.tuple([Ty::U32, short, inner]);
        program.maps = vec![map(key), map(short)];
        let mut diagnostics = Diagnostics::new();
        fit(&mut program, 512, &mut diagnostics);
        let types = &program.types;
        assert_eq!(types.name(program.maps[0].key), "(uint32,string[16],(string[488],uint32))");
        assert_eq!(types.size(program.maps[0].key), 512);
        assert_eq!(program.maps[1].key, short);
        assert_eq!(diagnostics.len(), 1);
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn stacks_lose_their_outermost_frames() {
        let mut program = Program::default();
        let stack = |user| Stack { user, mode: StackMode::Bpftrace, frames: 127 };
        let elems = [stack(true), stack(false)].map(|stack| program.types.intern(TyKind::Stack(stack)));
        let key = program.types.tuple(elems);
        program.maps = vec![map(key)];
        let mut diagnostics = Diagnostics::new();
        fit(&mut program, 512, &mut diagnostics);
        assert_eq!(program.types.name(program.maps[0].key), "(ustack_bpftrace_31,kstack_bpftrace_31)");
        assert!(!diagnostics.has_errors());
    }

    #[test]
    fn a_key_that_is_too_long_without_its_texts_is_an_error() {
        let mut program = Program::default();
        let key = program.types.tuple(vec![Ty::U64; 65]);
        program.maps = vec![map(key)];
        let mut diagnostics = Diagnostics::new();
        fit(&mut program, 512, &mut diagnostics);
        assert!(diagnostics.has_errors());
    }
}
