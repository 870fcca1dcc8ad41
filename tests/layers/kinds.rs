//! What each kind of error is to everybody who acts on it: one line a kind.

use std::fmt::Write;

use llmesh::{
    base::{
        Error, Kind, SharedRng,
        error::{ConnectFailure, ResetReason},
    },
    classify::transport::{class_of_body_error, class_of_error},
    outlier::seen::Observation,
    respond,
    retry::{
        Params, RetryOn,
        policy::{Attempt, Decision, decide},
    },
};

const fn reset(reason: ResetReason) -> Kind {
    Kind::Reset { reason, sent: true }
}

const KINDS: &[Kind] = &[
    Kind::DeadlineExceeded,
    Kind::AttemptTimeout,
    Kind::IdleTimeout,
    Kind::HeadersTimeout,
    Kind::FirstTokenTimeout,
    Kind::Connect(ConnectFailure::Refused),
    Kind::Connect(ConnectFailure::Timeout),
    Kind::Connect(ConnectFailure::Local),
    Kind::Connect(ConnectFailure::Dns),
    Kind::Connect(ConnectFailure::Tls),
    reset(ResetReason::Terminated),
    reset(ResetReason::Remote),
    reset(ResetReason::Refused),
    reset(ResetReason::Local),
    Kind::Reset {
        reason: ResetReason::Terminated,
        sent: false,
    },
    Kind::CircuitOpen,
    Kind::NoEndpoints,
    Kind::NoCluster,
    Kind::Overflow,
    Kind::RateLimited,
    Kind::FaultAbort(101),
    Kind::FaultAbort(418),
    Kind::FaultAbort(9999),
    Kind::Unauthorized,
    Kind::Forbidden,
    Kind::Withheld,
    Kind::UnknownHost,
    Kind::NoRoute,
    Kind::BadRequest,
    Kind::BodyTooLarge,
    Kind::UploadTimeout,
    Kind::UpstreamProtocol,
    Kind::StreamTruncated,
    Kind::StreamError,
    Kind::StreamMalformed,
    Kind::StreamStalled,
    Kind::Canceled,
    Kind::Internal,
];

const FIRST: Attempt = Attempt {
    number: 1,
    left: None,
    replayable: true,
    elsewhere: false,
    again: false,
    given_up: false,
    named: false,
    bucket: false,
};

/// The terms of `retryOn` under which it is sent again, each alone, and whether it is for the sake of a model.
fn terms(kind: Kind) -> String {
    const TERMS: [&str; 7] = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
    ];
    let class = class_of_error(&Error::new(kind).into());
    let again = |on: RetryOn| {
        let params = Params::default().with_retry_on(on);
        let decision = decide(&params, &FIRST, &class, &SharedRng::seeded(1));
        matches!(decision, Decision::Retry { .. })
    };
    let mut out = String::new();
    for term in TERMS {
        out.push(if again(RetryOn::envoy(term).unwrap()) {
            'x'
        } else {
            '.'
        });
    }
    let mut llm = RetryOn::envoy("retriable-headers").unwrap();
    llm.llm = true;
    out.push(if again(llm) { 'x' } else { '.' });
    out
}

fn facts(kind: Kind) -> String {
    let mut out = format!("{} ({})", kind.as_str(), Error::new(kind));
    let class = class_of_error(&Error::new(kind).into());
    let in_body = class_of_body_error(&Error::new(kind).into());
    write!(
        out,
        "\n  {:?} {:?} {:?} same={} sent={}, in a body {:?} {:?}",
        kind.origin(),
        class.outcome,
        class.scope,
        class.retry_same,
        class.sent,
        in_body.outcome,
        in_body.scope,
    )
    .unwrap();
    write!(
        out,
        "\n  again {} seen {:?}",
        terms(kind),
        Observation::of_kind(kind)
    )
    .unwrap();
    for retried in [false, true] {
        let answer = respond::answer(kind, retried);
        write!(
            out,
            "\n  {} {:?} {:?} {:?} {}",
            answer.status.as_u16(),
            answer.flag,
            answer.body,
            answer.details,
            answer.overloaded,
        )
        .unwrap();
    }
    let cut = |framed| respond::cut(kind, framed);
    write!(out, "\n  cut {:?} {:?}", cut(true), cut(false)).unwrap();
    out
}

#[test]
fn every_kind_is_what_it_was() {
    let all: Vec<_> = KINDS.iter().map(|kind| facts(*kind)).collect();
    assert_eq!(all.join("\n"), include_str!("kinds.txt").trim_end());
}
