//! Series over an axis: lines, steps, and areas that stand on each other.

use plotters::{
    element::PathElement,
    prelude::{ChartBuilder, Circle, Polygon},
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

/// How the points of a series are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Straight from point to point.
    Line,
    /// A value holds until the next point.
    Step,
    /// Straight and dashed: what the others are compared with.
    Dashed,
    /// Steps, filled, on top of the areas before it.
    Area,
}

pub struct LineChart {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    size: (u32, u32),
}

struct Series {
    name: String,
    shape: Shape,
    points: Vec<(f64, f64)>,
}

impl LineChart {
    pub fn new(title: &str, x: Axis, y: Axis) -> LineChart {
        LineChart { title: title.to_owned(), x, y, series: Vec::new(), size: (860, 380) }
    }

    /// In pixels; 860 × 380 without it.
    pub fn size(mut self, width: u32, height: u32) -> LineChart {
        self.size = (width.clamp(200, 10_000), height.clamp(120, 10_000));
        self
    }

    /// Points in the order of their x.
    pub fn series(mut self, name: &str, shape: Shape, points: impl IntoIterator<Item = (f64, f64)>) -> LineChart {
        let points = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        self.series.push(Series { name: name.to_owned(), shape, points });
        self
    }

    pub fn svg(&self) -> String {
        canvas::draw(self.size, |sheet| self.draw(sheet))
    }

    fn draw(&self, sheet: &Sheet) -> DrawResult {
        let below = canvas::titled(sheet, &self.title)?;
        let plot = canvas::with_legend(&below, &self.legend())?;
        let drawn = self.placed();
        let values = |pick: fn(&(f64, f64)) -> f64| drawn.iter().flat_map(move |d| d.points.iter().map(pick));
        let last = values(|point| point.0).filter_map(|value| self.x.place(value)).reduce(f64::max);
        let x = self.x.fit(values(|point| point.0)).ending_at(last);
        let y = self.y.fit(values(|point| point.1));
        let widest = y.labels.iter().map(|label| canvas::width_of(label, 12.0)).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&plot)
            .x_label_area_size(px(40.0))
            .y_label_area_size(px(widest + 32.0))
            .margin_right(px(14.0))
            .build_cartesian_2d(x.clone(), y.clone())?;
        let label = text(12.0, palette::FAINT, HPos::Center, VPos::Top);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .set_all_tick_mark_size(px(5.0))
            .light_line_style(palette::GRID.mix(0.0))
            .bold_line_style(stroke(palette::GRID, 1.0))
            .axis_style(stroke(palette::FAINT, 1.0))
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_desc(self.x.title())
            .y_desc(self.y.title())
            .x_label_formatter(&|place| x.label(*place))
            .y_label_formatter(&|place| y.label(*place))
            .draw()?;
        let place = |(px, py): (f64, f64)| {
            let py = py.clamp(10f64.powf(-300.0).min(py), f64::MAX);
            Some((self.x.place(px)?, self.y.place(py)?))
        };
        for (number, drawn) in drawn.iter().enumerate().rev() {
            let colour = palette::series(number);
            let points: Vec<(f64, f64)> = drawn.points.iter().copied().filter_map(place).collect();
            match drawn.shape {
                Shape::Area => {
                    let floor = drawn.floor.iter().rev().copied();
                    let floor =
                        floor.map(|(px, py)| Some((self.x.place(px)?, self.y.place(py).unwrap_or(y.range.start))));
                    let edge: Vec<(f64, f64)> = points.iter().copied().chain(floor.flatten()).collect();
                    if edge.len() > 2 {
                        chart.draw_series([Polygon::new(edge, colour.mix(0.75))])?;
                    }
                }
                Shape::Line | Shape::Step => {
                    chart.draw_series([PathElement::new(points.clone(), stroke(colour, 2.0))])?;
                    if drawn.shape == Shape::Line && points.len() <= FEW {
                        chart.draw_series(points.iter().map(|at| Circle::new(*at, px(3.0), colour.filled())))?;
                    }
                }
                Shape::Dashed => {
                    let line = plotters::series::DashedLineSeries::new(
                        points,
                        px(6.0) as u32,
                        px(4.0) as u32,
                        stroke(colour, 1.5),
                    );
                    chart.draw_series(line)?;
                }
            }
        }
        Ok(())
    }

    fn legend(&self) -> Vec<Entry> {
        let mark = |shape| match shape {
            Shape::Line | Shape::Step => Mark::Line,
            Shape::Dashed => Mark::Dashes,
            Shape::Area => Mark::Block,
        };
        let entry = |(number, series): (usize, &Series)| Entry {
            name: series.name.clone(),
            colour: palette::series(number),
            mark: mark(series.shape),
        };
        self.series.iter().enumerate().map(entry).collect()
    }

    /// The corners of what is drawn: steps get theirs, areas stand on each other.
    fn placed(&self) -> Vec<Drawn> {
        let mut beneath: Vec<(f64, f64)> = Vec::new();
        let mut all = Vec::new();
        for series in &self.series {
            let drawn = match series.shape {
                Shape::Line | Shape::Dashed => {
                    Drawn { shape: series.shape, points: thinned(&series.points), floor: Vec::new() }
                }
                Shape::Step => {
                    Drawn { shape: Shape::Step, points: thinned(&corners(&series.points)), floor: Vec::new() }
                }
                Shape::Area => {
                    let stacked = on_top(&beneath, &series.points);
                    let floor = match beneath.is_empty() {
                        true => stacked.iter().map(|(x, _)| (*x, 0.0)).collect(),
                        false => on_top(&beneath, &[]),
                    };
                    beneath = stacked.clone();
                    Drawn { shape: Shape::Area, points: thinned(&corners(&stacked)), floor: thinned(&corners(&floor)) }
                }
            };
            all.push(drawn);
        }
        all
    }
}

/// Lines of few points show where they were measured.
const FEW: usize = 30;

struct Drawn {
    shape: Shape,
    points: Vec<(f64, f64)>,
    /// What an area stands on.
    floor: Vec<(f64, f64)>,
}

/// A value holds until the next point.
fn corners(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::with_capacity(points.len() * 2);
    for &(x, y) in points {
        if let Some(&(_, before)) = corners.last() {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    corners
}

/// The sum of two step functions, at every x of either.
fn on_top(beneath: &[(f64, f64)], points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut xs: Vec<f64> = beneath.iter().chain(points).map(|(x, _)| *x).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let at = |points: &[(f64, f64)], x: f64| {
        let after = points.partition_point(|(before, _)| *before <= x);
        after.checked_sub(1).and_then(|last| points.get(last)).map_or(0.0, |(_, y)| *y)
    };
    xs.into_iter().map(|x| (x, at(beneath, x) + at(points, x))).collect()
}

const POINTS_MAX: usize = 4000;

/// Of very many points those that can be seen: of each stretch the first, the lowest, the highest and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(POINTS_MAX / 4);
    let mut kept = Vec::with_capacity(POINTS_MAX);
    for part in points.chunks(stretch) {
        let by_y = |(_, a): &(usize, &(f64, f64)), (_, b): &(usize, &(f64, f64))| a.1.total_cmp(&b.1);
        let low = part.iter().enumerate().min_by(by_y).map(|(at, _)| at);
        let high = part.iter().enumerate().max_by(by_y).map(|(at, _)| at);
        let mut seen: Vec<usize> = [Some(0), low, high, Some(part.len() - 1)].into_iter().flatten().collect();
        seen.sort_unstable();
        seen.dedup();
        kept.extend(seen.into_iter().filter_map(|at| part.get(at)));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> (Axis, Axis) {
        (Axis::new("time").unit("s"), Axis::new("share").up_to(1.0))
    }

    #[test]
    fn a_chart_is_one_svg_with_its_texts() {
        let (x, y) = axes();
        let chart = LineChart::new("Shares <over> time", x, y)
            .series("batch & co", Shape::Area, [(0.0, 0.5), (10.0, 0.25)])
            .series("web", Shape::Area, [(0.0, 0.25), (5.0, 0.75)])
            .series("limit", Shape::Dashed, [(0.0, 0.9), (10.0, 0.9)]);
        let svg = chart.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for expected in
            ["Shares &lt;over&gt; time", "batch &amp; co", "time (s)", "share", "0.75", "prefers-color-scheme"]
        {
            assert!(svg.contains(expected), "{expected} is missing");
        }
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert_eq!(svg, chart.svg(), "the same chart is the same text");
    }

    #[test]
    fn charts_without_points_and_with_hopeless_ones_are_drawn() {
        let (x, y) = axes();
        assert!(LineChart::new("", x, y).svg().contains("<svg"));
        let chart = LineChart::new("", Axis::new("x").log(), Axis::new("y").log())
            .series("a", Shape::Line, [(0.0, 1.0), (f64::NAN, 2.0), (10.0, f64::INFINITY)])
            .series("b", Shape::Area, [(1.0, 1.0), (2.0, 2.0)]);
        assert!(!chart.svg().contains("NaN"));
    }

    #[test]
    fn stacked_steps_add_up() {
        let sum = on_top(&[(0.0, 1.0), (2.0, 3.0)], &[(1.0, 10.0), (2.0, 0.0)]);
        assert_eq!(sum, [(0.0, 1.0), (1.0, 11.0), (2.0, 3.0)]);
        assert_eq!(corners(&[(0.0, 1.0), (2.0, 3.0)]), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0)]);
    }

    #[test]
    fn many_points_become_few_and_keep_their_extremes() {
        let points: Vec<(f64, f64)> =
            (0..100_000).map(|n| (f64::from(n), if n == 77_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX && thin.contains(&(77_777.0, 9.0)) && thin.last() == points.last());
    }
}
