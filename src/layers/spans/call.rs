//! The span of a call, over all its attempts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body as HttpBody;
use tower::{Layer, Service};

#[cfg(feature = "llm")]
use super::genai::{self, Models};
use super::{Late, Span, attribute::Value, ending, kind::Kind, names, service::Watcher};
#[cfg(feature = "llm")]
use crate::llm::request::Call;
use crate::{
    base::{
        BoxError, Error,
        error::find,
        ext::{self, Record},
        time::Instant,
    },
    body::Body,
    classify::{
        Class,
        answer::{Ended, Guard, Guarded, OnEnd},
    },
    layers::trace,
};

/// Applies [`CallSpan`]. Stands outside of retries and fallbacks, inside of what reads the call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallSpanLayer(());

/// Makes a span of each call, with its retries, waits and fallbacks, until the body of its answer is over.
///
/// # Errors
/// The inner service's.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone, Copy, Debug)]
pub struct CallSpan<S> {
    inner: S,
}

/// A call under way.
struct Open {
    span: Span,
    record: Option<Record>,
    begun: Instant,
    chunked: AtomicBool,
    head: Mutex<Option<Class>>,
    #[cfg(feature = "llm")]
    models: Option<Models>,
}

// === impl CallSpanLayer ===

impl CallSpanLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for CallSpanLayer {
    type Service = CallSpan<S>;

    fn layer(&self, inner: S) -> CallSpan<S> {
        CallSpan { inner }
    }
}

// === impl CallSpan ===

impl<S, B: 'static, R> Service<Request<B>> for CallSpan<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Late<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(open) = begin(&mut request) else {
            return Late::passed(self.inner.call(request));
        };
        let open = Arc::new(open);
        let guard = Guard::new(Arc::clone(&open) as _, 0).with_reason_of(&request);
        Late::watched(Guarded::admitted(self.inner.call(request), guard), open)
    }
}

fn begin<B>(request: &mut Request<B>) -> Option<Open> {
    let extensions = request.extensions();
    let context = extensions.get::<trace::Context>()?;
    let above = extensions.get::<Span>();
    if above.is_some_and(|above| !above.is_recording()) {
        return None;
    }
    let span = begin_span(above, context, request)?;
    request.extensions_mut().insert(span.clone());
    if !span.is_recording() {
        return None;
    }
    #[cfg(feature = "llm")]
    let models = Models::of(request.extensions_mut());
    let open = Open {
        record: request.extensions().get::<Record>().cloned(),
        begun: Instant::now(),
        chunked: AtomicBool::new(false),
        head: Mutex::default(),
        #[cfg(feature = "llm")]
        models,
        span,
    };
    let address = super::attribute::host(request).map(Value::cut);
    if let Some(address) = address {
        open.span.set(names::SERVER, address);
    }
    Some(open)
}

fn begin_span<B>(
    above: Option<&Span>,
    context: &trace::Context,
    request: &Request<B>,
) -> Option<Span> {
    #[cfg(feature = "llm")]
    if let Some(call) = request.extensions().get::<Call>() {
        return genai::begin(above, context, call, request.uri().path());
    }
    if above.is_some() {
        return None;
    }
    let name = request.method().as_str().to_owned();
    let span = Span::begin(None, context, Kind::Internal, name)?;
    if span.is_recording() {
        span.set(names::METHOD, request.method().as_str().to_owned());
        span.set(names::PATH, Value::cut(request.uri().path()));
    }
    Some(span)
}

// === impl Open ===

impl Watcher for Open {
    fn head(&self, class: Class, head: Result<&Extensions, &BoxError>) {
        let why = match head {
            Ok(head) => {
                self.span.progress().answered = true;
                head.get::<ext::Ended>().copied()
            }
            Err(error) => find(&**error).and_then(Error::ended),
        };
        if let Some(why) = why {
            let why = match why {
                ext::Ended::Exhausted => "exhausted",
                ext::Ended::Budget => "budget",
            };
            self.span
                .event(names::NO_RETRY, vec![(names::WHY, why.into())]);
        }
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(class);
    }

    fn chunk(&self) {
        if !self.chunked.swap(true, Ordering::Relaxed) {
            let seconds = self.begun.elapsed().as_secs_f64();
            self.span.set(names::FIRST_CHUNK, Value::Float(seconds));
        }
    }
}

impl OnEnd for Open {
    fn end(&self, _: u64, ended: &Ended<'_>) {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let class = ending::class_of(ended, head.as_ref());
        ending::write(&self.span, ended, class);
        let attempts = self.span.progress().attempts;
        // An attempt that was refused has said so.
        if let Some(by) = class.and_then(ending::refused).filter(|_| attempts == 0) {
            self.span
                .event(names::REFUSED, vec![(names::BY, by.into())]);
        }
        self.span.set(names::ATTEMPTS, attempts);
        if let Some(record) = &self.record {
            self.note(record);
        }
        #[cfg(feature = "llm")]
        if let Some(models) = &self.models {
            models.write(&self.span, class.is_some_and(Class::is_success));
        }
        self.span.end();
    }
}

impl Open {
    /// What the layers below noted.
    fn note(&self, record: &Record) {
        let flags = record.note(|notes| notes.flags());
        self.span.set(names::FLAGS, flags);
    }
}
