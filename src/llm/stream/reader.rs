//! The reader: a framing, and what its events came to so far.

use serde_json::Value;

use super::{End, Fault, Framing, Progress, event::Said, openai, sse::Sse};
use crate::{
    classify::Outcome,
    llm::{Dialect, Provider, Usage},
};

/// Longest model name that is kept.
const MODEL_CAP: usize = 256;

/// Follows one stream. Pure: no clock, no I/O; it looks at bytes and never changes them.
#[derive(Debug)]
pub struct Reader {
    frames: Frames,
    state: State,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Frames {
    Sse(Sse),
}

/// What the events came to so far.
#[derive(Debug)]
struct State {
    dialect: Dialect,
    reasoning_commits: bool,
    committed: bool,
    deltas: u64,
    /// The choices that were begun and those that ended, a bit each.
    begun: u128,
    ended: u128,
    filtered: u128,
    outcome: Outcome,
    usage: Option<Usage>,
    model: Option<String>,
}

// === impl Reader ===

impl Reader {
    /// A reader of one stream from its first byte.
    #[must_use]
    pub fn new(dialect: Dialect, _provider: Option<Provider>, _framing: Framing) -> Self {
        Self {
            frames: Frames::Sse(Sse::default()),
            state: State {
                dialect,
                reasoning_commits: true,
                committed: false,
                deltas: 0,
                begun: 0,
                ended: 0,
                filtered: 0,
                outcome: Outcome::Success,
                usage: None,
                model: None,
            },
            fault: None,
        }
    }

    /// Whether reasoning commits as other content does. It does unless said otherwise.
    #[must_use]
    pub fn with_reasoning_commits(mut self, commits: bool) -> Self {
        self.state.reasoning_commits = commits;
        self
    }

    /// Looks at the next bytes. After a fault nothing more is looked at, and the fault is not told again.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        let mut progress = Progress::default();
        if self.fault.is_none() {
            let before = self.state.deltas;
            let state = &mut self.state;
            let read = match &mut self.frames {
                Frames::Sse(sse) => sse.feed(chunk, &mut |name, data| state.event(name, data)),
            };
            progress.content = u32::try_from(self.state.deltas - before).unwrap_or(u32::MAX);
            self.fault = read.err();
            progress.fault.clone_from(&self.fault);
        }
        progress.finished = self.finished();
        progress
    }

    /// The stream ended. Asked again, it says the same.
    pub fn end(&mut self) -> End {
        if self.fault.is_none() {
            let state = &mut self.state;
            let read = match &mut self.frames {
                Frames::Sse(sse) => sse.end(&mut |name, data| state.event(name, data)),
            };
            // What cannot be read was cut off.
            self.fault = read.err().filter(|fault| *fault != Fault::Malformed);
        }
        match &self.fault {
            Some(fault) => End::Fault(fault.clone()),
            None if self.finished() => End::Complete(self.state.outcome()),
            None => End::Truncated,
        }
    }

    /// Whether content was seen, so that the stream can no longer be replaced by another.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.state.committed
    }

    /// Whether the finish marker was seen: of each choice that was begun. Usage may follow it.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.state.ended != 0 && self.state.begun & !self.state.ended == 0
    }

    /// The token counts as known so far, in normal form.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage
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

// === impl State ===

impl State {
    fn event(&mut self, name: &[u8], data: Option<&[u8]>) -> Result<(), Fault> {
        let Some(data) = data.map(<[u8]>::trim_ascii) else {
            // Too long to be read.
            return Ok(());
        };
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return Err(match name {
                b"error" => Fault::Error(Value::Null),
                _ => Fault::Malformed,
            });
        };
        let said = match self.dialect {
            _ => openai::read(&event)?,
        };
        self.hear(&said);
        Ok(())
    }

    fn hear(&mut self, said: &Said<'_>) {
        if said.content || said.reasoning {
            self.deltas += 1;
            self.committed |= said.content || self.reasoning_commits;
        }
        for (index, outcome) in &said.choices {
            let bit = 1 << (*index).min(127);
            self.begun |= bit;
            if let Some(outcome) = outcome {
                self.ended |= bit;
                if *outcome == Outcome::ContentFilter {
                    self.filtered |= bit;
                } else {
                    self.outcome = *outcome;
                }
            }
        }
        if said.usage.is_some() {
            self.usage = said.usage;
        }
        if let (None, Some(model)) = (&self.model, said.model)
            && model.len() <= MODEL_CAP
        {
            self.model = Some(model.to_owned());
        }
    }

    fn outcome(&self) -> Outcome {
        if self.ended == self.filtered {
            return Outcome::ContentFilter;
        }
        self.outcome
    }
}
