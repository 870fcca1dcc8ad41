//! The one request that the router, the rules and the upstream all read.
//!
//! What two readers could read in two ways is settled or refused here. hyper has parsed the head before, and refuses by
//! itself what is no HTTP at all; a single LF as the end of a line it takes (RFC 9112 section 2.2 allows it), and since
//! every head is written anew that is not seen behind it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::outbound;
use crate::{
    mesh::{
        hop, path,
        upgrade::{self, Asked, asked},
    },
    model::Normalization,
};

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the caller gets.
    pub status: StatusCode,
    /// Why, in words that hold nothing of the request.
    pub why: &'static str,
    /// What to do instead, or empty.
    pub hint: &'static str,
}

const TUNNEL: &str = "llmesh reads the requests that it forwards, so there are no tunnels through it: let clients speak plain HTTP to it, with http_proxy and http:// in their URLs, or with its address as their base URL";
const NO_HOST: &str = "name the service as Host, as in curl -H 'Host: llm-service'";

/// Fields that frame, address or route a message. A name that is one of these but for `_` is read as it by some servers.
const FRAMING: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

// === impl Refusal ===

impl Refusal {
    const fn new(status: StatusCode, why: &'static str) -> Self {
        let hint = "";
        Self { status, why, hint }
    }

    const fn no_host() -> Self {
        Self {
            hint: NO_HOST,
            ..Self::bad("no host")
        }
    }

    /// What the caller is told.
    #[must_use]
    pub fn text(&self) -> String {
        match self.hint {
            "" => self.why.to_owned(),
            hint => format!("{}: {hint}", self.why),
        }
    }

    const fn bad(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

// === free functions ===

/// Brings a request from the network into its one form, cleaned of what callers may not decide: one `host` that agrees with the target, a
/// normal path, one length, no hop-by-hop fields but those that ask for WebSocket, an `expect` only where it is
/// `100-continue` and counts.
///
/// # Errors
/// A [`Refusal`]. The hop-by-hop fields are gone all the same, so that whoever reports the request adds fields safely.
pub fn canonical(head: &mut Parts, max_fields: usize, form: Normalization) -> Result<(), Refusal> {
    // A look at all names is cheaper than looking for each.
    let rare = head.headers.keys().any(is_rare);
    let checked = check(head, max_fields, form, rare);
    outbound(head);
    if rare {
        settle(head, checked.is_ok());
    }
    checked
}

/// Whether a field asks for more than that its request be served: hardly any request has one.
fn is_rare(name: &HeaderName) -> bool {
    *name == EXPECT || hop::is_hop_by_hop(name)
}

fn settle(head: &mut Parts, good: bool) {
    if !good || head.version < Version::HTTP_11 {
        head.headers.remove(EXPECT);
    } else if head.headers.contains_key(EXPECT) {
        let expect = HeaderValue::from_static("100-continue");
        head.headers.insert(EXPECT, expect);
    }
    let switches = good && asked(head.version, &head.headers) == Asked::WebSocket;
    hop::drop_hop_by_hop(&mut head.headers);
    if switches {
        upgrade::say(&mut head.headers);
    }
}

fn check(
    head: &mut Parts,
    max_fields: usize,
    form: Normalization,
    rare: bool,
) -> Result<(), Refusal> {
    if head.headers.len() > max_fields {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Refusal::new(status, "too many header fields"));
    }
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let hint = if head.method == Method::CONNECT {
            TUNNEL
        } else {
            ""
        };
        return Err(Refusal {
            hint,
            ..Refusal::new(status, "method not forwarded")
        });
    }
    look_alikes(&head.headers)?;
    if rare {
        transfer_coding(&head.headers)?;
    }
    content_length(&mut head.headers)?;
    if rare {
        special(head)?;
    }
    host(head)?;
    target(head, form)
}

fn special(head: &Parts) -> Result<(), Refusal> {
    if head.headers.contains_key(TRANSFER_ENCODING) && head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Refusal::bad("a length beside a transfer coding"));
    }
    expectation(head)?;
    switch(head)
}

fn look_alikes(headers: &HeaderMap) -> Result<(), Refusal> {
    let suspect = headers
        .keys()
        .filter(|name| name.as_str().contains('_'))
        .map(|name| name.as_str().replace('_', "-"))
        .any(|dashed| FRAMING.iter().any(|of| of.as_str() == dashed));
    if suspect {
        return Err(Refusal::bad("a framing field with an underscore"));
    }
    Ok(())
}

/// One line, `chunked`: hyper reads by the last coding alone, and others do not.
fn transfer_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else {
        return Ok(());
    };
    if first.as_bytes().eq_ignore_ascii_case(b"chunked") && lines.next().is_none() {
        return Ok(());
    }
    let chunked_only = hop::tokens(headers, &TRANSFER_ENCODING)
        .all(|c| c.is_empty() || c.eq_ignore_ascii_case("chunked"));
    if chunked_only {
        return Err(Refusal::bad("chunked more than once"));
    }
    let status = StatusCode::NOT_IMPLEMENTED;
    Err(Refusal::new(status, "transfer coding not supported"))
}

/// One line, in the shortest form.
pub(in crate::mesh) fn content_length(headers: &mut HeaderMap) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal::bad("bad content length");
    let mut length: Option<u64> = None;
    let (mut lines, mut as_is) = (0, true);
    for value in headers.get_all(CONTENT_LENGTH) {
        let text = value.as_bytes();
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Err(BAD);
        }
        let number = text.iter().try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add((digit - b'0').into())
        });
        let number = number.ok_or(BAD)?;
        if length.is_some_and(|other| other != number) {
            return Err(BAD);
        }
        length = Some(number);
        lines += 1;
        as_is &= text.len() == 1 || !text.starts_with(b"0");
    }
    if let Some(length) = length
        && (lines > 1 || !as_is)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

fn expectation(head: &Parts) -> Result<(), Refusal> {
    // RFC 9110 section 10.1.1: ignored from HTTP/1.0.
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if head.version > Version::HTTP_10 && !head.headers.get_all(EXPECT).iter().all(known) {
        let status = StatusCode::EXPECTATION_FAILED;
        return Err(Refusal::new(status, "unknown expectation"));
    }
    Ok(())
}

/// `h2c` is not taken up, which is allowed; the request is served as it is. WebSocket is begun by a GET without a body (RFC
/// 6455 section 4.1): behind any other request two readers could disagree where HTTP ends. All others want something else
/// than HTTP.
fn switch(head: &Parts) -> Result<(), Refusal> {
    match asked(head.version, &head.headers) {
        Asked::Nothing => Ok(()),
        Asked::Other => Err(Refusal::new(StatusCode::FORBIDDEN, "upgrade not allowed")),
        Asked::WebSocket => {
            let length = head.headers.get(CONTENT_LENGTH);
            let body = length.is_some_and(|length| length != "0")
                || head.headers.contains_key(TRANSFER_ENCODING);
            if head.method != Method::GET || body {
                return Err(Refusal::bad("websocket is begun by a GET without a body"));
            }
            Ok(())
        }
    }
}

/// Settles who is asked: one `host`, which an authority in the target replaces (RFC 9112 section 3.2.2) or, on HTTP/2,
/// must agree with (RFC 9113 section 8.3.1).
fn host(head: &mut Parts) -> Result<(), Refusal> {
    let mut lines = head.headers.get_all(HOST).iter();
    let header = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::bad("more than one host"));
    }
    let header = match header {
        Some(value) => Some(host_of(value.to_str().unwrap_or_default())?),
        None => None,
    };
    let http2 = head.version >= Version::HTTP_2;
    let target = match head.uri.authority() {
        Some(authority) => {
            // RFC 9110 section 4.2.4 has it treated as an error.
            if authority.as_str().contains('@') {
                return Err(Refusal::bad("user information in the target"));
            }
            Some(host_of(authority.as_str())?)
        }
        None => None,
    };
    let host = match (header, target) {
        (None, None) => return Err(Refusal::no_host()),
        (None, _) if head.version == Version::HTTP_11 => return Err(Refusal::no_host()),
        (Some(header), Some(target)) if http2 && !header.eq_ignore_ascii_case(target) => {
            return Err(Refusal::bad("host and authority differ"));
        }
        (_, Some(target)) => target.to_owned(),
        (Some(header), None) => header.to_owned(),
    };
    if head.uri.authority().is_some_and(|a| a.as_str() != host) {
        let mut parts = head.uri.clone().into_parts();
        parts.authority = Some(Authority::try_from(&*host).map_err(|_| BAD_HOST)?);
        head.uri = Uri::from_parts(parts).map_err(|_| BAD_HOST)?;
    }
    let value = HeaderValue::try_from(host).map_err(|_| BAD_HOST)?;
    head.headers.insert(HOST, value);
    Ok(())
}

const BAD_HOST: Refusal = Refusal::bad("bad host");

/// A name or address, and a port or none: letters, digits and `-._~`, or IPv6 in brackets. A colon with no port behind
/// it is taken off.
fn host_of(text: &str) -> Result<&str, Refusal> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(BAD_HOST)?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| BAD_HOST)?;
            (address, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_good = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some("") => true,
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) || !port_is_good {
        return Err(BAD_HOST);
    }
    Ok(text.strip_suffix(':').unwrap_or(text))
}

/// `/…`, `*` with `OPTIONS`, or an absolute HTTP URI, with the path in this form.
fn target(head: &mut Parts, form: Normalization) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal::bad("bad request target");
    let known = |s: &Scheme| *s == Scheme::HTTP || *s == Scheme::HTTPS;
    if !head.uri.scheme().is_none_or(known) {
        return Err(BAD);
    }
    // An authority alone is for `CONNECT`.
    let path_and_query = head.uri.path_and_query().ok_or(BAD)?;
    let path = path_and_query.path();
    if path == "*" && head.method == Method::OPTIONS {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(BAD);
    }
    let normal = path::in_form(path, form).map_err(|path::Nul| Refusal::bad("NUL in the path"))?;
    if normal == path {
        return Ok(());
    }
    let new = match path_and_query.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.into_owned(),
    };
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(new).map_err(|_| BAD)?);
    head.uri = Uri::from_parts(parts).map_err(|_| BAD)?;
    Ok(())
}
