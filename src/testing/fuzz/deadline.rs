//! Deadline headers.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::text::headers;
use crate::deadline::headers::{EXPECTED, GRPC_TIMEOUT, is_grpc, read, write};

/// Input: header lines.
///
/// What is read is no longer than any limit that is stated; what is written reads back as no more than it was, but at
/// least 1 ms; nothing of the caller's limits is left beside it.
///
/// # Panics
/// If one of these does not hold.
pub fn deadline(data: &[u8]) {
    let (sent, _) = headers(data);
    let limit = read(&sent);
    for stated in stated(&sent) {
        assert!(
            limit.is_some_and(|limit| limit <= stated),
            "{limit:?} was read where {stated:?} is stated"
        );
    }
    let own = Duration::from_nanos(data.len() as u64 * 1_234_567);
    for left in [limit, Some(own), limit.map(|l| l.min(own))]
        .into_iter()
        .flatten()
    {
        let mut written = sent.clone();
        write(&mut written, Some(left));
        assert_eq!(written.get_all(EXPECTED).iter().count(), 1);
        let back = read(&written);
        assert!(back.is_some(), "a limit was written");
        // Whole milliseconds, rounded up.
        assert!(
            back < Some(left + Duration::from_millis(1)) || back == Some(Duration::from_millis(1)),
            "{left:?} became {back:?}"
        );
        let mut again = written.clone();
        write(&mut again, back);
        assert_eq!(read(&again), back, "stable");
    }
    let mut none = sent;
    write(&mut none, None);
    assert!(!none.contains_key(EXPECTED));
}

/// Every valid limit, read without regard to anything but the format's definition.
fn stated(headers: &HeaderMap) -> Vec<Duration> {
    let digits = |text: &[u8]| {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
        text.parse::<u64>().ok().filter(|n| *n > 0)
    };
    let expected = |value: &HeaderValue| digits(value.as_bytes()).map(Duration::from_millis);
    let grpc = |value: &HeaderValue| {
        let (unit, number) = value.as_bytes().split_last()?;
        let number = digits(number).filter(|_| number.len() <= 8)?;
        let nanos: u128 = match unit {
            b'H' => 3_600_000_000_000,
            b'M' => 60_000_000_000,
            b'S' => 1_000_000_000,
            b'm' => 1_000_000,
            b'u' => 1_000,
            b'n' => 1,
            _ => return None,
        };
        let nanos = u128::from(number) * nanos;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
        Some(Duration::new(seconds, rest))
    };
    let mut all: Vec<_> = headers
        .get_all(EXPECTED)
        .iter()
        .filter_map(expected)
        .collect();
    if is_grpc(headers) {
        all.extend(headers.get_all(GRPC_TIMEOUT).iter().filter_map(grpc));
    }
    all
}
