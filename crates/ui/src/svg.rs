//! Pictures as SVG: boxes, lines and text at places that the caller has worked out.
//!
//! Only what every viewer draws alike is used: rectangles, polylines and text in a fixed-width font.

use std::fmt::Write as _;
use std::ops::Range;

/// A picture, in pixels from its upper left corner.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Its width.
    pub width: f32,
    /// Its height.
    pub height: f32,
    /// What is in it, the undermost first.
    pub shapes: Vec<Shape>,
}

/// Something in a picture. Colours are in the notation of CSS.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A box.
    Rect {
        /// Left edge.
        x: f32,
        /// Upper edge.
        y: f32,
        /// Width.
        width: f32,
        /// Height.
        height: f32,
        /// The colour within.
        fill: &'static str,
        /// The colour of its border.
        stroke: &'static str,
    },
    /// Lines from point to point, with an arrow head at the end.
    Arrow {
        /// The points.
        points: Vec<(f32, f32)>,
        /// Their colour.
        stroke: &'static str,
        /// Whether the lines have gaps.
        dashed: bool,
    },
    /// A line of text.
    Text {
        /// Where it begins.
        x: f32,
        /// Its base line.
        y: f32,
        /// What it says.
        text: String,
        /// Its colour.
        fill: &'static str,
        /// Whether it is bold.
        bold: bool,
    },
}

/// The height of a line of text.
pub const LINE: f32 = 15.0;
/// The width of a character.
pub const CHARACTER: f32 = 7.25;
/// The size of the font that goes with both.
const FONT_SIZE: f32 = 12.0;

impl Shape {
    /// From where to where it reaches downwards.
    fn rows(&self) -> Range<f32> {
        /// Arrow heads and borders reach beyond their points.
        const MARGIN: f32 = 8.0;
        match self {
            Self::Rect { y, height, .. } => y - MARGIN..y + height + MARGIN,
            Self::Text { y, .. } => y - LINE..y + LINE,
            Self::Arrow { points, .. } => {
                let least = points.iter().map(|point| point.1).fold(f32::MAX, f32::min);
                let most = points.iter().map(|point| point.1).fold(f32::MIN, f32::max);
                least - MARGIN..most + MARGIN
            }
        }
    }
}

impl Picture {
    /// The whole picture as an SVG document.
    pub fn to_svg(&self) -> String {
        self.part(0.0..self.height)
    }

    /// A band of the picture as an SVG document of its own.
    pub fn part(&self, rows: Range<f32>) -> String {
        let (width, height) = (self.width, rows.end - rows.start);
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 {} {width} {height}\" font-family=\"DejaVu Sans Mono, Liberation Mono, monospace\" \
             font-size=\"{FONT_SIZE}\">",
            rows.start
        );
        let _ = writeln!(
            out,
            "<rect x=\"0\" y=\"{}\" width=\"{width}\" height=\"{height}\" fill=\"white\"/>",
            rows.start
        );
        for shape in &self.shapes {
            let of = shape.rows();
            if of.end >= rows.start && of.start <= rows.end {
                write_shape(&mut out, shape);
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

fn write_shape(out: &mut String, shape: &Shape) {
    // Writing to a String cannot fail.
    let _ = match shape {
        Shape::Rect { x, y, width, height, fill, stroke } => writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" fill=\"{fill}\" \
             stroke=\"{stroke}\"/>"
        ),
        Shape::Arrow { points, stroke, dashed } => {
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
            let dashes = if *dashed { " stroke-dasharray=\"5,3\"" } else { "" };
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{stroke}\"{dashes}/>",
                path.join(" ")
            );
            match points.as_slice() {
                [.., from, to] => {
                    writeln!(out, "<polygon points=\"{}\" fill=\"{stroke}\"/>", head(*from, *to))
                }
                _ => Ok(()),
            }
        }
        Shape::Text { x, y, text, fill, bold } => {
            let weight = if *bold { " font-weight=\"bold\"" } else { "" };
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\"{weight} xml:space=\"preserve\">{}</text>",
                escape(text)
            )
        }
    };
}

/// The corners of an arrow head that ends at `to`.
fn head(from: (f32, f32), to: (f32, f32)) -> String {
    const LENGTH: f32 = 7.0;
    const HALF_WIDTH: f32 = 3.5;
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(0.001);
    let (ux, uy) = (dx / length, dy / length);
    let (bx, by) = (to.0 - ux * LENGTH, to.1 - uy * LENGTH);
    format!(
        "{},{} {},{} {},{}",
        to.0,
        to.1,
        bx - uy * HALF_WIDTH,
        by + ux * HALF_WIDTH,
        bx + uy * HALF_WIDTH,
        by - ux * HALF_WIDTH
    )
}

/// Text without what XML would take as its own, and without characters that it does not allow.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("    "),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_bands() {
        let picture = Picture {
            width: 100.0,
            height: 200.0,
            shapes: vec![
                Shape::Rect { x: 1.0, y: 2.0, width: 30.0, height: 20.0, fill: "#eee", stroke: "black" },
                Shape::Text { x: 3.0, y: 150.0, text: "a < b\u{1b}".to_owned(), fill: "black", bold: true },
                Shape::Arrow { points: vec![(5.0, 22.0), (5.0, 60.0)], stroke: "red", dashed: true },
            ],
        };
        insta::assert_snapshot!(picture.to_svg());
        let upper = picture.part(0.0..50.0);
        assert!(upper.contains("polyline") && !upper.contains("<text"), "{upper}");
    }
}
