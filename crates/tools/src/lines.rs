//! The view of tools that print a line for each event: columns and a header.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

use skep_ui::text::escape;

struct Column {
    header: &'static str,
    /// Least width in characters: negative to the left, positive to the right, 0
    /// for the last one, which takes what it needs.
    width: i32,
}

/// Columns in order.
pub struct View {
    columns: Vec<Column>,
    /// Text of other processes may hold control characters, which a terminal obeys.
    escape: bool,
}

impl View {
    /// Without columns, for standard output.
    pub fn new() -> View {
        View { columns: Vec::new(), escape: io::stdout().is_terminal() }
    }

    /// One more column.
    pub fn column(&mut self, header: &'static str, width: i32) {
        self.columns.push(Column { header, width });
    }

    /// One more column if it is wanted.
    pub fn column_if(&mut self, wanted: bool, header: &'static str, width: i32) {
        if wanted {
            self.column(header, width);
        }
    }

    /// Writes the names of the columns.
    pub fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = Line { view: self, next: 0, text: String::new() };
        for column in &self.columns {
            line.cell(column.header);
        }
        line.write(out)
    }

    /// An empty line to be filled.
    pub fn line(&self) -> Line<'_> {
        Line { view: self, next: 0, text: String::new() }
    }
}

impl Default for View {
    fn default() -> Self {
        View::new()
    }
}

/// A line being filled, cell by cell in the order of the columns.
pub struct Line<'a> {
    view: &'a View,
    next: usize,
    text: String,
}

impl Line<'_> {
    /// A number or a fixed text.
    pub fn cell(&mut self, value: impl Display) {
        let width = self.view.columns.get(self.next).map_or(0, |column| column.width);
        if self.next > 0 {
            self.text.push(' ');
        }
        self.next += 1;
        let wide = width.unsigned_abs() as usize;
        // Padding is for the written form, whatever type it came from.
        let value = value.to_string();
        // Writing to a String cannot fail.
        let _ = match width {
            0 => write!(self.text, "{value}"),
            ..0 => write!(self.text, "{value:<wide$}"),
            _ => write!(self.text, "{value:>wide$}"),
        };
    }

    /// A text that another process chose.
    pub fn text(&mut self, text: &str) {
        if self.view.escape { self.cell(escape(text)) } else { self.cell(text) }
    }

    /// Writes it, if anything was put into it.
    pub fn write(self, out: &mut dyn Write) -> io::Result<()> {
        if self.next == 0 {
            return Ok(());
        }
        out.write_all(self.text.as_bytes())?;
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_to_their_column_and_grow_past_it() {
        let mut view = View { columns: Vec::new(), escape: true };
        view.column("PID", -6);
        view.column_if(false, "UID", -6);
        view.column("FD", 4);
        view.column("PATH", 0);
        let mut out = Vec::new();
        view.header(&mut out).unwrap();
        let mut line = view.line();
        line.cell(12345678);
        line.cell(-1);
        line.text("/a\x1b[2J");
        line.write(&mut out).unwrap();
        view.line().write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "PID      FD PATH\n12345678   -1 /a\\x1b[2J\n");
    }
}
