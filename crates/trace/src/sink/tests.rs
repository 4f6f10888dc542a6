//! The text and JSON forms, held against what the original printed for the same scripts.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use skep_lang::hir::{Attach, Config, Conversion, Format, Piece, PrintTo, Spec, Target};
use skep_lang::ty::{Agg, Ty, TyKind, Types};
use skep_ui::hist::{Histogram, Scale};
use skep_ui::{SourceMap, Span};

use super::{Buffering, Collect, Data, Event, JsonSink, Output, Record, Sink, TextSink};
use crate::aggregate::{Reduced, reduce};
use crate::decode::{Fields, Schema};
use crate::maps::{Entry, EntryValue, MapView};

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SCRIPT: &str = "BEGIN { errorf(\"bad %d\\n\", 3); @x[2]=2; }";

/// What both sinks make of some events: text, text on standard error, JSON.
fn shown(events: impl Fn(&mut dyn FnMut(Event<'_>))) -> [String; 3] {
    let (text, messages, json) = (Shared::default(), Shared::default(), Shared::default());
    let mut sources = SourceMap::new();
    sources.add("stdin", SCRIPT);
    let output = |to: &Shared| Output::new(Box::new(to.clone()), Buffering::Line, false);
    let mut sink = TextSink::new(output(&text), Box::new(messages.clone()), sources.clone());
    events(&mut |event| sink.event(event).unwrap());
    sink.flush().unwrap();
    let mut sink = JsonSink::new(output(&json), sources);
    events(&mut |event| sink.event(event).unwrap());
    sink.flush().unwrap();
    [text.text(), messages.text(), json.text()]
}

fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A map with the entries of one CPU each.
struct Fixture {
    types: Types,
    config: Config,
    key: Ty,
    value: Ty,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Fixture {
    fn new(types: Types, key: Ty, value: Ty) -> Fixture {
        Fixture { types, config: Config::default(), key, value, entries: Vec::new() }
    }

    fn aggregate(agg: Agg) -> Fixture {
        let mut types = Types::default();
        let value = types.intern(TyKind::Agg(agg));
        Fixture::new(types, Ty::VOID, value)
    }

    fn keyed(mut self, key: Ty) -> Fixture {
        self.key = key;
        self
    }

    fn entry(mut self, key: &[u8], value: &[u8]) -> Fixture {
        self.entries.push((key.to_vec(), value.to_vec()));
        self
    }

    fn with_view(&self, (top, div): (u32, u32), f: impl FnOnce(&MapView<'_>)) {
        let schema = Schema::new(&self.types, &[], &self.config);
        let entries = self
            .entries
            .iter()
            .map(|(key, value)| {
                let value = match self.types.kind(self.value) {
                    TyKind::Agg(agg) => EntryValue::Reduced(reduce(*agg, std::iter::once(value.as_slice()))),
                    _ => EntryValue::Plain(value.clone()),
                };
                Entry { key: key.clone(), value }
            })
            .collect();
        let mut view = MapView { name: "@m", schema, key: self.key, value: self.value, entries };
        view.arrange(top, div);
        f(&view);
    }

    fn shown(&self, cut: (u32, u32)) -> [String; 2] {
        let [text, messages, json] = shown(|give| self.with_view(cut, |view| give(Event::Map(view))));
        assert_eq!(messages, "");
        [text, json]
    }

    fn check(&self, text: &str, json: &str) {
        assert_eq!(self.shown((0, 0)), [text, json]);
    }
}

#[test]
fn scalars() {
    let fixture = Fixture::new(Types::default(), Ty::VOID, Ty::I64).entry(&[0; 4], &words(&[-5]));
    fixture.check("@m: -5\n", "{\"type\": \"map\", \"data\": {\"@m\": -5}}\n");
    let mut types = Types::default();
    let text = types.str(8);
    let fixture = Fixture::new(types, Ty::VOID, text).entry(&[0; 4], b"a\"b\\\n\x01\0\0");
    fixture
        .check("@m: a\"b\\\n\x01\n", "{\"type\": \"map\", \"data\": {\"@m\": \"a\\\"b\\\\\\n\\u0001\"}}\n");
}

#[test]
fn entries_are_sorted_by_value_cut_and_divided() {
    let fixture = Fixture::new(Types::default(), Ty::I64, Ty::I64)
        .entry(&words(&[1]), &words(&[10]))
        .entry(&words(&[2]), &words(&[30]))
        .entry(&words(&[3]), &words(&[20]));
    fixture.check(
        "@m[1]: 10\n@m[3]: 20\n@m[2]: 30\n",
        "{\"type\": \"map\", \"data\": {\"@m\": {\"1\": 10, \"3\": 20, \"2\": 30}}}\n",
    );
    assert_eq!(fixture.shown((2, 0))[0], "@m[3]: 20\n@m[2]: 30\n");
    assert_eq!(fixture.shown((2, 10))[0], "@m[3]: 2\n@m[2]: 3\n");
}

#[test]
fn equal_values_and_other_values_are_sorted_by_key() {
    let mut types = Types::default();
    let text = types.str(4);
    let fixture = Fixture::new(types, Ty::I64, text)
        .entry(&words(&[10]), b"x\0\0\0")
        .entry(&words(&[9]), b"y\0\0\0")
        .entry(&words(&[-1]), b"n\0\0\0")
        .entry(&words(&[100]), b"a\0\0\0");
    assert_eq!(fixture.shown((0, 0))[0], "@m[-1]: n\n@m[9]: y\n@m[10]: x\n@m[100]: a\n");
    let fixture = Fixture::aggregate(Agg::Count)
        .keyed(Ty::U8)
        .entry(&[2], &words(&[1]))
        .entry(&[1], &words(&[1]))
        .entry(&[3], &words(&[0]));
    assert_eq!(fixture.shown((0, 0))[0], "@m[3]: 0\n@m[1]: 1\n@m[2]: 1\n");
}

#[test]
fn tuples_as_keys_and_values() {
    let mut types = Types::default();
    let text = types.str(4);
    let inner = types.tuple([Ty::U8, text]);
    let key = types.tuple([Ty::U8, inner, text]);
    let fixture = Fixture::new(types, key, inner).entry(b"\x01\x02x\0\0\0y\0\0\0", b"\x03z\0\0\0");
    fixture.check(
        "@m[1, (2, x), y]: (3, z)\n",
        "{\"type\": \"map\", \"data\": {\"@m\": {\"1,(2,x),y\": [3,\"z\"]}}}\n",
    );
}

#[test]
fn records_as_keys_and_values() {
    let mut types = Types::default();
    let text = types.str(4);
    let record = types.intern(TyKind::Record(Box::from([("a".into(), Ty::U8), ("b".into(), text)])));
    let fixture = Fixture::new(types, record, record).entry(b"\x01q\0\0\0", b"\x02r\0\0\0");
    fixture.check(
        "@m[{ .a = 1, .b = q }]: { .a = 2, .b = r }\n",
        "{\"type\": \"map\", \"data\": {\"@m\": {\"{.a=1,.b=q}\": {\"a\": 2, \"b\": \"r\"}}}}\n",
    );
}

#[test]
fn averages_and_stats() {
    let signed = true;
    let avg = Fixture::aggregate(Agg::Avg { signed }).entry(&[0; 4], &words(&[7, 2]));
    avg.check("@m: 3\n", "{\"type\": \"stats\", \"data\": {\"@m\": 3}}\n");
    let stats = Fixture::aggregate(Agg::Stats { signed })
        .keyed(Ty::U8)
        .entry(&[1], &words(&[-4, 1]))
        .entry(&[2], &words(&[55, 2]))
        .entry(&[3], &words(&[7, 1]));
    stats.check(
        "@m[1]: { .count = 1, .average = -4, .total = -4 }\n\
         @m[3]: { .count = 1, .average = 7, .total = 7 }\n\
         @m[2]: { .count = 2, .average = 27, .total = 55 }\n",
        "{\"type\": \"stats\", \"data\": {\"@m\": {\"1\": {\"count\": 1, \"average\": -4, \"total\": -4}, \
         \"3\": {\"count\": 1, \"average\": 7, \"total\": 7}, \
         \"2\": {\"count\": 2, \"average\": 27, \"total\": 55}}}}\n",
    );
    assert_eq!(stats.shown((1, 2))[0], "@m[2]: { .count = 2, .average = 13, .total = 55 }\n");
    // Only these say that they are empty, and only in JSON.
    Fixture::aggregate(Agg::Avg { signed }).check("", "{\"type\": \"stats\", \"data\": {\"@m\": {}}}\n");
    Fixture::aggregate(Agg::Count).check("", "");
}

#[test]
fn histograms() {
    // One sample each of -1, 0, 1; 2 of [2, 4); 1 of [8, 16).
    let hist = Fixture::aggregate(Agg::Hist { bits: 0 }).entry(&[0; 4], &words(&[1, 1, 1, 2, 0, 1]));
    insta::assert_snapshot!(hist.shown((0, 0)).concat(), @r#"
    @m:
    (..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
    [0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
    [1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
    [2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
    [4, 8)                 0 |                                                    |
    [8, 16)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |

    {"type": "hist", "data": {"@m": [{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 1},{"min": 2, "max": 3, "count": 2},{"min": 4, "max": 7, "count": 0},{"min": 8, "max": 15, "count": 1}]}}
    "#);
    // By the number of samples; a divided bucket is kept although it is 0 now.
    let keyed = Fixture::aggregate(Agg::Hist { bits: 0 })
        .keyed(Ty::U8)
        .entry(&[7], &words(&[0, 0, 0, 0, 3]))
        .entry(&[8], &words(&[0, 0, 0, 0, 1]));
    insta::assert_snapshot!(keyed.shown((0, 2)).concat(), @r#"
    @m[8]:
    [4, 8)                 0 |                                                    |

    @m[7]:
    [4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

    {"type": "hist", "data": {"@m": {"8": [{"min": 4, "max": 7, "count": 0}], "7": [{"min": 4, "max": 7, "count": 1}]}}}
    "#);
    let empty = Fixture::aggregate(Agg::Hist { bits: 0 }).entry(&[0; 4], &words(&[0]));
    empty.check("@m:\n\n", "{\"type\": \"hist\", \"data\": {\"@m\": []}}\n");
}

#[test]
fn linear_histograms_are_open_at_both_ends() {
    let lhist =
        Fixture::aggregate(Agg::Lhist { min: 0, max: 30, step: 10 }).entry(&[0; 4], &words(&[1, 1, 0, 0, 2]));
    insta::assert_snapshot!(lhist.shown((0, 0)).concat(), @r#"
    @m:
    (..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
    [0, 10)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
    [10, 20)               0 |                                                    |
    [20, 30)               0 |                                                    |
    [30, ...)              2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

    {"type": "hist", "data": {"@m": [{"max": -1, "count": 1},{"min": 0, "max": 9, "count": 1},{"min": 10, "max": 19, "count": 0},{"min": 20, "max": 29, "count": 0},{"min": 30, "count": 2}]}}
    "#);
}

#[test]
fn values() {
    let mut types = Types::default();
    let (text, bytes) = (types.str(4), types.intern(TyKind::Buf(3)));
    let tuple = types.tuple([Ty::U8, text, Ty::BOOL]);
    let array = types.intern(TyKind::Array { elem: Ty::I16, len: 2 });
    let config = Config::default();
    let targets = [Target { name: "begin".into(), attach: Attach::Begin, wildcard: false }];
    let schema = Schema::new(&types, &targets, &config);
    let check = |ty, bytes: &[u8], text: &str, json: &str| {
        let expected =
            [format!("{text}\n"), String::new(), format!("{{\"type\": \"value\", \"data\": {json}}}\n")];
        assert_eq!(shown(|give| give(Event::Value(schema.value(ty, bytes)))), expected);
    };
    check(Ty::I8, &[0xfb], "-5", "-5");
    check(Ty::BOOL, &[1], "true", "true");
    check(text, b"s\0\0\0", "s", "\"s\"");
    check(text, b"\xffs\0\0", "\u{fffd}s", "\"\u{fffd}s\"");
    check(tuple, b"\x01a\0\0\0\x01", "(1, a, true)", "[1,\"a\",true]");
    check(bytes, b"\x03\0\0\0ab\x01\0", "ab\\x01", "[97,98,1]");
    check(array, &[1, 0, 0xff, 0xff], "[1,-1]", "[1,-1]");
    check(Ty::PROBE, &[0; 8], "begin", "\"begin\"");
    // Integers that a double cannot hold exactly are strings in JSON.
    check(Ty::U64, &words(&[-1]), "18446744073709551615", "\"18446744073709551615\"");
    check(Ty::I64, &words(&[1 << 53]), "9007199254740992", "9007199254740992");
    check(Ty::I64, &words(&[-(1 << 53) - 1]), "-9007199254740993", "\"-9007199254740993\"");
    check(Ty::U64, &words(&[i64::MIN]), "9223372036854775808", "9223372036854775808");
}

#[test]
fn messages_tell_the_place() {
    let format = |text: &str| Format {
        pieces: vec![
            Piece::Text(text.into()),
            Piece::Conversion(Conversion { spec: Spec::Signed, ..Default::default() }),
        ],
    };
    let types = Types::default();
    let config = Config::default();
    let schema = Schema::new(&types, &[], &config);
    let fields = [skep_compile::artifact::EventField { offset: 8, ty: Ty::I64, packed: false }];
    let record = words(&[0, 3]);
    let span = Span::new(skep_ui::FileId(0), 8, 29);
    let format = format("bad ");
    let [text, messages, json] = shown(|give| {
        for to in [PrintTo::Output, PrintTo::Error, PrintTo::Warning] {
            let args = schema.fields(&fields, 16, &record);
            give(Event::Printf { to, format: &format, args, span });
        }
    });
    assert_eq!(text, "bad 3");
    assert_eq!(messages, "stdin:1:9-30: ERROR: bad 3\nstdin:1:9-30: WARNING: bad 3\n");
    assert_eq!(
        json,
        "{\"type\": \"printf\", \"data\": \"bad 3\"}\n\
         {\"type\": \"errorf\", \"msg\": \"bad 3\", \"filename\": \"stdin\", \"line\": 1, \"col\": 9}\n\
         {\"type\": \"warnf\", \"msg\": \"bad 3\", \"filename\": \"stdin\", \"line\": 1, \"col\": 9}\n"
    );
}

#[test]
fn failed_helpers() {
    let span = Span::new(skep_ui::FileId(0), 31, 38);
    let [_, messages, json] =
        shown(|give| give(Event::HelperError { helper: "map_update_elem", code: -7, span }));
    insta::assert_snapshot!(messages, @r#"
    stdin:1:32-39: WARNING: Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map declaration e.g. `let @a = hash(5000)`
    Additional Info - helper: map_update_elem, retcode: -7
    BEGIN { errorf("bad %d\n", 3); @x[2]=2; }
                                   ~~~~~~~
    "#);
    assert_eq!(
        json,
        "{\"type\": \"helper_error\", \"msg\": \"Argument list too long\", \"helper\": \"map_update_elem\", \
         \"retcode\": -7, \"filename\": \"stdin\", \"line\": 1, \"col\": 32}\n"
    );
}

#[test]
fn the_session_itself() {
    let probes = [("tracepoint:a:b".to_owned(), 3)];
    let [text, messages, json] = shown(|give| {
        give(Event::Attached { probes: 1 });
        give(Event::Attached { probes: 3 });
        give(Event::Time("2026\n"));
        give(Event::Lost { total: 3, probes: &probes });
        give(Event::Finished);
    });
    assert_eq!(text, "2026\n\n\n");
    assert_eq!(messages, "Attached 1 probe\nAttached 3 probes\nLost 3 events\n  tracepoint:a:b: 3\n");
    assert_eq!(
        json,
        "{\"type\": \"attached_probes\", \"count\": 1, \"data\": {\"probes\": 1}}\n\
         {\"type\": \"attached_probes\", \"count\": 3, \"data\": {\"probes\": 3}}\n\
         {\"type\": \"time\", \"data\": \"2026\\n\"}\n\
         {\"type\": \"lost_events\", \"count\": 3, \"data\": {\"events\": 3}}\n"
    );
}

#[test]
fn rust_callers_get_data() {
    let fixture = Fixture::aggregate(Agg::Count).keyed(Ty::U8).entry(&[2], &words(&[9]));
    let mut records = Vec::new();
    let mut sink = Collect::new(|record| {
        records.push(record);
        Ok(())
    });
    fixture.with_view((0, 0), |view| sink.event(Event::Map(view)).unwrap());
    let schema = Schema::new(&fixture.types, &[], &fixture.config);
    let format = Format { pieces: vec![Piece::Text("x".into())] };
    let event = Event::Printf {
        to: PrintTo::Output,
        format: &format,
        args: Fields::none(schema),
        span: Span::GENERATED,
    };
    sink.event(event).unwrap();
    let Record::Map { entries, .. } = &records[0] else { panic!("{records:?}") };
    assert_eq!((&entries[0].key, &entries[0].value), (&Data::Uint(2), &Data::Uint(9)));
    assert_eq!(records[1], Record::Printf { message: false, text: "x".into(), values: Vec::new() });
    let histogram = Reduced::Histogram(Histogram::new(Scale::Log2 { bits: 0 }, &[0, 3]));
    assert_eq!(Data::from(&histogram), Data::Aggregate(histogram));
}
