//! A report: headings, text, tables and charts as one HTML page that needs nothing else.

use crate::table::Table;

pub struct Report {
    title: String,
    body: String,
}

impl Report {
    pub fn new(title: &str) -> Report {
        Report { title: title.to_owned(), body: format!("<h1>{}</h1>\n", escape(title)) }
    }

    pub fn heading(&mut self, text: &str) -> &mut Report {
        self.put(format!("<h2>{}</h2>\n", escape(text)))
    }

    pub fn text(&mut self, text: &str) -> &mut Report {
        self.put(format!("<p>{}</p>\n", escape(text)))
    }

    pub fn list<S: AsRef<str>>(&mut self, items: impl IntoIterator<Item = S>) -> &mut Report {
        let items: String = items.into_iter().map(|item| format!("<li>{}</li>\n", escape(item.as_ref()))).collect();
        self.put(format!("<ul>\n{items}</ul>\n"))
    }

    pub fn table(&mut self, table: &Table) -> &mut Report {
        self.put(table.html())
    }

    /// What a chart's `svg` returned.
    pub fn chart(&mut self, svg: &str) -> &mut Report {
        self.put(format!("<figure>{svg}</figure>\n"))
    }

    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            escape(&self.title),
            self.body
        )
    }

    fn put(&mut self, html: String) -> &mut Report {
        self.body.push_str(&html);
        self
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#24292f;--faint:#57606a;--grid:#d8dee4;--paper:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9da7b3;--grid:#30363d;--paper:#0d1117}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--grid)}\
figure{margin:1rem 0}.t{overflow-x:auto}\
table{border-collapse:collapse;font-size:.92em;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .8rem;border-bottom:1px solid var(--grid);text-align:left;white-space:nowrap}\
th{color:var(--faint);font-weight:600}.n{text-align:right}";

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, LineChart, Shape};

    #[test]
    fn a_report_is_one_page_that_fetches_nothing() {
        let mut report = Report::new("What <if>");
        let chart =
            LineChart::new("c", Axis::new("x"), Axis::new("y")).series("s", Shape::Step, [(0.0, 1.0), (1.0, 2.0)]);
        report.heading("Shares").text("a & b").list(["one", "two"]).chart(&chart.svg());
        let html = report.html();
        assert!(
            html.contains("<h1>What &lt;if&gt;</h1>") && html.contains("<li>two</li>") && html.contains("<polyline")
        );
        let addresses = html.replace("http://www.w3.org/2000/svg", "");
        for fetched in ["http:", "https:", "<script", "url(", "src=", "@import"] {
            assert!(!addresses.contains(fetched), "{fetched}");
        }
    }
}
