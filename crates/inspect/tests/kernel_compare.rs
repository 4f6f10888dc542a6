//! Every reading command on objects of every kind, beside the original: texts byte for byte, JSON by structure.
//!
//! Differences are none, or listed in [`KNOWN`] with their reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use skep_testing::{Need, need, programs};
use support::World;
use support::peer::{self, Answer, json_difference, original, skep};

/// A difference that is meant: which command lines have it, and why.
struct Known {
    /// All of these words are in the line.
    words: &'static [&'static str],
    /// What of the answer differs.
    form: Form,
    #[allow(dead_code, reason = "it is for those who read the list")]
    reason: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Json,
    /// Text and JSON.
    Both,
    /// The exit status.
    Status,
    /// All of it.
    Everything,
    /// What is said about missing words: the line ends with those of the entry.
    Usage,
}

const KNOWN: &[Known] = &[
    Known {
        words: &["map", "m_float"],
        form: Form::Both,
        reason: "the original prints `(unsupported-kind)` for floating-point numbers, which is not JSON either",
    },
    Known {
        words: &["link", "show", "pinned"],
        form: Form::Status,
        reason: "the original returns 255 for a single link whenever some errno is left over from before",
    },
    Known {
        words: &["net", "show"],
        form: Form::Both,
        reason: "sk_lookup programs are ours alone; a flow dissector makes the original's no JSON",
    },
    Known {
        words: &["visual", "p_"],
        form: Form::Plain,
        reason: "in a called function the original shows the signature and the lines of the first function",
    },
    Known { words: &["_hash0"], form: Form::Json, reason: ANONYMOUS },
    Known { words: &["_hash1"], form: Form::Json, reason: ANONYMOUS },
    Known { words: &["m_data"], form: Form::Json, reason: ANONYMOUS },
    Known {
        words: &["all", "format", "c"],
        form: Form::Plain,
        reason: "the original forgets the first type of its sorted list, which comes later or not at all",
    },
    Known {
        words: &["struct_ops", "show", "none"],
        form: Form::Json,
        reason: "the original says in JSON that there are none, and not why it fails",
    },
    Known {
        words: &["struct_ops", "dump", "none"],
        form: Form::Both,
        reason: "the original prints an empty list, and not why it fails",
    },
    Known {
        words: &["struct_ops", "dump", "4294967295"],
        form: Form::Both,
        reason: "the original prints an empty line before it fails",
    },
    Known { words: &["prog", "dump"], form: Form::Usage, reason: "a null pointer that the original prints" },
    Known {
        words: &["cgroup", "tree", "/no/such/group"],
        form: Form::Json,
        reason: "the original begins its list before it fails",
    },
    Known {
        words: &["cgroup", "tree", "/etc"],
        form: Form::Json,
        reason: "the original begins its list before it fails",
    },
    Known {
        words: &["map", "lookup", "256"],
        form: Form::Everything,
        reason: "the original takes a number that is no byte, and uses its lower part",
    },
    Known {
        words: &["map", "lookup", "m_inode"],
        form: Form::Everything,
        reason: "the key is a descriptor of the process that asks, which differ",
    },
    Known {
        words: &["perf", "show", "foo"],
        form: Form::Everything,
        reason: "the original does not look at further words",
    },
    Known {
        words: &["btf", "dump", "id", "1", "format"],
        form: Form::Usage,
        reason: "the original's error has a bare newline, which is no JSON",
    },
];

const ANONYMOUS: &str =
    "two anonymous members have the same empty name in the original; here each has its own";

fn known(words: &[&str], form: Form) -> bool {
    let fits = |word: &&str| {
        words.iter().any(|have| have.ends_with(*word) || (word.contains('_') && have.contains(*word)))
    };
    let differs = |known: &Known| match known.form {
        Form::Everything => true,
        Form::Both => form != Form::Status,
        Form::Usage => form != Form::Status && words[1..] == *known.words,
        known => known == form,
    };
    KNOWN.iter().any(|known| differs(known) && known.words.iter().all(fits))
}

#[test]
fn programs_look_as_in_the_original() {
    compare(programs);
}

#[test]
fn maps_look_as_in_the_original() {
    compare(maps);
}

#[test]
fn links_groups_devices_and_types_look_as_in_the_original() {
    compare(others);
}

#[test]
fn mistakes_are_told_as_by_the_original() {
    compare(|_| MISTAKES.iter().map(|words| words.split(' ').map(str::to_owned).collect()).collect());
}

fn compare(lines: fn(&World) -> Vec<Vec<String>>) {
    need!(Root, Bpf, SignedEnums, Bpftool);
    let Some(bpftool) = programs::bpftool() else { return };
    let world = World::new();
    eprintln!("not made here: {:?}", world.missing);
    // For the one who works on a command: only lines that hold this text.
    let only = std::env::var("SKEP_COMPARE_ONLY").ok();
    let mut lines = lines(&world);
    lines.retain(|line| only.as_ref().is_none_or(|only| line.join(" ").contains(only.as_str())));
    let mut comparison =
        Comparison { bpftool, different: 0, told: Need::Guest.lack().is_none().then(BTreeSet::new) };
    // Once by the kernel's own list of symbols, which takes longer to read than all else together.
    if let Some(line) = lines.iter().find(|line| line.contains(&"xlated".to_owned())) {
        comparison.line("-n", line);
    }
    let _few = world.few_symbols();
    for form in ["-n", "-p", "-j"] {
        // The compact form has the same writer as the pretty one, so some lines of it are enough.
        let step = if form == "-j" { 10 } else { 1 };
        comparison.run(form, lines.iter().step_by(step));
    }
    assert_eq!(comparison.different, 0, "of {} command lines", lines.len() * 2);
}

/// Both asked the same, as many lines at a time as can be.
///
/// The original needs longer to start than to answer. A batch of lines that both go through to the end, with equal
/// outputs, is a batch of equal answers. Where they are not equal, halves of it are compared, down to single lines.
struct Comparison {
    bpftool: PathBuf,
    different: usize,
    /// In a guest, where starting a process takes half a second: the errors that have been compared. Those of the
    /// same text are not compared again there, nor as JSON, and neither is what is known to differ.
    told: Option<BTreeSet<Answer>>,
}

impl Comparison {
    fn run<'a>(&mut self, form: &str, lines: impl Iterator<Item = &'a Vec<String>>) {
        let mut batches: BTreeMap<&[String], Vec<&[String]>> = BTreeMap::new();
        for line in lines {
            let words: Vec<&str> = std::iter::once(form).chain(line.iter().map(String::as_str)).collect();
            let kind = kind_of(form);
            // A batch ends with the first error.
            let is_known = known(&words, kind) || known(&words, Form::Status);
            let ours = skep(&words);
            if is_known || ours.status != 0 {
                let news = match &mut self.told {
                    Some(told) => !is_known && form == "-n" && told.insert(ours),
                    None => true,
                };
                if news {
                    self.line(form, line);
                }
                continue;
            }
            // Options are one batch's, not one line's.
            let options = line.iter().position(|word| OBJECTS.contains(&word.as_str())).unwrap_or(0);
            let (options, line) = line.split_at(options);
            batches.entry(options).or_default().push(line);
        }
        for (options, lines) in batches {
            self.batch(form, options, &lines);
        }
    }

    fn batch(&mut self, form: &str, options: &[String], lines: &[&[String]]) {
        if let [line] = lines {
            return self.line(form, &[options, line].concat());
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in lines {
            writeln!(file, "{}", line.join(" ")).unwrap();
        }
        let path = file.path().display().to_string();
        let mut words = vec![form];
        words.extend(options.iter().map(String::as_str));
        words.extend(["batch", "file", &path]);
        let (ours, theirs) = (skep(&words), original(&self.bpftool, &words));
        let ended = ours.status == 0 && theirs.status == 0;
        if !ended || difference(&words, kind_of(form), &ours, &theirs).is_some() {
            let (first, second) = lines.split_at(lines.len() / 2);
            self.batch(form, options, first);
            self.batch(form, options, second);
        }
    }

    fn line(&mut self, form: &str, line: &[String]) {
        let words: Vec<&str> = std::iter::once(form).chain(line.iter().map(String::as_str)).collect();
        let ask = || {
            let (ours, theirs) = (skep(&words), original(&self.bpftool, &words));
            difference(&words, kind_of(form), &ours, &theirs).map(|what| (what, ours, theirs))
        };
        // Objects of others come and go between two lists of all.
        let Some((what, ours, theirs)) = ask().and_then(|_| ask()).and_then(|_| ask()) else { return };
        self.different += 1;
        let cut = |text: &str| text.chars().take(3000).collect::<String>();
        eprintln!("bpftool {}: {what}", words.join(" "));
        eprintln!("--- ours {}\n{}{}", ours.status, cut(&ours.out), ours.err);
        eprintln!("--- theirs {}\n{}{}---", theirs.status, cut(&theirs.out), theirs.err);
    }
}

/// What stands for an object on the command line; options come before it.
const OBJECTS: &[&str] =
    &["prog", "map", "link", "cgroup", "perf", "net", "feature", "btf", "struct_ops", "iter", "token"];

fn kind_of(form: &str) -> Form {
    if form == "-n" { Form::Plain } else { Form::Json }
}

#[test]
fn graphviz_draws_the_graphs() {
    need!(Root, Bpf, SignedEnums, Graphviz);
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let graph = directory.path().join("x.dot");
    let picture = directory.path().join("x.png");
    // Those that draw with springs take a minute for a large graph.
    const ALL: &[&str] = &["dot", "neato", "fdp", "sfdp", "osage"];
    const QUICK: &[&str] = &["dot", "osage"];
    for (name, details, programs) in [("p_xdp", &["opcodes", "linum"][..], ALL), ("p_isa", &[], QUICK)] {
        let path = world.path(name).display().to_string();
        let answer = skep(&[&["prog", "dump", "xlated", "pinned", &path, "visual"], details].concat());
        assert_eq!((answer.status, answer.err.as_str()), (0, ""));
        std::fs::write(&graph, answer.out).unwrap();
        for program in programs {
            let mut command = std::process::Command::new(program);
            command.args(["-Tpng", "-Elen=2.5"]).arg(&graph).arg("-o").arg(&picture);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("rror"), "{program} on {name}: {said}");
            assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"), "{program} on {name}");
        }
    }
}

#[test]
fn what_is_compared_is_of_most_types() {
    need!(Root, Bpf, SignedEnums);
    let world = World::new();
    // Arenas came with Linux 6.9; from then on nearly all can be made.
    if !world.names("m_").contains(&"m_arena".to_owned()) {
        return;
    }
    for (object, prefix, least) in [("map", "m_", 25), ("prog", "p_", 15), ("link", "l_", 10)] {
        let mut types = BTreeSet::new();
        for name in world.names(prefix) {
            let path = world.path(&name).display().to_string();
            let shown = skep(&["-j", object, "show", "pinned", &path]);
            let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
            types.insert(shown["type"].to_string());
        }
        assert!(types.len() >= least, "{object}: {types:?}");
    }
}

#[test]
fn machine_code_is_understood_and_calls_have_names() {
    need!(Root, Bpf, SignedEnums);
    let world = World::new();
    let mut seen = 0;
    for name in world.names("p_") {
        let path = world.path(&name).display().to_string();
        let answer = skep(&["prog", "dump", "jited", "pinned", &path]);
        // Without the compiler there is nothing to show.
        if answer.status != 0 {
            continue;
        }
        assert!(!answer.out.contains("(bad)"), "{name}: {}", answer.out);
        for call in answer.out.lines().filter(|line| line.contains(":\tcall   0x")) {
            assert!(call.ends_with('>'), "{name}: {call}");
            seen += 1;
        }
    }
    assert!(seen > 0 || !world.is_compiled(), "no call was seen");
}

#[test]
fn iterators_are_links_that_run_when_they_are_read() {
    need!(Root, Bpf, SignedEnums, Iter);
    let world = World::new();
    let listed = skep(&["-j", "iter", "show"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().all(|link| link["type"] == "iter"), "{listed:?}");
    let names = world.names("l_iter");
    assert!(names.len() > 2, "{:?}", world.missing);
    for name in names {
        let path = world.path(&name).display().to_string();
        let one = skep(&["iter", "show", "pinned", &path]);
        assert_eq!((one.status, one.err.as_str()), (0, ""));
        assert_eq!(one, skep(&["link", "show", "pinned", &path]));
        let id: u64 = one.out.split(':').next().unwrap().parse().unwrap();
        assert!(listed.iter().any(|link| link["id"] == id), "{name}: {listed:?}");
    }
}

/// What differs between two answers, unless it is known to.
fn difference(words: &[&str], form: Form, ours: &Answer, theirs: &Answer) -> Option<String> {
    // The original has no names for programs without types in the tables they are put in.
    if theirs.out.contains(peer::UNKNOWN) && !ours.out.contains(peer::UNKNOWN) {
        return difference(words, form, &ours.without_programs(), &theirs.without_programs());
    }
    if ours.status != theirs.status && !known(words, Form::Status) {
        return Some("status".to_owned());
    }
    if known(words, form) {
        return None;
    }
    if form == Form::Json {
        let structure = json_difference(&ours.out, &theirs.out);
        // Where the structures agree, the pretty form must, too; but errors say more here.
        let same_look = ours.out == theirs.out
            || theirs.out.trim().is_empty()
            || ours.out.contains("\"error\"")
            || words[0] == "-j";
        return structure.or_else(|| (!same_look).then(|| "look".to_owned()));
    }
    // The original says some things twice, once from its library.
    // Pictures are ours alone, and so is that line of usage.
    let lines = ours.err.lines().filter(|line| !line.contains("svg"));
    let told = lines.into_iter().all(|line| theirs.err.lines().any(|their| their == line));
    // Its library remarks that there is no file with the kernel's configuration.
    let remark = |line: &&str| line.starts_with("skipping kernel config");
    let silent = ours.err.is_empty() && !theirs.err.lines().all(|line| remark(&line));
    (ours.out != theirs.out || !told || silent).then(|| "text".to_owned())
}

/// Command lines that are put together.
#[derive(Default)]
struct Lines(Vec<Vec<String>>);

impl Lines {
    fn add(&mut self, words: &[&str]) {
        self.0.push(words.iter().map(|&word| word.to_owned()).collect());
    }
}

/// What is asked of programs.
fn programs(world: &World) -> Vec<Vec<String>> {
    let mut lines = Lines::default();
    let mut add = |words: &[&str]| lines.add(words);
    for name in world.names("p_") {
        let path = world.path(&name).display().to_string();
        add(&["prog", "show", "pinned", &path]);
        add(&["prog", "dump", "xlated", "pinned", &path]);
        add(&["prog", "dump", "xlated", "pinned", &path, "opcodes", "linum"]);
        if name != "p_isa" {
            add(&["prog", "dump", "xlated", "pinned", &path, "visual"]);
        }
        // The same functions in all types of programs.
        if ["p_xdp", "p_isa", "p_tp_btf"].contains(&name.as_str()) {
            add(&["prog", "dump", "xlated", "pinned", &path, "opcodes"]);
            add(&["prog", "dump", "xlated", "pinned", &path, "linum"]);
            add(&["prog", "dump", "xlated", "pinned", &path, "visual", "opcodes", "linum"]);
            add(&["btf", "dump", "prog", "pinned", &path]);
            add(&["btf", "dump", "prog", "pinned", &path, "format", "c"]);
        }
    }
    add(&["prog", "dump", "xlated", "name", "isa", "visual"]);
    add(&["prog", "dump", "xlated", "name", "closed", "visual", "opcodes"]);
    add(&["prog", "dump", "xlated", "name", "same"]);
    add(&["prog", "dump", "xlated", "name", "same", "opcodes"]);
    add(&["prog", "show", "name", "same"]);
    add(&["prog", "show", "name", "p_cgroup_sock_addr"]);
    for name in ["p_xdp", "p_same0", "p_rodata"] {
        let path = world.path(name).display().to_string();
        add(&["-f", "prog", "show", "pinned", &path]);
    }
    lines.0
}

/// What is asked of maps.
fn maps(world: &World) -> Vec<Vec<String>> {
    let mut lines = Lines::default();
    let mut add = |words: &[&str]| lines.add(words);
    for name in world.names("m_") {
        let path = world.path(&name).display().to_string();
        add(&["map", "show", "pinned", &path]);
        add(&["map", "dump", "pinned", &path]);
        add(&["map", "getnext", "pinned", &path]);
        for key in ["key 1 0 0 0", "key 0 0 0 0 97 98 0 0", "key hex 09 00 00 00"] {
            let key: Vec<&str> = key.split_whitespace().collect();
            add(&[&["map", "lookup", "pinned", &path], &key[..]].concat());
        }
        add(&["map", "getnext", "pinned", &path, "key", "0", "0", "0", "0"]);
        add(&["map", "peek", "pinned", &path]);
        // Most share their types.
        if ["m_hash0", "m_data", "m_float", "m_array", "m_short", "m_struct_ops"].contains(&name.as_str()) {
            for what in ["", "key", "value", "kv", "all"] {
                let what: Vec<&str> = what.split_whitespace().collect();
                add(&[&["btf", "dump", "map", "pinned", &path], &what[..]].concat());
                add(&[&["btf", "dump", "map", "pinned", &path], &what[..], &["format", "c"]].concat());
            }
        }
    }
    for name in ["m_frozen", "m_prog_array", "m_hash0"] {
        let path = world.path(name).display().to_string();
        add(&["-f", "map", "show", "pinned", &path]);
    }
    add(&["map", "dump", "name", "m_twice"]);
    lines.0
}

/// What is asked of everything else.
fn others(world: &World) -> Vec<Vec<String>> {
    let mut lines = Lines::default();
    let mut add = |words: &[&str]| lines.add(words);
    for name in world.names("l_") {
        let path = world.path(&name).display().to_string();
        add(&["link", "show", "pinned", &path]);
    }
    for words in [
        "link show",
        "token show",
        "net show",
        "net show dev lo",
        "perf show",
        "struct_ops show",
        "struct_ops dump",
    ] {
        add(&words.split(' ').collect::<Vec<_>>());
    }
    add(&["struct_ops", "show", "name", "m_struct_ops"]);
    add(&["struct_ops", "dump", "name", "m_struct_ops"]);
    add(&["struct_ops", "show", "name", "none"]);
    let tables: serde_json::Value = serde_json::from_str(&skep(&["-j", "struct_ops", "show"]).out).unwrap();
    for id in tables.as_array().into_iter().flatten().map(|table| table["id"].to_string()) {
        add(&["struct_ops", "show", "id", &id]);
        add(&["struct_ops", "dump", "id", &id]);
    }
    add(&["struct_ops", "dump", "name", "none"]);
    add(&["struct_ops", "dump", "id", "4294967295"]);
    let (own, child) = (world.cgroup(""), world.cgroup("child"));
    let own = own.display().to_string();
    let own = own.trim_end_matches('/');
    for path in [own, &child.display().to_string()] {
        add(&["cgroup", "show", path]);
        add(&["cgroup", "show", path, "effective"]);
        add(&["cgroup", "tree", path]);
        add(&["cgroup", "tree", path, "effective"]);
    }
    add(&["cgroup", "show", own, "eff"]);
    add(&["cgroup", "show", own, "bogus"]);
    add(&["cgroup", "show", own, "effective", "more"]);
    add(&["cgroup", "tree", own, "bogus"]);
    add(&["cgroup", "tree", &format!("{own}/"), "e"]);
    let file = |name: &str| world.files.path().join(name).display().to_string();
    let (base, a, b, c) = (file("base.btf"), file("a.btf"), file("b.btf"), file("c.btf"));
    for files in [&[&a, &b][..], &[&b, &a], &[&a, &b, &c], &[&c, &b, &a], &[&a, &a], &[&c, &c, &b], &[&b]] {
        let of: Vec<&str> = files.iter().flat_map(|file| ["file", file.as_str()]).collect();
        add(&[&["-B", &base, "btf", "dump"][..], &of].concat());
        add(&[&["-B", &base, "btf", "dump"][..], &of, &["format", "c", "unsorted"]].concat());
        // With the third piece it is its first type that the original forgets.
        if !files.contains(&&c) {
            add(&[&["-B", &base, "btf", "dump"][..], &of, &["format", "c"]].concat());
        }
    }
    lines.0
}

/// Words that are wrong, each in its own way.
const MISTAKES: &[&str] = &[
    "prog show id 4294967295",
    "map show id 4294967295",
    "map show id x",
    "map show tag x",
    "prog show tag x",
    "prog show tag 0123456789abcdef",
    "prog show id",
    "prog show pinned /no/such/pin",
    "prog show pinned /proc/version",
    "prog show pinned nowhere",
    "prog show pinned src",
    "prog show pinned src/lib.rs",
    "map show name more_than_fifteen",
    "prog show id 1 2 3",
    "prog dump",
    "prog dump xlated",
    "prog dump foo id 1",
    "prog dump xlated id",
    "prog dump xlated name same foo",
    "prog dump xlated name same visual",
    "prog dump xlated name same file /dev/null",
    "prog dump xlated id 4294967295",
    "map dump",
    "map dump id",
    "map lookup",
    "map lookup id 4294967295",
    "map lookup name m_twice key 0 0 0 0",
    "map lookup name m_short key",
    "map lookup name m_short key 1 2 3",
    "map lookup name m_short key 1 2 3 4 5",
    "map lookup name m_short key 1 2 3 x",
    "map lookup name m_short key 1 2 3 256",
    "map lookup name m_short value 1 2 3 4",
    "map lookup name m_short foo",
    "map getnext name m_short foo",
    "link show foo 1",
    "link show name x",
    "link show id 4294967295",
    "cgroup show",
    "cgroup show /no/such/group",
    "cgroup tree /no/such/group",
    "cgroup tree /etc",
    "net show dev",
    "net show foo lo",
    "net show d lo",
    "net show dev nosuchdevice",
    "perf show foo",
    "btf dump",
    "btf dump id",
    "btf dump foo 1",
    "btf dump id x",
    "btf dump id 1 foo",
    "btf dump id 1 format",
    "btf dump id 1 format foo",
    "btf dump id 1 root_id 4294967294",
    "btf dump id 1 root_id 7 root_id 7",
    "btf dump id 1 root_id 7 root_id 95",
    "btf dump id 1 format c root_id 7 root_id 114",
    "btf dump file /no/such/file",
    "btf dump file /no/such/file file",
    "btf dump map name m_hash0 value root_id 1",
    "btf dump map name m_hash0 root_id 1",
    "btf dump map name m_short kv root_id 1",
    "btf show foo 1",
    "btf show id x",
    "feature probe foo",
    "feature probe kernel kernel",
    "feature probe kernel dev lo",
    "feature list_builtins foo",
    "feature list_builtins",
    "feature probe macros prefix",
    "feature probe prefix x",
    "struct_ops show foo 1",
    "struct_ops show id 4294967295",
    "struct_ops show id 1 2",
    "token show foo",
    "foo",
    "prog foo",
    "batch",
    "batch foo x",
    "batch file /no/such/file",
    "batch file x y",
];
