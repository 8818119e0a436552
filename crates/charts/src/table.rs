//! Tables for reports.

use crate::report::escape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    /// For numbers.
    Right,
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Table {
        let columns = columns.into_iter().map(|(name, align)| (name.to_owned(), align)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// One cell for each column; missing ones stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn columns(&self) -> impl Iterator<Item = (&str, Align)> {
        self.columns.iter().map(|(name, align)| (name.as_str(), *align))
    }

    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    pub fn html(&self) -> String {
        let class = |align: Align| if align == Align::Right { " class=\"n\"" } else { "" };
        let head: String =
            self.columns.iter().map(|(name, align)| format!("<th{}>{}</th>", class(*align), escape(name))).collect();
        let row = |row: &Vec<String>| {
            let cell = |(at, (_, align)): (usize, &(String, Align))| {
                format!("<td{}>{}</td>", class(*align), escape(row.get(at).map_or("", String::as_str)))
            };
            format!("<tr>{}</tr>\n", self.columns.iter().enumerate().map(cell).collect::<String>())
        };
        let body: String = self.rows.iter().map(row).collect();
        format!("<div class=\"t\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n")
    }

    /// As Markdown, for pages of documentation.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let mut text = line(self.columns.iter().map(|(name, _)| cell(name)).collect());
        let rule = |align: Align| if align == Align::Right { "---:" } else { "---" };
        text += &line(self.columns.iter().map(|(_, align)| rule(*align).to_owned()).collect());
        for row in &self.rows {
            let cells = (0..self.columns.len()).map(|at| cell(row.get(at).map_or("", String::as_str)));
            text += &line(cells.collect());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_missing_ones_empty() {
        let mut table = Table::new([("role", Align::Left), ("cpus", Align::Right)]);
        table.row(["a<b|c".to_owned(), "1".to_owned()]);
        table.row(["x".to_owned()]);
        let html = table.html();
        assert!(
            html.contains("<td>a&lt;b|c</td><td class=\"n\">1</td>")
                && html.contains("<td>x</td><td class=\"n\"></td>")
        );
        assert_eq!(table.markdown(), "| role | cpus |\n| --- | ---: |\n| a<b\\|c | 1 |\n| x |  |\n");
    }
}
