use super::*;
use crate::{
    base::{Error, error::ConnectFailure},
    classify::transport::class_of_error,
    layers::retry::params::Backoff,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn response(status: u16, outcome: Outcome) -> Class {
    Class::new(
        outcome,
        Signal::Response {
            status: StatusCode::from_u16(status).unwrap(),
            grpc_status: None,
            ratelimited: false,
        },
    )
}

fn failure(kind: Kind, outcome: Outcome) -> Class {
    let mut class = Class::new(outcome, Signal::Error(kind));
    if let Kind::Reset { sent, .. } = kind {
        class.sent = sent;
    }
    class
}

fn silent(kind: Kind, outcome: Outcome) -> Class {
    let mut class = failure(kind, outcome);
    class.retry_same = false;
    class
}

fn inner(status: u16, outcome: Outcome) -> Class {
    let mut class = response(status, Outcome::StreamError);
    class.inner = Some(outcome);
    class
}

fn reset(reason: ResetReason, sent: bool) -> Class {
    failure(Kind::Reset { reason, sent }, Outcome::Reset)
}

fn on(list: &str) -> Params {
    let mut on = RetryOn::envoy(&list.replace("llm", "retriable-headers")).unwrap();
    on.llm = list.contains("llm");
    Params::default().with_retry_on(on)
}

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

fn retried(params: &Params, class: &Class) -> bool {
    matches!(
        decide(params, &FIRST, class, &SharedRng::seeded(1)),
        Decision::Retry { .. }
    )
}

fn stopped(params: &Params, attempt: Attempt, class: &Class) -> Option<Reason> {
    match decide(params, &attempt, class, &SharedRng::seeded(1)) {
        Decision::Stop(reason) => Some(reason),
        Decision::Retry { .. } => None,
    }
}

const CONNECT: Kind = Kind::Connect(ConnectFailure::Refused);
const TERMS: [&str; 9] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "503,429",
    "llm",
];

/// One line per thing that may happen; one character per term of [`TERMS`].
#[test]
fn each_term_covers_what_envoy_says() {
    let table = [
        (response(500, Outcome::ServerError), "y.......y"),
        (response(502, Outcome::ServerError), "yy......y"),
        (response(503, Outcome::Overloaded), "yy.....yy"),
        (response(504, Outcome::Timeout), "yy......y"),
        (response(409, Outcome::Conflict), "......y.y"),
        (response(429, Outcome::RateLimited), "......yyy"),
        (response(429, Outcome::RampLimited), "......yyy"),
        (response(429, Outcome::Overloaded), "......yyy"),
        (response(429, Outcome::QuotaExhausted), "........."),
        (response(404, Outcome::NotFound), "........."),
        (response(200, Outcome::Success), "........."),
        (response(200, Outcome::StreamError), "........y"),
        (response(200, Outcome::OutputInvalid), "........y"),
        (failure(CONNECT, Outcome::Connect), "yyyyy...."),
        (reset(ResetReason::Terminated, true), "yyy......"),
        (reset(ResetReason::Terminated, false), "yyyy....."),
        (reset(ResetReason::Refused, true), "yyy..y..."),
        (reset(ResetReason::Remote, true), "yyy......"),
        (failure(Kind::AttemptTimeout, Outcome::Timeout), "yyy......"),
        (
            failure(Kind::UpstreamProtocol, Outcome::MalformedStream),
            "yyy.....y",
        ),
        (
            failure(Kind::StreamTruncated, Outcome::StreamTruncated),
            "yyy.....y",
        ),
        (
            failure(Kind::StreamMalformed, Outcome::MalformedStream),
            "yyy.....y",
        ),
        // Silent targets are not asked again.
        (silent(Kind::HeadersTimeout, Outcome::Timeout), "........."),
        (
            silent(Kind::FirstTokenTimeout, Outcome::FirstTokenTimeout),
            ".........",
        ),
        (
            failure(Kind::StreamStalled, Outcome::StreamStalled),
            ".........",
        ),
        // An error event that says that it paces.
        (inner(429, Outcome::RateLimited), "......yyy"),
        (inner(503, Outcome::Overloaded), "yy.....yy"),
        (failure(Kind::Overflow, Outcome::Local), "........."),
        (failure(Kind::NoEndpoints, Outcome::Local), "........."),
        (failure(Kind::CircuitOpen, Outcome::Local), "........."),
        (failure(Kind::FaultAbort(503), Outcome::Local), "........."),
        (failure(Kind::RateLimited, Outcome::Local), "........."),
        (
            failure(Kind::DeadlineExceeded, Outcome::Timeout),
            ".........",
        ),
        (failure(Kind::Canceled, Outcome::Cancelled), "........."),
    ];
    for (class, expected) in table {
        let got: String = TERMS
            .iter()
            .map(|term| if retried(&on(term), &class) { 'y' } else { '.' })
            .collect();
        assert_eq!(got, expected, "{class:?}");
    }
}

#[test]
fn every_connect_failure_is_one() {
    for failed in [
        ConnectFailure::Refused,
        ConnectFailure::Timeout,
        ConnectFailure::Dns,
        ConnectFailure::Local,
    ] {
        let class = failure(Kind::Connect(failed), Outcome::Connect);
        assert!(retried(&on("connect-failure"), &class), "{failed:?}");
    }
}

#[test]
fn a_certificate_that_is_not_good_is_not_tried_again() {
    let class = failure(Kind::Connect(ConnectFailure::Tls), Outcome::Connect);
    for term in TERMS {
        assert!(!retried(&on(term), &class), "{term}");
    }
}

#[test]
fn a_rate_limited_response_needs_its_own_term() {
    for (status, outcome) in [(200, Outcome::Success), (503, Outcome::Overloaded)] {
        let mut class = response(status, outcome);
        if let Signal::Response { ratelimited, .. } = &mut class.signal {
            *ratelimited = true;
        }
        assert!(!retried(&on("5xx,503,llm"), &class));
        assert!(retried(&on("envoy-ratelimited"), &class));
    }
}

#[test]
fn grpc_statuses_of_trailers_only_answers() {
    for (term, code) in [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ] {
        let mut class = response(200, Outcome::ServerError);
        if let Signal::Response { grpc_status, .. } = &mut class.signal {
            *grpc_status = Some(code);
        }
        assert!(retried(&on(term), &class), "{term}");
        assert!(!retried(&on("5xx,gateway-error"), &class), "{term}");
    }
}

#[test]
fn verdicts_overrule_every_term() {
    let all = on("5xx,gateway-error,retriable-4xx,400,401,402,403,413,429,500,llm");
    for (status, outcome) in [
        (429, Outcome::QuotaExhausted),
        (429, Outcome::QuotaWindow),
        (429, Outcome::RequestExceedsLimit),
        (400, Outcome::ContextLength),
        (400, Outcome::ContentFilter),
        (400, Outcome::InvalidRequest),
        (401, Outcome::Auth),
        (403, Outcome::Permission),
        (413, Outcome::TooLarge),
        (500, Outcome::QuotaExhausted),
        (500, Outcome::Cancelled),
    ] {
        let class = response(status, outcome);
        assert_eq!(
            stopped(&all, FIRST, &class),
            Some(Reason::Forbidden),
            "{class:?}"
        );
    }
}

#[test]
fn a_status_alone_is_no_verdict_against_that_very_status() {
    let mut bad = response(400, Outcome::InvalidRequest);
    bad.status_only = true;
    assert!(retried(&on("400"), &bad));
    assert!(retried(&on("404"), &response(404, Outcome::NotFound)));
    // A gRPC `CANCELLED` in a 200.
    let mut cancelled = response(200, Outcome::Cancelled);
    cancelled.status_only = true;
    if let Signal::Response { grpc_status, .. } = &mut cancelled.signal {
        *grpc_status = Some(1);
    }
    assert!(retried(&on("cancelled"), &cancelled));
    bad.outcome = Outcome::ContextLength;
    bad.status_only = false;
    assert!(!retried(&on("400"), &bad));
}

#[test]
fn x_should_retry_false_overrules_every_term() {
    let mut class = response(503, Outcome::Overloaded);
    class.retry_same = false;
    assert_eq!(
        stopped(&on("5xx,503,llm"), FIRST, &class),
        Some(Reason::Forbidden)
    );
    let mut inside = response(200, Outcome::StreamError);
    (inside.inner, inside.retry_same) = (Some(Outcome::QuotaExhausted), false);
    assert!(!retried(&on("llm,503"), &inside));
}

#[test]
fn our_own_attempt_timeout_is_no_verdict() {
    let mut class = failure(Kind::AttemptTimeout, Outcome::Timeout);
    class.retry_same = false;
    assert!(retried(&on("5xx"), &class));
}

#[test]
fn stops_in_order_of_cause() {
    let class = response(503, Outcome::Overloaded);
    let params = on("5xx").with_retries(2);
    let attempt = |number, left, replayable| Attempt {
        number,
        left,
        replayable,
        elsewhere: false,
        again: false,
        given_up: false,
        named: false,
        bucket: false,
    };
    for (attempt, expected) in [
        (attempt(1, None, true), None),
        (attempt(2, None, true), None),
        (attempt(3, None, true), Some(Reason::Exhausted)),
        (attempt(3, None, false), Some(Reason::Exhausted)),
        (attempt(1, None, false), Some(Reason::NotReplayable)),
        (attempt(1, Some(ms(0)), true), Some(Reason::NoTime)),
        (attempt(1, Some(ms(25)), true), None),
    ] {
        assert_eq!(stopped(&params, attempt, &class), expected, "{attempt:?}");
    }
}

#[test]
fn the_repetitions_of_a_mesh_are_made_at_one_hop() {
    let params = on("5xx");
    let again = Attempt {
        again: true,
        ..FIRST
    };
    let given_up = Attempt {
        given_up: true,
        ..FIRST
    };
    for (status, of_again, of_given_up) in [
        (503, Some(Reason::Again), Some(Reason::CancelReason)),
        (404, Some(Reason::NotListed), Some(Reason::NotListed)),
    ] {
        let class = response(status, status_outcome(status));
        assert_eq!(stopped(&params, again, &class), of_again);
        assert_eq!(stopped(&params, given_up, &class), of_given_up);
    }
    let unmade = failure(Kind::Connect(ConnectFailure::Refused), Outcome::Connect);
    assert_eq!(stopped(&params, again, &unmade), Some(Reason::Again));
}

fn status_outcome(status: u16) -> Outcome {
    crate::classify::http::status_outcome(StatusCode::from_u16(status).unwrap())
}

#[test]
fn a_hint_is_never_undercut_and_waited_for_up_to_the_cap() {
    let (params, rng) = (on("429"), SharedRng::seeded(3));
    let hinted = |wait| {
        let mut class = response(429, Outcome::RateLimited);
        class.hint = Some(Hint {
            wait,
            source: "retry-after",
        });
        class
    };
    for _ in 0..1000 {
        let Decision::Retry { after, hinted } = decide(&params, &FIRST, &hinted(ms(3000)), &rng)
        else {
            panic!("not retried");
        };
        assert!(
            hinted && after >= ms(3000) && after <= ms(3300),
            "{after:?}"
        );
    }
    assert!(retried(&params, &hinted(ms(120_000))));
    assert_eq!(
        stopped(&params, FIRST, &hinted(ms(120_001))),
        Some(Reason::HintTooLong)
    );
    let soon = Attempt {
        left: Some(ms(2900)),
        ..FIRST
    };
    assert_eq!(
        stopped(&params, soon, &hinted(ms(3000))),
        Some(Reason::NoTime)
    );
    let longest = hinted(Duration::MAX);
    assert_eq!(
        stopped(&params.with_max_hint(Duration::MAX), soon, &longest),
        Some(Reason::NoTime)
    );
}

#[test]
fn another_target_takes_over_what_would_be_waited_for_long() {
    let params = on("5xx,429,gateway-error");
    let chained = Attempt {
        elsewhere: true,
        ..FIRST
    };
    let hinted = |wait| {
        let mut class = response(429, Outcome::RateLimited);
        class.hint = Some(Hint {
            wait,
            source: "retry-after",
        });
        class
    };
    assert_eq!(stopped(&params, chained, &hinted(ms(5000))), None);
    let long = hinted(ms(5001));
    assert_eq!(stopped(&params, FIRST, &long), None);
    assert_eq!(stopped(&params, chained, &long), Some(Reason::HintTooLong));
    let half = Attempt {
        left: Some(ms(4000)),
        ..chained
    };
    assert_eq!(stopped(&params, half, &hinted(ms(1500))), None);
    assert_eq!(
        stopped(&params, half, &hinted(ms(2000))),
        Some(Reason::NoTime)
    );
    // A target that was silent for the whole wait is not asked twice where another one is.
    let silent = class_of_error(&Error::new(Kind::AttemptTimeout).into());
    assert_eq!(stopped(&params, FIRST, &silent), None);
    assert_eq!(stopped(&params, chained, &silent), Some(Reason::Forbidden));
}

#[test]
fn a_provider_without_a_hint_is_paced_within_the_time_there_is() {
    let params = on("llm");
    let mut limited = response(429, Outcome::RateLimited);
    limited.paced = true;
    let after = |left, elsewhere| {
        let attempt = Attempt {
            left,
            elsewhere,
            ..FIRST
        };
        match decide(&params, &attempt, &limited, &SharedRng::seeded(1)) {
            Decision::Retry { after, .. } => Some(after),
            Decision::Stop(reason) => {
                assert_eq!(reason, Reason::NoTime);
                None
            }
        }
    };
    let whole = after(None, false).unwrap();
    assert!(whole >= ms(750) && whole <= ms(1250), "{whole:?}");
    assert_eq!(after(Some(ms(20_000)), false), Some(whole));
    assert_eq!(after(Some(ms(700)), false), Some(ms(350)));
    assert_eq!(after(Some(ms(1400)), true), Some(ms(350)));
    assert_eq!(after(Some(ms(100)), false), None);
    // The operator's own back-off is meant for them too, and a hint is never shortened.
    let fixed = params.clone().with_backoff(Backoff::from_base(ms(1)));
    let decided = decide(&fixed, &FIRST, &limited, &SharedRng::seeded(1));
    assert!(matches!(decided, Decision::Retry { after, .. } if after < ms(1)));
    limited.hint = Some(Hint {
        wait: ms(900),
        source: "retry-after",
    });
    let attempt = Attempt {
        left: Some(ms(700)),
        ..FIRST
    };
    assert_eq!(stopped(&params, attempt, &limited), Some(Reason::NoTime));
}
