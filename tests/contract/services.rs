//! The services of this crate.

use std::{
    num::NonZeroU64,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, combinators::MapFrame};
use llmesh::{
    balance::{Balance, EndpointSet, EwmaParams, Params, Policy},
    base::{BoxError, Ceiling, SharedRng},
    body::Body,
    breaker::{self, BreakerLayer},
    callers::{Caller, CallersLayer, Digest, ModelsLayer},
    classify::{ClassifyLayer, HttpClassifier},
    context::{ClientLayer, ServerLayer},
    deadline::{self, DeadlineLayer, PropagateLayer},
    fallback::{self, FallbackLayer, Health, Reach},
    limit::{
        concurrency::ConcurrencyLayer,
        learned::LearnLayer,
        tokens::{self, TokenLimitLayer},
    },
    llm::{LlmClassifier, refused::Refusals},
    metrics::{MetricsLayer, Report, Summary},
    model,
    models::ListLayer,
    outlier::{self, Group},
    respond::RespondLayer,
    retry::{self, RetryLayer, RetryOn},
    route::ModelLayer,
    route::{RouteLayer, Table, params},
    stack::{self, Boxed, CountLayer, Counters, RouteStack},
    stream::{self, Clocks, StreamLayer},
    testing::{body::ScriptedBody, probe::ServiceProbe},
    trace::{self, InjectLayer, TraceLayer},
    usage::UsageLayer,
};
use tower::{
    Layer, ServiceBuilder,
    util::{MapRequest, MapResponse},
};

use crate::matrix::{Breach, Subject, breaches};

/// One test: the service keeps the whole contract.
macro_rules! contract {
    ($name:ident, $subject:expr) => {
        #[tokio::test(start_paused = true)]
        async fn $name() {
            assert_eq!(breaches($subject).await, []);
        }
    };
}

// The probe itself must pass, or the matrix proves nothing.
contract!(the_bare_probe, Subject::new(|probe| probe));

// === limit, respond ===

contract!(concurrency_layer, {
    let ceiling = Ceiling::new(8);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    Subject::new(move |probe| layer.layer(probe)).holds(move || ceiling.used())
});
contract!(
    respond_layer,
    Subject::new(|probe| RespondLayer::new().layer(probe)).answers()
);
contract!(learn_layer, {
    Subject::new(|probe| LearnLayer::new(Arc::default(), "own").layer(probe))
});

contract!(respond_over_concurrency, {
    let ceiling = Ceiling::new(8);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    Subject::new(move |probe| RespondLayer::new().layer(layer.layer(probe)))
        .holds(move || ceiling.used())
        .answers()
});

contract!(
    token_limit_layer,
    Subject::new(|probe| {
        let plenty = NonZeroU64::MAX;
        let limit = tokens::Limit::new("l", tokens::By::Route);
        let limit = limit
            .with_requests(plenty, Duration::from_secs(60))
            .with_tokens(plenty, Duration::from_secs(60));
        TokenLimitLayer::new(tokens::Params::new([limit])).layer(probe)
    })
);
contract!(
    token_limit_layer_without_limits,
    Subject::new(|probe| TokenLimitLayer::new(tokens::Params::default()).layer(probe))
);

// === deadline ===

contract!(
    deadline_layer,
    Subject::new(|probe| DeadlineLayer::new(an_hour()).layer(probe))
);
contract!(
    deadline_layer_without_a_limit,
    Subject::new(|probe| DeadlineLayer::new(deadline::Params::default()).layer(probe))
);
contract!(
    propagate_layer,
    Subject::new(|probe| PropagateLayer::new().layer(probe))
);

// === retry ===

// The readied instance makes the first attempt; a clone becomes ready for each later one. Its error and its response are
// those of the last attempt.
contract!(
    retry_layer,
    Subject::new(|probe| RetryLayer::new(retries()).layer(probe))
);
contract!(
    retry_layer_with_per_try_timeout,
    Subject::new(|probe| {
        let params = retries().with_per_try_timeout(Duration::from_secs(5));
        RetryLayer::new(params).layer(probe)
    })
);
contract!(
    retry_layer_turned_off,
    Subject::new(|probe| RetryLayer::new(retry::Params::off()).layer(probe))
);

/// The ceiling counts retries, and only to their response head, so nothing is held in a first attempt or a body.
#[tokio::test(start_paused = true)]
async fn retry_layer_under_a_ceiling() {
    let ceiling = Ceiling::new(1);
    let layer = RetryLayer::new(retries()).with_ceiling(ceiling.clone());
    let subject = Subject::new(move |probe| layer.layer(probe));
    assert_eq!(breaches(subject).await, []);
    assert_eq!(ceiling.used(), 0);
}

// === breaker, outlier: a circuit or member for each check, so that one check's failures do not close out the next ===

contract!(
    breaker_layer,
    Subject::new(|probe| BreakerLayer::new(breaker::Params::default()).layer(probe))
);
contract!(
    outlier_layer,
    Subject::new(|probe| {
        Group::new(outlier::Params::default())
            .layer("a member")
            .layer(probe)
    })
);

// === balance ===

// It is always ready, since it cannot know the endpoint before the request: it dials for each call and waits for the
// dialled service in the future. The matrix asks only that the wait takes place somewhere and that each dialled
// instance is called ready.
contract!(balance, {
    let set = endpoints(Policy::LeastRequest);
    let of = set.clone();
    Subject::new(move |probe| {
        Balance::new(of.clone(), move |_: &_| ServiceProbe::clone(&probe))
            .with_rng(SharedRng::seeded(1))
    })
    .holds(move || in_flight(&set))
});
contract!(balance_by_latency, {
    let set = endpoints(Policy::PeakEwma(EwmaParams::default()));
    let of = set.clone();
    Subject::new(move |probe| {
        Balance::new(of.clone(), move |_: &_| ServiceProbe::clone(&probe))
            .with_rng(SharedRng::seeded(1))
    })
    .holds(move || in_flight(&set))
});

// === route, trace ===

contract!(
    route_layer,
    Subject::new(|probe| routes().with_rng(SharedRng::seeded(1)).layer(probe))
);
contract!(
    trace_layer,
    Subject::new(|probe| TraceLayer::new(trace::Params::default()).layer(probe))
);
contract!(
    inject_layer_without_a_context,
    Subject::new(|probe| InjectLayer::new().layer(probe))
);
contract!(
    inject_layer,
    Subject::new(|probe| {
        TraceLayer::new(trace::Params::default()).layer(InjectLayer::new().layer(probe))
    })
);

// === classify ===

contract!(
    classify_layer,
    Subject::new(|probe| ClassifyLayer::new(HttpClassifier::default()).layer(probe))
);
contract!(
    classify_layer_for_llm,
    Subject::new(|probe| ClassifyLayer::new(LlmClassifier::default()).layer(probe))
);
contract!(
    classify_layer_under_retries,
    Subject::new(|probe| {
        let attempt = ClassifyLayer::new(LlmClassifier::default()).layer(streaming(probe));
        RetryLayer::new(retries()).layer(attempt)
    })
);

// While an answer that carries an error would be sent again, one that is no stream is held back: to its end, or as long as
// the layer's patience lasts.
contract!(
    classify_layer_that_holds_answers_back,
    Subject::new(|probe| {
        let attempt = ClassifyLayer::new(LlmClassifier::default()).layer(probe);
        let mut terms = RetryOn::envoy("5xx,reset").unwrap();
        terms.llm = true;
        RetryLayer::new(retries().with_retry_on(terms)).layer(attempt)
    })
);

// === usage ===

contract!(
    usage_layer_over_what_is_no_call,
    Subject::new(|probe| UsageLayer::new("c", Refusals::default()).layer(probe))
);

// === callers ===

contract!(
    callers_layer,
    Subject::new(|probe| {
        let web = Caller::new("web").with_sha256(Digest::of(b"k"));
        let layer = CallersLayer::new([web], |_| None);
        MapRequest::new(layer.layer(probe), |mut request: Request<Body>| {
            let key = HeaderValue::from_static("k");
            request.headers_mut().insert("x-api-key", key);
            request
        })
    })
);
contract!(
    models_layer_for_who_may_use_all,
    Subject::new(|probe| ModelsLayer::default().layer(probe))
);

// === models ===

contract!(
    list_layer,
    Subject::new(|probe| ListLayer::default().layer(probe))
);
contract!(
    model_layer_over_a_host_that_does_not_ask,
    Subject::new(|probe| ModelLayer::<()>::new(Arc::default()).layer(probe))
);

// === metrics, count ===

// What it holds is its report: one for each request, when the body is over and not before.
contract!(metrics_layer, {
    let (called, reported) = (Arc::new(Counters::default()), Arc::new(Reported::default()));
    let (count, reports) = (CountLayer::new(called.clone()), reported.clone());
    Subject::new(move |probe| {
        let reports: Arc<dyn Report> = reports.clone();
        MetricsLayer::new(vec![reports]).layer(count.layer(probe))
    })
    .holds(move || called.total.get() - reported.0.load(Ordering::Relaxed))
});
contract!(
    count_layer,
    Subject::new(|probe| CountLayer::new(Arc::default()).layer(probe))
);

// === stream ===

contract!(
    stream_layer_over_what_is_no_stream,
    Subject::new(|probe| StreamLayer::default().layer(probe))
);

// The answer is made a stream below the layer, and bare again above it: so the sizes differ.
#[tokio::test(start_paused = true)]
async fn stream_layer() {
    let hour = Duration::from_secs(3600);
    let clocks = Clocks::default()
        .with_headers(hour)
        .with_first_token(hour)
        .with_inter_token(hour);
    let layer = StreamLayer::new(stream::Params::default().with_clocks(clocks));
    let subject = Subject::new(move |probe| bare(layer.layer(told(probe))));
    assert_eq!(breaches(subject).await, [Breach::LosesSize]);
}

// === fallback ===

// The readied instance is the first target; another target is another service, made ready when it is asked. The error is
// the first one's.
contract!(
    fallback_layer,
    Subject::new(|probe: ServiceProbe| {
        let targets = fallback::Params::to([fallback::Target::new("b")]);
        FallbackLayer::new(targets, "a", [Reach::new(probe.clone())], Health::default())
            .layer(probe)
    })
);
contract!(
    fallback_layer_without_targets,
    Subject::new(|probe| {
        FallbackLayer::new(fallback::Params::default(), "a", [], Health::default()).layer(probe)
    })
);

// === the stacks ===

contract!(endpoint_stack, {
    Subject::new(|probe| stack::endpoint(probe, &Arc::default(), LlmClassifier::default()))
});
contract!(cluster_stack, {
    let cluster = cluster();
    let state = cluster.clone();
    Subject::new(move |probe| over_cluster(&state, probe)).holds(move || cluster.requests.used())
});
contract!(route_stack, {
    let cluster = cluster();
    let state = cluster.clone();
    Subject::new(move |probe| over_route(&state, probe)).holds(move || cluster.requests.used())
});
contract!(outbound_stack, {
    let cluster = cluster();
    let state = cluster.clone();
    Subject::new(move |probe| {
        let dispatch = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(routes())
            .service(over_route(&state, probe));
        let trace = trace::Params::default();
        stack::outbound(dispatch, Vec::new(), trace, &SharedRng::seeded(1))
    })
    .holds(move || cluster.requests.used())
    .answers()
});

contract!(client_stack, {
    let layer = stack::client(stack::ClientParams::default().with_max_in_flight(Some(8)));
    let ceiling = layer.ceiling().clone();
    Subject::new(move |probe| layer.layer(streaming(probe))).holds(move || ceiling.used())
});

// === helpers ===

#[derive(Default)]
struct Reported(AtomicU64);

impl Report for Reported {
    fn report(&self, _: &Summary) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Streaming<S> = MapResponse<S, fn(Response<ScriptedBody>) -> Response<ScriptedBody>>;

/// Answers with streams that nobody can read.
fn streaming<S>(inner: S) -> Streaming<S> {
    MapResponse::new(inner, |mut response| {
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, stream);
        let coding = HeaderValue::from_static("aes128gcm");
        response.headers_mut().insert(CONTENT_ENCODING, coding);
        response
    })
}

const BEGIN: Bytes =
    Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
const FINISH: Bytes = Bytes::from_static(
    b"\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
);

/// A body made a stream of events: content first, the finish marker last. What is between are lines without a meaning.
struct Told {
    begin: Option<Bytes>,
    inner: ScriptedBody,
    finish: Option<Bytes>,
    trailers: Option<Frame<Bytes>>,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(begin) = self.begin.take() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        if self.finish.is_none() {
            return Poll::Ready(self.trailers.take().map(Ok));
        }
        match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) if frame.is_trailers() => self.trailers = Some(frame),
            Some(frame) => return Poll::Ready(Some(frame)),
            None => {}
        }
        Poll::Ready(self.finish.take().map(|f| Ok(Frame::data(f))))
    }
}

type AsStream<S> = MapResponse<S, fn(Response<ScriptedBody>) -> Response<Told>>;

fn told<S>(inner: S) -> AsStream<S> {
    MapResponse::new(inner, |mut response| {
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, stream);
        response.map(|inner| Told {
            begin: Some(BEGIN),
            inner,
            finish: Some(FINISH),
            trailers: None,
        })
    })
}

type Unframed = fn(Frame<Bytes>) -> Frame<Bytes>;
type Seen = stream::ResponseBody<Told>;
type Bare<S> = MapResponse<S, fn(Response<Seen>) -> Response<MapFrame<Seen, Unframed>>>;

fn bare<S>(inner: S) -> Bare<S> {
    MapResponse::new(inner, |response: Response<Seen>| {
        response.map(|body| {
            body.map_frame(
                (|frame| match frame.data_ref() {
                    Some(data) if *data == BEGIN || *data == FINISH => Frame::data(Bytes::new()),
                    _ => frame,
                }) as Unframed,
            )
        })
    })
}

fn an_hour() -> deadline::Params {
    deadline::Params::default().with_timeout(Duration::from_secs(3600))
}

fn retries() -> retry::Params {
    let terms = RetryOn::envoy("5xx,reset").unwrap();
    retry::Params::default().with_retry_on(terms)
}

fn endpoints(policy: Policy) -> EndpointSet {
    let set = EndpointSet::new("service", Params::new(policy), None);
    set.update_from([
        ("127.0.0.1:1".parse().unwrap(), 1),
        ("127.0.0.1:2".parse().unwrap(), 1),
    ]);
    set
}

fn in_flight(set: &EndpointSet) -> u64 {
    set.endpoints().iter().map(|e| e.in_flight()).sum()
}

fn forward() -> params::Forward {
    let mut forward = params::Forward::new(vec![params::Destination::new("service", 1)]);
    forward.deadline = an_hour();
    forward.retry = retries();
    forward
}

fn routes() -> RouteLayer {
    let action = params::Action::Forward(Box::new(forward()));
    let route = params::Route::new("all", action);
    let table = Table::builder().virtual_host("service:80", ["service"], [80], [route]);
    RouteLayer::new(Arc::new(table.build()))
}

fn cluster() -> stack::Cluster {
    let name = model::ClusterName::new(80, "", "service");
    let cluster = model::Cluster::new(name, model::Discovery::Static(Vec::new()));
    let cluster = stack::Cluster::new(&cluster);
    cluster
        .endpoints
        .update_from([("127.0.0.1:1".parse().unwrap(), 1)]);
    cluster
}

fn over_cluster(cluster: &stack::Cluster, probe: ServiceProbe) -> Boxed {
    let counters = Arc::clone(&cluster.counters);
    cluster.service(
        move |_: &_| {
            stack::endpoint(
                streaming(probe.clone()),
                &counters,
                LlmClassifier::default(),
            )
        },
        &SharedRng::seeded(1),
    )
}

fn over_route(cluster: &stack::Cluster, probe: ServiceProbe) -> Boxed {
    let inner = over_cluster(cluster, probe);
    let rng = SharedRng::seeded(1);
    let (forward, name) = (forward(), Arc::from("cluster"));
    let route = RouteStack {
        forward: &forward,
        rng: &rng,
        llm: None,
    };
    route.stack(&name, cluster, inner, Vec::new())
}
contract!(
    context_server_layer,
    Subject::new(|probe| ServerLayer::new().layer(probe))
);
contract!(
    context_client_layer,
    Subject::new(|probe| ServerLayer::new().layer(ClientLayer::new().layer(probe)))
);
