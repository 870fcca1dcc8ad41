//! Who is told of an attempt's end, and what is told.

use std::{fmt, sync::Arc};

use http::Request;

use crate::{
    base::{Kind, ext::CancelReason},
    body::Context,
    classify::Class,
};

/// What a layer keeps for all its calls, and what hears of the end of each.
pub trait OnEnd: Send + Sync {
    /// The attempt with this token is over. Called exactly once for each [`Guard`], by whoever ends it: keep it short. A panic in it
    /// reaches the poll or drop that ended the attempt; the other guards of the attempt are told nevertheless.
    fn end(&self, token: u64, ended: &Ended<'_>);
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// What the attempt came to. `None` if it was given up before that was known: see [`why`](Self::why).
    pub class: Option<&'a Class>,
    /// Where it ended.
    pub how: How,
    /// If it was given up: the limit of this side that it ran into. `None` if its caller went away, which says nothing of its target.
    pub why: Option<Kind>,
}

/// Where an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Dropped before an answer came.
    Abandoned,
    /// With an error in place of an answer.
    Failed,
    /// Its body was read to the end.
    Complete,
    /// Its body failed.
    Broken,
    /// Its body was dropped before the end.
    Dropped,
}

/// The promise that an [`OnEnd`] hears of the end of one attempt, also if the future or the body is dropped.
#[must_use = "a guard that is dropped tells that the attempt was given up"]
pub struct Guard {
    target: Option<Arc<dyn OnEnd>>,
    token: u64,
    given_up: Option<CancelReason>,
}

// === impl Guard ===

impl Guard {
    /// `target` hears of the end, with `token`: what it needs to know the attempt by.
    pub fn new(target: Arc<dyn OnEnd>, token: u64) -> Self {
        Self {
            target: Some(target),
            token,
            given_up: None,
        }
    }

    /// Reads from this request why its attempt is given up, if it is: then [`Ended::why`] is filled.
    pub fn with_reason_of<B: 'static>(mut self, request: &Request<B>) -> Self {
        self.given_up = Context::reason_of(request);
        self
    }

    pub(super) fn finish(mut self, class: Option<&Class>, how: How) {
        self.tell(class, how);
    }

    fn tell(&mut self, class: Option<&Class>, how: How) {
        let Some(target) = self.target.take() else {
            return;
        };
        let why = match class {
            None => self.given_up.as_ref().and_then(CancelReason::why),
            Some(_) => None,
        };
        target.end(self.token, &Ended { class, how, why });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell(None, How::Abandoned);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
