//! Ten thousand streams with faults at random: none that is cut looks whole, no token comes twice, and each call of the
//! provider is accounted once.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use http::Request;
use llmesh::{
    base::{SharedRng, time::Instant},
    body::Body,
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    account::{HOST, Llm, bearer},
    kit::{Caller, Reply},
    support::until,
};

const STREAMS: usize = 10_000;
const AT_ONCE: usize = 200;

/// All that an answer says, a token a word.
const TEXT: &str = "The quick brown fox";
const TOKENS: u64 = 4;

const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm.test]
  http:
  - name: resume
    match: [{uri: {prefix: /resume/}}]
    timeout: 30s
    retries: {attempts: 2, backoff: 25ms, retryOn: '5xx,reset,connect-failure,retriable-4xx'}
    route: [{destination: {host: llm.test}}]
  - name: plain
    timeout: 30s
    retries: {attempts: 2, backoff: 25ms, retryOn: '5xx,reset,connect-failure,retriable-4xx'}
    route: [{destination: {host: llm.test}}]
";

/// What is asked, and how its stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

const DIALECTS: [Dialect; 4] = [
    Dialect::Chat,
    Dialect::Responses,
    Dialect::Anthropic,
    Dialect::Gemini,
];

/// What goes wrong. `N` is how many tokens come before.
#[derive(Clone, Copy, Debug)]
struct Fault {
    name: &'static str,
    plan: &'static str,
    /// How many of a hundred streams.
    share: u64,
    account: Account,
}

/// What holds between the two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    /// They are the same, by the provider's word.
    Told,
    /// They are the same, by what was counted here.
    Counted,
    /// What the provider refuses within a stream before its first token costs nothing, but for what it says itself; the mock
    /// counts the prompt.
    Refused,
    /// The provider counts what it handed to a connection that then broke, this side what came out of it, which is what the
    /// callers saw or more.
    Between,
}

const fn fault(name: &'static str, plan: &'static str, share: u64, account: Account) -> Fault {
    Fault {
        name,
        plan,
        share,
        account,
    }
}

const FAULTS: [Fault; 14] = [
    fault("good", "tokens=4", 16, Account::Told),
    fault("no-done", "no-done;tokens=4", 5, Account::Told),
    fault("pause", "stall:Nt;stall-ms=20;tokens=4", 5, Account::Told),
    fault("429", "429,200;tokens=4,hold", 5, Account::Told),
    fault("503", "503,200;tokens=4,hold", 5, Account::Told),
    fault("close", "close,200;tokens=4,hold", 4, Account::Told),
    fault("cut", "cut:Nt;tokens=4", 15, Account::Between),
    fault("end", "end:Nt;tokens=4", 12, Account::Counted),
    fault("stall", "stall:Nt;tokens=4", 1, Account::Counted),
    fault("error", "error:Nt;tokens=4", 10, Account::Counted),
    fault("error-0", "error:0t,200;tokens=4,hold", 4, Account::Refused),
    fault("reset", "reset:Nt;tokens=4", 8, Account::Between),
    // What cannot be read is passed over by both sides.
    fault("malformed", "malformed:Nt;tokens=4", 8, Account::Told),
    fault("malformed-0", "malformed:0t;tokens=4", 2, Account::Told),
];

/// One stream to ask for.
#[derive(Clone, Debug)]
struct Ask {
    fault: Fault,
    dialect: Dialect,
    resume: bool,
    plan: String,
}

/// What a caller saw of one fault.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    asked: u64,
    whole: u64,
    broken: u64,
    refused: u64,
    /// Tokens of text.
    tokens: u64,
    /// Prompt tokens of the streams that were asked for, each once.
    prompt: u64,
    /// What one call for each of them cost by the words of providers that name their usage at the beginning.
    early: u64,
}

type Tallies = BTreeMap<String, Tally>;

// === impl Dialect ===

impl Dialect {
    /// Words of the prompt: as many as a quarter of the bytes of the conversation, by which this side estimates.
    fn words(self) -> usize {
        match self {
            Self::Gemini => 18,
            _ => 14,
        }
    }

    fn path(self, model: &str) -> String {
        match self {
            Self::Chat => "/v1/chat/completions".to_owned(),
            Self::Responses => "/v1/responses".to_owned(),
            Self::Anthropic => "/v1/messages".to_owned(),
            Self::Gemini => format!(
                "/v1beta/models/{}:streamGenerateContent?alt=sse",
                encoded(model)
            ),
        }
    }

    fn body(self, model: &str) -> String {
        let text = vec!["a"; self.words()].join(" ");
        let turns = format!(r#"[{{"role":"user","content":"{text}"}}]"#);
        match self {
            Self::Chat => format!(r#"{{"model":"{model}","stream":true,"messages":{turns}}}"#),
            Self::Responses => format!(r#"{{"model":"{model}","stream":true,"input":{turns}}}"#),
            Self::Anthropic => {
                format!(
                    r#"{{"model":"{model}","stream":true,"max_tokens":100,"messages":{turns}}}"#
                )
            }
            Self::Gemini => {
                format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{text}"}}]}}]}}"#)
            }
        }
    }

    /// The text in an event, and whether it finishes the answer.
    fn read(self, event: &Value) -> (&str, bool) {
        let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or("");
        let is = |kind: &str| text("/type") == kind;
        match self {
            Self::Chat => (
                text("/choices/0/delta/content"),
                !text("/choices/0/finish_reason").is_empty(),
            ),
            Self::Responses => (
                if is("response.output_text.delta") {
                    text("/delta")
                } else {
                    ""
                },
                is("response.completed"),
            ),
            Self::Anthropic => (text("/delta/text"), is("message_stop")),
            Self::Gemini => (
                text("/candidates/0/content/parts/0/text"),
                !text("/candidates/0/finishReason").is_empty(),
            ),
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

// === impl Ask ===

impl Ask {
    fn draw(number: usize, rng: &SharedRng) -> Self {
        let mut at = rng.below(FAULTS.iter().map(|f| f.share).sum());
        let fault = FAULTS.into_iter().find(|fault| {
            let here = at < fault.share;
            at = at.saturating_sub(fault.share);
            here
        });
        let fault = fault.unwrap();
        let before = 1 + rng.below(TOKENS - 1);
        let pace = rng.below(8) / 7 * 2;
        // The number makes the model one of its own: its state, its health and its turns are nobody else's.
        let plan = fault.plan.replace('N', &before.to_string());
        let plan = format!("token-delay-ms={pace};header-x-number={number};{plan}");
        Self {
            fault,
            dialect: DIALECTS[usize::try_from(rng.below(4)).unwrap()],
            resume: rng.below(2) == 0,
            plan,
        }
    }

    /// The policy and the fault.
    fn case(&self) -> String {
        case(self.resume, &self.fault)
    }

    fn request(&self, http2: bool) -> Request<Body> {
        let model = format!("m@{}", self.plan);
        let prefix = if self.resume { "/resume" } else { "" };
        let path = format!("{prefix}{}", self.dialect.path(&model));
        let mut request = Request::post(if http2 {
            format!("http://{HOST}{path}")
        } else {
            path
        });
        if !http2 {
            request = request.header("host", HOST);
        }
        request
            .header("content-type", "application/json")
            .header("authorization", bearer(&self.case()))
            .header("x-case", self.case())
            .body(Body::from(self.dialect.body(&model)))
            .unwrap()
    }

    /// Judges what the caller saw.
    fn judge(&self, reply: &Reply, tally: &mut Tally) {
        tally.asked += 1;
        let words = self.dialect.words() as u64;
        tally.prompt += words;
        if self.dialect == Dialect::Anthropic {
            // `message_start` names the input, and one token of output.
            tally.early += words + 1;
        }
        if reply.status != 200 {
            assert!(!reply.broken, "{self:?} {reply:?}");
            tally.refused += 1;
            return;
        }
        let (mut text, mut finished, mut error) = (String::new(), false, false);
        for data in reply.body.lines().filter_map(|l| l.strip_prefix("data: ")) {
            let Ok(event) = serde_json::from_str::<Value>(data) else {
                let known = data == "[DONE]" || self.fault.name.starts_with("malformed");
                assert!(known, "{self:?} {reply:?}");
                continue;
            };
            let (piece, finish) = self.dialect.read(&event);
            text.push_str(piece);
            finished |= finish;
            error |= event.get("error").is_some_and(|e| !e.is_null());
        }
        tally.tokens += text.split_whitespace().count() as u64;
        if reply.broken {
            tally.broken += 1;
            assert!(!finished, "broken and whole: {self:?} {reply:?}");
            assert!(TEXT.starts_with(&text), "{text:?}: {self:?} {reply:?}");
        } else {
            tally.whole += 1;
            assert!(finished && !error, "shown as whole: {self:?} {reply:?}");
            assert_eq!(text, TEXT, "{self:?} {reply:?}");
        }
    }
}

fn case(resume: bool, fault: &Fault) -> String {
    let policy = if resume { "resume" } else { "plain" };
    format!("{policy}-{}", fault.name)
}

/// Both policies, with a limit for each fault, so that each is accounted for on its own.
fn policies() -> String {
    let mut out = MESH.to_owned();
    for resume in [false, true] {
        let (name, mode) = if resume {
            ("resume", "prefill")
        } else {
            ("plain", "off")
        };
        write!(
            out,
            "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n  \
             hosts: [{HOST}]\n  routes: [{name}]\n  timeouts: {{headers: 10s, firstToken: 10s, interToken: 2s}}\n  \
             retries: {{budget: {{percent: 1000, minPerSecond: 10000}}}}\n  usage: {{inject: true}}\n  \
             resume: '{mode}'\n  fallback: [{{model: 'backup@tokens=4'}}]\n  limits:\n"
        )
        .unwrap();
        for fault in &FAULTS {
            let case = case(resume, fault);
            writeln!(
                out,
                "  - {{name: {case}, key: {{header: x-case, value: {case}}}, tokensPerMinute: 1000000000}}"
            )
            .unwrap();
        }
    }
    out
}

/// One caller with a connection of its own, which asks until there is no more.
async fn ask_all(
    llm: Arc<Llm>,
    asks: Arc<Vec<Ask>>,
    next: Arc<AtomicUsize>,
    http2: bool,
) -> Tallies {
    let connect = async || match http2 {
        true => Caller::http2(llm.proxy.outbound()).await,
        false => Caller::http1(llm.proxy.outbound()).await,
    };
    let (mut caller, mut tallies) = (connect().await, Tallies::new());
    while let Some(ask) = asks.get(next.fetch_add(1, Relaxed)) {
        let reply = caller.send(ask.request(http2)).await;
        ask.judge(&reply, tallies.entry(ask.case()).or_default());
        if reply.broken && !http2 {
            caller = connect().await;
        }
    }
    tallies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_with_faults_are_told_and_accounted_as_they_were() {
    let begin = Instant::now();
    let llm = Arc::new(Llm::start(&policies()).await);
    let rng = SharedRng::seeded(4);
    let asks: Arc<Vec<_>> = Arc::new((0..STREAMS).map(|n| Ask::draw(n, &rng)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for n in 0..AT_ONCE {
        callers.spawn(ask_all(
            Arc::clone(&llm),
            Arc::clone(&asks),
            Arc::clone(&next),
            n % 2 == 0,
        ));
    }
    let mut tallies = Tallies::new();
    for each in callers.join_all().await {
        for (case, t) in each {
            let sum = tallies.entry(case).or_default();
            sum.asked += t.asked;
            sum.whole += t.whole;
            sum.broken += t.broken;
            sum.refused += t.refused;
            sum.tokens += t.tokens;
            sum.prompt += t.prompt;
            sum.early += t.early;
        }
    }
    until(|| llm.log.len() == STREAMS).await;
    for resume in [false, true] {
        for fault in &FAULTS {
            compare(&llm, resume, fault, tallies[&case(resume, fault)]).await;
        }
    }
    let sum = |of: fn(&Tally) -> u64| tallies.values().map(of).sum::<u64>();
    let (whole, broken) = (sum(|t| t.whole), sum(|t| t.broken));
    println!(
        "{whole} whole, {broken} broken, {} refused in {:?}",
        sum(|t| t.refused),
        begin.elapsed()
    );
    assert_eq!(sum(|t| t.asked), STREAMS as u64);
    assert!(whole > 5_000 && broken > 2_000, "the faults are there");
    let all = llm.log.all();
    let attempts: u64 = all.iter().map(|s| u64::from(s.notes.attempts)).sum();
    assert_eq!(attempts, llm.upstream.requests(), "each call is an attempt");
}

/// What callers saw of one fault, what was settled and what the provider counted.
async fn compare(llm: &Llm, resume: bool, fault: &Fault, seen: Tally) {
    let case = case(resume, fault);
    let policy = if resume { "resume" } else { "plain" };
    let settled = llm.settled(&format!("ai/{policy}/{case}"));
    let used = llm.used(Some(&case)).await;
    let facts = format!("{case}: {seen:?}, {settled:?}, {used:?}");
    assert_eq!(
        (settled.allowed, settled.refused),
        (seen.asked, 0),
        "{facts}"
    );
    match fault.account {
        Account::Told => {
            assert_eq!(seen.whole, seen.asked, "{facts}");
            assert_eq!(settled.tokens, used.tokens(), "{facts}");
            assert_eq!(settled.estimated, 0, "{facts}");
        }
        Account::Counted => {
            // OpenAI's and Anthropic's are gone on with.
            assert_eq!(seen.whole > 0, resume, "{facts}");
            assert_eq!(settled.tokens, used.tokens(), "{facts}");
            assert_eq!(settled.estimated, seen.asked, "{facts}");
        }
        Account::Refused => {
            assert_eq!(seen.whole, seen.asked, "repeated unseen: {facts}");
            let refused = seen.prompt - seen.early;
            assert_eq!(settled.tokens + refused, used.tokens(), "{facts}");
        }
        Account::Between => {
            let least = seen.prompt + seen.tokens;
            let most = used.tokens() + seen.early;
            assert!((least..=most).contains(&settled.tokens), "{facts}");
            assert_eq!(settled.estimated, seen.asked, "{facts}");
        }
    }
}
