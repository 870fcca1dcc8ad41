//! Terminal output for commands that take a while: an aligned table, and one live line.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// Rows of cells under a header. The first column is aligned left, the others right. Widths count characters, which is
/// right for text without wide or combining ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// Progress on stderr: a line that is rewritten on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Progress<W: Write = io::Stderr> {
    out: W,
    live: bool,
    /// Characters of the live line that stands there now.
    shown: usize,
}

// === impl Table ===

impl Table {
    /// A table with these column names.
    #[must_use]
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self::default();
        table.row(header);
        table
    }

    /// Adds a row. Missing cells stay blank; more cells than names widen the table.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Prints it on stdout.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written.
    pub fn print(&self) -> io::Result<()> {
        write!(io::stdout().lock(), "{self}")
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if n == 0 {
                let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
                writeln!(f, "{}", "-".repeat(total))?;
            }
        }
        Ok(())
    }
}

// === impl Progress ===

impl Progress {
    /// Progress on stderr.
    #[must_use]
    pub fn stderr() -> Self {
        let out = io::stderr();
        let live = out.is_terminal();
        Self::new(out, live)
    }
}

impl<W: Write> Progress<W> {
    /// Progress on `out`, rewritten in place if `live`.
    pub fn new(out: W, live: bool) -> Self {
        Self {
            out,
            live,
            shown: 0,
        }
    }

    /// Shows what is going on now: rewrites the live line; silent where lines stay, so that logs do not fill. Keep it
    /// below the width of a terminal.
    ///
    /// # Errors
    ///
    /// If `out` cannot be written.
    pub fn update(&mut self, text: &str) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let width = self.shown;
        write!(self.out, "\r{text:<width$}")?;
        self.shown = text.chars().count();
        self.out.flush()
    }

    /// Writes a line that stays.
    ///
    /// # Errors
    ///
    /// If `out` cannot be written.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Takes the live line away.
    ///
    /// # Errors
    ///
    /// If `out` cannot be written.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.shown > 0 {
            write!(self.out, "\r{:1$}\r", "", self.shown)?;
            self.shown = 0;
            self.out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &[u8]) -> &str {
        std::str::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["caller", "ok", "p99"]);
        table.row(["plain client", "71.2%", "30 s"]);
        table.row(["über", "100%"]);
        let expected = "\
caller           ok   p99
-------------------------
plain client  71.2%  30 s
über           100%
";
        assert_eq!(table.to_string(), expected);
        assert_eq!(Table::default().to_string(), "");
    }

    #[test]
    fn a_live_line_is_rewritten_without_remains() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, true);
        progress.update("12 sent").unwrap();
        progress.update("9").unwrap();
        progress.line("done").unwrap();
        progress.clear().unwrap();
        assert_eq!(text(&out), "\r12 sent\r9      \r \rdone\n");
    }

    #[test]
    fn without_a_terminal_only_lines_that_stay_are_written() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, false);
        progress.update("12 sent").unwrap();
        progress.line("phase 1").unwrap();
        assert_eq!(text(&out), "phase 1\n");
    }
}
