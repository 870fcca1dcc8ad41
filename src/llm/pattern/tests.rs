//! The rules that phrases are compared by; what they mean is shown by the table's tests.

use super::{
    family::{Family, says},
    *,
};

#[test]
fn every_phrase_is_meant_under_its_statuses_only() {
    for family in FAMILIES {
        for (pieces, source) in family.phrases {
            assert!(!source.is_empty());
            let words: Vec<_> = pieces
                .iter()
                .map(|p| p.split('|').next().unwrap())
                .collect();
            let message = format!("{} 12", words.join(" 12 ")).to_uppercase();
            assert!(says(&spoken(&message), pieces), "{message}");
            if family
                .unless
                .iter()
                .any(|word| spoken(&message).contains(word))
            {
                panic!("{message} takes itself back");
            }
            let turn = if family.first {
                Turn::First
            } else {
                Turn::Then
            };
            for status in 400..600 {
                let found = of_text(Some(status), None, &message, turn);
                let known = family.on.contains(&status);
                let means =
                    |other: &&Family| other.outcome == family.outcome && other.on.contains(&status);
                assert!(!known || found.is_some(), "{status} {message}");
                if FAMILIES.iter().find(means).is_none() {
                    assert_ne!(found, Some(family.outcome), "{status} {message}");
                }
            }
            assert!(of_text(None, None, &message, turn).is_some(), "{message}");
        }
    }
}

#[test]
fn a_code_about_a_parameter_silences_the_text() {
    let echo = "Unknown parameter: prompt is too long.";
    let first = |code| of_text(Some(400), code, echo, Turn::First);
    assert_eq!(first(Some("unknown_parameter")), None);
    for code in ["invalid_request_error", "1261", "BadRequest", "x"] {
        assert_eq!(first(Some(code)), Some(Outcome::ContextLength), "{code}");
    }
}

#[test]
fn quotations_are_not_spoken() {
    for (message, spoken_as) in [
        (
            "Invalid value: 'my prompt is too long'. Use 'a'.",
            "invalid value:  . use 'a'.",
        ),
        (
            "The model's limit isn't reached",
            "the model's limit isn't reached",
        ),
        ("Unknown: \"a b\" and `c d`", "unknown:   and  "),
        ("“a b” is bad", "  is bad"),
        ("\"All of it is quoted\"", "\"all of it is quoted\""),
        (
            "X - {\"message\": \"a b\", \"type\": \"c d\"}",
            "x - {\"message\": \"a b\", \"type\":  }",
        ),
        ("X - {'message': 'a b'}", "x - {'message': 'a b'}"),
        (
            "X - {\\\"message\\\":\\\"a b\\\"}",
            "x - {\\\"message\\\":\\\"a b\\\"}",
        ),
        ("'not closed, it's open", "'not closed, it's open"),
        ("", ""),
    ] {
        assert_eq!(spoken(message), spoken_as, "{message}");
    }
}

#[test]
fn codes_are_spelled() {
    for (code, words) in [
        (
            "exceeded_current_quota_error",
            "exceeded current quota error",
        ),
        ("Throttling.RateQuota", "throttling rate quota"),
        (
            "ModelAccountTpmRateLimitExceeded",
            "model account tpm rate limit exceeded",
        ),
        ("TPMLimitExceeded", "tpm limit exceeded"),
        ("RATE_LIMIT_TOTAL_QPS", "rate limit total qps"),
    ] {
        assert_eq!(spelled(code), words);
    }
}

#[test]
fn pieces_far_apart_belong_to_different_sentences() {
    let near = format!("exceed {} context limit", "x".repeat(60));
    let far = format!("exceed {} context limit", "x".repeat(100));
    let of = |message: &str| of_text(Some(400), None, message, Turn::First);
    assert_eq!(of(&near), Some(Outcome::ContextLength));
    assert_eq!(of(&far), None);
    let late = format!("{} prompt is too long", "é".repeat(LONGEST));
    assert_eq!(of(&late), None);
}

#[test]
fn compares_the_two_numbers() {
    for (text, over) in [
        ("Rate limit: Limit 30000, Requested 48211.", true),
        ("Limit 30,000, Used 1, Requested 48,211", true),
        ("limit 30000, used 29000, requested 2000", false),
        ("Limit 10, Requested 10", false),
        ("Limit: 6000 / Requested: 7420", true),
        ("Limit, Requested 5", false),
        ("Limit 99999999999999999999999, Requested 1", false),
        ("", false),
    ] {
        assert_eq!(over_the_limit(text), over, "{text}");
    }
}
