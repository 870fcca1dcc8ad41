//! What belongs to one connection and goes no further.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};

static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what belongs to one connection (RFC 9110 section 7.6.1): `connection` and every field that it names,
/// `keep-alive`, `proxy-connection`, `te` (but `te: trailers` stays), `transfer-encoding`, `upgrade` and
/// `http2-settings`.
///
/// Whoever adds fields of their own does it after this: a peer could name them.
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and a look at all names is cheaper than looking for each.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let trailers = tokens(headers, &TE).any(|t| t.eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // What frames or addresses the message is not the peer's to take away.
        .filter(|name| ![CONTENT_LENGTH, HOST, TRAILER].contains(name))
        .collect();
    for name in &named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether it is one of `HOP_BY_HOP`; faster than comparing with each.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
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
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
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
}
