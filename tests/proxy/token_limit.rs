//! A thousand callers at once under one limit on tokens, of whom a third hangs up: nothing goes over it, and what is settled is
//! what the provider counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Request;
use http_body_util::BodyExt;
use llmesh::{
    base::{SharedRng, time::sleep},
    body::Body,
};
use tokio::task::JoinSet;

use crate::{
    account::{HOST, Llm, bearer},
    kit::{Caller, ms},
    support::until,
};

const CALLERS: u64 = 1_000;
const LIMIT: u64 = 10_000;

/// Words of the prompt: as many as a quarter of the bytes of the conversation, by which this side estimates.
const PROMPT: usize = 14;

/// What is reserved for an answer of unknown length. None is longer.
const OUTPUT: u64 = 100;

/// How far the provider may be ahead of what arrived here when a caller leaves, in tokens a caller: one comes every 20 ms, and
/// goes on until the provider sees that its connection is closed.
const AHEAD: u64 = 8;

/// `stays` and `leaves` limit nothing: they tell the accounts of the two apart.
const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm.test]
  http:
  - {timeout: 30s, retries: {attempts: 0}, route: [{destination: {host: llm.test}}]}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm.test]
  usage: {inject: true}
  defaultOutputTokens: 100
  limits:
  - {name: all, tokensPerMinute: 10000}
  - {name: stays, key: {header: x-case, value: stays}, tokensPerMinute: 1000000000}
  - {name: leaves, key: {header: x-case, value: leaves}, tokensPerMinute: 1000000000}
";

/// What one caller wants.
#[derive(Clone, Debug)]
struct Want {
    stream: bool,
    /// What it says of the length.
    max: Option<u64>,
    /// How long the answer would be.
    tokens: u64,
    /// After how many tokens of a stream it hangs up; of a whole answer, before its head.
    leaves: Option<u64>,
}

/// What all callers saw.
#[derive(Debug, Default)]
struct Seen {
    served: AtomicU64,
    left: AtomicU64,
    refused: AtomicU64,
    /// Tokens that came before a caller hung up.
    before: AtomicU64,
}

// === impl Want ===

impl Want {
    fn draw(rng: &SharedRng) -> Self {
        let tokens = 5 + rng.below(OUTPUT / 2 - 4);
        let stream = rng.below(3) > 0;
        Self {
            stream,
            max: (rng.below(5) == 0).then(|| 5 + rng.below(200)),
            tokens,
            leaves: (rng.below(3) == 0).then(|| 1 + rng.below(tokens / 2)),
        }
    }

    fn case(&self) -> &'static str {
        match self.leaves {
            Some(_) => "leaves",
            None => "stays",
        }
    }

    fn request(&self) -> Request<Body> {
        let (stream, tokens) = (self.stream, self.tokens);
        let text = vec!["a"; PROMPT].join(" ");
        let max = self.max.map(|max| format!(r#""max_tokens":{max},"#));
        let max = max.unwrap_or_default();
        // Whole answers take as long as streams, so that their callers can leave before the head.
        let pace = match stream {
            true => "token-delay-ms=20",
            false => "delay-ms=500",
        };
        let body = format!(
            r#"{{"model":"m@tokens={tokens};{pace}","stream":{stream},{max}"messages":[{{"role":"user","content":"{text}"}}]}}"#
        );
        Request::post("/v1/chat/completions")
            .header("host", HOST)
            .header("content-type", "application/json")
            .header("authorization", bearer(self.case()))
            .header("x-case", self.case())
            .body(Body::from(body))
            .unwrap()
    }

    /// Asks, and asks again when there is no room, up to four times.
    async fn ask(self, llm: Arc<Llm>, seen: Arc<Seen>, rng: SharedRng) {
        for _ in 0..4 {
            if self.try_once(&llm, &seen).await {
                return;
            }
            seen.refused.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(200 + rng.below(400))).await;
        }
    }

    /// Whether there was room.
    async fn try_once(&self, llm: &Llm, seen: &Seen) -> bool {
        let mut caller = Caller::http1(llm.proxy.outbound()).await;
        if let (false, Some(_)) = (self.stream, self.leaves) {
            let answer = tokio::time::timeout(ms(30), caller.open(self.request())).await;
            return match answer {
                Ok(answer) => answer.unwrap().status() != 429,
                Err(_) => {
                    seen.left.fetch_add(1, Relaxed);
                    true
                }
            };
        }
        let answer = caller.open(self.request()).await.unwrap();
        let (head, mut body) = answer.into_parts();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap_or_default();
            text.push_str(std::str::from_utf8(&data).unwrap());
            let came = u64::try_from(text.matches(r#""content":" "#).count()).unwrap();
            if head.status == 200 && self.leaves.is_some_and(|n| came >= n) {
                seen.left.fetch_add(1, Relaxed);
                seen.before.fetch_add(came, Relaxed);
                return true;
            }
        }
        if head.status == 200 {
            seen.served.fetch_add(1, Relaxed);
        } else {
            assert_eq!(head.status, 429, "{text}");
            assert!(head.headers.contains_key("retry-after-ms"));
        }
        head.status == 200
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_do_not_go_over_a_limit_on_tokens() {
    let llm = Arc::new(Llm::start(MESH).await);
    let (seen, rng) = (Arc::new(Seen::default()), SharedRng::seeded(3));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let rng = SharedRng::seeded(rng.next());
        callers.spawn(Want::draw(&rng).ask(Arc::clone(&llm), Arc::clone(&seen), rng));
    }
    while callers.join_next().await.transpose().unwrap().is_some() {
        // At no time: the provider's own count is what it has sent so far.
        let used = llm.upstream.usage();
        let sum: u64 = used
            .iter()
            .map(|u| u.prompt_tokens + u.completion_tokens)
            .sum();
        assert!(sum <= LIMIT, "{used:?}");
    }
    let requests = usize::try_from(llm.settled("ai/llm/all").allowed).unwrap()
        + usize::try_from(llm.settled("ai/llm/all").refused).unwrap();
    until(|| llm.log.len() == requests).await;
    // The provider has seen of everybody who left that they did.
    sleep(ms(200)).await;

    let (all, stays, leaves) = (
        llm.settled("ai/llm/all"),
        llm.settled("ai/llm/stays"),
        llm.settled("ai/llm/leaves"),
    );
    let (used, stayed, left) = (
        llm.used(None).await,
        llm.used(Some("stays")).await,
        llm.used(Some("leaves")).await,
    );
    let facts =
        format!("{seen:?}\n{all:?}\nstays {stays:?} {stayed:?}\nleaves {leaves:?} {left:?}");
    println!("{facts}");
    let number = |n: &AtomicU64| n.load(Relaxed);
    // Nothing went over, and most of the limit was used.
    assert!(all.tokens <= LIMIT && used.tokens() <= LIMIT, "{facts}");
    assert!(all.tokens > LIMIT / 2, "{facts}");
    assert!(all.refused > 0 && leaves.estimated > 10, "{facts}");
    assert_eq!(all.tokens, stays.tokens + leaves.tokens, "{facts}");
    // Who stayed: what the provider said is what it counted.
    assert_eq!(
        (stays.tokens, stays.estimated),
        (stayed.tokens(), 0),
        "{facts}"
    );
    // Who left: the mock counts what it handed to the connection, this side what came out of it.
    let least = leaves.estimated * PROMPT as u64 + number(&seen.before);
    assert!((least..=left.tokens()).contains(&leaves.tokens), "{facts}");
    let ahead = left.tokens() - leaves.tokens;
    assert!(ahead <= AHEAD * leaves.estimated, "{ahead} ahead: {facts}");
}
