//! Stacks and symbols as text.

use std::io::Write;

use skep_lang::ty::StackMode;
use skep_symbols::Frame;

use super::output::{push_foreign, push_hex};
use crate::stack::{BuildIdFrame, Stack, Symbol};

/// Appends the frames of a stack, a line each, the first one on a line of its own.
pub(super) fn push_stack(out: &mut Vec<u8>, stack: Stack<'_>, escape: bool) {
    out.push(b'\n');
    // Writing to a `Vec` cannot fail.
    let number = |out: &mut Vec<u8>, number: std::fmt::Arguments<'_>| {
        let _ = out.write_fmt(number);
    };
    match stack.mode() {
        StackMode::Raw => {
            for address in stack.addresses() {
                number(out, format_args!("{address:x}\n"));
            }
        }
        StackMode::BuildId => {
            for frame in stack.build_ids() {
                match frame {
                    BuildIdFrame::File { id, offset } => {
                        id.iter().for_each(|&byte| push_hex(out, byte));
                        number(out, format_args!(" {offset:#x}\n"));
                    }
                    BuildIdFrame::Address(address) => number(out, format_args!("{address:#x}\n")),
                }
            }
        }
        StackMode::Bpftrace => {
            for (address, frames) in stack.named() {
                for frame in &*frames {
                    out.extend_from_slice(b"        ");
                    push_frame(out, address, frame, escape);
                    out.push(b'\n');
                }
            }
        }
        StackMode::Perf => {
            for (address, frames) in stack.named() {
                for frame in &*frames {
                    number(out, format_args!("\t{address:x} "));
                    push_perf_frame(out, address, frame, stack.is_kernel(), escape);
                    out.push(b'\n');
                }
            }
        }
    }
}

/// `function+offset@file:line`
fn push_frame(out: &mut Vec<u8>, address: u64, frame: &Frame, escape: bool) {
    if frame.inlined {
        out.extend_from_slice(b"[inlined] ");
    }
    push_name(out, address, frame, escape);
    if let Some(source) = &frame.source {
        out.push(b'@');
        push_foreign(out, source.path.as_bytes(), escape);
        // Writing to a `Vec` cannot fail.
        let _ = write!(out, ":{}", source.line);
    }
}

/// `function+offset (file)`, or `function (inlined)`. The kernel's frames are in no file.
fn push_perf_frame(out: &mut Vec<u8>, address: u64, frame: &Frame, kernel: bool, escape: bool) {
    push_name(out, address, frame, escape);
    match (&frame.name, &frame.module) {
        (Some(_), _) if frame.inlined => out.extend_from_slice(b" (inlined)"),
        _ if kernel => {}
        (Some(_), Some(module)) => {
            out.extend_from_slice(b" (");
            push_foreign(out, module.as_os_str().as_encoded_bytes(), escape);
            out.push(b')');
        }
        _ => out.extend_from_slice(b" ([unknown])"),
    }
}

/// `function+offset`, `function` if it was inlined, or the address.
fn push_name(out: &mut Vec<u8>, address: u64, frame: &Frame, escape: bool) {
    // Writing to a `Vec` cannot fail.
    let _ = match &frame.name {
        None => write!(out, "{address:#x}"),
        Some(name) => {
            push_foreign(out, name.as_bytes(), escape);
            if frame.inlined { Ok(()) } else { write!(out, "+{}", frame.offset) }
        }
    };
}

/// Appends the function that an address is in, or the address.
pub(super) fn push_symbol(out: &mut Vec<u8>, symbol: Symbol<'_>, escape: bool) {
    match symbol.frame().and_then(|frame| frame.name) {
        Some(name) => push_foreign(out, name.as_bytes(), escape),
        // As the original writes addresses, where zero has no prefix.
        None if symbol.address() == 0 => out.push(b'0'),
        // Writing to a `Vec` cannot fail.
        None => drop(write!(out, "{:#x}", symbol.address())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use skep_symbols::Source;

    use super::*;

    fn frame(name: &str, inlined: bool) -> Frame {
        Frame {
            name: Some(name.into()),
            offset: if inlined { 0 } else { 12 },
            module: Some(Rc::from(Path::new("/bin/x"))),
            source: Some(Source { path: "/src/a.c".into(), line: 5 }),
            inlined,
        }
    }

    fn shown(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn frames() {
        let plain = |frame: &Frame| shown(|out| push_frame(out, 0x1f, frame, false));
        assert_eq!(plain(&frame("f", false)), "f+12@/src/a.c:5");
        assert_eq!(plain(&frame("g", true)), "[inlined] g@/src/a.c:5");
        assert_eq!(plain(&Frame { source: None, ..frame("f", false) }), "f+12");
        assert_eq!(plain(&Frame::default()), "0x1f");
    }

    #[test]
    fn frames_as_perf_shows_them() {
        let perf = |frame: &Frame, kernel| shown(|out| push_perf_frame(out, 0x1f, frame, kernel, false));
        assert_eq!(perf(&frame("f", false), false), "f+12 (/bin/x)");
        assert_eq!(perf(&frame("g", true), false), "g (inlined)");
        assert_eq!(perf(&Frame { module: None, ..frame("jit", false) }, false), "jit+12 ([unknown])");
        assert_eq!(perf(&Frame::default(), false), "0x1f ([unknown])");
        assert_eq!(perf(&frame("f", false), true), "f+12");
    }

    #[test]
    fn a_name_cannot_steer_a_terminal() {
        let name = shown(|out| push_frame(out, 0, &Frame { source: None, ..frame("\x1b[2J", false) }, true));
        assert!(!name.contains('\x1b'), "{name:?}");
    }
}
