//! Made-up scripts mean the same as IR, as optimised IR and as bytecode.

mod support;

use proptest::prelude::*;
use support::{differential, language};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scripts_mean_the_same_at_every_stage(choices in proptest::collection::vec(any::<u16>(), 0..250)) {
        let script = language::script(&choices);
        if let Some(stages) = differential::compile(&script) {
            let simulated = differential::simulate(&stages);
            prop_assert!(simulated.is_ok(), "{}", simulated.unwrap_err());
        }
    }
}
