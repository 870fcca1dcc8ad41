//! Changes of a text at places, which leave all else as it is.

/// A change in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// From 1.
    pub(super) line: u32,
    /// In characters, from 1.
    pub(super) column: u32,
    /// How many characters are taken out.
    pub(super) remove: usize,
    pub(super) insert: String,
}

/// A scalar as it is written.
pub(super) struct Token {
    /// Without its quotes.
    pub(super) text: String,
    /// The quotes, if any.
    pub(super) quote: Option<char>,
    /// In characters, quotes included.
    pub(super) length: usize,
}

/// The line with a number, from 1.
pub(super) fn line(text: &str, number: u32) -> Option<&str> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    text.lines().nth(index)
}

/// The scalar or key that begins at a place, if it ends in the same line.
pub(super) fn token(text: &str, number: u32, column: u32) -> Option<Token> {
    let skip = usize::try_from(column).ok()?.checked_sub(1)?;
    let rest: Vec<char> = line(text, number)?.chars().skip(skip).collect();
    let first = *rest.first()?;
    if matches!(first, '"' | '\'') {
        let end = rest.iter().skip(1).position(|c| *c == first)? + 1;
        let inner: String = rest[1..end].iter().collect();
        // With escapes it is not what it looks like.
        return (!inner.contains('\\')).then_some(Token {
            text: inner,
            quote: Some(first),
            length: end + 1,
        });
    }
    let ends = |at: usize| match rest[at] {
        ',' | ']' | '}' => true,
        '#' => at > 0 && rest[at - 1].is_whitespace(),
        ':' => rest.get(at + 1).is_none_or(|c| c.is_whitespace()),
        _ => false,
    };
    let end = (0..rest.len()).find(|at| ends(*at)).unwrap_or(rest.len());
    let text: String = rest[..end].iter().collect();
    let text = text.trim_end().to_owned();
    let plain = !text.is_empty() && !text.starts_with(['&', '*', '|', '>', '!', '{', '[']);
    let length = text.chars().count();
    plain.then_some(Token {
        text,
        quote: None,
        length,
    })
}

/// The text with all changes made. Of two that touch each other only the first is.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by(|a, b| (a.line, a.column, &a.insert).cmp(&(b.line, b.column, &b.insert)));
    edits.dedup();
    let mut out = String::with_capacity(text.len());
    let mut edits = edits.into_iter().peekable();
    for (number, line) in (1_u32..).zip(text.split_inclusive('\n')) {
        let mut at = 0;
        let chars: Vec<char> = line.chars().collect();
        while let Some(edit) = edits.next_if(|edit| edit.line == number) {
            let start = usize::try_from(edit.column.saturating_sub(1)).unwrap_or(usize::MAX);
            if start < at || start + edit.remove > chars.len() {
                continue;
            }
            out.extend(&chars[at..start]);
            out.push_str(&edit.insert);
            at = start + edit.remove;
        }
        out.extend(&chars[at..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_where_yaml_ends_them() {
        for (line, column, expected) in [
            ("a: 30 # x", 4, "30"),
            ("a: {b: 30, c: d}", 8, "30"),
            ("a: \"b c\" # x", 4, "b c"),
            ("retires: {a: 1}", 1, "retires"),
            ("- ./a.b:80/x", 3, "./a.b:80/x"),
        ] {
            assert_eq!(token(line, 1, column).unwrap().text, expected, "{line}");
        }
        for none in ["a: |", "a: &x 1", "a: [b]", "a: \"\\x41\"", "a:"] {
            assert!(token(none, 1, 4).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let text = "a: 1  # ü\r\nb:  2\nc: 3";
        let edit = |line, column, remove, insert: &str| Edit {
            line,
            column,
            remove,
            insert: insert.to_owned(),
        };
        let out = apply(
            text,
            vec![
                edit(3, 4, 1, "4"),
                edit(1, 4, 1, "10s"),
                edit(1, 4, 1, "20s"),
                edit(9, 1, 0, "x"),
            ],
        );
        assert_eq!(out, "a: 10s  # ü\r\nb:  2\nc: 4");
        assert_eq!(apply(text, Vec::new()), text);
    }
}
