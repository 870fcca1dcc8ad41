//! What a pick may look at.

use std::sync::Arc;

use http::{HeaderMap, Request, Uri};

use crate::{
    base::ext::{Arrival, RequestedModel, Tried},
    body::Context,
};

/// What a pick may look at.
#[derive(Clone, Copy, Debug)]
pub struct PickContext<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The request's target.
    pub uri: &'a Uri,
    /// Where it came from.
    pub arrival: Option<&'a Arrival>,
    /// Where it has been already.
    pub tried: Option<&'a Tried>,
    /// The model that is asked for.
    pub model: Option<&'a Arc<str>>,
}

// === impl PickContext ===

impl<'a> PickContext<'a> {
    /// The context of a request.
    pub fn of<B: 'static>(request: &'a Request<B>) -> Self {
        Self {
            headers: request.headers(),
            uri: request.uri(),
            arrival: request.extensions().get(),
            tried: Context::of(request).and_then(Context::tried),
            model: request
                .extensions()
                .get()
                .map(|RequestedModel(model)| model),
        }
    }
}
