//! The control flow graph drawn without GraphViz: as SVG, as PNG, or with characters on a terminal.
//!
//! Blocks stand in rows below what leads to them; jumps back, which make loops, run along the left side in red,
//! and blocks that nothing leads to are grey. What would be too tall stands in columns.

mod ascii;
mod fold;
mod layout;
mod png;

use std::io::{self, Write};

use skep_isa::cfg::{Block, Calls, Cfg, End, Function};
use skep_isa::disasm::{self, Names};
use skep_ui::svg::{CHARACTER, LINE, Picture, Shape};

use self::layout::{Layout, Place};
use super::Code;
use super::listing::{Details, hex};
use super::source::Lines;

/// How the graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Svg,
    Png,
    Ascii,
}

/// Why it cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program's jumps lead nowhere, which no kernel lets pass.
    #[error("the control flow of this program cannot be followed: {0}")]
    Flow(#[from] skep_isa::Error),
    /// There is nothing to write letters with.
    #[error("no fixed-width font is installed, which 'visual png' needs; 'visual svg' does not")]
    NoFont,
    /// The picture could not be made.
    #[error("the picture could not be made: {0}")]
    Render(String),
    /// The picture could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Draws the graph of all functions.
pub(crate) fn write(
    out: &mut dyn Write,
    code: &Code,
    names: &dyn Names,
    details: Details,
    form: Form,
) -> Result<(), Error> {
    let graphs = graphs(code, names, details)?;
    match form {
        Form::Ascii => Ok(ascii::write(out, &graphs)?),
        Form::Svg => Ok(out.write_all(picture(&graphs).to_svg().as_bytes())?),
        Form::Png => png::write(out, &picture(&graphs)),
    }
}

/// A function's blocks with their text.
struct Graph {
    title: String,
    blocks: Vec<Node>,
}

/// A block with its text.
struct Node {
    lines: Vec<TextLine>,
    /// The number of its first instruction.
    start: usize,
    /// The blocks it leads to, the next one first.
    next: Vec<usize>,
    /// Nothing leads to it.
    dead: bool,
    /// The function returns here.
    exits: bool,
}

/// A line of a block.
struct TextLine {
    text: String,
    is_source: bool,
}

fn graphs(code: &Code, names: &dyn Names, details: Details) -> Result<Vec<Graph>, Error> {
    // Only a program that has been compiled keeps the distance of calls in their offsets.
    let calls = if code.info.extra.jited_ksyms.is_empty() { Calls::ByImm } else { Calls::ByOff };
    let cfg = Cfg::build(&code.insns, calls)?;
    let graph = |(number, function): (usize, &Function)| {
        let title = code.signature_at(function.range.start).unwrap_or_else(|| format!("func_{number} ()"));
        let reached = reached(function);
        let blocks = function.blocks.iter().zip(reached).map(|(block, reached)| Node {
            lines: lines(code, names, details, block),
            start: block.range.start,
            next: block.succs.iter().map(|edge| edge.to).collect(),
            dead: !reached,
            exits: block.end == End::Exit,
        });
        Graph { title, blocks: blocks.collect() }
    };
    Ok(cfg.functions.iter().enumerate().map(graph).collect())
}

/// Which blocks control can come to.
fn reached(function: &Function) -> Vec<bool> {
    let mut reached = vec![false; function.blocks.len()];
    let mut waiting = vec![0];
    while let Some(at) = waiting.pop() {
        let Some(seen) = reached.get_mut(at).filter(|seen| !**seen) else { continue };
        *seen = true;
        waiting
            .extend(function.blocks.get(at).into_iter().flat_map(|block| block.succs.iter().map(|e| e.to)));
    }
    reached
}

fn lines(code: &Code, names: &dyn Names, details: Details, block: &Block) -> Vec<TextLine> {
    let all = code.lines();
    let start = block.range.start;
    let known = all.partition_point(|line| line.insn_off as usize <= start).saturating_sub(1);
    let mut sources = Lines::new(all.get(known..).unwrap_or_default());
    let mut lines = Vec::new();
    let insns = code.insns.get(block.range.clone()).unwrap_or_default();
    for (offset, insn, second) in skep_isa::insn::walk(insns) {
        let at = start + offset;
        if let Some(source) = sources.next_at(at).and_then(|line| code.source(line)) {
            let place = if details.linum {
                format!(" [{}:{}:{}]", source.file, source.line, source.column)
            } else {
                String::new()
            };
            lines.push(TextLine { text: format!("; {}{place}", source.text), is_source: true });
        }
        let mut text = format!("{at:4}: {}", disasm::text(&insn, second.as_ref(), names));
        if details.opcodes {
            let mut bytes = insn.to_bytes().to_vec();
            bytes.extend(second.iter().flat_map(|second| second.to_bytes()));
            let mut shown = Vec::new();
            // Writing to memory cannot fail.
            let _ = hex(&mut shown, &bytes);
            text = format!("{text:<48} {}", String::from_utf8_lossy(&shown));
        }
        lines.push(TextLine { text, is_source: false });
    }
    lines
}

/// The blank around the text of a block.
const PADDING: f32 = 6.0;
/// The longest line that is shown in full.
const LONGEST: usize = 100;

/// All functions below each other.
fn picture(graphs: &[Graph]) -> Picture {
    const MARGIN: f32 = 20.0;
    let mut picture = Picture { width: 0.0, height: MARGIN, shapes: Vec::new() };
    for graph in graphs {
        let y = picture.height + LINE;
        picture.shapes.push(Shape::Text {
            x: MARGIN,
            y,
            text: graph.title.clone(),
            fill: "black",
            bold: true,
        });
        let layout = Layout::new(&graph.blocks, |node| {
            let longest = node.lines.iter().map(|line| line.text.chars().count().min(LONGEST)).max();
            let width = longest.unwrap_or(0) as f32 * CHARACTER + 2.0 * PADDING;
            (width, node.lines.len() as f32 * LINE + 2.0 * PADDING)
        })
        .folded(&graph.blocks);
        let top = y + LINE;
        for edge in &layout.edges {
            let points = edge.points.iter().map(|(x, y)| (x + MARGIN, y + top)).collect();
            let stroke = if edge.back { "#c0392b" } else { "#555555" };
            picture.shapes.push(Shape::Arrow { points, stroke, dashed: edge.back });
            if let Some(note) = &edge.note {
                let (x, y, text) = (note.place.0 + MARGIN, note.place.1 + top, note.text.clone());
                picture.shapes.push(Shape::Text { x, y, text, fill: stroke, bold: false });
            }
        }
        for (node, place) in graph.blocks.iter().zip(&layout.places) {
            block(&mut picture.shapes, node, place, MARGIN, top);
        }
        picture.width = picture.width.max(layout.width + 2.0 * MARGIN);
        picture.width = picture.width.max(graph.title.chars().count() as f32 * CHARACTER + 2.0 * MARGIN);
        picture.height = top + layout.height + MARGIN;
    }
    picture
}

fn block(shapes: &mut Vec<Shape>, node: &Node, place: &Place, left: f32, top: f32) {
    let (x, y) = (place.x + left, place.y + top);
    let fill = match (node.dead, node.exits) {
        (true, _) => "#dddddd",
        (false, true) => "#e8f6e8",
        (false, false) => "#f4f6fb",
    };
    shapes.push(Shape::Rect { x, y, width: place.width, height: place.height, fill, stroke: "#333333" });
    for (index, line) in node.lines.iter().enumerate() {
        let mut text: String = line.text.chars().take(LONGEST).collect();
        if line.text.chars().count() > LONGEST {
            text.pop();
            text.push('…');
        }
        shapes.push(Shape::Text {
            x: x + PADDING,
            y: y + PADDING + LINE * (index as f32 + 0.8),
            text,
            fill: if line.is_source { "#2e7d32" } else { "#111111" },
            bold: false,
        });
    }
}
