//! `[DONE]` of a stream that is not done.
//!
//! Some servers write it after failures too (see [`llm::stream`](crate::llm::stream)). Clients stop reading there and take half
//! an answer for a whole one, whatever follows. So as long as the answer owes its finish, its `[DONE]` is kept back: it goes on
//! if the answer turns out to be whole, and never before an error.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

const EVENT: &[u8] = b"data: [DONE]";
const MARK: &[u8] = b"[DONE]";

/// The one that is kept back, if it came.
#[derive(Debug, Default)]
pub(super) struct Premature(Option<Bytes>);

// === impl Premature ===

impl Premature {
    /// Takes it out of bytes that hold it, or its end.
    pub(super) fn keep(&mut self, bytes: Bytes) -> Bytes {
        let found = match &self.0 {
            None => find(&bytes),
            Some(_) => None,
        };
        let Some((begin, end)) = found else {
            return bytes;
        };
        self.0 = Some(bytes.slice(begin..end));
        if end == bytes.len() {
            return bytes.slice(..begin);
        }
        let mut rest = BytesMut::from(bytes.get(..begin).unwrap_or_default());
        rest.extend_from_slice(bytes.get(end..).unwrap_or_default());
        rest.freeze()
    }

    /// Gives it back: the answer is whole after all.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        self.0.take()
    }
}

// === free functions ===

/// Where it stands: from its line's beginning to the end of the line breaks behind it.
fn find(bytes: &[u8]) -> Option<(usize, usize)> {
    let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
    let at_end_of_line = |end: usize| {
        let rest = bytes.get(end..).unwrap_or_default();
        let blank = rest.iter().take_while(|b| **b == b' ').count();
        let breaks = rest.iter().skip(blank).take_while(|b| is_break(b)).count();
        (breaks > 0 || blank == rest.len()).then_some(end + blank + breaks)
    };
    let whole = memmem::find_iter(bytes, MARK).find_map(|at| {
        let before = bytes.get(..at)?;
        let begin = before.iter().rposition(is_break).map_or(0, |n| n + 1);
        let field = before.get(begin..)?.strip_prefix(b"data:")?;
        let end = at_end_of_line(at + MARK.len())?;
        field.iter().all(|b| *b == b' ').then_some((begin, end))
    });
    // The rest of one that began in the bytes before these.
    whole.or_else(|| {
        let length = bytes.iter().position(|b| *b == b']')? + 1;
        EVENT.ends_with(bytes.get(..length)?).then_some(())?;
        Some((0, at_end_of_line(length)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_out_wherever_it_stands_and_nothing_else_is() {
        for (text, rest) in [
            ("data: [DONE]\n\n", ""),
            ("data:[DONE]", ""),
            ("data: a\n\ndata:  [DONE] \r\n\r\n", "data: a\n\n"),
            (
                "data: a\n\ndata: [DONE]\n\ndata: b\n\n",
                "data: a\n\ndata: b\n\n",
            ),
            ("NE]\n\n", ""),
            ("]\n\ndata: b", "data: b"),
            (
                "data: {\"a\":\"[DONE]\"}\n\n",
                "data: {\"a\":\"[DONE]\"}\n\n",
            ),
            ("data: \"[DONE]\"\n\n", "data: \"[DONE]\"\n\n"),
            ("data: [DONE].\n\n", "data: [DONE].\n\n"),
            (": [DONE] \"\n\n", ": [DONE] \"\n\n"),
            ("x]\n\n", "x]\n\n"),
            ("", ""),
        ] {
            let mut premature = Premature::default();
            let kept = premature.keep(Bytes::from_static(text.as_bytes()));
            assert_eq!(kept, rest, "{text:?}");
            let back = premature.release();
            assert_eq!(back.is_some(), text != rest, "{text:?}");
        }
    }
}
