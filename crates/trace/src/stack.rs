//! Stacks and symbols: addresses that are given their names when somebody looks.

use std::cmp::Ordering;
use std::rc::Rc;

use skep_lang::ty::{self, StackMode};
use skep_symbols::Symbols;
pub use skep_symbols::{Frame, Source};

/// The frames of a stack as the kernel sent them.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    kind: ty::Stack,
    pid: u32,
    frames: &'a [u8],
    symbols: Option<&'a Symbols>,
}

/// A frame with its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackFrame {
    /// Of the instruction; that which is returned to, but for the innermost frame.
    pub address: u64,
    /// What is there.
    pub frame: Frame,
}

/// A frame of [`StackMode::BuildId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildIdFrame<'a> {
    /// A place in a file.
    File {
        /// The file's build id, 20 bytes.
        id: &'a [u8],
        /// From its start.
        offset: u64,
    },
    /// An address where no file with a build id is mapped.
    Address(u64),
}

impl<'a> Stack<'a> {
    /// Reads what the layout of [`ty::TyKind::Stack`] says. Frames that are not there are left out.
    pub(crate) fn new(kind: ty::Stack, bytes: &'a [u8], symbols: Option<&'a Symbols>) -> Stack<'a> {
        let (header, frames) = bytes.split_at_checked(ty::Stack::HEADER as usize).unwrap_or_default();
        let half = |at: usize| {
            header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |half| u32::from_le_bytes(*half))
        };
        // A key can hold less than the stack had.
        let count = half(0).min(kind.frames) as usize;
        let len = count * kind.frame_size() as usize;
        Stack { kind, pid: half(4), frames: frames.get(..len).unwrap_or(frames), symbols }
    }

    /// How it is to be shown.
    pub fn mode(&self) -> StackMode {
        self.kind.mode
    }

    /// Whether it is the kernel's.
    pub fn is_kernel(&self) -> bool {
        !self.kind.user
    }

    /// The addresses, the innermost frame first; none of [`StackMode::BuildId`].
    pub fn addresses(&self) -> impl Iterator<Item = u64> + use<'a> {
        let words = if self.kind.mode == StackMode::BuildId { &[] } else { self.frames.as_chunks::<8>().0 };
        words.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// The frames of [`StackMode::BuildId`].
    pub fn build_ids(&self) -> impl Iterator<Item = BuildIdFrame<'a>> {
        const IS_FILE: u32 = 1;
        let frames = if self.kind.mode == StackMode::BuildId { self.frames.as_chunks::<32>().0 } else { &[] };
        frames.iter().map(|frame| {
            let (status, rest) = frame.split_at(4);
            let (id, offset) = rest.split_at(20);
            let number =
                |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
            match number(status) == u64::from(IS_FILE) {
                true => BuildIdFrame::File { id, offset: number(offset) },
                false => BuildIdFrame::Address(number(offset)),
            }
        })
    }

    /// What is at each address, inlined functions included: for each the frames of [`Symbols::user`].
    pub fn named(&self) -> impl Iterator<Item = (u64, Rc<[Frame]>)> + use<'a> {
        let Stack { kind, pid, symbols, .. } = *self;
        self.addresses().enumerate().map(move |(index, address)| {
            let frames = match symbols {
                Some(symbols) if kind.user => symbols.user(pid, address, index > 0),
                Some(symbols) => symbols.kernel(address),
                None => Rc::new([Frame::default()]),
            };
            (address, frames)
        })
    }

    /// All frames, the innermost one first.
    pub fn frames(&self) -> Vec<StackFrame> {
        let each = |(address, frames): (u64, Rc<[Frame]>)| {
            frames.iter().map(|frame| StackFrame { address, frame: frame.clone() }).collect::<Vec<_>>()
        };
        self.named().flat_map(each).collect()
    }

    /// By addresses, then by process.
    pub(crate) fn order(&self, other: &Stack<'_>) -> Ordering {
        self.addresses()
            .cmp(other.addresses())
            .then_with(|| self.frames.cmp(other.frames))
            .then_with(|| self.pid.cmp(&other.pid))
    }
}

/// An address that `ksym` or `usym` was given.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'a> {
    /// Whose; `None` for the kernel's.
    pid: Option<u32>,
    address: u64,
    symbols: Option<&'a Symbols>,
}

impl<'a> Symbol<'a> {
    pub(crate) fn new(pid: Option<u32>, address: u64, symbols: Option<&'a Symbols>) -> Symbol<'a> {
        Symbol { pid, address, symbols }
    }

    /// The address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The function it is in, not one that was inlined there.
    pub fn frame(&self) -> Option<Frame> {
        let symbols = self.symbols?;
        let frames = match self.pid {
            Some(pid) => symbols.user(pid, self.address, false),
            None => symbols.kernel(self.address),
        };
        frames.last().cloned()
    }

    /// By address, then by process.
    pub(crate) fn order(&self, other: &Symbol<'_>) -> Ordering {
        (self.address, self.pid).cmp(&(other.address, other.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(mode: StackMode) -> ty::Stack {
        ty::Stack { user: true, mode, frames: 4 }
    }

    #[test]
    fn frames_are_counted_by_the_header() {
        let mut bytes = vec![2, 0, 0, 0, 7, 0, 0, 0];
        bytes.extend([5u64, 6, 0, 0].map(u64::to_le_bytes).concat());
        let stack = Stack::new(kind(StackMode::Raw), &bytes, None);
        assert_eq!(stack.addresses().collect::<Vec<_>>(), [5, 6]);
        assert_eq!((stack.pid, stack.build_ids().count()), (7, 0));
        // Neither a count that is too large nor bytes that are missing do harm.
        bytes[0] = 200;
        assert_eq!(Stack::new(kind(StackMode::Raw), &bytes, None).addresses().count(), 4);
        assert_eq!(Stack::new(kind(StackMode::Raw), &bytes[..20], None).addresses().count(), 1);
        assert_eq!(Stack::new(kind(StackMode::Raw), &bytes[..3], None).addresses().count(), 0);
    }

    #[test]
    fn build_ids() {
        let mut bytes = vec![2, 0, 0, 0, 7, 0, 0, 0];
        bytes.extend([&1u32.to_le_bytes()[..], &[0xab; 20], &0x1234u64.to_le_bytes()].concat());
        bytes.extend([&2u32.to_le_bytes()[..], &[0; 20], &0x5678u64.to_le_bytes()].concat());
        bytes.resize(8 + 4 * 32, 0);
        let stack = Stack::new(kind(StackMode::BuildId), &bytes, None);
        let frames: Vec<_> = stack.build_ids().collect();
        let file = BuildIdFrame::File { id: &[0xab; 20], offset: 0x1234 };
        assert_eq!(frames, [file, BuildIdFrame::Address(0x5678)]);
        assert_eq!(stack.addresses().count(), 0);
    }
}
