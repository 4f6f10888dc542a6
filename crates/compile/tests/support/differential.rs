//! A script by the whole road, and its program run at each stage.

use skep_btf::ext::FuncInfo;
use skep_compile::artifact::MapSpec;
use skep_compile::backend::{self, Code};
use skep_compile::ir::Func;
use skep_compile::{lower, lower_in_parts, optimise};
use skep_lang::sema::testing::{Fixture, Old};
use skep_lang::world::World;
use skep_lang::{Options, compile_front};
use skep_ui::SourceMap;

use super::kernel::Random;
use super::language::{self, Kernel};
use super::run::{Outcome, run_code, run_ir};

/// The one program of a script at all stages.
pub struct Stages {
    /// The script.
    pub script: String,
    /// As it was lowered, and what it calls.
    pub lowered: (Func, Vec<Func>),
    /// After all passes.
    pub optimised: (Func, Vec<Func>),
    /// What the kernel is told about its functions.
    pub types: Types,
    /// The instructions.
    pub code: Code,
    /// All maps; the script's own come first.
    pub maps: Vec<MapSpec>,
    /// How many are the script's own.
    pub shown: usize,
}

/// What the kernel is told about the functions of a program.
pub struct Types {
    /// The types.
    pub btf: Vec<u8>,
    /// Where functions start.
    pub functions: Vec<FuncInfo>,
}

/// Compiles a script of one clause. `None` if the language refuses it.
pub fn compile(script: &str, kernel: Kernel) -> Option<Stages> {
    let mut sources = SourceMap::new();
    let file = sources.add("made_up.bt", script);
    let (able, old) = (Fixture::default(), Old::default());
    let world: &dyn World = if kernel == Kernel::Calls { &able } else { &old };
    let analysis = compile_front(&mut sources, file, &Options::default(), world);
    let Some(program) = &analysis.program else {
        if std::env::var_os("SKEP_SHOW_REFUSED").is_some() {
            eprintln!("{script}{}", analysis.render(&sources, skep_ui::Colors::Never));
        }
        return None;
    };
    // Every other one in parts, as a very long one would be.
    let lowered = if script.len().is_multiple_of(2) { lower_in_parts(program, 60) } else { lower(program) };
    let mut module = lowered.unwrap_or_else(|error| panic!("{error}\n{script}"));
    let [lowered] = &module.funcs[..] else { panic!("one program for one clause") };
    let lowered = (lowered.clone(), module.subs.clone());
    optimise(&mut module);
    let optimised = (module.funcs[0].clone(), module.subs.clone());
    let artifact = backend::compile(module, program, &sources);
    let artifact = artifact.unwrap_or_else(|error| panic!("{error}\n{script}"));
    let [program_code] = &artifact.programs[..] else { panic!("one program for one clause") };
    let code = Code {
        insns: program_code.insns.clone(),
        spans: program_code.spans.clone(),
        relocs: program_code.relocs.clone(),
        ..Code::default()
    };
    let types = Types { btf: artifact.btf.clone(), functions: program_code.func_info.clone() };
    let (maps, shown) = (artifact.maps, program.maps.len());
    Some(Stages { script: script.into(), lowered, optimised, types, code, maps, shown })
}

/// Each construct alone, in as many scripts, with its name.
pub fn constructs(each: usize, kernel: Kernel) -> impl Iterator<Item = (String, Stages)> {
    (0..language::CONSTRUCTS).flat_map(move |construct| {
        let scripts = (0..4 * each as u64 + 4).filter_map(move |seed| {
            let mut random = Random(construct as u64 + 1000 * seed);
            let choices: Vec<u16> = (0..80).map(|_| random.next() as u16).collect();
            let (name, script) = language::alone(construct, &choices, kernel)?;
            Some((format!("{name}, seed {seed}"), compile(&script, kernel), script))
        });
        let (mut compiled, mut last) = (Vec::new(), None);
        for (name, stages, script) in scripts {
            match stages {
                Some(stages) => compiled.push((name, stages)),
                None => last = Some((name, script)),
            }
            if compiled.len() == each {
                return compiled;
            }
        }
        // The language refuses what it finds wrong in constants, but never all of them.
        if let Some((name, script)) = last {
            panic!("{name}: refused\n{script}");
        }
        compiled
    })
}

/// Runs all stages and compares what they leave behind.
pub fn simulate(stages: &Stages) -> Result<Outcome, String> {
    let with = |what: &str, error: String| format!("{what}: {error}\n{}", stages.describe());
    let (maps, shown) = (&stages.maps, stages.shown);
    let lowered = run_ir(&stages.lowered.0, &stages.lowered.1, maps, shown, &[])
        .map_err(|trap| with("lowered", trap))?;
    let optimised = run_ir(&stages.optimised.0, &stages.optimised.1, maps, shown, &[])
        .map_err(|trap| with("optimised", trap))?;
    if lowered != optimised {
        return Err(with("optimised", format!("{lowered:?} became {optimised:?}")));
    }
    let run = run_code(&stages.code, maps, shown, &[]).map_err(|trap| with("code", trap))?;
    if run != lowered {
        return Err(with("code", format!("{lowered:?} became {run:?}")));
    }
    Ok(run)
}

impl Stages {
    /// Everything, for a failure's message.
    pub fn describe(&self) -> String {
        let code = skep_isa::disasm::dump(&self.code.insns, &skep_isa::disasm::NoNames);
        let text = |(func, subs): &(Func, Vec<Func>)| {
            let subs: Vec<String> = subs.iter().map(|sub| format!("\nsub {sub}")).collect();
            format!("{func}{}", subs.concat())
        };
        format!("{}\n{}\n{}\n{code}", self.script, text(&self.lowered), text(&self.optimised))
    }
}
