//! A tall graph in columns side by side, as a text is set in a newspaper.
//!
//! Edges within a column stay as they are. One that leads to another column ends below its block, with the number of
//! the instruction that it leads to, and begins anew above that.

use super::Node;
use super::layout::{Edge, Layout, Note};

/// What is lower than this stays in one column.
const TALL: f32 = 8_000.0;
/// Width by height of a page.
const PAGE: f32 = 4.0 / 3.0;
/// Between columns.
const GAP: f32 = 60.0;
/// Above the first row of a column: room for what leads there from others.
const TOP: f32 = 40.0;
/// The length of the beginnings and ends of edges between columns.
const STUB: f32 = 16.0;
/// The distance of the lines of their notes.
const NOTE: f32 = 12.0;

impl Layout {
    /// The graph in as many columns as make it a page.
    pub(super) fn folded(mut self, blocks: &[Node]) -> Self {
        let columns = (self.height / self.width.max(1.0) * PAGE).sqrt().floor();
        if self.height <= TALL || columns < 2.0 {
            return self;
        }
        let columns = Columns::new(&self, self.height / columns);
        let mut edges = Vec::new();
        let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); blocks.len()];
        for mut edge in std::mem::take(&mut self.edges) {
            let of = |block: usize| self.places.get(block).map_or(0, |place| columns.at(place.y));
            let start_of = |block: usize| blocks.get(block).map_or(0, |node| node.start);
            if of(edge.from) == of(edge.to) {
                edge.points.iter_mut().for_each(|point| *point = columns.moved(of(edge.from), *point));
            } else {
                let Some(&start) = edge.points.first() else { continue };
                let (x, y) = columns.moved(of(edge.from), start);
                let text = format!("to {}", start_of(edge.to));
                let place = (x + 3.0, y + NOTE * (edge.exit as f32 + 1.0));
                if let Some(from) = incoming.get_mut(edge.to) {
                    from.push(start_of(edge.from));
                }
                edge.points = vec![(x, y), (x, y + STUB)];
                edge.note = Some(Note { place, text });
            }
            edges.push(edge);
        }
        for (to, from) in incoming.iter().enumerate().filter(|(_, from)| !from.is_empty()) {
            let Some(place) = self.places.get(to) else { continue };
            let (x, y) = columns.moved(columns.at(place.y), (place.x + place.width / 2.0, place.y));
            let back = blocks.get(to).is_some_and(|node| from.iter().any(|&from| from >= node.start));
            let note = Note { place: (x + 3.0, y - STUB / 2.0), text: sources(from) };
            let points = vec![(x, y - STUB), (x, y)];
            edges.push(Edge { from: to, to, exit: 0, points, back, note: Some(note) });
        }
        self.edges = edges;
        for place in &mut self.places {
            (place.x, place.y) = columns.moved(columns.at(place.y), (place.x, place.y));
        }
        self.width = columns.width();
        self.height = columns.height() + TOP;
        self
    }
}

/// Where an edge comes from, as far as there is room.
fn sources(from: &[usize]) -> String {
    const MOST: usize = 4;
    let mut shown: Vec<String> = from.iter().take(MOST).map(ToString::to_string).collect();
    if from.len() > MOST {
        shown.push("…".to_owned());
    }
    format!("from {}", shown.join(", "))
}

/// Where the tall graph is cut.
struct Columns {
    /// From where on each column reaches, in the tall graph.
    starts: Vec<f32>,
    /// The end of the tall graph.
    end: f32,
    /// The width of each column.
    column: f32,
}

impl Columns {
    /// Cuts between rows, so that no column is much higher than `height`.
    fn new(layout: &Layout, height: f32) -> Self {
        let mut rows: Vec<f32> = layout.places.iter().map(|place| place.y).collect();
        rows.sort_by(f32::total_cmp);
        let mut starts = vec![0.0f32];
        for row in rows {
            if row - starts.last().copied().unwrap_or(0.0) >= height {
                starts.push(row);
            }
        }
        Self { starts, end: layout.height, column: layout.width }
    }

    /// The column in which something at this height of the tall graph is.
    fn at(&self, y: f32) -> usize {
        self.starts.partition_point(|start| *start <= y).saturating_sub(1)
    }

    /// The place in a column of a point of the tall graph.
    fn moved(&self, column: usize, (x, y): (f32, f32)) -> (f32, f32) {
        let start = self.starts.get(column).copied().unwrap_or(0.0);
        (x + column as f32 * (self.column + GAP), y - start + TOP)
    }

    fn width(&self) -> f32 {
        let count = self.starts.len() as f32;
        count * self.column + (count - 1.0) * GAP
    }

    fn height(&self) -> f32 {
        let ends = self.starts.iter().skip(1).copied().chain([self.end]);
        self.starts.iter().zip(ends).map(|(start, end)| end - start).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks that each lead to the next one, with a jump back over all.
    fn chain(count: usize) -> Vec<Node> {
        let node = |at: usize| Node {
            lines: Vec::new(),
            start: 10 * at,
            next: if at + 1 == count { vec![0] } else { vec![at + 1] },
            dead: false,
            exits: false,
        };
        (0..count).map(node).collect()
    }

    #[test]
    fn a_tall_graph_becomes_a_page() {
        let blocks = chain(300);
        let tall = Layout::new(&blocks, |_| (200.0, 100.0));
        let (width, height) = (tall.width, tall.height);
        let page = tall.folded(&blocks);
        assert!(page.width > 3.0 * width && page.height < height / 3.0, "{} x {}", page.width, page.height);
        for (index, a) in page.places.iter().enumerate() {
            assert!(a.x >= 0.0 && a.x + a.width <= page.width && a.y >= 0.0 && a.y + a.height <= page.height);
            for b in &page.places[index + 1..] {
                let apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y;
                assert!(apart || b.y + b.height <= a.y, "{a:?} {b:?}");
            }
        }
        let notes: Vec<&str> =
            page.edges.iter().filter_map(|e| Some(e.note.as_ref()?.text.as_str())).collect();
        assert!(notes.contains(&"to 0") && notes.contains(&"from 2990"), "{notes:?}");
        // Each of them is there with its other end.
        let (to, from): (Vec<&str>, Vec<&str>) = notes.iter().partition(|note| note.starts_with("to "));
        assert_eq!(to.len(), from.len());
    }

    #[test]
    fn a_small_graph_stays() {
        let blocks = chain(5);
        let layout = Layout::new(&blocks, |_| (200.0, 100.0));
        let height = layout.height;
        let folded = layout.folded(&blocks);
        assert_eq!(folded.height, height);
        assert!(folded.edges.iter().all(|edge| edge.note.is_none()));
    }

    #[test]
    fn many_sources_are_cut_short() {
        assert_eq!(sources(&[1, 2]), "from 1, 2");
        assert_eq!(sources(&[1, 2, 3, 4, 5, 6]), "from 1, 2, 3, 4, …");
    }
}
