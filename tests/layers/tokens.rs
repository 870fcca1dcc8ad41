//! Limits on requests and tokens: reserve before the call, settle at the end.

#![cfg(feature = "test-util")]

use std::{
    convert::Infallible,
    num::NonZeroU64,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, Error, Kind, SharedRng,
        cost::{Estimate, Ledger, Prompt, Spent},
        error,
        ext::Buffered,
        quota::{Refused, Unit},
        time::Instant,
    },
    body::{Body, End, Observe, Observed},
    limit::tokens::{By, Limit, Params, Registry, TokenLimit, TokenLimitLayer},
    llm::{DialectMode, Usage, dialect::Api, request::Call},
    respond::RespondLayer,
    testing::{
        body::{Script, drain},
        probe::{ProbeLog, Reply, ServiceProbe},
    },
};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};

const MINUTE: Duration = Duration::from_secs(60);

fn n(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

fn per_minute(tokens: u64) -> Limit {
    Limit::new("tokens", By::Route).with_tokens(n(tokens), MINUTE)
}

/// A chat request of `input` estimated tokens and at most `output`.
fn chat(input: usize, output: Option<u64>) -> Request<()> {
    let uri = Uri::from_static("/v1/chat/completions");
    let limit = output.map_or_else(String::new, |n| format!(r#""max_tokens":{n},"#));
    let prompt = "x".repeat(input * 4 - 2);
    let body = Bytes::from(format!(r#"{{{limit}"model":"m","prompt":"{prompt}"}}"#));
    let api = Api::of(DialectMode::Auto, &Method::POST, &uri, &HeaderMap::new());
    let call = Call::read(&api, &uri, &body).unwrap();
    assert_eq!(call.prompt_bytes, input as u64 * 4);
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    *request.method_mut() = Method::POST;
    request.extensions_mut().insert(call);
    request.extensions_mut().insert(Ledger::default());
    request
}

fn ledger(request: &Request<()>) -> Ledger {
    request.extensions().get::<Ledger>().unwrap().clone()
}

fn spend(ledger: &Ledger, tokens: u64, estimated: bool) {
    let mut spent = Spent::new(1, Usage::new(tokens, 0));
    spent.estimated = estimated;
    ledger.push(spent);
}

fn limited(
    params: Params,
    script: impl Fn(u64) -> Reply + Send + Sync + 'static,
) -> (TokenLimit<ServiceProbe>, Registry, ProbeLog) {
    let (probe, log) = ServiceProbe::new(script);
    let layer = TokenLimitLayer::new(params);
    (layer.layer(probe), layer.registry().clone(), log)
}

fn refused(error: &BoxError) -> Refused {
    let found = error::find(&**error).unwrap();
    assert_eq!(found.kind(), Kind::RateLimited);
    let refused = std::error::Error::source(found).unwrap();
    let refused = refused.downcast_ref::<Refused>().unwrap().clone();
    assert_eq!(found.retry_after(), refused.wait);
    refused
}

async fn ready(service: &mut TokenLimit<ServiceProbe>) -> &mut TokenLimit<ServiceProbe> {
    ServiceExt::<Request<()>>::ready(service).await.unwrap()
}

/// What is left of the only limit: found by asking for more.
async fn left(service: &TokenLimit<ServiceProbe>, limit: u64) -> u64 {
    let all = service.clone().oneshot(chat(1, Some(limit - 1))).await;
    match all {
        Ok(_) => limit,
        Err(error) => refused(&error).quota.remaining,
    }
}

fn answer() -> Script {
    Script::chunks(["tok", "en"])
}

#[tokio::test(start_paused = true)]
async fn an_estimate_is_reserved_and_the_truth_settled_at_the_end_of_the_body() {
    let (service, registry, _log) =
        limited(Params::new([per_minute(1000)]), |_| Reply::ok(answer()));
    let request = chat(100, Some(400));
    let ledger = ledger(&request);
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(
        response.headers()["ratelimit"],
        r#""tokens-tokens";r=500;t=60"#
    );
    assert_eq!(
        response.headers()["ratelimit-policy"],
        r#""tokens-tokens";q=1000;w=60;qu="tokens""#
    );
    assert_eq!(left(&service, 1000).await, 500, "reserved");
    spend(&ledger, 120, false);
    spend(&ledger, 30, false);
    assert_eq!(left(&service, 1000).await, 500, "headers are not the end");
    drain(response.into_body()).await;
    assert_eq!(left(&service, 1000).await, 850, "both attempts");
    let stats = &registry.stats()[0].1;
    assert_eq!((stats.tokens.get(), stats.estimated.get()), (150, 0));
    assert_eq!((stats.allowed.get(), stats.refused.get()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_exact_wait_and_nothing_is_called() {
    let (service, registry, log) = limited(Params::new([per_minute(1000)]), |_| Reply::hang());
    let ask = || service.clone().oneshot(chat(100, Some(500)));
    let mut first = task::spawn(ask());
    assert_pending!(first.poll());
    tokio::time::advance(Duration::from_millis(20_500)).await;
    let refusal = refused(&ask().await.unwrap_err());
    assert_eq!(refusal.wait, Some(Duration::from_millis(39_500)));
    assert_eq!(
        (refusal.quota.unit, refusal.quota.remaining),
        (Unit::Tokens, 400)
    );
    assert_eq!(refusal.quota.reset, Duration::from_millis(39_500));
    tokio::time::advance(Duration::from_millis(39_499)).await;
    assert!(ask().await.is_err());
    assert_eq!((log.calls(), registry.stats()[0].1.refused.get()), (1, 2));
    tokio::time::advance(Duration::from_millis(1)).await;
    let mut second = task::spawn(ask());
    assert_pending!(second.poll());
    assert_eq!(log.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_limit_is_refused_for_ever() {
    let (service, registry, log) =
        limited(Params::new([per_minute(1000)]), |_| Reply::ok(answer()));
    let error = service
        .clone()
        .oneshot(chat(100, Some(901)))
        .await
        .unwrap_err();
    assert_eq!(refused(&error).wait, None);
    assert_eq!((log.calls(), registry.stats()[0].1.too_large.get()), (0, 1));
    let found = error::find(&*error).unwrap();
    let source = std::error::Error::source(found).unwrap().to_string();
    assert!(
        source.contains("Request too large for limit \"tokens\", which allows 1000 tokens"),
        "{source}"
    );

    // Without a maximum of its own it takes what there is, and the prompt alone decides.
    let response = service.clone().oneshot(chat(999, None)).await.unwrap();
    assert_eq!(
        response.headers()["ratelimit"],
        r#""tokens-tokens";r=0;t=60"#
    );
    drop(response);
    let error = service.oneshot(chat(1001, None)).await.unwrap_err();
    assert_eq!(refused(&error).wait, None);
}

#[tokio::test(start_paused = true)]
async fn every_end_settles_once_with_what_was_noted() {
    let replies = |call| match call {
        0 => Reply::ok(Script::new().data("tok").hang()),
        1 => Reply::hang(),
        2 => Reply::fail(Error::new(Kind::Internal)),
        3 => Reply::ok(Script::new().data("tok").fail(Error::new(Kind::Internal))),
        4 => Reply::fail(Error::new(Kind::Internal)),
        _ => Reply::hang(),
    };
    let (mut service, registry, log) = limited(Params::new([per_minute(1000)]), replies);
    let request = || {
        let request = chat(100, Some(500));
        let ledger = ledger(&request);
        (request, ledger)
    };

    // The caller hangs up in the body: an estimate.
    let (r, l) = request();
    let mut body = service.clone().oneshot(r).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    spend(&l, 101, true);
    drop(body);
    assert_eq!(left(&service, 1000).await, 899);

    // … or before the head: nothing was noted.
    let (r, _) = request();
    let mut future = task::spawn(ready(&mut service).await.call(r));
    assert_pending!(future.poll());
    drop(future);
    assert_eq!(log.dropped_futures(), 1);
    assert_eq!(left(&service, 1000).await, 899);

    // An error, with a cost.
    let (r, l) = request();
    spend(&l, 9, false);
    assert!(service.clone().oneshot(r).await.is_err());
    assert_eq!(left(&service, 1000).await, 890);

    // A body that fails.
    let (r, l) = request();
    let mut body = service.clone().oneshot(r).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    spend(&l, 90, true);
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(left(&service, 1000).await, 800);
    drop(body);
    assert_eq!(left(&service, 1000).await, 800, "once");

    // An error that cost nothing.
    let (r, _) = request();
    assert!(service.clone().oneshot(r).await.is_err());
    assert_eq!(left(&service, 1000).await, 800);

    // Called and dropped without a poll.
    let (r, _) = request();
    drop(ready(&mut service).await.call(r));
    assert_eq!(left(&service, 1000).await, 800);
    let stats = &registry.stats()[0].1;
    assert_eq!((stats.tokens.get(), stats.estimated.get()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_ledger_that_anybody_fills_a_success_costs_its_reservation() {
    let reply = |call| {
        let status = if call == 0 {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        let response = Response::builder().status(status);
        Reply::response(response.body(answer()).unwrap())
    };
    let (service, registry, _log) = limited(Params::new([per_minute(1000)]), reply);
    for _ in 0..2 {
        let mut request = chat(100, Some(200));
        request.extensions_mut().remove::<Ledger>();
        drain(service.clone().oneshot(request).await.unwrap().into_body()).await;
        assert_eq!(left(&service, 1000).await, 700, "the 400 costs nothing");
    }
    assert_eq!(registry.stats()[0].1.estimated.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_beyond_the_reservation_is_waited_for() {
    let (service, _registry, _log) =
        limited(Params::new([per_minute(1000)]), |_| Reply::ok(answer()));
    let request = chat(1, Some(9));
    spend(&ledger(&request), 5000, false);
    tokio::time::advance(Duration::from_secs(1)).await;
    drain(service.clone().oneshot(request).await.unwrap().into_body()).await;
    let refusal = refused(&service.oneshot(chat(1, Some(9))).await.unwrap_err());
    assert_eq!((refusal.quota.remaining, refusal.wait), (0, Some(MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn a_request_passes_all_limits_or_takes_from_none() {
    let params = Params::new([
        Limit::new("per model", By::Model).with_requests(n(2), Duration::from_secs(1)),
        Limit::new("per key", By::Credential)
            .with_requests(n(100), MINUTE)
            .with_tokens(n(1000), MINUTE),
    ]);
    let (service, _registry, log) = limited(params, |_| Reply::ok(answer()));
    let ask = |key: &'static str, output| {
        let mut request = chat(100, Some(output));
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        service.clone().oneshot(request)
    };
    let held = ask("a", 700).await.unwrap();
    let refusal = refused(&ask("a", 700).await.unwrap_err());
    assert_eq!(
        (&*refusal.quota.name, refusal.quota.unit),
        ("per key", Unit::Tokens)
    );
    let other = ask("b", 700).await.unwrap();
    assert_eq!(
        log.calls(),
        2,
        "the refused one took no request of the model"
    );
    let refusal = refused(&ask("c", 700).await.unwrap_err());
    assert_eq!(
        (&*refusal.quota.name, refusal.wait),
        ("per model", Some(Duration::from_secs(1)))
    );
    // Refused by both: the longer wait counts.
    let refusal = refused(&ask("a", 700).await.unwrap_err());
    assert_eq!(
        (&*refusal.quota.name, refusal.wait),
        ("per key", Some(MINUTE))
    );
    assert!(
        held.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .contains("\"per key-requests\";r=99")
    );
    drop((held, other));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lacks_the_key_is_not_limited_nor_touched() {
    let tier = || "x-tier".parse().unwrap();
    let by = By::Header {
        name: tier(),
        value: Some("free".to_owned()),
    };
    let params = Params::new([Limit::new("free", by).with_requests(n(1), MINUTE)]);
    let (service, _registry, _log) = limited(params, |_| Reply::ok(answer()));
    for _ in 0..3 {
        let response = service.clone().oneshot(chat(1, None)).await.unwrap();
        assert!(response.headers().is_empty());
    }
    let free = || {
        let mut request = chat(1, None);
        request
            .headers_mut()
            .insert(tier(), "free".parse().unwrap());
        service.clone().oneshot(request)
    };
    assert!(free().await.is_ok());
    assert_eq!(
        refused(&free().await.unwrap_err()).quota.unit,
        Unit::Requests
    );
}

#[tokio::test(start_paused = true)]
async fn counts_outlive_a_layer_and_a_new_amount_applies_at_once() {
    let registry = Registry::default();
    let layer = |tokens| {
        let (probe, _log) = ServiceProbe::new(|_| Reply::hang());
        TokenLimitLayer::new(Params::new([per_minute(tokens)]))
            .with_registry(&registry)
            .layer(probe)
    };
    let old = layer(1000);
    let mut running = task::spawn(old.clone().oneshot(chat(100, Some(500))));
    assert_pending!(running.poll());
    let new = layer(2000);
    drop(old);
    let refusal = refused(
        &new.clone()
            .oneshot(chat(100, Some(1400)))
            .await
            .unwrap_err(),
    );
    assert_eq!((refusal.quota.limit, refusal.quota.remaining), (2000, 1400));
    drop(running);
    let mut now = task::spawn(new.clone().oneshot(chat(100, Some(1900))));
    assert_pending!(now.poll());
    drop((new, now));
    assert!(registry.stats().is_empty(), "nobody holds it any more");
}

#[tokio::test(start_paused = true)]
async fn random_keys_share_what_is_left_over() {
    let registry = Registry::default().with_max_keys(160);
    let (probe, _log) = ServiceProbe::new(|_| Reply::ok(answer()));
    let by = By::Header {
        name: "x-user".parse().unwrap(),
        value: None,
    };
    let limit = Limit::new("per user", by).with_requests(n(5), MINUTE);
    let layer = TokenLimitLayer::new(Params::new([limit])).with_registry(&registry);
    let service = layer.layer(probe);
    let mut allowed = 0;
    for user in 0..2000 {
        let mut request = chat(1, None);
        request.headers_mut().insert("x-user", user.into());
        allowed += u64::from(service.clone().oneshot(request).await.is_ok());
    }
    // Each key that is told apart had one request; the rest had five together.
    assert_eq!(allowed, 165);
}

#[tokio::test(start_paused = true)]
async fn a_tokenizer_of_ones_own_is_asked() {
    struct Words;
    impl Estimate for Words {
        fn input(&self, prompt: &Prompt<'_>) -> u64 {
            assert_eq!(prompt.model, Some("m"));
            let text = std::str::from_utf8(prompt.body.unwrap()).unwrap();
            text.split_whitespace().count() as u64
        }
    }
    let (probe, _log) = ServiceProbe::new(|_| Reply::ok(answer()));
    let layer = TokenLimitLayer::new(Params::new([per_minute(1000)])).with_estimate(Words);
    let mut request = chat(900, Some(100));
    let body = Bytes::from_static(b"three small words");
    request.extensions_mut().insert(Buffered(body));
    let response = layer.layer(probe).oneshot(request).await.unwrap();
    assert_eq!(
        response.headers()["ratelimit"],
        r#""tokens-tokens";r=897;t=60"#
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_generation_costs_a_request_and_its_size() {
    let params = Params::new([per_minute(1000).with_requests(n(10), MINUTE)]);
    let (service, _registry, _log) = limited(params, |_| Reply::ok(answer()));
    let mut embed = Request::new(());
    *embed.method_mut() = Method::POST;
    embed.headers_mut().insert("content-length", 400.into());
    for (request, left) in [(Request::new(()), (9, 1000)), (embed, (8, 900))] {
        let response = service.clone().oneshot(request).await.unwrap();
        let (requests, tokens) = left;
        let expected =
            format!(r#""tokens-requests";r={requests};t=60, "tokens-tokens";r={tokens};t="#);
        let header = response.headers()["ratelimit"].to_str().unwrap().to_owned();
        assert!(header.starts_with(&expected), "{header}");
        drain(response.into_body()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_429_that_says_all() {
    let (service, _registry, _log) = limited(Params::new([per_minute(1000)]), |_| Reply::hang());
    let service = RespondLayer::new().layer(service);
    let mut first = task::spawn(service.clone().oneshot(chat(100, Some(500))));
    assert_pending!(first.poll());
    tokio::time::advance(Duration::from_micros(30_000_500)).await;
    let response = service.clone().oneshot(chat(100, Some(500))).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    for (name, value) in [
        ("retry-after", "30"),
        ("retry-after-ms", "30000"),
        ("x-should-retry", "true"),
        ("ratelimit", r#""tokens-tokens";r=400;t=30"#),
        (
            "ratelimit-policy",
            r#""tokens-tokens";q=1000;w=60;qu="tokens""#,
        ),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    let response = service.oneshot(chat(100, Some(5000))).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["x-should-retry"], "false");
    assert!(!response.headers().contains_key("retry-after"));
}

/// An upstream that counts what it was asked and made to generate, as a provider's bill would.
#[derive(Clone, Default)]
struct Upstream {
    bill: Arc<Mutex<Vec<Billed>>>,
}

#[derive(Clone, Copy)]
struct Billed {
    at: Instant,
    tokens: u64,
}

/// On the body of an answer: notes what was generated, in the bill and in the request's ledger.
struct Meter {
    upstream: Upstream,
    ledger: Ledger,
    at: Instant,
    input: u64,
    output: u64,
    total: u64,
}

impl<E> Observe<E> for Meter {
    fn data(&mut self, _: &Bytes) {
        self.output += 1;
    }

    fn end(self, _: End<'_, E>) {
        let mut spent = Spent::new(1, Usage::new(self.input, self.output));
        spent.estimated = self.output < self.total;
        self.ledger.push(spent);
        self.upstream.bill.lock().unwrap().push(Billed {
            at: self.at,
            tokens: self.input + self.output,
        });
    }
}

impl Upstream {
    /// Answers with a stream of a random length up to what was asked for, one token each 20 ms.
    fn answer(&self, request: &Request<()>, rng: &SharedRng) -> Response<Body> {
        let call = request.extensions().get::<Call>().unwrap();
        let total = 1 + rng.below(call.max_output.unwrap());
        let meter = Meter {
            upstream: self.clone(),
            ledger: ledger(request),
            at: Instant::now(),
            input: call.estimate_input(),
            output: 0,
            total,
        };
        let tokens = (0..total).fold(Script::new(), |body, _| {
            body.wait(Duration::from_millis(20)).data("token ")
        });
        Response::new(Body::new(Observed::new(tokens.body(), meter)))
    }

    /// The most tokens that were let in within any minute.
    fn most_in_a_minute(&self) -> u64 {
        let bill = self.bill.lock().unwrap();
        let from = |start: Instant| {
            let within = |b: &&Billed| b.at >= start && b.at - start < MINUTE;
            bill.iter().filter(within).map(|b| b.tokens).sum::<u64>()
        };
        bill.iter().map(|b| from(b.at)).max().unwrap()
    }

    fn total(&self) -> u64 {
        self.bill.lock().unwrap().iter().map(|b| b.tokens).sum()
    }
}

/// 1,000 callers at once, each with a stream of a length that nobody knows; a third of them hang up somewhere. Who is
/// refused comes back when told to. No minute has more than the limit, and what was settled is what the upstream counted.
#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_never_overshoot_and_every_token_is_accounted() {
    let rng = SharedRng::seeded(4);
    let upstream = Upstream::default();
    let inner = {
        let (upstream, rng) = (upstream.clone(), rng.clone());
        service_fn(move |request: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(upstream.answer(&request, &rng)))
        })
    };
    let layer = TokenLimitLayer::new(Params::new([per_minute(10_000)]));
    let service = layer.layer(inner);
    let mut callers = Vec::new();
    for i in 0..1000_usize {
        let (service, rng) = (service.clone(), rng.clone());
        callers.push(tokio::spawn(async move {
            let (input, most) = (1 + i % 50, 1 + rng.below(400));
            let response = loop {
                match service.clone().oneshot(chat(input, Some(most))).await {
                    Ok(response) => break response,
                    Err(error) => tokio::time::sleep(refused(&error).wait.unwrap()).await,
                }
            };
            let mut body = response.into_body();
            // Most answers are longer than an eighth of what they may be at most.
            let patience = if i % 3 == 0 {
                rng.below(1 + most / 8)
            } else {
                u64::MAX
            };
            let mut read = 0;
            while read < patience {
                let Some(frame) = body.frame().await else {
                    break;
                };
                frame.unwrap();
                read += 1;
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let stats = &layer.registry().stats()[0].1;
    assert!(
        upstream.most_in_a_minute() <= 10_000,
        "{}",
        upstream.most_in_a_minute()
    );
    assert!(upstream.most_in_a_minute() > 2500, "the limit is used");
    assert_eq!(stats.tokens.get(), upstream.total());
    assert_eq!(stats.allowed.get(), 1000);
    assert!(stats.refused.get() > 1000, "{}", stats.refused.get());
    assert!(stats.estimated.get() > 250, "{}", stats.estimated.get());
}
