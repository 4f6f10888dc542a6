//! The running kernel accepts what the back end makes, and computes the same as the IR.

mod support;

use std::os::fd::{AsFd, AsRawFd};

use skep_btf::ext;
use skep_compile::artifact::{MapSpec, Storage};
use skep_compile::backend;
use skep_compile::ir::{self, Func, Op, Term, Width};
use skep_kernel::bpf::{self, MapType, ProgSpec, ProgType, TestRun};
use skep_kernel::limits;
use skep_lang::hir;
use skep_lang::ty::{Agg, Ty, TyKind};
use skep_testing::need;
use skep_ui::{SourceMap, Span};
use support::generate::{self, CTX_SIZE};
use support::kernel::{Random, has_fetching_atomics, run_in_kernel};
use support::run;

#[test]
fn made_up_programs_mean_the_same_in_the_kernel() {
    need!(Root, Bpf);
    limits::raise_memlock().expect("root may lift the limit");
    let fetch = has_fetching_atomics();
    for seed in 0..400u64 {
        let mut random = Random(seed * 2 + 1);
        let choices: Vec<u16> = (0..random.next() % 320).map(|_| random.next() as u16).collect();
        let ctx: Vec<u8> = (0..CTX_SIZE).map(|_| random.next() as u8).collect();
        let func = generate::func(&choices);
        if !fetch && uses_fetching_atomics(&func) {
            continue;
        }
        compare(seed, &func, &ctx);
    }
}

fn compare(seed: u64, func: &Func, ctx: &[u8]) {
    let mut maps = generate::maps();
    let shown = maps.len();
    let code = backend::assemble(func.clone(), &[], Span::GENERATED, &mut maps).expect("it fits");
    let describe = || {
        let listing = skep_isa::disasm::dump(&code.insns, &skep_isa::disasm::NoNames);
        format!("seed {seed}\n{func}\n{listing}")
    };
    let wanted =
        run::run_ir(func, &[], &maps, shown, ctx).unwrap_or_else(|trap| panic!("{trap}\n{}", describe()));
    let simulated =
        run::run_code(&code, &maps, shown, ctx).unwrap_or_else(|trap| panic!("{trap}\n{}", describe()));
    assert_eq!(wanted, simulated, "{}", describe());
    let real = run_in_kernel(&code, None, &maps, shown, ctx)
        .unwrap_or_else(|error| panic!("{error}\n{}", describe()));
    assert_eq!(wanted, real, "{}", describe());
}

fn uses_fetching_atomics(func: &Func) -> bool {
    let mut insts = func.blocks.iter().flat_map(|block| &block.insts);
    insts.any(|inst| inst.result.is_some() && matches!(inst.op, Op::AtomicAdd { .. }))
}

#[test]
fn the_kernel_takes_types_functions_and_lines() {
    need!(Root, Bpf);
    limits::raise_memlock().expect("root may lift the limit");
    let mut sources = SourceMap::new();
    let file = sources.add("typed.bt", "BEGIN {\n\t@a = 1;\n\t@b[1] = 2;\n}\n");
    let (module, program) = typed_script(file);
    let artifact = backend::compile(module, &program, &sources).expect("it fits");
    let btf = bpf::btf_load(&artifact.btf).unwrap_or_else(|error| panic!("{error}\n{}", error.log));
    let mut fds = Vec::new();
    let mut open = Vec::new();
    for map in &artifact.maps {
        let kind = if map.storage == Storage::Hash { MapType::HASH } else { MapType::PERCPU_HASH };
        let mut spec =
            bpf::MapSpec::new(kind, map.name.trim_start_matches('@'), map.key_size, map.value_size, 16);
        assert_ne!(map.btf, (0, 0), "{} has no types", map.name);
        spec.btf = Some(bpf::MapBtf { fd: btf.as_fd(), key_type_id: map.btf.0, value_type_id: map.btf.1 });
        let created = bpf::map_create(&spec).unwrap_or_else(|error| panic!("{}: {error}", map.name));
        fds.push(created.as_fd().as_raw_fd());
        open.push(created);
    }
    let [program] = &artifact.programs[..] else { panic!("one program for one probe") };
    let (func_info, line_info) = (ext::encode(&program.func_info), ext::encode(&program.line_info));
    assert_eq!(program.line_info.iter().map(|line| line.line()).collect::<Vec<_>>(), [2, 3]);
    let mut spec = ProgSpec::new(ProgType::RAW_TRACEPOINT, &program.name, &program.insns);
    (spec.btf, spec.func_info, spec.line_info) = (Some(btf.as_fd()), &func_info, &line_info);
    let prog = bpf::prog_load(&spec).unwrap_or_else(|error| panic!("{error}\n{}", error.log));
    let outcome = bpf::test_run(prog.as_fd(), &mut TestRun::default()).expect("it runs");
    assert_eq!(outcome.retval, 42);
}

/// Maps of every sort of type, and a program of two lines.
fn typed_script(file: skep_ui::FileId) -> (ir::Module, hir::Program) {
    let mut program = hir::Program::default();
    let text = program.types.str(16);
    let buffer = program.types.intern(TyKind::Buf(10));
    let address = program.types.ptr(Ty::U8, skep_lang::ty::Space::Kernel);
    let array = program.types.intern(TyKind::Array { elem: Ty::I16, len: 3 });
    let pair = program.types.tuple([Ty::U8, text, Ty::I64, Ty::BOOL]);
    let record =
        program.types.intern(TyKind::Record([("who".into(), Ty::U32), ("what".into(), pair)].into()));
    let mut aggs = Vec::new();
    for agg in [
        Agg::Count,
        Agg::Sum { signed: true },
        Agg::Min { signed: false },
        Agg::Max { signed: true },
        Agg::Avg { signed: true },
        Agg::Stats { signed: false },
        Agg::Hist { bits: 0 },
        Agg::Lhist { min: 0, max: 100, step: 10 },
    ] {
        aggs.push(program.types.intern(TyKind::Agg(agg)));
    }
    let plain = [(Ty::VOID, Ty::I64), (text, Ty::U8), (pair, text), (record, pair), (Ty::BOOL, buffer)];
    let more = [(Ty::PROBE, address), (array, record)];
    let aggregated = aggs.into_iter().map(|agg| (pair, agg));
    let mut maps = Vec::new();
    for (at, (key, value)) in plain.into_iter().chain(more).chain(aggregated).enumerate() {
        let is_agg = matches!(program.types.kind(value), TyKind::Agg(_));
        maps.push(MapSpec {
            name: format!("@m{at}"),
            role: skep_compile::artifact::MapRole::User { key, value },
            storage: if is_agg { Storage::PerCpuHash } else { Storage::Hash },
            key_size: if key == Ty::VOID { 4 } else { program.types.size(key) },
            value_size: program.types.size(value),
            mark: None,
            max_entries: 16,
            btf: (0, 0),
            init: Vec::new(),
            read_only: false,
        });
    }
    program.probes.push(hir::Probe {
        name: "begin".into(),
        kind: hir::ProbeKind::RawTestRun,
        targets: vec![hir::TargetId(0)],
        locals: Vec::new(),
        body: hir::Block::default(),
        functions: Vec::new(),
        span: Span::new(file, 0, 5),
        clause: 0,
    });
    (ir::Module { funcs: vec![two_lines(file)], maps, ..ir::Module::default() }, program)
}

/// Stores on one line, loads and returns on the next.
fn two_lines(file: skep_ui::FileId) -> Func {
    let (first, second) = (Span::new(file, 9, 15), Span::new(file, 18, 27));
    let mut func = Func { name: "special_0".into(), ..Func::default() };
    func.objects.push(ir::Object { name: "x".into(), size: 8, align: 8, home: ir::Home::Any });
    func.values =
        [ir::ValueTy::Ptr, ir::ValueTy::Int, ir::ValueTy::Int].map(|ty| ir::ValueData { ty }).to_vec();
    let [addr, number, loaded] = [0, 1, 2].map(ir::Value);
    let inst = |result, op, span| ir::Inst { result, op, span };
    func.blocks.push(ir::Block {
        params: Vec::new(),
        insts: vec![
            inst(Some(addr), Op::ObjectAddr(ir::ObjectId(0), 0), first),
            inst(Some(number), Op::Const(42), first),
            inst(None, Op::Store { width: Width::W64, addr, offset: 0, value: number }, first),
            inst(Some(loaded), Op::Load { width: Width::W64, signed: false, addr, offset: 0 }, second),
        ],
        term: Term::Return(loaded),
        term_span: second,
    });
    func
}
