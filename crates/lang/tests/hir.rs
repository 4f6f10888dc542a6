//! The typed program of a script for each part of the language, and what is warned about.

use skep_lang::sema::testing::Fixture;
use skep_lang::{Options, compile_front, dump};
use skep_ui::{Colors, SourceMap};

#[test]
fn scripts() {
    insta::glob!("scripts/*.bt", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut sources = SourceMap::new();
        let file = sources.add("script.bt", text);
        let analysis = compile_front(&mut sources, file, &Options::default(), &Fixture::default());
        let mut shown = analysis.render(&sources, Colors::Never);
        match &analysis.program {
            Some(program) => shown.push_str(&dump(program)),
            None => panic!("no program:\n{shown}"),
        }
        insta::assert_snapshot!(shown);
    });
}
