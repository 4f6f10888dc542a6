//! Scripts that are compiled for one kernel and run on another: what they ask of it, and what must be as it was.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, IntEncoding, Member, TypeId};
use skep_lang::hir::Program;
use skep_lang::portable::{Condition, Question};
use skep_lang::world::{Field, FieldKind, TracepointFormat, World, WorldError};
use skep_lang::{Options, compile_front, dump};
use skep_ui::{Colors, SourceMap};

/// A kernel in which everything lies so many bytes further on than in another, and constants differ, too.
struct Kernel {
    shift: u32,
    types: Arc<Btf>,
}

fn member(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> Member<'_> {
    Member { name, ty, bit_offset, bitfield_size }
}

impl Kernel {
    /// `wide`: pids have 64 bits.
    fn new(shift: u32, wide: bool) -> Kernel {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let long = b.int("long", 8, IntEncoding::SIGNED);
        let unsigned = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
        let pid = if wide { long } else { int };
        let at = shift * 8;
        let inner = b.struct_("", 16 + shift, &[member("deep", int, 32 + at, 0)]);
        let cred = b.struct_("cred", 8 + shift, &[member("uid", int, at, 0), member("gid", int, 32 + at, 0)]);
        let task = b.declare_struct("task_struct");
        let parent = b.ptr(task);
        let creds = b.ptr(cred);
        b.define_struct(
            task,
            64 + 3 * shift,
            &[
                member("pid", pid, 64 + at, 0),
                member("parent", parent, 128 + at, 0),
                member("cred", creds, 192 + at, 0),
                member("low", unsigned, 256 + at, 3),
                member("high", int, 259 + at + shift.min(8), 5),
                member("nested", inner, 320 + at, 0),
            ],
        );
        let state = skep_btf::Enumerator { name: "TASK_DEAD", value: i128::from(shift) };
        b.enum_("states", 4, false, &[state]);
        Kernel { shift, types: Arc::new(Btf::parse(b.finish()).expect("it is well formed")) }
    }
}

impl World for Kernel {
    fn tracepoints(&self) -> Result<Arc<[(String, String)]>, WorldError> {
        Ok([("sched".to_owned(), "wake".to_owned())].into())
    }

    fn has_tracepoint(&self, category: &str, event: &str) -> Result<bool, WorldError> {
        Ok((category, event) == ("sched", "wake"))
    }

    fn tracepoint_format(&self, _: &str, _: &str) -> Result<Arc<TracepointFormat>, WorldError> {
        let field = Field {
            name: "cpu".into(),
            ctype: "int".into(),
            offset: 8 + self.shift,
            size: 4,
            kind: FieldKind::Int { signed: true },
        };
        Ok(Arc::new(TracepointFormat { fields: vec![field] }))
    }

    fn kernel_btf(&self) -> Result<Arc<Btf>, WorldError> {
        Ok(Arc::clone(&self.types))
    }

    fn kernel_address(&self, name: &str) -> Result<Option<u64>, WorldError> {
        Ok((name == "jiffies").then(|| 0xffff_0000 + u64::from(self.shift)))
    }

    fn cgroup_id(&self, _: &str) -> Result<u64, WorldError> {
        Ok(u64::from(self.shift))
    }

    fn kernel_version(&self) -> Option<(u32, u32, u32)> {
        Some((6, self.shift, 0))
    }
}

fn compile(script: &str, world: &dyn World, params: &[&str]) -> Program {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", script);
    let params = params.iter().map(|param| (*param).to_owned()).collect();
    let options = Options { portable: true, params, ..Options::default() };
    let analysis = compile_front(&mut sources, file, &options, world);
    analysis.program.clone().unwrap_or_else(|| panic!("{}", analysis.render(&sources, Colors::Never)))
}

fn misfits(script: &str, from: &Kernel, to: &Kernel) -> Vec<String> {
    compile(script, from, &[]).portable.answers(to, &[]).expect_err("it does not fit")
}

#[test]
fn fields_are_found_where_the_kernel_has_them() {
    let (old, new) = (Kernel::new(0, false), Kernel::new(16, false));
    let script = "begin { $t = (struct task_struct *)1; print(($t->parent->pid, $t->cred->gid)); \
                  print(($t->low, $t->high)); print($t->nested.deep); }";
    let program = compile(script, &old, &[]);
    // Nothing of the kernel is in the code.
    assert_eq!(dump(&program), dump(&compile(script, &new, &[])));
    let answers = |kernel: &Kernel| program.portable.answers(kernel, &[]).unwrap();
    let here: Vec<(String, u64)> = program
        .portable
        .questions
        .iter()
        .map(|question| format!("{question:?}"))
        .zip(answers(&old))
        .collect();
    assert!(here.iter().any(|(question, answer)| question.contains("\"nested\", \"deep\"") && *answer == 44));
    // Pid, parent, gid, cred, the word of the bits (twice) and what is around them, nested, deep.
    let mut there = answers(&new);
    there.sort_unstable();
    let mut expected: Vec<u64> = vec![24, 32, 20, 40, 48, 48, 61, 61, 48, 59, 56, 76];
    expected.sort_unstable();
    assert_eq!(there, expected);
}

#[test]
fn what_no_longer_fits_is_told_at_once() {
    let (old, new) = (Kernel::new(0, false), Kernel::new(8, true));
    let task = "$t = (struct task_struct *)1;";
    let told = |script: &str| misfits(&format!("begin {{ {task} {script} }}"), &old, &new);
    assert_eq!(
        told("print($t->pid)"),
        ["struct task_struct.pid is a signed integer of 8 bytes rather than a signed integer of 4 bytes"]
    );
    let whole = told("print(*$t->cred)");
    assert_eq!(whole.len(), 1, "{whole:?}");
    assert!(whole[0].starts_with("struct cred has another layout, see its field uid"), "{whole:?}");
    assert_eq!(told("print(sizeof(struct cred))"), ["struct cred has 16 bytes rather than 8"]);
    assert_eq!(
        told("print(offsetof(struct cred, gid))"),
        ["struct cred.gid lies elsewhere, and is read at a fixed place"]
    );
    assert_eq!(told("print(TASK_DEAD)"), ["TASK_DEAD is 8 rather than 0"]);
    let both = told("print(sizeof(struct cred)); print(TASK_DEAD)");
    assert_eq!(both.len(), 2);
    let record = misfits("tracepoint:sched:wake { print(args.cpu) }", &old, &new);
    assert_eq!(record, ["args.cpu of tracepoint:sched:wake lies elsewhere or has another size"]);
    let bare = compile("tracepoint:sched:wake { print(1) }", &old, &[]).portable;
    assert_eq!(bare.conditions, []);
}

#[test]
fn symbols_groups_and_parameters_are_those_of_the_run() {
    let program = compile(
        "begin { print((kaddr(\"jiffies\"), cgroupid(\"/x\"), $1, $2, $#)); }",
        &Kernel::new(0, false),
        &["7"],
    );
    let questions = &program.portable.questions;
    assert!(!questions.contains(&Question::Parameter(1)), "it was given");
    let params = |params: &[&str]| -> Vec<String> { params.iter().map(|text| (*text).to_owned()).collect() };
    let answers = program.portable.answers(&Kernel::new(3, false), &params(&["1", "-2"])).unwrap();
    assert_eq!(answers, [0xffff_0003, 3, 2u64.wrapping_neg(), 2]);
    let refused = program.portable.answers(&Kernel::new(3, false), &params(&["1", "x"])).unwrap_err();
    assert!(refused[0].starts_with("parameter $2 has to be a number"));
}

#[test]
fn a_script_for_this_machine_asks_nothing() {
    let mut sources = SourceMap::new();
    let file = sources.add("stdin", "begin { print(((struct task_struct *)1)->pid); print(TASK_DEAD) }");
    let analysis = compile_front(&mut sources, file, &Options::default(), &Kernel::new(0, false));
    let portable = analysis.program.unwrap().portable;
    assert_eq!((portable.questions, portable.conditions), (Vec::<Question>::new(), Vec::<Condition>::new()));
}
