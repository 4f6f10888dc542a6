//! Lines of source to addresses.

use std::ops::ControlFlow;
use std::path::Path;

use gimli::ColumnType;

use super::DebugInfo;
use crate::error::Result;

/// What came of the search for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// No part of the program was made of such a file.
    NoSuchFile,
    /// The file is there and no code is of that line.
    NoCode,
    /// The first address of the line's code.
    At(u64),
}

impl DebugInfo {
    /// Where the code of a line begins. `file` is the end of a path, as `main.c` or `src/main.c`; without a column
    /// any will do.
    pub fn line(&self, file: &str, line: u64, column: Option<u64>) -> Result<Line> {
        let mut found = Line::NoSuchFile;
        self.visit::<()>(|unit| {
            let Some(program) = unit.line_program.clone() else { return Ok(ControlFlow::Continue(())) };
            let mut rows = program.rows();
            // Which of the program's files the name stands for, by their numbers.
            let mut fits: Vec<Option<bool>> = Vec::new();
            while let Some((header, row)) = rows.next_row()? {
                let index = usize::try_from(row.file_index()).unwrap_or(usize::MAX).min(1 << 20);
                if fits.len() <= index {
                    fits.resize(index + 1, None);
                }
                let fits = *fits[index].get_or_insert_with(|| {
                    row.file(header).is_some_and(|entry| {
                        let text =
                            |value| unit.attr_string(value).map(|text| text.to_string_lossy().into_owned());
                        let name = text(entry.path_name()).unwrap_or_default();
                        let directory = entry.directory(header).and_then(|value| text(value).ok());
                        let path = Path::new(directory.as_deref().unwrap_or("")).join(name);
                        path.ends_with(file)
                    })
                });
                if !fits {
                    continue;
                }
                if found == Line::NoSuchFile {
                    found = Line::NoCode;
                }
                let at_column = |wanted| matches!(row.column(), ColumnType::Column(at) if at.get() == wanted);
                if row.end_sequence()
                    || !row.is_stmt()
                    || row.line().is_none_or(|at| at.get() != line)
                    || !column.is_none_or(at_column)
                {
                    continue;
                }
                found = match found {
                    Line::At(best) => Line::At(best.min(row.address())),
                    Line::NoSuchFile | Line::NoCode => Line::At(row.address()),
                };
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}
