//! YAML that is not to the letter, and that other readers take all the same.
//!
//! Inside of brackets and quotes libyaml, and so Kubernetes, minds no indentation; YAML 1.2 does. A line there that is
//! refused for its indentation is read again with blanks before it, which mean nothing at these places. So is a tab after
//! a colon or dash, as a blank.

use std::{borrow::Cow, collections::BTreeMap};

use saphyr_parser::ScanError;

use super::{Document, builder::Builder};

/// More than any indentation that is not too deep.
const PAD: usize = 256;
/// The most bytes that are read again for one file.
const MAX_AGAIN: usize = 32 << 20;

/// What may still be read again of a file, in bytes.
pub(super) struct Again(usize);

/// How many blanks were put before which line, from 1.
#[derive(Debug, Default)]
pub(super) struct Padding(BTreeMap<usize, usize>);

impl Default for Again {
    fn default() -> Self {
        Self(MAX_AGAIN)
    }
}

// === impl Padding ===

impl Padding {
    /// The blanks before a line.
    pub(super) fn before(&self, line: usize) -> usize {
        self.0.get(&line).copied().unwrap_or_default()
    }
}

/// Reads a part of a file (see [`Builder::run`]).
pub(super) fn read(
    text: &str,
    line_offset: u32,
    nodes: usize,
    again: &mut Again,
    documents: &mut Vec<Document>,
) -> usize {
    let first = documents.len();
    let (mut text, mut padding) = (Cow::Borrowed(text), Padding::default());
    loop {
        let builder = Builder::new(line_offset, nodes, &padding);
        let (now, stopped) = builder.run(&text, documents);
        let Some(error) = stopped.filter(|_| again.0 > text.len()) else {
            return now;
        };
        again.0 -= text.len();
        let Some(better) = mended(&text, &error, &mut padding) else {
            return now;
        };
        text = Cow::Owned(better);
        documents.truncate(first);
    }
}

/// The text with the line mended at which the scanner stopped.
fn mended(text: &str, error: &ScanError, padding: &mut Padding) -> Option<String> {
    let number = error.marker().line();
    let mut lines: Vec<Cow<'_, str>> = text.split_inclusive('\n').map(Cow::Borrowed).collect();
    let info = error.info();
    if info.starts_with("invalid indentation in quoted scalar") {
        // The scanner is still at the quote that opens it.
        let number = continuation(&lines, number, padding)?;
        return Some(padded(lines, number, padding));
    }
    if info.starts_with("invalid indentation") && padding.before(number) == 0 {
        return Some(padded(lines, number, padding));
    }
    let line = lines.get_mut(number.checked_sub(1)?)?;
    let indent = line.len() - line.trim_start().len();
    let (blank, rest) = line.split_at(indent);
    let mut spaced = rest.to_owned();
    for mark in [':', '-'] {
        while let Some(at) = spaced.find(&format!("{mark}\t")) {
            spaced.replace_range(at + 1..at + 2, " ");
        }
    }
    if spaced == rest || info.contains("quoted") {
        return None;
    }
    *line = Cow::Owned(format!("{blank}{spaced}"));
    Some(lines.concat())
}

/// The first line after one with an open quote that has no blanks before it yet.
fn continuation(lines: &[Cow<'_, str>], from: usize, padding: &Padding) -> Option<usize> {
    (from + 1..=lines.len()).find(|number| padding.before(*number) == 0)
}

fn padded(mut lines: Vec<Cow<'_, str>>, number: usize, padding: &mut Padding) -> String {
    if let Some(line) = number.checked_sub(1).and_then(|at| lines.get_mut(at)) {
        *line = Cow::Owned(format!("{}{line}", " ".repeat(PAD)));
        padding.0.insert(number, PAD);
    }
    lines.concat()
}
