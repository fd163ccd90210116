//! Pieces of the page: escaped text, and tables that keep to an allowance of bytes.

use std::fmt::Write as _;

use crate::report::escape::escaped;
use crate::report::text::shortened;

/// Longest text of a cell, in characters; what is longer ends in an ellipsis.
const CELL_MAX: usize = 400;

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// Words that name the row.
    Head(String),
    /// A figure, at the right edge.
    Figure(String),
    /// `pass`, `fail` or `not exercised`.
    Verdict(String),
    /// A figure on a ground as deep as this share, 0 to 1.
    Heat(String, f64),
    /// A figure and the bounds it lies within.
    Sure(String, String),
    /// Markup of our own.
    Markup(String),
}

/// A cell of words.
pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// A cell that names its row.
pub(super) fn head(text: impl Into<String>) -> Cell {
    Cell::Head(text.into())
}

/// A cell with a figure.
pub(super) fn figure(text: impl Into<String>) -> Cell {
    Cell::Figure(text.into())
}

impl Cell {
    fn write(&self, out: &mut String) {
        let short = |text: &str| escaped(&shortened(text, CELL_MAX));
        match self {
            Self::Text(text) => write!(out, "<td>{}</td>", short(text)),
            // Names of metrics are long words: they may break where their labels begin.
            Self::Head(text) => {
                let text = short(text).replace('{', "{<wbr>").replace(',', ",<wbr>");
                write!(out, "<th scope=\"row\">{text}</th>")
            }
            Self::Sure(value, bounds) => {
                write!(out, "<td class=\"n\">{}<small>{}</small></td>", short(value), short(bounds))
            }
            Self::Figure(text) => write!(out, "<td class=\"n\">{}</td>", short(text)),
            Self::Verdict(verdict) => write!(out, "<td>{}</td>", badge(verdict)),
            Self::Heat(text, share) => {
                let level = libm::rint(share.clamp(0.0, 1.0) * 8.0) as u8;
                write!(out, "<td class=\"n h{level}\">{}</td>", short(text))
            }
            Self::Markup(markup) => write!(out, "<td>{markup}</td>"),
        }
        .expect("a string takes every character");
    }
}

/// A verdict as a word with a sign and a colour: none of them has to be seen to know the others.
pub(super) fn badge(verdict: &str) -> String {
    let (class, sign) = match verdict {
        "pass" => ("ok", "✓"),
        "fail" => ("bad", "✗"),
        _ => ("idle", "○"),
    };
    format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {}</span>", escaped(verdict))
}

/// A table that takes rows as long as they fit.
#[derive(Debug)]
pub(super) struct Table {
    caption: String,
    head: String,
    rows: String,
    allowance: usize,
    left_out: usize,
    count: usize,
    elsewhere: String,
}

impl Table {
    /// A table with this caption; a column's name that begins with `#` has figures. What does not fit into `allowance`
    /// bytes is to be found in the file `elsewhere`.
    pub(super) fn new(caption: &str, columns: &[&str], allowance: usize, elsewhere: &str) -> Self {
        let caption = escaped(caption);
        let mut head = format!("<caption>{caption}</caption><thead><tr>");
        for column in columns {
            let cell = match column.strip_prefix('#') {
                Some(column) => format!("<th scope=\"col\" class=\"n\">{}</th>", escaped(column)),
                None => format!("<th scope=\"col\">{}</th>", escaped(column)),
            };
            head.push_str(&cell);
        }
        head.push_str("</tr></thead>");
        Self { caption, head, rows: String::new(), allowance, left_out: 0, count: 0, elsewhere: elsewhere.to_owned() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: &[Cell]) {
        self.classed("", cells);
    }

    /// Adds a row of a class.
    pub(super) fn classed(&mut self, class: &str, cells: &[Cell]) {
        self.count += 1;
        let before = self.rows.len();
        match class {
            "" => self.rows.push_str("<tr>"),
            class => write!(self.rows, "<tr class=\"{class}\">").expect("a string takes every character"),
        }
        cells.iter().for_each(|cell| cell.write(&mut self.rows));
        self.rows.push_str("</tr>\n");
        if self.left_out > 0 || self.rows.len() > self.allowance {
            self.rows.truncate(before);
            self.left_out += 1;
        }
    }

    /// Whether it has no row.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The markup: a region that scrolls sideways where it is too wide, and what was left out.
    pub(super) fn finish(self) -> String {
        let left_out = match self.left_out {
            0 => String::new(),
            rows => format!(
                "<p class=\"note\">{rows} more rows are left out here to keep this page small; {} has all.</p>",
                escaped(&self.elsewhere)
            ),
        };
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>{}<tbody>\n{}</tbody></table></div>\
             {left_out}\n",
            self.caption, self.head, self.rows
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        let mut table = Table::new("<x>", &["<y>"], 1_000, "");
        table.row(&[
            head("<z>"),
            text("<z>"),
            figure("<z>"),
            Cell::Verdict("<z>".into()),
            Cell::Heat("<z>".into(), 2.0),
        ]);
        let markup = table.finish();
        assert!(["<x>", "<y>", "<z>"].iter().all(|tag| !markup.contains(tag)), "{markup}");
    }

    #[test]
    fn a_table_keeps_to_its_allowance_and_says_so() {
        let mut table = Table::new("t", &["c"], 60, "all.csv");
        (0..5).for_each(|row| table.row(&[text(row.to_string())]));
        let markup = table.finish();
        assert!(markup.contains("<td>2</td>") && !markup.contains("<td>3</td>"), "{markup}");
        assert!(markup.contains("2 more rows are left out") && markup.contains("all.csv"), "{markup}");
    }
}
