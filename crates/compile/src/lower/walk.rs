//! Walks over objects of the kernel: where they end, and `printf` in pinned ones, where the kernel makes the text for
//! whoever reads the file that the walk is pinned to.
//!
//! Each piece of the format is written by a call of its own. `bpf_seq_write` takes bytes as they are; `bpf_seq_printf`
//! formats, but takes no bytes beyond ASCII, no more than a dozen values at a time, and on some kernels no more than 128
//! bytes of a text. If the kernel's buffer is full, the kernel takes back what the program has written about the object at
//! hand, finds a larger buffer and runs the program again.

use skep_isa::helpers::id;
use skep_lang::hir::{Conversion, Expr, Format, Piece, ProbeKind, Spec};
use skep_lang::ty::TyKind;
use skep_ui::Span;

use super::Lower;
use super::func::Place;
use crate::error::Error;
use crate::ir::{BinOp, CmpOp, Value, ValueTy, Width};

/// Where the context of a walk holds the object that it has come to, behind what it tells of the walk itself.
const OBJECT: u32 = 8;

impl Lower<'_> {
    /// Ends the run that comes after the last object: the kernel announces the end by one without an object.
    pub(super) fn stop_after_walk(&mut self) {
        if self.probe != ProbeKind::Iter {
            return;
        }
        let ctx = self.func.ctx();
        let object = self.untyped(Place::aligned(ctx).at(OBJECT));
        let (stop, go) = (self.func.new_block(), self.func.new_block());
        let zero = self.func.int(0);
        self.func.branch(CmpOp::Eq, object, zero, stop, go);
        self.func.enter(stop);
        self.leave(None);
        self.func.jump(go, &[]);
        self.func.enter(go);
    }

    /// Prints to whoever reads the walk.
    pub(super) fn print_to_reader(
        &mut self,
        format: &Format,
        args: &[Expr],
        span: Span,
    ) -> Result<(), Error> {
        let mut args = args.iter();
        for piece in &format.pieces {
            match piece {
                Piece::Text(text) => {
                    let len = self.func.int(text.len() as i64);
                    let text = self.literal(text);
                    self.write_to_reader(text, len);
                }
                Piece::Conversion(conversion) => {
                    let arg =
                        args.next().ok_or(Error::Internal { what: "a value is missing".into(), span })?;
                    match self.types.kind(arg.ty) {
                        TyKind::Str(capacity) => self.print_text(conversion, arg, *capacity)?,
                        _ => self.print_number(conversion, arg)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn print_number(&mut self, conversion: &Conversion, arg: &Expr) -> Result<(), Error> {
        let value = self.scalar(arg)?;
        let signed = match conversion.spec {
            // `%s` of a number is the number as it is.
            Spec::Str => matches!(self.types.kind(arg.ty), TyKind::Int { signed: true, .. }),
            spec => spec == Spec::Signed,
        };
        let value = match conversion.bits {
            Some(8) => self.func.extend(Width::W8, signed, value),
            Some(16) => self.func.extend(Width::W16, signed, value),
            Some(32) => self.func.extend(Width::W32, signed, value),
            _ => value,
        };
        let object = self.func.object("number", 8, 8);
        let place = self.func.object_place(object);
        let letters = match conversion.spec {
            // A text of one character: old kernels know no other.
            Spec::Char => {
                let byte = self.func.extend(Width::W8, false, value);
                self.func.store(Width::W64, place, byte);
                let address = self.func.addr(place);
                return self.format_to_reader(conversion, "s", address);
            }
            Spec::Pointer => {
                let prefix = self.literal(b"0x");
                let len = self.func.int(2);
                self.write_to_reader(prefix, len);
                "llx"
            }
            Spec::Hex => "llx",
            Spec::HexUpper => "llX",
            _ if signed => "lld",
            _ => "llu",
        };
        self.format_to_reader(conversion, letters, value)
    }

    fn print_text(&mut self, conversion: &Conversion, arg: &Expr, capacity: u32) -> Result<(), Error> {
        // With its NUL.
        let most = conversion.precision.map_or(capacity, |most| most.saturating_add(1).min(capacity)).max(1);
        let object = self.func.scratch_object("text", most.next_multiple_of(8));
        let place = self.func.object_place(object);
        let first = self.func.int(0);
        self.func.store(Width::W8, place, first);
        let len = self.read_text(arg, place, most)?;
        if conversion.width.is_some() {
            let address = self.func.addr(place);
            return self.format_to_reader(conversion, "s", address);
        }
        let written = self.func.new_block();
        let after = self.func.new_block();
        let one = self.func.int(1);
        self.func.branch(CmpOp::SGt, len, one, written, after);
        self.func.enter(written);
        let len = self.bounded_sum(None, len, most, after);
        let len = self.func.bin_imm(BinOp::Sub, len, 1);
        self.write_to_reader(place, len);
        self.func.jump(after, &[]);
        self.func.enter(after);
        Ok(())
    }

    /// Writes bytes as they are.
    fn write_to_reader(&mut self, bytes: Place, len: Value) {
        let file = self.file_of_reader();
        let bytes = self.func.addr(bytes);
        self.func.call(id::SEQ_WRITE, &[file, bytes, len], ValueTy::Int);
    }

    /// Formats one value: a number, or the address of a text.
    fn format_to_reader(
        &mut self,
        conversion: &Conversion,
        letters: &str,
        value: Value,
    ) -> Result<(), Error> {
        let mut format = String::from("%");
        let flags =
            [(conversion.left, '-'), (conversion.plus, '+'), (conversion.space, ' '), (conversion.zero, '0')];
        format.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag));
        format.extend(conversion.width.map(|width| width.to_string()));
        format.push_str(letters);
        format.push('\0');
        let object = self.func.object("values", 8, 8);
        let values = self.func.object_place(object);
        self.func.store(Width::W64, values, value);
        let file = self.file_of_reader();
        let text = self.literal(format.as_bytes());
        let text = self.func.addr(text);
        let len = self.func.int(format.len() as i64);
        let values = self.func.addr(values);
        let size = self.func.int(8);
        self.func.call(id::SEQ_PRINTF, &[file, text, len, values, size], ValueTy::Int);
        Ok(())
    }

    /// `ctx->meta->seq`: the first fields of both.
    fn file_of_reader(&mut self) -> Value {
        let ctx = self.func.ctx();
        let meta = self.func.load_address(Place::aligned(ctx));
        self.func.load_address(Place::aligned(meta))
    }

    /// A text in memory that stays.
    fn literal(&mut self, text: &[u8]) -> Place {
        let (map, offset) = self.shared.text(text);
        self.func.map_value(map, offset)
    }
}
