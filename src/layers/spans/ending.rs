//! What the end of a call or of an attempt says of its span.

use super::{Span, attribute::Value, names};
use crate::{
    base::Kind,
    classify::{
        Class, Signal,
        answer::{Ended, How},
    },
};

/// What it came to: what its end says; where that says nothing, since nobody read on, what its head said.
pub(super) fn class_of<'a>(ended: &Ended<'a>, head: Option<&'a Class>) -> Option<&'a Class> {
    ended
        .class
        .or_else(|| head.filter(|class| !class.is_success()))
}

/// Writes what a call or an attempt came to.
pub(super) fn write(span: &Span, ended: &Ended<'_>, class: Option<&Class>) {
    let left = match class {
        Some(class) => matches!(class.signal, Signal::Error(Kind::Canceled)),
        None => ended.why.is_none(),
    };
    // A caller who went away is nobody's failure.
    match ended.how {
        _ if left => span.set(names::END, "cancelled"),
        How::Broken => span.set(names::END, "broken"),
        _ => {}
    }
    match (class, ended.why) {
        (Some(class), _) => write_class(span, class),
        (None, Some(kind)) => span.fail(kind.as_str()),
        (None, None) => {}
    }
}

fn write_class(span: &Span, class: &Class) {
    span.set(names::CLASS, class.outcome.as_str());
    if let Some(hint) = class.hint {
        span.set(names::HINT, millis(hint.wait));
        span.set(names::HINT_SOURCE, hint.source);
    }
    if class.is_success() || class.signal == Signal::Error(Kind::Canceled) {
        return;
    }
    let told: Value = match class.signal {
        Signal::Error(kind) => kind.as_str().into(),
        Signal::Response { status, .. } if status.as_u16() >= 400 => {
            status.as_u16().to_string().into()
        }
        // An error inside of a 2xx.
        Signal::Response { .. } => class.outcome.as_str().into(),
    };
    span.fail(told);
}

/// The status that came, if one did.
pub(super) fn status(class: &Class) -> Option<u16> {
    match class.signal {
        Signal::Response { status, .. } => Some(status.as_u16()),
        Signal::Error(_) => None,
    }
}

/// Who refused it on this side before anybody was asked.
pub(super) fn refused(class: &Class) -> Option<&'static str> {
    match class.signal {
        Signal::Error(Kind::CircuitOpen) => Some("breaker"),
        Signal::Error(Kind::Overflow) => Some("ceiling"),
        Signal::Error(Kind::RateLimited) => Some("limiter"),
        Signal::Error(Kind::NoEndpoints) => Some("balancer"),
        _ => None,
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
