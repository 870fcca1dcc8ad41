//! Waits that providers ask for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::text::headers;
use crate::{
    base::time::{format_http_date, format_rfc3339, parse_http_date, parse_rfc3339},
    classify::hint::{LONGEST, asked, epoch, reset, until},
    llm::wait::in_text,
};

/// 2026-11-22T10:00:00Z.
const NOW: Duration = Duration::from_secs(1_795_341_600);
/// Years from here on have five digits, which no format on the wire can write.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// Input: header lines, an empty line, a message.
///
/// A hint is longer than nothing and no longer than 31 days, wherever it stands and whatever the clock says; dates read
/// back as they are written.
///
/// # Panics
/// If one of these does not hold.
pub fn hint(data: &[u8]) {
    let (headers, message) = headers(data);
    let message = String::from_utf8_lossy(message);
    for now in [UNIX_EPOCH, UNIX_EPOCH + NOW, UNIX_EPOCH + YEAR_10000] {
        for hint in [asked(&headers, now), reset(&headers, now)]
            .into_iter()
            .flatten()
        {
            bounded(hint.wait, hint.source);
            assert!(!hint.source.is_empty());
        }
        if let Some(wait) = in_text(&message, now) {
            bounded(wait, &message);
        }
        for text in headers.values().filter_map(|v| v.to_str().ok()) {
            if let Some(wait) = until(text, now) {
                bounded(wait, text);
            }
        }
    }
    for text in headers.values().filter_map(|v| v.to_str().ok()) {
        let epoch = text.parse().ok().and_then(epoch);
        for at in [parse_rfc3339(text), parse_http_date(text), epoch]
            .into_iter()
            .flatten()
        {
            dates(at);
        }
    }
}

fn bounded(wait: Duration, source: &str) {
    assert!(
        wait > Duration::ZERO && wait <= LONGEST,
        "{wait:?}: {source:?}"
    );
}

fn dates(at: SystemTime) {
    let Ok(since) = at.duration_since(UNIX_EPOCH) else {
        return;
    };
    if since >= YEAR_10000 {
        return;
    }
    let ms = Duration::new(since.as_secs(), since.subsec_millis() * 1_000_000);
    assert_eq!(parse_rfc3339(&format_rfc3339(at)), Some(UNIX_EPOCH + ms));
    let seconds = Duration::from_secs(since.as_secs());
    let date = format_http_date(at);
    assert_eq!(parse_http_date(&date), Some(UNIX_EPOCH + seconds), "{date}");
}
