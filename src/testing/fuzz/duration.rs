//! Go durations, in configuration and in headers.

use std::time::Duration;

use crate::{classify::hint::go_duration, config::parse_duration};

/// Input: a text.
///
/// The two readers agree: what configuration takes, hints take, with the same value; and the other way, within
/// configuration's range and units.
///
/// # Panics
/// If they do not.
pub fn duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (exact, hint) = (parse_duration(text), go_duration(text));
    match (&exact, hint) {
        (Ok(exact), Some(hint)) => assert!(close(*exact, hint), "{text:?}: {exact:?}, {hint:?}"),
        // Only configuration knows the bare zero, and a sign before one.
        (Ok(exact), None) => assert!(exact.is_zero(), "{text:?} is no hint"),
        (Err(why), Some(hint)) => {
            let too_long = hint.as_nanos() > i64::MAX.unsigned_abs().into();
            let near = hint.as_nanos().abs_diff(i64::MAX.unsigned_abs().into()) < 1_000_000;
            assert!(
                too_long || near || text.contains('d'),
                "{text:?} is a hint of {hint:?}: {why}"
            );
        }
        (Err(why), None) => assert!(!why.is_empty()),
    }
    if let Ok(exact) = exact {
        assert!(exact.as_nanos() <= i64::MAX.unsigned_abs().into());
        let nanos = format!("{}ns", exact.as_nanos());
        assert_eq!(parse_duration(&nanos), Ok(exact), "{nanos}");
    }
}

/// Hints are read with floating point; configuration rounds each number down to a nanosecond, from twelve decimals.
fn close(exact: Duration, hint: Duration) -> bool {
    let slack = Duration::from_micros(1) + exact.mul_f64(1e-9);
    exact.abs_diff(hint) <= slack
}
