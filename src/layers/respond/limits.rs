//! What a caller is told of the limit that refused it.

use std::error::Error as StdError;

use http::HeaderMap;

use crate::base::{Error, Kind, Told, quota::Refused};

/// Writes `retry-after-ms`, `x-should-retry`, `RateLimit` and `RateLimit-Policy` for a refusal; nothing for other errors.
pub(super) fn write(error: &Error, headers: &mut HeaderMap) {
    if let Some(refused) = refused(error) {
        refused.write(headers);
    }
}

/// The refusal of a limit of ours, if that is what the error is.
pub(super) fn refused(error: &Error) -> Option<&Refused> {
    error.source().and_then(|e| e.downcast_ref::<Refused>())
}

fn told(error: &Error) -> Option<&Told> {
    error.source().and_then(|e| e.downcast_ref())
}

/// What the caller is told in place of Envoy's bare words: which limit, how much and how long; which host; which paths; what
/// is wrong with the request, where a layer has a sentence for that.
pub(super) fn text(error: &Error) -> Option<String> {
    match refused(error) {
        Some(refused) => Some(refused.to_string()),
        None if error.kind() == Kind::UnknownHost => error.detail().map(|_| error.to_string()),
        None => told(error).map(ToString::to_string),
    }
}
