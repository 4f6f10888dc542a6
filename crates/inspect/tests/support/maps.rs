//! Maps of every type, with values of every type.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use skep_btf::{BtfBuilder, Enumerator, IntEncoding, Kind, Linkage, Member, Param, SecVar, TypeId};
use skep_kernel::bpf::{self, Map, MapBtf, MapSpec, MapType, UpdateFlag, map_flags};

use super::World;

/// Types by what they are for.
struct Types {
    fd: OwnedFd,
    int: u32,
    key: u32,
    everything: u32,
    everything_size: u32,
    pair: u32,
    data: u32,
    float: u32,
}

fn types() -> Types {
    let mut b = BtfBuilder::new();
    let plain = |name, ty, offset: u32| Member { name, ty, bit_offset: offset * 8, bitfield_size: 0 };
    let bits = |name, ty, bit_offset, bitfield_size| Member { name, ty, bit_offset, bitfield_size };
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let sizes = [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)];
    let unsigned = sizes.map(|(name, size)| b.int(name, size, IntEncoding::UNSIGNED));
    let signed =
        [("s8", 1), ("s16", 2), ("s64", 8)].map(|(name, size)| b.int(name, size, IntEncoding::SIGNED));
    let wide = b.int("__int128", 16, IntEncoding::SIGNED);
    let char = b.int("char", 1, IntEncoding::SIGNED);
    let letter = b.int("letter", 1, IntEncoding::CHAR);
    let flag = b.int("_Bool", 1, IntEncoding::BOOL);
    let my_char = b.typedef("mychar", char);
    let text = b.array(char, int, 8);
    let no_text = b.array(char, int, 4);
    let typedef_text = b.array(my_char, int, 4);
    let color = [("RED", 1), ("GREEN", 2), ("BLUE", -3)].map(|(name, value)| Enumerator { name, value });
    let color = b.enum_("color", 4, true, &color);
    let big = [("ONE", 1), ("HUGE", 1 << 32)].map(|(name, value)| Enumerator { name, value });
    let big = b.enum64("big", 8, false, &big);
    let pair = b.struct_("pair", 16, &[plain("a", int, 0), plain("b", signed[2], 8)]);
    let either = b.union_("either", 16, &[plain("i", int, 0), plain("c", text, 0), plain("in", pair, 0)]);
    let row = b.array(signed[1], int, 2);
    let rows = b.array(row, int, 2);
    let pairs = b.array(pair, int, 2);
    let pointer = b.ptr(pair);
    let proto = b.func_proto(int, &[Param { name: "x", ty: int }]);
    let function = b.ptr(proto);
    let constant = b.const_(unsigned[2]);
    let constant = b.volatile(constant);
    let anonymous = b.struct_("", 8, &[plain("x", int, 0), plain("y", char, 4)]);
    let other = b.union_("", 4, &[plain("p", int, 0), plain("q", flag, 0)]);
    let everything_size = 240;
    let everything = b.struct_(
        "everything",
        everything_size,
        &[
            plain("u8f", unsigned[0], 0),
            plain("s8f", signed[0], 1),
            plain("u16f", unsigned[1], 2),
            plain("s16f", signed[1], 4),
            plain("flag", flag, 6),
            plain("letter", letter, 7),
            plain("u32f", unsigned[2], 8),
            plain("ch", char, 12),
            plain("u64f", unsigned[3], 16),
            plain("s64f", signed[2], 24),
            plain("wide", wide, 32),
            plain("name", text, 48),
            plain("notext", no_text, 56),
            plain("mytext", typedef_text, 60),
            plain("col", color, 64),
            plain("big", big, 72),
            plain("in", pair, 80),
            plain("un", either, 96),
            plain("rows", rows, 112),
            plain("pairs", pairs, 120),
            plain("ptr", pointer, 152),
            plain("fn", function, 160),
            plain("cv", constant, 168),
            plain("", anonymous, 176),
            plain("", other, 184),
            bits("bf1", unsigned[2], 192 * 8, 3),
            bits("bf2", int, 192 * 8 + 3, 5),
            bits("bf3", unsigned[2], 192 * 8 + 8, 12),
            bits("bf4", unsigned[3], 200 * 8 + 5, 40),
        ],
    );
    let key = b.struct_("key", 8, &[plain("id", unsigned[2], 0), plain("tag", no_text, 4)]);
    let float = b.float("double", 8);
    let number = b.var("number", int, Linkage::Global);
    let greeting = b.var("greeting", text, Linkage::Static);
    let whole = b.var("whole", everything, Linkage::Global);
    let vars = [
        SecVar { var: number, offset: 0, size: 4 },
        SecVar { var: greeting, offset: 4, size: 8 },
        SecVar { var: whole, offset: 16, size: everything_size },
    ];
    let data = b.datasec(".data", 16 + everything_size, &vars);
    let fd = bpf::btf_load(&b.finish()).unwrap_or_else(|e| panic!("{e}\n{}", e.log));
    Types {
        fd,
        int: int.0,
        key: key.0,
        everything: everything.0,
        everything_size,
        pair: pair.0,
        data: data.0,
        float: float.0,
    }
}

pub fn make(world: &mut World) {
    let types = types();
    typed(world, &types);
    bytes(world);
    of_objects(world);
    storages(world, &types);
    struct_ops_like(world, &types);
}

fn spec(kind: MapType, name: &str, key: u32, value: u32, entries: u32) -> MapSpec<'_> {
    MapSpec::new(kind, name, key, value, entries)
}

fn with<'a>(spec: MapSpec<'a>, types: &'a Types, key: u32, value: u32) -> MapSpec<'a> {
    MapSpec { btf: Some(MapBtf { fd: types.fd.as_fd(), key_type_id: key, value_type_id: value }), ..spec }
}

/// Bytes that differ from each other, with texts where the types have some.
fn pattern(size: u32, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size).map(|at| (at as u8).wrapping_mul(37).wrapping_add(seed)).collect();
    if size >= 64 {
        bytes[6] = 1;
        bytes[7] = if seed == 0 { b'q' } else { 7 };
        bytes[48..56].copy_from_slice(b"\"q\"\\ z\0!");
        bytes[60..64].copy_from_slice(b"abc\0");
        bytes[64..68].copy_from_slice(&(-3i32).to_le_bytes());
        bytes[72..80].copy_from_slice(&(1u64 << 32).to_le_bytes());
        bytes[184..188].copy_from_slice(&1u32.to_le_bytes());
        if seed != 0 {
            bytes[152..160].fill(0);
        }
    }
    bytes
}

fn typed(world: &mut World, types: &Types) {
    let size = types.everything_size;
    for (kind, flags) in [
        (MapType::HASH, 0),
        (MapType::LRU_HASH, 0),
        (MapType::PERCPU_HASH, 0),
        (MapType::LRU_PERCPU_HASH, 0),
        (MapType::HASH, map_flags::NO_PREALLOC),
    ] {
        let name = format!("m_{kind}{flags}");
        let made = bpf::map_create(
            &with(spec(kind, &name, 8, size, 16), types, types.key, types.everything).flags(flags),
        );
        let Some(map) = world.keep(&name, made) else { continue };
        for seed in 0..2u8 {
            let key = [seed, 0, 0, 0, b'a', b'b', 0, 0];
            fill(&map, &key, size, seed);
        }
    }
    for kind in [MapType::ARRAY, MapType::PERCPU_ARRAY] {
        let name = format!("m_{kind}");
        let made = bpf::map_create(&with(spec(kind, &name, 4, 16, 3), types, types.int, types.pair));
        let Some(map) = world.keep(&name, made) else { continue };
        fill(&map, &1u32.to_le_bytes(), 16, 3);
    }
    // More than are read one by one.
    let made =
        bpf::map_create(&with(spec(MapType::ARRAY, "m_many", 4, 16, 300), types, types.int, types.pair));
    world.keep("m_many", made);
    let made =
        bpf::map_create(&with(spec(MapType::ARRAY, "m_float", 4, 8, 2), types, types.int, types.float));
    if let Some(map) = world.keep("m_float", made) {
        map.update(&[0; 4], &1.5f64.to_le_bytes(), UpdateFlag::Any).unwrap();
    }
    let section = with(spec(MapType::ARRAY, "skep.data", 4, 16 + size, 1), types, 0, types.data);
    if let Some(map) = world.keep("m_data", bpf::map_create(&section)) {
        let mut value = b"\x2a\0\0\0hello\0\0\0\0\0\0\0".to_vec();
        value.extend(pattern(size, 1));
        map.update(&[0; 4], &value, UpdateFlag::Any).unwrap();
    }
    let trie = with(spec(MapType::LPM_TRIE, "m_lpm_trie", 8, 16, 4), types, types.key, types.pair);
    if let Some(map) = world.keep("m_lpm_trie", bpf::map_create(&trie.flags(map_flags::NO_PREALLOC))) {
        map.update(&[32, 0, 0, 0, 10, 0, 0, 1], &pattern(16, 1), UpdateFlag::Any).unwrap();
    }
}

fn fill(map: &Map, key: &[u8], size: u32, seed: u8) {
    let part = pattern(size, seed);
    let step = (size as usize).next_multiple_of(8);
    let mut value = Vec::new();
    while value.len() < map.value_len() {
        value.extend(&part);
        value.resize(value.len().next_multiple_of(step), 0);
    }
    value.truncate(map.value_len());
    map.update(key, &value, UpdateFlag::Any).unwrap();
}

fn bytes(world: &mut World) {
    let plain = [
        (spec(MapType::HASH, "m_short", 4, 4, 4), 4, 4),
        (spec(MapType::HASH, "m_long_key", 20, 40, 4), 20, 40),
        (spec(MapType::HASH, "m_middle", 10, 16, 4), 10, 16),
        (spec(MapType::HASH, "m_unnamed", 8, 17, 4), 8, 17),
        (spec(MapType::PERCPU_HASH, "m_pcpu_bytes", 4, 20, 4), 4, 20),
        (spec(MapType::PERCPU_HASH, "m_pcpu_short", 4, 3, 4), 4, 3),
    ];
    for (spec, key, value) in plain {
        let Some(map) = world.keep(spec.name, bpf::map_create(&spec)) else { continue };
        for seed in 1..3u8 {
            fill(&map, &pattern(key, seed), value, seed);
        }
    }
    for (kind, name) in
        [(MapType::QUEUE, "m_queue"), (MapType::STACK, "m_stack"), (MapType::BLOOM_FILTER, "m_bloom")]
    {
        let Some(map) = world.keep(name, bpf::map_create(&spec(kind, name, 0, 4, 4))) else { continue };
        map.update(&[], &[2, 0, 0xad, 0xde], UpdateFlag::Any).unwrap();
    }
    world.keep("m_ringbuf", bpf::map_create(&MapSpec::ring_buffer("m_ringbuf", 4096)));
    world.keep("m_user_ringbuf", bpf::map_create(&spec(MapType::USER_RINGBUF, "m_user_ringbuf", 0, 0, 4096)));
    world.keep(
        "m_arena",
        bpf::map_create(&spec(MapType::ARENA, "m_arena", 0, 0, 1).flags(map_flags::MMAPABLE)),
    );
    let frozen = bpf::map_create(&spec(MapType::ARRAY, "m_frozen", 4, 4, 2));
    if let Some(map) = world.keep("m_frozen", frozen) {
        map.freeze().unwrap();
    }
    for name in ["m_twice0", "m_twice1"] {
        world.keep(name, bpf::map_create(&spec(MapType::ARRAY, "m_twice", 4, 4, 1)));
    }
}

fn of_objects(world: &mut World) {
    let inner = bpf::map_create(&spec(MapType::ARRAY, "m_inner", 4, 4, 1));
    let Some(inner) = world.keep("m_inner", inner) else { return };
    let fd = (inner.as_fd().as_raw_fd() as u32).to_ne_bytes();
    for (kind, name) in [(MapType::ARRAY_OF_MAPS, "m_aom"), (MapType::HASH_OF_MAPS, "m_hom")] {
        let outer = MapSpec { inner_map: Some(inner.as_fd()), ..spec(kind, name, 4, 4, 3) };
        if let Some(map) = world.keep(name, bpf::map_create(&outer)) {
            map.update(&1u32.to_ne_bytes(), &fd, UpdateFlag::Any).unwrap();
        }
    }
    const LOOPBACK: u32 = 1;
    for (kind, name) in [(MapType::DEVMAP, "m_devmap"), (MapType::DEVMAP_HASH, "m_devmap_hash")] {
        if let Some(map) = world.keep(name, bpf::map_create(&spec(kind, name, 4, 4, 3))) {
            map.update(&1u32.to_ne_bytes(), &LOOPBACK.to_ne_bytes(), UpdateFlag::Any).unwrap();
        }
    }
    if let Some(map) = world.keep("m_cpumap", bpf::map_create(&spec(MapType::CPUMAP, "m_cpumap", 4, 4, 2))) {
        map.update(&[0; 4], &192u32.to_ne_bytes(), UpdateFlag::Any).unwrap();
    }
    for (kind, name, value) in [
        (MapType::SOCKMAP, "m_sockmap", 4),
        (MapType::SOCKHASH, "m_sockhash", 8),
        (MapType::XSKMAP, "m_xskmap", 4),
        (MapType::REUSEPORT_SOCKARRAY, "m_reuse4", 4),
        (MapType::REUSEPORT_SOCKARRAY, "m_reuse8", 8),
        (MapType::CGROUP_ARRAY, "m_cgroup_array", 4),
        (MapType::PERF_EVENT_ARRAY, "m_perf", 4),
        (MapType::PROG_ARRAY, "m_prog_array", 4),
        (MapType::STACK_TRACE, "m_stack_trace", 80),
    ] {
        world.keep(name, bpf::map_create(&spec(kind, name, 4, value, 2)));
    }
}

fn storages(world: &mut World, types: &Types) {
    for (kind, name) in [
        (MapType::SK_STORAGE, "m_sk"),
        (MapType::INODE_STORAGE, "m_inode"),
        (MapType::TASK_STORAGE, "m_task"),
        (MapType::CGRP_STORAGE, "m_cgrp"),
    ] {
        let of = with(spec(kind, name, 4, 16, 0), types, types.int, types.pair).flags(map_flags::NO_PREALLOC);
        world.keep(name, bpf::map_create(&of));
    }
    // This process stands for itself in the storage of tasks, by a descriptor of it.
    if let (Ok(fd), Ok(own)) =
        (bpf::obj_get(&world.path("m_task")), skep_kernel::signals::pidfd(std::process::id() as i32))
    {
        let map = Map::from_fd(fd).unwrap();
        let _ = map.update(&own.as_raw_fd().to_ne_bytes(), &pattern(16, 9), UpdateFlag::Any);
    }
    for (kind, name) in
        [(MapType::CGROUP_STORAGE, "m_cgroup_storage"), (MapType::PERCPU_CGROUP_STORAGE, "m_pcpu_cgroup")]
    {
        world.keep(name, bpf::map_create(&spec(kind, name, 8, 16, 0)));
    }
}

/// A map whose types have no name and whose values are an array.
fn struct_ops_like(world: &mut World, types: &Types) {
    let of = with(spec(MapType::ARRAY, "", 4, 16, 1), types, types.int, types.pair);
    world.keep("m_noname", bpf::map_create(&of));
}

/// The type of the kernel's structure around a table of functions.
pub fn kernel_type(name: &str) -> Option<TypeId> {
    let bytes = skep_kernel::btf_file::vmlinux().ok()?.to_vec();
    skep_btf::Btf::parse(bytes).ok()?.find(Kind::Struct, name)
}

/// A file descriptor as the kernel reads it out of a value.
pub fn descriptor(fd: BorrowedFd<'_>) -> [u8; 4] {
    (fd.as_raw_fd() as u32).to_ne_bytes()
}
