//! The layers round one client, for those who have no configuration files.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::{Layer, Service, ServiceBuilder};

use super::Boxed;
use crate::{
    base::{BoxError, Ceiling, SharedRng, cost::Ledger, ext::Record},
    body::{Body, RequestBody},
    breaker::{self, BreakerLayer},
    call::{self, CallLayer},
    classify::ClassifyLayer,
    context,
    deadline::{self, DeadlineLayer, PropagateLayer},
    limit::concurrency::ConcurrencyLayer,
    llm::{DialectMode, LlmClassifier},
    retry::{self, RetryLayer},
    spans::{AttemptSpanLayer, CallSpanLayer},
    stream::{self, StreamLayer},
    trace::{self, TraceLayer},
};

/// Parameters of [`client`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientParams {
    /// The limit over all attempts and the response body.
    pub deadline: deadline::Params,
    /// When and how often to repeat.
    pub retry: retry::Params,
    /// When to stop asking.
    pub breaker: breaker::Params,
    /// Attempts in flight, their response bodies included; `None` is no ceiling.
    pub max_in_flight: Option<u64>,
    /// New traces.
    pub trace: trace::Params,
    /// Whose answers are read, and whether they are.
    pub dialect: DialectMode,
    /// How streams are watched. Its dialect is the one above.
    pub stream: stream::Params,
}

/// Puts the stack of [`client`] round a service. All services that one layer makes share its circuit, ceiling and
/// budget: make one layer for each target.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ClientLayer {
    params: ClientParams,
    retry: RetryLayer,
    stats: Arc<retry::Stats>,
    breaker: breaker::Handle,
    ceiling: Ceiling,
    rng: SharedRng,
}

/// Everything that a client of one target should have, in the order in which it works:
///
/// ```text
/// CONTEXT ▸ TRACE ▸ DEADLINE ▸ CALL ▸ SPAN ▸ RETRY ▸ per attempt: SPAN ▸ DEADLINE propagate ▸ CONCURRENCY ▸ BREAKER ▸ CLASSIFY ▸ STREAM ▸ yours
/// ```
///
/// | what if … | then |
/// |---|---|
/// | CONTEXT stood inside TRACE | each call would begin a trace of its own instead of joining the inbound one |
/// | DEADLINE stood inside RETRY | each attempt would get the whole time again, and waits would not count |
/// | SPAN of attempts stood outside RETRY | all attempts would be one span |
/// | DEADLINE propagate stood outside RETRY | a late attempt would promise its upstream time that is gone |
/// | BREAKER stood outside RETRY | a request that fails twice and then succeeds would hide two failures, and retries would go on against an open circuit |
/// | CONCURRENCY stood outside RETRY | waits between attempts would hold permits, and one slow target would refuse requests that are not even being sent |
/// | CONCURRENCY stood inside BREAKER | the circuit would admit, probes included, what the ceiling then refuses |
/// | CLASSIFY stood outside BREAKER or RETRY | they would judge by status alone: an empty account is a 429 like any other, an error inside a 200 a success |
/// | CALL stood inside RETRY | each attempt would read the request again |
/// | STREAM stood outside CLASSIFY | the class of a stream would be that of its 200, whatever it came to |
///
/// Each attempt says its number in `x-envoy-attempt-count` and what is left of the time in `x-envoy-expected-rq-timeout-ms`.
///
/// Below a [`MetricsLayer`](crate::metrics::MetricsLayer) the [`Summary`](crate::metrics::Summary) of an LLM call says what
/// each attempt cost in tokens, and at which model.
///
/// Errors are [`base::Error`](crate::base::Error)s in a [`BoxError`], or the service's own. `yours` is any
/// `Service<http::Request<Body>>` that clones, such as `client::hyper::HyperClient` or `client::reqwest::ReqwestClient`.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use http::{Request, Response};
/// use llmesh::{base::BoxError, body::Body, deadline, stack::{self, ClientParams}};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let params = ClientParams::default()
///     .with_deadline(deadline::Params::default().with_timeout(Duration::from_secs(30)))
///     .with_max_in_flight(Some(100));
/// let upstream = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::from("hello"))) });
/// let client = stack::client(params).layer(upstream);
/// let response = client.oneshot(Request::new(Body::empty())).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn client(params: ClientParams) -> ClientLayer {
    let stats = Arc::<retry::Stats>::default();
    // A hop of a mesh may be what is called.
    let retry = params.retry.clone().with_attempt_header(true);
    ClientLayer {
        retry: RetryLayer::new(retry).with_stats(Arc::clone(&stats)),
        stats,
        breaker: breaker::Handle::new(params.breaker.clone()),
        ceiling: params
            .max_in_flight
            .map_or_else(Ceiling::unlimited, Ceiling::new),
        rng: SharedRng::from_entropy(),
        params,
    }
}

// === impl ClientParams ===

impl Default for ClientParams {
    /// The defaults of each: no timeout; retries of what is worth one
    /// ([`RetryOn::standard`](retry::RetryOn::standard)), with the [standard budget](retry::params::Budget::standard); the
    /// breaker's; no ceiling; 1 % of new traces sampled; the dialect seen from the request; streams held back until
    /// their first content, with no clocks.
    fn default() -> Self {
        Self {
            deadline: deadline::Params::default(),
            retry: retry::Params::default(),
            breaker: breaker::Params::default(),
            max_in_flight: None,
            trace: trace::Params::default(),
            dialect: DialectMode::Auto,
            stream: stream::Params::default(),
        }
    }
}

impl ClientParams {
    /// Sets the limit over all attempts and the response body.
    #[must_use]
    pub fn with_deadline(mut self, deadline: deadline::Params) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the number of retries, and nothing else of them.
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retry.retries = retries;
        self
    }

    /// Sets the limit over all attempts and the response body.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline.timeout = Some(timeout);
        self
    }

    /// Sets when and how often to repeat.
    #[must_use]
    pub fn with_retry(mut self, retry: retry::Params) -> Self {
        self.retry = retry;
        self
    }

    /// Sets when to stop asking.
    #[must_use]
    pub fn with_breaker(mut self, breaker: breaker::Params) -> Self {
        self.breaker = breaker;
        self
    }

    /// Sets the ceiling of attempts in flight.
    #[must_use]
    pub fn with_max_in_flight(mut self, max: Option<u64>) -> Self {
        self.max_in_flight = max;
        self
    }

    /// Sets how new traces begin.
    #[must_use]
    pub fn with_trace(mut self, trace: trace::Params) -> Self {
        self.trace = trace;
        self
    }

    /// Sets whose answers are read.
    #[must_use]
    pub fn with_dialect(mut self, dialect: DialectMode) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets how streams are watched.
    #[must_use]
    pub fn with_stream(mut self, stream: stream::Params) -> Self {
        self.stream = stream;
        self
    }
}

// === impl ClientLayer ===

impl ClientLayer {
    /// Sets the generator of every random draw.
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.retry = self.retry.with_rng(rng.clone());
        self.rng = rng;
        self
    }

    /// The circuit.
    #[must_use]
    pub const fn breaker(&self) -> &breaker::Handle {
        &self.breaker
    }

    /// The ceiling.
    #[must_use]
    pub const fn ceiling(&self) -> &Ceiling {
        &self.ceiling
    }

    /// What retries did.
    #[must_use]
    pub const fn retry_stats(&self) -> &Arc<retry::Stats> {
        &self.stats
    }
}

impl<S, R> Layer<S> for ClientLayer
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    type Service = Boxed;

    fn layer(&self, inner: S) -> Boxed {
        let stack = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(context::ClientLayer::new())
            .layer(TraceLayer::new(self.params.trace.clone()).with_rng(self.rng.clone()))
            .layer(DeadlineLayer::new(self.params.deadline.clone()))
            .map_request(keep_account)
            .layer(CallLayer::new(
                call::Params::default().with_dialect(self.params.dialect),
            ))
            .layer(CallSpanLayer::new())
            .layer(self.retry.clone())
            .layer(AttemptSpanLayer::new())
            .layer(PropagateLayer::new())
            .layer(ConcurrencyLayer::new(self.ceiling.clone()))
            .layer(BreakerLayer::shared(self.breaker.clone()))
            .layer(ClassifyLayer::new(LlmClassifier::new(self.params.dialect)))
            .layer(StreamLayer::new(
                self.params.stream.clone().with_dialect(self.params.dialect),
            ))
            .map_request(|request: Request<RequestBody>| request.map(Body::new))
            .service(inner);
        Boxed::new(stack)
    }
}

/// Where a summary will be told, it says what the call cost.
fn keep_account(mut request: Request<RequestBody>) -> Request<RequestBody> {
    if let Some(record) = request.extensions().get::<Record>().cloned() {
        let ledger = request.extensions_mut().get_or_insert_default::<Ledger>();
        record.note(|n| n.ledger = Some(ledger.clone()));
    }
    request
}
