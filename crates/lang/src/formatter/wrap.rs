//! What fits on a line.

use super::WIDTH;

/// Whether a text that begins at a column stays within the width.
pub fn fits(text: &str, column: usize) -> bool {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or("");
    column + width(first) <= WIDTH && lines.all(|line| width(line) <= WIDTH)
}

/// How many columns a line takes.
pub fn width(line: &str) -> usize {
    line.chars().count()
}

/// The last of the lines.
pub fn last_line(text: &str) -> &str {
    text.rsplit('\n').next().unwrap_or(text)
}

/// The column behind a text that began at a column.
pub fn column_after(text: &str, column: usize) -> usize {
    if text.contains('\n') { width(last_line(text)) } else { column + width(text) }
}
