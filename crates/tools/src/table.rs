//! Rows of typed cells in named columns, as text, CSV or JSON.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::{Map, Number, Value};
use skep_ui::text::escape;

use crate::flags::CommonFlags;
use crate::lead::{RowFlags, Shown, TimeForm, Times};
use crate::row::Row;

/// A column of a table.
struct Column {
    /// As JSON and CSV call it.
    name: &'static str,
    /// As the text's header calls it.
    header: Cow<'static, str>,
    /// Least width in characters: negative to the left, positive to the right, 0
    /// for the last one, which takes what it needs.
    width: i32,
}

/// What rows look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Columns for people.
    Text,
    /// Comma-separated values, quoted where needed (RFC 4180).
    Csv,
    /// An object a line.
    Json,
}

impl Form {
    /// The form that the flags ask for.
    pub fn of(flags: &CommonFlags) -> Form {
        match flags {
            CommonFlags { json: true, .. } => Form::Json,
            CommonFlags { csv: true, .. } => Form::Csv,
            _ => Form::Text,
        }
    }
}

/// Columns in order, and the form of the rows below them.
pub struct Table {
    columns: Vec<Column>,
    form: Form,
    header: bool,
    /// Text of other processes may hold control characters, which a terminal obeys.
    escape: bool,
    lead: Lead,
}

/// The columns in front of a tool's own.
#[derive(Default)]
struct Lead {
    time: Option<TimeForm>,
    container: bool,
    times: Times,
}

impl Table {
    /// Without columns.
    pub fn new(flags: &CommonFlags) -> Table {
        Table {
            columns: Vec::new(),
            form: Form::of(flags),
            header: !flags.no_header,
            escape: flags.output.is_none() && io::stdout().is_terminal(),
            lead: Lead::default(),
        }
    }

    /// Of events: with the columns in front that are asked for.
    pub fn of_events(flags: &CommonFlags, rows: &RowFlags) -> Table {
        let mut table = Table::new(flags);
        table.lead =
            Lead { time: rows.time_format.clone(), container: rows.container, times: Times::default() };
        table.column_if(rows.time_format.is_some(), "when", "TIME", -15);
        table.column_if(rows.container, "container", "CONTAINER", -12);
        table.column_if(rows.container, "inner_pid", "CPID", -7);
        table
    }

    /// One more column: its name in JSON and CSV, its header, and its least width (negative: to the left; 0: the
    /// last one, as wide as it needs to be).
    pub fn column(&mut self, name: &'static str, header: impl Into<Cow<'static, str>>, width: i32) {
        self.columns.push(Column { name, header: header.into(), width });
    }

    /// One more column if it is wanted.
    pub fn column_if(
        &mut self,
        wanted: bool,
        name: &'static str,
        header: impl Into<Cow<'static, str>>,
        width: i32,
    ) {
        if wanted {
            self.column(name, header, width);
        }
    }

    /// Whether it is for people to read.
    pub fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    /// Whether people read it and want to be told what they see.
    pub fn shows_text(&self) -> bool {
        self.is_text() && self.header
    }

    /// Writes the names of the columns, where the form has such a line and it is wanted.
    pub fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.header || self.form == Form::Json {
            return Ok(());
        }
        let mut row = self.row();
        for column in &self.columns {
            let title = if self.form == Form::Csv { column.name } else { &column.header };
            row.cell(Value::from(title), title);
        }
        row.write(out)
    }

    /// An empty row to be filled.
    pub fn row(&self) -> Cells<'_> {
        Cells { table: self, next: 0, lead: 0, text: String::new(), object: Map::new() }
    }

    /// A row to be filled that tells of an event; `who` is the record that scripts call `WHO`.
    pub fn row_of(&self, who: &Row<'_>) -> Cells<'_> {
        let mut row = self.row();
        if let Some(form) = &self.lead.time {
            match self.lead.times.shown(form, who.uint("time")) {
                Shown::Seconds(seconds, digits) => row.float(seconds, digits),
                Shown::Text(text) => row.text(&text),
            }
        }
        if self.lead.container {
            row.text(&self.lead.times.container(who));
            row.uint(who.uint("inner"));
        }
        row.lead = row.next;
        row
    }
}

/// A row being filled, cell by cell in the order of the columns.
pub struct Cells<'a> {
    table: &'a Table,
    next: usize,
    /// How many cells stand in front of the tool's own.
    lead: usize,
    text: String,
    object: Map<String, Value>,
}

impl Cells<'_> {
    /// A value, and how people read it.
    pub fn cell(&mut self, value: impl Into<Value>, shown: impl Display) {
        let column = self.table.columns.get(self.next);
        let first = self.next == 0;
        self.next += 1;
        match self.table.form {
            Form::Json => {
                let name = column.map_or("", |column| column.name);
                self.object.insert(name.to_owned(), value.into());
            }
            Form::Csv => {
                if !first {
                    self.text.push(',');
                }
                match value.into() {
                    Value::String(text) => push_quoted(&mut self.text, &text),
                    Value::Null => {}
                    value => self.text.push_str(&value.to_string()),
                }
            }
            Form::Text => {
                if !first {
                    self.text.push(' ');
                }
                // Padding is for the written form, whatever type it came from.
                let shown = shown.to_string();
                let width = column.map_or(0, |column| column.width);
                let fill = (width.unsigned_abs() as usize).saturating_sub(shown.chars().count());
                let fill = std::iter::repeat_n(' ', fill);
                if width > 0 {
                    self.text.extend(fill);
                    self.text.push_str(&shown);
                } else {
                    self.text.push_str(&shown);
                    self.text.extend(fill);
                }
            }
        }
    }

    /// A number that is not negative.
    pub fn uint(&mut self, value: impl Into<u64>) {
        let value = value.into();
        self.cell(value, value);
    }

    /// A number.
    pub fn int(&mut self, value: impl Into<i64>) {
        let value = value.into();
        self.cell(value, value);
    }

    /// A number with so many digits after the point.
    pub fn float(&mut self, value: f64, digits: usize) {
        let shown = format!("{value:.digits$}");
        // What is shown is what is told: no digits that mean nothing.
        let number = shown.parse().ok().and_then(Number::from_f64);
        self.cell(number.map_or(Value::Null, Value::Number), shown);
    }

    /// A text that another process chose.
    pub fn text(&mut self, text: &str) {
        self.foreign(text, text);
    }

    /// A text that another process chose, of which people see another form.
    pub fn foreign(&mut self, text: &str, shown: &str) {
        if self.table.escape && self.table.form == Form::Text {
            self.cell(text, escape(shown));
        } else {
            self.cell(text, shown);
        }
    }

    /// Writes it, if the tool put anything into it.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.next == self.lead {
            return Ok(());
        }
        if self.table.form == Form::Json {
            self.text = Value::Object(self.object).to_string();
        }
        self.text.push('\n');
        out.write_all(self.text.as_bytes())
    }
}

/// Appends a value of CSV, in quotes where it would be misread without.
fn push_quoted(out: &mut String, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form) -> String {
        let mut table =
            Table { columns: Vec::new(), form, header: true, escape: true, lead: Lead::default() };
        table.column("pid", "PID", -6);
        table.column_if(false, "uid", "UID", -6);
        table.column("fd", "FD", 4);
        table.column("time", "TIME(s)", -8);
        table.column("path", "PATH", 0);
        let mut out = Vec::new();
        table.write_header(&mut out).unwrap();
        let mut row = table.row();
        row.uint(12345678u32);
        row.int(-1);
        row.float(0.125, 3);
        row.text("/a\x1b[2J \"ä\",b");
        row.write(&mut out).unwrap();
        table.row().write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_padded_to_their_column_and_grow_past_it() {
        assert_eq!(
            written(Form::Text),
            "PID      FD TIME(s)  PATH\n12345678   -1 0.125    /a\\x1b[2J \"ä\",b\n"
        );
    }

    #[test]
    fn csv_quotes_what_would_be_misread() {
        assert_eq!(written(Form::Csv), "pid,fd,time,path\n12345678,-1,0.125,\"/a\x1b[2J \"\"ä\"\",b\"\n");
    }

    #[test]
    fn json_has_types() {
        let expected = r#"{"pid":12345678,"fd":-1,"time":0.125,"path":"/a\u001b[2J \"ä\",b"}"#;
        assert_eq!(written(Form::Json), format!("{expected}\n"));
    }
}
