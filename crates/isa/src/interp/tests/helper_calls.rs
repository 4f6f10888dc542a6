//! Helpers and maps of the test environment.

use super::*;

/// `r1 = map; r2 = key on the stack`, the key being four bytes.
fn lookup_args(fd: i32, key: i32) -> Vec<Insn> {
    let mut insns = Insn::ld_imm64(R1, Imm64::MapFd(fd)).to_vec();
    insns.extend([
        Insn::store_imm(Size::W, R10, -4, key),
        Insn::mov64_reg(R2, R10),
        Insn::alu64_imm(AluOp::Add, R2, -4),
    ]);
    insns
}

/// Counts in a map: looks the key up, adds one to the value or stores a one.
fn count(fd: i32, key: i32) -> Program {
    Program::new()
        .then(lookup_args(fd, key))
        .then([
            Insn::call_helper(id::MAP_LOOKUP_ELEM),
            Insn::jmp_imm(JmpOp::Eq, R0, 0, 4),
            Insn::mov64_imm(R1, 1),
            Insn::atomic(Size::DW, AtomicOp::Add { fetch: false }, R0, 0, R1),
            Insn::mov64_imm(R0, 1),
            Insn::exit(),
        ])
        .then(lookup_args(fd, key))
        .then([
            Insn::store_imm(Size::DW, R10, -16, 1),
            Insn::mov64_reg(R3, R10),
            Insn::alu64_imm(AluOp::Add, R3, -16),
            Insn::mov64_imm(R4, 0),
            Insn::call_helper(id::MAP_UPDATE_ELEM),
            Insn::exit(),
        ])
}

fn value(env: &mut TestEnv, memory: &mut Memory, fd: i32, key: u32) -> Option<u64> {
    let entries = env.map(fd).unwrap().entries(memory).unwrap();
    let entry = entries.into_iter().find(|(k, _)| *k == key.to_le_bytes())?;
    Some(u64::from_le_bytes(entry.1.try_into().unwrap()))
}

#[test]
fn maps_keep_their_values_between_runs() {
    for kind in [MapKind::Hash, MapKind::PercpuHash, MapKind::Array, MapKind::PercpuArray] {
        let (mut env, mut memory) = (TestEnv::default(), Memory::default());
        let fd = env.add_map(MapDef::new(kind, 4, 8, 2));
        for _ in 0..3 {
            count(fd, 1).run_in(&[], &mut env, &mut memory).unwrap();
        }
        assert_eq!(value(&mut env, &mut memory, fd, 1), Some(3), "{kind:?}");
        count(fd, 0).run_in(&[], &mut env, &mut memory).unwrap();
        assert_eq!(value(&mut env, &mut memory, fd, 0), Some(1));
        // A third key finds no room.
        let result = count(fd, 7).run_in(&[], &mut env, &mut memory);
        assert_eq!(result, Ok(-7_i64 as u64), "{kind:?}: E2BIG");
    }
}

#[test]
fn update_flags_and_delete() {
    let mut memory = Memory::default();
    let mut hash = Map::new(MapDef::new(MapKind::Hash, 4, 8, 8));
    let (key, one, two) = ([1, 0, 0, 0], [1; 8], [2; 8]);
    let mut update = |value: &[u8], flags| hash.update(&key, value, flags, &mut memory);
    assert_eq!(update(&one, 2), Ok(-2), "EXIST without the key: ENOENT");
    assert_eq!(update(&one, 1), Ok(0));
    assert_eq!(update(&two, 1), Ok(-17), "NOEXIST with the key: EEXIST");
    assert_eq!(update(&two, 2), Ok(0));
    assert_eq!(update(&two, 9), Ok(-22));
    assert!(update(&[0; 3], 0).is_err());
    assert_eq!(hash.delete(&key), 0);
    assert_eq!(hash.delete(&key), -2);
    let mut array = Map::new(MapDef::new(MapKind::Array, 4, 8, 8));
    assert_eq!(array.delete(&key), -22);
    assert_eq!(array.update(&key, &one, 1, &mut memory), Ok(-17));
}

#[test]
fn values_are_bounded() {
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    let fd = env.add_map(MapDef::new(MapKind::Array, 4, 8, 1));
    let at = |off| {
        Program::new()
            .then(Insn::ld_imm64(R1, Imm64::MapValue { fd, off }))
            .then([Insn::load(Size::W, R0, R1, 0), Insn::exit()])
    };
    assert_eq!(at(4).run_in(&[], &mut env, &mut memory), Ok(0));
    let trap = at(6).run_in(&[], &mut env, &mut memory).unwrap_err();
    let expected = Fault::OutOfBounds { kind: RegionKind::MapValue, offset: 6, len: 4, size: 8 };
    assert_eq!(trap.fault, expected);
}

/// Reserves a record of 16 bytes, writes the first eight, and ends it with this helper if any.
fn reserve(fd: i32, end: Option<u32>) -> Program {
    let mut program = Program::new().then(Insn::ld_imm64(R1, Imm64::MapFd(fd))).then([
        Insn::mov64_imm(R2, 16),
        Insn::mov64_imm(R3, 0),
        Insn::call_helper(id::RINGBUF_RESERVE),
        Insn::jmp_imm(JmpOp::Ne, R0, 0, 2),
        Insn::mov64_imm(R0, 1),
        Insn::exit(),
        Insn::store_imm(Size::DW, R0, 0, 0x41),
    ]);
    if let Some(helper) = end {
        program = program.then([Insn::mov64_reg(R1, R0), Insn::mov64_imm(R2, 0), Insn::call_helper(helper)]);
    }
    program.then([Insn::mov64_imm(R0, 0), Insn::exit()])
}

#[test]
fn ring_buffer_records() {
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    let fd = env.add_map(MapDef::ring(64));
    let submit = reserve(fd, Some(id::RINGBUF_SUBMIT));
    let discard = reserve(fd, Some(id::RINGBUF_DISCARD));
    assert_eq!(submit.run_in(&[], &mut env, &mut memory), Ok(0));
    assert_eq!(discard.run_in(&[], &mut env, &mut memory), Ok(0));
    // 48 of 64 bytes are taken now.
    assert_eq!(submit.run_in(&[], &mut env, &mut memory), Ok(1), "the ring is full");
    let records = env.map(fd).unwrap().take_records();
    assert_eq!(records, [[0x41, 0, 0, 0, 0, 0, 0, 0, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]]);
    assert_eq!(submit.run_in(&[], &mut env, &mut memory), Ok(0), "there is room again");

    let leak = reserve(fd, None).run_in(&[], &mut env, &mut memory).unwrap_err();
    assert_eq!(leak.fault, Fault::LeakedRecords(1));
}

#[test]
fn a_submitted_record_is_gone() {
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    let fd = env.add_map(MapDef::ring(4096));
    let mut program = reserve(fd, Some(id::RINGBUF_SUBMIT));
    // Keeps the address, and writes to it after the end of the record.
    program.0.insert(5, Insn::mov64_reg(R6, R0));
    let exit = program.0.len() - 1;
    program.0.insert(exit, Insn::store_imm(Size::B, R6, 0, 0));
    let trap = program.run_in(&[], &mut env, &mut memory).unwrap_err();
    assert!(matches!(trap.fault, Fault::NoObject { .. }), "{trap}");
}

#[test]
fn ring_buffer_output() {
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    let fd = env.add_map(MapDef::ring(32));
    let program = Program::new().then(Insn::ld_imm64(R1, Imm64::MapFd(fd))).then([
        Insn::store_imm(Size::DW, R10, -8, 7),
        Insn::mov64_reg(R2, R10),
        Insn::alu64_imm(AluOp::Add, R2, -8),
        Insn::mov64_imm(R3, 8),
        Insn::mov64_imm(R4, 0),
        Insn::call_helper(id::RINGBUF_OUTPUT),
        Insn::exit(),
    ]);
    assert_eq!(program.run_in(&[], &mut env, &mut memory), Ok(0));
    assert_eq!(program.run_in(&[], &mut env, &mut memory), Ok(-11_i64 as u64), "EAGAIN: full");
    assert_eq!(env.map(fd).unwrap().take_records(), [7_u64.to_le_bytes()]);
}

/// Calls a helper that takes no argument.
fn plain(helper: u32, env: &mut TestEnv) -> u64 {
    let program = Program::new().then([Insn::call_helper(helper), Insn::exit()]);
    program.run_in(&[], env, &mut Memory::default()).unwrap()
}

#[test]
fn the_current_task() {
    let mut env = TestEnv { pid: 10, tid: 11, uid: 1, gid: 2, now: 5, tick: 3, ..TestEnv::default() };
    assert_eq!(plain(id::GET_CURRENT_PID_TGID, &mut env), 10 << 32 | 11);
    assert_eq!(plain(id::GET_CURRENT_UID_GID, &mut env), 2 << 32 | 1);
    assert_eq!(plain(id::GET_SMP_PROCESSOR_ID, &mut env), 0);
    assert_eq!(plain(id::KTIME_GET_NS, &mut env), 5);
    assert_eq!(plain(id::KTIME_GET_BOOT_NS, &mut env), 8);
}

#[test]
fn the_attach_cookie() {
    let mut env = TestEnv { attach_cookie: 99, ..TestEnv::default() };
    let program = Program::new().then([Insn::call_helper(id::GET_ATTACH_COOKIE), Insn::exit()]);
    assert_eq!(program.run_in(&[], &mut env, &mut Memory::default()), Ok(99));
}

#[test]
fn comm_is_cut_and_padded() {
    let comm = |size: i32, read: Insn| {
        let mut env = TestEnv { comm: "a-very-long-task-name".to_owned(), ..TestEnv::default() };
        let program = Program::new().then([
            Insn::mov64_reg(R1, R10),
            Insn::alu64_imm(AluOp::Add, R1, -24),
            Insn::mov64_imm(R2, size),
            Insn::call_helper(id::GET_CURRENT_COMM),
            read,
            Insn::exit(),
        ]);
        program.run_in(&[], &mut env, &mut Memory::default())
    };
    assert_eq!(comm(16, Insn::load(Size::W, R0, R10, -24)), Ok(u32::from_le_bytes(*b"a-ve").into()));
    assert_eq!(comm(16, Insn::load(Size::W, R0, R10, -12)), Ok(u32::from_le_bytes(*b"tas\0").into()));
    assert_eq!(comm(24, Insn::load(Size::DW, R0, R10, -8)), Ok(0));
    assert_eq!(comm(2, Insn::load(Size::H, R0, R10, -24)), Ok(u16::from_le_bytes(*b"a\0").into()));
    assert!(matches!(comm(25, Insn::ja(0)).unwrap_err().fault, Fault::OutOfBounds { .. }));
}

#[test]
fn stacks() {
    let stack = |size: i32, flags: i32, last: Insn| {
        let (kernel_stack, user_stack) = (vec![1, 2, 3], vec![10]);
        let mut env = TestEnv { kernel_stack, user_stack, ..TestEnv::default() };
        let program = Program::new().then([
            Insn::mov64_reg(R2, R10),
            Insn::alu64_imm(AluOp::Add, R2, -32),
            Insn::mov64_imm(R3, size),
            Insn::mov64_imm(R4, flags),
            Insn::call_helper(id::GET_STACK),
            last,
            Insn::exit(),
        ]);
        program.run_in(&[], &mut env, &mut Memory::default())
    };
    let second = Insn::load(Size::DW, R0, R10, -24);
    assert_eq!(stack(32, 0, Insn::ja(0)), Ok(24));
    assert_eq!(stack(16, 1, second), Ok(3));
    assert_eq!(stack(32, 1 << 8, Insn::ja(0)), Ok(8));
    assert_eq!(stack(12, 0, Insn::ja(0)), Ok(-22_i64 as u64));
    assert!(matches!(stack(32, 1 << 8, second).unwrap_err().fault, Fault::UninitMemory { .. }));
}

#[test]
fn the_namespace_sees_the_same_ids() {
    let mut env = TestEnv { pid: 10, tid: 11, ..TestEnv::default() };
    let program = Program::new().then([
        Insn::mov64_imm(R1, 4),
        Insn::mov64_imm(R2, 5),
        Insn::mov64_reg(R3, R10),
        Insn::alu64_imm(AluOp::Add, R3, -8),
        Insn::mov64_imm(R4, 8),
        Insn::call_helper(id::GET_NS_CURRENT_PID_TGID),
        Insn::load(Size::DW, R0, R10, -8),
        Insn::exit(),
    ]);
    assert_eq!(program.run_in(&[], &mut env, &mut Memory::default()), Ok(10 << 32 | 11));
}

/// Reads `size` bytes from `from` to the stack with this helper; returns its result and the buffer of 8
/// bytes, which held sevens before.
fn probe(helper: u32, from: u64, size: i32, memory: &mut Memory) -> (i64, [u8; 8]) {
    let run = |last: Insn, memory: &mut Memory| {
        let program = Program::new().set(R1, 0x0707_0707_0707_0707).set(R3, from).then([
            Insn::store_reg(Size::DW, R10, -8, R1),
            Insn::mov64_reg(R1, R10),
            Insn::alu64_imm(AluOp::Add, R1, -8),
            Insn::mov64_imm(R2, size),
            Insn::call_helper(helper),
            last,
            Insn::exit(),
        ]);
        program.run_in(&[], &mut TestEnv::default(), memory).unwrap()
    };
    let buffer = run(Insn::load(Size::DW, R0, R10, -8), memory).to_le_bytes();
    (run(Insn::ja(0), memory) as i64, buffer)
}

#[test]
fn probe_reads_keep_spaces_apart() {
    const EFAULT: i64 = -14;
    let mut memory = Memory::default();
    let user = memory.alloc(RegionKind::User, b"user\0rest".to_vec());
    let kernel = memory.alloc(RegionKind::Kernel, b"kernel\0rest".to_vec());

    assert_eq!(probe(id::PROBE_READ_USER, user, 4, &mut memory), (0, *b"user\x07\x07\x07\x07"));
    assert_eq!(probe(id::PROBE_READ_KERNEL, kernel, 4, &mut memory), (0, *b"kern\x07\x07\x07\x07"));
    let zeroed = (EFAULT, *b"\0\0\0\0\x07\x07\x07\x07");
    assert_eq!(probe(id::PROBE_READ_USER, kernel, 4, &mut memory), zeroed);
    assert_eq!(probe(id::PROBE_READ_KERNEL, user, 4, &mut memory), zeroed);
    assert_eq!(probe(id::PROBE_READ_KERNEL, 0, 4, &mut memory), zeroed);
    assert_eq!(probe(id::PROBE_READ, kernel + 8, 4, &mut memory), zeroed);
    assert_eq!(probe(id::PROBE_READ_USER, 0, 0, &mut memory), (0, [7; 8]));
}

#[test]
fn probe_read_strings() {
    let mut memory = Memory::default();
    let user = memory.alloc(RegionKind::User, b"user\0rest".to_vec());
    let kernel = memory.alloc(RegionKind::Kernel, b"kernel".to_vec());

    assert_eq!(probe(id::PROBE_READ_USER_STR, user, 8, &mut memory), (5, *b"user\0\x07\x07\x07"));
    assert_eq!(probe(id::PROBE_READ_USER_STR, user, 3, &mut memory), (3, *b"us\0\x07\x07\x07\x07\x07"));
    assert_eq!(probe(id::PROBE_READ_KERNEL_STR, kernel, 6, &mut memory), (6, *b"kerne\0\x07\x07"));
    let unread = (-14, *b"\0\0\0\0\0\0\0\x07");
    assert_eq!(probe(id::PROBE_READ_KERNEL_STR, kernel, 7, &mut memory), unread, "no NUL in sight");
    assert_eq!(probe(id::PROBE_READ_KERNEL_STR, user, 7, &mut memory), unread);
    assert_eq!(probe(id::PROBE_READ_USER_STR, user, 0, &mut memory), (0, [7; 8]));
}

#[test]
fn strncmp() {
    let compare = |left: &[u8; 8], size: i32, right: &[u8]| {
        let mut memory = Memory::default();
        let right = memory.alloc(RegionKind::ReadOnly, right.to_vec());
        let program = Program::new().set(R1, u64::from_le_bytes(*left)).set(R3, right).then([
            Insn::store_reg(Size::DW, R10, -8, R1),
            Insn::mov64_reg(R1, R10),
            Insn::alu64_imm(AluOp::Add, R1, -8),
            Insn::mov64_imm(R2, size),
            Insn::call_helper(id::STRNCMP),
            Insn::exit(),
        ]);
        program.run_in(&[], &mut TestEnv::default(), &mut memory).unwrap() as i64
    };
    assert_eq!(compare(b"abc\0\0\0\0\0", 8, b"abc\0"), 0);
    assert_eq!(compare(b"abcdefgh", 3, b"abc\0"), 0);
    assert_eq!(compare(b"abcdefgh", 4, b"abc\0"), 1);
    assert_eq!(compare(b"abb\0\0\0\0\0", 8, b"abc\0"), -1);
}

#[test]
fn bpf_loop_calls_back() {
    // Adds the index to a slot of the caller's; stops after index 4.
    let program = Program::new()
        .then([Insn::store_imm(Size::DW, R10, -8, 0), Insn::mov64_imm(R1, 100)])
        .then(Insn::ld_imm64(R2, Imm64::Func(8)))
        .then([
            Insn::mov64_reg(R3, R10),
            Insn::mov64_imm(R4, 0),
            Insn::call_helper(id::LOOP),
            Insn::alu64_imm(AluOp::Mul, R0, 1000),
            Insn::load(Size::DW, R1, R10, -8),
            Insn::alu64_reg(AluOp::Add, R0, R1),
            Insn::exit(),
            Insn::atomic(Size::DW, AtomicOp::Add { fetch: false }, R2, -8, R1),
            Insn::mov64_imm(R0, 0),
            Insn::jmp_imm(JmpOp::Ne, R1, 4, 1),
            Insn::mov64_imm(R0, 1),
            Insn::exit(),
        ]);
    assert_eq!(program.run(), Ok(5_000 + 10));
}

#[test]
fn for_each_map_elem_visits_every_entry() {
    let (mut env, mut memory) = (TestEnv::default(), Memory::default());
    let fd = env.add_map(MapDef::new(MapKind::Hash, 4, 8, 8));
    for key in [3, 5] {
        count(fd, key).run_in(&[], &mut env, &mut memory).unwrap();
    }
    // Adds up the keys in a slot of the caller's.
    let program = Program::new()
        .then([Insn::store_imm(Size::DW, R10, -8, 0)])
        .then(Insn::ld_imm64(R1, Imm64::MapFd(fd)))
        .then(Insn::ld_imm64(R2, Imm64::Func(8)))
        .then([
            Insn::mov64_reg(R3, R10),
            Insn::mov64_imm(R4, 0),
            Insn::call_helper(id::FOR_EACH_MAP_ELEM),
            Insn::alu64_imm(AluOp::Mul, R0, 1000),
            Insn::load(Size::DW, R1, R10, -8),
            Insn::alu64_reg(AluOp::Add, R0, R1),
            Insn::exit(),
            Insn::load(Size::W, R2, R2, 0),
            Insn::atomic(Size::DW, AtomicOp::Add { fetch: false }, R4, -8, R2),
            Insn::mov64_imm(R0, 0),
            Insn::exit(),
        ]);
    assert_eq!(program.run_in(&[], &mut env, &mut memory), Ok(2_000 + 8));
}
