//! Plain scalars under YAML 1.2's core schema, and Go durations.

use std::time::Duration;

use super::document::Value;

/// Resolves a plain (unquoted) scalar: null, bool, int, float or string (YAML 1.2.2 section 10.3.2).
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    integer(text)
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::Str(text.to_owned()))
}

fn integer(text: &str) -> Option<Value> {
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(Value::Int)
}

fn digits(text: &str, radix: u32) -> Option<Value> {
    if text.is_empty() || !text.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(text, radix).ok().map(Value::Int)
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let negative = text.starts_with('-');
        return Some(Value::Float(if negative {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }));
    }
    let shaped = unsigned
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !shaped || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok().map(Value::Float)
}

/// Reads a Go duration (`1h2m3.5s`, `300ms`), as Istio's duration fields take it.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "a duration is numbers with units, such as 30s, 1.5s, 250ms or 1h2m";
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(SHAPE);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or("the unit is missing")?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = unit_nanos(unit).ok_or("the unit must be ns, us, ms, s, m or h")?;
        nanos = scaled(number, unit)
            .and_then(|n| nanos.checked_add(n))
            .ok_or(SHAPE)?;
        rest = tail;
    }
    // Go holds durations in an int64 of nanoseconds.
    let nanos = u64::try_from(nanos)
        .ok()
        .filter(|n| i64::try_from(*n).is_ok())
        .ok_or("the duration is too long")?;
    if negative && nanos > 0 {
        return Err("a duration must not be negative");
    }
    Ok(Duration::from_nanos(nanos))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` (digits with at most one point) times `unit`, rounded down.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits if digits.len() <= 20 => digits.parse().ok()?,
        _ => return None,
    };
    let fraction = &fraction[..fraction.len().min(12)];
    let part: u128 = match fraction {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(part * unit / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        let text = |s: &str| Value::Str(s.to_owned());
        for (input, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("nil", text("nil")),
            ("true", Value::Bool(true)),
            ("yes", text("yes")),
            ("on", text("on")),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+7", Value::Int(7)),
            ("010", Value::Int(10)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("0x", text("0x")),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("1e3", Value::Float(1000.0)),
            ("99999999999999999999", Value::Float(1e20)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("30s", text("30s")),
            ("1.2.3", text("1.2.3")),
            ("-", text("-")),
            (".", text(".")),
            ("e3", text("e3")),
            ("inf", text("inf")),
            ("nan", text("nan")),
        ] {
            assert_eq!(resolve(input), value, "{input:?}");
        }
        assert!(matches!(resolve(".nan"), Value::Float(f) if f.is_nan()));
    }

    #[test]
    fn go_durations() {
        let ms = Duration::from_millis;
        for (input, value) in [
            ("30s", Some(ms(30_000))),
            ("1.5s", Some(ms(1500))),
            ("0.25s", Some(ms(250))),
            (".5s", Some(ms(500))),
            ("5.s", Some(ms(5000))),
            ("1h2m3.5s", Some(ms(3_723_500))),
            ("300ms", Some(ms(300))),
            ("10us", Some(Duration::from_micros(10))),
            ("10µs", Some(Duration::from_micros(10))),
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("-0s", Some(Duration::ZERO)),
            ("+1s", Some(ms(1000))),
            ("0000000000000000000000001s", Some(ms(1000))),
            ("2562047h", Some(Duration::from_secs(2_562_047 * 3600))),
            ("2562048h", None),
            ("99999999999999999999999h", None),
            ("", None),
            ("30", None),
            ("s", None),
            (".s", None),
            ("1..5s", None),
            ("-1s", None),
            ("30 s", None),
            ("1d", None),
            ("1S", None),
            ("one", None),
            ("-", None),
        ] {
            assert_eq!(duration(input).ok(), value, "{input:?}");
        }
    }
}
