//! Columns of fixed width, for output that is printed line by line while it happens.
//!
//! The widths are known before the first row, as in the tools that this follows: a value that is
//! too long pushes the rest of its row to the right and is never cut.

use crate::text;

/// On which side of its column a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A column: its title and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What the header says.
    pub title: String,
    /// Least width in characters.
    pub width: usize,
    /// Which side values and title stand on.
    pub align: Align,
}

impl Column {
    /// A column of names.
    pub fn left(title: impl Into<String>, width: usize) -> Column {
        Column { title: title.into(), width, align: Align::Left }
    }

    /// A column of numbers.
    pub fn right(title: impl Into<String>, width: usize) -> Column {
        Column { title: title.into(), width, align: Align::Right }
    }
}

/// The columns of a table, one blank apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    columns: Vec<Column>,
}

impl Table {
    /// A table of these columns.
    pub fn new(columns: Vec<Column>) -> Table {
        Table { columns }
    }

    /// The line of titles, without line end.
    pub fn header(&self) -> String {
        self.line(self.columns.iter().map(|column| column.title.as_str()))
    }

    /// One row, without line end and without blanks at its end. Characters that could steer a
    /// terminal are escaped. Missing values are left blank; those too many are dropped.
    pub fn row<S: AsRef<str>>(&self, values: &[S]) -> String {
        self.line(values.iter().map(AsRef::as_ref))
    }

    fn line<'a>(&self, values: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        let values = values.chain(std::iter::repeat(""));
        for (index, (column, value)) in self.columns.iter().zip(values).enumerate() {
            if index > 0 {
                line.push(' ');
            }
            let value = text::escape(value);
            let width = column.width;
            line.push_str(&match column.align {
                Align::Left => format!("{value:<width$}"),
                Align::Right => format!("{value:>width$}"),
            });
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(vec![
            Column::left("PID", 6),
            Column::left("COMM", 16),
            Column::right("FD", 4),
            Column::left("PATH", 0),
        ])
    }

    #[test]
    fn values_stand_below_their_titles() {
        assert_eq!(table().header(), "PID    COMM               FD PATH");
        assert_eq!(
            table().row(&["12", "cat", "3", "/etc/passwd"]),
            "12     cat                 3 /etc/passwd"
        );
    }

    #[test]
    fn long_values_are_kept_and_missing_ones_blank() {
        assert_eq!(table().row(&["1234567", "x"]), "1234567 x");
        assert_eq!(table().row(&["1", "", "", "", "too many"]), "1");
    }

    #[test]
    fn values_cannot_steer_the_terminal() {
        assert_eq!(table().row(&["1", "a\x1b[2Jb\n"]), "1      a\\x1b[2Jb\\n");
    }
}
