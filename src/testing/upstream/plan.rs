//! Answers in turn: `503;times=2,429,hold`.

use super::{answer::Answer, bad_directive::BadDirective};

/// Items, each for its `times` (once unless told), and what follows them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    items: Vec<Answer>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Good answers, or what the caller says.
    Open,
    /// `hold`: the last item for ever.
    Hold,
    /// `loop`: the items again.
    Loop,
}

// === impl Steps ===

impl Steps {
    /// Reads items separated by commas, the last of which may be `hold` or `loop`. Each changes `base`.
    pub(super) fn parse(text: &str, base: &Answer) -> Result<Self, BadDirective> {
        let mut items: Vec<&str> = text.split(',').map(str::trim).collect();
        let end = match items.last() {
            Some(&"hold") => End::Hold,
            Some(&"loop") => End::Loop,
            _ => End::Open,
        };
        if end != End::Open {
            items.pop();
        }
        let items = items.into_iter().map(|text| {
            let mut answer = base.clone();
            answer.times = None;
            answer.apply(text)?;
            Ok(answer)
        });
        Ok(Self {
            items: items.collect::<Result<_, _>>()?,
            end,
        })
    }

    /// The item, if there is but one and it is not counted.
    pub(super) fn only(&self) -> Option<&Answer> {
        match &self.items[..] {
            [only] if only.times.is_none() => Some(only),
            _ => None,
        }
    }

    /// Whether there is nothing but what follows.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item for the request with this number, counted from 0, or how far the request is past the last item.
    pub(super) fn at(&self, at: usize) -> Result<&Answer, usize> {
        let after = match item(&self.items, at) {
            Ok(answer) => return Ok(answer),
            Err(after) => after,
        };
        match self.end {
            End::Open => Err(after),
            End::Hold => self.items.last().ok_or(after),
            // `at - after` is how many requests one round takes.
            End::Loop => match at.checked_sub(after) {
                Some(round) if round > 0 => item(&self.items, at % round),
                _ => Err(after),
            },
        }
    }
}

impl FromIterator<Answer> for Steps {
    /// These items in turn; what follows is open.
    fn from_iter<T: IntoIterator<Item = Answer>>(items: T) -> Self {
        Self {
            items: items.into_iter().collect(),
            end: End::Open,
        }
    }
}

/// The item for the request with this number, or how far it is past the last.
fn item(items: &[Answer], mut at: usize) -> Result<&Answer, usize> {
    for item in items {
        let times = item.times.unwrap_or(1);
        if at < times {
            return Ok(item);
        }
        at -= times;
    }
    Err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str, requests: usize) -> Vec<u16> {
        let steps = Steps::parse(text, &Answer::ok()).unwrap();
        let status = |at| {
            let answer = steps.at(at).ok().and_then(|a| a.status);
            answer.map_or(0, |s| s.as_u16())
        };
        (0..requests).map(status).collect()
    }

    #[test]
    fn items_come_in_turn_and_end_as_told() {
        assert_eq!(statuses("503;times=2,429", 5), [503, 503, 429, 0, 0]);
        assert_eq!(statuses("503,429,hold", 4), [503, 429, 429, 429]);
        assert_eq!(
            statuses("503;times=2,200,loop", 7),
            [503, 503, 200, 503, 503, 200, 503]
        );
        assert_eq!(statuses("503;times=0,loop", 2), [0, 0]);
        assert_eq!(statuses("loop", 1), [0]);
    }

    #[test]
    fn a_single_item_needs_no_count() {
        let only = |text| Steps::parse(text, &Answer::ok()).unwrap().only().is_some();
        assert!(only("503;retry-after=2"));
        assert!(!only("503;times=1"));
        assert!(!only("503,429"));
    }

    #[test]
    fn a_word_in_the_wrong_place_is_refused() {
        for text in ["hold,503", "503,loop,429", "503,,x", "times=x"] {
            assert!(Steps::parse(text, &Answer::ok()).is_err(), "{text}");
        }
    }
}
