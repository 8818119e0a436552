//! The colours. Charts carry those of a light page; a style sheet inside each SVG changes them where the reader's
//! system is dark.

use plotters::style::RGBColor;

pub const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
pub const FAINT: RGBColor = RGBColor(0x57, 0x60, 0x6a);
pub const GRID: RGBColor = RGBColor(0xe1, 0xe4, 0xe8);

/// The same on a dark page, in the order above.
const DARK: [(RGBColor, &str); 4] = [(PAPER, "#0d1117"), (INK, "#e6edf3"), (FAINT, "#9da7b3"), (GRID, "#30363d")];

/// For series, in this order: apart also for readers who see few colours, readable on light and dark.
const SERIES: [RGBColor; 10] = [
    RGBColor(0x2f, 0x81, 0xd8),
    RGBColor(0xe0, 0x7b, 0x1f),
    RGBColor(0x2a, 0x9d, 0x6a),
    RGBColor(0xa3, 0x5f, 0xd6),
    RGBColor(0xd6, 0x45, 0x50),
    RGBColor(0x12, 0x98, 0xa8),
    RGBColor(0x9a, 0x8c, 0x1c),
    RGBColor(0xcf, 0x55, 0xa0),
    RGBColor(0x8c, 0x6d, 0x5a),
    RGBColor(0x7d, 0x86, 0x90),
];

pub fn series(number: usize) -> RGBColor {
    SERIES.get(number % SERIES.len()).copied().unwrap_or(INK)
}

/// Rules of an author outdo the attributes that carry the light colours.
pub fn style_sheet() -> String {
    let rule = |(light, dark): &(RGBColor, &str)| {
        let light = format!("#{:02X}{:02X}{:02X}", light.0, light.1, light.2);
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let rules: String = DARK.iter().map(rule).collect();
    format!("@media(prefers-color-scheme:dark){{{rules}}}")
}
