//! What the scanner says, for people.

use saphyr_parser::{ScanError, Span};

use super::{
    Problem,
    builder::{Builder, TOO_DEEP},
};

impl Builder<'_> {
    pub(super) fn scan_error(&self, error: &ScanError, text: &str) -> Problem {
        let marker = *error.marker();
        let (mut line, mut column) = self.position(Span::new(marker, marker));
        // The scanner puts a line break after text that ends without one, and may stop behind it.
        let (last, end) = last_line(text);
        if line > last.saturating_add(self.line_offset) {
            (line, column) = (last.saturating_add(self.line_offset), end);
        }
        let info = error.info();
        // The scanner stops at the tab, or one line before or after it.
        let tabbed = [
            marker.line(),
            marker.line() + 1,
            marker.line().saturating_sub(1),
        ]
        .into_iter()
        .find_map(|number| {
            let line = text.lines().nth(number.checked_sub(1)?)?;
            let indent = &line[..line.len() - line.trim_start().len()];
            let at = indent.find('\t')?;
            Some((number, indent[..at].chars().count()))
        });
        if let Some((number, at)) = tabbed {
            return Problem {
                rule: "yaml-tab",
                line: u32::try_from(number)
                    .unwrap_or(u32::MAX)
                    .saturating_add(self.line_offset),
                column: u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1),
                message: "a tab is used for indentation".to_owned(),
                hint: "YAML is indented with spaces only: replace the tab",
            };
        }
        let (rule, hint) = if info.contains("anchor") {
            (
                "yaml-unknown-alias",
                "define it with `&name` above its first use",
            )
        } else if info.contains("recursion") {
            ("yaml-depth", TOO_DEEP)
        } else {
            (
                "yaml",
                "check the indentation, the colons and the quotes of this line and the one above",
            )
        };
        Problem {
            rule,
            line,
            column,
            message: format!("not YAML: {info}"),
            hint,
        }
    }
}

/// The number of the last line, and the column behind its end.
fn last_line(text: &str) -> (u32, u32) {
    let breaks = text.bytes().filter(|b| *b == b'\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    (count(breaks), count(last.chars().count()))
}
