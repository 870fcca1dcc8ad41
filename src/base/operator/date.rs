//! `%START_TIME(format)%`: strftime in UTC, with Envoy's fractions of a second.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::base::time::civil_from_days;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// Writes a time as a strftime format says: the fields of C's that numbers and English names make up, `%s` (seconds since
/// 1970), `%f` and `%1f` to `%9f` (fraction), `%E1S` to `%E9S` and `%E*S` (seconds with a fraction). Others stay as they
/// are written.
#[must_use]
pub fn date(time: SystemTime, format: &str) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = |digits: usize| format!("{nanos:09}").get(..digits).unwrap_or("").to_owned();
    let name = |names: &[&str], at: u64| {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at).copied().unwrap_or_default().to_owned()
    };
    let (weekday, of_month) = (name(&DAYS, days % 7), name(&MONTHS, month - 1));
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (text, length) = match rest.as_bytes() {
            [b'E', b'*', b'S', ..] => (format!("{second:02}.{}", fraction(9)), 3),
            [b'E', n @ b'1'..=b'9', b'S', ..] => (
                format!("{second:02}.{}", fraction(usize::from(n - b'0'))),
                3,
            ),
            [n @ b'1'..=b'9', b'f', ..] => (fraction(usize::from(n - b'0')), 2),
            [b'f', ..] => (fraction(9), 1),
            [b'Y', ..] => (format!("{year:04}"), 1),
            [b'y', ..] => (format!("{:02}", year % 100), 1),
            [b'm', ..] => (format!("{month:02}"), 1),
            [b'd', ..] => (format!("{day:02}"), 1),
            [b'e', ..] => (format!("{day:2}"), 1),
            [b'H', ..] => (format!("{hour:02}"), 1),
            [b'I', ..] => (format!("{:02}", (hour + 11) % 12 + 1), 1),
            [b'p', ..] => (if hour < 12 { "AM" } else { "PM" }.to_owned(), 1),
            [b'M', ..] => (format!("{minute:02}"), 1),
            [b'S', ..] => (format!("{second:02}"), 1),
            [b's', ..] => (seconds.to_string(), 1),
            [b'F', ..] => (format!("{year:04}-{month:02}-{day:02}"), 1),
            [b'T', ..] => (clock.clone(), 1),
            [b'D', ..] => (format!("{month:02}/{day:02}/{:02}", year % 100), 1),
            [b'B', ..] => (of_month.clone(), 1),
            [b'b' | b'h', ..] => (short(&of_month), 1),
            [b'A', ..] => (weekday.clone(), 1),
            [b'a', ..] => (short(&weekday), 1),
            [b'z', ..] => ("+0000".to_owned(), 1),
            [b'Z', ..] => ("UTC".to_owned(), 1),
            [b'%', ..] => ("%".to_owned(), 1),
            _ => ("%".to_owned(), 0),
        };
        // Writing to a string cannot fail.
        let _ = out.write_str(&text);
        rest = &rest[length..];
    }
    out + rest
}
