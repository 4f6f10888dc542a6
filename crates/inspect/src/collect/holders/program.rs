//! The program that looks at an open file: for one of a BPF object of some kind it writes a record of which it is and
//! whose.
//!
//! It is written for the running kernel: every offset in it comes from the kernel's own types ([`Offsets`]). What a
//! file is, it sees by its name: files without a place in a directory tree lie in a file system of their own and are
//! named after their kind, as /proc/PID/fd shows them. No kernel symbol is needed for that.

use skep_btf::{Btf, Kind, Type, TypeId};
use skep_isa::helpers::id::{PROBE_READ_KERNEL, PROBE_READ_KERNEL_STR, SEQ_WRITE};
use skep_isa::{Imm64, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_kernel::bpf::ObjectKind;

/// What the program writes for each file of a BPF object, in the machine's byte order.
///
/// | bytes | |
/// | --- | --- |
/// | 0..4 | the object's id |
/// | 4..8 | the process |
/// | 8..16 | 1 if there is a cookie |
/// | 16..24 | the cookie |
/// | 24..40 | the process's name, ends at the first zero |
pub(super) const RECORD: usize = 40;

/// Where in a record its parts are.
pub(super) mod part {
    pub(crate) const ID: usize = 0;
    pub(crate) const PID: usize = 4;
    pub(crate) const HAS_COOKIE: usize = 8;
    pub(crate) const COOKIE: usize = 16;
    pub(crate) const COMM: usize = 24;
    pub(crate) const COMM_LEN: usize = 16;
}

/// The kernel's function that stands for walks over open files.
pub(super) const WALK: &str = "bpf_iter_task_file";

/// What there is to know of a kind of objects.
struct Row {
    kind: ObjectKind,
    /// The names of its files; older kernels have an underscore in that of links.
    files: &'static [&'static [u8; 8]],
    /// The struct of such an object, and where in it the id is.
    of: &'static str,
    id: &'static [&'static str],
}

const KINDS: &[Row] = &[
    Row { kind: ObjectKind::Prog, files: &[b"bpf-prog"], of: "bpf_prog", id: &["aux", "id"] },
    Row { kind: ObjectKind::Map, files: &[b"bpf-map\0"], of: "bpf_map", id: &["id"] },
    Row { kind: ObjectKind::Link, files: &[b"bpf_link", b"bpf-link"], of: "bpf_link", id: &["id"] },
    Row { kind: ObjectKind::Btf, files: &[b"btf\0\0\0\0\0"], of: "btf", id: &["id"] },
];

/// The magic number of the file system of files without a place (`ANON_INODE_FS_MAGIC`).
const ANON_INODE_FS: i32 = 0x0904_1934;
/// The type of links to perf events (`BPF_LINK_TYPE_PERF_EVENT`).
const PERF_EVENT_LINK: i32 = 7;

/// A way from one object of the kernel to a value: offsets, with a pointer to follow at each but the last.
type Path = Vec<i32>;

/// Where things are in this kernel.
#[derive(Debug)]
pub(super) struct Offsets {
    /// In the context.
    meta: i16,
    task: i16,
    file: i16,
    /// In `struct bpf_iter_meta`.
    seq: i16,
    /// From the task.
    pid: Path,
    comm: Path,
    /// From the file.
    file_system: Path,
    name: Path,
    object: Path,
    /// From the object.
    id: Path,
    /// From a link to its type, and to the cookie; kernels before 5.15 have none.
    cookie: Option<(Path, Path)>,
}

impl Offsets {
    /// Looks everything up that is needed for a kind; the error names what is not there. `walk` is the function
    /// [`WALK`].
    ///
    /// Types are reached from others where that is possible: each look-up by name goes through all types.
    pub(super) fn find(btf: &Btf, walk: TypeId, kind: ObjectKind) -> Result<Self, String> {
        let row = row(kind).ok_or_else(|| format!("{kind:?} is not known here"))?;
        let named = |name: &str| {
            btf.find(Kind::Struct, name).ok_or_else(|| format!("the kernel's types have no struct {name}"))
        };
        let (meta, meta_type) = argument(btf, walk, "meta")?;
        let (task, task_type) = argument(btf, walk, "task")?;
        let (file, file_type) = argument(btf, walk, "file")?;
        let (seq, _) = member(btf, meta_type, "seq")?;
        let of = named(row.of)?;
        let cookie = || -> Result<_, String> {
            let mut way = way(btf, named("bpf_perf_link")?, &["perf_file", "private_data"])?;
            way.extend(self::way(btf, named("perf_event")?, &["bpf_cookie"])?);
            Ok((self::way(btf, of, &["type"])?, way))
        };
        let mut name = way(btf, file_type, &["f_path.dentry", "d_name.name"])?;
        // The name itself is what that points to.
        name.push(0);
        Ok(Self {
            meta,
            task,
            file,
            seq: i16::try_from(seq).map_err(|_| "a member is too far behind".to_owned())?,
            pid: way(btf, task_type, &["tgid"])?,
            comm: way(btf, task_type, &["group_leader", "comm"])?,
            file_system: way(btf, file_type, &["f_inode", "i_sb", "s_magic"])?,
            name,
            object: way(btf, file_type, &["private_data"])?,
            id: way(btf, of, row.id)?,
            cookie: if kind == ObjectKind::Link { cookie().ok() } else { None },
        })
    }
}

fn row(kind: ObjectKind) -> Option<&'static Row> {
    KINDS.iter().find(|row| row.kind == kind)
}

/// Where in the context a pointer is that the function takes, and to what: the context is the arguments, each in
/// 8 bytes.
fn argument(btf: &Btf, function: TypeId, name: &str) -> Result<(i16, TypeId), String> {
    let unknown = || format!("the kernel's function {WALK} has no argument {name}");
    let Some(Type::Func { proto, .. }) = btf.get(function) else { return Err(unknown()) };
    let Some(Type::FuncProto(proto)) = btf.get(proto) else { return Err(unknown()) };
    let (index, found) =
        proto.params().enumerate().find(|(_, param)| param.name == name).ok_or_else(unknown)?;
    let offset = i16::try_from(8 * index).map_err(|_| unknown())?;
    Ok((offset, pointed(btf, found.ty)?))
}

/// The way from a struct to a value, through the pointers that the steps but the last name.
fn way(btf: &Btf, from: TypeId, steps: &[&str]) -> Result<Path, String> {
    let mut of = from;
    let mut path = Path::new();
    for (index, members) in steps.iter().enumerate() {
        let (offset, ty) = member(btf, of, members)?;
        path.push(offset);
        if index + 1 < steps.len() {
            of = pointed(btf, ty)?;
        }
    }
    Ok(path)
}

/// Bytes from the start of a struct to a member and the member's type; also of an embedded struct: `f_path.dentry`.
fn member(btf: &Btf, from: TypeId, members: &str) -> Result<(i32, TypeId), String> {
    let unknown = || format!("the kernel's types have no {members} in {}", btf.c_name(from));
    let mut of = from;
    let mut sum = 0;
    for member in members.split('.') {
        let field = btf.find_member(of, member).ok().flatten().ok_or_else(unknown)?;
        sum += field.byte_offset().ok_or_else(unknown)?;
        of = field.ty;
    }
    Ok((i32::try_from(sum).map_err(|_| unknown())?, of))
}

/// What a pointer points to.
fn pointed(btf: &Btf, pointer: TypeId) -> Result<TypeId, String> {
    match btf.resolve(pointer) {
        Ok((_, Type::Ptr { target, .. })) => Ok(target),
        _ => Err(format!("{} is no pointer", btf.c_name(pointer))),
    }
}

/// The stack: the record, the name of the file, and the pointer on the way to a value.
mod stack {
    pub(super) const RECORD: i16 = -64;
    pub(super) const NAME: i16 = -24;
    pub(super) const POINTER: i16 = -8;
}

/// Saved across calls: the context, the task and the file, later the object.
const CONTEXT: Reg = Reg::R6;
const TASK: Reg = Reg::R7;
const FILE: Reg = Reg::R8;
const OBJECT: Reg = Reg::R9;

/// The whole program.
pub(super) fn program(offsets: &Offsets, kind: ObjectKind) -> Vec<Insn> {
    let mut insns = vec![Insn::mov64_reg(CONTEXT, Reg::R1)];
    insns.push(Insn::load(Size::DW, TASK, CONTEXT, offsets.task));
    insns.push(Insn::load(Size::DW, FILE, CONTEXT, offsets.file));
    // At its end the walk comes by once more, with nothing.
    insns.extend(unless(JmpOp::Eq, TASK, 0, unless(JmpOp::Eq, FILE, 0, look_at_file(offsets, kind))));
    insns.extend([Insn::mov64_imm(Reg::R0, 0), Insn::exit()]);
    insns
}

fn look_at_file(offsets: &Offsets, kind: ObjectKind) -> Vec<Insn> {
    let mut insns = read(FILE, &offsets.file_system, Size::DW, stack::POINTER);
    insns.push(Insn::load(Size::DW, Reg::R1, Reg::R10, stack::POINTER));
    insns.extend(unless(JmpOp::Ne, Reg::R1, ANON_INODE_FS, look_at_object(offsets, kind)));
    insns
}

fn look_at_object(offsets: &Offsets, kind: ObjectKind) -> Vec<Insn> {
    let mut insns = Vec::new();
    for slot in (stack::RECORD..stack::POINTER).step_by(8) {
        insns.push(Insn::store_imm(Size::DW, Reg::R10, slot, 0));
    }
    insns.extend(read_text(FILE, &offsets.name, stack::NAME));
    insns.push(Insn::load(Size::DW, Reg::R1, Reg::R10, stack::NAME));
    let tell = tell(offsets);
    let names = row(kind).map_or(&[][..], |row| row.files);
    for (index, &name) in names.iter().enumerate() {
        insns.extend(Insn::ld_imm64(Reg::R2, Imm64::Value(u64::from_ne_bytes(*name))));
        let others = names.len() - index - 1;
        // Each comparison takes three instructions.
        let (op, skipped) = if others == 0 { (JmpOp::Ne, tell.len()) } else { (JmpOp::Eq, 3 * others) };
        insns.push(Insn::jmp_reg(op, Reg::R1, Reg::R2, skipped as i16));
    }
    insns.extend(tell);
    insns
}

/// Puts together which object it is and whose, and writes the record.
fn tell(offsets: &Offsets) -> Vec<Insn> {
    let record = |part: usize| stack::RECORD + part as i16;
    let mut insns = read(FILE, &offsets.object, Size::DW, stack::POINTER);
    insns.push(Insn::load(Size::DW, OBJECT, Reg::R10, stack::POINTER));
    insns.extend(read(OBJECT, &offsets.id, Size::W, record(part::ID)));
    if let Some((link_type, cookie)) = &offsets.cookie {
        let mut with_cookie = vec![Insn::store_imm(Size::DW, Reg::R10, record(part::HAS_COOKIE), 1)];
        with_cookie.extend(read(OBJECT, cookie, Size::DW, record(part::COOKIE)));
        insns.extend(read(OBJECT, link_type, Size::W, stack::POINTER));
        insns.push(Insn::load(Size::W, Reg::R1, Reg::R10, stack::POINTER));
        insns.extend(unless(JmpOp::Ne, Reg::R1, PERF_EVENT_LINK, with_cookie));
    }
    insns.extend(read(TASK, &offsets.pid, Size::W, record(part::PID)));
    let comm = record(part::COMM);
    insns.extend(read_bytes(TASK, &offsets.comm, part::COMM_LEN as i32, comm, PROBE_READ_KERNEL));
    insns.push(Insn::load(Size::DW, Reg::R1, CONTEXT, offsets.meta));
    insns.push(Insn::load(Size::DW, Reg::R1, Reg::R1, offsets.seq));
    insns.extend(address(Reg::R2, stack::RECORD));
    insns.extend([Insn::mov64_imm(Reg::R3, RECORD as i32), Insn::call_helper(SEQ_WRITE)]);
    insns
}

/// `if !(register op value) { body }`.
fn unless(op: JmpOp, register: Reg, value: i32, body: Vec<Insn>) -> Vec<Insn> {
    let jump = Insn::jmp(Width::W64, op, register, Operand::Imm(value), body.len() as i16);
    std::iter::once(jump).chain(body).collect()
}

/// Reads a number at the end of a path to a place of the stack. What cannot be read is zero.
fn read(from: Reg, path: &[i32], size: Size, to: i16) -> Vec<Insn> {
    read_bytes(from, path, size.bits() as i32 / 8, to, PROBE_READ_KERNEL)
}

/// Reads a short text, at most to its zero; the place was zero before.
fn read_text(from: Reg, path: &[i32], to: i16) -> Vec<Insn> {
    read_bytes(from, path, 16, to, PROBE_READ_KERNEL_STR)
}

fn read_bytes(from: Reg, path: &[i32], len: i32, to: i16, helper: u32) -> Vec<Insn> {
    let mut insns = Vec::new();
    let mut base = from;
    for (step, &offset) in path.iter().enumerate() {
        let last = step + 1 == path.len();
        let (place, len, helper) =
            if last { (to, len, helper) } else { (stack::POINTER, 8, PROBE_READ_KERNEL) };
        insns.push(Insn::mov64_reg(Reg::R3, base));
        if offset != 0 {
            insns.push(Insn::alu64_imm(skep_isa::AluOp::Add, Reg::R3, offset));
        }
        insns.extend(address(Reg::R1, place));
        insns.extend([Insn::mov64_imm(Reg::R2, len), Insn::call_helper(helper)]);
        if !last {
            insns.push(Insn::load(Size::DW, Reg::R0, Reg::R10, stack::POINTER));
            base = Reg::R0;
        }
    }
    insns
}

/// The address of a place of the stack.
fn address(register: Reg, place: i16) -> [Insn; 2] {
    [Insn::mov64_reg(register, Reg::R10), Insn::alu64_imm(skep_isa::AluOp::Add, register, i32::from(place))]
}

#[cfg(test)]
mod tests {
    use skep_btf::{BtfBuilder, IntEncoding, Linkage, Member, Param};

    use super::*;

    #[test]
    fn ways_lead_through_pointers_and_embedded_structs() {
        let mut types = BtfBuilder::new();
        let int = types.int("int", 4, IntEncoding::SIGNED);
        let at = |name, ty, bytes: u32| Member { name, ty, bit_offset: bytes * 8, bitfield_size: 0 };
        let qstr = types.struct_("qstr", 8, &[at("hash", int, 0), at("name", int, 4)]);
        let either = types.union_("", 8, &[at("__d_name", qstr, 0), at("d_name", qstr, 0)]);
        let dentry = types.struct_("dentry", 16, &[at("d_flags", int, 0), at("", either, 8)]);
        let to_dentry = types.ptr(dentry);
        let to_dentry = types.const_(to_dentry);
        let file = types.struct_("file", 16, &[at("f_mode", int, 0), at("dentry", to_dentry, 8)]);
        let btf = Btf::parse(types.finish()).unwrap();
        assert_eq!(way(&btf, file, &["dentry", "d_name.name"]), Ok(vec![8, 12]));
        assert_eq!(
            way(&btf, file, &["dentry", "d_name.len"]).unwrap_err(),
            "the kernel's types have no d_name.len in struct dentry"
        );
        assert_eq!(way(&btf, file, &["f_mode", "x"]).unwrap_err(), "int is no pointer");
    }

    #[test]
    fn every_jump_ends_within_the_program() {
        let path = || vec![8, 16];
        for kind in KINDS.iter().map(|row| row.kind) {
            let offsets = Offsets {
                meta: 0,
                task: 8,
                file: 24,
                seq: 0,
                pid: path(),
                comm: path(),
                file_system: path(),
                name: path(),
                object: path(),
                id: path(),
                cookie: (kind == ObjectKind::Link).then(|| (path(), path())),
            };
            let insns = program(&offsets, kind);
            let jumps = insns.iter().enumerate().filter(|(_, insn)| insn.off != 0 && insn.code & 7 == 5);
            for (at, insn) in jumps {
                assert!(at + 1 + (insn.off as usize) < insns.len(), "{kind:?} {at}: {insn:?}");
            }
            assert!(insns.len() < 150, "{}", insns.len());
        }
    }

    #[test]
    fn arguments_are_found_by_name() {
        let mut types = BtfBuilder::new();
        let int = types.int("int", 4, IntEncoding::SIGNED);
        let task = types.struct_("task_struct", 8, &[]);
        let to_task = types.ptr(task);
        let param = |name, ty| Param { name, ty };
        let proto = types.func_proto(int, &[param("meta", int), param("task", to_task)]);
        let function = types.func(WALK, proto, Linkage::Static);
        let btf = Btf::parse(types.finish()).unwrap();
        assert_eq!(argument(&btf, function, "task"), Ok((8, task)));
        assert_eq!(argument(&btf, function, "meta").unwrap_err(), "int is no pointer");
        assert_eq!(
            argument(&btf, function, "file").unwrap_err(),
            "the kernel's function bpf_iter_task_file has no argument file"
        );
        assert!(argument(&btf, task, "file").is_err());
    }
}
