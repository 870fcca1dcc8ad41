//! Cuts a stream of server-sent events into whole events, bytes kept.
//!
//! Only whole events may reach the caller where another target may go on: half an event cannot be taken back.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// The longest event that is waited for.
const CAP: usize = 1024 * 1024;

/// What has come of the next event.
#[derive(Debug, Default)]
pub(super) struct Events {
    buffer: BytesMut,
    /// Where in `buffer` the line begins that is looked at.
    line: usize,
    /// How much of that line was looked at: it has no end there.
    seen: usize,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Its bytes, with the empty line that ends it.
    pub(super) raw: Bytes,
    /// Its name; empty if it has none.
    pub(super) name: String,
    /// Its data, if it has any and is text.
    pub(super) data: Option<String>,
}

// === impl Events ===

impl Events {
    /// Takes more bytes. `false`: an event is too long to be waited for.
    pub(super) fn push(&mut self, chunk: &[u8]) -> bool {
        self.buffer.extend_from_slice(chunk);
        self.buffer.len() - self.line.min(self.buffer.len()) <= CAP && self.buffer.len() <= 2 * CAP
    }

    /// The next whole event.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let rest = self.buffer.get(self.line..)?;
            let unseen = rest.get(self.seen..)?;
            let Some(end) = memchr2(b'\n', b'\r', unseen) else {
                self.seen = rest.len();
                return None;
            };
            let end = self.seen + end;
            self.seen = end;
            let length = match (rest.get(end), rest.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => 2,
                // A LF may still come, and would belong to it.
                (Some(b'\r'), None) => return None,
                _ => 1,
            };
            self.line += end + length;
            self.seen = 0;
            if end == 0 {
                let raw = self.buffer.split_to(self.line).freeze();
                self.line = 0;
                return Some(Event::read(raw));
            }
        }
    }

    /// What is left at the end.
    pub(super) fn rest(&mut self) -> Bytes {
        (self.line, self.seen) = (0, 0);
        let length = self.buffer.len();
        self.buffer.copy_to_bytes(length)
    }
}

// === impl Event ===

impl Event {
    fn read(raw: Bytes) -> Self {
        let (mut name, mut data) = (String::new(), None::<String>);
        let text = std::str::from_utf8(&raw).unwrap_or_default();
        for line in text.split(['\n', '\r']) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field.trim_start_matches('\u{feff}') {
                "event" => value.clone_into(&mut name),
                "data" => match &mut data {
                    None => data = Some(value.to_owned()),
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                },
                _ => {}
            }
        }
        Self { raw, name, data }
    }

    /// An event with this data.
    pub(super) fn write(name: &str, data: &str) -> Bytes {
        let named = match name {
            "" => String::new(),
            name => format!("event: {name}\n"),
        };
        format!("{named}data: {data}\n\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let stream = ": hi\n\nevent: a\r\ndata: 1\r\n\r\ndata: x\ndata:y\r\rdata: ü\n\n\ndata: cut";
        let whole = |pieces: &[&[u8]]| {
            let mut events = Events::default();
            let mut all = Vec::new();
            for piece in pieces {
                assert!(events.push(piece));
                while let Some(event) = events.next() {
                    all.push(event);
                }
            }
            (all, events.rest())
        };
        let (at_once, rest) = whole(&[stream.as_bytes()]);
        assert_eq!(rest, "data: cut");
        let data: Vec<_> = at_once.iter().map(|e| e.data.as_deref()).collect();
        assert_eq!(data, [None, Some("1"), Some("x\ny"), Some("ü"), None]);
        assert_eq!(at_once[1].name, "a");
        for cut in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            let (cut_up, rest) = whole(&[a, b]);
            assert_eq!(
                (cut_up, &rest[..]),
                (whole(&[stream.as_bytes()]).0, &b"data: cut"[..])
            );
        }
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(whole(&bytes).0, at_once);
    }

    #[test]
    fn an_event_without_end_is_not_waited_for() {
        let mut events = Events::default();
        assert!(events.push(&[b'x'; CAP]));
        assert!(!events.push(b"y"));
    }
}
