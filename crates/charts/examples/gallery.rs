//! Writes one report with a chart of each kind: `cargo run -p charts --example gallery > gallery.html`.

use charts::{Align, Axis, BarChart, LineChart, Report, Shape, Table};

fn main() {
    let grown = |factor: f64, power: f64| {
        (0..7).map(move |n| (1000.0 * 2f64.powi(n), factor * 2f64.powf(f64::from(n) * power)))
    };
    let growth = LineChart::new("One cycle", Axis::new("agents").log(), Axis::new("time").unit("ms").log())
        .series("50 frameworks", Shape::Line, grown(0.8, 1.0))
        .series("1,000 frameworks", Shape::Line, grown(1.1, 1.2))
        .series("Mesos 1.5, published", Shape::Dashed, grown(60.0, 1.3));
    let wave = |phase: f64| (0..200).map(move |n| (f64::from(n), 20.0 + 15.0 * (f64::from(n) / 20.0 + phase).sin()));
    let shares = LineChart::new("CPUs by group over time", Axis::new("time").unit("s"), Axis::new("CPUs").up_to(120.0))
        .series("batch", Shape::Area, wave(0.0))
        .series("web", Shape::Area, wave(2.0))
        .series("default", Shape::Area, wave(4.0))
        .series("of the whole cluster", Shape::Dashed, [(0.0, 110.0), (199.0, 110.0)]);
    let bars = BarChart::new("Dominant share", Axis::new("share").unit("%"), &["before", "after"])
        .row("analytics/reports", [32.5, 48.0])
        .row("web", [60.1, 42.0])
        .row("a role with quite a long name/and a child", [0.0, 2.25]);
    let waiting = LineChart::new("", Axis::new("time").unit("s"), Axis::new("waiting tasks")).series(
        "waiting",
        Shape::Step,
        (0..40).map(|n| (f64::from(n), f64::from(n * 7 % 11))),
    );
    let mut table = Table::new([("role", Align::Left), ("share", Align::Right)]);
    table.row(["analytics".to_owned(), charts::number(0.325)]);
    table.row(["web".to_owned(), charts::number(0.601)]);
    let mut report = Report::new("Gallery");
    report.heading("Lines").chart(&growth.svg()).heading("Areas").chart(&shares.svg());
    report.heading("Bars").chart(&bars.svg()).heading("Steps").chart(&waiting.svg()).heading("A table").table(&table);
    print!("{}", report.html());
}
