//! One spelling for each path, so that the router, the rules and the service behind them read the same one.
//!
//! The rules are those of Istio's `pathNormalization`. `BASE` is its default: unreserved characters are decoded (once), `\`
//! is `/`, dot segments are resolved, escaped ones and ones with parameters too. All other escapes stay as they were
//! sent, and so do `//` and broken escapes. `MERGE_SLASHES` makes several slashes one afterwards, and
//! `DECODE_AND_MERGE_SLASHES` decodes `%2F` and `%5C` before. `NONE` leaves everything as it came.

use std::{borrow::Cow, fmt::Write as _};

use crate::model::Normalization;

/// A path with an escaped NUL, which no service reads as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nul;

/// A path, without query, in this form.
///
/// # Errors
/// [`Nul`] if it has `%00` in it, unless it is left as it came.
pub fn in_form(path: &str, form: Normalization) -> Result<Cow<'_, str>, Nul> {
    match form {
        Normalization::None => Ok(Cow::Borrowed(path)),
        Normalization::Base => normalize(path),
        Normalization::MergeSlashes => Ok(merge_slashes(normalize(path)?)),
        Normalization::DecodeAndMergeSlashes => {
            let decoded = decode_slashes(path);
            let merged = merge_slashes(normalize(&decoded)?);
            Ok(Cow::Owned(merged.into_owned()))
        }
    }
}

fn decode_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (text, length) = match rest.as_bytes() {
            [_, b'2', b'f' | b'F', ..] => ("/", 3),
            [_, b'5', b'c' | b'C', ..] => ("\\", 3),
            _ => ("%", 1),
        };
        out.push_str(text);
        rest = &rest[length..];
    }
    out + rest
}

/// As Envoy does it: a path of slashes alone comes out as two.
fn merge_slashes(path: Cow<'_, str>) -> Cow<'_, str> {
    if !path.contains("//") {
        return path;
    }
    let segments: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
    let end = if path.ends_with('/') { "/" } else { "" };
    Cow::Owned(format!("/{}{end}", segments.join("/")))
}

/// The normal form of a path, without query. Applied twice it changes nothing more.
///
/// Bytes that are no ASCII come out as escapes: a request line has no others.
///
/// # Errors
/// [`Nul`] if it has `%00` in it.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, Nul> {
    let plain = |b: u8| b.is_ascii() && b != b'%' && b != b'\\';
    if path.bytes().all(plain) && !path.split('/').any(|s| dots(s).is_some()) {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(resolve(&decode(path)?)))
}

/// Decodes what may be decoded, and turns `\` round.
fn decode(path: &str) -> Result<String, Nul> {
    let mut out = String::with_capacity(path.len());
    // Of the last two characters put out: whether one is a `%` that escapes nothing. What is decoded behind it could
    // make it an escape, which the next reader would decode again.
    let mut behind_stray = 0_u8;
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let guarded = behind_stray > 0;
        behind_stray = behind_stray.saturating_sub(1);
        match (byte, escaped(tail)) {
            (b'%', Some((0, _))) => return Err(Nul),
            (b'%', Some((byte, tail))) if is_unreserved(byte) && !guarded => {
                out.push(char::from(byte));
                rest = tail;
            }
            (b'%', Some((_, after))) => {
                out.push('%');
                out.extend(tail.iter().take(2).map(|b| char::from(*b)));
                rest = after;
                behind_stray = 0;
            }
            (b'%', None) => {
                out.push('%');
                behind_stray = 2;
            }
            (b'\\', _) => out.push('/'),
            (byte, _) if byte.is_ascii() => out.push(char::from(byte)),
            (byte, _) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
                behind_stray = 0;
            }
        }
    }
    Ok(out)
}

/// The byte that two hex digits stand for, and what is behind them.
fn escaped(tail: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = tail.split_first_chunk()?;
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a segment is `.` or `..`, and which: how many levels up. Parameters do not make it another one.
fn dots(segment: &str) -> Option<usize> {
    match segment.split(';').next() {
        Some(".") => Some(0),
        Some("..") => Some(1),
        _ => None,
    }
}

/// Resolves dot segments as RFC 3986 section 5.2.4 does: above the root is the root.
fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    // What is before the first slash: nothing, in a path from the root.
    let first = segments.next().unwrap_or_default();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match dots(segment) {
            None => kept.push(segment),
            Some(up) => {
                kept.truncate(kept.len().saturating_sub(up));
                if last {
                    kept.push("");
                }
            }
        }
    }
    kept.iter().fold(first.to_owned(), |mut path, segment| {
        path.push('/');
        path.push_str(segment);
        path
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_come_out_as_istio_would_have_them() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%61%2D%2e%5F%7e%30", "/a-._~0"),
            // Reserved ones stay, in the case in which they came.
            (
                "/%2f%2F%5c%5C%3f%23%25%20%c3%A9",
                "/%2f%2F%5c%5C%3f%23%25%20%c3%A9",
            ),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/%zz/%", "/%zz/%"),
            ("/%6", "/%6"),
            ("//a///b", "//a///b"),
            // Dot segments.
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/..;/b", "/b"),
            ("/a/..;x=1;y/b", "/b"),
            ("/a/.;x/b", "/a/b"),
            ("/a/%2e.;/b", "/b"),
            ("/a;x/b", "/a;x/b"),
            ("/a/...", "/a/..."),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/../a", "/a"),
            ("/../../..", "/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a//../b", "/a/b"),
            ("/a/..//b", "//b"),
            // Backslashes.
            (r"/a\b", "/a/b"),
            (r"/a\..\b", "/b"),
            (r"\a", "/a"),
            ("/a/%5c..%5cb", "/a/%5c..%5cb"),
            // A decoded character never completes an escape that was none.
            ("/%%36%31", "/%%361"),
            ("/%6%31", "/%6%31"),
            ("/%%7e", "/%%7e"),
            ("/%zz%61", "/%zza"),
            ("/é", "/%C3%A9"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(normal), "{path}");
        }
        assert_eq!(normalize("/a%00b"), Err(Nul));
        assert_eq!(normalize("/%%00"), Err(Nul));
    }

    #[test]
    fn other_forms() {
        use Normalization::*;
        for (form, path, normal) in [
            (
                None,
                "/a/../%2e%2E//b%2Fc\\d%41%00",
                "/a/../%2e%2E//b%2Fc\\d%41%00",
            ),
            (Base, "/a//%2e%2e/b%2Fc\\%41", "/a/b%2Fc/A"),
            (MergeSlashes, "/a//b///c//", "/a/b/c/"),
            (MergeSlashes, "//a", "/a"),
            (MergeSlashes, "///", "//"),
            (MergeSlashes, "/", "/"),
            (MergeSlashes, "/a%2F%2fb", "/a%2F%2fb"),
            (DecodeAndMergeSlashes, "/a%2Fb%2f%5Cc%5cd", "/a/b/c/d"),
            (DecodeAndMergeSlashes, "/a%2F..%2Fb", "/b"),
            (DecodeAndMergeSlashes, "/a%252Fb", "/a%252Fb"),
            (DecodeAndMergeSlashes, "/%2F", "//"),
        ] {
            assert_eq!(
                in_form(path, form).as_deref(),
                Ok(normal),
                "{form:?} {path}"
            );
        }
        for form in [Base, MergeSlashes, DecodeAndMergeSlashes] {
            assert_eq!(in_form("/a%00", form), Err(Nul), "{form:?}");
        }
    }

    #[test]
    fn of_all_escapes_only_unreserved_characters_are_decoded() {
        for byte in 1..=255_u8 {
            let path = format!("/x%{byte:02x}y");
            let normal = match byte {
                b if is_unreserved(b) => format!("/x{}y", char::from(b)),
                _ => path.clone(),
            };
            assert_eq!(normalize(&path).as_deref(), Ok(&*normal));
        }
    }

    proptest! {
        #[test]
        fn once_is_enough(path in r"/[a-f0-9./\\%;é]{0,24}") {
            if let Ok(once) = normalize(&path) {
                let twice = normalize(&once).unwrap();
                prop_assert_eq!(&*twice, &*once);
                prop_assert!(once.starts_with('/') && once.is_ascii());
                prop_assert!(!once.split('/').any(|s| dots(s).is_some()));
            }
        }
    }
}
