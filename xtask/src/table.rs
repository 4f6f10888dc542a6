//! Plain text tables: the first column to the left, numbers to the right.

/// Renders rows under a head. A column whose cells are all numbers is aligned to the right.
pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    let mut numbers = [!rows.is_empty(); N];
    for row in rows {
        for ((width, number), cell) in widths.iter_mut().zip(&mut numbers).zip(row) {
            *width = (*width).max(cell.chars().count());
            *number &= is_number(cell);
        }
    }
    let line = |cells: [&str; N]| {
        let mut padded = Vec::with_capacity(N);
        for ((cell, width), number) in cells.into_iter().zip(widths).zip(numbers) {
            padded.push(if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") });
        }
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(head);
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

/// A number, or the dash that stands for none.
fn is_number(cell: &str) -> bool {
    cell == "-" || cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "10".to_owned()], ["long name".to_owned(), "7".to_owned()]];
        assert_eq!(
            render(["name", "count"], &rows),
            "name       count\na             10\nlong name      7\n"
        );
    }
}
