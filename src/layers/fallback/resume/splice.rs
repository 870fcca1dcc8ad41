//! Joins the parts of an answer that several targets gave into one valid stream of the dialect.
//!
//! The first part passes byte for byte. Of the next ones, what begins an answer is left out, since it has begun; block
//! numbers go on where they were; one finish, one end. Of usage, the output that was counted before is added. All else
//! passes as it came, names and ids of models included: an answer says who gave it.

use bytes::Bytes;
use http::{Response, header};
use serde_json::Value;

use super::{
    anthropic::Anthropic,
    events::{Event, Events},
    facts::Facts,
    openai,
};
use crate::llm::{
    Dialect,
    stream::{Framing, Spoken},
};

/// The longest answer that is gone on with.
const TEXT_CAP: usize = 256 * 1024;
/// A repetition of a shorter beginning than this is not told from chance.
const ECHO_FROM: usize = 16;

/// A joined stream.
#[derive(Debug)]
pub(in super::super) struct Splice {
    events: Events,
    tongue: DialectSplicer,
    facts: Facts,
    /// Whether events are still looked at.
    looks: bool,
    /// An error event, which does not go on as long as another target may.
    fault: Option<Bytes>,
    /// `[DONE]` without a finish reason before it, which does not go on as long as another target may.
    done: Option<Bytes>,
    echo: Option<Echo>,
}

/// What differs from dialect to dialect.
#[derive(Debug)]
enum DialectSplicer {
    OpenAi,
    Anthropic(Anthropic),
}

/// Finds out whether a target repeats what it was sent.
#[derive(Debug)]
struct Echo {
    /// What it was sent, without white space at the end.
    sent: String,
    /// How much of it was repeated; `None` once it is known that it is not, or all was.
    at: Option<usize>,
    /// The events that did.
    held: Vec<Bytes>,
    /// White space that was at the end of the text and was not sent: the target may bring it.
    space: String,
}

// === impl Splice ===

impl Splice {
    /// For an answer to a request of this dialect, as what was found in it and not as what it calls itself; `None`: it cannot
    /// be joined.
    pub(in super::super) fn of<B>(dialect: Dialect, response: &Response<B>) -> Option<Self> {
        let tongue = match dialect {
            Dialect::OpenAi => DialectSplicer::OpenAi,
            Dialect::Anthropic => DialectSplicer::Anthropic(Anthropic::default()),
            _ => return None,
        };
        let framing = Framing::of_response(response, dialect)?;
        let plain = response
            .headers()
            .get(header::CONTENT_ENCODING)
            .is_none_or(|coding| coding == "identity");
        // One path may carry the streams of several vendors.
        let spoken = response.extensions().get::<Spoken>();
        let same = spoken.is_none_or(|Spoken(spoken)| *spoken == dialect);
        (framing == Framing::Sse && plain && same).then(|| Self {
            events: Events::default(),
            tongue,
            facts: Facts::default(),
            looks: true,
            fault: None,
            done: None,
            echo: None,
        })
    }

    /// Whether streams of this dialect can be joined.
    pub(in super::super) fn joins(dialect: Dialect) -> bool {
        matches!(dialect, Dialect::OpenAi | Dialect::Anthropic)
    }

    /// Takes a chunk; gives what goes on.
    pub(super) fn feed(&mut self, chunk: Bytes) -> Bytes {
        if !self.looks {
            return chunk;
        }
        if !self.events.push(&chunk) {
            self.looks = false;
            return self.events.rest();
        }
        let mut out = Vec::new();
        while let Some(event) = self.events.next() {
            self.event(event, &mut out);
        }
        if self.facts.before.is_none() && (self.facts.more || self.facts.text.len() > TEXT_CAP) {
            // It will not be gone on with, so it need not be looked at.
            self.looks = false;
            out.extend_from_slice(&self.events.rest());
        }
        out.into()
    }

    /// What is left when the stream has ended, well or not: an error event that was kept back, or its last bytes.
    pub(super) fn rest(&mut self, well: bool) -> Bytes {
        let mut out = self.let_go_of_echo();
        let rest = self.events.rest();
        if well {
            out.extend_from_slice(&self.done.take().unwrap_or_default());
            out.extend_from_slice(&rest);
        } else if let Some(fault) = self.fault.take() {
            out.extend_from_slice(&fault);
        }
        out.into()
    }

    /// What another target is to go on with: empty if the caller was shown nothing yet, so that it may begin anew. `None`:
    /// it cannot.
    pub(super) fn text(&self) -> Option<&str> {
        let facts = &self.facts;
        if !self.looks || facts.more || facts.finished {
            return None;
        }
        if !facts.shown {
            return Some("");
        }
        (!facts.text.trim().is_empty() && facts.text.len() <= TEXT_CAP)
            .then_some(facts.text.as_str())
    }

    /// Another target goes on: what comes next is its answer.
    pub(super) fn join(&mut self) -> Bytes {
        let out = self.let_go_of_echo();
        self.events = Events::default();
        (self.fault, self.done) = (None, None);
        self.facts.before = Some(self.facts.pieces);
        if let DialectSplicer::Anthropic(state) = &mut self.tongue {
            state.join();
        }
        let sent = self.facts.text.trim_end();
        let space = match self.tongue {
            DialectSplicer::Anthropic(_) => &self.facts.text[sent.len()..],
            DialectSplicer::OpenAi => "",
        };
        let sent = if space.is_empty() {
            &self.facts.text
        } else {
            sent
        };
        self.echo = Some(Echo {
            at: (sent.len() >= ECHO_FROM).then_some(0),
            sent: sent.to_owned(),
            held: Vec::new(),
            space: space.to_owned(),
        });
        out.into()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if let Some(done) = self.done.take() {
            out.extend_from_slice(&done);
        }
        let data = event.data.as_deref().map(str::trim);
        if matches!(self.tongue, DialectSplicer::OpenAi)
            && data == Some("[DONE]")
            && !self.facts.finished
        {
            self.done = Some(event.raw);
            return;
        }
        let parsed = event
            .data
            .as_deref()
            .and_then(|data| serde_json::from_str::<Value>(data).ok());
        let Some(mut value) = parsed.filter(Value::is_object) else {
            self.facts.shown |= data.is_some_and(|data| !data.is_empty());
            out.extend_from_slice(&event.raw);
            return;
        };
        let mut said = match &mut self.tongue {
            DialectSplicer::OpenAi => openai::read(&mut value, &mut self.facts),
            DialectSplicer::Anthropic(state) => {
                state.read(&mut value, &event.name, &mut self.facts)
            }
        };
        if said.fault && !self.facts.finished {
            self.fault = Some(event.raw);
            return;
        }
        if said.stale {
            return;
        }
        let mut bytes = event.raw;
        if self.facts.finished {
            out.extend_from_slice(&self.let_go_of_echo());
        }
        if let Some(text) = said.text.take() {
            let Some((rest, held)) = self.unheard(&text, &bytes) else {
                return;
            };
            out.extend_from_slice(&held);
            if rest.len() != text.len() {
                match &self.tongue {
                    DialectSplicer::OpenAi => openai::set_text(&mut value, rest),
                    DialectSplicer::Anthropic(_) => Anthropic::set_text(&mut value, rest),
                }
                said.changed = true;
            }
            self.facts.text.push_str(rest);
            self.facts.pieces += 1;
        }
        if let Some(first) = said.first {
            out.extend_from_slice(&first);
        }
        if said.changed {
            bytes = Event::write(&event.name, &value.to_string());
        }
        out.extend_from_slice(&bytes);
    }

    /// What of a text the caller has not heard yet, and the events before it that turned out to be no repetition. `None`:
    /// this one is kept back, or is all repetition.
    fn unheard<'a>(&mut self, text: &'a str, raw: &Bytes) -> Option<(&'a str, Vec<u8>)> {
        let Some(echo) = &mut self.echo else {
            return Some((text, Vec::new()));
        };
        let mut rest = text;
        let mut held = Vec::new();
        if let Some(at) = echo.at {
            let expected = echo.sent.get(at..).unwrap_or_default();
            if expected.len() > text.len() && expected.starts_with(text) {
                echo.at = Some(at + text.len());
                echo.held.push(raw.clone());
                return None;
            }
            if let Some(more) = text.strip_prefix(expected) {
                echo.at = None;
                echo.held.clear();
                if more.is_empty() {
                    return None;
                }
                rest = more;
            } else {
                held = self.let_go_of_echo();
            }
        }
        let echo = self.echo.as_mut()?;
        let same: usize = rest
            .chars()
            .zip(echo.space.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        rest = rest.get(same..).unwrap_or(rest);
        if rest.is_empty() && held.is_empty() {
            echo.space.drain(..same);
            return None;
        }
        echo.space.clear();
        Some((rest, held))
    }

    /// What was kept back was no repetition.
    fn let_go_of_echo(&mut self) -> Vec<u8> {
        let Some(echo) = &mut self.echo else {
            return Vec::new();
        };
        let said = echo.at.take().unwrap_or(0);
        let held = std::mem::take(&mut echo.held);
        if !held.is_empty() {
            self.facts
                .text
                .push_str(echo.sent.get(..said).unwrap_or_default());
            self.facts.pieces += held.len() as u64;
        }
        held.concat()
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;

#[cfg(test)]
mod labels {
    use super::{tests::answer, *};
    use crate::llm::stream::ReadAs;

    #[test]
    fn what_was_found_in_an_answer_counts_and_not_its_label() {
        let joins = |label, found: Option<Framing>, spoken: Option<Dialect>| {
            let mut response = answer(label, None);
            response.extensions_mut().insert(ReadAs(found));
            if let Some(spoken) = spoken {
                response.extensions_mut().insert(Spoken(spoken));
            }
            Splice::of(Dialect::OpenAi, &response).is_some()
        };
        let (json, sse) = ("application/json", "text/event-stream");
        for label in [json, sse, "text/plain", "application/octet-stream"] {
            assert!(joins(label, Some(Framing::Sse), None), "{label}");
            assert!(joins(label, Some(Framing::Sse), Some(Dialect::OpenAi)));
            assert!(!joins(label, None, None), "{label}");
            assert!(!joins(label, Some(Framing::NdJson), None), "{label}");
            // Another vendor's stream on this path.
            assert!(!joins(label, Some(Framing::Sse), Some(Dialect::Anthropic)));
        }
    }
}
