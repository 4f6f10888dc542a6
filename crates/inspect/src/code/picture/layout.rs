//! Where blocks stand: in rows, each below all that lead to it but for jumps back, near to what it is connected with.

use super::Node;

/// A graph with places.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The place of each block.
    pub(super) places: Vec<Place>,
    pub(super) edges: Vec<Edge>,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// The way of an edge from one block to another.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Which of the edges of its block it is.
    pub(super) exit: usize,
    pub(super) points: Vec<(f32, f32)>,
    /// It leads back, so it makes a loop.
    pub(super) back: bool,
    /// What stands beside it.
    pub(super) note: Option<Note>,
}

/// A text beside an edge.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) place: (f32, f32),
    pub(super) text: String,
}

/// The place of a block: its upper left corner and its size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

impl Place {
    fn center(&self) -> f32 {
        self.x + self.width / 2.0
    }
}

/// Between blocks of a row.
const GAP: f32 = 24.0;
/// Between rows, before the edges' share.
const ROW_GAP: f32 = 36.0;
/// Between lines that run side by side.
const LANE: f32 = 7.0;
/// How often places are bettered.
const SWEEPS: usize = 4;

impl Layout {
    /// Lays out blocks of the sizes that `size` gives.
    pub(super) fn new(blocks: &[Node], size: impl Fn(&Node) -> (f32, f32)) -> Self {
        let mut places: Vec<Place> = blocks
            .iter()
            .map(|node| {
                let (width, height) = size(node);
                Place { width, height, ..Place::default() }
            })
            .collect();
        let ranks = ranks(blocks);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); ranks.iter().max().map_or(0, |most| most + 1)];
        for (block, &rank) in ranks.iter().enumerate() {
            if let Some(row) = rows.get_mut(rank) {
                row.push(block);
            }
        }
        let neighbours = neighbours(blocks);
        for _ in 0..SWEEPS {
            for row in &mut rows {
                settle(row, &mut places, &neighbours);
            }
        }
        let least = places.iter().map(|place| place.x).fold(f32::MAX, f32::min);
        let mut layout = Self { places, ..Self::default() };
        let lanes = layout.lanes(blocks, &ranks);
        let left = lanes.iter().filter(|lane| lane.back).map(|lane| lane.number + 1).max().unwrap_or(0);
        for place in &mut layout.places {
            place.x += left as f32 * LANE + GAP - if least == f32::MAX { 0.0 } else { least };
        }
        let mut y = 0.0;
        for row in &rows {
            let height =
                row.iter().filter_map(|&b| layout.places.get(b)).map(|p| p.height).fold(0.0, f32::max);
            for &block in row {
                if let Some(place) = layout.places.get_mut(block) {
                    place.y = y;
                }
            }
            let leaving: usize = row.iter().filter_map(|&b| blocks.get(b)).map(|node| node.next.len()).sum();
            y += height + ROW_GAP + (leaving.min(24) as f32) * LANE / 2.0;
        }
        layout.height = y;
        let blocks_end = layout.places.iter().map(|place| place.x + place.width).fold(0.0, f32::max);
        let right = lanes
            .iter()
            .filter(|lane| !lane.back && lane.long)
            .map(|lane| lane.number + 1)
            .max()
            .unwrap_or(0);
        layout.width = blocks_end + GAP + right as f32 * LANE;
        layout.edges = lanes.iter().filter_map(|lane| layout.route(lane, blocks_end)).collect();
        layout
    }

    /// What each edge needs: a straight way to the next row, or a lane of its own beside the blocks.
    fn lanes(&self, blocks: &[Node], ranks: &[usize]) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = Vec::new();
        let rank = |block: usize| ranks.get(block).copied().unwrap_or(0);
        for (from, node) in blocks.iter().enumerate() {
            for (exit, &to) in node.next.iter().enumerate() {
                let back = to <= from;
                let long = back || rank(to) > rank(from) + 1;
                let rows = rank(from).min(rank(to))..rank(from).max(rank(to)) + 1;
                lanes.push(Lane { from, to, exit, exits: node.next.len(), back, long, rows, number: 0 });
            }
        }
        // Lanes that pass the same rows need different numbers; short ones come first, nearest to the blocks.
        for back in [true, false] {
            let mut taken: Vec<usize> = Vec::new();
            let mut of_side: Vec<&mut Lane> =
                lanes.iter_mut().filter(|lane| lane.long && lane.back == back).collect();
            of_side.sort_by_key(|lane| (lane.rows.start, lane.rows.end));
            for lane in of_side {
                let free = taken.iter().position(|&end| end <= lane.rows.start);
                let number = free.unwrap_or(taken.len());
                lane.number = number;
                match taken.get_mut(number) {
                    Some(end) => *end = lane.rows.end,
                    None => taken.push(lane.rows.end),
                }
            }
        }
        lanes
    }

    fn route(&self, lane: &Lane, blocks_end: f32) -> Option<Edge> {
        let (points, back) = (self.points(lane, blocks_end)?, lane.back);
        Some(Edge { from: lane.from, to: lane.to, exit: lane.exit, points, back, note: None })
    }

    fn points(&self, lane: &Lane, blocks_end: f32) -> Option<Vec<(f32, f32)>> {
        let (from, to) = (self.places.get(lane.from)?, self.places.get(lane.to)?);
        let share = (lane.exit as f32 + 1.0) / (lane.exits as f32 + 1.0);
        let start = (from.x + from.width * share, from.y + from.height);
        let end = (to.center() + if lane.back { -to.width / 6.0 } else { 0.0 }, to.y);
        if !lane.long {
            return Some(vec![start, end]);
        }
        let side = LANE * (lane.number as f32 + 1.0);
        let x = if lane.back { GAP / 2.0 + side } else { blocks_end + GAP / 2.0 + side };
        // Below the row and above the target, far enough to be told apart.
        let (below, above) = (start.1 + 10.0 + (lane.number % 3) as f32 * 3.0, end.1 - 12.0);
        Some(vec![start, (start.0, below), (x, below), (x, above), (end.0, above), end])
    }
}

/// The way of an edge.
#[derive(Debug)]
struct Lane {
    from: usize,
    to: usize,
    /// Which of the block's edges it is, and of how many.
    exit: usize,
    exits: usize,
    back: bool,
    /// It passes other rows, and so runs beside the blocks.
    long: bool,
    rows: std::ops::Range<usize>,
    number: usize,
}

/// The row of each block: below all blocks before it that lead there.
fn ranks(blocks: &[Node]) -> Vec<usize> {
    let mut ranks = vec![0; blocks.len()];
    for (from, node) in blocks.iter().enumerate() {
        let below = ranks.get(from).map_or(0, |rank| rank + 1);
        for &to in node.next.iter().filter(|&&to| to > from) {
            if let Some(rank) = ranks.get_mut(to) {
                *rank = below.max(*rank);
            }
        }
    }
    ranks
}

fn neighbours(blocks: &[Node]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); blocks.len()];
    for (from, node) in blocks.iter().enumerate() {
        for &to in &node.next {
            if let Some(of) = all.get_mut(from) {
                of.push(to);
            }
            if let Some(of) = all.get_mut(to) {
                of.push(from);
            }
        }
    }
    all
}

/// Moves the blocks of a row towards the middle of what they are connected with, without overlaps.
fn settle(row: &mut [usize], places: &mut [Place], neighbours: &[Vec<usize>]) {
    let wish = |block: usize, places: &[Place]| {
        let of = neighbours.get(block).map_or(&[][..], Vec::as_slice);
        let centers: Vec<f32> = of.iter().filter_map(|&other| places.get(other)).map(Place::center).collect();
        let own = places.get(block).map_or(0.0, Place::center);
        if centers.is_empty() { own } else { centers.iter().sum::<f32>() / centers.len() as f32 }
    };
    let mut wishes: Vec<(usize, f32)> = row.iter().map(|&block| (block, wish(block, places))).collect();
    wishes.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let total: f32 = wishes.iter().filter_map(|(b, _)| places.get(*b)).map(|p| p.width + GAP).sum();
    let middle = wishes.iter().map(|(_, wish)| wish).sum::<f32>() / wishes.len().max(1) as f32;
    let mut free = middle - total / 2.0;
    for (slot, (block, _)) in row.iter_mut().zip(&wishes) {
        *slot = *block;
        if let Some(place) = places.get_mut(*block) {
            place.x = free;
            free += place.width + GAP;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(edges: &[(usize, usize)], count: usize) -> Vec<Node> {
        let node = |at| Node {
            lines: Vec::new(),
            start: at,
            next: edges.iter().filter(|edge| edge.0 == at).map(|edge| edge.1).collect(),
            dead: false,
            exits: false,
        };
        (0..count).map(node).collect()
    }

    fn overlap(a: &Place, b: &Place) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    #[test]
    fn a_diamond_with_a_loop() {
        let blocks = nodes(&[(0, 1), (0, 2), (1, 3), (2, 3), (3, 1), (3, 4)], 5);
        let layout = Layout::new(&blocks, |_| (100.0, 40.0));
        let row = |block: usize| layout.places[block].y;
        assert!(row(0) < row(1) && row(1) == row(2) && row(2) < row(3) && row(3) < row(4));
        assert_eq!(layout.edges.iter().filter(|edge| edge.back).count(), 1);
    }

    proptest! {
        /// No two blocks overlap, and all is within the picture.
        #[test]
        fn blocks_have_room(edges in proptest::collection::vec((0usize..20, 0usize..20), 0..40)) {
            let blocks = nodes(&edges, 20);
            let layout = Layout::new(&blocks, |node| (50.0 + 10.0 * node.next.len() as f32, 30.0));
            for (index, a) in layout.places.iter().enumerate() {
                prop_assert!(a.x >= 0.0 && a.x + a.width <= layout.width && a.y + a.height <= layout.height);
                for b in &layout.places[index + 1..] {
                    prop_assert!(!overlap(a, b), "{:?} {:?}", a, b);
                }
            }
            for edge in &layout.edges {
                prop_assert!(edge.points.iter().all(|(x, _)| (0.0..=layout.width).contains(x)));
            }
        }
    }
}
