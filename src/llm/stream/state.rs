//! What a stream came to so far.

use super::{
    Fault,
    event::{self, Counts, Said},
    sieve,
    template::{Delta, Templates},
};
use crate::{
    classify::Outcome,
    llm::{Dialect, Usage, answer::MODEL_CAP},
};

/// What the events of one stream came to.
#[derive(Debug)]
pub(super) struct State {
    dialect: Dialect,
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

// === impl State ===

impl State {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
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

    /// An event: its name and its data. No data: it is too long to be read.
    pub(super) fn event(&mut self, name: &[u8], data: Option<&[u8]>) -> Result<(), Fault> {
        let Some(data) = data.map(<[u8]>::trim_ascii) else {
            return self.hear(event::read_name(self.dialect, name));
        };
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
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let Some(event) = sieve::read(data) else {
            return match name {
                b"error" => self.hear(event::read_name(self.dialect, name)),
                _ => Err(Fault::Malformed),
            };
        };
        let said = event::read(self.dialect, name, &event);
        if let Some(templates) = &mut self.templates
            && let Some(delta) = said.only_delta()
        {
            templates.learn(name, data, delta);
        }
        self.hear(said)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ended != 0 && self.begun & !self.ended == 0
    }

    /// What it came to, if it is finished: filtered only if each choice was.
    pub(super) fn outcome(&self) -> Outcome {
        if self.ended == self.filtered {
            return Outcome::ContentFilter;
        }
        self.outcome
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let event = sieve::read(&self.counted);
        let newer = event.and_then(|event| event::read(self.dialect, b"", &event).usage);
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
