//! How a time limit is written on the wire: `x-envoy-expected-rq-timeout-ms` and gRPC's `grpc-timeout`; and how the SDKs of LLM
//! providers tell their own.
//!
//! | header | who | unit | bounds |
//! |---|---|---|---|
//! | `x-server-timeout` | google-genai | seconds | the whole answer |
//! | `x-stainless-read-timeout` | the Python SDKs of OpenAI, Anthropic and others | seconds | the silence before the head and between two parts |
//! | `x-stainless-timeout` | their TypeScript SDKs | seconds | the wait for the head |
//!
//! The last two say nothing of how long a stream may be, so they bound the head only.
//!
//! Pure codecs. `grpc-timeout` is up to eight digits and a unit
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>); it is read and written on gRPC requests only.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};

/// Envoy's header: milliseconds that the upstream has.
pub const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// gRPC's header: digits and a unit.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// google-genai's header: seconds that the server has.
pub const SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");

const GRPC_DIGITS: usize = 8;
const GRPC_MAX: u128 = 99_999_999;

/// What a request's headers say of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// The shortest limit, repeated ones included. Absent, zero, negative and unreadable ones count for nothing.
    pub limit: Option<Duration>,
    /// How long the caller waits for the response head; with the same rules.
    pub patience: Option<Duration>,
    /// Whether the request is gRPC: see [`is_grpc`].
    pub grpc: bool,
    /// Whether `x-envoy-expected-rq-timeout-ms` is there, readable or not.
    pub expected: bool,
}

/// Reads all of it in one pass over the headers that are there.
#[must_use]
pub fn stated(headers: &HeaderMap) -> Stated {
    let mut stated = Stated::default();
    let (mut typed, mut grpc_limit) = (false, None);
    for (name, value) in headers {
        match name.as_str() {
            // The first one counts.
            "content-type" => {
                stated.grpc |= !typed && names_grpc(value);
                typed = true;
            }
            "grpc-timeout" => shorten(&mut grpc_limit, read_grpc(value)),
            "x-envoy-expected-rq-timeout-ms" => {
                stated.expected = true;
                shorten(&mut stated.limit, read_expected(value));
            }
            "x-server-timeout" => shorten(&mut stated.limit, read_seconds(value)),
            "x-stainless-read-timeout" | "x-stainless-timeout" => {
                shorten(&mut stated.patience, read_seconds(value));
            }
            _ => {}
        }
    }
    shorten(&mut stated.limit, grpc_limit.filter(|_| stated.grpc));
    stated
}

/// The shortest limit that the headers state: [`Stated::limit`].
#[must_use]
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    stated(headers).limit
}

fn shorten(limit: &mut Option<Duration>, other: Option<Duration>) {
    *limit = match (*limit, other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

/// Writes what is left, in whole milliseconds, rounded up: the time that it takes to say so is not the upstream's loss. The caller's own `x-envoy-expected-rq-timeout-ms` is
/// taken off in any case; its `grpc-timeout` stays if there is no limit.
pub fn write(headers: &mut HeaderMap, left: Option<Duration>) {
    let Some(left) = left else {
        headers.remove(EXPECTED);
        return;
    };
    let ms = left.as_nanos().div_ceil(1_000_000).max(1);
    headers.insert(
        EXPECTED,
        HeaderValue::from(u64::try_from(ms).unwrap_or(u64::MAX)),
    );
    if is_grpc(headers)
        && let Ok(value) = HeaderValue::try_from(grpc_timeout(ms))
    {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

/// Whether the request is gRPC: `application/grpc`, alone or with `+proto` or the like.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(names_grpc)
}

fn names_grpc(content_type: &HeaderValue) -> bool {
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn read_expected(value: &HeaderValue) -> Option<Duration> {
    let ms = digits(value.as_bytes())?;
    Some(Duration::from_millis(ms))
}

/// Seconds, whole or with a decimal fraction.
fn read_seconds(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    text.bytes()
        .all(|b| b.is_ascii_digit() || b == b'.')
        .then_some(())?;
    let limit = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    (!limit.is_zero()).then_some(limit)
}

fn read_grpc(value: &HeaderValue) -> Option<Duration> {
    let (unit, number) = value.as_bytes().split_last()?;
    if number.len() > GRPC_DIGITS {
        return None;
    }
    let n = digits(number)?;
    Some(match unit {
        b'H' => Duration::from_secs(n * 3600),
        b'M' => Duration::from_secs(n * 60),
        b'S' => Duration::from_secs(n),
        b'm' => Duration::from_millis(n),
        b'u' => Duration::from_micros(n),
        b'n' => Duration::from_nanos(n),
        _ => return None,
    })
}

/// A positive decimal number, digits only.
fn digits(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|n| *n > 0)
}

/// Milliseconds where eight digits are enough, else the finest unit for which they are.
fn grpc_timeout(ms: u128) -> String {
    for (unit, size) in [("m", 1), ("S", 1_000), ("M", 60_000)] {
        if ms / size <= GRPC_MAX {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{}H", (ms / 3_600_000).min(GRPC_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn reads_envoys_header() {
        for (text, ms) in [
            ("250", Some(250)),
            ("0", None),
            ("-5", None),
            ("+5", None),
            ("2.5", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            let got = read(&headers(&[("x-envoy-expected-rq-timeout-ms", text)]));
            assert_eq!(got, ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn reads_what_sdks_say_of_their_own_timeouts() {
        for (text, wait) in [
            ("600", Some(Duration::from_secs(600))),
            ("2.5", Some(Duration::from_millis(2500))),
            ("60.0", Some(Duration::from_secs(60))),
            ("0", None),
            ("0.0", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("None", None),
            ("not_given", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(
                read(&headers(&[("x-server-timeout", text)])),
                wait,
                "{text}"
            );
            for name in ["x-stainless-read-timeout", "x-stainless-timeout"] {
                let headers = headers(&[(name, text)]);
                assert_eq!(stated(&headers).patience, wait, "{name}: {text}");
                assert_eq!(read(&headers), None, "it says nothing of a stream's length");
            }
        }
        let both = headers(&[
            ("x-stainless-read-timeout", "9"),
            ("x-stainless-timeout", "4"),
        ]);
        assert_eq!(stated(&both).patience, Some(Duration::from_secs(4)));
    }

    #[test]
    fn reads_grpc_timeouts_of_grpc_requests_only() {
        for (text, wait) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("40m", Some(Duration::from_millis(40))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(359_999_996_400))),
            ("100000000m", None),
            ("0m", None),
            ("-1m", None),
            ("5", None),
            ("m", None),
            ("5x", None),
            ("", None),
        ] {
            let grpc = headers(&[("content-type", "application/grpc"), ("grpc-timeout", text)]);
            assert_eq!(read(&grpc), wait, "{text}");
            let json = headers(&[("content-type", "application/json"), ("grpc-timeout", text)]);
            assert_eq!(read(&json), None, "{text}");
        }
    }

    #[test]
    fn knows_grpc_by_its_content_type() {
        for (text, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&headers(&[("content-type", text)])), grpc, "{text}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn the_shorter_of_both_counts() {
        let both = headers(&[
            ("content-type", "application/grpc"),
            ("grpc-timeout", "40m"),
            ("x-envoy-expected-rq-timeout-ms", "50"),
        ]);
        assert_eq!(read(&both), Some(Duration::from_millis(40)));
    }

    #[test]
    fn the_shortest_of_a_repeated_header_counts() {
        let twice = |name: &'static str, a: &str, b: &str| {
            let mut all = headers(&[("content-type", "application/grpc")]);
            for value in [a, b] {
                all.append(name, HeaderValue::from_str(value).unwrap());
            }
            read(&all)
        };
        for (a, b) in [("500", "20"), ("20", "500"), ("soon", "20")] {
            let limit = twice("x-envoy-expected-rq-timeout-ms", a, b);
            assert_eq!(limit, Some(Duration::from_millis(20)), "{a} {b}");
        }
        let limit = twice("grpc-timeout", "9S", "20m");
        assert_eq!(limit, Some(Duration::from_millis(20)));
    }

    #[test]
    fn writes_what_is_left_and_at_least_one() {
        let mut plain = headers(&[("x-envoy-expected-rq-timeout-ms", "5000")]);
        for (micros, text) in [(1_999, "2"), (2_000, "2"), (1, "1")] {
            write(&mut plain, Some(Duration::from_micros(micros)));
            assert_eq!(plain[EXPECTED], text);
        }
        write(&mut plain, Some(Duration::ZERO));
        assert_eq!(plain[EXPECTED], "1");
        assert!(!plain.contains_key(GRPC_TIMEOUT));
        write(&mut plain, None);
        assert!(!plain.contains_key(EXPECTED));

        let mut grpc = headers(&[("content-type", "application/grpc"), ("grpc-timeout", "9S")]);
        write(&mut grpc, None);
        assert_eq!(grpc[GRPC_TIMEOUT], "9S");
        write(&mut grpc, Some(Duration::from_millis(1500)));
        assert_eq!(
            (&grpc[GRPC_TIMEOUT], &grpc[EXPECTED]),
            (
                &HeaderValue::from_static("1500m"),
                &HeaderValue::from_static("1500")
            )
        );
    }

    #[test]
    fn long_grpc_timeouts_take_a_coarser_unit() {
        for (ms, text) in [
            (99_999_999, "99999999m"),
            (100_000_000, "100000S"),
            (100_000_000_000, "1666666M"),
            (u128::from(u64::MAX), "99999999H"),
        ] {
            assert_eq!(grpc_timeout(ms), text);
        }
    }
}
