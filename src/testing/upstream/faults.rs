//! Faults in the middle of a stream: what they do to its events.

use super::{
    answer::{Answer, Fault},
    body::Ending,
    dialect::{Ask, Dialect},
    event::{Event, Mark},
};

/// Puts the answer's fault into the events of a good stream. `error` is the event that [`Fault::Error`] sends.
pub(super) fn apply(
    ask: &Ask,
    answer: &Answer,
    events: &mut Vec<Event>,
    error: impl FnOnce() -> Event,
) -> Ending {
    let at = |n| place(events, n, answer.in_tokens);
    match answer.fault {
        Some(Fault::Cut(n) | Fault::ResetAfter(n)) => {
            events.truncate(at(n));
            return Ending::Cut;
        }
        Some(Fault::Stall(n)) => {
            let at = at(n);
            match (answer.stall, events.get_mut(at)) {
                (Some(stall), Some(event)) => event.wait = stall,
                (Some(_), None) => {}
                (None, _) => {
                    events.truncate(at);
                    return Ending::Stall;
                }
            }
        }
        Some(Fault::End(n)) => events.truncate(at(n)),
        Some(Fault::Error(n)) => {
            events.truncate(at(n));
            events.push(error());
            if ask.dialect == Dialect::Gemini && ask.array {
                events.push(Event::done("]"));
            }
        }
        Some(Fault::Malformed(n)) => events.insert(at(n), Event::broken()),
        Some(Fault::NoDone) => events.retain(|event| event.mark != Mark::Done),
        Some(Fault::DoubleFinish) => after_finish(events, |event| event.mark == Mark::Finish),
        Some(Fault::ContentAfterFinish) => after_finish(events, |event| event.tokens > 0),
        _ => {}
    }
    Ending::Clean
}

/// The index after `n` events, or after the event with the `n`-th token; 0 tokens are before the first.
fn place(events: &[Event], n: usize, in_tokens: bool) -> usize {
    if !in_tokens {
        return n.min(events.len());
    }
    let mut sent = 0;
    for (at, event) in events.iter().enumerate() {
        if event.tokens > 0 && sent >= n {
            return at;
        }
        sent += event.tokens;
        if n > 0 && sent >= n {
            return at + 1;
        }
    }
    events.len()
}

/// Repeats the first event that `which` names, right after the finish marker.
fn after_finish(events: &mut Vec<Event>, which: impl Fn(&Event) -> bool) {
    let at = events.iter().rposition(|event| event.mark == Mark::Finish);
    let again = events.iter().find(|event| which(event)).cloned();
    if let (Some(at), Some(mut again)) = (at, again) {
        again.tokens = 0;
        events.insert(at + 1, again);
    }
}
