//! Limits learned from good answers steer a chain before the first 429: the whole stack of a route under a policy.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use llmesh::{
    base::{BoxError, SharedRng, ext::AnsweredBy, time::sleep},
    body::Body,
    fallback::{self, Key, Target},
    llm::DialectMode,
    model::{Cluster as Model, ClusterName, Discovery, LlmPolicy},
    route::params::Forward,
    stack::{Boxed, Cluster, LlmRules, LlmState, RouteStack},
};
use tower::{ServiceExt, service_fn};

/// What the upstream adds to its answers, by cluster and key.
type Adds = HashMap<(&'static str, &'static str), Vec<(&'static str, &'static str)>>;

struct House {
    state: LlmState,
    adds: Arc<Mutex<Adds>>,
    asked: Arc<Mutex<Vec<String>>>,
    policy: LlmPolicy,
    /// The keys of the chain's targets.
    keys: Vec<&'static str>,
}

// === impl House ===

impl House {
    /// Another cluster, with a key of its own.
    fn pair() -> Self {
        let mut policy = LlmPolicy::default();
        policy.fallback = fallback::Params::to([Target::new("backup")]);
        Self {
            state: LlmState::default(),
            adds: Arc::default(),
            asked: Arc::default(),
            policy,
            keys: vec!["theirs"],
        }
    }

    fn adds(&self, cluster: &'static str, key: &'static str, all: &[(&'static str, &'static str)]) {
        let mut adds = self.adds.lock().unwrap();
        adds.insert((cluster, key), all.to_vec());
    }

    /// What reaches a cluster: it always answers well.
    fn leaf(&self, cluster: &'static str) -> Boxed {
        let (adds, asked) = (Arc::clone(&self.adds), Arc::clone(&self.asked));
        Boxed::new(service_fn(move |request: Request<Body>| {
            let key = request.headers()["authorization"].to_str().unwrap();
            let key = key.strip_prefix("Bearer ").unwrap();
            asked.lock().unwrap().push(format!("{cluster} {key}"));
            let mut response = Response::builder().header("content-type", "application/json");
            let adds = adds.lock().unwrap();
            let mine = adds.iter().find(|((c, k), _)| *c == cluster && *k == key);
            for (name, value) in mine.into_iter().flat_map(|(_, all)| all) {
                response = response.header(*name, *value);
            }
            let response = response
                .body(Body::from(Bytes::from_static(b"{}")))
                .unwrap();
            std::future::ready(Ok::<_, BoxError>(response))
        }))
    }

    fn stack(&self) -> Boxed {
        let forward = Forward::new(Vec::new());
        let rng = SharedRng::seeded(7);
        let route = RouteStack {
            forward: &forward,
            rng: &rng,
            llm: Some(LlmRules {
                named: &[],
                policy: &self.policy,
                key: None,
                callers: None,
                state: &self.state,
            }),
        };
        let cluster = || {
            let name = ClusterName::new(443, "", "svc");
            Cluster::new(&Model::new(name, Discovery::Static(Vec::new())))
        };
        let targets = self.policy.fallback.targets.iter().zip(&self.keys);
        let chain = targets.map(|(target, key)| {
            let key = Some(Key::new(key).unwrap());
            route
                .link(target, key, &cluster(), self.leaf("backup"))
                .unwrap()
        });
        let chain = chain.collect();
        let (name, own) = (Arc::from("own"), cluster());
        route.stack(&name, &own, self.leaf("own"), chain)
    }

    /// Which cluster serves a request of this key for this model and so many output tokens.
    async fn ask(&self, key: &str, model: &str, max_tokens: u64) -> String {
        let body = format!(
            r#"{{"model":"{model}","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        let request = Request::post("http://llm.example/v1/chat/completions")
            .header("host", "llm.example")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Body::from(Bytes::from(body)));
        let response = self.stack().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let by = response.extensions().get::<AnsweredBy>();
        by.map_or_else(|| "own".to_owned(), |by| by.cluster.to_string())
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const NO_REQUESTS: [(&str, &str); 2] = [
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "6s"),
];

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_where_no_requests_are_left_until_the_reset() {
    let house = House::pair();
    house.adds("own", "k", &NO_REQUESTS);
    assert_eq!(house.ask("k", "m", 10).await, "own");
    house.adds("own", "k", &[]);
    assert_eq!(house.ask("k", "m", 10).await, "backup");
    sleep(secs(6) - Duration::from_millis(1)).await;
    assert_eq!(house.ask("k", "m", 10).await, "backup");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(house.ask("k", "m", 10).await, "own");
    let asked = house.asked.lock().unwrap().join(", ");
    assert_eq!(asked, "own k, backup theirs, backup theirs, own k");
    let stats = &house.state.fallback;
    assert_eq!((stats.steered.get(), stats.passed_over.get()), (2, 2));
    // Nothing failed, so nothing was paid for.
    assert_eq!((stats.fallbacks.get(), stats.rescued.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fits_goes_where_a_larger_one_does_not() {
    let house = House::pair();
    let tokens = [
        ("x-ratelimit-limit-tokens", "100000"),
        ("x-ratelimit-remaining-tokens", "1000"),
        ("x-ratelimit-reset-tokens", "60s"),
    ];
    house.adds("own", "k", &tokens);
    assert_eq!(house.ask("k", "m", 100).await, "own");
    house.adds("own", "k", &[]);
    assert_eq!(house.ask("k", "m", 5000).await, "backup");
    assert_eq!(house.ask("k", "m", 500).await, "own");
    // 99,000 come back in a minute.
    sleep(secs(3)).await;
    assert_eq!(house.ask("k", "m", 5000).await, "own");
}

#[tokio::test(start_paused = true)]
async fn anothers_key_or_model_is_none_of_its_business() {
    let house = House::pair();
    house.adds("own", "k", &NO_REQUESTS);
    house.ask("k", "m", 10).await;
    assert_eq!(house.ask("k", "m", 10).await, "backup");
    assert_eq!(house.ask("k", "other", 10).await, "own");
    assert_eq!(house.ask("l", "m", 10).await, "own");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_room_the_first_is_asked() {
    let house = House::pair();
    house.adds("own", "k", &NO_REQUESTS);
    // The limits of a target are those of the key that is sent there, not of the caller's.
    house.adds("backup", "theirs", &NO_REQUESTS);
    for expected in ["own", "backup", "own"] {
        assert_eq!(house.ask("k", "m", 10).await, expected);
    }
    assert_eq!(house.state.fallback.steered.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_chain_or_without_reading_nothing_changes() {
    let mut house = House::pair();
    house.policy.fallback.targets.clear();
    house.adds("own", "k", &NO_REQUESTS);
    for _ in 0..3 {
        assert_eq!(house.ask("k", "m", 10).await, "own");
    }
    let mut house = House::pair();
    house.policy.stream.dialect = DialectMode::StatusOnly;
    house.adds("own", "k", &NO_REQUESTS);
    for _ in 0..3 {
        assert_eq!(house.ask("k", "m", 10).await, "own");
    }
}
