//! What belongs to one connection and goes no further.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};

static HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what belongs to one connection (RFC 9110 section 7.6.1): `connection` and every field that it names,
/// `keep-alive`, `proxy-connection`, `te` (but `te: trailers` stays), `transfer-encoding`, `upgrade` and
/// `http2-settings`. So do the fields by which a caller and its next proxy know each other (`proxy-authorization` and its
/// like): what is behind this has no use for that key.
///
/// Whoever adds fields of their own does it after this: a peer could name them.
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and a look at all names is cheaper than looking for each.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let trailers = tokens(headers, &TE).any(|t| t.eq_ignore_ascii_case("trailers"));
    for name in &named(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The fields that a head's `connection` names: they go no further, neither in the head nor in the trailers.
pub(super) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // What frames or addresses the message is not the peer's to take away.
        .filter(|name| ![CONTENT_LENGTH, HOST, TRAILER].contains(name))
        .collect()
}

/// Removes from trailers what belongs to one connection, and what frames or addresses a message (RFC 9110 section 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    drop_hop_by_hop(trailers);
    for name in [CONTENT_LENGTH, HOST, TE, TRAILER] {
        trailers.remove(name);
    }
}

/// Whether it is one of `HOP_BY_HOP`; faster than comparing with each.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The elements of a list field, over all its lines; those that are no text are left out.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|element| std::str::from_utf8(element).ok())
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_look_knows_all_names() {
        assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
        assert!(!is_hop_by_hop(&HOST));
    }

    #[test]
    fn an_element_that_is_no_text_hides_none_of_the_others() {
        let mut headers = HeaderMap::new();
        let list = HeaderValue::from_bytes(b"X-Named, \xff, \"x-quoted\",KEEP-ALIVE").unwrap();
        headers.insert(CONNECTION, list);
        for name in ["x-named", "x-quoted", "keep-alive", "x-kept"] {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        drop_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-kept", "x-quoted"]);
    }

    #[test]
    fn trailers_frame_and_address_nothing() {
        let mut trailers = HeaderMap::new();
        for name in [
            "content-length",
            "host",
            "te",
            "trailer",
            "transfer-encoding",
            "connection",
            "grpc-status",
        ] {
            trailers.insert(name, HeaderValue::from_static("trailers"));
        }
        clean_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }
}
