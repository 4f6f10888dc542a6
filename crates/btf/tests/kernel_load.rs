//! What the builder makes, the running kernel loads.

use std::fs;
use std::io;
use std::mem::size_of_val;
use std::path::Path;

use skep_btf::{
    BtfBuilder, Enumerator, IntEncoding, Linkage, Member, Param, SecVar, Support, TypeId, sanitize,
};

#[test]
fn program_types_load() {
    let bytes = program_types().finish();
    expect_loads("program_types_load", &bytes);
}

#[test]
fn newer_kinds_load_where_the_kernel_knows_them() {
    let test = "newer_kinds_load_where_the_kernel_knows_them";
    let Some(support) = running_kernel() else {
        eprintln!("SKIP: {test}: the kernel's version cannot be read");
        return;
    };
    let mut b = program_types();
    add_newer_kinds(&mut b);
    expect_loads(test, &sanitize(b.finish(), support).unwrap());
}

#[test]
fn newer_kinds_made_fit_for_old_kernels_load() {
    let mut b = program_types();
    add_newer_kinds(&mut b);
    let bytes = sanitize(b.finish(), Support::NONE).unwrap();
    expect_loads("newer_kinds_made_fit_for_old_kernels_load", &bytes);
}

#[test]
fn the_fixture_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel.btf");
    let Ok(bytes) = fs::read(path) else {
        eprintln!("SKIP: the_fixture_loads: the source tree is not on this machine");
        return;
    };
    expect_loads("the_fixture_loads", &sanitize(bytes, running_kernel().unwrap_or(Support::NONE)).unwrap());
}

/// What a program's BTF has: its functions, its maps' keys and values, its read-only data.
fn program_types() -> BtfBuilder {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let u64 = b.int("unsigned long long", 8, IntEncoding::UNSIGNED);
    let char = b.int("char", 1, IntEncoding::SIGNED);
    let flag = b.int("_Bool", 1, IntEncoding::BOOL);
    let comm = b.array(char, int, 16);
    let plain = |name, ty, byte: u32| Member { name, ty, bit_offset: 8 * byte, bitfield_size: 0 };
    let key = b.struct_("key", 24, &[plain("comm", comm, 0), plain("id", u64, 16)]);
    let node = b.declare_struct("node");
    let node_ptr = b.ptr(node);
    b.define_struct(node, 16, &[plain("next", node_ptr, 0), plain("flag", flag, 8)]);
    let bit = |name, bit_offset, bitfield_size| Member { name, ty: int, bit_offset, bitfield_size };
    b.struct_("bits", 4, &[bit("low", 0, 3), bit("high", 3, 29)]);
    b.union_("either", 8, &[plain("number", u64, 0), plain("node", node_ptr, 0)]);
    let value = |name, value| Enumerator { name, value };
    b.enum_("colour", 4, false, &[value("RED", 0), value("BLUE", 0xffff_ffff)]);
    let opaque = b.fwd("opaque", false);
    let opaque = b.const_(opaque);
    let opaque = b.ptr(opaque);
    let opaque = b.restrict(opaque);
    let opaque = b.typedef("opaque_t", opaque);
    let opaque = b.volatile(opaque);
    let proto = b.func_proto(int, &[Param { name: "ctx", ty: opaque }]);
    b.func("probe_1", proto, Linkage::Global);
    let helper = b.func_proto(TypeId::VOID, &[Param { name: "key", ty: node_ptr }]);
    b.func("helper", helper, Linkage::Static);
    let var = b.var("config", key, Linkage::Static);
    b.datasec(".rodata", 24, &[SecVar { var, offset: 0, size: 24 }]);
    b.add_string("script.bt");
    b
}

fn add_newer_kinds(b: &mut BtfBuilder) {
    let double = b.float("double", 8);
    let tagged = b.type_tag("kptr", double);
    let tagged = b.ptr(tagged);
    let value = |name, value| Enumerator { name, value };
    let wide = b.enum64("wide", 8, true, &[value("LOW", i64::MIN.into()), value("HIGH", i64::MAX.into())]);
    let signed = b.enum_("signed", 4, true, &[value("MINUS", -1)]);
    let plain = |name, ty, byte: u32| Member { name, ty, bit_offset: 8 * byte, bitfield_size: 0 };
    let all = b.struct_(
        "all",
        32,
        &[
            plain("double_", double, 0),
            plain("tagged", tagged, 8),
            plain("wide", wide, 16),
            plain("signed_", signed, 24),
        ],
    );
    b.decl_tag("whole", all, None);
    b.decl_tag("second", all, Some(1));
    let ptr = b.ptr(all);
    let proto = b.func_proto(TypeId::VOID, &[Param { name: "all", ty: ptr }]);
    b.func("probe_2", proto, Linkage::Static);
}

/// What the running kernel knows, by its version.
fn running_kernel() -> Option<Support> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split('.').map(str::parse);
    Some(Support::of_version(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// That the kernel loads `bytes`, unless it lets nobody like us load BTF.
fn expect_loads(test: &str, bytes: &[u8]) {
    match load(bytes) {
        Ok(()) => {}
        Err((error, _)) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            eprintln!("SKIP: {test}: bpf(BPF_BTF_LOAD) is not for this user: {error}");
        }
        Err((error, log)) => panic!("the kernel refuses the BTF: {error}\n{log}"),
    }
}

/// The attributes of `BPF_BTF_LOAD`, as of `include/uapi/linux/bpf.h`.
#[repr(C)]
struct Load {
    btf: u64,
    log: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    pad: u32,
}

fn load(bytes: &[u8]) -> Result<(), (io::Error, String)> {
    const BPF_BTF_LOAD: libc::c_long = 18;
    let mut log = vec![0u8; 1 << 20];
    let attributes = Load {
        btf: bytes.as_ptr() as u64,
        log: log.as_mut_ptr() as u64,
        btf_size: bytes.len() as u32,
        log_size: log.len() as u32,
        log_level: 1,
        pad: 0,
    };
    // SAFETY: the pointers and sizes are those of live buffers, and the kernel writes to the log only.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_BTF_LOAD, &attributes, size_of_val(&attributes)) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        return Err((error, String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned()));
    }
    // SAFETY: the kernel has just made the descriptor for us, and nobody else has it.
    unsafe { libc::close(fd as i32) };
    Ok(())
}
