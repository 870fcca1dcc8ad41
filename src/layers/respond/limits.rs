//! What a caller is told of the limit that refused it.

use std::error::Error as StdError;

use http::HeaderMap;

use crate::base::{Error, quota::Refused};

/// Writes `retry-after-ms`, `x-should-retry`, `RateLimit` and `RateLimit-Policy` for a refusal; nothing for other errors.
pub(super) fn write(error: &Error, headers: &mut HeaderMap) {
    let refused = error.source().and_then(|e| e.downcast_ref::<Refused>());
    if let Some(refused) = refused {
        refused.write(headers);
    }
}
