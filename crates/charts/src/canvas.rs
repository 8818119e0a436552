//! The sheet that every chart stands on: its size, title, legend, and the frame of the SVG around it.

use plotters::{
    coord::Shift,
    prelude::{Circle, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text},
    style::{
        Color, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};
use stdx::never;

use crate::palette;

/// Coordinates are whole numbers, so charts are drawn this much larger than they are shown.
pub const FINE: i32 = 4;

pub type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Pixels of the shown chart.
pub fn px(shown: f64) -> i32 {
    (shown * f64::from(FINE)).round() as i32
}

pub fn text(size: f64, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let mut style = TextStyle::from((FontFamily::SansSerif, f64::from(px(size)) * 1.24, FontStyle::Normal));
    style.color = colour.to_backend_color();
    style.pos(Pos::new(horizontal, vertical))
}

pub fn stroke(colour: RGBColor, width: f64) -> ShapeStyle {
    colour.stroke_width(px(width).unsigned_abs())
}

/// About how wide a text is shown, in its font's size.
pub fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

/// The same, cut where it is longer than `chars`.
pub fn shorten(text: &str, chars: usize) -> String {
    match text.chars().count() > chars {
        true => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// How the legend shows a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dashes,
    Block,
}

pub struct Entry {
    pub name: String,
    pub colour: RGBColor,
    pub mark: Mark,
}

/// Draws a chart of that many shown pixels and returns its SVG.
pub fn draw(size: (u32, u32), chart: impl FnOnce(&Sheet) -> DrawResult) -> String {
    let fine = (size.0 * FINE.unsigned_abs(), size.1 * FINE.unsigned_abs());
    let mut svg = String::new();
    let drawn = {
        let sheet = SVGBackend::with_string(&mut svg, fine).into_drawing_area();
        sheet.fill(&palette::PAPER).and_then(|()| chart(&sheet)).and_then(|()| sheet.present())
    };
    if let Err(error) = drawn {
        never!("a chart that cannot be drawn: {error}");
        return String::new();
    }
    framed(&svg, size, fine)
}

/// Shown at its size, or as wide as the page where that is less.
fn framed(svg: &str, (width, height): (u32, u32), fine: (u32, u32)) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body).replace("\n</text>", "</text>");
    let style = palette::style_sheet();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" \
         style=\"max-width:100%;height:auto\">\n<style>{style}</style>{}\n",
        fine.0,
        fine.1,
        body.trim_end()
    )
}

/// Writes the title and returns what is left below it.
pub fn titled<'a>(sheet: &Sheet<'a>, title: &str) -> Result<Sheet<'a>, DrawingAreaErrorKind<std::io::Error>> {
    if title.is_empty() {
        return Ok(sheet.margin(px(10.0), px(6.0), px(10.0), px(14.0)));
    }
    let (head, rest) = sheet.split_vertically(px(38.0));
    head.draw(&Text::new(title.to_owned(), (px(16.0), px(14.0)), text(15.0, palette::INK, HPos::Left, VPos::Top)))?;
    Ok(rest.margin(px(4.0), px(6.0), px(10.0), px(14.0)))
}

const LEGEND_CHARS: usize = 34;

/// Draws the legend at the right of the sheet and returns what is left.
pub fn with_legend<'a>(
    sheet: &Sheet<'a>,
    entries: &[Entry],
) -> Result<Sheet<'a>, DrawingAreaErrorKind<std::io::Error>> {
    if entries.len() < 2 {
        return Ok(sheet.clone());
    }
    let names: Vec<String> = entries.iter().map(|entry| shorten(&entry.name, LEGEND_CHARS)).collect();
    let widest = names.iter().map(|name| width_of(name, 12.0)).fold(0.0, f64::max);
    let (width, height) = sheet.dim_in_pixel();
    let (chart, legend) = sheet.split_horizontally(width as i32 - px(widest + 44.0));
    let room = (height as i32 / px(19.0)).max(1) as usize;
    for (row, (entry, name)) in entries.iter().zip(&names).enumerate().take(room) {
        let y = px(12.0 + 19.0 * row as f64);
        let (from, to) = (px(14.0), px(34.0));
        let line = stroke(entry.colour, 2.0);
        match entry.mark {
            Mark::Line => {
                legend.draw(&PathElement::new(vec![(from, y), (to, y)], line))?;
                legend.draw(&Circle::new(((from + to) / 2, y), px(3.0), entry.colour.filled()))?;
            }
            Mark::Dashes => {
                let half = (from + to) / 2;
                legend.draw(&PathElement::new(vec![(from, y), (half - px(3.0), y)], line))?;
                legend.draw(&PathElement::new(vec![(half + px(3.0), y), (to, y)], line))?;
            }
            Mark::Block => {
                let corners = [(from + px(6.0), y - px(6.0)), (to - px(2.0), y + px(6.0))];
                legend.draw(&Rectangle::new(corners, entry.colour.filled()))?;
            }
        }
        let style = text(12.0, palette::INK, HPos::Left, VPos::Center);
        legend.draw(&Text::new(name.clone(), (px(40.0), y), style))?;
    }
    Ok(chart)
}
