//! A rule of a file's table in the form in which programs follow it.

use skep_compile::unwind::{Kind, Rule, register};
use skep_symbols::unwind::{self, Caller, Cfa, SAVED, Slot};

/// What programs do by a rule. What they cannot do is as good as unknown.
pub(super) fn rule(rule: &unwind::Rule) -> Rule {
    match rule {
        unwind::Rule::Unknown => Rule::bare(Kind::Unknown),
        unwind::Rule::End => Rule::bare(Kind::End),
        unwind::Rule::Caller(caller) => self::caller(caller).unwrap_or(Rule::bare(Kind::Unknown)),
    }
}

fn caller(caller: &Caller) -> Option<Rule> {
    let (kind, from, cfa_offset) = match caller.cfa {
        Cfa::Register(from, offset) => (Kind::Register, from, offset),
        Cfa::Memory(from, offset) => (Kind::Memory, from, offset),
    };
    let mut rule = Rule {
        cfa_register: register(from)?,
        cfa_offset,
        interrupted: caller.interrupted,
        ..Rule::bare(kind)
    };
    // What is saved lies side by side, counted from the frame address; or, in functions that align their stack and in
    // those of signals, from a register.
    let other = caller.saved.iter().flatten().find_map(|slot| slot.base);
    let base = other.or(caller.return_address.base);
    let in_window = |slot: &Slot| slot.base == base;
    let slots =
        || caller.saved.iter().flatten().chain([&caller.return_address]).filter(|slot| in_window(slot));
    let top = slots().map(|slot| slot.offset).max().map_or(0, |offset| offset.saturating_add(8));
    // What lies too far below the rest is not followed.
    let lowest = top.saturating_sub(Rule::LARGEST_WINDOW.into());
    let bottom = slots().map(|slot| slot.offset).filter(|offset| *offset >= lowest).min().unwrap_or(top);
    let word = |slot: &Slot| {
        let from = slot.offset.checked_sub(bottom).filter(|from| *from >= 0 && from % 8 == 0)?;
        u8::try_from(from / 8).ok()
    };
    rule.window_register = base.map_or(Some(Rule::FROM_CFA), register)?;
    rule.window_offset = bottom;
    rule.window = u8::try_from(top - bottom).ok()?;
    for (slot, number) in caller.saved.iter().zip(SAVED) {
        let place = register(number).and_then(|number| rule.saved.get_mut(usize::from(number)));
        if let (Some(slot), Some(place)) = (slot.as_ref().filter(|slot| in_window(slot)), place) {
            *place = word(slot).unwrap_or(Rule::NONE);
        }
    }
    if in_window(&caller.return_address) {
        rule.return_address = word(&caller.return_address)?;
    } else if caller.return_address != (Slot { base: None, offset: -8 }) {
        return None;
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller = Caller {
        cfa: Cfa::Register(7, 8),
        saved: [None; 6],
        return_address: Slot { base: None, offset: -8 },
        interrupted: false,
    };

    fn at(base: Option<u16>, offset: i32) -> Option<Slot> {
        Some(Slot { base, offset })
    }

    #[test]
    fn a_function_that_has_pushed() {
        // rbx, rbp and r15.
        let saved = [at(None, -32), at(None, -24), None, None, None, at(None, -16)];
        let rule = caller(&Caller { cfa: Cfa::Register(7, 48), saved, ..CALLER }).unwrap();
        assert_eq!((rule.kind, rule.cfa_register, rule.cfa_offset), (Kind::Register, 19, 48));
        assert_eq!((rule.window_register, rule.window_offset, rule.window), (Rule::FROM_CFA, -32, 32));
        let none = Rule::NONE;
        assert_eq!((rule.saved, rule.return_address), ([2, none, none, none, 1, 0], 3));
    }

    #[test]
    fn a_function_that_aligns_its_stack() {
        let saved = [at(Some(6), -40), at(Some(6), 0), None, None, None, None];
        let rule = caller(&Caller { cfa: Cfa::Memory(6, -8), saved, ..CALLER }).unwrap();
        assert_eq!((rule.kind, rule.cfa_register, rule.cfa_offset), (Kind::Memory, 4, -8));
        assert_eq!((rule.window_register, rule.window_offset, rule.window), (4, -40, 48));
        assert_eq!((rule.saved[4], rule.saved[5], rule.return_address), (5, 0, Rule::NONE));
    }

    #[test]
    fn a_signal() {
        let place = |offset| at(Some(7), offset);
        let saved = [place(128), place(120), place(72), place(80), place(88), place(96)];
        let return_address = Slot { base: Some(7), offset: 168 };
        let cfa = Cfa::Memory(7, 160);
        let rule = caller(&Caller { cfa, saved, return_address, interrupted: true }).unwrap();
        assert_eq!((rule.window_register, rule.window_offset, rule.window), (19, 72, 104));
        assert_eq!((rule.saved, rule.return_address), ([3, 2, 1, 0, 6, 7], 12));
        assert!(rule.interrupted);
    }

    #[test]
    fn what_cannot_be_followed() {
        assert_eq!(caller(&Caller { cfa: Cfa::Register(99, 8), ..CALLER }), None);
        let return_address = Slot { base: None, offset: -16 };
        let saved = [None, at(Some(6), 0), None, None, None, None];
        assert_eq!(caller(&Caller { saved, return_address, ..CALLER }), None);
        // Too far away from the return address.
        let saved = [at(None, -4096), None, None, None, None, None];
        let rule = caller(&Caller { saved, ..CALLER }).unwrap();
        assert_eq!((rule.saved[5], rule.window, rule.return_address), (Rule::NONE, 8, 0));
    }
}
