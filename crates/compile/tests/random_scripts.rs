//! Made-up scripts mean the same as IR, as optimised IR and as bytecode.

mod support;

use proptest::prelude::*;
use support::differential;
use support::language::{self, Kernel};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scripts_mean_the_same_at_every_stage(
        choices in proptest::collection::vec(any::<u16>(), 0..250),
        calls in any::<bool>(),
    ) {
        let kernel = if calls { Kernel::Calls } else { Kernel::Follows };
        let script = language::script(&choices, kernel);
        if let Some(stages) = differential::compile(&script, kernel) {
            let simulated = differential::simulate(&stages);
            prop_assert!(simulated.is_ok(), "{}", simulated.unwrap_err());
        }
    }
}

#[test]
fn each_construct_means_the_same_at_every_stage() {
    for kernel in [Kernel::Calls, Kernel::Follows] {
        for (name, stages) in differential::constructs(1, kernel) {
            differential::simulate(&stages).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
