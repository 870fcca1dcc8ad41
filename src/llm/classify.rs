//! The classifier that knows LLM providers.
//!
//! An error status waits for its body (up to 64 KiB), since the body tells an empty account from pacing. An answer to an LLM
//! call waits for the first bytes that tell what it is, whatever its label says; one that is JSON waits for its end, since it
//! may be an error, and a page in place of a completion is one; where ordinary services have the path too, neither is. Everything
//! else is served as it is; of streams [`StreamLayer`](crate::stream::StreamLayer), below, knows more. Costs go into the
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
        dialect::{Api, Provider},
        fault::Fault,
        sniff::{Found, Sniff},
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
    /// What the body of an answer is, is still open.
    Sniff(Sniff),
    /// The body of an answer is read.
    Answer,
    /// The token counts in the body of an answer are read.
    Counts,
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
            return if opaque {
                Mode::Decided(self.fault(head, &Value::Null))
            } else {
                Mode::Fault
            };
        }
        let api = self.api;
        if !matches!(head.status, 200..=203) || opaque {
            Mode::Pass
        } else if api.generates {
            // What was asked for is the matter of the layer that reads streams.
            Mode::Sniff(Sniff::new(content, api.dialect, api.streaming, false))
        } else if api.counts && content == Content::Json {
            Mode::Counts
        } else {
            Mode::Pass
        }
    }

    /// It is known what the body is.
    fn found(&mut self, found: Found) -> Verdict {
        let Some(head) = &self.head else {
            return Verdict::Wait;
        };
        self.mode = match found {
            Found::Json => Mode::Answer,
            // No completion comes as a page.
            Found::Html if self.api.completes => {
                Mode::Decided(Class::new(Outcome::ServerError, head.signal))
            }
            Found::Html | Found::Stream(_) | Found::Unknown => Mode::Decided(head.success()),
        };
        self.whole |= found == Found::Json;
        match &self.mode {
            Mode::Decided(class) => {
                self.buffer = Vec::new();
                Verdict::Done(class.clone())
            }
            // Read for its token counts only.
            Mode::Answer if !self.api.completes => Verdict::Done(head.success()),
            _ => Verdict::Wait,
        }
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
        let body = match answer::parse(&self.buffer) {
            Ok(body) => body,
            // A completion that ends before its end; a coding may have been cut off. Of what else is no JSON nothing is known.
            Err(error)
                if self.api.completes
                    && error.is_eof()
                    && answer::is_begun(&self.buffer)
                    && !self.coding.is_coded() =>
            {
                return Class::new(Outcome::ServerError, head.signal);
            }
            Err(_) => return head.success(),
        };
        self.usage = Usage::of(&body);
        self.model = answer::model(&body).map(Box::from);
        if !self.api.completes {
            // An ordinary service's, maybe, to whom a key `error` means what it likes.
            return head.success();
        }
        match answer::read(&body, self.provider(head)) {
            Reading::Is(outcome) => {
                let finding = table::Finding::from(outcome);
                let mut class = Class::new(outcome, head.signal);
                class.hint = wait::hint(&finding, &head.headers, &Fault::default(), head.now);
                class.retry_same &= !forbidden(&head.headers);
                class.paced = outcome.is_pacing();
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
            Mode::Answer | Mode::Sniff(_) | Mode::Counts => ANSWER_CAP,
        };
        if self.buffer.len() + piece.len() < cap {
            self.buffer.extend_from_slice(piece);
            let found = match &mut self.mode {
                Mode::Sniff(sniff) => sniff.feed(piece),
                _ => None,
            };
            return found.map_or(Verdict::Wait, |found| self.found(found));
        }
        if !matches!(self.mode, Mode::Fault) {
            self.mode = Mode::Pass;
            self.buffer = Vec::new();
        }
        Verdict::Done(self.decide())
    }

    /// The body is not coded as its label says: nothing follows from it.
    fn unreadable(&mut self) -> Verdict {
        self.buffer = Vec::new();
        if let (Mode::Answer | Mode::Sniff(_) | Mode::Counts, Some(head)) =
            (&self.mode, &mut self.head)
        {
            head.opaque = true;
            self.mode = Mode::Pass;
        }
        Verdict::Done(self.decide())
    }

    /// Decides with what is in the buffer.
    fn decide(&mut self) -> Class {
        if let Mode::Sniff(sniff) = &mut self.mode {
            let found = sniff.end();
            let _ = self.found(found);
        }
        let class = match (&self.mode, &self.head) {
            (Mode::Decided(class), _) => return class.clone(),
            (Mode::Answer, Some(_)) => self.answer(),
            (Mode::Counts, Some(head)) => {
                self.usage = answer::parse(&self.buffer).ok().and_then(|b| Usage::of(&b));
                head.success()
            }
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
            opaque: self.api.counts && is_opaque(&parts.headers),
            now,
        };
        if head.status >= 400 {
            head.headers.clone_from(&parts.headers);
        }
        self.mode = self.read_as(&head, &parts.headers, content);
        if matches!(self.mode, Mode::Sniff(_)) {
            head.headers.clone_from(&parts.headers);
        }
        if matches!(self.mode, Mode::Fault | Mode::Sniff(_) | Mode::Counts) {
            self.coding = Coding::of(&parts.headers);
        }
        self.whole = matches!(self.mode, Mode::Counts) || head.opaque;
        let verdict = match &self.mode {
            Mode::Decided(class) => Verdict::Done(class.clone()),
            Mode::Fault | Mode::Answer | Mode::Sniff(_) => Verdict::Wait,
            Mode::Http(_) | Mode::Pass | Mode::Counts => Verdict::Done(head.success()),
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
        // What is decided need not be decoded any further.
        if !matches!(self.mode, Mode::Decided(_) | Mode::Pass) {
            self.coding = coding;
        }
        match verdict {
            Verdict::Wait if self.coding.is_unreadable() => self.unreadable(),
            verdict => verdict,
        }
    }

    fn says_nothing(&self) -> bool {
        let blank = matches!(&self.mode, Mode::Sniff(sniff) if sniff.is_blank());
        let reads = self.api.completes && matches!(self.mode, Mode::Sniff(_) | Mode::Answer);
        blank || (reads && answer::begins_badly(&self.buffer))
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
