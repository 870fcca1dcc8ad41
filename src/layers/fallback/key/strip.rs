//! Takes out what a caller sent to show who it is.

use http::{HeaderName, HeaderValue, Uri, request::Parts};

use crate::base::secrets::{is_key_header, is_secret_header, without_secrets};

/// Where a path stands as it was before a route rewrote it, with its query.
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// Takes all secrets, sessions among them: for a target on another host than the one that they were sent to.
pub(in crate::layers::fallback) fn secrets(head: &mut Parts) {
    take(head, is_secret_header);
}

/// Takes the keys, wherever one can stand. Those in the `kept` headers were put on here.
pub(in crate::layers::fallback) fn keys(head: &mut Parts, kept: &[HeaderName]) {
    take(head, |name| is_key_header(name) && !kept.contains(name));
}

fn take(head: &mut Parts, is_taken: impl Fn(&HeaderName) -> bool) {
    let taken = head.headers.keys().filter(|name| is_taken(name));
    for name in taken.cloned().collect::<Vec<_>>() {
        head.headers.remove(name);
    }
    if let Some(path) = head
        .uri
        .path_and_query()
        .and_then(|p| without_secrets(p.as_str()))
    {
        let mut parts = head.uri.clone().into_parts();
        // What is left of a valid path and query is one.
        parts.path_and_query = path.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            head.uri = uri;
        }
    }
    if let Some(path) = head.headers.get_mut(ORIGINAL_PATH)
        && let Some(left) = path.to_str().ok().and_then(without_secrets)
        && let Ok(left) = HeaderValue::try_from(left)
    {
        *path = left;
    }
}
