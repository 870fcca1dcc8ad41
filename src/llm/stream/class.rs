//! The class of a stream that went wrong.

use std::time::SystemTime;

use ::http::HeaderMap;

use super::{End, Fault};
use crate::{
    classify::{Class, FallbackScope, Outcome, Signal},
    llm::{
        dialect::Api,
        fault,
        table::{self, Evidence},
        wait,
    },
};

/// The names of AWS exceptions that need their status to be understood.
const AWS_STATUS: &[(&str, u16)] = &[
    ("ModelErrorException", 424),
    ("ModelStreamErrorException", 424),
    ("ValidationException", 400),
];

/// The class of an attempt whose stream went wrong. `committed`: whether content went to the caller, so that nothing can be
/// repeated. `headers` and `signal` are those of the response, which was a success so far.
#[must_use]
pub fn class_of_fault(
    fault: &Fault,
    api: &Api,
    headers: &HeaderMap,
    signal: Signal,
    committed: bool,
    now: SystemTime,
) -> Class {
    let class = match fault {
        Fault::Malformed => Class::new(Outcome::MalformedStream, signal),
        Fault::Error(body) => {
            let fault = fault::Fault::read(body);
            let provider = api.provider(headers);
            let evidence = Evidence::new(status(&fault), headers, &fault, provider, true, now);
            let mut class = evidence.class(signal);
            class.inner = Some(class.outcome);
            class.outcome = Outcome::StreamError;
            class.status_only = false;
            class
        }
    };
    settled(class, headers, committed)
}

/// The class of an attempt whose stream ended. See [`class_of_fault`].
#[must_use]
pub fn class_of_end(
    end: &End,
    api: &Api,
    headers: &HeaderMap,
    signal: Signal,
    committed: bool,
    now: SystemTime,
) -> Class {
    let outcome = match end {
        End::Fault(fault) => return class_of_fault(fault, api, headers, signal, committed, now),
        End::Truncated => Outcome::StreamTruncated,
        End::Opaque => Outcome::Success,
        End::Complete(outcome) => *outcome,
    };
    let mut class = Class::new(outcome, signal);
    class.status_only = *end == End::Opaque;
    let finding = table::Finding::from(outcome);
    class.hint = wait::hint(&finding, headers, &fault::Fault::default(), now);
    class.paced = outcome.is_pacing();
    settled(class, headers, committed)
}

/// What may be done about it, now that it is known whether content is out.
fn settled(mut class: Class, headers: &HeaderMap, committed: bool) -> Class {
    let forbidden = headers
        .get("x-should-retry")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"false"));
    class.retry_same &= !forbidden && !committed;
    if committed {
        class.elsewhere = FallbackScope::None;
        class.hint = None;
    }
    class
}

/// The status that the error would have had as a response; that of a success if its name does not tell.
fn status(fault: &fault::Fault<'_>) -> u16 {
    let named = fault.aws.and_then(|name| {
        AWS_STATUS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, status)| *status)
    });
    named.unwrap_or(200)
}
