//! The end of an answer is what its target is judged by: 200 headers are no success.

use crate::{
    base::BoxError,
    body::{End, Observe},
    classify::{Class, Classified, transport::class_of_body_error},
};

use super::health::Pass;

/// Watches an answer for its target's sake. A caller that goes away says nothing.
#[derive(Debug)]
pub(super) struct Watch {
    pass: Pass,
    classified: Option<Classified>,
    /// What the head came to.
    head: Class,
}

impl Watch {
    pub(super) fn new(pass: Pass, classified: Option<Classified>, head: Class) -> Self {
        Self {
            pass,
            classified,
            head,
        }
    }
}

impl Observe<BoxError> for Watch {
    fn end(self, how: End<'_, BoxError>) {
        let decided = self.classified.as_ref().and_then(Classified::end);
        let class = match (decided, how) {
            (Some(class), _) => class.clone(),
            (None, End::Complete) => self.head,
            (None, End::Failed(error)) => class_of_body_error(error),
            (None, End::Dropped) => return,
        };
        self.pass.finish(&class);
    }
}
