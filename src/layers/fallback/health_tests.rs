use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::{
    base::Fingerprint,
    base::{Kind, time},
    classify::{Hint, Scope, Signal, transport::class_of_error},
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn of(outcome: Outcome, hint: Option<u64>) -> Class {
    let mut class = Class::new(
        outcome,
        Signal::Response {
            status: StatusCode::TOO_MANY_REQUESTS,
            grpc_status: None,
            ratelimited: false,
        },
    );
    class.hint = hint.map(|n| Hint {
        wait: secs(n),
        source: "retry-after",
    });
    class
}

fn model(name: &str) -> TargetId {
    TargetId::new("outbound|443||llm")
        .with_model(Some(name.into()))
        .with_key(Some(Fingerprint::of(b"k1")), None)
}

fn visit(health: &Health, who: &TargetId, class: &Class) -> bool {
    match health.admit(who, Instant::now()) {
        Ok(pass) => {
            pass.finish(class);
            true
        }
        Err(_) => false,
    }
}

fn left(health: &Health, who: &TargetId) -> Option<(u64, bool)> {
    let now = Instant::now();
    health
        .out(who, now)
        .map(|out| ((out.until - now).as_secs(), out.known))
}

async fn pass_by(n: u64) {
    time::sleep(secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn a_429_cools_key_and_model_for_the_hint_and_opens_no_breaker() {
    let health = Health::default();
    let (a, b) = (model("a"), model("b"));
    let other_key = model("a").with_key(Some(Fingerprint::of(b"k2")), None);
    for _ in 0..10 {
        visit(&health, &a, &of(Outcome::RateLimited, Some(7)));
    }
    assert_eq!(left(&health, &a), Some((7, true)));
    assert_eq!(left(&health, &b), None);
    assert_eq!(left(&health, &other_key), None);
    assert_eq!(health.state(&a, Instant::now()), State::Closed);
    pass_by(7).await;
    assert_eq!(left(&health, &a), None);
    assert!(visit(&health, &a, &of(Outcome::Success, None)));
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_the_cooldown_doubles_in_a_row() {
    let health = Health::default();
    let a = model("a");
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        let limited = of(Outcome::RateLimited, None);
        assert!(visit(&health, &a, &limited));
        // Those that were under way with it say the same.
        health.note(&a, &limited);
        assert_eq!(left(&health, &a), Some((expected, false)));
        pass_by(expected).await;
    }
    assert!(visit(&health, &a, &of(Outcome::Success, None)));
    assert!(visit(&health, &a, &of(Outcome::RateLimited, None)));
    assert_eq!(left(&health, &a), Some((1, false)));
}

#[tokio::test(start_paused = true)]
async fn each_scope_takes_out_what_it_is_about() {
    let same_key = model("b");
    let other_model = model("b").with_key(Some(Fingerprint::of(b"k2")), None);
    let named = Arc::from("acme");
    let in_account =
        |name: &str, key: &[u8]| model(name).with_key(Some(Fingerprint::of(key)), Some(&named));
    let wall = time::wall_now();
    let mut window = of(Outcome::QuotaWindow, None);
    window.reset_at = Some(wall + secs(7200));
    let mut keys_window = window.clone();
    keys_window.scope = Scope::Credential;
    for (class, out, lasts) in [
        (
            of(Outcome::RateLimited, Some(5)),
            [true, false, false, false],
            5,
        ),
        (
            of(Outcome::RampLimited, Some(5)),
            [true, true, false, true],
            5,
        ),
        (
            of(Outcome::QuotaExhausted, None),
            [true, true, false, true],
            300,
        ),
        (window, [true, true, false, true], 7200),
        (keys_window, [true, true, false, false], 7200),
        (of(Outcome::Auth, None), [true, true, false, false], 60),
        (
            of(Outcome::Permission, None),
            [true, false, false, false],
            60,
        ),
        (
            of(Outcome::Overloaded, Some(30)),
            [true, false, false, false],
            10,
        ),
        (of(Outcome::ContextLength, None), [false; 4], 0),
        (of(Outcome::InvalidRequest, Some(9)), [false; 4], 0),
    ] {
        let health = Health::default();
        let asked = in_account("a", b"k1");
        let others = [
            asked.clone(),
            in_account("b", b"k1"),
            other_model.clone(),
            in_account("c", b"k3"),
        ];
        assert!(visit(&health, &asked, &class));
        let found = others.each_ref().map(|who| left(&health, who).is_some());
        assert_eq!(found, out, "{class:?}");
        if out[0] {
            let (left, _) = left(&health, &asked).unwrap();
            assert!(left.abs_diff(lasts) <= 1, "{class:?}: {left}");
        }
    }
    assert_ne!(same_key.account, in_account("b", b"k1").account);
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_is_probed_by_one_at_a_time() {
    let health = Health::default();
    let a = model("a");
    let broke = of(Outcome::QuotaExhausted, None);
    assert!(visit(&health, &a, &broke));
    pass_by(299).await;
    assert!(!visit(&health, &a, &broke));
    pass_by(1).await;
    let probe = health.admit(&a, Instant::now()).unwrap();
    assert!(health.admit(&a, Instant::now()).is_err());
    probe.finish(&broke);
    assert_eq!(left(&health, &a), Some((300, false)));
    pass_by(300).await;
    // A probe that vanishes keeps others away for a moment only.
    drop(health.admit(&a, Instant::now()).unwrap());
    assert_eq!(left(&health, &a), Some((10, false)));
    pass_by(10).await;
    assert!(visit(&health, &a, &of(Outcome::Success, None)));
    assert_eq!(left(&health, &a), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_refusal_does_not_lift_it() {
    let health = Health::default();
    let a = model("a");
    let early = health.admit(&a, Instant::now()).unwrap();
    pass_by(1).await;
    assert!(visit(&health, &a, &of(Outcome::RateLimited, Some(30))));
    pass_by(1).await;
    early.finish(&of(Outcome::Success, None));
    assert_eq!(left(&health, &a), Some((29, true)));
    let late = health.admit_anyway(&a, Instant::now());
    late.finish(&of(Outcome::Success, None));
    assert_eq!(left(&health, &a), None);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_for_one_model_and_probes_within_ten_seconds() {
    let health = Health::default();
    let (a, b) = (model("a"), model("b"));
    let down = of(Outcome::ServerError, None);
    for _ in 0..3 {
        assert!(visit(&health, &a, &down));
    }
    assert_eq!(health.state(&a, Instant::now()), State::Open);
    assert_eq!(left(&health, &b), None);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let (wait, known) = left(&health, &a).unwrap();
        assert!(!known);
        waits.push(wait);
        assert!(!visit(&health, &a, &down));
        pass_by(wait).await;
        assert!(visit(&health, &a, &down));
    }
    assert_eq!(waits, [5, 10, 10, 10]);
    pass_by(10).await;
    // A probe may be a stream: meanwhile the others go elsewhere.
    let probe = health.admit(&a, Instant::now()).unwrap();
    pass_by(120).await;
    assert!(health.out(&a, Instant::now()).is_some());
    assert!(health.admit(&a, Instant::now()).is_err());
    probe.finish(&of(Outcome::Success, None));
    assert_eq!(left(&health, &a), None);
    assert_eq!(health.lock().circuits.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_targets_own_faults_count() {
    let health = Health::default();
    let a = model("a");
    let down = of(Outcome::ServerError, None);
    let neutral = [
        of(Outcome::Cancelled, None),
        of(Outcome::InvalidRequest, None),
        of(Outcome::ContextLength, None),
        of(Outcome::ContentFilter, None),
        class_of_error(&crate::base::Error::new(Kind::NoEndpoints).into()),
        class_of_error(&crate::base::Error::new(Kind::DeadlineExceeded).into()),
    ];
    for class in &neutral {
        for _ in 0..5 {
            assert!(visit(&health, &a, class), "{class:?}");
        }
    }
    // Two failures, much that says nothing, and a third.
    visit(&health, &a, &down);
    visit(&health, &a, &down);
    for class in &neutral {
        visit(&health, &a, class);
    }
    drop(health.admit(&a, Instant::now()).unwrap());
    assert_eq!(health.state(&a, Instant::now()), State::Closed);
    visit(&health, &a, &down);
    assert_eq!(health.state(&a, Instant::now()), State::Open);
    pass_by(5).await;
    // A cancelled probe is no success.
    drop(health.admit(&a, Instant::now()).unwrap());
    assert_eq!(health.state(&a, Instant::now()), State::HalfOpen);
    // Whoever is asked against all odds and answers is well.
    health
        .admit_anyway(&a, Instant::now())
        .finish(&of(Outcome::Success, None));
    assert_eq!(health.state(&a, Instant::now()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_store_is_bounded() {
    let health = Health::default();
    for n in 0..3000 {
        let who = model(&n.to_string());
        visit(&health, &who, &of(Outcome::ServerError, None));
        visit(&health, &who, &of(Outcome::RateLimited, Some(5)));
    }
    assert_eq!(health.lock().circuits.len(), MOST_CIRCUITS);
    assert_eq!(health.lock().cooldowns.len(), 1024);
    pass_by(6).await;
    visit(&health, &model("last"), &of(Outcome::RateLimited, Some(5)));
    assert_eq!(health.lock().cooldowns.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn models_that_callers_make_up_do_not_keep_a_breaker_from_opening() {
    let (health, down) = (Health::default(), of(Outcome::ServerError, None));
    for n in 0..MOST_CIRCUITS {
        visit(&health, &model(&n.to_string()), &down);
    }
    time::sleep(secs(1)).await;
    let (a, b) = (model("a"), model("b"));
    for _ in 0..3 {
        visit(&health, &a, &down);
    }
    assert_eq!(health.state(&a, Instant::now()), State::Open);
    // Those that are open stay longest.
    for n in 0..MOST_CIRCUITS {
        visit(&health, &model(&format!("more-{n}")), &down);
    }
    assert_eq!(health.state(&a, Instant::now()), State::Open);
    for _ in 0..3 {
        visit(&health, &b, &down);
    }
    assert_eq!(health.state(&b, Instant::now()), State::Open);
    assert_eq!(health.lock().circuits.len(), MOST_CIRCUITS);
}

#[tokio::test(start_paused = true)]
async fn no_date_however_far_takes_a_target_out_for_ever() {
    let (health, a) = (Health::default(), model("a"));
    let mut window = of(Outcome::QuotaWindow, None);
    window.reset_at = Some(wall_now() + secs(100 * 365 * 86_400));
    visit(&health, &a, &window);
    let now = Instant::now();
    let out = health.out(&a, now).unwrap();
    assert_eq!(out.until - now, secs(31 * 86_400));
}
