//! What the body of an answer is.

use crate::llm::{
    Dialect, content,
    sniff::{Found, Sniff},
    stream::Framing,
};

/// Longer ones may be found to be nothing sooner where more of them comes at once.
const COMPARED: usize = 4096;

const DIALECTS: [(&str, Option<Dialect>); 4] = [
    ("none", None),
    ("openai", Some(Dialect::OpenAi)),
    ("gemini", Some(Dialect::Gemini)),
    ("ollama", Some(Dialect::Ollama)),
];

/// A line with the API and a content type, then the body: what it is found to be is the same however it is cut, and what was
/// found is not taken back at its end. What holds nothing but blanks says nothing.
///
/// # Panics
/// If one of these does not hold.
pub fn sniff(data: &[u8]) {
    let (first, body) = super::text::line(data);
    let first = String::from_utf8_lossy(first);
    let (api, label) = first.split_once(' ').unwrap_or((&first, ""));
    let Some((_, dialect)) = DIALECTS.iter().find(|(name, _)| *name == api) else {
        return;
    };
    let label = content::content(label);
    for streams in [false, true] {
        let found = |size: usize| {
            let mut sniff = Sniff::new(label, *dialect, streams, streams);
            let mut found = None;
            for chunk in body.chunks(size.max(1)) {
                found = sniff.feed(chunk);
                if found.is_some() {
                    break;
                }
            }
            let blank = sniff.is_blank();
            assert!(!blank || found.is_none(), "found in nothing");
            found.unwrap_or_else(|| sniff.end())
        };
        let whole = found(body.len());
        if body.len() <= COMPARED {
            for size in [1, 2, 3, 7] {
                assert_eq!(plain(found(size)), plain(whole), "cut by {size}");
            }
        }
    }
}

/// Whether JSON goes on in further lines is not known before they come.
fn plain(found: Found) -> Found {
    match found {
        Found::Stream(Framing::NdJson) => Found::Json,
        other => other,
    }
}
