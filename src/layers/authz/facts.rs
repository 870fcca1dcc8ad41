//! What is known of a request, as policies look at it.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use http::{HeaderMap, Uri, header::HOST, request::Parts};

use super::spelling;

/// What is known of a request. Borrowed: it is made for one decision.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts<'a> {
    /// The identity that the peer's certificate proved: a SPIFFE URI.
    pub peer: Fact<&'a str>,
    /// The direct peer's address.
    pub source_ip: Fact<IpAddr>,
    /// The first caller's address.
    pub remote_ip: Fact<IpAddr>,
    /// The address that was called.
    pub destination_ip: Fact<IpAddr>,
    /// The workload's port.
    pub port: Fact<u16>,
    /// The name in the TLS handshake.
    pub sni: Fact<&'a str>,
    /// The request.
    pub http: Fact<HttpFacts<'a>>,
    /// The token that it came with, if a valid one did.
    pub token: Fact<&'a Token>,
}

/// One fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fact<T> {
    /// Nobody knows: a condition on it neither lets in nor fails to keep out.
    #[default]
    Unknown,
    /// There is none.
    Absent,
    /// This.
    Is(T),
}

/// A request's head.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpFacts<'a> {
    /// The method.
    pub method: &'a str,
    /// Host and port as the caller names them, in lower case; `None` where callers could read it in two ways.
    pub host: Option<Cow<'a, str>>,
    /// The normalised path, without query.
    pub path: &'a str,
    /// The path with its query.
    pub target: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A valid token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Who issued it (`iss`).
    pub issuer: String,
    /// Whom it is about (`sub`).
    pub subject: String,
    /// For whom it is (`aud`).
    pub audiences: Vec<String>,
    /// Who may present it (`azp`).
    pub presenter: Option<String>,
    /// All claims that are texts or lists of texts, by their path.
    pub claims: BTreeMap<Vec<String>, Vec<String>>,
}

/// Facts, and what is made of them once for many conditions.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) facts: &'a Facts<'a>,
    /// The peer's identity without `spiffe://`; absent if it is of another scheme.
    pub(super) id: Fact<&'a str>,
    pub(super) segments: Vec<&'a str>,
    /// Other readings of the path.
    pub(super) readings: Vec<String>,
    /// Whether one of them leads upwards.
    pub(super) climbs: bool,
    pub(super) principal: Option<String>,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    /// Nothing known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            peer: Fact::Unknown,
            source_ip: Fact::Unknown,
            remote_ip: Fact::Unknown,
            destination_ip: Fact::Unknown,
            port: Fact::Unknown,
            sni: Fact::Unknown,
            http: Fact::Unknown,
            token: Fact::Unknown,
        }
    }

    /// Nothing known but a request's head, of a request without a token.
    #[must_use]
    pub fn of_head(head: &'a Parts) -> Self {
        Self {
            http: Fact::Is(HttpFacts::of(head)),
            token: Fact::Absent,
            ..Self::unknown()
        }
    }
}

// === impl Fact ===

impl<T> Fact<T> {
    /// Known either way.
    pub fn known(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Is)
    }

    /// Known only if there is one.
    pub fn perhaps(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Self::Is)
    }
}

// === impl HttpFacts ===

impl<'a> HttpFacts<'a> {
    /// A request of this method for this path, without headers of its own.
    #[must_use]
    pub fn new(method: &'a str, host: &'a str, target: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            host: Some(lower(host)),
            path: target.split(['?', '#']).next().unwrap_or_default(),
            target,
            headers,
        }
    }

    /// Of a head whose path is normal.
    #[must_use]
    pub fn of(head: &'a Parts) -> Self {
        let uri = &head.uri;
        Self {
            method: head.method.as_str(),
            host: host(uri, &head.headers),
            path: uri.path(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()),
            headers: &head.headers,
        }
    }
}

/// The target's authority goes before the header; several headers are none.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return None;
    }
    let header = match line {
        Some(value) => Some(value.to_str().ok()?),
        None => None,
    };
    let named = uri.authority().map(http::uri::Authority::as_str);
    Some(lower(named.or(header).unwrap_or_default()))
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

// === impl Token ===

impl Token {
    /// `issuer/subject`.
    #[must_use]
    pub fn principal(&self) -> String {
        format!("{}/{}", self.issuer, self.subject)
    }
}

// === impl Case ===

impl<'a> Case<'a> {
    pub(super) fn new(facts: &'a Facts<'a>) -> Self {
        let id = match facts.peer {
            Fact::Is(uri) => Fact::known(uri.strip_prefix("spiffe://")),
            Fact::Absent => Fact::Absent,
            Fact::Unknown => Fact::Unknown,
        };
        let segments = match id {
            Fact::Is(id) => id.split('/').collect(),
            _ => Vec::new(),
        };
        let readings = match &facts.http {
            Fact::Is(http) => spelling::readings(http.path),
            _ => Vec::new(),
        };
        let climbs = match &facts.http {
            Fact::Is(http) if !readings.is_empty() => spelling::climbs(http.path),
            _ => false,
        };
        let principal = match facts.token {
            Fact::Is(token) => Some(token.principal()),
            _ => None,
        };
        Self {
            facts,
            id,
            segments,
            readings,
            climbs,
            principal,
        }
    }

    /// The namespaces in the peer's identity: what follows a segment `ns` and is not the last.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &'a str> {
        let windows = self.segments.windows(3);
        windows.filter(|w| w[0] == "ns").map(|w| w[1])
    }

    /// The trust domain in the peer's identity.
    pub(super) fn trust_domain(&self) -> Option<&'a str> {
        match self.segments.as_slice() {
            [domain, _, ..] => Some(domain),
            _ => None,
        }
    }
}
