//! A scripted LLM upstream on a real socket, for integration tests, demos, benches and chaos tests.
//!
//! It answers in the dialect of the path (OpenAI chat, Azure's included, and responses, Anthropic, Gemini, Ollama,
//! Cohere v2, Bedrock Converse; OpenAI chat elsewhere), whole or as a stream, over HTTP/1.1 and HTTP/2 with prior
//! knowledge on one port. What it answers is told by, in this order: the request's own `x-mock-*` headers (which pass
//! through proxies), the model's name, the listener's [`Script`], or nothing: then it is a provider on a good day.
//! Answers are deterministic. `llmesh mock` is this type behind a command line.
//!
//! | header | example |
//! |---|---|
//! | `x-mock-NAME` | any name of [`Answer::set`]: `x-mock-status: 503`, `x-mock-fault: cut:3t`, `x-mock-case: openai-004` |
//! | `x-mock-sequence` | `503;times=2,429;retry-after-ms=300,200`: items in turn |
//! | `x-mock-key` | whose turn it is: keys have their own `times`, sequences and flapping |
//!
//! A model's name asks after its last `@`, in the grammar of a sequence: `NAME@ITEM[,ITEM]…[,hold|,loop]`, each item
//! parts joined by `;` ([`Answer::apply`]): `m@429;retry-after=2;times=1` is once, then good; `m@503` is for ever;
//! `m@503,200,loop` flaps by requests and `m@503;flap-ms=5000` by time. State belongs to the whole name, so that tests
//! with names of their own do not meet. `NAME@20250514`, `NAME@latest` and `NAME@default` are versions and ask nothing.
//!
//! The text is one fixed sequence of tokens ("The quick brown fox … home. 13 14 …", 16 unless told, cut by the
//! request's own limit); a request that ends with an assistant's turn that begins this text is answered with the rest.
//! Prompt tokens are the words of the conversation and the instructions, completion tokens those that were sent; what
//! each key used of each model, callers that hung up included, is at [`Upstream::usage`] and `GET /mock/usage`.
//!
//! Beside the dialects it serves `GET /healthz`, `POST` and `DELETE /mock/script`, `GET /mock/stats`, `/mock/usage`,
//! `/mock/prompts`, `/mock/cases`, and `DELETE /mock/state`, which forgets turns and counts. Responses carry
//! `x-mock-listener: ADDRESS` and, if the listener has a label, `x-mock-version: LABEL`.
//!
//! ```
//! use llmesh::testing::upstream::{Answer, ErrorKind, Script, Upstream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let upstream = Upstream::builder()
//!     .label("v1")
//!     .script(Script::sequence([Answer::error(ErrorKind::Overloaded)]))
//!     .start()
//!     .await?;
//! println!("http://{}/v1/chat/completions fails once, then works", upstream.addr());
//! # Ok(())
//! # }
//! ```
#![doc = ""]
#![doc = include_str!("models.md")]

use std::{io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use http::HeaderValue;

mod admin;
mod answer;
mod anthropic;
mod bad_directive;
mod bedrock;
mod body;
mod cases;
mod chat;
mod cohere;
mod conn;
mod dialect;
mod directive;
mod doors;
mod errors;
mod event;
mod faults;
mod gemini;
mod ollama;
mod plan;
mod prompt;
mod render;
mod reply;
mod responses;
mod script;
mod seen;
mod serve;
mod shared;
mod spoken;
mod usage;
mod wire;

pub use self::{
    answer::{Answer, ErrorKind, Fault},
    bad_directive::BadDirective,
    script::{Script, Sequences},
    seen::SeenRequest,
    usage::Usage,
};

use self::shared::Shared;

/// A running upstream. Dropping it closes its listener and connections.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
}

/// Settings of an [`Upstream`].
#[derive(Debug)]
#[must_use = "nothing listens before start()"]
pub struct Builder {
    address: SocketAddr,
    label: Option<String>,
    script: Script,
    sequences: Sequences,
    record: bool,
}

// === impl Upstream ===

impl Upstream {
    /// An upstream on a free loopback port that answers well and records requests.
    pub fn builder() -> Builder {
        Builder {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            label: None,
            script: Script::default(),
            sequences: Sequences::new(),
            record: true,
        }
    }

    /// Starts an upstream with all defaults.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// How many requests came, without those about the mock itself.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.stats.requests.get()
    }

    /// The last 10,000 requests, oldest first; none if recording is off.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.shared.recorder.all()
    }

    /// Tokens, attempts and hang-ups by key and model. Requests that the script answers with bytes are not in it.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        self.shared.ledger.rows()
    }

    /// How many connections were accepted since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.stats.accepted.get()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.shared.stats.open.get()
    }

    /// Replaces the script, from the next request on.
    pub fn set_script(&self, script: impl Into<Script>) {
        self.shared.script.store(Arc::new(script.into()));
    }

    /// Stops listening, so that new connections are refused; open ones go on. Returns once the port is closed.
    pub async fn refuse(&self) {
        self.shared.doors.refuse().await;
    }

    /// Closes all open connections at once, as a restarting process or a dead path would; new ones are accepted.
    pub async fn drop_connections(&self) {
        self.shared.doors.kill().await;
    }

    /// Refuses new connections and closes all open ones at once, as when the process dies.
    pub async fn kill(&self) {
        self.refuse().await;
        self.drop_connections().await;
    }

    /// Refuses new connections and lets open ones finish the requests they carry; waits for that without limit.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections that are left.
    pub async fn stop(&self) {
        self.refuse().await;
        self.shared.doors.finish().await;
    }

    /// Listens again on the same address, after [`refuse`](Self::refuse), [`kill`](Self::kill) or [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// If the port cannot be bound: another took it, or this upstream still listens.
    pub async fn revive(&self) -> io::Result<()> {
        let (listener, _) = conn::bind(self.shared.address).await?;
        conn::spawn(&self.shared, listener);
        Ok(())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.doors.shut();
    }
}

// === impl Builder ===

impl Builder {
    /// Where to listen. Port 0 is a free one.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The version that `x-mock-version` and the text of answers name. Must be visible ASCII.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to answer to requests without `x-mock-*` headers; `DELETE /mock/script` returns to it.
    pub fn script(mut self, script: impl Into<Script>) -> Self {
        self.script = script.into();
        self
    }

    /// Shares the positions of keyed sequences with other listeners.
    pub fn sequences(mut self, sequences: &Sequences) -> Self {
        self.sequences = sequences.clone();
        self
    }

    /// Whether [`Upstream::seen`] is kept. Turn it off under load.
    pub fn record(mut self, record: bool) -> Self {
        self.record = record;
        self
    }

    /// Binds and serves on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or the label is no header value.
    pub async fn start(self) -> io::Result<Upstream> {
        let label = self.label.map(HeaderValue::try_from).transpose();
        let label = label.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let (listener, address) = conn::bind(self.address).await?;
        let listener_name = HeaderValue::try_from(address.to_string()).map_err(io::Error::other)?;
        let initial = Arc::new(self.script);
        let shared = Arc::new(Shared {
            address,
            listener: listener_name,
            label,
            script: ArcSwap::new(Arc::clone(&initial)),
            initial,
            sequences: self.sequences,
            record: self.record,
            recorder: seen::Recorder::default(),
            stats: seen::Stats::new(),
            ledger: usage::Ledger::default(),
            doors: doors::Doors::new(),
            http: conn::http(),
            revive_after: conn::revive_after,
        });
        conn::spawn(&shared, listener);
        Ok(Upstream { shared })
    }
}
