//! The trace context's way in and out of headers.

use http::{HeaderMap, HeaderName};

use super::{
    b3,
    context::{Context, Extracted, Formats},
    ids::Ids,
    legacy::Carried,
    w3c,
};

/// Reads a context. Of several formats the first valid one counts: W3C, B3 single, B3 multi.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Extracted {
    // Most requests have none, and a look at all names is cheaper than looking for each.
    if !headers.keys().any(is_any) {
        return Extracted::default();
    }
    let formats = seen(headers);
    let mut extracted = w3c::extract(headers)
        .or_else(|| b3::extract_single(headers))
        .or_else(|| b3::extract_multi(headers))
        .unwrap_or_default();
    extracted.formats = formats;
    extracted.carried = Carried::read(headers);
    if let Some(context) = &mut extracted.context {
        context.formats = formats;
        context.carried = extracted.carried.clone();
    }
    extracted
}

/// Writes a context in its formats, in place of whatever context was there; carried headers only where absent. Of ids that
/// were [drawn here](Context::begun) nothing is written.
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    if context.begun {
        context.carried.write(headers);
        return;
    }
    if headers.keys().any(is_written) {
        for name in [&w3c::TRACEPARENT, &w3c::TRACESTATE, &b3::SINGLE] {
            headers.remove(name);
        }
        for name in &b3::MULTI {
            headers.remove(name);
        }
    }
    let ids = Ids::of(context);
    if context.formats.w3c {
        w3c::inject(context, &ids, headers);
    }
    if context.formats.b3_single {
        b3::inject_single(context, headers);
    }
    if context.formats.b3_multi {
        b3::inject_multi(context, &ids, headers);
    }
    context.carried.write(headers);
}

/// Those that are there at all.
fn seen(headers: &HeaderMap) -> Formats {
    Formats {
        w3c: headers.contains_key(w3c::TRACEPARENT),
        b3_single: headers.contains_key(b3::SINGLE),
        b3_multi: b3::MULTI.iter().any(|name| headers.contains_key(name)),
    }
}

/// Whether a context is written to this header.
fn is_written(name: &HeaderName) -> bool {
    // Faster than comparing with each.
    matches!(
        name.as_str(),
        "traceparent"
            | "tracestate"
            | "b3"
            | "x-b3-traceid"
            | "x-b3-spanid"
            | "x-b3-parentspanid"
            | "x-b3-sampled"
            | "x-b3-flags"
    )
}

/// Whether a context is read from this header, or it is passed on.
fn is_any(name: &HeaderName) -> bool {
    is_written(name) || Carried::has(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_look_knows_all_names() {
        let all = [w3c::TRACEPARENT, w3c::TRACESTATE, b3::SINGLE];
        assert!(all.iter().chain(&b3::MULTI).all(is_written));
        assert!(!is_written(&http::header::HOST));
    }
}
