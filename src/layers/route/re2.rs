//! RE2's writing of regular expressions in that of the `regex` crate, where the two differ.
//!
//! | RE2 | here |
//! |---|---|
//! | a `{` that begins no repetition is the character: `/v1/{id}`, `{,3}` | must be escaped |
//! | a `[` inside a class is the character: `[[a]` | begins a class in the class |
//! | `&&`, `--` and `~~` inside a class are characters | intersect, subtract, … |
//! | `\Q…\E` is text | unknown |

use std::borrow::Cow;

/// The same expression for the `regex` crate.
pub(super) fn translate(source: &str) -> Cow<'_, str> {
    if !source.contains(['{', '[']) && !source.contains("\\Q") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let (taken, written) = match c {
            '\\' => escape(rest),
            '{' if repetition(rest).is_none() => (1, Cow::Borrowed("\\{")),
            '[' => class(rest),
            c => (c.len_utf8(), Cow::Borrowed(&rest[..c.len_utf8()])),
        };
        out.push_str(&written);
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

/// What begins with a backslash: how long it is, and what is written for it.
fn escape(text: &str) -> (usize, Cow<'_, str>) {
    if let Some(quoted) = text.strip_prefix("\\Q") {
        let (inner, end) = match quoted.find("\\E") {
            Some(at) => (&quoted[..at], at + 4),
            None => (quoted, text.len()),
        };
        return (end, Cow::Owned(regex::escape(inner)));
    }
    let second = text[1..].chars().next().map_or(0, char::len_utf8);
    let mut end = 1 + second;
    // `\x{10FFFF}`, `\p{Greek}`: these brackets are no repetition either.
    if matches!(text.as_bytes().get(1), Some(b'x' | b'p' | b'P'))
        && text[end..].starts_with('{')
        && let Some(at) = text.find('}')
    {
        end = at + 1;
    }
    (end, Cow::Borrowed(&text[..end]))
}

/// The length of a repetition such as `{2}`, `{2,}` or `{2,3}`.
fn repetition(text: &str) -> Option<usize> {
    let (times, _) = text[1..].split_once('}')?;
    let (least, most) = times.split_once(',').unwrap_or((times, times));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(times.len() + 2)
}

/// A class in brackets.
fn class(text: &str) -> (usize, Cow<'_, str>) {
    let mut out = String::from("[");
    let mut at = 1;
    if text[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    // A bracket that comes first is one of the characters.
    if text[at..].starts_with(']') {
        out.push_str("\\]");
        at += 1;
    }
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        match c {
            ']' => {
                out.push(']');
                return (at + 1, Cow::Owned(out));
            }
            '\\' => {
                let (taken, written) = escape(rest);
                out.push_str(&written);
                at += taken;
                continue;
            }
            '[' if rest.starts_with("[:") && rest[2..].contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                out.push_str(&rest[..end]);
                at += end;
                continue;
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if out.ends_with('-') => out.push_str("\\-"),
            c => out.push(c),
        }
        at += c.len_utf8();
    }
    // It is never closed: what compiles it says so.
    (text.len(), Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_takes_for_text_is_text() {
        for (source, written) in [
            ("/v1/models", "/v1/models"),
            ("/v1/{id}", "/v1/\\{id}"),
            ("a{,3}", "a\\{,3}"),
            ("{", "\\{"),
            ("{}", "\\{}"),
            ("a{2}b{2,}c{2,3}", "a{2}b{2,}c{2,3}"),
            ("\\{id\\}", "\\{id\\}"),
            ("\\x{41}\\p{Greek}", "\\x{41}\\p{Greek}"),
            ("[{]", "[{]"),
            ("[[a]", "[\\[a]"),
            ("[[:alpha:]_]{2}", "[[:alpha:]_]{2}"),
            ("[]a]", "[\\]a]"),
            ("[^]a]", "[^\\]a]"),
            ("[a&&b~~c]", "[a\\&\\&b\\~\\~c]"),
            ("[+--]", "[+-\\-]"),
            ("[\\]{]x{y", "[\\]{]x\\{y"),
            ("\\Qa.b{\\Ec", "a\\.b\\{c"),
            ("\\Qa+", "a\\+"),
            ("[a", "[a"),
            ("\\", "\\"),
            ("ä{ö}[ü]", "ä\\{ö}[ü]"),
        ] {
            assert_eq!(translate(source), written, "{source}");
        }
    }

    #[test]
    fn what_is_written_matches_what_re2_matches() {
        for (source, text, matches) in [
            ("/v1/{id}", "/v1/{id}", true),
            ("/v1/{id}", "/v1/7", false),
            ("a{,3}", "a{,3}", true),
            ("a{,3}", "aaa", false),
            ("[[a]+", "a[a", true),
            ("[a&&b]+", "a&b", true),
            ("[+--]", ",", true),
            ("[^]]+", "ab", true),
            ("[^]]+", "a]", false),
            ("\\Q.*\\E", ".*", true),
            ("\\Q.*\\E", "x", false),
        ] {
            let regex = regex::Regex::new(&format!("^(?:{})$", translate(source))).unwrap();
            assert_eq!(regex.is_match(text), matches, "{source} {text}");
        }
    }
}
