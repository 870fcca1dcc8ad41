use http::StatusCode;

use super::*;
use crate::{
    base::Fingerprint,
    base::Kind,
    classify::{Signal, transport::class_of_error},
    layers::fallback::params::Target,
};

fn of(outcome: Outcome, status: u16) -> Class {
    let status = StatusCode::from_u16(status).unwrap();
    Class::new(
        outcome,
        Signal::Response {
            status,
            grpc_status: None,
            ratelimited: false,
        },
    )
}

fn kind(kind: Kind) -> Class {
    class_of_error(&crate::base::Error::new(kind).into())
}

/// 0 is the route's own; 1 is another model on the same account and key; 2 has another key; 3 is larger.
fn places() -> Vec<Place> {
    let own = Fingerprint::of(b"own");
    let who = |cluster: &str, key: Fingerprint| TargetId::new(cluster).with_key(Some(key), None);
    vec![
        Place::new(who("outbound|443||a", own), false),
        Place::new(
            who("outbound|443||a", own).with_model(Some("small".into())),
            false,
        ),
        Place::new(who("outbound|443||b", Fingerprint::of(b"backup")), false),
        Place::new(
            who("outbound|443||a", own).with_model(Some("long".into())),
            true,
        ),
    ]
}

fn params() -> Params {
    Params::to(["a", "b", "a"].map(Target::new))
}

fn after(asked: &[(usize, Class)]) -> Next {
    decide(&params(), asked, None, true, &[])
}

fn decide(
    params: &Params,
    asked: &[(usize, Class)],
    left: Option<Duration>,
    replayable: bool,
    out: &[usize],
) -> Next {
    let progress = Progress {
        asked,
        left,
        replayable,
    };
    next(params, &places(), &progress, |to| !out.contains(&to))
}

const NOBODY: Next = Next::Answer(Why::Forbidden);

#[test]
fn each_class_goes_where_it_can_be_served() {
    use Outcome as O;
    let to = Next::Target;
    for (class, expected) in [
        (of(O::RateLimited, 429), to(1)),
        (of(O::RampLimited, 429), to(1)),
        (of(O::Overloaded, 503), to(1)),
        (of(O::QuotaExhausted, 429), to(2)),
        (of(O::QuotaWindow, 429), to(2)),
        (of(O::RequestExceedsLimit, 413), to(3)),
        (of(O::ContextLength, 400), to(3)),
        (of(O::ContentFilter, 400), NOBODY),
        (of(O::OutputInvalid, 400), NOBODY),
        (of(O::InvalidRequest, 400), NOBODY),
        (of(O::TooLarge, 413), NOBODY),
        (of(O::Auth, 401), to(2)),
        (of(O::Permission, 403), to(2)),
        (of(O::NotFound, 404), to(1)),
        (of(O::Conflict, 409), to(1)),
        (of(O::Timeout, 504), to(1)),
        (of(O::ServerError, 500), to(1)),
        (of(O::ModelNotReady, 503), to(1)),
        (of(O::StreamError, 200), to(1)),
        (of(O::Success, 200), Next::Answer(Why::Served)),
        (kind(Kind::AttemptTimeout), to(1)),
        (kind(Kind::HeadersTimeout), to(1)),
        (kind(Kind::FirstTokenTimeout), to(1)),
        (kind(Kind::StreamTruncated), to(1)),
        (kind(Kind::StreamMalformed), to(1)),
        (kind(Kind::NoEndpoints), to(1)),
        (kind(Kind::NoCluster), to(1)),
        (kind(Kind::Overflow), to(1)),
        (kind(Kind::Canceled), NOBODY),
        (kind(Kind::UploadTimeout), NOBODY),
        (kind(Kind::BodyTooLarge), NOBODY),
        (kind(Kind::BadRequest), NOBODY),
    ] {
        let outcome = class.outcome;
        assert_eq!(after(&[(0, class)]), expected, "{outcome:?}");
    }
}

#[test]
fn a_content_filter_is_routed_around_only_where_that_is_allowed() {
    let allowed = params().with_content_filter(true);
    let filtered = [(0, of(Outcome::ContentFilter, 400))];
    assert_eq!(
        decide(&allowed, &filtered, None, true, &[]),
        Next::Target(1)
    );
    let invalid = [(0, of(Outcome::OutputInvalid, 400))];
    assert_eq!(decide(&allowed, &invalid, None, true, &[]), NOBODY);
}

#[test]
fn all_that_happened_counts() {
    let long = of(Outcome::ContextLength, 400);
    let down = of(Outcome::ServerError, 500);
    let broke = of(Outcome::QuotaExhausted, 429);
    assert_eq!(
        after(&[(0, long.clone()), (3, down.clone())]),
        NOBODY,
        "the others are too small"
    );
    assert_eq!(
        after(&[(0, broke.clone()), (2, down.clone())]),
        NOBODY,
        "the others are on the empty account"
    );
    assert_eq!(
        after(&[(0, down.clone()), (1, down.clone())]),
        Next::Target(2)
    );
    // The chain may have begun elsewhere.
    assert_eq!(after(&[(2, down.clone())]), Next::Target(0));
    assert_eq!(after(&[(0, down.clone()), (1, broke), (2, long)]), NOBODY);
    let all = [0, 1, 2, 3].map(|at| (at, down.clone()));
    assert_eq!(after(&all), NOBODY);
}

#[test]
fn the_ill_are_passed_over() {
    let down = [(0, of(Outcome::ServerError, 500))];
    let try_with = |out: &[usize]| decide(&params(), &down, None, true, out);
    assert_eq!(try_with(&[1]), Next::Target(2));
    assert_eq!(try_with(&[1, 2]), Next::Target(3));
    assert_eq!(try_with(&[1, 2, 3]), Next::Answer(Why::NoTarget));
}

#[test]
fn a_target_needs_time_and_a_body() {
    let down = [(0, of(Outcome::ServerError, 500))];
    let with = |left, replayable| decide(&params(), &down, left, replayable, &[]);
    assert_eq!(with(Some(LEAST_TIME), true), Next::Target(1));
    let less = LEAST_TIME - Duration::from_nanos(1);
    assert_eq!(with(Some(less), true), Next::Answer(Why::NoTime));
    assert_eq!(with(None, false), Next::Answer(Why::NotReplayable));
    let nothing = Progress {
        asked: &[],
        left: None,
        replayable: true,
    };
    assert_eq!(
        next(&params(), &places(), &nothing, |_| true),
        Next::Answer(Why::NoTarget)
    );
}
