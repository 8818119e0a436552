//! Bars that lie: a row of them for each category, with room for long names.

use plotters::{
    prelude::{PathElement, Rectangle, Text},
    style::{
        Color,
        text_anchor::{HPos, VPos},
    },
};

use crate::{
    axis::Axis,
    canvas::{self, DrawResult, Entry, Mark, Sheet, px, stroke, text},
    palette,
};

pub struct BarChart {
    title: String,
    value: Axis,
    series: Vec<String>,
    rows: Vec<(String, Vec<f64>)>,
    width: u32,
}

impl BarChart {
    /// `series` names the bars of each row.
    pub fn new(title: &str, value: Axis, series: &[&str]) -> BarChart {
        let series = series.iter().map(|&name| name.to_owned()).collect();
        BarChart { title: title.to_owned(), value, series, rows: Vec::new(), width: 860 }
    }

    pub fn width(mut self, width: u32) -> BarChart {
        self.width = width.clamp(200, 10_000);
        self
    }

    /// One value for each series.
    pub fn row(mut self, name: &str, values: impl IntoIterator<Item = f64>) -> BarChart {
        self.rows.push((name.to_owned(), values.into_iter().collect()));
        self
    }

    pub fn svg(&self) -> String {
        let rows = self.rows.len().max(1) as f64 * self.row_height();
        let title = if self.title.is_empty() { 14.0 } else { 48.0 };
        let legend = if self.series.len() > 1 { 19.0 * self.series.len() as f64 } else { 0.0 };
        canvas::draw((self.width, (title + rows.max(legend) + FOOT + 10.0) as u32), |sheet| self.draw(sheet))
    }

    fn row_height(&self) -> f64 {
        self.series.len().max(1) as f64 * BAR + GAP
    }

    fn draw(&self, sheet: &Sheet) -> DrawResult {
        let below = canvas::titled(sheet, &self.title)?;
        let legend: Vec<Entry> = self.series.iter().enumerate().map(entry).collect();
        let plot = canvas::with_legend(&below, &legend)?;
        let names: Vec<String> = self.rows.iter().map(|(name, _)| canvas::shorten(name, NAME_CHARS)).collect();
        let widest = names.iter().map(|name| canvas::width_of(name, 12.0)).fold(0.0, f64::max);
        let fit = self.value.fit(self.rows.iter().flat_map(|(_, values)| values.iter().copied()));
        let (width, _) = plot.dim_in_pixel();
        let (left, right) = (px(widest + 22.0), (width as i32 - px(56.0)).max(px(widest + 60.0)));
        let bottom = px(self.rows.len().max(1) as f64 * self.row_height());
        let span = fit.range.end - fit.range.start;
        let across = |place: f64| left + ((place - fit.range.start) / span * f64::from(right - left)).round() as i32;
        let faint = |horizontal| text(12.0, palette::FAINT, horizontal, VPos::Top);
        for (tick, label) in fit.ticks.iter().zip(&fit.labels) {
            let x = across(*tick);
            plot.draw(&PathElement::new(vec![(x, 0), (x, bottom)], stroke(palette::GRID, 1.0)))?;
            plot.draw(&Text::new(label.clone(), (x, bottom + px(5.0)), faint(HPos::Center)))?;
        }
        let middle = (left + right) / 2;
        plot.draw(&Text::new(self.value.title(), (middle, bottom + px(24.0)), faint(HPos::Center)))?;
        let zero = across(fit.range.start.max(0.0).min(fit.range.end));
        for (row, ((_, values), name)) in self.rows.iter().zip(&names).enumerate() {
            let top = row as f64 * self.row_height() + GAP / 2.0;
            let centre = px(top + (self.row_height() - GAP) / 2.0);
            plot.draw(&Text::new(
                name.clone(),
                (left - px(8.0), centre),
                text(12.0, palette::INK, HPos::Right, VPos::Center),
            ))?;
            for (number, value) in values.iter().enumerate() {
                let y = top + number as f64 * BAR;
                let end = self.value.place(*value).map_or(zero, across);
                let corners = [(zero.min(end), px(y + 1.5)), (zero.max(end).max(zero + px(1.0)), px(y + BAR - 1.5))];
                plot.draw(&Rectangle::new(corners, palette::series(number).filled()))?;
                let beside = text(11.0, palette::FAINT, HPos::Left, VPos::Center);
                let said = crate::number(*value);
                plot.draw(&Text::new(said, (zero.max(end) + px(5.0), px(y + BAR / 2.0)), beside))?;
            }
        }
        plot.draw(&PathElement::new(vec![(zero, 0), (zero, bottom)], stroke(palette::FAINT, 1.0)))
    }
}

const BAR: f64 = 15.0;
const GAP: f64 = 12.0;
const FOOT: f64 = 46.0;
const NAME_CHARS: usize = 40;

fn entry((number, name): (usize, &String)) -> Entry {
    Entry { name: name.clone(), colour: palette::series(number), mark: Mark::Block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_name_and_a_bar_for_each_series() {
        let chart = BarChart::new("Shares", Axis::new("dominant share").unit("%"), &["before", "after"])
            .row("analytics", [25.0, 50.0])
            .row("web/front", [12.5, f64::NAN]);
        let svg = chart.svg();
        for expected in ["analytics", "web/front", "before", "after", "12.5", "dominant share (%)"] {
            assert!(svg.contains(expected), "{expected} is missing");
        }
        // The paper, two blocks of the legend, four bars.
        assert_eq!(svg.matches("<rect").count(), 7);
    }

    #[test]
    fn an_empty_chart_is_drawn() {
        assert!(BarChart::new("", Axis::new("x"), &[]).svg().ends_with("</svg>\n"));
    }
}
