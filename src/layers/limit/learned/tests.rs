use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::*;
use crate::base::time::parse_rfc3339;

const REQUEST: Need = Need {
    input: 400,
    output: 600,
    guessed: false,
};

fn wall() -> SystemTime {
    parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    all.iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

/// For how many milliseconds a request is sent away after an answer with these headers.
fn short_for(all: &[(&'static str, &str)]) -> Option<u128> {
    let (learned, now) = (Learned::default(), Instant::now());
    let key = Key::new("c", None, Some("m"));
    learned.observe(key, &headers(all), now, wall());
    match learned.room(key, REQUEST, now) {
        Room::Fits => None,
        Room::Short { until } => {
            assert_eq!(learned.room(key, REQUEST, until), Room::Fits);
            let before = until - Duration::from_millis(1);
            assert_eq!(learned.room(key, REQUEST, before), Room::Short { until });
            Some((until - now).as_millis())
        }
    }
}

#[test]
fn a_request_is_sent_away_until_what_fills_in_is_enough() {
    for (all, expected) in [
        // OpenAI: full in 60 s, 1000 needed, 400 left of 10,000.
        (
            &[
                ("x-ratelimit-limit-tokens", "10000"),
                ("x-ratelimit-remaining-tokens", "400"),
                ("x-ratelimit-reset-tokens", "57.6s"),
            ][..],
            Some(3600),
        ),
        (
            &[
                ("x-ratelimit-limit-tokens", "10000"),
                ("x-ratelimit-remaining-tokens", "1000"),
                ("x-ratelimit-reset-tokens", "54s"),
            ],
            None,
        ),
        // Groq's requests are per day; full in three minutes is no reason to wait.
        (
            &[
                ("x-ratelimit-limit-requests", "14400"),
                ("x-ratelimit-remaining-requests", "14370"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
            ],
            None,
        ),
        (
            &[
                ("x-ratelimit-limit-requests", "100"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "10s"),
            ],
            Some(100),
        ),
        // Anthropic: each kind of token for itself; the last to have room decides.
        (
            &[
                ("anthropic-ratelimit-input-tokens-limit", "1000"),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2026-11-22T10:00:10Z",
                ),
                ("anthropic-ratelimit-output-tokens-limit", "1000"),
                ("anthropic-ratelimit-output-tokens-remaining", "200"),
                (
                    "anthropic-ratelimit-output-tokens-reset",
                    "2026-11-22T10:00:16Z",
                ),
            ],
            Some(8000),
        ),
        // The answer's clock goes before ours.
        (
            &[
                ("date", "Sun, 22 Nov 2026 10:00:05 GMT"),
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2026-11-22T10:00:10Z"),
            ],
            Some(5000),
        ),
        // Without a limit all comes back at once; without a reset within a minute.
        (
            &[
                ("x-ratelimit-remaining-tokens", "999"),
                ("x-ratelimit-reset-tokens", "7"),
            ],
            Some(7000),
        ),
        (
            &[
                ("x-ratelimit-limit-tokens-minute", "6000"),
                ("x-ratelimit-remaining-tokens-minute", "0"),
            ],
            Some(10_000),
        ),
        // Together; OpenRouter.
        (
            &[("x-tokenlimit-remaining", "5"), ("x-tokenlimit-reset", "3")],
            Some(3000),
        ),
        (
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1795341604000"),
            ],
            Some(4000),
        ),
    ] {
        assert_eq!(short_for(all), expected, "{all:?}");
    }
}

#[test]
fn what_is_unknown_or_over_blocks_nobody() {
    for all in [
        &[][..],
        &[("x-ratelimit-remaining-tokens", "0")],
        &[
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-tokens", "-1"),
        ],
        &[
            ("x-ratelimit-limit-tokens", "0"),
            ("x-ratelimit-remaining-tokens", "0"),
        ],
        &[
            ("x-ratelimit-remaining-tokens", "NaN"),
            ("x-ratelimit-reset-tokens", "1s"),
        ],
        &[
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "0s"),
        ],
        &[
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "2026-11-22T09:59:59Z"),
        ],
        // The request is larger than the whole bucket: no wait cures that.
        &[
            ("x-ratelimit-limit-tokens", "900"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "30s"),
        ],
        &[("x-ratelimit-remaining-tokens", "inf")],
    ] {
        assert_eq!(short_for(all), None, "{all:?}");
    }
}

#[test]
fn a_guess_alone_makes_no_request_too_large() {
    let (learned, now) = (Learned::default(), Instant::now());
    let key = Key::new("c", None, Some("m"));
    let empty = headers(&[
        ("x-ratelimit-limit-tokens", "900"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "30s"),
    ]);
    learned.observe(key, &empty, now, wall());
    let guessed = Need {
        guessed: true,
        ..REQUEST
    };
    let until = now + Duration::from_secs(30);
    assert_eq!(learned.room(key, guessed, now), Room::Short { until });
    let long = Need {
        input: 901,
        ..guessed
    };
    assert_eq!(learned.room(key, long, now), Room::Fits);
}

#[test]
fn keys_are_apart_and_the_last_word_counts() {
    let (learned, now) = (Learned::default(), Instant::now());
    let credential = |key: &str| Some(Fingerprint::of(key.as_bytes()));
    let key = Key::new("c", credential("k"), Some("m"));
    let empty = headers(&[
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "9s"),
    ]);
    learned.observe(key, &empty, now, wall());
    assert_ne!(learned.room(key, REQUEST, now), Room::Fits);
    for other in [
        Key::new("d", credential("k"), Some("m")),
        Key::new("c", credential("l"), Some("m")),
        Key::new("c", None, Some("m")),
        Key::new("c", credential("k"), None),
    ] {
        assert_eq!(learned.room(other, REQUEST, now), Room::Fits);
    }
    let again = headers(&[("x-ratelimit-remaining-requests", "1")]);
    learned.observe(key, &again, now, wall());
    assert_eq!(learned.room(key, REQUEST, now), Room::Fits);
    learned.observe(key, &HeaderMap::new(), now, wall());
    assert_eq!(learned.room(key, REQUEST, now), Room::Fits);
}

#[test]
fn it_does_not_grow_without_bound() {
    let (learned, now) = (Learned::new(256), Instant::now());
    let empty = headers(&[
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "9s"),
    ]);
    for n in 0..10_000 {
        let key = Key::new(&n.to_string(), None, None);
        learned.observe(key, &empty, now, wall());
    }
    assert!(learned.0.len() <= 256);
    let (key, later) = (Key::new("new", None, None), now + Duration::from_secs(10));
    learned.observe(key, &empty, later, wall());
    assert_ne!(learned.room(key, REQUEST, later), Room::Fits);
}

#[test]
fn no_header_makes_it_panic() {
    let values = [
        "",
        "-",
        "1e308",
        "-1",
        "1e400s",
        "99999999999999999999h",
        "é",
        "0",
        "1",
        "9999999999999999",
        "2026-11-22T10:00:00Z",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "18446744073709551616",
    ];
    for limit in values {
        for remaining in values {
            for reset in values {
                let mut all = HeaderMap::new();
                for (name, value) in [
                    ("x-ratelimit-limit-tokens", limit),
                    ("x-ratelimit-remaining-tokens", remaining),
                    ("x-ratelimit-reset-tokens", reset),
                ] {
                    all.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
                let (learned, now) = (Learned::default(), Instant::now());
                let key = Key::new("c", None, None);
                learned.observe(key, &all, now, wall());
                let huge = Need {
                    input: u64::MAX,
                    output: u64::MAX,
                    guessed: false,
                };
                for need in [Need::default(), REQUEST, huge] {
                    if let Room::Short { until } = learned.room(key, need, now) {
                        assert!(until > now);
                    }
                }
            }
        }
    }
}
