//! Long values in what people read.

/// The longest value that is shown, in characters, and how much of a longer one is.
const MAX_VALUE: usize = 120;
const HEAD_OF_VALUE: usize = 60;
/// The longest text of a finding, in characters.
const MAX_TEXT: usize = 1500;

/// A text whose long values are cut: what stands in quotes, and what has no blank.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= MAX_VALUE {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '`' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            c if c.is_whitespace() => c.len_utf8(),
            _ => rest
                .find(|c: char| c.is_whitespace() || matches!(c, '"' | '`'))
                .unwrap_or(rest.len()),
        };
        let (part, tail) = rest.split_at(end);
        push_cut(&mut out, part);
        rest = tail;
    }
    match out.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

fn push_cut(out: &mut String, part: &str) {
    if part.chars().count() <= MAX_VALUE {
        out.push_str(part);
        return;
    }
    out.extend(part.chars().take(HEAD_OF_VALUE));
    out.push('…');
    out.extend(part.chars().next().filter(|c| matches!(c, '"' | '`')));
}
