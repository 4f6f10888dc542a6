//! The constructs of the language that are more than arithmetic, one row each: what made-up scripts pick from. Each
//! row is also tried alone, so that none is left out because the language would refuse it.

use super::{LOCALS, Maker, TYPES};

/// One construct.
pub struct Row {
    /// What it is, for a failure's message.
    pub name: &'static str,
    /// Whether it needs a kernel that goes through the entries of maps, and reads those of other CPUs.
    pub calls: bool,
    /// Its text, with parts made up.
    pub(super) make: fn(&mut Maker<'_>) -> String,
}

const fn row(name: &'static str, make: fn(&mut Maker<'_>) -> String) -> Row {
    Row { name, calls: false, make }
}

/// What needs a newer kernel: the entries of maps gone through, aggregations read.
const fn newer(name: &'static str, make: fn(&mut Maker<'_>) -> String) -> Row {
    Row { name, calls: true, make }
}

/// The types and constants of all scripts.
pub(super) const C_TEXT: &str = "\
#define LIMIT (12 << 2)
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
struct made_up { int16 x; uint8 bytes[2]; uint32 low : 12; uint32 high : 20; };
union word {
  int64 whole; uint32 halves[2]; uint8 bytes[8]; struct { int16 a; int16 b : 3; uint16 c : 13; int32 d; };
};
enum colour { RED, GREEN = 5, BLUE };
";
/// What stands before functions and clause where its name is used.
pub(super) const DECLARATIONS: [(&str, &str); 16] = [
    ("@limited", "let @limited = hash(200);"),
    ("@recent", "let @recent = lruhash(2000);"),
    ("@counted", "let @counted = percpuhash(200);"),
    ("@counted_recent", "let @counted_recent = percpulruhash(2000);"),
    ("twice(", "macro twice(value) { (value) * 2 }"),
    ("bump(", "macro bump($variable) { $variable += (int64)1; }"),
    ("remember(", "macro remember(@map, key, value) { @map[key] = value; }"),
    (
        "kind(",
        "macro kind($variable) { 1 }\nmacro kind(@map) { 2 }\nmacro kind(value) { let $k = value; (int64)$k + 3 }",
    ),
    ("with_own(", "macro with_own(value) { let $w1 = (int64)(value); $w1 += 2; twice($w1) }"),
    (
        "flip(",
        "fn flip($q : typeof(((int16)1, ((uint8)2, \"abc\"), (int64)3))) : typeof(((int64)3, (int16)1)) {
  return ($q.2, $q.0);\n}",
    ),
    ("nth(", "fn nth($a : uint8[8], $at : uint8) : uint8 { return $a[$at & 7]; }"),
    ("member(", "fn member($p : struct made_up *) : int16 { return $p->x; }"),
    ("upper(", "fn upper($p : typeof(*(struct made_up *)0)) : uint32 { return $p.high; }"),
    ("not(", "fn not($b : bool) : bool { return !$b; }"),
    (
        "changed(",
        "fn changed($r : typeof((n = (int64)1, s = \"abc\"))) : typeof((n = (int64)1, s = \"abc\")) {
  if ($r.n > 3) { return (n = $r.n - 3, s = \"xyz\"); }\n  return $r;\n}",
    ),
    (
        "note(",
        "fn note($n : int64) : void {
  @noted[$n & 3] = count();\n  if ($n > 100) { return; }\n  @m0 += $n;\n}",
    ),
];

/// Variables beside those that are always there: name, first value, and where it is kept in the end.
pub(super) const VARIABLES: [(&str, &str, &str); 4] = [
    ("$found", "$found = (int64)0;", "@found = $found;"),
    ("$c", "$c = (enum colour)5;", "@colour = $c;"),
    ("$st", "$st = *((struct made_up *)&$w);", "@struct = $st;"),
    ("$o", "$o = (a = (int8)1, b = (x = (int64)2, y = \"abc\"));", "@inside = $o;"),
];

/// What maps hold first, where they are used.
pub(super) const MAPS: [(&str, &str); 14] = [
    ("@count", "@count = count();"),
    ("@sum", "@sum[0] = sum((int64)3);"),
    ("@min", "@min = min((int64)-4);"),
    ("@max", "@max[1] = max((int64)5);"),
    ("@avg", "@avg = avg((int64)6);"),
    ("@limited", "@limited[1, \"abc\"] = (uint16)7;"),
    ("@recent", "@recent[1] = (int64)8;"),
    ("@counted", "@counted[1] = sum((int64)9);"),
    ("@counted_recent", "@counted_recent[2] = count();"),
    ("@noted", "@noted[3] = count();"),
    ("@one", "@one[7] = (int32)9;"),
    ("@p", "@p[(int16)1, (uint64)1] = (uint8)1;"),
    ("@hist", "@hist[0] = hist((int64)2);"),
    ("@colours", "@colours[(enum colour)0] = (enum colour)5;"),
];

/// Numbers.
pub(super) const NUMBERS: &[Row] = &[
    row("cast to an enum and back", |m| format!("((int64)((enum colour)({})))", m.unknown())),
    row("variable of an enum", |_| "((int64)$c)".into()),
    row("enumerator", |m| ["RED", "GREEN", "BLUE", "PIDTYPE_TGID"][m.choose(4)].into()),
    row("enum of a map", |m| format!("((int64)@colours[(enum colour)({})])", m.unknown())),
    row("cast of bytes to a number", |m| format!("((int64){})", m.bytes())),
    row("array of shorts", |m| format!("((uint16[4])((int64)({})))[{}]", m.int(1), m.choose(4))),
    row("array of a small number", |m| format!("((int8[2])((int16)({})))[{}]", m.int(1), m.choose(2))),
    row("array of words", |m| format!("((int32[2])((int64)({})))[{}]", m.int(1), m.choose(2))),
    row("pointer to an element", |m| {
        let (ty, at) = ([("uint8", 8), ("int16", 4), ("uint32", 2)][m.choose(3)], m.choose(8));
        format!("((({} *)&$w)[{}])", ty.0, at % ty.1)
    }),
    row("pointer and a number", |m| format!("(*((uint8 *)&$w + {}))", m.choose(8))),
    row("pointer and a variable", |m| format!("(*((int8 *)&$w + (int64)($i{} & 7)))", m.choose(LOCALS))),
    row("pointer to a map's value", |m| format!("(*(&@m{}))", m.choose(2))),
    row("address of kernel memory", |_| "(*kptr(&$w))".into()),
    row("address of user memory", |_| "(*uptr((int32 *)&$w))".into()),
    row("difference of addresses", |m| {
        format!("((int64)(((struct made_up *)({})) + 2))", ["0", "4096"][m.choose(2)])
    }),
    row("member of a struct", |m| {
        format!("($st.{})", ["x", "bytes[0]", "bytes[1]", "low", "high"][m.choose(5)])
    }),
    row("member of a map's struct", |m| {
        format!("{{ @struct = $st; @struct.{} }}", ["x", "bytes[1]", "low", "high"][m.choose(4)])
    }),
    row("member of a union", |m| {
        let member = ["whole", "halves[1]", "bytes[5]", "a", "b", "c", "d"][m.choose(7)];
        format!("((union word *)&$w)->{member}")
    }),
    row("member of a union's value", |m| {
        let (name, member) = (m.name("u"), ["whole", "halves[0]", "bytes[7]", "b", "c"][m.choose(5)]);
        format!("{{ {name} = *((union word *)&$w); {name}.{member} }}")
    }),
    row("struct of the kernel's over own bytes", |m| {
        ["((struct load_weight *)&$w)->weight", "((struct qstr *)&$w)->hash", "((struct qstr *)&$w).len"]
            [m.choose(3)]
        .into()
    }),
    row("null pointer to a struct of the kernel's", |m| {
        let members = [
            "pid",
            "tgid",
            "group_leader.pid",
            "group_leader.se.load.weight",
            "cpus_mask.bits[2]",
            "in_iowait",
            "level",
            "throttled",
            "loginuid.val",
            "dentry.d_name.len",
            "dentry.d_name.hash_len",
            "inline_dentry.d_iname[1]",
            "table[1][2]",
            "tasks.next.prev",
        ];
        format!("((int64)((struct task_struct *)0)->{})", members[m.choose(members.len())])
    }),
    row("container_of", |_| {
        "((int64)container_of((struct list_head *)64, typeof(struct load_weight), inv_weight))".into()
    }),
    row("sizeof and offsetof", |m| {
        let asked = [
            "sizeof(struct made_up)",
            "sizeof($w)",
            "sizeof(union word)",
            "offsetof(struct task_struct, comm)",
            "offsetof(struct made_up, bytes)",
        ];
        asked[m.choose(asked.len())].into()
    }),
    newer("aggregations as numbers", |m| {
        let reads = ["@count", "@min", "@avg", "@sum[{}]", "@max[{}]", "@counted[{}]", "@counted_recent[{}]"];
        let read = reads[m.choose(reads.len())].replace("{}", &m.key());
        format!("((int64){read})")
    }),
    newer("aggregation in arithmetic", |m| format!("(@count + {})", m.leaf())),
    row("value of a declared map", |m| {
        let (key, text) = (m.key(), m.string());
        match m.choose(2) {
            0 => format!("@recent[{key}]"),
            _ => format!("@limited[{key}, {text}]"),
        }
    }),
    row("has_key as a number", |m| format!("((int64)has_key(@k, {}))", m.key())),
    row("delete as a number", |m| format!("((int64)delete(@n, {}))", m.key())),
    row("find and what it found", |m| format!("(find(@k, {}, $found) ? $found : (int64)-1)", m.key())),
    newer("len", |m| format!("len(@{})", ["k", "n", "counted", "limited", "recent"][m.choose(5)])),
    row("increments as values", |m| {
        let what = ["$i0", "$i1", "@m0", "@m1", "@k[1]", "@recent[2]", "$w"][m.choose(7)];
        format!("({})", ["{}++", "{}--", "++{}", "--{}"][m.choose(4)].replace("{}", what))
    }),
    row("comptime", |m| format!("(comptime ({} * {}))", m.choose(9), m.choose(9))),
    row("block with variables", |m| {
        let (name, ty) = (m.name("x"), TYPES[m.choose(TYPES.len())]);
        let (first, more) = (m.int(1), m.leaf());
        format!("{{ let {name} : {ty} = ({ty})({first}); {name} += ({ty})({more}); {name} }}")
    }),
    row("if among ifs as a value", |m| {
        let (a, b, c) = (m.cond(0), m.cond(0), m.leaf());
        format!(
            "(if ({a}) {{ (int64)1 }} else if ({b}) {{ (int64)({c}) }} else {{ let $e = (int64)3; $e * 2 }})"
        )
    }),
    row("?:", |m| format!("((int64)({}) ?: (int64)({}))", m.int(1), m.leaf())),
    row("constant of C", |m| format!("(LIMIT + LARGER({}, {}))", m.choose(9), m.leaf())),
    row("macros by what they take", |m| ["kind($w)", "kind(@m0)", "kind($w + 1)"][m.choose(3)].into()),
    row("macro with a variable", |m| format!("with_own({})", m.leaf())),
    row("function of an array", |m| format!("nth($a, (uint8)({}))", m.leaf())),
    row("function of a pointer", |_| "member((struct made_up *)&$w)".into()),
    row("function of a struct", |_| "upper($st)".into()),
    row("function of a tuple", |m| format!("flip({}).{}", m.nested(), m.choose(2))),
    row("function of a record", |m| format!("changed({}).n", m.record())),
    row("byte of a text", |m| format!("((int64)$s[{}])", m.choose(20))),
    row("byte of a text, by a variable", |m| format!("((int64)$s[$i{} & 15])", m.choose(LOCALS))),
    row("strcap", |_| "strcap($s)".into()),
    row("length of texts put together", |m| format!("((int64)strlen(str_concat({}, \"xyz\")))", m.string())),
    row("address of a host as bytes", |m| format!("(pton(\"10.20.30.40\")[{}])", m.choose(4))),
    row("tuple of one", |m| format!("(((int64)({}),).0)", m.leaf())),
    row("element of a tuple by index", |m| ["($q[1][0])", "($t[1])", "($q[2])"][m.choose(3)].into()),
    row("record in a record", |m| ["$o.a", "$o.b.x"][m.choose(2)].into()),
    row("option of the script", |_| "getopt(\"limit\", 10)".into()),
    row("parameter of the script", |_| "$1".into()),
    row("type of an expression", |m| format!("((typeof($i{}))({}))", m.choose(LOCALS), m.leaf())),
    row("boolean as a number", |m| format!("((int64)((bool)({})))", m.leaf())),
    row("division by a variable", |m| {
        format!("((int64)({}) {} $i{})", m.leaf(), ["/", "%"][m.choose(2)], m.choose(LOCALS))
    }),
];

/// Conditions.
pub(super) const CONDITIONS: &[Row] = &[
    newer("aggregation compared", |m| {
        let reads = ["@count", "@min", "@avg", "@sum[1]", "@max[{}]", "@counted[{}]"];
        let read = reads[m.choose(reads.len())].replace("{}", &m.key());
        format!("({read} {} (int64)({}))", ["<", ">=", "==", "!="][m.choose(4)], m.leaf())
    }),
    row("delete", |m| {
        let key = m.key();
        ["delete(@k, {})", "delete(@recent, {})", "delete(@counted, {})"][m.choose(3)].replace("{}", &key)
    }),
    row("find", |m| format!("find(@{}, {}, $found)", ["k", "recent"][m.choose(2)], m.key())),
    row("has_key of a key of parts", |m| format!("has_key(@limited, ({}, {}))", m.key(), m.string())),
    row("enums compared", |m| format!("($c {} {})", ["==", "!=", "<"][m.choose(3)], "GREEN")),
    row("literal text", |m| ["(\"text\" ? true : false)", "(\"\" ? true : false)"][m.choose(2)].into()),
    row("pointers compared", |m| {
        format!("(((struct task_struct *)0)->group_leader {} 0)", ["==", "!="][m.choose(2)])
    }),
    row("is_err", |m| format!("is_err((struct task_struct *)({}))", m.leaf())),
    row("questions about types", |m| {
        let asked =
            ["is_integer($w)", "is_str($s)", "is_ptr($a)", "is_array($a)", "is_unsigned_integer($i1)"];
        asked[m.choose(asked.len())].into()
    }),
    row("function of a boolean", |m| format!("not({})", m.cond(0))),
    row("text and a member's characters", |m| {
        format!("(((struct task_struct *)0).comm {} {})", ["==", "!="][m.choose(2)], m.string())
    }),
    row("if as a condition", |m| {
        let (a, b, c) = (m.cond(0), m.cond(0), m.cond(0));
        format!("(if ({a}) {{ {b} }} else {{ {c} }})")
    }),
    row("records in records compared", |m| {
        format!(
            "($o {} (a = (int8)1, b = (x = (int64)({}), y = \"abc\")))",
            ["==", "!="][m.choose(2)],
            m.leaf()
        )
    }),
    row("bytes of a struct", |m| format!("(memcmp($a, {}, {}) == 0)", m.bytes(), 1 + m.choose(8))),
];

/// Texts.
pub(super) const TEXTS: &[Row] = &[
    row("texts put together", |m| format!("str_concat({}, {})", m.string(), m.string())),
    row("text of two", |m| format!("({} ? \"abc\" : \"xyz\")", m.cond(0))),
    row("if as a text", |m| format!("(if ({}) {{ \"abd\" }} else {{ \"longer\" }})", m.cond(0))),
    row("text at an address", |m| format!("str((int8 *)&$w, {})", m.choose(9))),
    row("text of a null pointer", |_| "str(((struct task_struct *)0).argv)".into()),
    row("characters of a member", |_| "((struct task_struct *)0).comm".into()),
    row("text of a record in a record", |_| "$o.b.y".into()),
    row("text of a function's record", |m| format!("changed({}).s", m.record())),
    row("kind of the probe", |_| "probetype".into()),
    row("text of a map", |m| format!("@texts[{}, {}]", m.string(), m.choose(3))),
    row("block as a text", |m| {
        let name = m.name("y");
        format!("{{ let {name} = {}; {name} }}", m.string())
    }),
];

/// Statements.
pub(super) const STATEMENTS: &[Row] = &[
    row("enum", |m| format!("$c = (enum colour)({});", m.unknown())),
    row("enum of a map", |m| {
        format!("@colours[(enum colour)({})] = (enum colour)({});", m.unknown(), m.unknown())
    }),
    row("struct", |_| "$st = *((struct made_up *)&$w);".into()),
    row("struct as a key", |m| format!("@structs[$st] = (int64)({});", m.leaf())),
    row("struct of a map", |_| "@struct = $st;".into()),
    row("record in a record", |m| {
        format!("$o = (a = (int8)({}), b = (x = (int64)({}), y = \"xyz\"));", m.leaf(), m.leaf())
    }),
    row("record in a record as a key", |m| format!("@inner[$o] = (int64)({});", m.leaf())),
    row("arrays and booleans in a key", |m| format!("@mixed[($b, $a, $c, {})] = $w;", m.key())),
    row("pointer kept", |m| format!("@pointer[{}] = ((struct task_struct *)0)->group_leader;", m.key())),
    row("compound assignment", |m| {
        let op = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"][m.choose(10)];
        format!("$w {op}= (int64)({});", m.leaf())
    }),
    row("compound assignment of a map", |m| {
        let op = ["+", "-", "*", "&", "|", "^", "<<", ">>"][m.choose(8)];
        let what = ["@m0", "@m1", "@recent[1]", "@recent[$w & 3]"][m.choose(4)];
        format!("{what} {op}= (int64)({});", m.leaf())
    }),
    row("declarations", |m| {
        let (a, b, c) = (m.name("d"), m.name("d"), m.name("d"));
        let (first, second) = (m.int(1), m.leaf());
        format!(
            "let {a} : uint16 = (uint16)({first}); let {b}; {b} = (int64)({second}); let {c} : typeof($w) = {b}; $w = {c} + {a};"
        )
    }),
    row("declaration without a value", |m| {
        let (a, b) = (m.name("d"), m.name("d"));
        format!("let {a} : int32; let {b} : string[8]; @declared[{b}] = (int64){a};")
    }),
    row("block", |m| {
        let (name, value) = (m.name("n"), m.leaf());
        format!("{{ let {name} = (int64)({value}); {{ {name}++; @m1 = {name}; }} }}")
    }),
    row("discarded value", |m| format!("_ = {};", m.int(1))),
    row("if among ifs", |m| {
        let (a, b, value) = (m.cond(1), m.cond(1), m.leaf());
        format!("if {a} {{ $w = (int64)1; }} else if ({b}) {{ $w = (int64)({value}); }} else {{ $w--; }}")
    }),
    row("branch chosen while compiling", |m| {
        format!("if comptime (sizeof(int64) == {}) {{ @m0++; }} else {{ @m1++; }}", [8, 4][m.choose(2)])
    }),
    row("assertion", |m| format!("assert({} || $w < 9223372036854775807, \"not this\");", m.cond(0))),
    row("assertion while compiling", |_| "static_assert(sizeof(struct made_up) == 8, \"no\");".into()),
    row("macro that changes a variable", |_| "bump($w);".into()),
    row("macro that changes a map", |m| {
        let (key, value) = (m.key(), m.leaf());
        format!("remember(@recent, {key}, (int64)({value}));")
    }),
    row("function without a value", |m| format!("note((int64)({}));", m.int(1))),
    row("value of a declared map", |m| {
        let (key, text, value) = (m.key(), m.string(), m.leaf());
        match m.choose(3) {
            0 => format!("@recent[{key}] = (int64)({value});"),
            1 => format!("@recent[{key}]++;"),
            _ => format!("@limited[{key}, {text}] = (uint16)({value});"),
        }
    }),
    row("aggregation of a declared map", |m| {
        let key = m.key();
        match m.choose(2) {
            0 => format!("@counted[{key}] = sum((int64)({}));", m.leaf()),
            _ => format!("@counted_recent[{key}] = count();"),
        }
    }),
    row("fine histogram", |m| format!("@fine[{}] = hist((int64)({}), 2);", m.key(), m.leaf())),
    row("aggregations without signs", |m| {
        let (key, value) = (m.key(), m.leaf());
        let agg = ["sums", "mins", "maxs", "avgs"][m.choose(4)];
        let function = &agg[..3];
        format!("@u{agg}[{key}] = {function}((uint64)({value}));")
    }),
    row("delete of a map without keys", |m| format!("delete(@{});", ["min", "m1", "avg"][m.choose(3)])),
    row("delete of a key in brackets", |m| format!("delete(@recent[{}]);", m.key())),
    row("bytes kept", |m| {
        format!("@buffer[{}] = buf({}, {});", m.key(), ["$s", "$a"][m.choose(2)], 1 + m.choose(8))
    }),
    row("address of a host", |m| format!("@host[{}] = ntop((uint32)({}));", m.key(), m.leaf())),
    row("hardware address", |m| format!("@card[{}] = macaddr((int8 *)&$w);", m.key())),
    row("time as text", |m| format!("@when[{}] = strftime(\"%H\", (uint64)({}));", m.key(), m.leaf())),
    row("names of numbers", |m| {
        let function = ["strerror", "signal_name", "syscall_name"][m.choose(3)];
        format!("print({function}({}));", m.leaf())
    }),
    row("what depends on the run", |m| {
        let values = [
            "nsecs",
            "(pid, tid, uid, gid)",
            "comm",
            "(cpu, ncpus)",
            "elapsed",
            "rand",
            "jiffies",
            "cgroup",
            "username",
            "curtask",
            "curtask.pid",
            "curtask.comm",
            "(curtask.group_leader.se.load.weight, curtask.level)",
            "kstack(3)",
            "ustack(5)",
            "usermode",
            "ksym((uint64)curtask)",
            "*curtask.dentry",
        ];
        let (at, name) = (m.choose(values.len()), m.name("now"));
        let map = name.replace('$', "@");
        format!("{map}[1] = {}; delete({map}, 1);", values[at])
    }),
    row("stack as a key", |m| {
        let name = m.name("key");
        format!("{name} = (kstack(4), comm); @by_stack[{name}]++; delete(@by_stack, {name});")
    }),
    row("course over time", |m| {
        format!("@course[1] = tseries((int64)({}), 1s, 5); delete(@course, 1);", m.leaf())
    }),
    row("maps shown, emptied and zeroed", |m| {
        ["print(@sum, 2);", "clear(@k);", "zero(@k);", "print(@count);", "print(@hist);"][m.choose(5)].into()
    }),
    row("formats", |m| {
        let formats = [
            "printf(\"%s %s\", $q, $st);",
            "printf(\"%-5d|%05x|%c|%p\", $i0, $i1, $i2, $w);",
            "printf(\"%r %s\", buf($s, 5), $c);",
            "printf(\"%s %s\", kstack(3), ustack(3));",
            "errorf(\"%d\", $w);",
            "warnf(\"%s\", $s);",
            "time(\"%H\");",
            "cat(\"/no/such/file/%d\", $i0);",
            "join(((struct task_struct *)0).argv);",
            "print((curtask.pid, curtask.comm));",
            "print(*curtask.dentry);",
        ];
        formats[m.choose(formats.len())].into()
    }),
    newer("aggregation printed as a number", |m| format!("printf(\"%d %d\", @avg, @max[{}]);", m.key())),
    row("return from a loop or branch", |m| {
        let (cond, end) = (m.cond(0), m.ending());
        format!("if ({cond} && $w == {}) {{ {end} }}", m.number())
    }),
    row("end of the script", |m| format!("if ($w == {}) {{ exit({}); }}", m.number(), m.choose(3))),
    row("endless loop left by break", |m| {
        let (name, step, cond) = (m.name("g"), m.leaf(), m.cond(0));
        format!(
            "{name} = (int64)0; while (true) {{ {name}++; if ({name} > 3) {{ break; }} if ({cond}) {{ continue; }} @m1 = (int64)({step}); }}"
        )
    }),
    row("loop in a loop", |m| {
        let (a, b, value) = (m.name("g"), m.name("g"), m.leaf());
        format!(
            "for ({a} : 0..3) {{ for ({b} : 1..3) {{ if ({a} == {b}) {{ break; }} $w += {a} * {b} + (int64)({value}); }} }}"
        )
    }),
    newer("loop over a map of one entry", |m| {
        let (name, value, cond) = (m.name("kv"), m.int(1), m.cond(1));
        let end = m.ending();
        format!(
            "for ({name} : @one) {{ $w = {name}.0 + (int64)({value}); if ({cond}) {{ continue; }} $s = \"abd\"; if ($w == 5) {{ {end} }} @m0 = (int64){name}.1; }}"
        )
    }),
    newer("loop over a map with keys of parts", |m| {
        let name = m.name("kv");
        format!("for ({name} : @p) {{ @sum[{name}.0.0] = sum((int64){name}.1 + (int64){name}.0.1); }}")
    }),
    newer("loop over aggregations", |m| {
        let (name, map) = (m.name("kv"), ["sum", "max", "counted", "noted"][m.choose(4)]);
        format!("for ({name} : @{map}) {{ @m1 += (int64){name}.1 + (int64){name}.0; }}")
    }),
    newer("loop that deletes", |m| {
        let (name, map) = (m.name("kv"), ["k", "recent"][m.choose(2)]);
        format!("for ({name} : @{map}) {{ if ({name}.1 > {}) {{ delete(@{map}, {name}.0); }} }}", m.choose(9))
    }),
    newer("loop over a map in a loop", |m| {
        let (a, b) = (m.name("g"), m.name("kv"));
        format!("for ({a} : 0..3) {{ for ({b} : @k) {{ @m0 += {b}.0 * {a}; }} }}")
    }),
    row("unroll with a constant", |_| "unroll (LIMIT / 16) { $w ^= (int64)5; $w <<= 1; }".into()),
];
