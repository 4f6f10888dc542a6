//! What the original does not do: who holds objects, lists that are always whole.
//!
//! The objects are pinned in a bpffs that only this test's thread and its children see, and that vanishes with them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use skep_btf::ext::{FuncInfo, encode};
use skep_btf::{BtfBuilder, IntEncoding, Linkage, SecVar};
use skep_isa::{AluOp, Imm64, Insn, Reg, Size};
use skep_kernel::bpf::{
    self, Map, MapBtf, MapSpec, MapType, ProgSpec, ProgType, TestRun, UpdateFlag, map_flags, prog_flags,
};
use skep_kernel::perf;
use skep_testing::need;

/// Objects of many shapes, each pinned and held by nobody, under a bpffs of our own.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        skep_kernel::limits::raise_memlock().unwrap();
        // SAFETY: the thread gets mounts of its own; nothing else of it is unshared but the working directory.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let directory = tempfile::tempdir().unwrap();
        mount("bpf", directory.path(), "bpf", MountFlags::empty(), None).unwrap();
        let world = Self { directory };
        world.make_maps();
        world.make_progs();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pin(&self, name: &str, fd: impl AsFd) {
        bpf::obj_pin(fd.as_fd(), &self.path(name)).unwrap();
    }

    fn make_maps(&self) {
        let specs = [
            MapSpec::new(MapType::HASH, "skep_hash", 8, 24, 16),
            MapSpec::new(MapType::PERCPU_ARRAY, "skep_percpu", 4, 8, 3),
            MapSpec::new(MapType::LRU_HASH, "", 4, 4, 5),
            MapSpec::new(MapType::LPM_TRIE, "skep_trie", 8, 4, 5).flags(map_flags::NO_PREALLOC),
            MapSpec::ring_buffer("skep_ring", 4096),
            MapSpec::new(MapType::HASH, "skep_twice", 4, 4, 1),
            MapSpec::new(MapType::ARRAY, "skep_twice", 4, 4, 1),
        ];
        for (index, spec) in specs.iter().enumerate() {
            self.pin(&format!("map{index}"), bpf::map_create(spec).unwrap());
        }
        let frozen = bpf::map_create(&MapSpec::new(MapType::ARRAY, "skep_frozen", 4, 4, 2)).unwrap();
        frozen.freeze().unwrap();
        self.pin("frozen", frozen);
        let progs = bpf::map_create(&MapSpec::new(MapType::PROG_ARRAY, "skep_progs", 4, 4, 4)).unwrap();
        let insns = return_zero();
        let prog = bpf::prog_load(&ProgSpec::new(ProgType::SOCKET_FILTER, "skep_tail", &insns)).unwrap();
        let fd = (prog.as_raw_fd() as u32).to_ne_bytes();
        progs.update(&[0; 4], &fd, UpdateFlag::Any).unwrap();
        self.pin("progs", progs);
        // The map does not keep the program when all descriptors of the map are gone.
        self.pin("tail", prog);
    }

    fn make_progs(&self) {
        let insns = return_zero();
        for (index, license) in ["GPL", "Proprietary"].into_iter().enumerate() {
            let spec = ProgSpec { license, ..ProgSpec::new(ProgType::SOCKET_FILTER, "skep_same", &insns) };
            self.pin(&format!("same{index}"), bpf::prog_load(&spec).unwrap());
        }
        let unnamed = bpf::prog_load(&ProgSpec::new(ProgType::XDP, "", &insns)).unwrap();
        self.pin("unnamed", unnamed);
        self.pin("described", self.described());
    }

    /// A program with types, a name longer than the kernel keeps, and variables that describe it.
    fn described(&self) -> std::os::fd::OwnedFd {
        let mut types = BtfBuilder::new();
        let int = types.int("int", 4, IntEncoding::SIGNED);
        let char = types.int("char", 1, IntEncoding::SIGNED);
        let author = types.array(char, int, 4);
        let version = types.var("bpf_metadata_version", int, Linkage::Global);
        let by = types.var("bpf_metadata_author", author, Linkage::Global);
        let vars = [SecVar { var: version, offset: 0, size: 4 }, SecVar { var: by, offset: 4, size: 4 }];
        let section = types.datasec(".rodata", 8, &vars);
        let proto = types.func_proto(int, &[]);
        let function = types.func("a_name_that_is_longer_than_the_kernel_keeps", proto, Linkage::Static);
        let btf = bpf::btf_load(&types.finish()).unwrap_or_else(|e| panic!("{e}\n{}", e.log));

        let spec = MapSpec {
            btf: Some(MapBtf { fd: btf.as_fd(), key_type_id: 0, value_type_id: section.0 }),
            flags: map_flags::RDONLY_PROG,
            ..MapSpec::new(MapType::ARRAY, "skep.rodata", 4, 8, 1)
        };
        let rodata: Map = bpf::map_create(&spec).unwrap();
        rodata.update(&[0; 4], b"\x07\0\0\0lab\0", UpdateFlag::Any).unwrap();
        rodata.freeze().unwrap();
        let [low, high] = Insn::ld_imm64(Reg::R1, Imm64::MapFd(rodata.as_fd().as_raw_fd()));
        let insns = [low, high, Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
        let func_info = encode(&[FuncInfo { insn_off: 0, type_id: function }]);
        let spec = ProgSpec {
            btf: Some(btf.as_fd()),
            func_info: &func_info,
            ..ProgSpec::new(ProgType::SOCKET_FILTER, "a_name_that_is_longer_than_the_kernel_keeps", &insns)
        };
        self.pin("rodata", &rodata);
        bpf::prog_load(&spec).unwrap_or_else(|e| panic!("{e}\n{}", e.log))
    }

    fn id_of(&self, name: &str) -> u32 {
        let fd = bpf::obj_get(&self.path(name)).unwrap();
        match bpf::prog_info(fd.as_fd()) {
            Ok(info) if !name.starts_with("map") => info.id,
            _ => bpf::map_info(fd.as_fd()).unwrap().id,
        }
    }
}

fn return_zero() -> [Insn; 2] {
    [Insn::mov64_imm(Reg::R0, 0), Insn::exit()]
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: i32,
    out: String,
    err: String,
}

fn skep(words: &[&str]) -> Answer {
    let args: Vec<OsString> =
        std::iter::once("bpftool").chain(words.iter().copied()).map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = i32::from(skep_inspect::main(&args, &mut out, &mut err));
    Answer { status, out: time_free(&out), err: time_free(&err) }
}

/// The text with zero for the time of loading, which may differ by a second between two runs.
fn time_free(text: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(text).into_owned();
    for key in ["loaded_at ", "\"loaded_at\": ", "\"loaded_at\":"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(key) {
            let start = from + at + key.len();
            let end = text[start..].find([',', ' ']).map_or(text.len(), |end| start + end);
            // Where the key fits as the beginning of a longer one, the time is gone already.
            if end > start {
                text.replace_range(start..end, "0");
            }
            from = start;
        }
    }
    text
}

#[test]
fn lists_hold_every_object_and_are_valid() {
    need!(Root, Bpf);
    let world = World::new();
    for (object, names) in [("prog", ["same0", "described"]), ("map", ["map0", "map5"])] {
        for form in ["-j", "-p"] {
            let answer = skep(&[form, "-f", object]);
            assert_eq!(answer.status, 0);
            let list: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
            for name in names {
                let id = world.id_of(name);
                let path = world.path(name).display().to_string();
                let found = list.as_array().unwrap().iter().find(|item| item["id"] == id).unwrap();
                assert_eq!(found["pinned"], serde_json::json!([path]));
            }
        }
        let plain = skep(&[object, "show"]).out;
        for name in names {
            assert!(plain.lines().any(|line| line.starts_with(&format!("{}: ", world.id_of(name)))));
        }
    }
}

#[test]
fn hostile_names_are_escaped() {
    need!(Root, Bpf);
    let world = World::new();
    let map = bpf::map_create(&MapSpec::new(MapType::ARRAY, "skep_pinned", 4, 4, 1)).unwrap();
    let id = bpf::map_info(map.as_fd()).unwrap().id.to_string();
    const NAME: &str = "a\n\"b\"\t\u{1b}[2J\\";
    world.pin(NAME, &map);
    let plain = skep(&["-f", "map", "show", "id", &id]).out;
    assert!(plain.contains("/a\\n\"b\"\\t\\x1b[2J\\"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain}");
    for form in ["-j", "-p"] {
        let answer = skep(&[form, "-f", "map", "show", "id", &id]);
        let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        assert_eq!(value["pinned"], serde_json::json!([world.path(NAME)]));
    }
}

#[test]
fn holders_are_named() {
    need!(Root, Bpf);
    let world = World::new();
    let held = bpf::obj_get(&world.path("map0")).unwrap();
    let id = bpf::map_info(held.as_fd()).unwrap().id.to_string();
    let me = std::process::id();
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let pids = format!("\n\tpids {}({me})\n", comm.trim_end());
    // By a program in the kernel where it loads, and without.
    let ways: [&[&str]; 2] = [&[], &["--no-feature", "iter"]];
    for way in ways {
        let plain = skep(&[way, &["map", "show", "id", &id]].concat()).out;
        assert!(plain.contains(&pids), "{way:?}: {plain}");
    }
    drop(held);
    for way in ways {
        let plain = skep(&[way, &["map", "show", "id", &id]].concat()).out;
        assert!(!plain.contains("\tpids "), "{way:?}: {plain}");
    }
}

#[test]
fn a_program_in_the_kernel_tells_of_all_kinds_what_proc_tells() {
    need!(Root, Bpf, Iter);
    let world = World::new();
    let held: Vec<_> =
        ["map0", "same0", "described"].map(|name| bpf::obj_get(&world.path(name)).unwrap()).into();
    let map = bpf::map_create(&MapSpec::new(MapType::ARRAY, "held", 4, 4, 1)).unwrap();
    let mut types = BtfBuilder::new();
    types.int("int", 4, IntEncoding::SIGNED);
    let types = bpf::btf_load(&types.finish()).unwrap();
    let own = std::process::id();
    let link = link_with_a_cookie(&world);
    for object in ["prog", "map", "link", "btf"] {
        let pids = |way: &[&str]| -> Vec<(serde_json::Value, serde_json::Value)> {
            let answer = skep(&[way, &["-j", object, "show"]].concat());
            let list: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
            // What others hold may come and go meanwhile.
            let is_ours = |one: &&serde_json::Value| {
                one["pids"].as_array().is_some_and(|pids| pids.iter().any(|holder| holder["pid"] == own))
            };
            let ours = list.as_array().unwrap().iter().filter(is_ours);
            ours.map(|one| (one["id"].clone(), one["pids"].clone())).collect()
        };
        let (mut told, by_proc) = (pids(&[]), pids(&["--no-feature", "iter"]));
        // What other tests hold may come and go meanwhile, too.
        let still = pids(&[]);
        told.retain(|one| still.contains(one));
        assert!(!told.is_empty() || (object == "link" && link.is_none()), "{object}");
        assert!(told.iter().all(|one| by_proc.contains(one)), "{object}: {told:?} {by_proc:?}");
    }
    drop((held, map, types));
    let Some(link) = link else { return };
    let id = bpf::link_info(link.as_fd()).unwrap().id.to_string();
    let plain = skep(&["link", "show", "id", &id]).out;
    assert!(plain.contains("\n\tbpf_cookie 4660\n\tpids "), "{plain}");
    let value: serde_json::Value =
        serde_json::from_str(&skep(&["-j", "link", "show", "id", &id]).out).unwrap();
    assert_eq!(value["bpf_cookie"], 4660);
    // Nobody else knows it.
    let plain = skep(&["--no-feature", "iter", "link", "show", "id", &id]).out;
    assert!(!plain.contains("bpf_cookie"), "{plain}");
}

/// A link to a perf event that never fires; `None` where there are no such links.
fn link_with_a_cookie(world: &World) -> Option<std::os::fd::OwnedFd> {
    let insns = return_zero();
    let prog = bpf::prog_load(&ProgSpec::new(ProgType::PERF_EVENT, "skep_event", &insns)).unwrap();
    world.pin("event", &prog);
    // Once in an hour of this process.
    let event = perf::Event::Software(perf::Software::CpuClock, perf::Sampling::Period(3_600_000_000_000));
    let event = perf::open(event, perf::Scope::pid(std::process::id() as i32)).unwrap();
    bpf::link_create_perf_event(prog.as_fd(), event.as_fd(), 4660).ok()
}

#[test]
fn what_a_program_writes_into_its_streams_is_shown_once() {
    need!(Root, Bpf, Streams);
    let world = World::new();
    // The format must be text that nobody can change.
    let spec = MapSpec { flags: map_flags::RDONLY_PROG, ..MapSpec::new(MapType::ARRAY, "format", 4, 8, 1) };
    let format = bpf::map_create(&spec).unwrap();
    format.update(&[0; 4], b"n %d\"\n\0\0", UpdateFlag::Any).unwrap();
    format.freeze().unwrap();
    let btf = skep_btf::Btf::parse(skep_kernel::btf_file::vmlinux().unwrap().to_vec()).unwrap();
    let print = btf.find(skep_btf::Kind::Func, "bpf_stream_vprintk").unwrap();
    const STDOUT: i32 = 1;
    let [low, high] = Insn::ld_imm64(Reg::R2, Imm64::MapValue { fd: format.as_fd().as_raw_fd(), off: 0 });
    let insns = [
        Insn::store_imm(Size::DW, Reg::R10, -8, 7),
        Insn::mov64_imm(Reg::R1, STDOUT),
        low,
        high,
        Insn::mov64_reg(Reg::R3, Reg::R10),
        Insn::alu64_imm(AluOp::Add, Reg::R3, -8),
        Insn::mov64_imm(Reg::R4, 8),
        Insn::mov64_imm(Reg::R5, 0),
        Insn::call_kfunc(print.0, 0),
        Insn::mov64_imm(Reg::R0, 0),
        Insn::exit(),
    ];
    let spec =
        ProgSpec { flags: prog_flags::SLEEPABLE, ..ProgSpec::new(ProgType::SYSCALL, "writer", &insns) };
    let prog = bpf::prog_load(&spec).unwrap_or_else(|e| panic!("{e}\n{}", e.log));
    world.pin("writer", &prog);
    let id = bpf::prog_info(prog.as_fd()).unwrap().id.to_string();
    bpf::test_run(prog.as_fd(), &mut TestRun::default()).unwrap();
    let read = |words: &[&str]| skep(&[words, &["id", &id]].concat());
    let answer = |out: &str| Answer { status: 0, out: out.to_owned(), err: String::new() };
    assert_eq!(read(&["prog", "tracelog", "stdout"]), answer("n 7\"\n"));
    assert_eq!(read(&["prog", "tracelog", "stdout"]), answer(""));
    bpf::test_run(prog.as_fd(), &mut TestRun::default()).unwrap();
    assert_eq!(read(&["-j", "prog", "tracelog", "stdout"]), answer("[\"n 7\\\"\\n\"\n]\n"));
    assert_eq!(read(&["prog", "tracelog", "stderr"]), answer(""));
}

#[test]
fn a_long_name_comes_from_the_types_and_metadata_from_the_data() {
    need!(Root, Bpf);
    let world = World::new();
    let id = world.id_of("described").to_string();
    let answer = skep(&["-j", "prog", "show", "id", &id]);
    let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(value["name"], "a_name_that_is_longer_than_the_kernel_keeps");
    assert_eq!(value["metadata"], serde_json::json!({"version": 7, "author": "lab"}));
}

/// Nothing to be seen is not the same as no right to see it.
#[test]
fn who_may_not_ask_is_told_so() {
    need!(Root, Bpf);
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let ours = capabilities(None).unwrap();
    let mut none = ours;
    none.effective = CapabilitySet::empty();
    set_capabilities(None, none).unwrap();
    let answers = ["net", "perf", "prog", "map", "link"].map(|object| {
        let args = ["bpftool", object, "show"].map(OsString::from);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = skep_inspect::main(&args, &mut out, &mut err);
        (object, status, String::from_utf8(err).unwrap())
    });
    set_capabilities(None, ours).unwrap();
    for (object, status, err) in answers {
        assert!(status == 255 && err.contains("hint: EPERM: "), "{object}: {status} {err}");
    }
}
