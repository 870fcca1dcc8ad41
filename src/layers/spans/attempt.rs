//! The span of an attempt.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body as HttpBody;
use tower::{Layer, Service};

use super::{
    Late, Span,
    attribute::{Value, host},
    ending::{self, millis},
    kind::Kind,
    names,
    service::Watcher,
};
use crate::{
    base::{
        BoxError,
        ext::{EndpointRef, Record},
        order::{self, Step},
        time::Instant,
    },
    body::Body,
    classify::{
        Class,
        answer::{Ended, Guard, Guarded, OnEnd},
    },
    layers::trace,
};

/// Applies [`AttemptSpan`]. Stands inside retries.
#[derive(Clone, Debug, Default)]
pub struct AttemptSpanLayer {
    cluster: Option<Arc<str>>,
}

/// Makes a client span of each attempt and tells it to the upstream. Where there is none, the caller's context goes on as it
/// came.
///
/// # Errors
/// The inner service's.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone, Debug)]
pub struct AttemptSpan<S> {
    inner: S,
    cluster: Option<Arc<str>>,
}

/// An attempt under way.
struct Open {
    span: Span,
    /// The call's.
    above: Span,
    record: Option<Record>,
    head: Mutex<(Option<Class>, Option<SocketAddr>)>,
}

// === impl AttemptSpanLayer ===

impl AttemptSpanLayer {
    /// The layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the cluster that is asked. Where it changes from one attempt to the next, that is a fallback.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Arc<str>) -> Self {
        self.cluster = Some(cluster);
        self
    }
}

impl<S> Layer<S> for AttemptSpanLayer {
    type Service = AttemptSpan<S>;

    fn layer(&self, inner: S) -> AttemptSpan<S> {
        AttemptSpan {
            inner,
            cluster: self.cluster.clone(),
        }
    }
}

// === impl AttemptSpan ===

impl<S, B: 'static, R> Service<Request<B>> for AttemptSpan<S>
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
        order::pass(request.extensions_mut(), Step::Inject);
        let Some(open) = begin(&mut request, self.cluster.as_ref()) else {
            return Late::passed(self.inner.call(request));
        };
        let open = Arc::new(open);
        let guard = Guard::new(Arc::clone(&open) as _, 0).with_reason_of(&request);
        Late::watched(Guarded::admitted(self.inner.call(request), guard), open)
    }
}

/// Begins the span and writes the headers.
fn begin<B>(request: &mut Request<B>, cluster: Option<&Arc<str>>) -> Option<Open> {
    let extensions = request.extensions();
    let context = extensions.get::<trace::Context>()?.clone();
    let Some(above) = extensions.get::<Span>().cloned() else {
        if trace::extract(request.headers()).formats.is_none() {
            trace::inject(&context, request.headers_mut());
        }
        return None;
    };
    let name = request.method().as_str().to_owned();
    let span = match above.is_recording() {
        true => Span::begin(Some(&above), &context, Kind::Client, name),
        false => None,
    };
    if let Some(told) = span.as_ref().unwrap_or(&above).told(&context) {
        trace::inject(&told, request.headers_mut());
    }
    let span = span.filter(Span::is_recording)?;
    describe(&span, request);
    place(&span, &above, cluster);
    let record = request.extensions().get::<Record>().cloned();
    if let Some(cluster) = cluster {
        span.set(names::UPSTREAM_CLUSTER, Arc::clone(cluster));
    }
    Some(Open {
        span,
        above,
        record,
        head: Mutex::default(),
    })
}

fn describe<B>(span: &Span, request: &Request<B>) {
    span.set(names::METHOD, request.method().as_str().to_owned());
    span.set(names::PATH, Value::cut(request.uri().path()));
    if let Some(host) = host(request) {
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.contains(']'));
        span.set(
            names::SERVER,
            Value::cut(name.map_or(host, |(name, _)| name)),
        );
        if let Some(port) = name.and_then(|(_, port)| port.parse::<u16>().ok()) {
            span.set(names::PORT, port);
        }
    }
}

/// Where the attempt stands among those of its call, and why it is made.
fn place(span: &Span, above: &Span, cluster: Option<&Arc<str>>) {
    let mut progress = above.progress();
    progress.attempts = progress.attempts.saturating_add(1);
    let number = progress.attempts;
    let waited = progress.ended.map(|ended| ended.elapsed());
    let source = progress.hint.take().unwrap_or("backoff");
    let before = progress.cluster.clone();
    progress.cluster = cluster.cloned();
    let resumed = progress.answered;
    drop(progress);
    span.set(names::ATTEMPT, number);
    if number == 1 {
        return;
    }
    span.set(names::RESEND, number - 1);
    let waited = waited.map_or(0, millis);
    let changed = before.as_ref() != cluster;
    if changed {
        let name = |cluster: Option<Arc<str>>| cluster.map_or(Value::Str("-"), Value::Shared);
        let event = vec![
            (names::ATTEMPT, number.into()),
            (names::FROM, name(before)),
            (names::TO, name(cluster.cloned())),
        ];
        above.event(names::FALLBACK, event);
    } else {
        span.set(names::WAIT, waited);
        span.set(names::WAIT_SOURCE, source);
    }
    if resumed {
        above.event(names::RESUME, vec![(names::ATTEMPT, number.into())]);
    } else if !changed {
        let event = vec![
            (names::ATTEMPT, number.into()),
            (names::WAIT, waited.into()),
            (names::WAIT_SOURCE, source.into()),
        ];
        above.event(names::RETRY, event);
    }
}

// === impl Open ===

impl Watcher for Open {
    fn head(&self, class: Class, head: Result<&Extensions, &BoxError>) {
        let endpoint = head.ok().and_then(|head| head.get::<EndpointRef>());
        let mut noted = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (Some(class), endpoint.map(|endpoint| endpoint.0));
    }
}

impl Open {
    fn endpoint(&self, address: SocketAddr) {
        self.span.set(names::PEER, address.ip().to_string());
        self.span.set(names::PEER_PORT, address.port());
    }
}

impl OnEnd for Open {
    fn end(&self, _: u64, ended: &Ended<'_>) {
        let noted = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let class = ending::class_of(ended, noted.0.as_ref());
        // An attempt without an answer: who was picked is in the record.
        let endpoint = noted.1.or_else(|| {
            let record = self.record.as_ref()?;
            record.note(|notes| notes.endpoint)
        });
        if let Some(endpoint) = endpoint {
            self.endpoint(endpoint);
        }
        let status = class.or(noted.0.as_ref()).and_then(ending::status);
        if let Some(status) = status {
            self.span.set(names::STATUS, status);
        }
        ending::write(&self.span, ended, class);
        if let Some(by) = class.and_then(ending::refused) {
            self.above
                .event(names::REFUSED, vec![(names::BY, by.into())]);
        }
        let mut progress = self.above.progress();
        progress.ended = Some(Instant::now());
        progress.hint = class.and_then(|class| class.hint).map(|hint| hint.source);
        drop(progress);
        self.span.end();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}
