//! The context and its task-local.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::task::{JoinHandle, futures::TaskLocalFuture};

use crate::{
    base::{ext::Deadline, time::Instant},
    body,
    layers::{
        deadline::headers,
        spans::{self, Attached, Span},
        trace::{self, request_id},
    },
};

tokio::task_local! {
    static CURRENT: Context;
}

/// A future with a [`Context`]: see [`scope`].
pub type Scope<F> = TaskLocalFuture<Context, Attached<F>>;

/// What an inbound request says to whatever is asked on its behalf. Clones are cheap.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    trace: trace::Context,
    /// The span of the inbound request: the current one of what is done for it.
    span: Option<Span>,
    deadline: Option<Deadline>,
    headers: HeaderMap,
}

// === impl Context ===

impl Context {
    /// A context with this trace, and no deadline or other headers.
    #[must_use]
    pub fn new(trace: trace::Context) -> Self {
        Self(Arc::new(Inner {
            trace,
            span: None,
            deadline: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Sets or removes the deadline. Work that goes on after the answer should have none.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Deadline>) -> Self {
        Arc::make_mut(&mut self.0).deadline = deadline;
        self
    }

    /// Sets the headers that are passed on as they are.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        Arc::make_mut(&mut self.0).headers = headers;
        self
    }

    pub(super) fn with_span(mut self, span: Option<Span>) -> Self {
        Arc::make_mut(&mut self.0).span = span;
        self
    }

    /// The trace, and the span that outbound calls are children of.
    #[must_use]
    pub fn trace(&self) -> &trace::Context {
        &self.0.trace
    }

    /// `x-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&HeaderValue> {
        let mut carried = self.0.trace.carried.iter();
        carried.find_map(|(name, value)| (*name == request_id::HEADER).then_some(value))
    }

    /// When the inbound caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.0.deadline
    }

    /// The headers that are passed on as they are.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Writes it into a request, where the request says nothing itself. A deadline may only become sooner.
    pub fn apply<B: 'static>(&self, request: &mut Request<B>, now: Instant) {
        let known = request.extensions().get::<trace::Context>().is_some();
        self.apply_trace(request.headers_mut(), known);
        let into = request.headers_mut();
        for name in self.0.headers.keys() {
            if !into.contains_key(name) {
                for value in self.0.headers.get_all(name) {
                    into.append(name.clone(), value.clone());
                }
            }
        }
        let Some(deadline) = self.0.deadline else {
            return;
        };
        let left = deadline.left(now);
        if headers::read(into).is_none_or(|own| own > left) {
            headers::write(into, Some(left));
        }
        body::Context::edit(request, |known| known.shorten(deadline));
    }

    fn apply_trace(&self, into: &mut HeaderMap, known: bool) {
        if !known && trace::extract(into).formats.is_none() {
            let here = spans::current(&self.0.trace);
            trace::inject(here.as_ref().unwrap_or(&self.0.trace), into);
        } else if let Some(id) = self.request_id()
            && !into.contains_key(request_id::HEADER)
        {
            into.insert(request_id::HEADER, id.clone());
        }
    }
}

/// Values are the callers', so names only.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("trace", &self.0.trace)
            .field("deadline", &self.0.deadline)
            .field("headers", &self.0.headers.keys().collect::<Vec<_>>())
            .finish()
    }
}

// === free functions ===

/// The context of the inbound request that this code runs for; `None` outside of one.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.try_get().ok()
}

/// Runs a future in a context.
///
/// # Cancel safety
/// That of the future.
pub fn scope<F: Future>(context: Context, future: F) -> Scope<F> {
    let future = Attached::new(future, context.0.span.clone());
    CURRENT.scope(context, future)
}

/// [`tokio::spawn`] in the current context, if there is one. For work that goes on after the answer, take off the
/// deadline: `tokio::spawn(scope(context.with_deadline(None), future))`.
///
/// # Panics
/// Outside of a tokio runtime, as [`tokio::spawn`].
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current() {
        Some(context) => tokio::spawn(scope(context, future)),
        None => tokio::spawn(future),
    }
}

/// Runs a closure in a context.
pub(super) fn within<T>(context: &Context, f: impl FnOnce() -> T) -> T {
    let _entered = context.0.span.as_ref().map(Span::enter);
    CURRENT.sync_scope(context.clone(), f)
}

/// The values of some headers.
pub(super) fn pick(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let there = names.iter().flat_map(|name| {
        let values = headers.get_all(name).iter();
        values.map(move |value| (name.clone(), value.clone()))
    });
    let mut picked = HeaderMap::new();
    there.for_each(|(name, value)| {
        picked.append(name, value);
    });
    picked
}
