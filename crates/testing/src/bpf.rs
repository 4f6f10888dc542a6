//! The few bpf(2) calls that probing takes. They are made here and not through the product's own code, so
//! that a fault there cannot make its tests skip themselves.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A program, map or link; closing it is all there is to undo.
pub type Object = OwnedFd;

// Commands, from include/uapi/linux/bpf.h.
const MAP_CREATE: i64 = 0;
const PROG_LOAD: i64 = 5;
const RAW_TRACEPOINT_OPEN: i64 = 17;
const BTF_LOAD: i64 = 18;
const LINK_CREATE: i64 = 28;
const HASH: u32 = 1;
const RINGBUF: u32 = 27;

/// `union bpf_attr`: fields by their offset; the rest is zero, which every kernel takes.
#[repr(C, align(8))]
struct Attributes([u8; 128]);

impl Attributes {
    fn new() -> Attributes {
        Attributes([0; 128])
    }

    fn set(mut self, offset: usize, bytes: &[u8]) -> Attributes {
        for (place, byte) in self.0.iter_mut().skip(offset).zip(bytes) {
            *place = *byte;
        }
        self
    }

    fn u32(self, offset: usize, value: u32) -> Attributes {
        self.set(offset, &value.to_ne_bytes())
    }

    fn descriptor(self, offset: usize, object: &Object) -> Attributes {
        self.set(offset, &object.as_raw_fd().to_ne_bytes())
    }

    fn pointer<T: ?Sized>(self, offset: usize, value: &T) -> Attributes {
        let address = std::ptr::from_ref(value).cast::<u8>().addr();
        self.set(offset, &(address as u64).to_ne_bytes())
    }

    /// Makes the call; what the pointers point to is alive, since the callers' frames are.
    fn call(self, command: i64) -> io::Result<Object> {
        let _unlimited = Unlimited::begin();
        let size = size_of::<Attributes>();
        // SAFETY: the kernel reads `size` bytes of a structure that has as many, and through pointers to
        // memory that the callers keep and give the right lengths of; it writes nothing.
        let answer = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_ptr(), size) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: each command used here answers with a new file descriptor that nobody else knows.
        Ok(unsafe { OwnedFd::from_raw_fd(answer as i32) })
    }
}

/// No limit on locked memory while this exists. Kernels before 5.11 count maps and programs against it, and
/// what the tests hold must not make a probe fail; to raise it for themselves is the tests' own business.
struct Unlimited(libc::rlimit);

impl Unlimited {
    fn begin() -> Unlimited {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: both calls only use the structures they are given. Should one fail, the limit stays.
        unsafe {
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut before);
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &none);
        }
        Unlimited(before)
    }
}

impl Drop for Unlimited {
    fn drop(&mut self) {
        // SAFETY: the call only reads the structure it is given.
        unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &self.0) };
    }
}

/// A program that returns 0.
pub struct Program {
    kind: u32,
    attach: u32,
    target: u32,
    helper: Option<i32>,
}

impl Program {
    /// A program of a kind (`enum bpf_prog_type`).
    pub fn new(kind: u32) -> Program {
        Program { kind, attach: 0, target: 0, helper: None }
    }

    /// With an attach type (`enum bpf_attach_type`).
    pub fn attached_as(self, attach: u32) -> Program {
        Program { attach, ..self }
    }

    /// For the function or tracepoint of this BTF type.
    pub fn for_type(self, target: u32) -> Program {
        Program { target, ..self }
    }

    /// Calling a helper first, with the context.
    pub fn calling(self, helper: i32) -> Program {
        Program { helper: Some(helper), ..self }
    }

    /// Loads it.
    pub fn load(&self) -> io::Result<Object> {
        let instruction = |code: u8, immediate: i32| (u64::from(immediate as u32) << 32) | u64::from(code);
        let mut instructions = Vec::new();
        instructions.extend(self.helper.map(|helper| instruction(0x85, helper)));
        // r0 = 0; exit
        instructions.extend([instruction(0xb7, 0), instruction(0x95, 0)]);
        Attributes::new()
            .u32(0, self.kind)
            .u32(4, instructions.len() as u32)
            .pointer(8, instructions.as_slice())
            .pointer(16, c"GPL")
            .u32(68, self.attach)
            .u32(108, self.target)
            .call(PROG_LOAD)
    }
}

/// Makes the smallest ring buffer.
pub fn ring_buffer() -> io::Result<Object> {
    // map type, key size, value size, bytes
    Attributes::new().u32(0, RINGBUF).u32(12, 4096).call(MAP_CREATE)
}

/// Makes a hash map with keys of this size and one entry.
pub fn hash_map(key_size: u32) -> io::Result<Object> {
    // map type, key size, value size, entries
    Attributes::new().u32(0, HASH).u32(4, key_size).u32(8, 8).u32(12, 1).call(MAP_CREATE)
}

/// Loads an enum whose values have a sign.
pub fn signed_enum() -> io::Result<Object> {
    // Magic, version and flags; the header's length; where the types and the names are, and how long.
    let header: [u32; 6] = [0x0001_eb9f, 24, 0, 20, 20, 8];
    // Name, kind (6) with the sign and one value, size; the value's name, and the value.
    let types: [u32; 5] = [1, 1 << 31 | 6 << 24 | 1, 4, 3, u32::MAX];
    let mut bytes: Vec<u8> = header.iter().chain(&types).flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend(b"\0e\0low\0\0");
    // data, log, data's length
    Attributes::new().pointer(0, bytes.as_slice()).u32(16, bytes.len() as u32).call(BTF_LOAD)
}

/// Attaches a program to the type it was loaded for.
pub fn attach_typed(program: &Object) -> io::Result<Object> {
    Attributes::new().descriptor(8, program).call(RAW_TRACEPOINT_OPEN)
}

/// Attaches a program to a function with a link for many.
pub fn link_functions(program: &Object, attach: u32, function: &CStr) -> io::Result<Object> {
    let functions = [function.as_ptr().addr() as u64];
    // flags, count, names
    let attributes = Attributes::new().descriptor(0, program).u32(8, attach);
    attributes.u32(20, 1).pointer(24, &functions).call(LINK_CREATE)
}

/// Attaches a program to offset 0 of a file with a link for many.
pub fn link_places(program: &Object, attach: u32, file: &CStr) -> io::Result<Object> {
    let offsets = [0u64];
    // path, offsets, reference counters, cookies, count
    let attributes = Attributes::new().descriptor(0, program).u32(8, attach);
    attributes.pointer(16, file).pointer(24, &offsets).u32(48, 1).call(LINK_CREATE)
}
