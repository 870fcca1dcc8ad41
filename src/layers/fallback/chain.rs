//! Whether and where to go on after a target: pure, so that a table can test it.
//!
//! What happened decides *who else* could serve the request ([`FallbackScope`]): a fault of the target anybody, an empty
//! account another account, a prompt over the window a larger one, a content filter's verdict only whom the operator
//! allowed, a caller's mistake nobody. All that happened so far counts: a prompt that was too long for the first target
//! is not sent to a small one after a larger one failed.

use std::time::Duration;

use super::{params::Params, who::TargetId};
use crate::classify::{Class, FallbackScope, Outcome};

/// A target is only asked with at least this much time left.
pub const LEAST_TIME: Duration = Duration::from_millis(100);

/// A target of the chain, as one request sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Who is asked there.
    pub who: TargetId,
    /// Whether its window and limits are larger than those of the route's own target.
    pub larger: bool,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The targets that were asked, in order, and what came of each.
    pub asked: &'a [(usize, Class)],
    /// What is left until the deadline; `None` is no deadline.
    pub left: Option<Duration>,
    /// Whether the request can be sent again: its body was kept whole.
    pub replayable: bool,
}

/// What to do after a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The caller gets its answer now: the last one if it is one, else the first error.
    Answer(Why),
    /// Ask this one.
    Target(usize),
}

/// Why no further target is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request was served, or its answer is meant for the caller.
    Served,
    /// The caller is gone, or nobody else could do better.
    Forbidden,
    /// The request's body was not kept whole.
    NotReplayable,
    /// Too little time is left.
    NoTime,
    /// No target is left that could do better and is not failing, cooling down or too dear.
    NoTarget,
}

impl Place {
    /// A place.
    #[must_use]
    pub fn new(who: TargetId, larger: bool) -> Self {
        Self { who, larger }
    }
}

/// Decides after a target. `admit` is asked, in order, for each target that could do better, and says whether it may be
/// asked; the first it lets in is the next.
pub fn next(
    params: &Params,
    places: &[Place],
    progress: &Progress<'_>,
    mut admit: impl FnMut(usize) -> bool,
) -> Next {
    let Some((_, last)) = progress.asked.last() else {
        return Next::Answer(Why::NoTarget);
    };
    if last.is_success() {
        return Next::Answer(Why::Served);
    }
    if last.elsewhere == FallbackScope::None || last.outcome == Outcome::Cancelled {
        return Next::Answer(Why::Forbidden);
    }
    if !progress.replayable {
        return Next::Answer(Why::NotReplayable);
    }
    if progress.left.is_some_and(|left| left < LEAST_TIME) {
        return Next::Answer(Why::NoTime);
    }
    let mut could = (0..places.len())
        .filter(|to| could_do_better(params, places, progress.asked, *to))
        .peekable();
    if could.peek().is_none() {
        return Next::Answer(Why::Forbidden);
    }
    match could.find(|to| admit(*to)) {
        Some(to) => Next::Target(to),
        None => Next::Answer(Why::NoTarget),
    }
}

/// Whether this target was not asked yet, and nothing that happened rules it out.
fn could_do_better(params: &Params, places: &[Place], asked: &[(usize, Class)], to: usize) -> bool {
    let Some(there) = places.get(to) else {
        return false;
    };
    asked.iter().all(|(from, class)| {
        places
            .get(*from)
            .is_some_and(|here| *from != to && may_go(params, class, here, there))
    })
}

fn may_go(params: &Params, class: &Class, from: &Place, to: &Place) -> bool {
    match class.elsewhere {
        FallbackScope::Any => true,
        FallbackScope::OtherAccount => {
            from.who.account != to.who.account
                || (matches!(class.outcome, Outcome::Auth | Outcome::Permission)
                    && from.who.credential != to.who.credential)
        }
        FallbackScope::Larger => to.larger && !from.larger,
        FallbackScope::OptIn => params.content_filter && class.outcome == Outcome::ContentFilter,
        FallbackScope::None => false,
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
