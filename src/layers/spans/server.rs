//! The span of a request that came in.

use std::fmt;

use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};

use super::{Span, attribute::Value, kind::Kind, names};
use crate::{
    base::ext::{Arrival, Notes, Record},
    layers::trace::{self, request_id},
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A request whose span is over when the body of its answer is. If it is dropped before, its caller went away.
#[derive(Default)]
#[must_use = "dropped, it says that the caller went away"]
pub struct Serving(Option<Box<Open>>);

struct Open {
    span: Span,
    /// What the layers below note; `None` where none do.
    record: Option<Record>,
    status: Option<u16>,
    sent: u64,
    failed: bool,
    /// A server drops the body of an answer to `HEAD` unread.
    bodiless: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// All of its answer was sent.
    Complete,
    /// The answer broke off, or there was none.
    Failed,
    /// The caller went away.
    Dropped,
}

// === impl Serving ===

impl Serving {
    /// Begins the span of a request with this context. The span is also returned where nothing but its ids is needed.
    pub(crate) fn begin<B>(
        request: &mut Request<B>,
        context: &trace::Context,
        proxied: bool,
    ) -> (Option<Span>, Self) {
        let name = request.method().as_str().to_owned();
        let Some(span) = Span::begin(None, context, Kind::Server, name) else {
            return (None, Self(None));
        };
        if !span.is_recording() {
            return (Some(span), Self(None));
        }
        describe(&span, request);
        let record = proxied.then(|| {
            span.set(names::COMPONENT, "proxy");
            span.set(names::DOWNSTREAM_CLUSTER, "-");
            let extensions = request.extensions_mut();
            extensions.get_or_insert_default::<Record>().clone()
        });
        let open = Open {
            span: span.clone(),
            record,
            status: None,
            sent: 0,
            failed: false,
            bodiless: request.method() == Method::HEAD,
        };
        (Some(span), Self(Some(Box::new(open))))
    }

    /// The head of the answer.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(open) = &mut self.0 {
            open.status = Some(status.as_u16());
            open.grpc(headers);
        }
    }

    /// So many bytes of the answer's body pass.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(open) = &mut self.0 {
            open.sent += bytes as u64;
        }
    }

    /// The trailers of the answer.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(open) = &mut self.0 {
            open.grpc(trailers);
        }
    }

    /// It is over.
    pub(crate) fn over(&mut self, how: How) {
        if let Some(open) = self.0.take() {
            open.end(how);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.over(How::Dropped);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Serving").field(&self.0.is_some()).finish()
    }
}

// === impl Open ===

impl Open {
    /// gRPC says in a field what HTTP says in the status.
    fn grpc(&mut self, fields: &HeaderMap) {
        let code = fields
            .get(GRPC_STATUS)
            .and_then(|code| code.to_str().ok()?.parse::<u16>().ok());
        if let Some(code) = code {
            self.span.set("rpc.grpc.status_code", code);
            self.failed |= matches!(code, 2 | 4 | 8 | 12..=15);
        }
    }

    fn end(self, mut how: How) {
        let span = &self.span;
        if how == How::Dropped && self.bodiless && self.status.is_some() {
            how = How::Complete;
        }
        if let Some(record) = &self.record {
            record.note(|notes| note(span, notes));
            span.set(names::ENVOY_STATUS, self.status.unwrap_or(0));
            span.set(names::RESPONSE_SIZE, self.sent);
        }
        if let Some(status) = self.status {
            span.set(names::STATUS, status);
        }
        let server_error = self.status.filter(|status| *status >= 500);
        match (how, server_error) {
            (_, Some(status)) => span.fail(status.to_string()),
            (How::Failed, None) => span.fail("broken"),
            (_, None) if self.failed => span.fail("grpc"),
            // The caller's leaving is no error of this side.
            (How::Dropped, None) => span.set(names::END, "cancelled"),
            (How::Complete, None) => {}
        }
        let envoy_error = server_error.is_some() || self.status.is_none() || self.failed;
        if self.record.is_some() && envoy_error {
            span.set(names::ENVOY_ERROR, true);
        }
        span.end();
    }
}

// === free functions ===

fn describe<B>(span: &Span, request: &Request<B>) {
    let (uri, headers) = (request.uri(), request.headers());
    let arrival = request.extensions().get::<Arrival>();
    let scheme = match arrival {
        Some(arrival) if arrival.tls => "https",
        _ => "http",
    };
    let (host, path) = (super::attribute::host(request), uri.path());
    span.set(names::METHOD, request.method().as_str().to_owned());
    span.set(names::ENVOY_METHOD, request.method().as_str().to_owned());
    span.set(names::PATH, Value::cut(path));
    span.set(names::SCHEME, scheme);
    if let Some(host) = host {
        span.set(names::SERVER, Value::cut(host));
        let url = format!("{scheme}://{host}{path}");
        span.set(names::ENVOY_URL, Value::cut(&url));
    }
    span.set(names::ENVOY_PROTOCOL, protocol(request.version()));
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(agent) = text(&header::USER_AGENT) {
        span.set(names::USER_AGENT, Value::cut(agent));
        span.set(names::ENVOY_USER_AGENT, Value::cut(agent));
    }
    if let Some(id) = text(&request_id::HEADER) {
        span.set(names::REQUEST_ID, Value::cut(id));
    }
    if let Some(size) = text(&header::CONTENT_LENGTH).and_then(|size| size.parse::<u64>().ok()) {
        span.set(names::REQUEST_SIZE, size);
    }
    if let Some(peer) = arrival.and_then(|arrival| arrival.peer) {
        span.set(names::CLIENT, peer.ip().to_string());
        span.set(names::ENVOY_PEER, peer.ip().to_string());
    }
}

/// What the layers below noted.
fn note(span: &Span, notes: &Notes) {
    span.set(names::FLAGS, notes.flags());
    span.set(names::ATTEMPTS, notes.attempts);
    let Some(route) = &notes.route else { return };
    span.set(names::UPSTREAM_CLUSTER, route.cluster.clone());
    span.set(names::UPSTREAM_CLUSTER_NAME, route.cluster.clone());
    // Istio's operation: `outbound|80|v1|host` is `host:80/*`.
    let mut parts = route.cluster.split('|').skip(1);
    if let (Some(port), Some(_), Some(host)) = (parts.next(), parts.next(), parts.next()) {
        span.rename(format!("{host}:{port}/*"));
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
