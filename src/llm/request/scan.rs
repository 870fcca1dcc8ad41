//! A JSON reader that keeps places instead of values.
//!
//! A request is read to learn a handful of facts and to change a handful of bytes, and may be megabytes long; a tree of
//! it would cost several times its size. So this walks the text once, allocates nothing, does not recurse, and is as
//! strict as `serde_json`, nesting included: what it takes for a value an upstream's parser does too.

use std::ops::Range;

/// `serde_json`'s limit, and the width of the stack of bits below.
const DEPTH: u32 = 127;

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its key, with the quotes.
    pub(super) key: Range<usize>,
    /// Its value.
    pub(super) value: Range<usize>,
}

/// Calls `visit` with each member of the object that is the whole of `text[at..]`; `None` if that is not one object.
pub(super) fn object(text: &str, mut visit: impl FnMut(Member)) -> Option<()> {
    let bytes = text.as_bytes();
    let end = members(bytes, blank(bytes, 0), &mut visit)?;
    (blank(bytes, end) == bytes.len()).then_some(())
}

/// The members of the object that begins at `at`; the place after it.
pub(super) fn members(bytes: &[u8], at: usize, visit: &mut impl FnMut(Member)) -> Option<usize> {
    let mut at = opening(bytes, at, b'{')?;
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let key = at..string(bytes, at)?;
        let begin = blank(bytes, colon(bytes, key.end)?);
        // An object round it stands for one level.
        let end = value(bytes, begin, DEPTH - 1, &mut |_| {})?;
        visit(Member {
            key,
            value: begin..end,
        });
        at = blank(bytes, end);
        match bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The elements of the array that begins at `at`: the place of the last one, or of nothing between the brackets.
pub(super) fn last_element(bytes: &[u8], at: usize) -> Option<Option<Range<usize>>> {
    let mut at = opening(bytes, at, b'[')?;
    if bytes.get(at) == Some(&b']') {
        return Some(None);
    }
    loop {
        let begin = at;
        let end = value(bytes, begin, DEPTH - 1, &mut |_| {})?;
        at = blank(bytes, end);
        match bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b']' => return Some(Some(begin..end)),
            _ => return None,
        }
    }
}

/// Calls `visit` with the inside of each string in a value that [`object`] or [`members`] found, keys included.
pub(super) fn strings(value: &str, mut visit: impl FnMut(&[u8])) {
    // It was read before: it is a value.
    let _ = self::value(value.as_bytes(), 0, DEPTH, &mut visit);
}

/// A string with its quotes, decoded. `None` if it is no string, or one that has no meaning (a lone surrogate).
pub(super) fn decoded(string: &str) -> Option<String> {
    string.starts_with('"').then_some(())?;
    serde_json::from_str(string).ok()
}

/// Whether a string with its quotes says `word`.
pub(super) fn is(string: &str, word: &str) -> bool {
    let inside = string.get(1..string.len().saturating_sub(1));
    // Hardly ever is a key written with escapes.
    inside == Some(word) || (string.contains('\\') && decoded(string).as_deref() == Some(word))
}

/// The end of the value that begins at `at`.
fn value(bytes: &[u8], mut at: usize, limit: u32, visit: &mut impl FnMut(&[u8])) -> Option<usize> {
    // A bit for each open bracket, the innermost lowest: 1 is an object.
    let (mut open, mut depth) = (0_u128, 0_u32);
    loop {
        match *bytes.get(at)? {
            b'"' => {
                let end = string(bytes, at)?;
                visit(bytes.get(at + 1..end - 1)?);
                at = end;
            }
            bracket @ (b'{' | b'[') => {
                if depth == limit {
                    return None;
                }
                let object = bracket == b'{';
                at = blank(bytes, at + 1);
                if bytes.get(at) == Some(if object { &b'}' } else { &b']' }) {
                    at += 1;
                } else {
                    (open, depth) = (open << 1 | u128::from(object), depth + 1);
                    if object {
                        at = key(bytes, at, visit)?;
                    }
                    continue;
                }
            }
            _ => at = scalar(bytes, at)?,
        }
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blank(bytes, at);
            match (*bytes.get(at)?, open & 1 == 1) {
                (b',', object) => {
                    at = blank(bytes, at + 1);
                    if object {
                        at = key(bytes, at, visit)?;
                    }
                    break;
                }
                (b'}', true) | (b']', false) => {
                    (open, depth) = (open >> 1, depth - 1);
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// A key inside a value: the place where its value begins.
fn key(bytes: &[u8], at: usize, visit: &mut impl FnMut(&[u8])) -> Option<usize> {
    let end = string(bytes, at)?;
    visit(bytes.get(at + 1..end - 1)?);
    Some(blank(bytes, colon(bytes, end)?))
}

fn opening(bytes: &[u8], at: usize, bracket: u8) -> Option<usize> {
    (bytes.get(at) == Some(&bracket)).then(|| blank(bytes, at + 1))
}

fn colon(bytes: &[u8], at: usize) -> Option<usize> {
    let at = blank(bytes, at);
    (bytes.get(at) == Some(&b':')).then_some(at + 1)
}

fn blank(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the string whose opening quote is at `at`.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *bytes.get(at + 1)? {
                b'u' => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    at += 6;
                }
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                _ => return None,
            },
            ..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// The end of a number or a literal.
fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    for word in [&b"true"[..], b"false", b"null"] {
        if rest.starts_with(word) {
            return Some(at + word.len());
        }
    }
    let digits = |from: usize| {
        let count = rest.get(from..).map_or(0, |rest| {
            rest.iter().take_while(|b| b.is_ascii_digit()).count()
        });
        (count > 0).then_some(from + count)
    };
    let first = usize::from(rest.first() == Some(&b'-'));
    let mut end = digits(first)?;
    if rest.get(first) == Some(&b'0') && end > first + 1 {
        return None;
    }
    if rest.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Some(at + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut all = Vec::new();
        object(text, |m| all.push((&text[m.key], &text[m.value])))?;
        Some(all)
    }

    #[test]
    fn members_are_found_where_they_stand() {
        let text = " {\"a\" : 1 ,\n\"b\":{\"a\":[1,{},[]]},\"\\u0061\":\"}\\\"\" }\r\n";
        assert_eq!(
            read(text),
            Some(vec![
                ("\"a\"", "1"),
                ("\"b\"", "{\"a\":[1,{},[]]}"),
                ("\"\\u0061\"", "\"}\\\"\""),
            ])
        );
        assert_eq!(read("{}"), Some(Vec::new()));
        assert!(is("\"\\u0061\"", "a") && is("\"a\"", "a") && !is("\"ab\"", "a"));
    }

    #[test]
    fn it_is_as_strict_as_serde() {
        for inside in [
            "1",
            "-0",
            "0.5",
            "1e9",
            "1E-3",
            "-1.5e+2",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "0x1",
            "true",
            "tru",
            "truee",
            "null",
            "NaN",
            "\"\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"a\tb\"",
            "\"",
            "[]",
            "[1]",
            "[1,]",
            "[,]",
            "[1 2]",
            "[1}",
            "{]",
            "{\"a\":1}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1]",
            "{1:1}",
            "",
            ",",
            ":",
            "[[[]]]",
            "[{\"a\":[{}]}]",
            "1]",
            "1}",
            "'a'",
            "[1]x",
        ] {
            for text in [
                format!("{{\"k\":{inside}}}"),
                format!("{{\"k\":[{inside}],\"l\":{inside}}}"),
            ] {
                let serde =
                    serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|v| v.is_object());
                assert_eq!(read(&text).is_some(), serde, "{text}");
            }
        }
        for text in [
            "",
            " ",
            "[]",
            "1",
            "\"a\"",
            "{",
            "{}}",
            "{} x",
            "\u{feff}{}",
            "{\"a\":1 \"b\":2}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_ends_where_serdes_does() {
        for depth in [1, 2, 125, 126, 127, 128, 5000] {
            let text = format!("{{\"k\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
            let serde = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(read(&text).is_some(), serde, "{depth}");
            let objects = format!("{}1{}", "{\"k\":".repeat(depth), "}".repeat(depth));
            let serde = serde_json::from_str::<serde_json::Value>(&objects).is_ok();
            assert_eq!(read(&objects).is_some(), serde, "{depth}");
        }
        assert_eq!(read(&format!("{{\"k\":{}", "[".repeat(1_000_000))), None);
    }

    #[test]
    fn elements_are_found_from_the_end() {
        let last =
            |text: &'static str| last_element(text.as_bytes(), 0).map(|r| r.map(|r| &text[r]));
        assert_eq!(last("[ ]"), Some(None));
        assert_eq!(last("[1, {\"a\":[2]} ]"), Some(Some("{\"a\":[2]}")));
        assert_eq!(last("{}"), None);
        assert_eq!(last("[1"), None);
    }

    #[test]
    fn every_cut_of_a_body_is_survived() {
        let text = r#"{"model":"a\u00e9","n":[-1.5e3,true,{"x":null}],"s":"\n"}"#;
        assert!(read(text).is_some());
        for end in 0..text.len() {
            assert_eq!(text.get(..end).and_then(read), None, "{end}");
        }
    }
}
