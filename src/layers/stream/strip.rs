//! Takes the chunk with the usage, for which this side asked and not the caller, out of an OpenAI chat stream: pure.
//!
//! It works on whole events, so the beginning of an event waits for its end, and nothing waits longer. An event that is longer
//! than any such chunk passes as it comes.

use std::mem;

use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// A longer event is no usage chunk.
const CAP: usize = 16 * 1024;

/// One stream's filter.
#[derive(Debug, Default)]
pub struct Strip {
    /// The event that is not over.
    partial: BytesMut,
    /// How much of it was looked at.
    scanned: usize,
    lines: Lines,
    /// Whether the beginning of this event was passed on already.
    passing: bool,
}

/// Finds the ends of events: blank lines. A line ends with CR, LF or both.
#[derive(Debug)]
struct Lines {
    blank: bool,
    after_cr: bool,
}

// === impl Strip ===

impl Strip {
    /// What of these bytes, and of those kept, may go on: all that is over, but for the usage.
    pub fn feed(&mut self, chunk: &Bytes) -> Bytes {
        let all = if self.partial.is_empty() {
            chunk.clone()
        } else {
            self.partial.extend_from_slice(chunk);
            mem::take(&mut self.partial).freeze()
        };
        let (mut passed, mut begin) = (0, 0);
        let mut out = BytesMut::new();
        while let Some(end) = self.event(&all, begin) {
            if !mem::take(&mut self.passing) && is_usage(all.get(begin..end).unwrap_or_default()) {
                out.extend_from_slice(all.get(passed..begin).unwrap_or_default());
                passed = end;
            }
            begin = end;
        }
        if self.passing || all.len() - begin > CAP {
            self.passing |= all.len() > begin;
            begin = all.len();
        }
        self.partial
            .extend_from_slice(all.get(begin..).unwrap_or_default());
        self.scanned = self.partial.len();
        if out.is_empty() {
            return all.slice(passed..begin);
        }
        out.extend_from_slice(all.get(passed..begin).unwrap_or_default());
        out.freeze()
    }

    /// The stream is over: what is left of it.
    pub fn end(&mut self) -> Bytes {
        let last = mem::take(&mut self.partial).freeze();
        if is_usage(&last) { Bytes::new() } else { last }
    }

    /// The end of the event that begins at `begin`.
    fn event(&mut self, all: &[u8], begin: usize) -> Option<usize> {
        let from = begin + mem::take(&mut self.scanned);
        let rest = all.get(from..)?;
        rest.iter()
            .position(|byte| self.lines.ends(*byte))
            .map(|at| from + at + 1)
    }
}

// === impl Lines ===

impl Default for Lines {
    fn default() -> Self {
        Self {
            blank: true,
            after_cr: false,
        }
    }
}

impl Lines {
    /// Whether a blank line ends with this byte. The LF of a CRLF belongs to what follows.
    fn ends(&mut self, byte: u8) -> bool {
        let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if after_cr => false,
            b'\r' | b'\n' => mem::replace(&mut self.blank, true),
            _ => {
                self.blank = false;
                false
            }
        }
    }
}

/// Whether the event is the extra chunk: no choices, and usage.
fn is_usage(event: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(event) else {
        return false;
    };
    if !has_no_choices(text) {
        return false;
    }
    let data: String = text
        .split(['\r', '\n'])
        .filter_map(|line| line.strip_prefix("data:"))
        .collect();
    let Ok(chunk) = serde_json::from_str::<Value>(&data) else {
        return false;
    };
    let is_empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
    chunk.get("choices").is_some_and(is_empty) && chunk.get("usage").is_some_and(Value::is_object)
}

/// A look that spares nearly all events the parser.
fn has_no_choices(text: &str) -> bool {
    text.match_indices("\"choices\"").any(|(at, key)| {
        text.get(at + key.len()..)
            .and_then(|rest| rest.trim_start().strip_prefix(':'))
            .and_then(|rest| rest.trim_start().strip_prefix('['))
            .is_some_and(|rest| rest.trim_start().starts_with(']'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: &str =
        "data: {\"choices\": [ ],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}";

    fn text(eol: &str, usage: bool) -> String {
        let mut lines = vec![
            ": hello",
            "",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}",
            "",
            // Azure's first chunk.
            "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}",
            "",
            "data: \"choices\":[] usage",
            "",
        ];
        if usage {
            lines.extend([USAGE, ""]);
        }
        lines.extend(["data: [DONE]", "", ""]);
        lines.join(eol)
    }

    fn run(chunks: impl Iterator<Item = Bytes>) -> (Vec<u8>, usize) {
        let (mut strip, mut out, mut kept) = (Strip::default(), Vec::new(), 0);
        for chunk in chunks {
            out.extend_from_slice(&strip.feed(&chunk));
            kept = kept.max(strip.partial.len());
        }
        out.extend_from_slice(&strip.end());
        (out, kept)
    }

    #[test]
    fn only_the_usage_is_taken_out_however_it_is_cut() {
        for eol in ["\n", "\r\n", "\r"] {
            let (with, without) = (text(eol, true), text(eol, false));
            for size in 1..with.len() {
                let chunks = with.as_bytes().chunks(size).map(Bytes::copy_from_slice);
                let (out, kept) = run(chunks);
                let lines = |text: &[u8]| String::from_utf8_lossy(text).replace("\r\n", "\n");
                assert_eq!(lines(&out), lines(without.as_bytes()), "{eol:?} {size}");
                assert!(kept < 100, "{kept}");
            }
        }
    }

    #[test]
    fn nothing_is_copied_where_nothing_is_taken_out() {
        let chunk = Bytes::from(text("\n", false));
        let out = Strip::default().feed(&chunk);
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }

    #[test]
    fn a_usage_chunk_without_its_last_line_break_is_taken_out_too() {
        let (out, _) = run([Bytes::from(format!("data: a\n\n{USAGE}"))].into_iter());
        assert_eq!(out, b"data: a\n\n");
        let (out, _) = run([Bytes::from_static(b"data: a\n\ndata: b")].into_iter());
        assert_eq!(out, b"data: a\n\ndata: b");
    }

    #[test]
    fn a_long_event_passes_as_it_comes() {
        let long = Bytes::from(vec![b'x'; CAP + 1]);
        let mut strip = Strip::default();
        assert_eq!(strip.feed(&long).len(), CAP + 1);
        // Its end is no event of its own.
        let rest = Bytes::from(format!("{USAGE}\n\n{USAGE}\n\ndata: b\n\n"));
        let out = strip.feed(&rest);
        assert_eq!(out, Bytes::from(format!("{USAGE}\n\ndata: b\n\n")));
        assert!(strip.partial.is_empty());
    }
}
