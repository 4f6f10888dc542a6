//! The library on the running kernel: compile, load, run, and be told records. Needs root.

use std::os::fd::OwnedFd;

use skep_compile::artifact::{Artifact, Program};
use skep_isa::{Insn, Reg, Size};
use skep_lang::hir::{Attach, Config, ProbeKind, Target, TargetId};
use skep_testing::need;
use skep_trace::sink::{Buffering, Collect, Data, MapEntry, Output, Record, TextSink};
use skep_trace::{Ended, Error, KernelWorld, Options, Session, compile};
use skep_ui::{Colors, FileId, SourceMap, Span};

#[test]
fn records_reach_a_closure() {
    need!(Root, Bpf, RingBuf);
    let mut sources = SourceMap::new();
    let file = sources.add(
        "test",
        "BEGIN { print((1, \"a\")); printf(\"%d\\n\", 7); @m[5] = count(); } END { print(2); exit(3); }",
    );
    let world = KernelWorld::new();
    let compiled = compile(&mut sources, file, &skep_lang::Options::default(), &world)
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
    need!(Root, Bpf, RingBuf);
    let mut sources = SourceMap::new();
    sources.add("test", "BEGIN { bad; }");
    let span = Span::new(FileId(0), 8, 11);
    let artifact = Artifact {
        types: Default::default(),
        config: Config::default(),
        targets: vec![Target { name: "begin".into(), attach: Attach::Begin, wildcard: false }],
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
        texts: Vec::new(),
        portable: Default::default(),
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

#[test]
fn an_output_that_closes_ends_a_script_that_prints_nothing() {
    need!(Root, Bpf, RingBuf);
    let mut sources = SourceMap::new();
    let file = sources.add("test", "interval:s:1000 { print(1) } END { exit(4) }");
    let compiled = compile(&mut sources, file, &skep_lang::Options::default(), &KernelWorld::new())
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(&sources, Colors::Never)));
    let session = Session::load(compiled.artifact, Options::default()).expect("the script loads");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let output = Output::to_file(OwnedFd::from(writer).into(), Buffering::Line);
    let mut sink = TextSink::new(output, Box::new(std::io::sink()), sources).quiet(true);
    drop(reader);
    let outcome = session.run(&mut sink).expect("the script runs");
    assert_eq!((outcome.exit_code, outcome.ended), (4, Ended::Closed), "END runs all the same");
}

/// What the original printed for this script.
#[test]
fn histograms_are_the_originals() {
    need!(Root, Bpf, RingBuf);
    let script = r#"BEGIN {
        @negative = hist((int64)-3); @negative = hist(0x8000000000000000); @negative = hist(3);
        @split[1] = hist(2048, 2); @split[2] = hist(3584, 2); @split[3] = hist(1000000, 2);
        @steps = lhist(9, 0, 10, 3); @steps = lhist(11, 0, 10, 3); @steps = lhist(1, 0, 10, 3);
        @units = lhist(1073741824, 0, 2147483647, 268435456);
    }"#;
    let mut sources = SourceMap::new();
    let file = sources.add("test", script);
    let compiled = compile(&mut sources, file, &skep_lang::Options::default(), &KernelWorld::new())
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(&sources, Colors::Never)));
    let session = Session::load(compiled.artifact, Options::default()).expect("the script loads");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let output = Output::to_file(OwnedFd::from(writer).into(), Buffering::Full);
    session
        .run(&mut TextSink::new(output, Box::new(std::io::sink()), sources).quiet(true))
        .expect("the script runs");
    let shown = std::io::read_to_string(reader).expect("the results can be read");
    insta::assert_snapshot!(shown.trim_start_matches('\n'));
}
