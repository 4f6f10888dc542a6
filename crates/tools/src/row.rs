//! A row as a tool's script emits it: a record, read by the names of its fields.

use skep_trace::sink::Data;
use skep_trace::stack::StackFrame;

/// One record. A field that is not there or of another kind reads as zero or
/// empty: a script and its front are written together, and a test runs them
/// together.
pub struct Row<'a>(&'a [(String, Data)]);

impl<'a> Row<'a> {
    /// The fields of a record; `None` for any other value.
    pub fn new(data: &'a Data) -> Option<Row<'a>> {
        match data {
            Data::Record(fields) => Some(Row(fields)),
            _ => None,
        }
    }

    /// A record; without fields if it is something else.
    pub fn of(data: &'a Data) -> Row<'a> {
        Row::new(data).unwrap_or(Row(&[]))
    }

    /// A record within it; without fields if there is none.
    pub fn record(&self, name: &str) -> Row<'a> {
        self.get(name).map_or(Row(&[]), Row::of)
    }

    /// A field, of whatever kind.
    pub fn get(&self, name: &str) -> Option<&'a Data> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, data)| data)
    }

    /// An integer; one that is negative reads as 0.
    pub fn uint(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Data::Uint(value)) => *value,
            Some(Data::Int(value)) => u64::try_from(*value).unwrap_or(0),
            Some(Data::Bool(value)) => u64::from(*value),
            _ => 0,
        }
    }

    /// An integer that may be negative.
    pub fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Data::Int(value)) => *value,
            _ => i64::try_from(self.uint(name)).unwrap_or(i64::MAX),
        }
    }

    /// The frames of a stack, the innermost one first.
    pub fn stack(&self, name: &str) -> &'a [StackFrame] {
        match self.get(name) {
            Some(Data::Stack(frames)) => frames,
            _ => &[],
        }
    }

    /// Raw bytes.
    pub fn bytes(&self, name: &str) -> &'a [u8] {
        match self.get(name) {
            Some(Data::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// A text.
    pub fn text(&self, name: &str) -> &'a str {
        match self.get(name) {
            Some(Data::Text(text)) => text,
            _ => "",
        }
    }
}
