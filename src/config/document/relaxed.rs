//! YAML that is not to the letter, and that other readers take all the same.
//!
//! Inside of brackets and quotes libyaml, and so Kubernetes, minds no indentation; YAML 1.2 does. A line there that is
//! refused for its indentation is read again with blanks before it, which mean nothing at these places. So is a tab after
//! a colon or dash, as a blank.

use std::{borrow::Cow, ops::RangeInclusive};

use saphyr_parser::ScanError;

use super::{builder::Builder, padding::Padding, tree::Document};

/// More than any indentation that is not too deep.
const PAD: usize = 256;
/// The most bytes that are read again for one file.
const MAX_AGAIN: usize = 32 << 20;

/// What may still be read again of a file, in bytes.
pub(super) struct Again(usize);

impl Default for Again {
    fn default() -> Self {
        Self(MAX_AGAIN)
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
        let Some((error, depth)) = stopped.filter(|_| again.0 > text.len()) else {
            return now;
        };
        again.0 -= text.len();
        let Some(better) = mended(&text, (&error, depth), &mut padding) else {
            return now;
        };
        text = Cow::Owned(better);
        documents.truncate(first);
    }
}

/// The text with the lines mended at which the scanner stopped, inside of `depth` brackets.
fn mended(
    text: &str,
    (error, depth): (&ScanError, usize),
    padding: &mut Padding,
) -> Option<String> {
    let number = error.marker().line();
    let mut lines: Vec<Cow<'_, str>> = text.split_inclusive('\n').map(Cow::Borrowed).collect();
    let info = error.info();
    if info.starts_with("invalid indentation in quoted scalar") {
        // The scanner is still at the quote that opens it.
        let column = error.marker().col();
        let last = quote_end(&lines, (number, column))?;
        return padded(lines, number + 1..=last, padding);
    }
    if info.starts_with("invalid indentation") {
        let last = bracket_end(&lines, number, depth.max(1));
        return padded(lines, number..=last, padding);
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

/// The line in which the quoted text that begins at a place ends.
fn quote_end(lines: &[Cow<'_, str>], (from, column): (usize, usize)) -> Option<usize> {
    let mut skip = column;
    let mut quote = None;
    for (number, line) in (from..).zip(lines.get(from.checked_sub(1)?..)?) {
        let mut chars = line.chars().skip(std::mem::take(&mut skip));
        while let Some(c) = chars.next() {
            match quote {
                None => quote = Some(c),
                Some('"') if c == '\\' => {
                    chars.next();
                }
                Some(open) if open == c => return Some(number),
                Some(_) => {}
            }
        }
    }
    None
}

/// The line in which so many brackets are closed again, or the last.
fn bracket_end(lines: &[Cow<'_, str>], from: usize, mut depth: usize) -> usize {
    // The character before, and the last that is no blank.
    let (mut quote, mut last, mut word) = (None, '\n', '\n');
    for (number, line) in (from..).zip(lines.get(from.saturating_sub(1)..).unwrap_or_default()) {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some('"'), '\\') => {
                    chars.next();
                }
                (Some(open), c) if open == c => quote = None,
                (Some(_), _) => {}
                // Within a word a quote is a letter, and so is `#`.
                (None, '"' | '\'') if matches!(word, '[' | '{' | ',' | ':' | '\n') => {
                    quote = Some(c);
                }
                (None, '#') if matches!(last, ' ' | '\t' | '\n') => break,
                (None, '[' | '{') => depth += 1,
                (None, ']' | '}') => depth = depth.saturating_sub(1),
                (None, _) => {}
            }
            if depth == 0 {
                return number;
            }
            last = c;
            if !matches!(c, ' ' | '\t' | '\r') {
                word = c;
            }
        }
        last = '\n';
    }
    lines.len()
}

/// The text with blanks before lines that have none yet; `None` if all have.
fn padded(
    mut lines: Vec<Cow<'_, str>>,
    numbers: RangeInclusive<usize>,
    padding: &mut Padding,
) -> Option<String> {
    let known = padding.lines();
    for number in numbers {
        if let Some(line) = number.checked_sub(1).and_then(|at| lines.get_mut(at))
            && padding.before(number) == 0
        {
            *line = Cow::Owned(format!("{}{line}", " ".repeat(PAD)));
            padding.insert(number, PAD);
        }
    }
    (padding.lines() > known).then(|| lines.concat())
}
