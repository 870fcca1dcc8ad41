use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::testing::upstream::{ErrorKind, Fault};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn steer(pairs: &[(&'static str, &'static str)]) -> Result<Option<Answer>, BadDirective> {
    steered(&headers(pairs), &Sequences::new())
}

fn never() -> SeenRequest {
    unreachable!("only a function needs the request")
}

#[test]
fn each_header_sets_its_field() {
    let ms = Duration::from_millis;
    for (name, value, answer) in [
        (
            "x-mock-status",
            "503",
            Answer::status(StatusCode::SERVICE_UNAVAILABLE),
        ),
        (
            "x-mock-error",
            "overloaded",
            Answer::error(ErrorKind::Overloaded),
        ),
        ("x-mock-delay-ms", "250", Answer::ok().with_delay(ms(250))),
        (
            "x-mock-retry-after-ms",
            "300",
            Answer::ok().with_retry_after(ms(300)),
        ),
        ("x-mock-tokens", "20", Answer::ok().with_tokens(20)),
        (
            "x-mock-token-delay-ms",
            "7",
            Answer::ok().with_chunk_delay(ms(7)),
        ),
        (
            "x-mock-first-token-delay-ms",
            "9",
            Answer::ok().with_first_chunk_delay(ms(9)),
        ),
        (
            "x-mock-body-bytes",
            "1024",
            Answer::ok().with_body_bytes(1024),
        ),
        ("x-mock-fault", "hang", Answer::fault(Fault::Hang)),
        ("x-mock-fault", "close", Answer::fault(Fault::Close)),
        ("x-mock-fault", "reset", Answer::fault(Fault::Reset)),
        ("x-mock-fault", "cut:2", Answer::fault(Fault::Cut(2))),
        ("x-mock-fault", "stall:0", Answer::fault(Fault::Stall(0))),
        ("x-mock-fault", "end:1", Answer::fault(Fault::End(1))),
        ("x-mock-fault", "error:1", Answer::fault(Fault::Error(1))),
        (
            "x-mock-fault",
            "reset:2",
            Answer::fault(Fault::ResetAfter(2)),
        ),
        (
            "x-mock-fault",
            "malformed:2",
            Answer::fault(Fault::Malformed(2)),
        ),
        (
            "x-mock-fault",
            "refuse:9",
            Answer::fault(Fault::RefuseFor(9)),
        ),
        ("x-mock-fault", "no-done", Answer::fault(Fault::NoDone)),
        (
            "x-mock-fault",
            "double-finish",
            Answer::fault(Fault::DoubleFinish),
        ),
        (
            "x-mock-fault",
            "content-after-finish",
            Answer::fault(Fault::ContentAfterFinish),
        ),
        ("x-mock-fault", "page", Answer::fault(Fault::Page)),
        (
            "x-mock-tokens-per-second",
            "4",
            Answer::ok().with_chunk_delay(ms(250)),
        ),
        ("x-mock-times", "3", Answer::ok().with_times(3)),
        (
            "x-mock-header-x-should-retry",
            "false",
            Answer::ok().with_header(
                http::HeaderName::from_static("x-should-retry"),
                http::HeaderValue::from_static("false"),
            ),
        ),
    ] {
        assert_eq!(steer(&[(name, value)]), Ok(Some(answer)), "{name}: {value}");
    }
}

#[test]
fn headers_add_up_and_others_do_not_steer() {
    let both = steer(&[("x-mock-error", "rate_limit"), ("x-mock-delay-ms", "5")]);
    let expected = Answer::error(ErrorKind::RateLimit).with_delay(Duration::from_millis(5));
    assert_eq!(both, Ok(Some(expected)));
    assert_eq!(
        steer(&[("accept", "*/*"), ("x-mock", "1"), ("x-mock-key", "a")]),
        Ok(None)
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (name, value) in [
        ("x-mock-status", "99"),
        ("x-mock-status", "101"),
        ("x-mock-status", "ok"),
        ("x-mock-delay-ms", "-1"),
        ("x-mock-delay-ms", "99999999999"),
        ("x-mock-error", "gremlins"),
        ("x-mock-fault", "cut"),
        ("x-mock-fault", "hang:1"),
        ("x-mock-tokens", "1000001"),
        ("x-mock-tokens-per-second", "0"),
        ("x-mock-tokens-per-second", "nan"),
        ("x-mock-fault", "cut:t"),
        ("x-mock-fault", "cut:-1"),
        ("x-mock-fault", "refuse:60001"),
        ("x-mock-fault", "no-done:1"),
        ("x-mock-case", "no-such-case"),
        ("x-mock-finish", "early"),
        ("x-mock-encoding", "br"),
        ("x-mock-no-prefill", "maybe"),
        ("x-mock-ping-ms", "0"),
        ("x-mock-flap-ms", "0"),
        ("x-mock-header-content-length", "1"),
        ("x-mock-sequence", "loop,503"),
        ("x-mock-body-bytes", "67108865"),
        ("x-mock-statuses", "200"),
        ("x-mock-sequence", "200;nonsense"),
        ("x-mock-sequence", "200;tokens=x"),
    ] {
        assert!(steer(&[(name, value)]).is_err(), "{name}: {value}");
    }
}

#[test]
fn a_keyed_sequence_walks_on_and_ends_in_good_answers() {
    let (here, there) = {
        let shared = Sequences::new();
        (shared.clone(), shared)
    };
    let a = headers(&[
        ("x-mock-sequence", "429;retry-after-ms=300,cut:1,overloaded"),
        ("x-mock-key", "a"),
        ("x-mock-delay-ms", "2"),
    ]);
    let slow = |answer: Answer| Ok(Some(answer.with_delay(Duration::from_millis(2))));
    let pacing =
        Answer::status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(Duration::from_millis(300));
    assert_eq!(steered(&a, &here), slow(pacing.clone()));
    assert_eq!(steered(&a, &there), slow(Answer::fault(Fault::Cut(1))));
    let b = headers(&[
        ("x-mock-sequence", "429;retry-after-ms=300,200"),
        ("x-mock-key", "b"),
    ]);
    assert_eq!(steered(&b, &here), Ok(Some(pacing)), "keys are apart");
    assert_eq!(
        steered(&a, &here),
        slow(Answer::error(ErrorKind::Overloaded))
    );
    assert_eq!(steered(&a, &there), slow(Answer::ok()));
}

#[test]
fn the_oldest_key_is_forgotten_first() {
    let sequences = Sequences::new();
    for key in 0..MAX_KEYS {
        sequences.advance(&key.to_string());
    }
    assert_eq!(sequences.advance("1"), 1);
    assert_eq!(sequences.advance("new"), 0);
    assert_eq!(sequences.advance("0"), 0, "forgotten, so it begins again");
    assert_eq!(sequences.0.lock().unwrap().at.len(), MAX_KEYS);
}

#[test]
fn a_script_gives_its_answers_in_order_then_the_default() {
    let script: Script = "503,hang".parse().unwrap();
    let script = script.then(Answer::error(ErrorKind::Auth));
    let got: Vec<_> = (0..4).map(|_| script.next(never)).collect();
    assert_eq!(
        got,
        [
            Answer::status(StatusCode::SERVICE_UNAVAILABLE),
            Answer::fault(Fault::Hang),
            Answer::error(ErrorKind::Auth),
            Answer::error(ErrorKind::Auth),
        ]
    );
    assert!("503,,x".parse::<Script>().is_err());
    let flap: Script = "503,200,loop".parse().unwrap();
    let status = |answer: Answer| answer.status.unwrap().as_u16();
    let got: Vec<_> = (0..3).map(|_| status(flap.next(never))).collect();
    assert_eq!(got, [503, 200, 503]);
}

#[test]
fn a_text_sets_many_fields() {
    let answer: Answer = "429;retry-after=2;cut:3t;tool;no-prefill;gzip;ping-ms=10"
        .parse()
        .unwrap();
    assert_eq!(answer.status, Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(2)));
    assert!(answer.retry_after_seconds && answer.in_tokens && answer.no_prefill);
    assert_eq!(answer.fault, Some(Fault::Cut(3)));
    assert_eq!(answer.tool.as_deref(), Some(""));
    let in_events: Answer = "cut:3t;cut:3".parse().unwrap();
    assert!(!in_events.in_tokens, "the last word holds");
}

#[test]
fn a_script_counts_its_items() {
    let script: Script = "503;times=2,429".parse().unwrap();
    let script = script.then(Answer::error(ErrorKind::Auth).with_times(1));
    let got: Vec<_> = (0..5).map(|_| script.next(never)).collect();
    let status = |status| Answer::status(status);
    assert_eq!(
        got,
        [
            status(StatusCode::SERVICE_UNAVAILABLE).with_times(2),
            status(StatusCode::SERVICE_UNAVAILABLE).with_times(2),
            status(StatusCode::TOO_MANY_REQUESTS),
            Answer::error(ErrorKind::Auth).with_times(1),
            Answer::ok(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_flapping_answer_holds_every_other_period() {
    let sequences = Sequences::new();
    let answer = Answer {
        flap: Some(Duration::from_secs(5)),
        ..Answer::error(ErrorKind::Overloaded)
    };
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(flapped(answer.clone(), "k", &sequences) == answer);
        crate::base::time::sleep(Duration::from_secs(3)).await;
    }
    // At 0, 3, 6, 9, 12 and 15 s.
    assert_eq!(held, [true, true, false, false, true, false]);
}
