//! stdout and stderr.

use std::io::ErrorKind;
use std::io::Write as _;

/// Where a command writes.
#[derive(Debug)]
pub struct Output;

impl Output {
    /// The process's own streams.
    pub const fn standard() -> Self {
        Self
    }

    /// Data, to stdout. A reader that has gone is no error: the process ends quietly, as `cat` does; any other
    /// failure ends it with an error.
    pub fn data(&mut self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            if error.kind() == ErrorKind::BrokenPipe {
                std::process::exit(0);
            }
            self.say(&format!("error: cannot write to stdout: {error}"));
            std::process::exit(i32::from(super::Exit::Wrong.code()));
        }
    }

    /// Talk, to stderr, with a line end. What cannot be said is dropped.
    pub fn say(&mut self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        drop(writeln!(stderr, "{text}"));
    }
}

/// Columns padded to their widest cell, two spaces apart; the last one is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.chars().count() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
