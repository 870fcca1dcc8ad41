//! Whether a request satisfies a match, exactly as Envoy decides it for Istio's `HTTPMatchRequest`.
//!
//! | condition | tested on |
//! |---|---|
//! | `uri` | the path without query; `ignoreUriCase` counts for `exact` and `prefix` alone, over ASCII |
//! | `scheme` | the caller's `x-forwarded-proto` if sent, else the connection's |
//! | `method`, `authority` | as sent, case-sensitive, the authority with its port |
//! | `headers` | each value of a repeated header on its own; one that matches is enough |
//! | `withoutHeaders` | no value may match; an absent header counts as the empty string, unless mere presence is tested |
//! | `queryParams` | the first value of the parameter, as sent (not percent-decoded) |
//! | `port` | the port that the caller addressed |

use http::{HeaderMap, HeaderName, Request, Uri, header, uri::Scheme};

use super::{
    params::{FieldName, Match, StringMatch},
    scheme::scheme,
};

/// What matching looks at, read once from a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The path without query.
    pub path: &'a str,
    /// The query without `?`, as sent.
    pub query: Option<&'a str>,
    /// Path and query, as sent.
    pub path_and_query: &'a str,
    /// The method.
    pub method: &'a str,
    /// Host and port as sent; empty if the request names none.
    pub authority: &'a str,
    /// The scheme that the caller used.
    pub scheme: &'a str,
    /// Whether the target itself is an `https` one, whatever was forwarded before.
    pub https: bool,
    /// The headers.
    pub headers: &'a HeaderMap,
}

// === impl RequestView ===

impl<'a> RequestView<'a> {
    /// Reads a request.
    ///
    /// The authority is the URI's (HTTP/2 `:authority`, HTTP/1 absolute form, which RFC 9112 section 3.2.2 sets above
    /// `Host`), else the `Host` header; two `Host` headers count as none. The scheme is `x-forwarded-proto`, else
    /// `https` if [`Arrival`](crate::base::ext::Arrival) tells of TLS, else the URI's, else `http`.
    #[must_use]
    pub fn new<B>(request: &'a Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        Self {
            path: uri.path(),
            query: uri.query(),
            path_and_query: path_and_query(uri),
            method: request.method().as_str(),
            authority: authority(uri, headers),
            scheme: scheme(uri, headers, request.extensions().get()),
            https: uri.scheme() == Some(&Scheme::HTTPS),
            headers,
        }
    }

    /// The authority's host, without port, as sent.
    #[must_use]
    pub fn host(&self) -> &'a str {
        split_port(self.authority).0
    }

    /// The authority's port, if it names one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        split_port(self.authority).1
    }

    /// The port that is addressed: the authority's, else the scheme's own.
    #[must_use]
    pub fn addressed_port(&self) -> u16 {
        self.port().unwrap_or(if self.https { 443 } else { 80 })
    }
}

// === impl Match ===

impl Match {
    /// Whether all conditions hold. `port` is the one that the caller addressed.
    #[must_use]
    pub fn matches(&self, view: &RequestView<'_>, port: u16) -> bool {
        self.uri_matches(view.path)
            && self.port.is_none_or(|p| p == port)
            && holds(self.method.as_ref(), view.method)
            && holds(self.scheme.as_ref(), view.scheme)
            && holds(self.authority.as_ref(), view.authority)
            && self.headers.iter().all(|(name, m)| has(view, name, m))
            && self
                .without_headers
                .iter()
                .all(|(name, m)| has_not(view, name, m))
            && self.query.iter().all(|(name, m)| {
                first_parameter(view.query, name).is_some_and(|v| m.matches(v.as_bytes()))
            })
    }

    fn uri_matches(&self, path: &str) -> bool {
        match &self.uri {
            None => true,
            Some(StringMatch::Exact(s)) if self.ignore_uri_case => s.eq_ignore_ascii_case(path),
            Some(StringMatch::Prefix(s)) if self.ignore_uri_case => path
                .as_bytes()
                .get(..s.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(s.as_bytes())),
            Some(m) => m.matches(path.as_bytes()),
        }
    }
}

// === impl StringMatch ===

impl StringMatch {
    /// Whether the condition holds for a value. Bytes that are no UTF-8 match no regular expression, as in RE2.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(s) => value == s.as_bytes(),
            Self::Prefix(s) => value.starts_with(s.as_bytes()),
            #[cfg(feature = "regex")]
            Self::Regex(r) => std::str::from_utf8(value).is_ok_and(|v| r.is_match(v)),
            Self::Present => true,
        }
    }
}

fn holds(condition: Option<&StringMatch>, value: &str) -> bool {
    condition.is_none_or(|m| m.matches(value.as_bytes()))
}

/// Whether one of the field's values satisfies the condition.
fn has(view: &RequestView<'_>, name: &FieldName, condition: &StringMatch) -> bool {
    match field(view, name) {
        Field::Pseudo(value) => !value.is_empty() && condition.matches(value.as_bytes()),
        Field::Header(name) => view
            .headers
            .get_all(name)
            .iter()
            .any(|v| condition.matches(v.as_bytes())),
    }
}

/// The inverse, with Envoy's `treat_missing_header_as_empty`.
fn has_not(view: &RequestView<'_>, name: &FieldName, condition: &StringMatch) -> bool {
    let missing = match field(view, name) {
        Field::Pseudo(value) => value.is_empty(),
        Field::Header(name) => !view.headers.contains_key(name),
    };
    if missing {
        return matches!(condition, StringMatch::Present) || !condition.matches(b"");
    }
    !has(view, name, condition)
}

enum Field<'a> {
    Pseudo(&'a str),
    Header(&'a HeaderName),
}

/// `host` is `:authority`: HTTP/2 requests carry only the latter.
fn field<'a>(view: &RequestView<'a>, name: &'a FieldName) -> Field<'a> {
    match name {
        FieldName::Header(name) if name == header::HOST => Field::Pseudo(view.authority),
        FieldName::Header(name) => Field::Header(name),
        FieldName::Method => Field::Pseudo(view.method),
        FieldName::Path => Field::Pseudo(view.path_and_query),
        FieldName::Scheme => Field::Pseudo(view.scheme),
        FieldName::Authority => Field::Pseudo(view.authority),
        FieldName::Status => Field::Pseudo(""),
    }
}

/// The first value of a query parameter, as sent; `?k` has the empty value.
fn first_parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |pq| pq.as_str())
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    if let Some(authority) = uri.authority() {
        return authority.as_str();
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    }
}

/// Splits an authority into host and port. A port that is no number stays part of the host, which then is unknown.
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        // The colons of a bracketed IPv6 address without port are not a separator.
        Some((_, rest)) if rest.ends_with(']') => (authority, None),
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) if port.is_empty() => (host, None),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

#[cfg(test)]
#[cfg(feature = "regex")]
mod tests;
