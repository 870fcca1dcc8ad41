//! From headers to buckets: the names that providers use.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::{Unit, bucket::Bucket};
use crate::{
    base::time::{Instant, parse_http_date, parse_rfc3339},
    classify::hint,
};

/// A bucket whose headers do not say when it is full.
const MINUTE: Duration = Duration::from_secs(60);

/// The names of one bucket's headers.
struct Row {
    unit: Unit,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

macro_rules! rows {
    ($($unit:ident $limit:literal $remaining:literal $reset:literal)*) => {
        &[$(Row { unit: Unit::$unit, limit: $limit, remaining: $remaining, reset: $reset }),*]
    };
}

/// OpenAI, Azure and their copies; Anthropic; Mistral; Fireworks; Together and OpenRouter.
const ROWS: &[Row] = rows! {
    Requests "x-ratelimit-limit-requests" "x-ratelimit-remaining-requests" "x-ratelimit-reset-requests"
    Tokens "x-ratelimit-limit-tokens" "x-ratelimit-remaining-tokens" "x-ratelimit-reset-tokens"
    Requests "x-ratelimit-limit-project-requests" "x-ratelimit-remaining-project-requests" "x-ratelimit-reset-project-requests"
    Tokens "x-ratelimit-limit-project-tokens" "x-ratelimit-remaining-project-tokens" "x-ratelimit-reset-project-tokens"
    Tokens "x-ratelimit-limit-tokens_usage_based" "x-ratelimit-remaining-tokens_usage_based" "x-ratelimit-reset-tokens_usage_based"
    Input "x-ratelimit-limit-input-tokens" "x-ratelimit-remaining-input-tokens" "x-ratelimit-reset-input-tokens"
    Output "x-ratelimit-limit-output-tokens" "x-ratelimit-remaining-output-tokens" "x-ratelimit-reset-output-tokens"
    Requests "anthropic-ratelimit-requests-limit" "anthropic-ratelimit-requests-remaining" "anthropic-ratelimit-requests-reset"
    Tokens "anthropic-ratelimit-tokens-limit" "anthropic-ratelimit-tokens-remaining" "anthropic-ratelimit-tokens-reset"
    Input "anthropic-ratelimit-input-tokens-limit" "anthropic-ratelimit-input-tokens-remaining" "anthropic-ratelimit-input-tokens-reset"
    Output "anthropic-ratelimit-output-tokens-limit" "anthropic-ratelimit-output-tokens-remaining" "anthropic-ratelimit-output-tokens-reset"
    Requests "x-ratelimit-limit-req-minute" "x-ratelimit-remaining-req-minute" "x-ratelimit-reset-req-minute"
    Tokens "x-ratelimit-limit-tokens-minute" "x-ratelimit-remaining-tokens-minute" "x-ratelimit-reset-tokens-minute"
    Input "x-ratelimit-limit-tokens-prompt" "x-ratelimit-remaining-tokens-prompt" "x-ratelimit-reset-tokens-prompt"
    Output "x-ratelimit-limit-tokens-generated" "x-ratelimit-remaining-tokens-generated" "x-ratelimit-reset-tokens-generated"
    Requests "x-ratelimit-limit" "x-ratelimit-remaining" "x-ratelimit-reset"
    Tokens "x-tokenlimit-limit" "x-tokenlimit-remaining" "x-tokenlimit-reset"
};

/// The buckets that an answer tells of, each with its place in the table.
pub(super) fn buckets(headers: &HeaderMap, now: Instant, wall: SystemTime) -> Vec<(usize, Bucket)> {
    let wall = hint::server_now(headers, wall);
    ROWS.iter()
        .enumerate()
        .filter_map(|(i, row)| Some((i, bucket(row, headers, now, wall)?)))
        .collect()
}

fn bucket(row: &Row, headers: &HeaderMap, now: Instant, wall: SystemTime) -> Option<Bucket> {
    let text = |name| headers.get(name)?.to_str().ok();
    let remaining = hint::number(text(row.remaining)?)?;
    let limit = text(row.limit).and_then(hint::number).filter(|n| *n > 0.0);
    let reset = text(row.reset).and_then(|value| reset(value, wall));
    if remaining == 0.0 && limit.is_none() && reset.is_none() {
        return None;
    }
    Some(Bucket {
        unit: row.unit,
        limit,
        remaining,
        reset: reset.unwrap_or(MINUTE),
        at: now,
    })
}

/// The time until a bucket is full; a time in the past is now. `None`: the value is none.
fn reset(value: &str, wall: SystemTime) -> Option<Duration> {
    hint::until(value, wall).or_else(|| {
        let value = value.trim();
        let now = hint::number(value).is_some()
            || hint::go_duration(value).is_some()
            || parse_rfc3339(value).is_some()
            || parse_http_date(value).is_some();
        now.then_some(Duration::ZERO)
    })
}
