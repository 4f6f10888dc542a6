//! What is said about wrong scripts: all of it, as a user sees it.

use skep_lang::sema::testing::{Fixture, Old};
use skep_lang::{Options, compile_front};
use skep_ui::{Colors, SourceMap};

#[test]
fn scripts() {
    let mut shown = String::new();
    let mut count = 0;
    for line in include_str!("wrong.txt").lines() {
        if line.is_empty() || line.starts_with("# ") {
            shown.push_str(line);
            shown.push('\n');
            continue;
        }
        let mut sources = SourceMap::new();
        let file = sources.add("stdin", line);
        let analysis = compile_front(&mut sources, file, &Options::default(), &Fixture::default());
        assert!(analysis.program.is_none(), "not wrong: {line}");
        shown.push_str(&analysis.render(&sources, Colors::Never));
        shown.push('\n');
        count += 1;
    }
    assert!(count >= 100);
    insta::assert_snapshot!(shown);
}

/// What a kernel lacks is told at the place that needs it.
#[test]
fn on_an_old_kernel() {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", "begin { @a[1] = count(); print(@a[1]); if (@a[1] > 2) { } }");
    let analysis = compile_front(&mut sources, file, &Options::default(), &Old::default());
    insta::assert_snapshot!(analysis.render(&sources, Colors::Never));
}
