//! The fallback layer over whole target stacks (retry, balancer, classifier, stream layer), all models on one address.

use std::{
    collections::HashMap,
    collections::VecDeque,
    future::Future,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use llmesh::{
    balance::{self, Balance, Endpoint, EndpointSet},
    base::{
        BoxError, Error, Kind, Ratio, SharedRng,
        cost::Ledger,
        error::{self, ResetReason},
        ext::{AnsweredBy, Attempt, Deadline, OurKey, Record},
        time::{Instant, Sleep, sleep},
    },
    body::{self, Body, RequestBody},
    classify::ClassifyLayer,
    fallback::{FallbackLayer, Health, Key, Params, Reach, Resume, Stats, Target},
    llm::{DialectMode, LlmClassifier, dialect::Api, request::Call},
    outlier,
    retry::{self, RetryBudget, RetryLayer, RetryOn, params::Budget},
    stack::Boxed,
    stream::{self, StreamLayer},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const OWN: &str = "outbound|443||llm.example";
const ABROAD: &str = "outbound|443||backup.example";

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

// --- the upstream: one address, many models ---

#[derive(Clone)]
enum Answer {
    /// A status, `retry-after` and a body.
    Status(u16, Option<u64>, &'static str),
    /// A stream of these.
    Stream(Vec<Step>),
    Fail(Kind),
    Hang,
}
use Answer::{Fail, Hang, Status};

#[derive(Clone)]
enum Step {
    Data(String),
    Wait(Duration),
    Fail(Kind),
}

struct Script(VecDeque<Step>, Option<Pin<Box<Sleep>>>);

impl HttpBody for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(wait) = &mut self.1 {
                ready!(wait.as_mut().poll(cx));
                self.1 = None;
            }
            match self.0.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(text)) => {
                    return Poll::Ready(Some(Ok(Frame::data(text.into()))));
                }
                Some(Step::Fail(kind)) => {
                    return Poll::Ready(Some(Err(Error::new(kind).into())));
                }
                Some(Step::Wait(wait)) => self.1 = Some(Box::pin(sleep(wait))),
            }
        }
    }
}

/// What the upstream saw of one attempt.
#[derive(Debug)]
struct Seen {
    at: Instant,
    model: String,
    headers: HeaderMap,
    body: serde_json::Value,
    attempt: Option<Attempt>,
    our_key: bool,
}

type Rule = Box<dyn Fn(&Seen) -> Answer + Send>;

#[derive(Clone, Default)]
struct Upstream {
    rules: Arc<Mutex<HashMap<&'static str, Rule>>>,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    fn rule(&self, model: &'static str, rule: impl Fn(&Seen) -> Answer + Send + 'static) {
        self.rules.lock().unwrap().insert(model, Box::new(rule));
    }

    fn always(&self, model: &'static str, answer: Answer) {
        self.rule(model, move |_| answer.clone());
    }

    fn asked(&self, model: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|seen| seen.model == model).count()
    }

    fn last(&self) -> Seen {
        self.log.lock().unwrap().pop().unwrap()
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let attempt = body::Context::of(&request).and_then(body::Context::attempt);
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let length = head.headers.get("content-length");
        assert_eq!(length.unwrap().to_str()?.parse::<usize>()?, body.len());
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let seen = Seen {
            at: Instant::now(),
            model: body["model"].as_str().unwrap().to_owned(),
            headers: head.headers,
            body,
            attempt,
            our_key: head.extensions.get::<OurKey>().is_some(),
        };
        let answer = match self.rules.lock().unwrap().get(seen.model.as_str()) {
            Some(rule) => rule(&seen),
            None => Status(200, None, r#"{"choices":[{"finish_reason":"stop"}]}"#),
        };
        self.log.lock().unwrap().push(seen);
        match answer {
            Status(status, after, body) => {
                let mut response = Response::builder()
                    .status(status)
                    .header("content-type", "application/json");
                if let Some(after) = after {
                    response = response.header("retry-after", after);
                }
                Ok(response.body(Body::from(body))?)
            }
            Answer::Stream(steps) => Ok(Response::builder()
                .header("content-type", "text/event-stream")
                .body(Body::new(Script(steps.into(), None)))?),
            Fail(kind) => Err(Error::new(kind).into()),
            Hang => pending().await,
        }
    }
}

// --- the house ---

struct House {
    upstream: Upstream,
    endpoints: EndpointSet,
    health: Health,
    stats: Arc<Stats>,
    retries: u32,
    budget: Option<Arc<RetryBudget>>,
    clocks: stream::params::Clocks,
}

impl House {
    fn new() -> Self {
        let outlier = outlier::Params::default().with_max_ejection_percent(100);
        let endpoints = EndpointSet::new("llm", balance::Params::default(), Some(outlier));
        endpoints.update_from([("10.0.0.1:80".parse().unwrap(), 1)]);
        Self {
            upstream: Upstream::default(),
            endpoints,
            health: Health::default(),
            stats: Arc::default(),
            retries: 2,
            budget: None,
            clocks: stream::params::Clocks::default()
                .with_headers(secs(10))
                .with_first_token(secs(15))
                .with_inter_token(secs(20)),
        }
    }

    fn target(&self) -> Boxed {
        let mut on = RetryOn::envoy("gateway-error,reset,connect-failure").unwrap();
        on.llm = true;
        let params = retry::Params::default()
            .with_retries(self.retries)
            .with_retry_on(on);
        let mut retry = RetryLayer::new(params).with_rng(SharedRng::seeded(7));
        if let Some(budget) = &self.budget {
            retry = retry.with_budget(Arc::clone(budget));
        }
        let watched = stream::Params::default().with_clocks(self.clocks);
        let upstream = self.upstream.clone();
        let dial = move |_: &Arc<Endpoint>| {
            let upstream = upstream.clone();
            let leaf = service_fn(move |request| upstream.clone().serve(request));
            ClassifyLayer::new(LlmClassifier::default())
                .layer(StreamLayer::new(watched.clone()).layer(leaf))
        };
        let balance = Balance::new(self.endpoints.clone(), dial).with_rng(SharedRng::seeded(7));
        Boxed::new(
            ServiceBuilder::new()
                .map_response(|response: Response<_>| response.map(Body::new))
                .layer(retry)
                .map_request(|request: Request<RequestBody>| request.map(Body::new))
                .service(balance),
        )
    }

    fn chain(&self, params: Params, keys: &[Option<&str>]) -> Boxed {
        let reach = (0..params.targets.len()).map(|n| {
            let key = keys.get(n).copied().flatten();
            Reach::new(self.target())
                .with_key(key.map(|key| Key::new(key).unwrap()))
                .with_budget(self.budget.clone())
        });
        let layer = FallbackLayer::new(params, OWN, reach.collect::<Vec<_>>(), self.health.clone())
            .with_stats(Arc::clone(&self.stats));
        Boxed::new(layer.layer(self.target()))
    }

    /// One other model at the same address.
    fn pair(&self) -> Boxed {
        self.chain(Params::to([Target::new(OWN).with_model("backup")]), &[])
    }

    fn resuming(&self) -> Boxed {
        let params = Params::to([Target::new(OWN).with_model("backup")]);
        self.chain(params.with_resume(Resume::Prefill), &[])
    }
}

fn request(stream: bool) -> Request<Body> {
    let body = Bytes::from(format!(
        r#"{{"model":"main","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    ));
    let mut request = Request::post("http://llm.example/v1/chat/completions")
        .header("host", "llm.example")
        .header("authorization", "Bearer callers")
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(Body::empty())
        .unwrap();
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let api = Api::of(DialectMode::Auto, method, uri, headers);
    let call = Call::read(&api, uri, &body).unwrap();
    *request.body_mut() = Body::from(body);
    let extensions = request.extensions_mut();
    extensions.insert(call);
    extensions.insert(Record::default());
    extensions.insert(Ledger::default());
    let deadline = Deadline(Instant::now() + secs(30));
    body::Context::edit(&mut request, |context| context.shorten(deadline));
    request
}

struct Outcome {
    status: u16,
    kind: Option<Kind>,
    text: String,
    by: Option<usize>,
    attempts: u32,
    took: Duration,
    retry_after: Option<Duration>,
    spent: usize,
}

async fn call(chain: &Boxed, request: Request<Body>) -> Outcome {
    let begin = Instant::now();
    let record = request.extensions().get::<Record>().unwrap().clone();
    let ledger = request.extensions().get::<Ledger>().unwrap().clone();
    let mut outcome = Outcome {
        status: 0,
        kind: None,
        text: String::new(),
        by: None,
        attempts: 0,
        took: Duration::ZERO,
        retry_after: None,
        spent: 0,
    };
    let fail = |outcome: &mut Outcome, error: BoxError| {
        let found = error::find(&*error);
        outcome.kind = found.map(Error::kind);
        outcome.retry_after = found.and_then(Error::retry_after);
    };
    match chain.clone().oneshot(request).await {
        Err(error) => fail(&mut outcome, error),
        Ok(response) => {
            outcome.status = response.status().as_u16();
            let place = response.extensions().get::<AnsweredBy>().map(|by| by.place);
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                match frame {
                    Err(error) => {
                        fail(&mut outcome, error);
                        break;
                    }
                    Ok(frame) => {
                        let data = frame.into_data().unwrap_or_default();
                        outcome.text.push_str(std::str::from_utf8(&data).unwrap());
                    }
                }
            }
            assert!(place.is_some());
        }
    }
    outcome.took = begin.elapsed();
    let notes = record.snapshot();
    outcome.by = notes.answered_by.map(|by| by.place);
    outcome.attempts = notes.attempts;
    outcome.spent = ledger.all().len();
    outcome
}

// --- the drill ---

#[tokio::test(start_paused = true)]
async fn a_short_hint_is_waited_for_and_others_go_elsewhere_meanwhile() {
    let house = House::new();
    let begin = Instant::now();
    house.upstream.rule("main", move |_| {
        if begin.elapsed() < secs(2) {
            Status(429, Some(2), "{}")
        } else {
            Status(200, None, "{}")
        }
    });
    let chain = house.pair();
    let (first, other) = tokio::join!(call(&chain, request(false)), async {
        sleep(secs(1)).await;
        call(&chain, request(false)).await
    });
    assert_eq!((first.status, first.by, first.attempts), (200, Some(0), 2));
    assert!(first.took >= secs(2) && first.took < Duration::from_millis(2300));
    assert_eq!((other.status, other.by, other.attempts), (200, Some(1), 1));
    assert_eq!(other.took, Duration::ZERO);
    assert_eq!(call(&chain, request(false)).await.by, Some(0));
}

#[tokio::test(start_paused = true)]
async fn pacing_without_end_costs_few_attempts() {
    let house = House::new();
    house.upstream.always("main", Status(429, Some(2), "{}"));
    let chain = house.pair();
    let answer = call(&chain, request(false)).await;
    assert_eq!(
        (answer.status, answer.by, answer.attempts),
        (200, Some(1), 4)
    );
    assert_eq!(house.upstream.asked("main"), 3);
    assert!(answer.took < secs(5));
    // It is known now: nobody asks again until the hint is over.
    assert_eq!(call(&chain, request(false)).await.attempts, 1);
    assert_eq!(house.upstream.asked("main"), 3);
    assert_eq!(house.stats.passed_over.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_hint_is_an_order_to_go_elsewhere() {
    let house = House::new();
    house.upstream.always("main", Status(429, Some(25), "{}"));
    let answer = call(&house.pair(), request(false)).await;
    assert_eq!(
        (answer.status, answer.by, answer.attempts),
        (200, Some(1), 2)
    );
    assert_eq!(answer.took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dead_model_is_left_alone_and_its_address_is_not_ejected() {
    let house = House::new();
    house.upstream.always("main", Status(503, None, "{}"));
    let chain = house.pair();
    for _ in 0..3 {
        let answer = call(&chain, request(false)).await;
        assert_eq!((answer.status, answer.by), (200, Some(1)));
    }
    let asked = house.upstream.asked("main");
    assert!(asked <= 9, "{asked}");
    for _ in 0..10 {
        assert_eq!(call(&chain, request(false)).await.attempts, 1);
    }
    assert_eq!(house.upstream.asked("main"), asked);
    assert_eq!(house.endpoints.ejections_active(Instant::now()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_one_send() {
    let house = House::new();
    let begin = Instant::now();
    house.upstream.rule("main", move |_| {
        if begin.elapsed() < secs(30) {
            Status(500, None, "{}")
        } else {
            Status(200, None, "{}")
        }
    });
    let chain = house.pair();
    for _ in 0..3 {
        assert_eq!(call(&chain, request(false)).await.by, Some(1));
    }
    assert_eq!(house.upstream.asked("main"), 9);
    sleep(secs(6)).await;
    let probed = call(&chain, request(false)).await;
    assert_eq!((probed.by, probed.attempts), (Some(1), 2));
    assert_eq!(house.upstream.asked("main"), 10);
    // Also where nothing else is left: the backup is ill too.
    house.upstream.always("backup", Status(500, None, "{}"));
    for _ in 0..3 {
        call(&chain, request(false)).await;
    }
    let before = house.upstream.log.lock().unwrap().len();
    let asked = call(&chain, request(false)).await;
    assert_eq!((asked.status, asked.attempts), (500, 1));
    assert_eq!(house.upstream.log.lock().unwrap().len(), before + 1);
    sleep(secs(30)).await;
    assert_eq!(call(&chain, request(false)).await.by, Some(0));
}

#[tokio::test(start_paused = true)]
async fn pacing_without_a_hint_is_waited_for_about_a_second() {
    for (status, body) in [
        (429, "{}"),
        (503, "{}"),
        (529, r#"{"error":{"type":"overloaded_error"}}"#),
        (200, r#"{"error":{"message":"Overloaded","code":503}}"#),
    ] {
        let house = House::new();
        let begin = Instant::now();
        house.upstream.rule("main", move |_| {
            if begin.elapsed() < Duration::from_millis(700) {
                Status(status, None, body)
            } else {
                Status(200, None, r#"{"choices":[{"finish_reason":"stop"}]}"#)
            }
        });
        let answer = call(&house.pair(), request(false)).await;
        let seen = (answer.status, answer.by, answer.attempts);
        assert_eq!(seen, (200, Some(0), 2), "{status}");
        assert!(
            answer.took >= Duration::from_millis(750),
            "{:?}",
            answer.took
        );
        assert!(
            answer.took <= Duration::from_millis(1300),
            "{:?}",
            answer.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_connection_go_elsewhere() {
    for kind in [
        Kind::Reset {
            reason: ResetReason::Terminated,
            sent: true,
        },
        Kind::Connect(llmesh::base::error::ConnectFailure::Refused),
    ] {
        let house = House::new();
        house.upstream.always("main", Fail(kind));
        let answer = call(&house.pair(), request(false)).await;
        assert_eq!((answer.status, answer.by), (200, Some(1)), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_is_not_asked_twice() {
    let house = House::new();
    house.upstream.always("main", Hang);
    let answer = call(&house.pair(), request(true)).await;
    assert_eq!(
        (answer.status, answer.by, answer.attempts),
        (200, Some(1), 2)
    );
    assert_eq!(answer.took, secs(10));
    assert_eq!(house.upstream.asked("main"), 1);
}

fn says(text: &str) -> Step {
    let text = serde_json::Value::from(text);
    Step::Data(format!(
        "data: {{\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    ))
}

fn whole(texts: &[&str]) -> Answer {
    let mut steps = vec![Step::Data(ROLE.to_owned())];
    steps.extend(texts.iter().map(|text| says(text)));
    steps.push(Step::Data(format!("{STOP}data: [DONE]\n\n")));
    Answer::Stream(steps)
}

const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn heard(stream: &str) -> String {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok())
        .filter_map(|event| {
            let text = event.pointer("/choices/0/delta/content")?.as_str()?;
            Some(text.to_owned())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_late_first_token_goes_elsewhere_and_on_the_last_target_is_waited_for() {
    let house = House::new();
    let late = Answer::Stream(vec![
        Step::Data(ROLE.to_owned()),
        Step::Wait(secs(20)),
        says("late"),
        Step::Data(STOP.to_owned()),
    ]);
    house.upstream.always("main", late.clone());
    house.upstream.always("backup", whole(&["quick"]));
    let answer = call(&house.pair(), request(true)).await;
    assert_eq!(
        (answer.status, answer.by, answer.kind),
        (200, Some(1), None)
    );
    assert_eq!(heard(&answer.text), "quick");
    assert_eq!(answer.took, secs(15));
    assert_eq!(house.upstream.asked("main"), 1);
    let house = House::new();
    house.upstream.always("backup", late);
    house.upstream.always("main", Status(503, None, "{}"));
    let answer = call(&house.pair(), request(true)).await;
    assert_eq!(heard(&answer.text), "late");
    assert_eq!(answer.kind, None);
}

#[tokio::test(start_paused = true)]
async fn verdicts_cost_one_attempt() {
    let long = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
    let filter = r#"{"error":{"code":"content_filter","message":"no"}}"#;
    let bad = r#"{"error":{"type":"invalid_request_error","message":"bad"}}"#;
    for body in [long, filter, bad] {
        let house = House::new();
        house.upstream.always("main", Status(400, None, body));
        let answer = call(&house.pair(), request(false)).await;
        assert_eq!(
            (answer.status, answer.by, answer.attempts),
            (400, Some(0), 1)
        );
        assert_eq!(answer.text, body);
        assert_eq!(house.upstream.asked("backup"), 0);
    }
    // A larger target takes a long prompt, and another one a filtered one where that is allowed.
    let house = House::new();
    house.upstream.always("main", Status(400, None, long));
    let larger = Target::new(OWN).with_model("long").with_larger(true);
    let small = Target::new(OWN).with_model("backup");
    let chain = house.chain(Params::to([small.clone(), larger]), &[]);
    assert_eq!(call(&chain, request(false)).await.by, Some(2));
    house.upstream.always("main", Status(400, None, filter));
    let around = Params::to([small]).with_content_filter(true);
    let chain = house.chain(around, &[]);
    assert_eq!(call(&chain, request(false)).await.by, Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_goes_to_another_one() {
    let house = House::new();
    let broke = r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#;
    house.upstream.always("main", Status(429, Some(1), broke));
    // The same key is the same account.
    let same = call(&house.pair(), request(false)).await;
    assert_eq!((same.status, same.attempts), (429, 1));
    assert_eq!(same.text, broke);
    let house = House::new();
    house.upstream.always("main", Status(429, Some(1), broke));
    let targets = [
        Target::new(OWN).with_model("backup"),
        Target::new(OWN).with_model("other"),
    ];
    let chain = house.chain(Params::to(targets), &[None, Some("sk-ours")]);
    let answer = call(&chain, request(false)).await;
    assert_eq!(
        (answer.status, answer.by, answer.attempts),
        (200, Some(2), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_error_is_shown_if_all_fail() {
    let house = House::new();
    house.upstream.always("main", Status(500, None, "first"));
    house.upstream.always("backup", Status(503, None, "second"));
    let answer = call(&house.pair(), request(false)).await;
    assert_eq!((answer.status, answer.by), (500, Some(0)));
    assert_eq!((answer.text.as_str(), answer.attempts), ("first", 6));
    assert_eq!(house.stats.exhausted.get(), 1);
    // An error without a response as well.
    let house = House::new();
    house.upstream.always("main", Hang);
    house.upstream.always("backup", Status(400, None, "{}"));
    let answer = call(&house.pair(), request(true)).await;
    assert_eq!(
        (answer.kind, answer.by),
        (Some(Kind::HeadersTimeout), Some(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_flapping_target_is_asked_again_soon_after_it_healed() {
    let house = House::new();
    let begin = Instant::now();
    let ill =
        move || begin.elapsed() < secs(60) && (begin.elapsed().as_secs() / 10).is_multiple_of(2);
    house.upstream.rule("main", move |_| {
        if ill() {
            Status(503, None, "{}")
        } else {
            Status(200, None, "{}")
        }
    });
    let chain = house.pair();
    let mut back = None;
    while begin.elapsed() < secs(90) {
        let answer = call(&chain, request(false)).await;
        assert_eq!(answer.status, 200);
        if begin.elapsed() >= secs(50) && answer.by == Some(0) {
            back.get_or_insert_with(|| begin.elapsed());
        }
        sleep(secs(4)).await;
    }
    assert!(back.unwrap() <= secs(65), "{back:?}");
    assert!(house.upstream.asked("main") < 60);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_down_for_a_minute_is_back_within_fifteen_seconds() {
    let mut house = House::new();
    house.budget = Some(Arc::new(RetryBudget::new(Budget::standard())));
    let begin = Instant::now();
    house.upstream.rule("main", move |_| {
        if begin.elapsed() < secs(60) {
            Status(503, None, "{}")
        } else {
            Status(200, None, "{}")
        }
    });
    let chain = house.pair();
    let mut by = Vec::new();
    while begin.elapsed() < secs(120) {
        let answer = call(&chain, request(false)).await;
        assert_eq!(answer.status, 200);
        by.push((begin.elapsed(), answer.by));
        sleep(secs(4)).await;
    }
    let back = by.iter().find(|(_, by)| *by == Some(0)).unwrap().0;
    assert!(back >= secs(60) && back <= secs(75), "{back:?}");
    let after = by.iter().filter(|(at, _)| *at > back);
    assert!(after.clone().count() > 5 && after.clone().all(|(_, by)| *by == Some(0)));
    // Three visits, then a probe every ten seconds.
    let early = house.upstream.log.lock().unwrap();
    let early = early
        .iter()
        .filter(|s| s.model == "main" && s.at - begin < secs(60));
    let early = early.count();
    assert!(early <= 9 + 7 * 3, "{early}");
    assert_eq!(house.stats.budget_exhausted.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_onset_of_an_outage_under_load_costs_nobody_the_answer() {
    let mut house = House::new();
    house.budget = Some(Arc::new(RetryBudget::new(Budget::standard())));
    house.upstream.always("main", Status(503, None, "{}"));
    let chain = house.pair();
    let all = (0..500).map(|_| {
        let chain = chain.clone();
        tokio::spawn(async move { call(&chain, request(false)).await })
    });
    for answer in all.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.by), (200, Some(1)));
    }
    let asked = house.upstream.asked("main");
    assert!(asked <= 500 + 130, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_full_outage_is_not_amplified() {
    let mut house = House::new();
    house.budget = Some(Arc::new(RetryBudget::new(Budget::standard())));
    for model in ["main", "backup"] {
        house.upstream.always(model, Status(503, None, "{}"));
    }
    let chain = house.pair();
    let asked = || house.upstream.log.lock().unwrap().len();
    let mut warm = 0;
    for n in 0..3000 {
        if n == 1000 {
            warm = asked();
        }
        assert_eq!(call(&chain, request(false)).await.status, 503);
        sleep(Duration::from_millis(10)).await;
    }
    let ratio = (asked() - warm) as f64 / 2000.0;
    assert!(ratio <= 1.3, "{ratio}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_the_chain() {
    let mut house = House::new();
    house.retries = 0;
    let none = Budget::percent(Ratio::new(0.0).unwrap(), 0, secs(10));
    house.budget = Some(Arc::new(RetryBudget::new(none)));
    house.upstream.always("main", Status(503, None, "{}"));
    let answer = call(&house.pair(), request(false)).await;
    assert_eq!((answer.status, answer.by), (503, Some(0)));
    assert_eq!(house.stats.budget_exhausted.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn known_refusals_beyond_the_deadline_are_answered_here() {
    let house = House::new();
    for model in ["main", "backup"] {
        house.upstream.always(model, Status(429, Some(100), "{}"));
    }
    let chain = house.pair();
    assert_eq!(call(&chain, request(false)).await.status, 429);
    sleep(secs(10)).await;
    let refused = call(&chain, request(false)).await;
    assert_eq!(refused.kind, Some(Kind::RateLimited));
    assert_eq!(refused.retry_after, Some(secs(90)));
    assert_eq!(house.upstream.log.lock().unwrap().len(), 2);
    assert_eq!(house.stats.refused.get(), 1);
    // Within the deadline it is asked all the same: it may be better than was said.
    sleep(secs(70)).await;
    house.upstream.always("main", Status(200, None, "{}"));
    let answer = call(&chain, request(false)).await;
    assert_eq!((answer.status, answer.by), (200, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn the_callers_key_stays_where_it_was_sent() {
    let house = House::new();
    house.upstream.always("main", Status(503, None, "{}"));
    let abroad = Target::new(ABROAD)
        .with_model("backup")
        .with_authority("backup.example");
    for (target, key, sent) in [
        (abroad.clone(), None, None),
        (abroad.clone(), Some("sk-ours"), Some("Bearer sk-ours")),
        (
            Target::new(OWN).with_model("backup"),
            None,
            Some("Bearer callers"),
        ),
        (
            Target::new(OWN).with_model("backup"),
            Some("sk-ours"),
            Some("Bearer sk-ours"),
        ),
    ] {
        let is_abroad = *target.cluster == *ABROAD;
        let chain = house.chain(Params::to([target]), &[key]);
        let mut request = request(false);
        request
            .headers_mut()
            .insert("cookie", "session=1".parse().unwrap());
        assert_eq!(call(&chain, request).await.by, Some(1));
        let seen = house.upstream.last();
        let header = |name: &str| seen.headers.get(name).map(|v| v.to_str().unwrap());
        assert_eq!(header("authorization"), sent);
        let host = if is_abroad {
            "backup.example"
        } else {
            "llm.example"
        };
        assert_eq!(header("host"), Some(host));
        assert_eq!(seen.our_key, key.is_some());
        assert_eq!(header("cookie").is_some(), !is_abroad && key.is_none());
        assert_eq!(seen.model, "backup");
        assert_eq!(seen.body["messages"][0]["content"], "hi");
        let attempt = seen.attempt.unwrap();
        assert!(attempt.number > 1 || house.stats.passed_over.get() > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_goes_to_one_target() {
    let house = House::new();
    house.upstream.always("main", Status(503, None, "{}"));
    let params = Params::to([Target::new(OWN).with_model("backup")]);
    let reach = [Reach::new(house.target())];
    let layer = FallbackLayer::new(params, OWN, reach, house.health.clone()).with_cap(10);
    let chain = Boxed::new(layer.layer(house.target()));
    for _ in 0..5 {
        assert_eq!(call(&chain, request(false)).await.status, 503);
    }
    assert_eq!(house.upstream.asked("backup"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_target_is_passed_over_while_another_has_room() {
    let house = House::new();
    let params = Params::to([Target::new(OWN).with_model("backup")]);
    let reach = [Reach::new(house.target())];
    let full = Arc::new(Mutex::new(vec!["main"]));
    let is_full = Arc::clone(&full);
    let layer = FallbackLayer::new(params, OWN, reach, house.health.clone())
        .with_stats(Arc::clone(&house.stats))
        .with_room(move |who, call, _| {
            assert_eq!(call.unwrap().model.as_deref(), Some("main"));
            let full = is_full.lock().unwrap();
            !full.iter().any(|model| who.model.as_deref() == Some(model))
        });
    let chain = Boxed::new(layer.layer(house.target()));
    assert_eq!(call(&chain, request(false)).await.by, Some(1));
    assert_eq!(house.stats.steered.get(), 1);
    full.lock().unwrap().push("backup");
    assert_eq!(call(&chain, request(false)).await.by, Some(0));
    // Nobody has room: what was heard last may be wrong, a failure is none.
    house.upstream.always("main", Status(503, None, "{}"));
    assert_eq!(call(&chain, request(false)).await.by, Some(1));
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_count_and_those_whose_caller_leaves_do_not() {
    let house = House::new();
    let cut = Answer::Stream(vec![says("a"), Step::Wait(secs(1))]);
    house.upstream.always("main", cut);
    let chain = house.pair();
    for _ in 0..5 {
        let response = chain.clone().oneshot(request(true)).await.unwrap();
        drop(response);
    }
    for _ in 0..3 {
        let answer = call(&chain, request(true)).await;
        assert_eq!(
            (answer.by, answer.kind),
            (Some(0), Some(Kind::StreamTruncated))
        );
    }
    assert_eq!(call(&chain, request(true)).await.by, Some(1));
}

// --- resume ---

#[tokio::test(start_paused = true)]
async fn a_cut_stream_goes_on_at_the_next_target() {
    let truncated = vec![says("one "), says("two")];
    let half_event = [truncated.clone(), vec![Step::Data("data: {\"cho".into())]].concat();
    let reset = [
        truncated.clone(),
        vec![Step::Fail(Kind::Reset {
            reason: ResetReason::Terminated,
            sent: true,
        })],
    ];
    let error = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"x\"}}\n\n";
    let told = [truncated.clone(), vec![Step::Data(error.into())]].concat();
    let stalled = [truncated.clone(), vec![Step::Wait(secs(60))]].concat();
    let malformed = [truncated.clone(), vec![Step::Data("data: {\n\n".into())]].concat();
    for (name, steps) in [
        ("truncated", truncated),
        ("half event", half_event),
        ("reset", reset.concat()),
        ("error event", told),
        ("stalled", stalled),
        ("malformed", malformed),
    ] {
        let house = House::new();
        let begun = [vec![Step::Data(ROLE.to_owned())], steps].concat();
        house.upstream.always("main", Answer::Stream(begun));
        house.upstream.rule("backup", |seen| {
            let last = seen.body["messages"].as_array().unwrap().last().unwrap();
            assert_eq!(last["role"], "assistant");
            assert_eq!(last["content"], "one two");
            whole(&[" three", " four"])
        });
        let answer = call(&house.resuming(), request(true)).await;
        assert_eq!(answer.kind, None, "{name}");
        assert_eq!(heard(&answer.text), "one two three four", "{name}");
        assert_eq!(answer.text.matches("\"role\"").count(), 1, "{name}");
        assert_eq!(answer.text.matches("\"stop\"").count(), 1, "{name}");
        assert_eq!(answer.text.matches("[DONE]").count(), 1, "{name}");
        assert!(!answer.text.contains("error"), "{name}");
        assert_eq!((answer.by, answer.attempts), (Some(1), 2), "{name}");
        assert_eq!(answer.spent, 2, "both are accounted: {name}");
        assert_eq!(house.stats.resumed.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_to_go_on_leaves_the_original_failure() {
    let refusal = r#"{"error":{"type":"invalid_request_error","message":"no prefill"}}"#;
    let house = House::new();
    let cut = Answer::Stream(vec![says("one "), says("two")]);
    house.upstream.always("main", cut.clone());
    house.upstream.always("backup", Status(400, None, refusal));
    let answer = call(&house.resuming(), request(true)).await;
    assert_eq!(heard(&answer.text), "one two");
    assert_eq!(answer.kind, Some(Kind::StreamTruncated));
    assert!(!answer.text.contains("stop") && !answer.text.contains("prefill"));
    assert_eq!(
        (answer.status, answer.by, answer.attempts),
        (200, Some(0), 2)
    );
    // Off means off.
    let house = House::new();
    house.upstream.always("main", cut);
    let answer = call(&house.pair(), request(true)).await;
    assert_eq!(answer.kind, Some(Kind::StreamTruncated));
    assert_eq!(house.upstream.asked("backup"), 0);
    // The provider's own error event is the caller's to see when nobody goes on.
    let error = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"mine\"}}\n\n";
    let house = House::new();
    let told = Answer::Stream(vec![says("one"), Step::Data(error.into())]);
    house.upstream.always("main", told);
    house.upstream.always("backup", Status(400, None, refusal));
    let answer = call(&house.resuming(), request(true)).await;
    assert_eq!(answer.kind, Some(Kind::StreamError));
    assert!(answer.text.ends_with(error));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_twice_goes_on_twice() {
    let house = House::new();
    house
        .upstream
        .always("main", Answer::Stream(vec![says("one ")]));
    house.upstream.always(
        "backup",
        Answer::Stream(vec![Step::Data(ROLE.to_owned()), says("two ")]),
    );
    house.upstream.rule("third", |seen| {
        let messages = seen.body["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[1]["content"], "one two ");
        whole(&["three"])
    });
    let targets = ["backup", "third"].map(|model| Target::new(OWN).with_model(model));
    let params = Params::to(targets).with_resume(Resume::Prefill);
    let answer = call(&house.chain(params, &[]), request(true)).await;
    assert_eq!(answer.kind, None);
    assert_eq!(heard(&answer.text), "one two three");
    assert_eq!((answer.by, answer.spent), (Some(2), 3));
}

/// A streamed request that asks for more.
fn asking(more: &serde_json::Value) -> Request<Body> {
    let mut request = request(true);
    let mut body = serde_json::json!({
        "model": "main",
        "stream": true,
        "messages": [{"role": "user", "content": "hi"}],
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let body = body.to_string();
    let headers = request.headers_mut();
    headers.insert("content-length", body.len().into());
    *request.body_mut() = Body::from(Bytes::from(body));
    request
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_in_two_halves_is_not_gone_on_with() {
    let tools = serde_json::json!([{"type": "function", "function": {"name": "weather"}}]);
    for (more, resumed) in [
        (serde_json::json!({"tools": tools}), false),
        (
            serde_json::json!({"response_format": {"type": "json_object"}}),
            false,
        ),
        (serde_json::json!({"n": 2}), false),
        (serde_json::json!({"modalities": ["text", "audio"]}), false),
        (serde_json::json!({"stop": ["two"]}), false),
        (
            serde_json::json!({"messages": [{"role": "assistant", "content": "zero"}]}),
            false,
        ),
        (serde_json::json!({"stop": ["five"], "tools": []}), true),
    ] {
        let house = House::new();
        let cut = vec![Step::Data(ROLE.to_owned()), says("one "), says("two")];
        house.upstream.always("main", Answer::Stream(cut));
        house.upstream.rule("backup", |_| whole(&[" three"]));
        let answer = call(&house.resuming(), asking(&more)).await;
        let (asked, kind) = (house.upstream.asked("backup"), answer.kind);
        if resumed {
            assert_eq!((asked, kind), (1, None), "{more}");
        } else {
            assert_eq!((asked, kind), (0, Some(Kind::StreamTruncated)), "{more}");
            assert_eq!(heard(&answer.text), "one two", "{more}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_targets_that_go_on_are_asked_to() {
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support assistant message prefill. The conversation must end with a user message."}}"#;
    let house = House::new();
    house
        .upstream
        .always("main", Answer::Stream(vec![says("one ")]));
    house.upstream.always("refuses", Status(400, None, refusal));
    house.upstream.rule("third", |_| whole(&["two"]));
    let [never, refuses, third] =
        ["never", "refuses", "third"].map(|model| Target::new(OWN).with_model(model));
    let targets = [never.with_prefill(false), refuses, third];
    let chain = house.chain(Params::to(targets).with_resume(Resume::Prefill), &[]);
    for asked in [1, 1] {
        let answer = call(&chain, request(true)).await;
        assert_eq!((answer.kind, answer.by), (None, Some(3)));
        assert_eq!(heard(&answer.text), "one two");
        // It is asked once, and known from then on.
        assert_eq!(house.upstream.asked("refuses"), asked);
    }
    assert_eq!(house.upstream.asked("never"), 0);
    // Both serve what was not begun.
    house.upstream.always("main", Status(503, None, "{}"));
    house.upstream.rule("never", |_| whole(&["mine"]));
    let answer = call(&chain, request(true)).await;
    assert_eq!((heard(&answer.text).as_str(), answer.by), ("mine", Some(1)));
}

#[tokio::test(start_paused = true)]
async fn while_nothing_was_shown_the_next_target_begins_anew() {
    // So much without content that it is passed on, and then the end.
    let comments = format!(": {}\n\n", "x".repeat(70_000));
    let begun = vec![Step::Data(ROLE.to_owned()), Step::Data(comments)];
    let tools = serde_json::json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    for more in [serde_json::json!({}), tools] {
        let house = House::new();
        house.upstream.always("main", Answer::Stream(begun.clone()));
        house.upstream.rule("backup", |seen| {
            assert_eq!(seen.body["messages"].as_array().unwrap().len(), 1);
            whole(&["one", " two"])
        });
        let target = Target::new(OWN).with_model("backup").with_prefill(false);
        let params = Params::to([target]).with_resume(Resume::Prefill);
        let answer = call(&house.chain(params, &[]), asking(&more)).await;
        assert_eq!(answer.kind, None, "{more}");
        assert_eq!(heard(&answer.text), "one two", "{more}");
        assert_eq!(answer.text.matches("\"role\"").count(), 1);
        assert_eq!(answer.text.matches("[DONE]").count(), 1);
    }
    // White space is something, and reasoning is.
    let reasoning =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    for shown in [says(" "), Step::Data(reasoning.to_owned())] {
        let house = House::new();
        house.upstream.always(
            "main",
            Answer::Stream(vec![Step::Data(ROLE.to_owned()), shown]),
        );
        let answer = call(&house.resuming(), request(true)).await;
        assert_eq!(answer.kind, Some(Kind::StreamTruncated));
        assert_eq!(house.upstream.asked("backup"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_finish_reason_is_none() {
    let cut = vec![says("one "), Step::Data("data: [DONE]\n\n".to_owned())];
    let house = House::new();
    house.upstream.always("main", Answer::Stream(cut));
    house.upstream.rule("backup", |_| whole(&["two"]));
    let answer = call(&house.resuming(), request(true)).await;
    assert_eq!(
        (answer.kind, heard(&answer.text).as_str()),
        (None, "one two")
    );
    assert_eq!(answer.text.matches("[DONE]").count(), 1);
    assert!(answer.text.ends_with("data: [DONE]\n\n"));
    // And nobody is told of one.
    house.upstream.always("backup", Status(503, None, "{}"));
    let answer = call(&house.resuming(), request(true)).await;
    assert_eq!(answer.kind, Some(Kind::StreamTruncated));
    assert!(!answer.text.contains("[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_joined_is_asked_for_as_text() {
    let coding = |stream: bool, chain: fn(&House) -> Boxed| async move {
        let house = House::new();
        house.upstream.rule("main", move |_| whole(&["one"]));
        let mut request = request(stream);
        let coding = "gzip".parse().unwrap();
        request.headers_mut().insert("accept-encoding", coding);
        call(&chain(&house), request).await;
        house.upstream.last().headers["accept-encoding"].clone()
    };
    assert_eq!(coding(true, House::resuming).await, "identity");
    assert_eq!(coding(false, House::resuming).await, "gzip");
    assert_eq!(coding(true, House::pair).await, "gzip");
}
