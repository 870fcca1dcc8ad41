//! Zipkin's B3 propagation, in one header and in several (openzipkin/b3-propagation).
//!
//! Beyond W3C it can leave the sampling decision open, force it (debug), and state it without any ids. Trace ids of 64
//! bits stay at 64 bits. Digits may be upper-case on the way in, as Envoy takes them.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::context::{Context, Extracted, Ids, SpanId, TraceId, first_text, put};

pub(super) const SINGLE: HeaderName = HeaderName::from_static("b3");
pub(super) const TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
pub(super) const SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
pub(super) const PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
pub(super) const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
pub(super) const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
pub(super) static MULTI: [HeaderName; 5] = [TRACE_ID, SPAN_ID, PARENT, SAMPLED, FLAGS];

/// A sampling state that was written down.
#[derive(Clone, Copy)]
enum State {
    Deny,
    Accept,
    Debug,
}

// === impl State ===

impl State {
    fn sampled(self) -> bool {
        !matches!(self, Self::Deny)
    }

    fn debug(self) -> bool {
        matches!(self, Self::Debug)
    }

    fn of(context: &Context) -> Option<Self> {
        match (context.debug, context.sampled) {
            (true, _) => Some(Self::Debug),
            (false, Some(true)) => Some(Self::Accept),
            (false, Some(false)) => Some(Self::Deny),
            (false, None) => None,
        }
    }
}

/// `{trace}-{span}[-{state}[-{parent}]]`, or a state alone. The first header wins.
pub(super) fn extract_single(headers: &HeaderMap) -> Option<Extracted> {
    let text = first_text(headers.get(SINGLE)?)?;
    if let Some(state) = single_state(text) {
        return Some(decision(state));
    }
    let mut fields = text.split('-');
    let trace = trace_id(fields.next()?)?;
    let span = span_id(fields.next()?)?;
    let state = match fields.next() {
        Some(text) => Some(single_state(text)?),
        None => None,
    };
    let parent = match fields.next() {
        Some(text) => Some(span_id(text)?),
        None => None,
    };
    if fields.next().is_some() {
        return None;
    }
    Some(found(trace, span, parent, state))
}

/// One header for each field; a malformed state is left open, a malformed parent dropped.
pub(super) fn extract_multi(headers: &HeaderMap) -> Option<Extracted> {
    let get = |name: HeaderName| headers.get(name).and_then(first_text);
    let debug = get(FLAGS).is_some_and(|flags| flags == "1");
    let state = match get(SAMPLED) {
        _ if debug => Some(State::Debug),
        Some(s) if s == "1" || s.eq_ignore_ascii_case("true") => Some(State::Accept),
        Some(s) if s == "0" || s.eq_ignore_ascii_case("false") => Some(State::Deny),
        _ => None,
    };
    let ids = get(TRACE_ID)
        .and_then(trace_id)
        .zip(get(SPAN_ID).and_then(span_id));
    match (ids, state) {
        (Some((trace, span)), _) => Some(found(trace, span, get(PARENT).and_then(span_id), state)),
        (None, Some(state)) => Some(decision(state)),
        (None, None) => None,
    }
}

pub(super) fn inject_single(context: &Context, headers: &mut HeaderMap) {
    let span = u128::from(context.span_id.get());
    let mut text = context.trace_id.digits().dash().hex(span, 16);
    if let Some(state) = State::of(context) {
        text = text.dash().char(match state {
            State::Deny => b'0',
            State::Accept => b'1',
            State::Debug => b'd',
        });
        // The parent's place is after the state, so without one it has none.
        if let Some(parent) = context.parent {
            text = text.dash().hex(parent.get().into(), 16);
        }
    }
    put(headers, SINGLE, text.value());
}

pub(super) fn inject_multi(context: &Context, ids: &Ids, headers: &mut HeaderMap) {
    put(headers, TRACE_ID, ids.trace());
    put(headers, SPAN_ID, ids.span());
    put(headers, PARENT, ids.parent());
    // Debug implies accept, so the decision is not sent beside it.
    let (name, value) = match State::of(context) {
        Some(State::Debug) => (FLAGS, "1"),
        Some(State::Accept) => (SAMPLED, "1"),
        Some(State::Deny) => (SAMPLED, "0"),
        None => return,
    };
    headers.insert(name, HeaderValue::from_static(value));
}

fn found(trace: TraceId, span: SpanId, parent: Option<SpanId>, state: Option<State>) -> Extracted {
    let mut context = Context::new(trace, span);
    context.parent = parent;
    context.sampled = state.map(State::sampled);
    context.debug = state.is_some_and(State::debug);
    Extracted {
        context: Some(context),
        ..Extracted::default()
    }
}

fn decision(state: State) -> Extracted {
    Extracted {
        sampled: Some(state.sampled()),
        debug: state.debug(),
        ..Extracted::default()
    }
}

fn single_state(text: &str) -> Option<State> {
    match text {
        "0" => Some(State::Deny),
        "1" => Some(State::Accept),
        "d" => Some(State::Debug),
        _ => None,
    }
}

fn trace_id(text: &str) -> Option<TraceId> {
    match text.len() {
        16 => TraceId::short(u64::try_from(digits(text)?).ok()?),
        32 => TraceId::new(digits(text)?),
        _ => None,
    }
}

fn span_id(text: &str) -> Option<SpanId> {
    if text.len() != 16 {
        return None;
    }
    SpanId::new(u64::try_from(digits(text)?).ok()?)
}

/// Hexadecimal digits and nothing else: `from_str_radix` alone would take a sign.
fn digits(text: &str) -> Option<u128> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests;
