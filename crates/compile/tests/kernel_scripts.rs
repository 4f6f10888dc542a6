//! Made-up scripts leave behind in the kernel what the IR says.

mod support;

use skep_kernel::features::{Feature, Features};
use skep_kernel::limits;
use skep_testing::need;
use support::differential;
use support::kernel::{Random, run_in_kernel};
use support::language::{self, Kernel};

/// `SKEP_CASES` asks for another number of scripts, `SKEP_SEED` for others.
const CASES: u64 = 150;

#[test]
fn made_up_scripts_mean_the_same_in_the_kernel() {
    need!(Root, Bpf);
    limits::raise_memlock().expect("root may lift the limit");
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (cases, first) = (asked("SKEP_CASES").unwrap_or(CASES), asked("SKEP_SEED").unwrap_or(0));
    let features = Features::new();
    let calls = features.has(Feature::BpfLoop) && features.has(Feature::ForEachMapElem);
    let mut compiled = 0;
    for seed in first..first + cases {
        let mut random = Random(seed);
        let choices: Vec<u16> = (0..random.next() % 250).map(|_| random.next() as u16).collect();
        // A kernel that can call functions takes loops as they stand, too.
        let kernel = if calls && !seed.is_multiple_of(3) { Kernel::Calls } else { Kernel::Follows };
        let script = language::script(&choices, kernel);
        let Some(stages) = differential::compile(&script, kernel) else { continue };
        compiled += 1;
        let wanted = differential::simulate(&stages).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let real = run_in_kernel(&stages.code, Some(&stages.types), &stages.maps, stages.shown, &[])
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", stages.describe()));
        assert_eq!(wanted, real, "seed {seed}\n{}", stages.describe());
    }
    // The language refuses a few of them, of which nothing would be learnt if they were many.
    assert!(compiled * 10 > cases * 8, "only {compiled} of {cases} scripts compile");
}
