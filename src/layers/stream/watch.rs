//! Follows one stream to its end, and says once what it came to and what it cost.

use bytes::Bytes;
use http::{HeaderMap, response};

use crate::{
    base::{Kind, time::wall_now},
    classify::{Class, Classified, FallbackScope, Outcome, Signal, http::signal},
    llm::{
        account::Account,
        coding::Coding,
        dialect::Api,
        stream::{End, Fault, Progress, Reader, Spoken, class_of_fault},
    },
};

/// About how many bytes of what cannot be read come on a token.
const BYTES_PER_TOKEN: u64 = 4;

/// One stream. Dropped before it is closed, its reader went away.
#[derive(Debug)]
pub(super) struct Watch {
    reader: Reader,
    coding: Coding,
    api: Api,
    signal: Signal,
    classified: Classified,
    account: Option<Account>,
    /// Bytes of what could not be read.
    unread: u64,
    /// Whether anything but white space came.
    begun: bool,
    closed: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Whole.
    Whole(Class),
    /// Without its finish marker.
    Truncated,
    /// With something wrong.
    Fault(Fault),
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(
        reader: Reader,
        coding: Coding,
        mut api: Api,
        head: &response::Parts,
        account: Option<Account>,
    ) -> Self {
        api.provider = api.provider(&head.headers);
        Self {
            reader,
            coding,
            api,
            signal: signal(head),
            classified: Classified::open(),
            account,
            unread: 0,
            begun: false,
            closed: false,
        }
    }

    /// The class, for the response's extensions.
    pub(super) fn classified(&self) -> Classified {
        self.classified.clone()
    }

    pub(super) fn feed(&mut self, chunk: &Bytes) -> Progress {
        let (reader, mut progress) = (&mut self.reader, Progress::default());
        let begun = &mut self.begun;
        self.coding.show(chunk, |piece| {
            // Blanks that keep a connection alive are no part of the first event's first line.
            let piece = if *begun {
                piece
            } else {
                piece.trim_ascii_start()
            };
            *begun |= !piece.is_empty();
            let more = reader.feed(piece);
            progress.content = progress.content.saturating_add(more.content);
            progress.fault = progress.fault.take().or(more.fault);
            progress.finished = more.finished;
        });
        if self.coding.is_unreadable() {
            // Nothing is known any more, but that something comes.
            progress.content = progress.content.max(1);
            self.unread = self.unread.saturating_add(chunk.len() as u64);
        }
        progress
    }

    /// Whether the provider's error is in no event, so that its reader does not know of it.
    pub(super) fn unheard(&self) -> bool {
        self.reader.unheard()
    }

    /// The API whose events these are, as far as they say.
    pub(super) fn spoken(&self) -> Option<Spoken> {
        self.reader.spoken()
    }

    /// Whether what comes is understood, so that its content can be counted.
    pub(super) fn understood(&self) -> bool {
        self.reader.understood() && !self.coding.is_unreadable()
    }

    /// Whether content came that commits, or what cannot be told from it.
    pub(super) fn committed(&self) -> bool {
        self.reader.committed() || self.coding.is_unreadable()
    }

    /// Whether `[DONE]` came, can be seen by whoever reads the bytes, and comes too early: the answer owes its finish.
    pub(super) fn is_premature(&self) -> bool {
        self.reader.is_premature() && !self.coding.is_coded()
    }

    /// Whether the answer is whole, whatever becomes of the connection.
    pub(super) fn finished(&self) -> bool {
        self.reader.finished()
    }

    /// The body is over.
    pub(super) fn end(&mut self) -> Ended {
        let whole = |outcome| Class::new(outcome, self.signal);
        let opaque = || Class {
            status_only: true,
            ..whole(Outcome::Success)
        };
        match self.reader.end() {
            End::Complete(outcome) => Ended::Whole(whole(outcome)),
            // That it came is all that is known of it.
            End::Opaque => Ended::Whole(opaque()),
            End::Truncated | End::Fault(Fault::Malformed) if self.coding.is_unreadable() => {
                Ended::Whole(opaque())
            }
            End::Fault(fault) => Ended::Fault(fault),
            End::Truncated => Ended::Truncated,
        }
    }

    /// The class of a fault that nobody has seen: what the provider says of a repetition counts.
    pub(super) fn class_before(&self, fault: &Fault, headers: &HeaderMap) -> Class {
        class_of_fault(fault, &self.api, headers, self.signal, false, wall_now())
    }

    /// The class of a fault in a stream that is handed on.
    pub(super) fn class_after(&self, fault: &Fault, kind: Kind) -> Class {
        let signal = Signal::Error(kind);
        let headers = HeaderMap::new();
        committed(class_of_fault(
            fault,
            &self.api,
            &headers,
            signal,
            true,
            wall_now(),
        ))
    }

    /// Says what it came to. Only the first word counts.
    pub(super) fn close(&mut self, class: Class) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let deltas = self.reader.deltas() + self.unread / BYTES_PER_TOKEN;
        let usage = self.reader.usage();
        let refused = class.outcome == Outcome::StreamError && deltas == 0 && usage.is_none();
        if let Some(account) = self.account.take().filter(|_| !refused) {
            let model = self.reader.model();
            account.close(model, usage, deltas, self.reader.finished());
        }
        self.classified.set_end(class);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        // Who has the finish marker need not wait for the end.
        let finished = self.finished();
        let class = match self.end() {
            Ended::Whole(class) if finished => class,
            _ => Class::new(Outcome::Cancelled, Signal::Error(Kind::Canceled)),
        };
        self.close(class);
    }
}

/// A class after which nothing is repeated: the caller has seen the beginning.
pub(super) fn committed(mut class: Class) -> Class {
    class.retry_same = false;
    class.elsewhere = FallbackScope::None;
    class.hint = None;
    class.sent = true;
    class
}
