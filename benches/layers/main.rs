//! What each layer costs a call.
//!
//! `cargo bench --bench layers`, or with `-- --smoke` a few calls of each, to see that they run.
//!
//! One operation is one request through one service, on one thread: the request is made, the service becomes ready, is
//! called, and the response body is read to its end. The leaf answers at once, with two bytes; the first line is the
//! leaf alone, so a line less the first is the layer's own cost, and `ratio` is to the first line. Real upstreams take a
//! thousand times as long: the numbers serve to compare layers and versions, not to predict throughput. Compare within
//! one run only; each number is the best of several turns, which are taken round robin.
//!
//! Below stand the layers of tower and of tower-resilience, the classifying of error responses alone, and calls by two
//! threads at once that share a layer's state.
//!
//! More subjects follow with leaves that let wait or stream, with requests of twelve headers and with a retry taken, and the sizes
//! of the calls' futures. `-- --only NAME` measures the first of each comparison and those with this in their names.
//!
//! With `-- --instructions` it counts instructions and allocations by valgrind, which does not depend on how busy the
//! machine is. 2026-11-22, x86-64, Rust 1.95:
//!
//! ```text
//! one call of                                  instructions less 1st allocations less 1st
//! the bare leaf                                        3052        0           6        0
//! concurrency                                          3185      133           6        0
//! respond                                              5445     2393          11        5
//! deadline, no limit                                   4970     1918           6        0
//! deadline                                             6877     3825          13        7
//! deadline propagate                                   3287      235           6        0
//! retry, off                                           4764     1712          11        5
//! retry                                                9707     6655          21       15
//! breaker                                              3602      550           6        0
//! outlier                                              4620     1568           6        0
//! balance, 10 endpoints                                6495     3443          12        6
//! route, 1 route                                       5500     2448           9        3
//! trace                                                5988     2936          14        8
//! trace, inject                                       10240     7188          19       13
//! classify, http                                       5403     2351          10        4
//! classify, llm                                        7994     4942          11        5
//! metrics                                              6271     3219          11        5
//! count                                                3035        0           6        0
//! full stack, no retries                              12852     9800          20       14
//! full stack                                          20895    17843          34       28
//! full stack, metrics                                 24007    20955          38       32
//! full stack, classify llm                            25009    21957          35       29
//! one call of others'                          instructions less 1st allocations less 1st
//! the bare leaf again                                  3052        0           6        0
//! tower: timeout                                       3320      268           6        0
//! tower: retry with budget                             4379     1327           9        3
//! tower: concurrency limit                             3231      179           6        0
//! tower: load shed                                     3042        0           6        0
//! tower: all four                                      4987     1935           9        3
//! tower-resilience: time limiter                       4101     1049           8        2
//! tower-resilience: retry                              4690     1638          11        5
//! tower-resilience: breaker                            4704     1652           9        3
//! tower-resilience: bulkhead                           4423     1371           9        3
//! tower-resilience: all four                           8940     5888          19       13
//! classifying                                  instructions less 1st allocations less 1st
//! 429 by status                                         594        0           0        0
//! 429 of OpenAI, pacing                               20379    19785          17       17
//! 429 of OpenAI, quota                                12359    11765          13       13
//! 529 of Anthropic                                    15732    15138          15       15
//! 429 of Gemini                                       28692    28098          30       30
//! ```

mod errors;
#[path = "../harness/mod.rs"]
mod harness;
mod leaves;
mod others;
mod threads;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llmesh::{
    balance::{BalanceLayer, EndpointSet},
    base::{BoxError, Ceiling, Ratio, SharedRng, time::Instant},
    body::RequestBody,
    breaker::{self, BreakerLayer},
    classify::{ClassifyLayer, HttpClassifier, MakeClassifier},
    deadline::{self, DeadlineLayer, PropagateLayer},
    limit::concurrency::ConcurrencyLayer,
    llm::LlmClassifier,
    metrics::{MetricsLayer, Report, Summary},
    outlier::{self, Group},
    respond::RespondLayer,
    retry::{self, RetryLayer, RetryOn},
    route::{RouteLayer, Table, params},
    stack::CountLayer,
    trace::{self, InjectLayer, TraceLayer},
};
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use self::{
    harness::{Effort, Subject, compare},
    leaves::{Flaky, Late, Leaf, Stream},
};

/// Reads nothing and keeps nothing.
struct Silent;

impl Report for Silent {
    fn report(&self, summary: &Summary) {
        std::hint::black_box(summary);
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let rt = &runtime;
    let set = EndpointSet::new("upstream", Default::default(), None);
    set.update_from((1..=10).map(|port| (([127, 0, 0, 1], port).into(), 1)));
    let group = Group::new(outlier::Params::default());
    let rng = SharedRng::seeded(1);
    let trace = || TraceLayer::new(trace::Params::default()).with_rng(rng.clone());
    let inject = || InjectLayer::new();
    let concurrency = || ConcurrencyLayer::new(Ceiling::new(1000));
    let subjects = vec![
        subject(rt, "the bare leaf", Leaf),
        subject(rt, "concurrency", concurrency().layer(Leaf)),
        subject(rt, "respond", RespondLayer::new().layer(Leaf)),
        subject(rt, "deadline, no limit", deadline(None).layer(Leaf)),
        subject(rt, "deadline", deadline(Some(30)).layer(Leaf)),
        subject(rt, "deadline propagate", PropagateLayer::new().layer(Leaf)),
        subject(
            rt,
            "retry, off",
            RetryLayer::new(retry::Params::off()).layer(Leaf),
        ),
        subject(rt, "retry", retries().layer(Leaf)),
        subject(rt, "breaker", breaker().layer(Leaf)),
        subject(rt, "outlier", group.layer("leaf").layer(Leaf)),
        subject(
            rt,
            "balance, 10 endpoints",
            BalanceLayer::new(set)
                .with_rng(rng.clone())
                .layer(|_: &_| Leaf),
        ),
        subject(
            rt,
            "route, 1 route",
            route().with_rng(rng.clone()).layer(Leaf),
        ),
        subject(rt, "trace", trace().layer(Leaf)),
        subject(rt, "trace, inject", trace().layer(inject().layer(Leaf))),
        subject(
            rt,
            "classify, http",
            ClassifyLayer::new(HttpClassifier::default()).layer(Leaf),
        ),
        subject(
            rt,
            "classify, llm",
            ClassifyLayer::new(LlmClassifier::default()).layer(Leaf),
        ),
        subject(
            rt,
            "metrics",
            MetricsLayer::new(vec![Arc::new(Silent)]).layer(Leaf),
        ),
        subject(rt, "count", CountLayer::new(Arc::default()).layer(Leaf)),
        subject(
            rt,
            "full stack, no retries",
            full(retry::Params::off(), Leaf),
        ),
        subject(rt, "full stack", full(retry_params(), Leaf)),
        subject(
            rt,
            "full stack, metrics",
            MetricsLayer::new(vec![Arc::new(Silent)]).layer(full(retry_params(), Leaf)),
        ),
        subject(
            rt,
            "full stack, classify llm",
            stack(retry_params(), LlmClassifier::default(), Leaf),
        ),
    ];
    compare("one call of", Effort::new(20, 20_000), subjects);
    compare(
        "one call of others'",
        Effort::new(20, 20_000),
        others::subjects(rt),
    );
    leaves(rt);
    compare("classifying", Effort::new(20, 20_000), errors::subjects());
    threads::compare();
    sizes(rt);
}

/// Upstreams that let wait and stream, requests with more headers, and a retry that is taken.
fn leaves(rt: &Runtime) {
    let effort = || Effort::new(20, 20_000);
    let (off, on) = (retry::Params::off, retry_params);
    let mut late = vec![
        subject(rt, "the late leaf", Late),
        subject(rt, "late: full stack, no retries", full(off(), Late)),
        subject(rt, "late: full stack", full(on(), Late)),
    ];
    late.extend(others::stacks(rt, "late", Late, PLAIN));
    compare("one call, the head after a wait", effort(), late);
    let (leaf, call) = (Stream(8), PLAIN.with_answer(16));
    let mut streams = vec![
        subject_of(rt, call, "the streaming leaf", leaf),
        subject_of(
            rt,
            call,
            "8 frames: full stack, no retries",
            full(off(), leaf),
        ),
        subject_of(rt, call, "8 frames: full stack", full(on(), leaf)),
    ];
    streams.extend(others::stacks(rt, "8 frames", leaf, call));
    compare("one call, 10 waits for 8 frames", effort(), streams);
    let call = PLAIN.with_headers(11);
    let mut heads = vec![
        subject_of(rt, call, "the bare leaf, 12 headers", Leaf),
        subject_of(
            rt,
            call,
            "12 headers: full stack, no retries",
            full(off(), Leaf),
        ),
        subject_of(rt, call, "12 headers: full stack", full(on(), Leaf)),
    ];
    heads.extend(others::stacks(rt, "12 headers", Leaf, call));
    compare("one call with twelve headers", effort(), heads);
    let flaky = Flaky::default;
    let mut taken = vec![
        subject(rt, "one call of the flaky leaf", flaky()),
        subject(rt, "one retry: full stack", full(taken_params(), flaky())),
    ];
    taken.extend(others::stacks(rt, "one retry", flaky(), PLAIN));
    compare("one call, a retry taken", effort(), taken);
}

/// Prints how large the future of a call is.
fn sizes(rt: &Runtime) {
    if std::env::args().any(|arg| arg == "--count") {
        return;
    }
    println!("\n{:<44} {:>12}", "future of one call of", "bytes");
    let _context = rt.enter();
    let rows = [
        ("the bare leaf", size(Leaf)),
        (
            "concurrency",
            size(ConcurrencyLayer::new(Ceiling::new(1000)).layer(Leaf)),
        ),
        ("deadline", size(deadline(Some(30)).layer(Leaf))),
        ("retry", size(retries().layer(Leaf))),
        ("breaker", size(breaker().layer(Leaf))),
        (
            "classify, http",
            size(ClassifyLayer::new(HttpClassifier::default()).layer(Leaf)),
        ),
        (
            "full stack, no retries",
            size(full(retry::Params::off(), Leaf)),
        ),
        ("full stack", size(full(retry_params(), Leaf))),
        ("tower: all four", size(others::tower(Leaf))),
        ("tower-resilience: all four", size(others::resilience(Leaf))),
    ];
    for (name, bytes) in rows {
        println!("{name:<44} {bytes:>12}");
    }
}

fn size<S: Service<Request<Full<Bytes>>>>(mut service: S) -> usize {
    std::mem::size_of_val(&service.call(PLAIN.request()))
}

fn deadline(seconds: Option<u64>) -> DeadlineLayer {
    let params = deadline::Params::default();
    DeadlineLayer::new(match seconds {
        Some(seconds) => params.with_timeout(Duration::from_secs(seconds)),
        None => params,
    })
}

fn retries() -> RetryLayer {
    RetryLayer::new(retry_params())
}

fn retry_params() -> retry::Params {
    let terms = RetryOn::envoy("5xx,reset,429").expect("terms");
    let params = retry::Params::default().with_retry_on(terms);
    params.with_budget(retry::params::Budget::standard())
}

/// One that pays for every retry and waits for none.
fn taken_params() -> retry::Params {
    let budget = retry::params::Budget::percent(Ratio::ONE, 3, Duration::from_secs(10));
    let backoff = retry::params::Backoff::from_base(Duration::ZERO);
    retry_params().with_budget(budget).with_backoff(backoff)
}

/// The layers that a client wants, by status alone.
fn full<B, L, R>(
    retries: retry::Params,
    leaf: L,
) -> impl Service<Request<B>, Response = Response<impl Body<Data = Bytes>>> + Clone + Send
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    L: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    L::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    stack(retries, HttpClassifier::default(), leaf)
}

fn stack<M, B, L, R>(
    retries: retry::Params,
    make: M,
    leaf: L,
) -> impl Service<Request<B>, Response = Response<impl Body<Data = Bytes>>> + Clone + Send
where
    M: MakeClassifier + Clone + Send + Sync + 'static,
    M::Classifier: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    L: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    L::Future: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .layer(deadline(Some(30)))
        .layer(RetryLayer::new(retries))
        .layer(breaker())
        .layer(ConcurrencyLayer::new(Ceiling::new(1000)))
        .layer(ClassifyLayer::new(make))
        .service(leaf)
}

fn breaker() -> BreakerLayer {
    BreakerLayer::new(breaker::Params::default())
}

fn route() -> RouteLayer {
    let forward = params::Forward::new(vec![params::Destination::new("upstream", 1)]);
    let route = params::Route::new("all", params::Action::Forward(Box::new(forward)));
    let table = Table::builder().virtual_host("upstream:80", ["upstream"], [80], [route]);
    RouteLayer::new(Arc::new(table.build()))
}

fn subject<'a, S, R>(runtime: &'a Runtime, name: &str, service: S) -> Subject<'a>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + 'a,
    R: Body<Data = Bytes>,
{
    subject_of(runtime, PLAIN, name, service)
}

fn subject_of<'a, S, R>(runtime: &'a Runtime, call: Call, name: &str, mut service: S) -> Subject<'a>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + 'a,
    R: Body<Data = Bytes>,
{
    Subject::timed(name, move |calls| {
        runtime.block_on(async {
            let begin = Instant::now();
            for _ in 0..calls {
                call.exchange(&mut service).await;
            }
            begin.elapsed()
        })
    })
}

/// What is sent, and how much is to come back.
#[derive(Clone, Copy)]
struct Call {
    /// Headers beside the host.
    headers: usize,
    /// Bytes of the answer.
    answer: usize,
}

/// The call of most subjects.
const PLAIN: Call = Call {
    headers: 0,
    answer: 2,
};

/// What clients of LLMs send.
const HEADERS: [(&str, &str); 11] = [
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("authorization", "Bearer sk-none"),
    ("content-type", "application/json"),
    ("user-agent", "OpenAI/Python 2.8.0"),
    ("x-request-id", "6f9f1f0e-0000-4000-8000-000000000000"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-lang", "python"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-package-version", "2.8.0"),
    ("x-stainless-retry-count", "0"),
];

impl Call {
    const fn with_headers(mut self, headers: usize) -> Self {
        self.headers = headers;
        self
    }

    const fn with_answer(mut self, answer: usize) -> Self {
        self.answer = answer;
        self
    }

    fn request(self) -> Request<Full<Bytes>> {
        let mut request =
            Request::post("http://upstream/v1/chat/completions").header("host", "upstream");
        for (name, value) in HEADERS.iter().take(self.headers) {
            request = request.header(*name, *value);
        }
        request
            .body(Full::new(Bytes::from_static(b"{}")))
            .expect("a request")
    }

    async fn exchange<S, R>(self, service: &mut S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>>,
        R: Body<Data = Bytes>,
    {
        let request = self.request();
        let answer = match service.ready().await {
            Ok(service) => service.call(request).await,
            Err(error) => Err(error),
        };
        let Ok(response) = answer else {
            panic!("the leaf never fails, so its layers must not");
        };
        let Ok(body) = response.into_body().collect().await else {
            panic!("the leaf's body never fails, so its layers must not");
        };
        assert_eq!(std::hint::black_box(body.to_bytes()).len(), self.answer);
    }
}
