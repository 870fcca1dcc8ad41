//! The classifier that knows LLM providers.
//!
//! An error status waits for its body (up to 64 KiB), since the body tells an empty account from pacing. A JSON answer to
//! an LLM call waits for its end, since it may be an error. Streams and everything else are decided at the head; of streams
//! [`StreamLayer`](crate::stream::StreamLayer), below, knows more. What a whole answer cost goes into the request's
//! [`Ledger`](crate::base::cost::Ledger), once.

mod make;

use std::{mem, time::SystemTime};

use ::http::{HeaderMap, response};
use bytes::Bytes;
use serde_json::Value;

pub use self::make::LlmClassifier;
use crate::{
    base::BoxError,
    classify::{
        Class, Classifier, HttpClassifier, Outcome, Signal, Verdict,
        http::{grpc_status, signal},
        transport,
    },
    llm::{
        Usage,
        account::Account,
        answer::{self, Reading},
        coding::Coding,
        content::{Content, content, content_type, forbidden, is_opaque},
        dialect::{Api, Dialect, Provider},
        fault::Fault,
        table::{self, Evidence},
        wait,
    },
};

/// How much of an error body is read.
const FAULT_CAP: usize = 64 * 1024;
/// How much of an answer is read. Of a longer one neither errors nor usage are known.
const ANSWER_CAP: usize = 1024 * 1024;

/// About how many bytes of an answer, in JSON, come on a token.
const BYTES_PER_TOKEN: u64 = 4;

/// The classifier of one attempt.
#[derive(Debug)]
pub struct Attempt {
    api: Api,
    /// Whether the operator said which dialect this is.
    dialect_set: bool,
    head: Option<Head>,
    mode: Mode,
    /// Whether the body is one whole answer, and no stream.
    whole: bool,
    /// How what is read of the body is coded.
    coding: Coding,
    buffer: Vec<u8>,
    /// Bytes of the body that came, decoded where it is read.
    seen: usize,
    usage: Option<Usage>,
    /// The model that answered, as the answer says.
    model: Option<Box<str>>,
    /// Where the cost goes, until it is there.
    account: Option<Account>,
}

#[derive(Debug)]
struct Head {
    signal: Signal,
    status: u16,
    headers: HeaderMap,
    /// Whether the response says that its body is JSON.
    json: bool,
    /// Whether its body is the answer of a model, in a coding that cannot be undone.
    opaque: bool,
    now: SystemTime,
}

#[derive(Debug)]
enum Mode {
    /// By status only, or gRPC.
    Http(HttpClassifier),
    /// Nothing of the body matters.
    Pass,
    /// The body of an error is read.
    Fault,
    /// The body of an answer is read.
    Answer,
    /// Decided.
    Decided(Class),
}

// === impl Attempt ===

impl Attempt {
    /// What the request showed of its API.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api
    }

    /// The token counts, once a whole answer was read.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// How the body is to be read, from the head.
    fn read_as(&self, head: &Head, headers: &HeaderMap, content: Content) -> Mode {
        let opaque = is_opaque(headers);
        if head.status >= 400 {
            return if opaque || content == Content::Html {
                Mode::Decided(self.fault(head, &Value::Null))
            } else {
                Mode::Fault
            };
        }
        let no_content = !matches!(head.status, 200..=203);
        if no_content || opaque || self.api.streaming || content == Content::Stream {
            return Mode::Pass;
        }
        match content {
            Content::Json | Content::Absent
                if self.api.generates || self.api.provider.is_some() =>
            {
                Mode::Answer
            }
            // No completion comes as a page, or as text.
            Content::Html | Content::Other if self.expects_completion() => {
                Mode::Decided(Class::new(Outcome::ServerError, head.signal))
            }
            _ => Mode::Pass,
        }
    }

    /// Whether nothing but a completion can be the answer. Paths such as `/api/chat` and `/generate` are ordinary services'
    /// too, which answer as they like: there the host or the operator must have said so.
    fn expects_completion(&self) -> bool {
        let shared = matches!(
            self.api.dialect,
            Some(Dialect::Cohere | Dialect::Ollama | Dialect::Tgi)
        );
        let told = self.api.provider.is_some() || self.dialect_set;
        self.api.generates && (told || !shared)
    }

    /// The class of an error, from what was read of its body.
    fn fault(&self, head: &Head, body: &Value) -> Class {
        self.class_of(head, &Fault::read(body))
    }

    fn class_of(&self, head: &Head, fault: &Fault<'_>) -> Class {
        let provider = self.provider(head);
        let llm = self.api.is_llm();
        Evidence::new(head.status, &head.headers, fault, provider, llm, head.now).class(head.signal)
    }

    fn answer(&mut self) -> Class {
        let Some(head) = &self.head else {
            return Class::new(Outcome::Success, Signal::Error(crate::base::Kind::Internal));
        };
        let Ok(body) = serde_json::from_slice::<Value>(&self.buffer) else {
            // Said to be JSON and is not: no completion. Without a content type nothing was promised, and a coding may have
            // been cut off.
            let broken = head.json && self.api.generates && !self.coding.is_coded();
            let outcome = if broken {
                Outcome::ServerError
            } else {
                Outcome::Success
            };
            return Class::new(outcome, head.signal);
        };
        self.usage = Usage::of(&body);
        self.model = answer::model(&body).map(Box::from);
        match answer::read(&body, self.provider(head)) {
            Reading::Is(outcome) => {
                let finding = table::Finding::from(outcome);
                let mut class = Class::new(outcome, head.signal);
                class.hint = wait::hint(&finding, &head.headers, &Fault::default(), head.now);
                class.retry_same &= !forbidden(&head.headers);
                class
            }
            Reading::Error(fault) => self.class_of(head, &fault),
            Reading::Inner(fault) => {
                let mut class = self.class_of(head, &fault);
                class.inner = Some(class.outcome);
                class.outcome = Outcome::StreamError;
                class
            }
        }
    }

    fn provider(&self, head: &Head) -> Option<Provider> {
        self.api.provider(&head.headers)
    }

    /// Notes what a whole answer cost. One of which the counts are unknown is estimated by its length, unless it is longer
    /// than any text; an error costs nothing. Streams are not noted here.
    fn settle(&mut self) {
        let answered = self.head.as_ref().is_some_and(|head| head.status < 400);
        let failed = matches!(&self.mode, Mode::Decided(class) if !class.is_success());
        if !self.whole || !answered || (failed && self.usage.is_none()) {
            return;
        }
        if let Some(account) = self.account.take() {
            let text = if self.seen < ANSWER_CAP { self.seen } else { 0 };
            let output = text as u64 / BYTES_PER_TOKEN;
            let (model, usage) = (self.model.as_deref(), self.usage);
            account.close(model, usage, output, usage.is_some());
        }
    }

    /// Takes bytes of the body, decoded.
    fn look(&mut self, piece: &[u8]) -> Verdict {
        self.seen = self.seen.saturating_add(piece.len());
        let cap = match &self.mode {
            Mode::Decided(class) => return Verdict::Done(class.clone()),
            Mode::Http(_) | Mode::Pass => return Verdict::Wait,
            Mode::Fault => FAULT_CAP,
            Mode::Answer => ANSWER_CAP,
        };
        if self.buffer.len() + piece.len() < cap {
            self.buffer.extend_from_slice(piece);
            return Verdict::Wait;
        }
        if matches!(self.mode, Mode::Answer) {
            self.mode = Mode::Pass;
            self.buffer = Vec::new();
        }
        Verdict::Done(self.decide())
    }

    /// The body is not coded as its label says: nothing follows from it.
    fn unreadable(&mut self) -> Verdict {
        self.buffer = Vec::new();
        if let (Mode::Answer, Some(head)) = (&self.mode, &mut self.head) {
            head.opaque = true;
            self.mode = Mode::Pass;
        }
        Verdict::Done(self.decide())
    }

    /// Decides with what is in the buffer.
    fn decide(&mut self) -> Class {
        let class = match (&self.mode, &self.head) {
            (Mode::Decided(class), _) => return class.clone(),
            (Mode::Answer, Some(_)) => self.answer(),
            (Mode::Fault, Some(head)) => {
                let body = serde_json::from_slice(&self.buffer).unwrap_or(Value::Null);
                self.fault(head, &body)
            }
            (_, Some(head)) => head.success(),
            (_, None) => return transport::class_of_error(&internal()),
        };
        self.buffer = Vec::new();
        self.mode = Mode::Decided(class.clone());
        class
    }
}

impl Classifier for Attempt {
    fn head(&mut self, parts: &response::Parts, now: SystemTime) -> Verdict {
        let content_type = content_type(&parts.headers);
        let grpc =
            grpc_status(&parts.headers).is_some() || content_type.starts_with("application/grpc");
        if grpc {
            self.mode = Mode::Http(HttpClassifier::default());
        }
        if let Mode::Http(http) = &mut self.mode {
            return http.head(parts, now);
        }
        let content = content(&content_type);
        let mut head = Head {
            signal: signal(parts),
            status: parts.status.as_u16(),
            headers: HeaderMap::new(),
            json: content == Content::Json,
            opaque: self.api.generates && is_opaque(&parts.headers),
            now,
        };
        if head.status >= 400 {
            head.headers.clone_from(&parts.headers);
        }
        self.mode = self.read_as(&head, &parts.headers, content);
        if matches!(self.mode, Mode::Answer) {
            head.headers.clone_from(&parts.headers);
        }
        if matches!(self.mode, Mode::Fault | Mode::Answer) {
            self.coding = Coding::of(&parts.headers);
        }
        self.whole = matches!(self.mode, Mode::Answer) || head.opaque;
        let verdict = match &self.mode {
            Mode::Decided(class) => Verdict::Done(class.clone()),
            Mode::Fault | Mode::Answer => Verdict::Wait,
            Mode::Http(_) | Mode::Pass => Verdict::Done(head.success()),
        };
        self.head = Some(head);
        verdict
    }

    fn frame(&mut self, chunk: &Bytes) -> Verdict {
        if let Mode::Http(http) = &mut self.mode {
            return http.frame(chunk);
        }
        let (mut coding, mut verdict) = (mem::take(&mut self.coding), Verdict::Wait);
        coding.show(chunk, |piece| {
            if matches!(verdict, Verdict::Wait) {
                verdict = self.look(piece);
            }
        });
        self.coding = coding;
        match verdict {
            Verdict::Wait if self.coding.is_unreadable() => self.unreadable(),
            verdict => verdict,
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Class {
        if let Mode::Http(http) = &mut self.mode {
            return http.end(trailers);
        }
        let class = self.decide();
        self.settle();
        class
    }

    fn error(&mut self, error: &BoxError) -> Class {
        self.settle();
        match (&mut self.mode, &self.head) {
            (Mode::Http(http), _) => http.error(error),
            // An error stays what it is, however its body ended.
            (Mode::Fault, _) => self.decide(),
            (Mode::Decided(class), _) if !class.is_success() => class.clone(),
            (_, Some(_)) => transport::class_of_body_error(error),
            (_, None) => transport::class_of_error(error),
        }
    }
}

// === impl Head ===

impl Head {
    /// Nothing of the body matters, or nothing can be read.
    fn success(&self) -> Class {
        let mut class = Class::new(Outcome::Success, self.signal);
        class.status_only = self.opaque;
        class
    }
}

fn internal() -> BoxError {
    crate::base::Error::new(crate::base::Kind::Internal).into()
}

#[cfg(test)]
mod tests;
