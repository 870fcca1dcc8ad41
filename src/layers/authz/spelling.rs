//! The other ways in which an application may read a path.
//!
//! The path that policies see is the one that is routed and sent: decoded once, without dot segments. An application may
//! decode it once more, read `\` as `/`, or drop what comes after `;`. A rule that keeps out looks at all these readings, so
//! that no spelling of a path is a way round it. A rule that lets in looks at them where one of them climbs (`..`).

use std::borrow::Cow;

/// How often an application may decode again.
const DECODINGS: usize = 2;

/// Other readings of a path than itself. Empty for a path that has only one.
pub(super) fn readings(path: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    if !path.bytes().any(|b| b"%;\\".contains(&b)) && !path.contains("//") && !path.contains("/.") {
        return all;
    }
    let mut form = Cow::Borrowed(path.as_bytes());
    for _ in 0..=DECODINGS {
        let text = String::from_utf8_lossy(&form).into_owned();
        let cut = text.split(['\0', '?', '#']).next().unwrap_or_default();
        for reading in [clean(&text), clean(cut), text.clone()] {
            if reading != path && !all.contains(&reading) {
                all.push(reading);
            }
        }
        form = Cow::Owned(decode(&form));
    }
    all
}

/// Whether a reading leads upwards.
pub(super) fn climbs(path: &str) -> bool {
    let mut form = Cow::Borrowed(path.as_bytes());
    for _ in 0..=DECODINGS {
        let mut segments = form.split(|b| b"/\\".contains(b));
        if segments.any(|s| s.split(|b| *b == b';').next() == Some(b"..")) {
            return true;
        }
        form = Cow::Owned(decode(&form));
    }
    false
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// Without parameters of segments, empty and dot segments; `\` is `/`.
fn clean(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    let mut slash = false;
    for segment in path.split('/') {
        let plain = segment.split(';').next().unwrap_or_default();
        slash = matches!(plain, "" | "." | "..");
        match plain {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            plain => kept.push(plain),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if slash && out.len() > 1 {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in ["/", "/api/llm/chat", "/a/", "/a.b/..c"] {
            assert_eq!(readings(path), Vec::<String>::new(), "{path}");
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn every_spelling_reads_as_what_it_hides() {
        for path in [
            "/%61dmin",
            "/%2561dmin",
            "/a/..%2fadmin",
            "/a/%2e%2e/admin",
            "/a/..;/admin",
            "/a\\..\\admin",
            "/admin;x=1",
            "//admin",
            "/x/%252e%252e/admin",
            "/admin%00x",
            "/admin%2500x",
            "/admin%3fx",
            "/%2fadmin",
            "/%5cadmin",
        ] {
            let all = readings(path);
            assert!(all.iter().any(|r| r == "/admin"), "{path}: {all:?}");
        }
        assert!(climbs("/a/..%2fadmin") && climbs("/a/%252e%252e/b") && climbs("/a/..;x/b"));
        assert!(!climbs("/a%2fb/%20"));
    }
}
