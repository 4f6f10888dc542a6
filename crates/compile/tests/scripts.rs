//! Scripts and what becomes of them: the optimised IR and the instructions, as snapshots to be read.

mod support;

use skep_compile::backend::listing::listing;
use support::scripts;

#[test]
fn scripts_become_code() {
    for (name, text) in scripts::all() {
        let (module, artifact, sources) = scripts::compile(&name, &text);
        let code = listing(&artifact, &sources);
        insta::with_settings!({ description => &text, omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name.trim_end_matches(".bt"), format!("{module}\n{code}"));
        });
    }
}
