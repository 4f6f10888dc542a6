//! Macros that are made to be a burden, and what imports bring in.

use std::sync::Arc;

use skep_lang::sema::testing::Fixture;
use skep_lang::world::{Imported, SourceText, TracepointFormat, World, WorldError};
use skep_lang::{Options, compile_front, dump};
use skep_ui::{Colors, SourceMap};

/// The fixture with a few files.
#[derive(Default)]
struct Files(Fixture);

const FILES: &[(&str, &str)] = &[
    ("a.bt", "import \"b.bt\"; macro a(x) { b(x) + 40 } begin { print(\"from a\"); }"),
    ("b.bt", "#define B 1\nimport \"a.bt\"; macro b(x) { x + B }"),
    ("lib/c.bt", "macro c() { 7 }"),
    ("lib/d.h", "#define D 9\nstruct d { int x; char y; };"),
    ("config.bt", "config = { max_map_keys = 3 } macro m() { 1 }"),
    ("wrong.bt", "macro m( { 1 }"),
    ("bad.bt", "macro bad(x) { x + \"a\" }"),
    ("x.bpf.c", "int f(void) { return 1; }"),
    ("x.txt", ""),
];

impl World for Files {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        self.0.tracepoints()
    }

    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError> {
        self.0.has_tracepoint(category, event)
    }

    fn tracepoint_format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        self.0.tracepoint_format(category, event)
    }

    fn import(&self, path: &str, _: &str) -> Imported {
        let inside =
            |name: &str| name == path || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        let found: Vec<SourceText> = FILES
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, text)| SourceText { name: (*name).into(), text: (*text).into() })
            .collect();
        match path {
            "open" => Imported::Refused("cowardly refusing to import".into()),
            _ if found.is_empty() => Imported::Missing { looked_at: vec![format!("./{path}")] },
            _ => Imported::Files(found),
        }
    }
}

fn run(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", text);
    let analysis = compile_front(&mut sources, file, &Options::default(), &Files::default());
    let mut shown = analysis.render(&sources, Colors::Never);
    if let Some(program) = &analysis.program {
        shown.push_str(&dump(program));
    }
    shown
}

#[test]
fn imports() {
    insta::assert_snapshot!(run(
        "import \"a.bt\"; import \"lib\"; import \"stdlib\"; begin { print((a(1), c, D)); }"
    ));
}

#[test]
fn what_is_wrong_with_imports_is_told() {
    let wrong = ["nowhere.bt", "open", "config.bt", "wrong.bt", "x.bpf.c", "x.txt", "stdlib/bas.bt"];
    let mut shown = String::new();
    for path in wrong {
        shown.push_str(&run(&format!("import \"{path}\"; begin {{ }}")));
        shown.push('\n');
    }
    shown.push_str(&run(
        "import \"bad.bt\"; macro outer(y) { bad(y) - 1 }\nbegin {\n  print(outer(@x));\n  @x = 1; }",
    ));
    insta::assert_snapshot!(shown);
}

/// Each macro doubles its argument: two to the power of forty expressions.
#[test]
fn expansion_that_explodes_is_stopped() {
    let mut text = String::from("macro m0(x) { x + x }\n");
    for i in 1..40 {
        text.push_str(&format!("macro m{i}(x) {{ m{}(x) + m{}(x) }}\n", i - 1, i - 1));
    }
    text.push_str("begin { print(m39(1)); }");
    let shown = run(&text);
    assert!(shown.contains("Macros expand to more than 1000000 expressions"), "{}", &shown[..300]);
    let mut call = String::from("1");
    for _ in 0..40 {
        call = format!("m({call})");
    }
    let shown = run(&format!("macro m(x) {{ x + x }} begin {{ print({call}); }}"));
    assert!(shown.contains("Macros expand to more than"), "{}", &shown[..300.min(shown.len())]);
}

/// Each macro nests one level deeper.
#[test]
fn expansion_that_nests_too_deeply_is_stopped() {
    let mut text = String::from("macro m0(x) { x }\n");
    for i in 1..1000 {
        text.push_str(&format!("macro m{i}(x) {{ (m{}(x)) }}\n", i - 1));
    }
    text.push_str("begin { print(m999(1)); }");
    let shown = run(&text);
    assert!(shown.contains("nested too deeply"), "{shown}");
}
