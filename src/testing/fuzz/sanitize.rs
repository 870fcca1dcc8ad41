//! What the proxy takes off a caller's request.

use http::{HeaderMap, Request, Uri, header::HOST};

use super::text::{headers, line};
use crate::{mesh::sanitize::outbound, route::RequestView};

/// What only the mesh may say.
const OVERRIDES: [&str; 8] = [
    "x-envoy-internal",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
];

/// Input: a request target, then header lines.
///
/// No override is left; a target's authority decides over `Host`, for routing and for the upstream alike, without user
/// information; all else is as it was; cleaning twice is cleaning once.
///
/// # Panics
/// If one of these does not hold.
pub fn sanitize(data: &[u8]) {
    let (target, rest) = line(data);
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let (sent, _) = headers(rest);
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    *request.headers_mut() = sent.clone();
    let (mut head, ()) = request.into_parts();
    outbound(&mut head);

    let has_override = |name: &&str| head.headers.contains_key(*name);
    assert_eq!(OVERRIDES.iter().find(|name| has_override(name)), None);
    if let Some(authority) = head.uri.authority() {
        let hosts: Vec<_> = head.headers.get_all(HOST).iter().collect();
        assert_eq!(hosts, [authority.as_str()]);
        assert!(!authority.as_str().contains('@'), "user information");
    } else {
        assert!(
            sent.get_all(HOST)
                .iter()
                .eq(head.headers.get_all(HOST).iter())
        );
    }
    assert_eq!(others(&sent, &head.headers), others(&head.headers, &sent));

    let (headers, uri) = (head.headers.clone(), head.uri.clone());
    outbound(&mut head);
    assert_eq!(
        (&head.headers, &head.uri),
        (&headers, &uri),
        "once and twice"
    );
    let view_of = |head| {
        let request = Request::from_parts(head, ());
        let view = RequestView::new(&request);
        (view.authority.to_owned(), view.path_and_query.to_owned())
    };
    let (authority, path) = view_of(head);
    assert!(uri.authority().is_none_or(|a| a.as_str() == authority));
    let sent_path = Uri::try_from(target).ok();
    let sent_path = sent_path.as_ref().and_then(Uri::path_and_query);
    assert_eq!(sent_path.map_or("/", |pq| pq.as_str()), path);
}

/// The fields that are in both maps, but `Host`.
fn others(of: &HeaderMap, both: &HeaderMap) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut all: Vec<_> = of
        .keys()
        .filter(|name| **name != HOST && both.contains_key(*name))
        .map(|name| {
            let values = of.get_all(name).iter().map(|v| v.as_bytes().to_vec());
            (name.to_string(), values.collect())
        })
        .collect();
    all.sort_unstable();
    all
}
