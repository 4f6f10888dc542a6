//! C text in, constants and BTF out.

use super::*;
use crate::syntax::ast::NodeIds;
use crate::world::{SourceText, TracepointFormat, WorldError};
use skep_btf::{Kind as BtfKind, Type, TypeId};
use skep_ui::FileId;

/// A world with headers and nothing else.
struct Headers(&'static [(&'static str, &'static str)]);

impl World for Headers {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Ok(Arc::new([]))
    }

    fn has_tracepoint(&self, _: &str, _: &str) -> Result<bool, WorldError> {
        Ok(false)
    }

    fn tracepoint_format(&self, _: &str, _: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        Err(WorldError("none".into()))
    }

    fn header(&self, path: &str, _: bool, _: &str) -> Option<SourceText> {
        let (name, text) = self.0.iter().find(|(name, _)| *name == path)?;
        Some(SourceText { name: (*name).into(), text: (*text).into() })
    }

    fn kernel_version(&self) -> Option<(u32, u32, u32)> {
        Some((6, 12, 3))
    }

    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        let mut builder = skep_btf::BtfBuilder::new();
        let int = builder.int("int", 4, skep_btf::IntEncoding::SIGNED);
        let member = |name, bit_offset| skep_btf::Member { name, ty: int, bit_offset, bitfield_size: 0 };
        builder.struct_("kernel_pair", 8, &[member("left", 0), member("right", 32)]);
        builder.typedef("kernel_int", int);
        Ok(Arc::new(Btf::parse(builder.finish()).unwrap()))
    }
}

fn defined_in(text: &str, headers: &'static [(&'static str, &'static str)]) -> (Definitions, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    // As the script's parser cuts it: each directive and each type on its own.
    let parsed = crate::syntax::parse_script(FileId(0), text, &mut NodeIds::new());
    assert_eq!(parsed.diagnostics, [], "{text}");
    let texts: Vec<CText> = parsed
        .script
        .items
        .into_iter()
        .filter_map(|item| match item.kind {
            crate::syntax::ast::ItemKind::C(of) => {
                Some(CText { name: "stdin".into(), text: of.text.node, place: of.text.span })
            }
            _ => None,
        })
        .collect();
    let definitions = read(&texts, &Options::default(), &Headers(headers), &mut diagnostics);
    (definitions, diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect())
}

fn defined(text: &str) -> Definitions {
    let (definitions, problems) = defined_in(text, &[]);
    assert_eq!(problems, Vec::<String>::new(), "{text}");
    definitions
}

fn constant(definitions: &Definitions, name: &str) -> String {
    definitions.expand(name, None).map_or("nothing".into(), |expanded| expanded.unwrap().text)
}

/// `name: offset+size` of each member, and the size of all.
fn layout_of(definitions: &Definitions, name: &str) -> String {
    let btf = definitions.types().expect("there are types");
    let id = btf.find(BtfKind::Struct, name).or_else(|| btf.find(BtfKind::Union, name)).expect(name);
    let Some(Type::Struct(of) | Type::Union(of)) = btf.get(id) else { panic!("{name}") };
    let mut shown: Vec<String> = of
        .members()
        .map(|member| match member.bitfield_size {
            0 => format!("{}@{}", member.name, member.bit_offset / 8),
            bits => format!("{}@{}:{bits}", member.name, member.bit_offset),
        })
        .collect();
    shown.push(format!("={}", of.size));
    shown.join(" ")
}

#[test]
fn constants_are_values_where_they_have_one() {
    let c = defined(
        "#define A 5\n#define B (A + 1) * 2\n#define S \"a\" \"b\"\n#define C 'x'\n#define U 0xFFUL\n\
         #define NEG -3\n#define SIZE sizeof(struct s)\n#define NAME ONE\n#define CODE pid + A\n#define EMPTY\n#define ITSELF ITSELF\n\
         #define V KERNEL_VERSION(6, 12, 300)\n#define CAST ((unsigned char) 300)\n\
         struct s { int a; char b; };\nenum e { ZERO, ONE };\n",
    );
    for (name, expected) in [
        ("A", "5"),
        ("B", "12"),
        ("S", "\"ab\""),
        ("C", "120"),
        ("U", "255"),
        ("NEG", "(-3)"),
        ("SIZE", "8"),
        ("NAME", "ONE"),
        ("CODE", "pid + 5"),
        ("EMPTY", "nothing"),
        ("ITSELF", "nothing"),
        ("V", "396543"),
        ("CAST", "44"),
        ("LINUX_VERSION_CODE", "396291"),
        ("BPFTRACE_HAVE_BTF", "1"),
        ("UNKNOWN", "nothing"),
    ] {
        assert_eq!(constant(&c, name), expected, "{name}");
    }
}

#[test]
fn conditions_reach_over_directives_and_types() {
    let c = defined(
        "#ifdef BPFTRACE_HAVE_BTF\n#define HAVE 1\n#else\n#define HAVE 2\n#include \"not_looked_for.h\"\n\
         struct s { nonsense x; };\n#endif\n#if HAVE > 1\n#define MORE 1\n#endif\nstruct t { int a; };\n",
    );
    assert_eq!(constant(&c, "HAVE"), "1");
    assert_eq!(constant(&c, "MORE"), "nothing");
    assert_eq!(layout_of(&c, "t"), "a@0 =4");
}

#[test]
fn macros_keep_their_arguments_apart() {
    let c = defined(
        "#define MAX(a, b) ((a) > (b) ? (a) : (b))\n#define TWICE(x) MAX(x, x) + 1\n#define NAME(x) #x\n\
         #define JOIN(a, b) a##b\n#define F(fmt, ...) printf(fmt, __VA_ARGS__)\n",
    );
    let expand = |name: &str, args: &[&str]| match c.expand(name, Some(args.to_vec())) {
        Some(Ok(expanded)) => expanded.text,
        Some(Err(problem)) => problem,
        None => "nothing".into(),
    };
    assert_eq!(
        expand("MAX", &["$x", "f(1, 2)"]),
        "(__skep_arg_0 > __skep_arg_1 ? __skep_arg_0 : __skep_arg_1)"
    );
    assert_eq!(expand("TWICE", &["$x"]), "(__skep_arg_0 > __skep_arg_0 ? __skep_arg_0 : __skep_arg_0) + 1");
    assert_eq!(expand("NAME", &["a + \"b\""]), "\"a + \\\"b\\\"\"");
    assert_eq!(expand("JOIN", &["p", "id"]), "pid");
    assert_eq!(expand("F", &["\"x\"", "1", "2"]), "printf(__skep_arg_0, __skep_arg_1,__skep_arg_2)");
    assert_eq!(expand("MAX", &["1"]), "The macro MAX takes 2 arguments (1 given)");
    assert_eq!(c.expand("MAX", None), None);
}

#[test]
fn structs_lie_as_c_lays_them() {
    let c = defined(
        "struct plain { char a; int b; short c; long d; };\n\
         struct packed { char a; int b; } __attribute__((packed));\n\
         struct aligned { char a; int b __attribute__((aligned(16))); };\n\
         struct bits { unsigned int a:4, b:8, c:3, d:1, e:16; };\n\
         struct more { short a:4, b:8, c:3, d:1; int e:9, f:15, g:1, h:2, i:5; };\n\
         struct gap { int a:3; int :0; int b:5; };\n\
         struct nested { int x; struct { int y; union { long z; char w[3]; }; }; struct plain p[2]; };\n\
         struct tail { int n; char data[]; };\n\
         struct pointers { void (*handler)(int, char *); char *names[3]; int (*table)[4]; struct unknown *u; };\n\
         union either { int a; long b; char c[9]; };\n\
         struct self { struct self *next; struct other *o; };\nstruct other { struct self s; };\n\
         struct numbers { uint8_t a; u64 b; size_t c; bool d; unsigned long long int e; signed char f; };\n\
         struct kernels { char a; struct kernel_pair p; kernel_int k; struct list_head *l; };\n",
    );
    for (name, expected) in [
        ("plain", "a@0 b@4 c@8 d@16 =24"),
        ("packed", "a@0 b@1 =5"),
        ("aligned", "a@0 b@16 =32"),
        ("bits", "a@0:4 b@4:8 c@12:3 d@15:1 e@16:16 =4"),
        ("more", "a@0:4 b@4:8 c@12:3 d@15:1 e@16:9 f@32:15 g@47:1 h@48:2 i@50:5 =8"),
        ("gap", "a@0:3 b@32:5 =8"),
        ("nested", "x@0 @8 p@24 =72"),
        ("tail", "n@0 data@4 =4"),
        ("pointers", "handler@0 names@8 table@32 u@40 =48"),
        ("either", "a@0 b@0 c@0 =16"),
        ("self", "next@0 o@8 =16"),
        ("other", "s@0 =16"),
        ("numbers", "a@0 b@8 c@16 d@24 e@32 f@40 =48"),
        ("kernels", "a@0 p@4 k@12 l@16 =24"),
        ("kernel_pair", "left@0 right@4 =8"),
    ] {
        assert_eq!(layout_of(&c, name), expected, "{name}");
    }
    let btf = c.types().unwrap();
    let pointers = btf.find(BtfKind::Struct, "pointers").unwrap();
    let handler = btf.find_member(pointers, "handler").unwrap().unwrap();
    assert_eq!(btf.c_declaration(handler.ty, "handler").to_string(), "void (*handler)(int, char *)");
    let table = btf.find_member(pointers, "table").unwrap().unwrap();
    assert_eq!(btf.c_declaration(table.ty, "table").to_string(), "int (*table)[4]");
}

#[test]
fn enums_have_the_size_that_their_values_need() {
    let c = defined(
        "enum small { A, B = 5, C };\nenum { D = -1, E };\nenum big { F = 1 << 2, G = 0x100000000 };\n\
         enum __attribute__((packed)) tiny { T = 200 };\n\
         enum dumped { U = 3 } __attribute__((mode(byte)));\n",
    );
    let btf = c.types().unwrap();
    let of = |name: &str| btf.find_enumerator(name).map(|(_, value)| value);
    assert_eq!(
        ["A", "B", "C", "D", "E", "F"].map(of),
        [Some(0), Some(5), Some(6), Some(-1), Some(0), Some(4)]
    );
    assert_eq!(of("G"), Some(1 << 32));
    let size = |name: &str, kind| {
        let id: TypeId = btf.find(kind, name).expect(name);
        btf.size_of(id).unwrap()
    };
    assert_eq!(size("small", BtfKind::Enum), 4);
    assert_eq!(size("tiny", BtfKind::Enum), 1);
    assert_eq!(size("dumped", BtfKind::Enum), 1);
    assert_eq!(size("big", BtfKind::Enum64), 8);
}

#[test]
fn headers_are_read_for_what_is_understood() {
    let headers: &[(&str, &str)] = &[
        (
            "linux/some.h",
            "#ifndef S\n#define S\n#include <linux/more.h>\nextern int f(void);\n\
             static inline int g(int x) { if (x) { return 1; } return 2; }\n\
             typedef struct { more_t m; int n; } some_t;\n\
             struct named { some_t s; } __attribute__((aligned(8)));\n\
             static const unsigned limit = 3 * 4;\n#define FLAG (1 << 3)\n\
             typedef int (*callback)(struct named *, ...);\nint vector __attribute__((vector_size(16)));\n\
             __extension__ typedef long long wide;\n\
             #pragma pack(push, 1)\nstruct tight { char a; int b; };\n#pragma pack(pop)\n\
             struct loose { char a; int b; };\n\
             struct broken { nonsense x; };\nstruct after { int z; };\n#endif\n",
        ),
        ("linux/more.h", "typedef unsigned char more_t;\n#error no\n"),
    ];
    let (c, problems) = defined_in("#include <linux/some.h>\n#include <linux/missing.h>\n", headers);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(layout_of(&c, "named"), "s@0 =8");
    assert_eq!(layout_of(&c, "tight"), "a@0 b@1 =5");
    assert_eq!(layout_of(&c, "loose"), "a@0 b@4 =8");
    assert_eq!(layout_of(&c, "after"), "z@0 =4");
    assert_eq!(constant(&c, "FLAG"), "8");
    assert_eq!(c.constant("limit"), Some(12));
    let btf = c.types().unwrap();
    assert!(btf.find(BtfKind::Typedef, "callback").is_some());
    assert!(btf.find(BtfKind::Typedef, "wide").is_some());
}

#[test]
fn what_the_script_itself_gets_wrong_is_told() {
    let problem = |text: &str| defined_in(text, &[]).1.join("; ");
    assert_eq!(problem("struct s { nonsense x; };\n"), "unknown type name 'nonsense'");
    assert_eq!(problem("struct s { struct t x; };\n"), "struct t is not defined");
    assert_eq!(problem("struct s { int a[n]; };\n"), "the length of an array is not a constant");
    assert_eq!(problem("struct s { int a };\n"), "");
    assert_eq!(problem("enum e { A = x };\n"), "the value of A is not a constant");
    assert_eq!(problem("#include \"mine.h\"\n"), "'mine.h' file not found");
}

proptest::proptest! {
    /// Whatever stands in a header, it is read to its end.
    #[test]
    fn no_header_stops_the_compiler(text in "[ a-e0-3(){}\\[\\];:,*#\"'\\\\\n\t=<>+-]{0,200}") {
        let texts = [CText { name: "x.h".into(), text, place: Span::GENERATED }];
        let c = read(&texts, &Options::default(), &Headers(&[]), &mut Diagnostics::new());
        let _ = c.expand("a", None);
    }

    /// The same for texts that are nearly C.
    #[test]
    fn no_declaration_stops_the_compiler(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "struct", "union", "enum", "typedef", "int", "char", "a", "b", "{", "}", ";", ",", "*", "(", ")", "[", "]",
            ":", "3", "=", "-", "sizeof", "__attribute__((packed))", "__attribute__((aligned(8)))", "\n#define a b\n",
            "\n#if 1\n", "\n#endif\n", "\n#include \"x.h\"\n", "unsigned", "const", "...", "__skep_pragma_pack",
        ]), 0..60)) {
        let texts = [CText { name: "x.h".into(), text: words.join(" "), place: Span::GENERATED }];
        let c = read(&texts, &Options::default(), &Headers(&[("x.h", "struct a { int b; };")]), &mut Diagnostics::new());
        let _ = c.expand("a", None);
    }
}

#[test]
fn what_a_script_says_of_itself_as_an_error_is_one() {
    let wrong = |text: &str| defined_in(text, &[("some.h", "#error not here\n")]).1;
    assert_eq!(wrong("#error use another kernel\n"), ["use another kernel"]);
    assert_eq!(wrong("#ifdef NOT_THERE\n#error never\n#endif\n"), Vec::<String>::new());
    assert_eq!(wrong("#include \"some.h\"\n"), Vec::<String>::new());
}
