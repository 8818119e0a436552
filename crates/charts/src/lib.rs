//! Knows how to draw figures: lines, steps, stacked areas and bars as SVG, tables, and reports as one HTML file without
//! scripts or anything to fetch. Does not know what is drawn.
//!
//! `LineChart` and `BarChart` make an SVG each; `Report` puts charts, tables and text into a page. `axis` chooses
//! ranges and ticks, `number` writes numbers, `palette` holds the colours for light and dark, `canvas` is the sheet all
//! charts stand on.

#![forbid(unsafe_code)]

mod axis;
mod bar;
mod canvas;
mod line;
mod number;
mod palette;
mod report;
mod table;

pub use axis::{Axis, Scale};
pub use bar::BarChart;
pub use line::{LineChart, Shape};
pub use number::number;
pub use report::Report;
pub use table::{Align, Table};
