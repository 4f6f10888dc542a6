//! Made-up scripts leave behind in the kernel what the IR says.

mod support;

use skep_kernel::features::{Feature, Features};
use skep_kernel::limits;
use skep_testing::need;
use support::differential::{self, Stages};
use support::kernel::{Random, run_in_kernel};
use support::language::{self, Kernel};

/// `SKEP_CASES` asks for another number of scripts, `SKEP_SEED` for others, `SKEP_CONSTRUCTS` for more of each construct
/// alone.
const CASES: u64 = 60;

#[test]
fn made_up_scripts_mean_the_same_in_the_kernel() {
    need!(Root, Bpf);
    limits::raise_memlock().expect("root may lift the limit");
    let (cases, first) = (asked("SKEP_CASES").unwrap_or(CASES), asked("SKEP_SEED").unwrap_or(0));
    let able = kernels();
    let mut compiled = 0;
    for seed in first..first + cases {
        let mut random = Random(seed);
        let choices: Vec<u16> = (0..random.next() % 250).map(|_| random.next() as u16).collect();
        // A kernel that can call functions takes loops as they stand, too.
        let kernel = if !seed.is_multiple_of(3) { able } else { Kernel::Follows };
        let script = language::script(&choices, kernel);
        let Some(stages) = differential::compile(&script, kernel) else { continue };
        compiled += 1;
        compare(&stages).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    // The language refuses a few of them, of which nothing would be learnt if they were many.
    assert!(compiled * 10 > cases * 8, "only {compiled} of {cases} scripts compile");
}

/// What the running kernel can do.
fn kernels() -> Kernel {
    let features = Features::new();
    let calls = features.has(Feature::BpfLoop) && features.has(Feature::ForEachMapElem);
    if calls { Kernel::Calls } else { Kernel::Follows }
}

/// Runs a script at all stages and in the kernel.
fn compare(stages: &Stages) -> Result<(), String> {
    let wanted = differential::simulate(stages)?;
    let real = run_in_kernel(&stages.code, Some(&stages.types), &stages.maps, stages.shown, &[])
        .map_err(|error| format!("{error}\n{}", stages.describe()))?;
    if wanted == real {
        return Ok(());
    }
    Err(format!("{wanted:?}\n{real:?}\n{}", stages.describe()))
}

#[test]
fn each_construct_means_the_same_in_the_kernel() {
    need!(Root, Bpf);
    limits::raise_memlock().expect("root may lift the limit");
    let each = asked("SKEP_CONSTRUCTS").unwrap_or(1);
    let compared =
        differential::constructs(each as usize, kernels()).map(|(name, stages)| (name, compare(&stages)));
    let failed: Vec<String> =
        compared.filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The number in a variable of the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
