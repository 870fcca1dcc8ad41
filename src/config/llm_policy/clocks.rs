//! `timeouts`.

use std::time::Duration;

use crate::{
    config::{
        decode::{Least, Object},
        diagnostic::Place,
    },
    layers::stream::Clocks,
};

/// The lowest and the highest least throughput, in tokens a second.
const FLOOR: (f64, f64) = (0.01, 10_000.0);

/// Reads `timeouts`. Gives back what was read, for the comparison with routes.
pub(super) fn read(
    object: &Object<'_>,
    clocks: &mut Clocks,
) -> Vec<(&'static str, Duration, Place)> {
    let mut all = Vec::new();
    let mut read = |name: &'static str| {
        let field = object.get(name)?;
        let limit = field.duration(Least::Millisecond)?;
        all.push((name, limit, field.place()));
        Some(limit)
    };
    clocks.headers = read("headers");
    clocks.first_token = read("firstToken");
    clocks.inter_token = read("interToken");
    if let Some(field) = object.get("minTokensPerSecond") {
        clocks.min_tokens_per_second = field.number(FLOOR.0, FLOOR.1);
    }
    if let Some(field) = object.get("window")
        && let Some(window) = field.duration(Least::Millisecond)
    {
        clocks.window = window;
        if object.raw("minTokensPerSecond").is_none() {
            let message = "`window` is the window of `minTokensPerSecond`, which is not given";
            field.warn("window-without-floor", message, "add it, or remove this");
        }
    }
    if let (Some(headers), Some(first)) = (clocks.headers, clocks.first_token)
        && first < headers
        && let Some(field) = object.get("firstToken")
    {
        let message = format!(
            "the first token is waited for {first:?}, less than the {headers:?} for the head that comes before it: `headers` has no effect"
        );
        let hint = "make `firstToken` longer than `headers`";
        field.warn("first-token-before-headers", message, hint);
    }
    all
}
