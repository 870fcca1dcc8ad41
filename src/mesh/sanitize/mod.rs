//! What a caller may not decide: taken off before anything reads the request.
//!
//! As on a default Istio sidecar no caller counts as internal: timeouts and retries come from the mesh's resources, not
//! from `x-envoy-*` request headers. `x-envoy-expected-rq-timeout-ms` and `grpc-timeout` stay: they may only shorten.

mod canonical;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{COOKIE, HOST, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
    uri::{Authority, Scheme},
};

#[cfg(any(feature = "_serve", test))]
use super::hop;
use crate::base::ext::{Arrival, KEY_HEADERS};

pub(super) use self::canonical::content_length;
pub use self::canonical::{Refusal, canonical};

const NOT_FROM_CALLERS: [HeaderName; 15] = [
    HeaderName::from_static("x-envoy-force-trace"),
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-internal"),
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-original-path"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
    HeaderName::from_static("x-forwarded-client-cert"),
];

/// Cleans a request that came in on the outbound side.
///
/// An absolute-form target decides over `Host` (RFC 9112 section 3.2.2), so that routing and the upstream see the same
/// one. User information in it is taken off: nobody behind this needs it, and it is a credential. Cookies that came in
/// several HTTP/2 fields are one field from here on. Keys are marked, so that no `Debug` prints them and no HTTP/2 table keeps
/// them.
pub fn outbound(head: &mut Parts) {
    drop_foreign(&mut head.headers);
    if head.version >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    for (name, value) in &mut head.headers {
        // Browsers can set no other field for a WebSocket, and send keys in its list of protocols.
        if KEY_HEADERS.contains(name) || [COOKIE, SEC_WEBSOCKET_PROTOCOL].contains(name) {
            value.set_sensitive(true);
        }
    }
    if let Some(uri) = without_user_info(&head.uri) {
        head.uri = uri;
    }
    let authority = head
        .uri
        .authority()
        .map(|a| HeaderValue::from_str(a.as_str()));
    if let Some(Ok(authority)) = authority {
        head.headers.insert(HOST, authority);
    }
    forwarded_proto(head);
}

/// Tells the scheme that the caller used, unless somebody before has: Envoy's `x-forwarded-proto`.
fn forwarded_proto(head: &mut Parts) {
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    let tls = match head.extensions.get::<Arrival>() {
        Some(arrival) => arrival.tls,
        None => head.uri.scheme() == Some(&Scheme::HTTPS),
    };
    let scheme = HeaderValue::from_static(if tls { "https" } else { "http" });
    head.headers.entry(PROTO).or_insert(scheme);
}

/// Cleans the trailers of a request: what the head may not say they may not either.
#[cfg(any(feature = "_serve", test))]
pub(crate) fn request_trailers(trailers: &mut HeaderMap) {
    hop::clean_trailers(trailers);
    drop_foreign(trailers);
}

fn drop_foreign(headers: &mut HeaderMap) {
    // Hardly any request has one, and a look at all names is cheaper than looking for each.
    if headers.keys().any(may_be_foreign) {
        for name in &NOT_FROM_CALLERS {
            headers.remove(name);
        }
    }
    drop_look_alikes(headers);
}

/// Makes one `cookie` field of several, in their order (RFC 9113 section 8.2.3): what matches cookies, and HTTP/1, knows
/// one only.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Of valid values, and what is between them is valid too.
    if let Ok(joined) = HeaderValue::from_maybe_shared(joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Whether the name begins as those that are taken off do.
fn may_be_foreign(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-envoy-") || name.starts_with("x-forwarded-")
}

/// The target without user information; `None` if it has none.
fn without_user_info(uri: &Uri) -> Option<Uri> {
    let (_, host) = uri.authority()?.as_str().rsplit_once('@')?;
    let mut parts = uri.clone().into_parts();
    parts.authority = Authority::try_from(host).ok();
    if parts.authority.is_none() {
        // A target without a host is none of anybody's: it is left to its path.
        parts.scheme = None;
    }
    Uri::from_parts(parts).ok()
}

/// Some servers read `_` in a name as `-`.
fn drop_look_alikes(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().contains('_')) {
        return;
    }
    let alike = |name: &&HeaderName| {
        let dashed = name.as_str().replace('_', "-");
        NOT_FROM_CALLERS.iter().any(|of| of.as_str() == dashed)
    };
    let names: Vec<HeaderName> = headers.keys().filter(alike).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn overrides_are_taken_off_and_the_target_decides_over_host() {
        let request = Request::get("http://user:secret@llm-service/chat")
            .header("host", "elsewhere")
            .header("X-Envoy-Max-Retries", "9")
            .header("x-envoy-retry-on", "5xx")
            .header("x_envoy-retry_on", "5xx")
            .header("x-envoy-upstream-rq-timeout-ms", "1")
            .header("x-envoy-expected-rq-timeout-ms", "5")
            .header("accept", "*/*");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        outbound(&mut head);
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let kept = [
            "accept",
            "host",
            "x-envoy-expected-rq-timeout-ms",
            "x-forwarded-proto",
        ];
        assert_eq!(names, kept);
        assert_eq!(head.headers[HOST], "llm-service");
        assert_eq!(head.headers["x-forwarded-proto"], "http");
    }

    #[test]
    fn keys_are_marked() {
        let request = Request::get("/chat")
            .header("host", "a")
            .header("x-api-key", "secret")
            .header("authorization", "secret")
            .header("authorization", "secret")
            .header("cookie", "secret");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        outbound(&mut head);
        assert!(!format!("{head:?}").contains("secret"));
    }

    #[test]
    fn cookies_of_http2_are_one_field() {
        for (version, sent, joined) in [
            (
                Version::HTTP_2,
                &["a=1", "b=2", "c=3"][..],
                &["a=1; b=2; c=3"][..],
            ),
            (Version::HTTP_2, &["a=1"], &["a=1"]),
            (Version::HTTP_2, &["a=1", "", "a=1"], &["a=1; ; a=1"]),
            (Version::HTTP_2, &[], &[]),
            (Version::HTTP_11, &["a=1", "b=2"], &["a=1", "b=2"]),
        ] {
            let mut request = Request::get("/").version(version).body(()).unwrap();
            for cookie in sent {
                let cookie = HeaderValue::from_static(cookie);
                request.headers_mut().append(COOKIE, cookie);
            }
            let (mut head, ()) = request.into_parts();
            outbound(&mut head);
            let got: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
            assert_eq!(got, joined, "{version:?} {sent:?}");
        }
    }

    #[test]
    fn trailers_say_no_more_than_the_head_may() {
        let mut trailers = HeaderMap::new();
        for name in ["x-envoy-retry-on", "x_envoy_retry_on", "host", "x-checksum"] {
            trailers.insert(name, HeaderValue::from_static("5xx"));
        }
        request_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-checksum"]);
    }

    #[test]
    fn the_first_look_misses_none() {
        assert!(NOT_FROM_CALLERS.iter().all(may_be_foreign));
    }

    #[test]
    fn user_information_goes_no_further() {
        let request = Request::get("http://user:secret@llm-service:8080/chat?x=1");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        outbound(&mut head);
        assert_eq!(head.headers[HOST], "llm-service:8080");
        assert_eq!(head.uri, "http://llm-service:8080/chat?x=1");
    }

    #[test]
    fn origin_form_keeps_its_host() {
        let (mut head, ()) = Request::get("/chat")
            .header("host", "a")
            .body(())
            .unwrap()
            .into_parts();
        outbound(&mut head);
        assert_eq!(head.headers[HOST], "a");
    }
}
