//! The graph with characters: blocks one below the other, jumps as lines on their left.

use std::io::{self, Write};

use super::Graph;

/// A jump from the end of one block to the start of another.
struct Jump {
    /// The line it leaves from, and the line it comes to.
    from: usize,
    to: usize,
    /// The column of its line, counted from the blocks.
    lane: usize,
}

impl Jump {
    fn rows(&self) -> std::ops::RangeInclusive<usize> {
        self.from.min(self.to)..=self.from.max(self.to)
    }
}

/// Draws all functions.
pub(super) fn write(out: &mut dyn Write, graphs: &[Graph]) -> io::Result<()> {
    for (index, graph) in graphs.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", skep_ui::text::escape(&graph.title))?;
        one(out, graph)?;
    }
    Ok(())
}

fn one(out: &mut dyn Write, graph: &Graph) -> io::Result<()> {
    // The text of each row, and where each block begins and ends.
    let mut rows: Vec<String> = Vec::new();
    let mut first = Vec::new();
    let mut last = Vec::new();
    for node in &graph.blocks {
        first.push(rows.len());
        let mark = if node.dead { " (nothing leads here)" } else { "" };
        for (index, line) in node.lines.iter().enumerate() {
            let border = if index == 0 { '+' } else { '|' };
            let mark = if index == 0 { mark } else { "" };
            rows.push(format!("{border} {}{mark}", skep_ui::text::escape_but_tabs(&line.text)));
        }
        last.push(rows.len().saturating_sub(1));
        rows.push(if node.exits { "v return".to_owned() } else { String::new() });
    }
    let mut jumps: Vec<Jump> = Vec::new();
    for (from, node) in graph.blocks.iter().enumerate() {
        for &to in node.next.iter().filter(|&&to| to != from + 1) {
            if let (Some(&from), Some(&to)) = (last.get(from), first.get(to)) {
                jumps.push(Jump { from, to, lane: 0 });
            }
        }
    }
    let lanes = assign(&mut jumps);
    for (row, text) in rows.iter().enumerate() {
        writeln!(out, "{}{}", gutter(row, &jumps, lanes), text.trim_end())?;
    }
    Ok(())
}

/// Gives each jump a lane that no other on the same rows has, short ones nearest to the text.
fn assign(jumps: &mut [Jump]) -> usize {
    /// More would leave no room for the text.
    const MOST: usize = 24;
    jumps.sort_by_key(|jump| jump.rows().count());
    let mut taken: Vec<Vec<std::ops::RangeInclusive<usize>>> = Vec::new();
    for jump in jumps {
        let rows = jump.rows();
        let free = |lane: &Vec<std::ops::RangeInclusive<usize>>| {
            lane.iter().all(|other| other.end() < rows.start() || rows.end() < other.start())
        };
        let lane = taken.iter().position(free).unwrap_or(taken.len()).min(MOST - 1);
        if lane == taken.len() {
            taken.push(Vec::new());
        }
        if let Some(lane) = taken.get_mut(lane) {
            lane.push(rows);
        }
        jump.lane = lane;
    }
    taken.len()
}

fn gutter(row: usize, jumps: &[Jump], lanes: usize) -> String {
    let width = lanes * 2 + 2;
    let mut cells = vec![' '; width];
    let column = |lane: usize| width.saturating_sub(2 * lane + 4);
    for jump in jumps.iter().filter(|jump| jump.rows().contains(&row)) {
        if let Some(cell) = cells.get_mut(column(jump.lane)) {
            *cell = '|';
        }
    }
    for jump in jumps {
        let (leaves, comes) = (jump.from == row, jump.to == row);
        if !leaves && !comes {
            continue;
        }
        let at = column(jump.lane);
        for cell in cells.iter_mut().take(width.saturating_sub(1)).skip(at + 1) {
            *cell = if *cell == '|' || *cell == '+' { '+' } else { '-' };
        }
        if let Some(cell) = cells.get_mut(at) {
            *cell = '+';
        }
        if comes && let Some(cell) = cells.get_mut(width.saturating_sub(2)) {
            *cell = '>';
        }
    }
    cells.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::picture::{Node, TextLine};

    #[test]
    fn a_branch_and_a_loop() {
        let node = |texts: &[&str], next: &[usize], exits| Node {
            lines: texts.iter().map(|text| TextLine { text: (*text).to_owned(), is_source: false }).collect(),
            start: 0,
            next: next.to_vec(),
            dead: false,
            exits,
        };
        let blocks = vec![
            node(&["0: r0 = 0", "1: if r1 == 0 goto pc+2"], &[1, 2], false),
            node(&["2: r0 += 1", "3: if r0 < 9 goto pc-2"], &[2, 1], false),
            node(&["4: exit"], &[], true),
        ];
        let mut out = Vec::new();
        write(&mut out, &[Graph { title: "int f(void)".to_owned(), blocks }]).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
