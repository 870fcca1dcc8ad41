//! The scheme that a caller used.

use http::{HeaderMap, HeaderName, Uri};

use crate::base::ext::Arrival;

pub(super) fn scheme<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    arrival: Option<&Arrival>,
) -> &'a str {
    const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-proto");
    if let Some(sent) = headers.get(FORWARDED).and_then(|v| v.to_str().ok()) {
        return sent;
    }
    match arrival {
        Some(arrival) if arrival.tls => "https",
        Some(_) => "http",
        None => uri.scheme_str().unwrap_or("http"),
    }
}
