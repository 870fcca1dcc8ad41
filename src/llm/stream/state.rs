//! What a stream came to so far.

use super::{
    Fault, Piece, converse, error,
    event::{self, Counts, Said},
    family::Family,
    plain, sieve,
    template::{Delta, Templates},
};
use crate::{
    classify::Outcome,
    llm::{
        Dialect, Usage,
        answer::{MODEL_CAP, is_rpc},
    },
};

/// Names of events that announce something, or prove the connection, and say nothing of an answer.
const QUIET: &[&str] = &[
    "heartbeat",
    "keep-alive",
    "keepalive",
    "metadata",
    "ping",
    "start",
];

/// What the events of one stream came to.
#[derive(Debug)]
pub(super) struct State {
    /// Whether the events are binary frames, whose names are Bedrock's.
    frames: bool,
    grammar: Grammar,
    /// Whether there was a piece that cannot be read, in a stream whose grammar is known.
    broken: bool,
    /// Whether an error came where a reader of events does not look.
    pub(super) unheard: bool,
    /// Whether `[DONE]` came, and whether a choice had a place for a finish reason.
    done: bool,
    promised: bool,
    /// Whether parts came that count tokens and have no place for a finish reason: Snowflake's Cortex, whose streams end
    /// with the connection.
    endless: bool,
    pub(super) reasoning_commits: bool,
    pub(super) committed: bool,
    pub(super) deltas: u64,
    /// Choices that were begun, that ended, and that ended in a filter, a bit each.
    begun: u128,
    ended: u128,
    filtered: u128,
    /// What the last choice that was not filtered came to.
    outcome: Outcome,
    usage: Option<Counts>,
    /// An event with newer counts, not read yet; empty if there is none.
    counted: Vec<u8>,
    pub(super) model: Option<Box<str>>,
    /// `None`: each event is read in full.
    pub(super) templates: Option<Templates>,
}

/// What is known of the grammar.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Grammar {
    /// No event came.
    Empty,
    /// Events came, and none that speaks for a family.
    Unknown,
    /// This family's.
    Known(Family),
    /// Content of one family came, and then events of another: nobody can say when such a stream is over.
    Mixed(Family),
}

/// What a stream is that ends without its finish marker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unfinished {
    /// There was nothing in it.
    Empty,
    /// It cannot be said.
    Opaque,
    /// Cut off.
    Truncated,
    /// Cut off, or its finish marker was among what cannot be read.
    Broken,
}

// === impl State ===

impl State {
    pub(super) fn new(frames: bool) -> Self {
        Self {
            frames,
            grammar: Grammar::Empty,
            broken: false,
            unheard: false,
            done: false,
            promised: false,
            endless: false,
            reasoning_commits: true,
            committed: false,
            deltas: 0,
            begun: 0,
            ended: 0,
            filtered: 0,
            outcome: Outcome::Success,
            usage: None,
            counted: Vec::new(),
            model: None,
            templates: Some(Templates::default()),
        }
    }

    /// The next piece of the stream.
    pub(super) fn piece(&mut self, piece: Piece<'_>) -> Result<(), Fault> {
        match piece {
            Piece::Event(name, data) => self.event(name, data.trim_ascii()),
            Piece::Long(name) => {
                if self.grammar == Grammar::Empty {
                    self.grammar = Grammar::Unknown;
                }
                self.hear(event::read_name(name))
            }
            Piece::Stray(name, data) => self.stray(name, data.trim_ascii()),
            Piece::Foreign => {
                self.unknown();
                Ok(())
            }
            Piece::Broken => {
                self.unreadable();
                Ok(())
            }
            Piece::Cut(name, data) => match data.trim_ascii() {
                // The beginning of JSON: it was cut off.
                [b'{' | b'[', ..] if sieve::read(data).is_none() && name != b"error" => Ok(()),
                data => self.event(name, data),
            },
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8]) -> Result<(), Fault> {
        if let Some(templates) = &mut self.templates
            && let Some(delta) = templates.fit(name, data)
        {
            self.delta(delta);
            if delta.counts {
                self.counted.clear();
                self.counted.extend_from_slice(data);
            }
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        // What an event of this name carries is of no known form.
        let read = match name {
            b"error" => sieve::read_whole(data),
            _ => sieve::read(data),
        };
        match read {
            Some(event) => self.read(name, data, &event),
            None if name == b"error" => Err(Fault::Error(error::of_words(data))),
            None => {
                self.unreadable();
                Ok(())
            }
        }
    }

    fn read(&mut self, name: &[u8], data: &[u8], event: &serde_json::Value) -> Result<(), Fault> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        if is_rpc(event) {
            self.unknown();
            return Ok(());
        }
        let known = matches!(self.grammar, Grammar::Known(_));
        if error::is(name, event) || known && error::is_lone_detail(event, data) {
            return Err(Fault::Error(error::body(event.clone(), data)));
        }
        if self.frames && name == "chunk" {
            return match converse::unwrap(event) {
                Some(inner) => self.event(b"", &inner),
                None => {
                    self.unknown();
                    Ok(())
                }
            };
        }
        let framed = Family::of_frame(name).filter(|_| self.frames);
        let speaker = framed.or_else(|| Family::of(name, event));
        self.recognise(speaker);
        let (Grammar::Known(family) | Grammar::Mixed(family)) = self.grammar else {
            if !QUIET.contains(&event::kind(name, event)) && event::some(Some(event)) {
                self.unknown();
            }
            return Ok(());
        };
        // Nothing of another family's is understood but that it failed.
        if let Some(other) = speaker.filter(|other| *other != family)
            && let Some(fault) = other.read(name, event).fault
        {
            return Err(fault);
        }
        let mut said = family.read(name, event);
        if self.usage.is_none() && said.usage.is_none() {
            said.usage = plain::invocation(event);
        }
        if let Some(templates) = &mut self.templates
            && let Some(delta) = said.only_delta()
        {
            templates.learn(name.as_bytes(), data, delta);
        }
        self.hear(said)
    }

    /// An event speaks for this family.
    fn recognise(&mut self, family: Option<Family>) {
        let Some(family) = family else {
            return;
        };
        self.grammar = match self.grammar {
            Grammar::Known(known) if known != family => {
                if self.deltas > 0 {
                    Grammar::Mixed(known)
                } else {
                    (self.begun, self.ended, self.filtered) = (0, 0, 0);
                    Grammar::Known(family)
                }
            }
            Grammar::Mixed(known) => Grammar::Mixed(known),
            _ => Grammar::Known(family),
        };
    }

    /// Something that is no event, but for errors.
    fn stray(&mut self, name: &[u8], data: &[u8]) -> Result<(), Fault> {
        let named = std::str::from_utf8(name).unwrap_or_default();
        let error = match sieve::read_whole(data) {
            Some(value) if !is_rpc(&value) && error::is_stray(named, &value) => {
                error::body(value, data)
            }
            _ => {
                self.unknown();
                return Ok(());
            }
        };
        self.unheard = true;
        Err(Fault::Error(error))
    }

    /// Something that is not understood. In a stream of which nothing was it passes at once, and it is a sign of life.
    fn unknown(&mut self) {
        if matches!(self.grammar, Grammar::Empty | Grammar::Unknown) {
            self.grammar = Grammar::Unknown;
            self.delta(Delta {
                content: true,
                reasoning: false,
                counts: false,
            });
        }
    }

    /// Something that should be an event and cannot be read.
    fn unreadable(&mut self) {
        self.broken |= matches!(self.grammar, Grammar::Known(_));
        self.unknown();
    }

    /// Whether each choice that was begun has its end. A server whose choices have no place for a finish reason ends them
    /// all with `[DONE]`.
    pub(super) fn is_finished(&self) -> bool {
        let told = self.ended != 0 && self.begun & !self.ended == 0;
        let known = self.grammar == Grammar::Known(Family::OpenAi);
        told || self.done && !self.promised && known && self.deltas > 0
    }

    /// Whether `[DONE]` came, and proves nothing.
    pub(super) fn is_premature(&self) -> bool {
        self.done
            && !self.is_finished()
            && matches!(
                self.unfinished(),
                Unfinished::Truncated | Unfinished::Broken
            )
    }

    /// What it is, if it is over and not finished.
    pub(super) fn unfinished(&self) -> Unfinished {
        match self.grammar {
            Grammar::Empty => Unfinished::Empty,
            Grammar::Unknown | Grammar::Mixed(_) => Unfinished::Opaque,
            Grammar::Known(_) if self.broken => Unfinished::Broken,
            Grammar::Known(_) if self.endless && !self.promised => Unfinished::Opaque,
            Grammar::Known(_) => Unfinished::Truncated,
        }
    }

    /// Whether it is known what is content, and what is not.
    pub(super) fn is_understood(&self) -> bool {
        matches!(self.grammar, Grammar::Known(_))
    }

    /// The API whose events these are, as far as that is known.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self.grammar {
            _ if self.frames => Some(Dialect::Bedrock),
            Grammar::Known(family) | Grammar::Mixed(family) => family.dialect(),
            Grammar::Empty | Grammar::Unknown => None,
        }
    }

    /// What it came to, if it is finished: filtered only if each choice was.
    pub(super) fn outcome(&self) -> Outcome {
        if self.ended != 0 && self.ended == self.filtered {
            return Outcome::ContentFilter;
        }
        self.outcome
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let event = sieve::read(&self.counted);
        let newer = event.and_then(|event| match self.grammar {
            Grammar::Known(family) | Grammar::Mixed(family) => family.read("", &event).usage,
            Grammar::Empty | Grammar::Unknown => None,
        });
        match newer.or(self.usage)? {
            Counts::Whole(usage) => Some(usage),
            Counts::Parts([input, output, read, write]) => {
                let parts = [input, read, write];
                let input = parts
                    .iter()
                    .flatten()
                    .fold(0, |sum: u64, n| sum.saturating_add(*n));
                let mut usage = Usage::new(input, output.unwrap_or(0));
                (usage.cache_read, usage.cache_write) = (read, write);
                Some(usage)
            }
        }
    }

    fn delta(&mut self, delta: Delta) {
        if delta.content || delta.reasoning {
            self.deltas += 1;
            self.committed |= delta.content || self.reasoning_commits;
        }
    }

    fn hear(&mut self, said: Said<'_>) -> Result<(), Fault> {
        self.delta(Delta {
            content: said.content,
            reasoning: said.reasoning,
            counts: said.usage.is_some(),
        });
        if said.usage.is_some() {
            self.counted.clear();
        }
        self.promised |= said.promises;
        let chat = self.grammar == Grammar::Known(Family::OpenAi);
        self.endless |= chat && said.content && said.usage.is_some() && !said.promises;
        for (index, outcome) in said.choices {
            // Nobody asks for more than 128.
            let bit = 1 << index.min(127);
            self.begun |= bit;
            if let Some(outcome) = outcome {
                self.ended |= bit;
                if outcome == Outcome::ContentFilter {
                    self.filtered |= bit;
                } else {
                    self.filtered &= !bit;
                    self.outcome = outcome;
                }
            }
        }
        self.usage = match (self.usage, said.usage) {
            (Some(Counts::Parts(mut known)), Some(Counts::Parts(told))) => {
                for (known, told) in known.iter_mut().zip(told) {
                    *known = told.or(*known);
                }
                Some(Counts::Parts(known))
            }
            (known, told) => told.or(known),
        };
        if let (None, Some(model)) = (&self.model, said.model)
            && model.len() <= MODEL_CAP
        {
            self.model = Some(model.into());
        }
        said.fault.map_or(Ok(()), Err)
    }
}
