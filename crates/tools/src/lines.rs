//! The view of tools that print a line for each event.

use std::io::{self, Write};

use crate::row::Row;
use crate::run::View;
use crate::table::{Cells, Table};

/// A table that grows by a line for each record, which tells whose it is in its field `who`; `fill` puts the cells
/// into the line, and a line left empty is not printed.
pub struct Lines<F> {
    table: Table,
    fill: F,
}

impl<F: FnMut(&Row<'_>, &mut Cells<'_>)> Lines<F> {
    /// Of these columns.
    pub fn new(table: Table, fill: F) -> Lines<F> {
        Lines { table, fill }
    }
}

impl<F: FnMut(&Row<'_>, &mut Cells<'_>)> View for Lines<F> {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.table.write_header(out)
    }

    fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut cells = self.table.row_of(&row.record("who"));
        (self.fill)(row, &mut cells);
        cells.write(out)
    }
}
