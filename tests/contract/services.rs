//! The services of this crate.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Response, header::CONTENT_TYPE};
use llmesh::{
    balance::{Balance, EndpointSet, EwmaParams, Params, Policy},
    base::{Ceiling, SharedRng},
    body::Body,
    breaker::{self, BreakerLayer},
    classify::{ClassifyLayer, HttpClassifier},
    context::{ClientLayer, ServerLayer},
    deadline::{self, DeadlineLayer, PropagateLayer},
    limit::{
        concurrency::ConcurrencyLayer,
        tokens::{self, TokenLimitLayer},
    },
    llm::LlmClassifier,
    metrics::{MetricsLayer, Report, Summary},
    model,
    outlier::{self, Group},
    respond::RespondLayer,
    retry::{self, RetryLayer, RetryOn},
    route::{RouteLayer, Table, params},
    stack::{self, Boxed, CountLayer, Counters},
    testing::{body::ScriptedBody, probe::ServiceProbe},
    trace::{self, InjectLayer, TraceLayer},
};
use tower::{
    Layer, ServiceBuilder,
    util::{BoxCloneSyncService, MapResponse},
};

use crate::matrix::{Subject, breaches};

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
        let mut terms = RetryOn::parse("5xx,reset").unwrap();
        terms.llm = true;
        RetryLayer::new(retries().with_retry_on(terms)).layer(attempt)
    })
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

/// Answers with streams of events.
fn streaming<S>(inner: S) -> Streaming<S> {
    MapResponse::new(inner, |mut response| {
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, stream);
        response
    })
}

fn an_hour() -> deadline::Params {
    deadline::Params::default().with_timeout(Duration::from_secs(3600))
}

fn retries() -> retry::Params {
    let terms = RetryOn::parse("5xx,reset").unwrap();
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
    BoxCloneSyncService::new(stack::route(&forward(), None, cluster, inner, &rng))
}
contract!(
    context_server_layer,
    Subject::new(|probe| ServerLayer::new().layer(probe))
);
contract!(
    context_client_layer,
    Subject::new(|probe| ServerLayer::new().layer(ClientLayer::new().layer(probe)))
);
