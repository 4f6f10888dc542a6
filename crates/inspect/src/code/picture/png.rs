//! The picture as pixels, a band at a time, so that a large one takes no more memory than a small one.

use std::io::Write;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};
use skep_ui::svg::Picture;

use super::Error;

/// Pixels that are drawn at once, in whole rows.
const BAND: u32 = 1 << 21;
/// The widest picture; what is wider is made smaller.
const WIDEST: f32 = 12_000.0;

/// Draws the picture and writes it.
pub(super) fn write(out: &mut dyn Write, picture: &Picture) -> Result<(), Error> {
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    let wanted = fontdb::Query { families: &[fontdb::Family::Monospace], ..fontdb::Query::default() };
    let known = ["DejaVu Sans Mono", "Liberation Mono", "Noto Sans Mono", "FreeMono"];
    let named = known.into_iter().find(|name| {
        let query = fontdb::Query { families: &[fontdb::Family::Name(name)], ..fontdb::Query::default() };
        fonts.query(&query).is_some()
    });
    let any = || {
        fonts.faces().find(|face| face.monospaced).and_then(|face| face.families.first()).map(|f| f.0.clone())
    };
    match named.map(str::to_owned).or_else(any) {
        Some(name) => fonts.set_monospace_family(name),
        None if fonts.query(&wanted).is_some() => {}
        None => return Err(Error::NoFont),
    }
    let options = usvg::Options { fontdb: std::sync::Arc::new(fonts), ..usvg::Options::default() };
    let scale = (WIDEST / picture.width.max(1.0)).min(1.0);
    let (width, height) = ((picture.width * scale).ceil() as u32, (picture.height * scale).ceil() as u32);
    let failed = |error: png::EncodingError| Error::Render(error.to_string());
    let mut encoder = png::Encoder::new(out, width.max(1), height.max(1));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    let mut pixels = writer.stream_writer().map_err(failed)?;
    let band = (BAND / width.max(1)).max(1);
    let mut top = 0;
    while top < height {
        let rows = band.min(height - top);
        let drawn = draw(picture, top, rows, width, scale, &options)?;
        let colours: Vec<u8> =
            drawn.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
        pixels.write_all(&colours)?;
        top += rows;
    }
    pixels.finish().map_err(failed)
}

fn draw(
    picture: &Picture,
    top: u32,
    rows: u32,
    width: u32,
    scale: f32,
    options: &usvg::Options<'_>,
) -> Result<Pixmap, Error> {
    let from = top as f32 / scale;
    let svg = picture.part(from..from + rows as f32 / scale);
    let tree = usvg::Tree::from_str(&svg, options).map_err(|error| Error::Render(error.to_string()))?;
    let mut band = Pixmap::new(width, rows).ok_or_else(|| Error::Render(format!("{width} pixels a row")))?;
    band.fill(resvg::tiny_skia::Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut band.as_mut());
    Ok(band)
}
