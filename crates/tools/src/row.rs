//! A row as a tool's script emits it: a tuple, read by position.

use skep_trace::sink::Data;

/// One tuple. What is not there or of another kind reads as zero or empty: a
/// script and its front are written together, and a test runs them together.
pub struct Row<'a>(&'a [Data]);

impl<'a> Row<'a> {
    /// The elements of a tuple or record; `None` for any other value.
    pub fn new(data: &'a Data) -> Option<Row<'a>> {
        match data {
            Data::List(elems) => Some(Row(elems)),
            _ => None,
        }
    }

    /// An integer; a negative one as the 64 bits of its two's complement.
    pub fn uint(&self, index: usize) -> u64 {
        match self.0.get(index) {
            Some(Data::Uint(value)) => *value,
            Some(Data::Int(value)) => *value as u64,
            Some(Data::Bool(value)) => u64::from(*value),
            _ => 0,
        }
    }

    /// A text.
    pub fn text(&self, index: usize) -> &'a str {
        match self.0.get(index) {
            Some(Data::Text(text)) => text,
            _ => "",
        }
    }
}
