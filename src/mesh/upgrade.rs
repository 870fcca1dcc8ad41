//! Requests to leave HTTP on their connection: WebSocket (RFC 6455) and nothing else, as Istio's listeners have it.
//!
//! A request that asks for it is an ordinary one for all that is done with requests. What differs is one answer to it, 101:
//! its body stands for the connection of both sides until that is over, so that whatever lasts as long as an answer (limits,
//! counts, the access log's line) lasts as long as the connection. Any other answer is an answer.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, UPGRADE},
};
use hyper::upgrade::OnUpgrade;

use super::hop::tokens;
use crate::base::ext::Tunnelled;

const WEBSOCKET: &str = "websocket";

/// What a head asks its connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing, or HTTP/2, which is not taken up.
    Nothing,
    WebSocket,
    /// Anything else.
    Other,
}

/// The connection of a caller that asked to leave HTTP on it, in its request's extensions. Absent: nobody asked.
#[derive(Clone)]
pub(crate) struct Upgrade {
    /// The connection, once its 101 is written.
    pub(super) connection: OnUpgrade,
    /// What the caller sends on it.
    pub(super) received: Tunnelled,
}

// === impl Upgrade ===

impl Upgrade {
    /// Of a request that a server of hyper's has read, for all who pass it on. `None` if it asks for nothing of the kind.
    #[cfg(feature = "_serve")]
    pub(crate) fn of<B>(request: &mut http::Request<B>) -> Option<Self> {
        // Whatever the request asks for, nobody but us is to take its connection over.
        let connection = request.extensions_mut().remove::<OnUpgrade>()?;
        if asked(request.version(), request.headers()) != Asked::WebSocket {
            return None;
        }
        let upgrade = Self {
            connection,
            received: Tunnelled::default(),
        };
        let extensions = request.extensions_mut();
        extensions.insert(upgrade.received.clone());
        extensions.insert(upgrade.clone());
        Some(upgrade)
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

// === free functions ===

/// What a request asks for. Without `upgrade` in its `connection` a field of that name means nothing (RFC 9110 section 7.8).
pub(super) fn asked(version: Version, headers: &HeaderMap) -> Asked {
    let named = |list: &HeaderName, name: &str| {
        tokens(headers, list).any(|token| token.eq_ignore_ascii_case(name))
    };
    if version != Version::HTTP_11 || !named(&CONNECTION, "upgrade") {
        return Asked::Nothing;
    }
    let ours = |token: &str| token.eq_ignore_ascii_case(WEBSOCKET);
    let ignored = |token: &str| token.is_empty() || token.eq_ignore_ascii_case("h2c");
    // An element that is no text is left out of the list, and is no protocol either.
    let texts = headers.get_all(UPGRADE).iter().all(|v| v.to_str().is_ok());
    if !texts || !tokens(headers, &UPGRADE).all(|token| ours(token) || ignored(token)) {
        return Asked::Other;
    }
    match named(&UPGRADE, WEBSOCKET) {
        true => Asked::WebSocket,
        false => Asked::Nothing,
    }
}

/// Says in a head that it is about a switch to WebSocket. Its fields for the connection must be gone.
pub(super) fn say(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Whether an answer's head, a 101, switches to WebSocket.
pub(super) fn switched(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case(WEBSOCKET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websocket_alone_is_asked_for_and_only_where_the_connection_says_so() {
        for (connection, upgrade, expected) in [
            (&["Upgrade"][..], &["websocket"][..], Asked::WebSocket),
            (&["keep-alive, UPGRADE"], &["WebSocket"], Asked::WebSocket),
            (&["close", "upgrade"], &["h2c, websocket"], Asked::WebSocket),
            (&["upgrade"], &["websocket", "websocket"], Asked::WebSocket),
            (&["upgrade"], &["websocket", "irc"], Asked::Other),
            (&["upgrade"], &["websocket/13"], Asked::Other),
            (&["upgrade"], &["h2c"], Asked::Nothing),
            (&["upgrade"], &["connect-udp"], Asked::Other),
            (&["upgrade"], &["\u{e9}, websocket"], Asked::Other),
            (&["upgrade"], &[], Asked::Nothing),
            (&["x-upgrade"], &["websocket"], Asked::Nothing),
            (&[], &["websocket"], Asked::Nothing),
        ] {
            let mut headers = HeaderMap::new();
            for (name, values) in [(CONNECTION, connection), (UPGRADE, upgrade)] {
                for value in values {
                    headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            let ask = |version| asked(version, &headers);
            assert_eq!(
                ask(Version::HTTP_11),
                expected,
                "{connection:?} {upgrade:?}"
            );
            assert_eq!(ask(Version::HTTP_10), Asked::Nothing);
            assert_eq!(ask(Version::HTTP_2), Asked::Nothing);
        }
    }
}
