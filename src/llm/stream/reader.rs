//! The reader: a framing, and what its events came to so far.

use super::{
    End, Fault, Framing, Piece, Progress, Spoken,
    aws::Frames,
    json::{Array, Lines},
    sse::Sse,
    state::{State, Unfinished},
};
use crate::llm::{Dialect, Provider, Usage};

/// Follows one stream. Pure: no clock, no I/O; it looks at bytes and never changes them.
#[derive(Debug)]
pub struct Reader {
    decoder: Decoder,
    state: State,
    /// Whether nothing but an answer of a model could come.
    certain: bool,
    fault: Option<Fault>,
    /// What it came to, once it was asked at the end.
    ended: bool,
}

#[derive(Debug)]
enum Decoder {
    Sse(Sse),
    Lines(Lines),
    Array(Array),
    Frames(Frames),
}

// === impl Reader ===

impl Reader {
    /// A reader of one stream from its first byte. `dialect` is what the request promised: whose events they are is seen from
    /// the events, so it decides only what a stream without any is. So far no provider's habits contradict another's, so
    /// `provider` decides nothing.
    #[must_use]
    pub fn new(dialect: Dialect, _provider: Option<Provider>, framing: Framing) -> Self {
        Self {
            decoder: match framing {
                Framing::Sse => Decoder::Sse(Sse::default()),
                Framing::NdJson => Decoder::Lines(Lines::default()),
                Framing::JsonArray => Decoder::Array(Array::default()),
                Framing::EventStream => Decoder::Frames(Frames::default()),
            },
            state: State::new(framing == Framing::EventStream),
            // The paths of these are those of ordinary services too.
            certain: !matches!(dialect, Dialect::Cohere | Dialect::Ollama | Dialect::Tgi),
            fault: None,
            ended: false,
        }
    }

    /// Whether reasoning commits as other content does. It does unless said otherwise.
    #[must_use]
    pub fn with_reasoning_commits(mut self, commits: bool) -> Self {
        self.state.reasoning_commits = commits;
        self
    }

    /// Reads each event in full, also one that is like the one before. For tests: it comes to the same.
    #[doc(hidden)]
    #[must_use]
    pub fn without_templates(mut self) -> Self {
        self.state.templates = None;
        self
    }

    /// Looks at the next bytes. After a fault, or after the end, nothing more is looked at; the fault is told once.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        let mut progress = Progress::default();
        if self.fault.is_none() && !self.ended {
            let before = self.state.deltas;
            let state = &mut self.state;
            let sink = &mut |piece: Piece<'_>| state.piece(piece);
            let read = match &mut self.decoder {
                Decoder::Sse(sse) => sse.feed(chunk, sink),
                Decoder::Lines(lines) => lines.feed(chunk, sink),
                Decoder::Array(array) => array.feed(chunk, sink),
                Decoder::Frames(frames) => frames.feed(chunk, sink),
            };
            progress.content = u32::try_from(self.state.deltas - before).unwrap_or(u32::MAX);
            self.fault = read.err();
            progress.fault.clone_from(&self.fault);
        }
        progress.finished = self.finished();
        progress
    }

    /// The stream ended: what it was. Asked again, it says the same.
    pub fn end(&mut self) -> End {
        if self.fault.is_none() && !self.ended {
            self.ended = true;
            let state = &mut self.state;
            let sink = &mut |piece: Piece<'_>| state.piece(piece);
            let read = match &mut self.decoder {
                Decoder::Sse(sse) => sse.end(sink),
                Decoder::Lines(lines) => lines.end(sink),
                Decoder::Array(_) | Decoder::Frames(_) => Ok(()),
            };
            self.fault = read.err();
        }
        let whole = match &self.decoder {
            Decoder::Array(array) => array.is_whole(),
            Decoder::Sse(_) | Decoder::Lines(_) | Decoder::Frames(_) => true,
        };
        match (&self.fault, self.state.unfinished()) {
            (Some(fault), _) => End::Fault(fault.clone()),
            _ if whole && self.finished() => End::Complete(self.state.outcome()),
            (None, Unfinished::Empty) if self.certain => End::Truncated,
            (None, Unfinished::Empty | Unfinished::Opaque) => End::Opaque,
            (None, Unfinished::Truncated) => End::Truncated,
            (None, Unfinished::Broken) => End::Fault(Fault::Malformed),
        }
    }

    /// Whether content was seen, so that the stream can no longer be replaced by another.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.state.committed
    }

    /// Whether the finish marker was seen, of each choice that was begun. Usage may follow it.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.state.is_finished()
    }

    /// Whether `[DONE]` came before the finish of a choice, so that it ends nothing.
    #[must_use]
    pub fn is_premature(&self) -> bool {
        self.state.is_premature()
    }

    /// Whether these events are understood, so that content among them is about as many tokens.
    #[must_use]
    pub fn understood(&self) -> bool {
        self.state.is_understood()
    }

    /// Whether the error that came stood where a reader of events does not look, so that it must be told once more.
    #[must_use]
    pub fn unheard(&self) -> bool {
        self.state.unheard
    }

    /// The API whose events these are, as far as they say.
    #[must_use]
    pub fn spoken(&self) -> Option<Spoken> {
        self.state.dialect().map(Spoken)
    }

    /// The token counts as known so far, in normal form. Where they come with each event, the last one is parsed for it: ask
    /// at the end.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage()
    }

    /// Events with content or reasoning so far: about as many output tokens.
    #[must_use]
    pub fn deltas(&self) -> u64 {
        self.state.deltas
    }

    /// The model that answers, as the stream says.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.state.model.as_deref()
    }
}
