//! Made-up programs mean the same as IR, as optimised IR and as bytecode.

mod support;

use proptest::prelude::*;
use skep_compile::backend;
use skep_compile::ir::{Module, verify};
use skep_ui::Span;
use support::generate::{self, CTX_SIZE};
use support::run::{run_code, run_ir};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytecode_computes_what_the_ir_says(
        choices in proptest::collection::vec(any::<u16>(), 0..300),
        ctx in proptest::collection::vec(any::<u8>(), CTX_SIZE as usize),
    ) {
        let func = generate::func(&choices);
        let mut maps = generate::maps();
        let shown = maps.len();
        prop_assert_eq!(verify::verify(&func, shown), Vec::<String>::new(), "{}", func);
        let wanted = run_ir(&func, &[], &maps, shown, &ctx);
        prop_assert!(wanted.is_ok(), "{wanted:?}\n{func}");
        let code = backend::assemble(func.clone(), &[], Span::GENERATED, &mut maps).expect("it fits");
        let got = run_code(&code, &maps, shown, &ctx);
        let listing = skep_isa::disasm::dump(&code.insns, &skep_isa::disasm::NoNames);
        prop_assert_eq!(wanted, got, "{}\n{}", func, listing);
    }

    #[test]
    fn optimisation_keeps_the_meaning(
        choices in proptest::collection::vec(any::<u16>(), 0..300),
        ctx in proptest::collection::vec(any::<u8>(), CTX_SIZE as usize),
    ) {
        let func = generate::func(&choices);
        let maps = generate::maps();
        let shown = maps.len();
        let wanted = run_ir(&func, &[], &maps, shown, &ctx);
        let mut module = Module { funcs: vec![func.clone()], maps, ..Module::default() };
        skep_compile::optimise(&mut module);
        let Module { funcs, mut maps, .. } = module;
        let [optimised] = &funcs[..] else { panic!("one function stays one function") };
        let got = run_ir(optimised, &[], &maps, shown, &ctx);
        prop_assert_eq!(&wanted, &got, "{}\n{}", func, optimised);
        let code = backend::assemble(optimised.clone(), &[], Span::GENERATED, &mut maps).expect("it fits");
        let got = run_code(&code, &maps, shown, &ctx);
        prop_assert_eq!(wanted, got, "{}\n{}", func, optimised);
    }
}
