//! What compilers, linkers and strippers make of programs, read back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use skep_btf::{Btf, Kind, Type};
use skep_symbols::dwarf::{DebugInfo, Line, Place, Types};
use skep_symbols::elf::{DebugPath, Elf};
use skep_symbols::{demangle, usdt};
use skep_testing::need;
use skep_testing::programs::{self, NOTES, Program};

const SOURCE: &str = "\
struct pair { int a; long b; };
struct large { struct pair *next; char name[12]; int rest[2][3]; unsigned bits : 3, more : 7; };
union either { int i; union either *next; };
enum color { RED, GREEN = 5 };
struct large make(struct large *from, const char *name, enum color color, float x, _Bool ok)
{
    return *from;
}
int sum(struct pair p, int after, __int128 wide, struct large large, union either e)
{
    return p.a + after + large.bits;
}
int main(int argc, char **argv)
{
    struct large l = { 0 };
    return sum((struct pair){ 1, 2 }, 3, 4, make(&l, \"x\", GREEN, 1, 1), (union either){ 1 }) == 0;
}
";

fn elf(program: &Program) -> Elf {
    Elf::open(program.path()).unwrap()
}

fn address(elf: &Elf, name: &str) -> u64 {
    elf.functions_named(name, &DebugPath::default()).unwrap().remove(0).address
}

/// The declarations of a function's parameters, and where they are.
fn parameters(types: &Types, address: u64) -> (Vec<String>, Vec<Place>) {
    let btf = Btf::parse(types.btf.clone()).unwrap();
    let function = types.functions.iter().find(|function| function.address == address).unwrap();
    let Some(Type::Func { proto, .. }) = btf.get(function.id) else { panic!("no function") };
    let Some(Type::FuncProto(proto)) = btf.get(proto) else { panic!("no prototype") };
    let params = proto.params().map(|param| btf.c_declaration(param.ty, param.name).to_string());
    (params.collect(), function.places.clone())
}

fn all_types(elf: &Elf) -> Types {
    DebugInfo::open(elf, &DebugPath::default()).unwrap().unwrap().types(None).unwrap()
}

#[test]
fn functions_with_their_parameters() {
    need!(Gcc);
    let program = programs::c("params", SOURCE, &["-g", "-O0"]);
    let elf = elf(&program);
    let types = all_types(&elf);
    let of = |name: &str| parameters(&types, address(&elf, name));
    let (params, places) = of("make");
    assert_eq!(params, ["struct large *from", "const char *name", "enum color color", "float x", "_Bool ok"]);
    // The result is large: where it goes is a hidden first argument.
    assert_eq!(places[..3], [Place::Register("si"), Place::Register("dx"), Place::Register("cx")]);
    assert!(matches!(places[3], Place::Unreadable(_)) && places[4] == Place::Register("r8"));
    let (_, places) = of("sum");
    let expected = [
        Place::Pair("di", "si"),
        Place::Register("dx"),
        Place::Pair("cx", "r8"),
        Place::Stack(8),
        Place::Register("r9"),
    ];
    assert_eq!(places, expected);
    let (params, places) = of("main");
    assert_eq!(params, ["int argc", "char **argv"]);
    assert_eq!(places, [Place::Register("di"), Place::Register("si")]);
}

#[test]
fn structs_with_their_members() {
    need!(Gcc);
    let program = programs::c("structs", SOURCE, &["-g", "-O0"]);
    let btf = Btf::parse(all_types(&elf(&program)).btf).unwrap();
    let large = btf.find(Kind::Struct, "large").unwrap();
    assert_eq!(btf.size_of(large).unwrap(), 48);
    let fields = btf.fields(large).unwrap();
    let members: Vec<_> = fields
        .iter()
        .map(|field| {
            (btf.c_declaration(field.ty, field.name).to_string(), field.bit_offset, field.bitfield_size)
        })
        .collect();
    let expected = [
        ("struct pair *next".to_owned(), 0, None),
        ("char name[12]".to_owned(), 64, None),
        ("int rest[2][3]".to_owned(), 160, None),
        ("unsigned int bits".to_owned(), 352, Some(3)),
        ("unsigned int more".to_owned(), 355, Some(7)),
    ];
    assert_eq!(members, expected);
    assert!(btf.find(Kind::Union, "either").is_some());
    assert_eq!(btf.find_enumerator("GREEN").map(|(_, value)| value), Some(5));
}

#[test]
fn lines_have_addresses() {
    need!(Gcc);
    let program = programs::c("lines", SOURCE, &["-g", "-O0"]);
    let elf = elf(&program);
    let debug = DebugInfo::open(&elf, &DebugPath::default()).unwrap().unwrap();
    let line = |file: &str, line| debug.line(file, line, None).unwrap();
    assert_eq!(line("lines.c", 10), Line::At(address(&elf, "sum")));
    assert_eq!(line("lines.c", 1), Line::NoCode);
    assert_eq!(line("ines.c", 10), Line::NoSuchFile);
    assert_eq!(debug.line("lines.c", 10, Some(1)).unwrap(), Line::At(address(&elf, "sum")));
    assert_eq!(debug.line("lines.c", 10, Some(70)).unwrap(), Line::NoCode);
}

#[test]
fn debug_files_apart() {
    need!(Gcc);
    let program = programs::c("apart", SOURCE, &["-g", "-O0", "-Wl,--build-id"]);
    let main = address(&elf(&program), "main");
    let at = |path: &str| program.directory().join(path);
    std::fs::create_dir(at(".debug")).unwrap();
    let debug = at(".debug/apart.debug");
    let objcopy = |args: &[&Path]| programs::run(Command::new("objcopy").args(args));
    objcopy(&[Path::new("--only-keep-debug"), program.path(), &debug]);
    objcopy(&[Path::new("--strip-all"), program.path()]);
    let stripped = elf(&program);
    assert_eq!(address(&stripped, "main"), main, "found beside the program by its name");
    assert_eq!(parameters(&all_types(&stripped), main).1.len(), 2);
    let elsewhere = DebugPath::parse("/nowhere");
    assert!(stripped.functions_named("main", &elsewhere).unwrap().is_empty());
    assert!(DebugInfo::open(&stripped, &elsewhere).unwrap().is_none());
    // One that belongs to another program is passed over.
    let other = programs::c("apart", &SOURCE.replace("3, 4", "5, 6"), &["-g", "-O0", "-Wl,--build-id"]);
    std::fs::copy(other.path(), &debug).unwrap();
    assert!(stripped.functions_named("main", &DebugPath::default()).unwrap().is_empty());
}

#[test]
fn split_units() {
    need!(Gcc);
    let program = programs::c("split", SOURCE, &["-g", "-O0", "-gsplit-dwarf"]);
    let elf = elf(&program);
    let (_, places) = parameters(&all_types(&elf), address(&elf, "main"));
    assert_eq!(places, [Place::Register("di"), Place::Register("si")]);
    let debug = DebugInfo::open(&elf, &DebugPath::default()).unwrap().unwrap();
    assert_eq!(debug.line("split.c", 10, None).unwrap(), Line::At(address(&elf, "sum")));
}

#[test]
fn compressed_debug_information() {
    need!(Gcc);
    let program = programs::c("packed", SOURCE, &["-g", "-O0", "-gz=zlib"]);
    let elf = elf(&program);
    assert_eq!(parameters(&all_types(&elf), address(&elf, "main")).1.len(), 2);
}

#[test]
fn what_the_optimiser_did_to_a_private_function() {
    need!(Gcc);
    let source = "\
static __attribute__((noinline)) int inner(int unused, int used)
{ __asm__ volatile(\"\" :: \"r\"(used)); return used; }
int main(int argc, char **argv) { return inner(1, argc) + inner(2, argc + 1) == 0; }
";
    let program = programs::c("private", source, &["-g", "-O2"]);
    let elf = elf(&program);
    let functions = elf.functions(&DebugPath::default()).unwrap();
    let inner = functions.into_iter().find(|function| function.name.starts_with("inner")).unwrap();
    let (params, places) = parameters(&all_types(&elf), inner.address);
    let used = params.iter().position(|param| param == "int used").unwrap();
    // The first parameter is gone, and with it its register, if the compiler says so in the name.
    let expected = if inner.name == "inner" { "si" } else { "di" };
    assert_eq!(places[used], Place::Register(expected), "{}", inner.name);
}

#[test]
fn classes_and_references() {
    need!(Gxx);
    let source = "\
struct Base { int x; virtual ~Base() {} };
struct Derived : Base { int y; Derived(const Derived &); Derived() {} };
namespace space { int function(int &x, Derived &d, Derived by_value) { return x + d.y + by_value.x; } }
Derived::Derived(const Derived &other) : Base(other) { y = other.y; }
int main() { int x = 1; Derived d; return space::function(x, d, d) == 0; }
";
    let program = programs::cpp("classes", source, &["-g", "-O0"]);
    let elf = elf(&program);
    let functions = elf.functions(&DebugPath::default()).unwrap();
    let named = |function: &&skep_symbols::elf::Function| {
        demangle::cpp(&function.name).is_some_and(|name| name.starts_with("space::function("))
    };
    let function = functions.iter().find(named).unwrap();
    let types = all_types(&elf);
    let (_, places) = parameters(&types, function.address);
    assert_eq!(places, [Place::Register("di"), Place::Register("si"), Place::Behind("dx")]);
    let btf = Btf::parse(types.btf).unwrap();
    let derived = btf.find(Kind::Struct, "Derived").unwrap();
    assert_eq!(btf.find_member(derived, "x").unwrap().unwrap().byte_offset(), Some(8), "inherited");
}

#[test]
fn static_probes() {
    need!(Gcc);
    let source = format!(
        "{NOTES}
unsigned short probe_semaphore __attribute__((section(\".probes\"), used));
long counter = 7;
int main(int argc, char **argv) {{
    NOTE(\"mine\", \"first\", \"probe_semaphore\", \"-4@%[a] 8@$-1 8@counter(%%rip)\", [a] \"D\"(argc));
    NOTE(\"mine\", \"second\", \"0\", \"\", \"i\"(0));
    return 0;
}}
"
    );
    for flags in [&["-O1", "-no-pie"][..], &["-O1", "-pie", "-fPIE"]] {
        let program = programs::c("notes", &source, flags);
        let elf = elf(&program);
        let notes = usdt::notes(&elf).unwrap();
        assert_eq!(notes.len(), 2);
        let first = &notes[0];
        assert_eq!((first.provider.as_str(), first.name.as_str()), ("mine", "first"));
        assert_eq!(elf.code(first.address, 1), [0x90]);
        assert!(elf.file_offset(first.semaphore.unwrap()).is_some());
        let operands: Vec<_> = first.args.iter().map(|arg| arg.as_ref().unwrap().operand.clone()).collect();
        assert_eq!(operands.len(), 3);
        assert_eq!(operands[0], usdt::Operand::Register { name: "di", shift: 0 });
        assert_eq!(operands[1], usdt::Operand::Constant(-1));
        assert!(matches!(operands[2], usdt::Operand::Memory { base: Some("ip"), index: None, .. }));
        assert_eq!((notes[1].semaphore, notes[1].args.len()), (None, 0));
    }
}
