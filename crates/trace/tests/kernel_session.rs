//! The library on the running kernel: compile, load, run, and be told records. Needs root.

use skep_compile::artifact::{Artifact, Program};
use skep_isa::{Insn, Reg, Size};
use skep_lang::hir::{Attach, Config, ProbeKind, Target, TargetId};
use skep_trace::sink::{Collect, Data, MapEntry, Record};
use skep_trace::{Ended, Error, KernelWorld, Options, Session, compile};
use skep_ui::{Colors, FileId, SourceMap, Span};

/// Whether the kernel lets this user load programs; says so if not.
fn may_load(test: &str) -> bool {
    let insns = [Insn::mov64_imm(Reg::R0, 0), Insn::exit()];
    let kind = skep_kernel::bpf::ProgType::RAW_TRACEPOINT;
    match skep_kernel::bpf::prog_load(&skep_kernel::bpf::ProgSpec::new(kind, "may_load", &insns)) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIP: {test}: the kernel lets this user load no programs: {error}");
            false
        }
    }
}

#[test]
fn records_reach_a_closure() {
    if !may_load("records_reach_a_closure") {
        return;
    }
    let mut sources = SourceMap::new();
    let file = sources.add(
        "test",
        "BEGIN { print((1, \"a\")); printf(\"%d\\n\", 7); @m[5] = count(); } END { print(2); exit(3); }",
    );
    let world = KernelWorld::new();
    let compiled = compile(&sources, file, &skep_lang::Options::default(), &world)
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(&sources, Colors::Never)));
    let session = Session::load(compiled.artifact, Options::default()).expect("the script loads");
    let mut records = Vec::new();
    let outcome = session
        .run(&mut Collect::new(|record| {
            records.push(record);
            Ok(())
        }))
        .expect("the script runs");
    assert_eq!((outcome.exit_code, outcome.ended), (3, Ended::Complete));
    let printf = Record::Printf { message: false, text: "7\n".into(), values: vec![Data::Int(7)] };
    let map = Record::Map {
        name: "@m".into(),
        entries: vec![MapEntry { key: Data::Int(5), value: Data::Uint(1) }],
    };
    assert_eq!(
        records,
        [
            Record::Attached { probes: 2 },
            Record::Value(Data::List(vec![Data::Int(1), Data::Text("a".into())])),
            printf,
            Record::Value(Data::Int(2)),
            Record::Finished,
            map,
        ]
    );
}

#[test]
fn a_refused_program_points_at_the_script() {
    if !may_load("a_refused_program_points_at_the_script") {
        return;
    }
    let mut sources = SourceMap::new();
    sources.add("test", "BEGIN { bad; }");
    let span = Span::new(FileId(0), 8, 11);
    let artifact = Artifact {
        types: Default::default(),
        config: Config::default(),
        targets: vec![Target { name: "begin".into(), attach: Attach::Begin }],
        programs: vec![Program {
            name: "bad".into(),
            kind: ProbeKind::RawTestRun,
            // r2 was never written.
            insns: vec![Insn::load(Size::DW, Reg::R0, Reg::R2, 0), Insn::exit()],
            relocs: Vec::new(),
            func_info: Vec::new(),
            line_info: Vec::new(),
            spans: vec![span; 2],
            targets: vec![TargetId(0)],
            span: Span::new(FileId(0), 0, 5),
            lost_slot: 0,
        }],
        maps: Vec::new(),
        events: Vec::new(),
        btf: Vec::new(),
    };
    let error = Session::load(artifact, Options::default()).err().expect("the verifier refuses it");
    let shown = error.render(&sources, Colors::Never);
    let Error::Verifier(refusal) = error else { panic!("{shown}") };
    let report = refusal.report.expect("a report is written");
    let text = std::fs::read_to_string(&report).expect("the report can be read");
    std::fs::remove_file(&report).expect("the report can be removed");
    assert!(
        shown.starts_with("test:1:9-12: ERROR: the kernel's verifier refuses the program for begin: "),
        "{shown}"
    );
    assert!(shown.contains("BEGIN { bad; }\n        ~~~\n") && shown.contains("R2 !read_ok"), "{shown}");
    assert!(shown.contains(&report.display().to_string()), "{shown}");
    assert!(text.contains("r0 = *(u64 *)(r2 +0)") && text.contains("R2 !read_ok"), "{text}");
}
