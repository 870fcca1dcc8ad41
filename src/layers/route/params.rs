//! Plain data of the router: what a route matches and where it leads.

use std::sync::Arc;

use http::{HeaderName, StatusCode};

pub use super::headers::{HeaderOps, HeaderText};
#[cfg(feature = "regex")]
pub use super::regex::Regex;
use crate::layers::{deadline, retry};

/// One alternative of a route's match; all its conditions must hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// On the path without query.
    pub uri: Option<StringMatch>,
    /// Whether `exact` and `prefix` of [`uri`](Self::uri) ignore case.
    pub ignore_uri_case: bool,
    /// On the scheme the caller used.
    pub scheme: Option<StringMatch>,
    /// On the method; case-sensitive.
    pub method: Option<StringMatch>,
    /// On the authority as sent, port included.
    pub authority: Option<StringMatch>,
    /// Each must hold for one of the header's values. Names may be pseudo headers (`:path`).
    pub headers: Vec<(FieldName, StringMatch)>,
    /// None may hold for any of the header's values.
    pub without_headers: Vec<(FieldName, StringMatch)>,
    /// Each must hold for the first value of the query parameter, as sent.
    pub query: Vec<(String, StringMatch)>,
    /// The port the caller addressed.
    pub port: Option<u16>,
}

/// A header or pseudo header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldName {
    /// An ordinary header.
    Header(HeaderName),
    /// `:method`.
    Method,
    /// `:path`, query included.
    Path,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:status`, which no request has.
    Status,
}

/// A condition on a string.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// The whole string matches. Compiled with an anchor on both ends.
    #[cfg(feature = "regex")]
    Regex(Regex),
    /// There at all, whatever its value.
    Present,
}

/// A route: what it matches, and what it does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// Its name in logs (`-` if it has none).
    pub name: Arc<str>,
    /// Alternatives; none at all matches everything.
    pub matches: Vec<Match>,
    /// What it does.
    pub action: Action,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Send it on.
    Forward(Box<Forward>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer at once.
    Direct {
        /// The status.
        status: StatusCode,
        /// The body.
        body: bytes::Bytes,
        /// Operations on the answer's header.
        headers: HeaderOps,
    },
}

/// Send the request on to one of some weighted clusters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Forward {
    /// The destinations. With one, its weight does not matter.
    pub destinations: Vec<Destination>,
    /// The deadline over all attempts.
    pub deadline: deadline::Params,
    /// Retries.
    pub retry: retry::Params,
    /// Path and authority rewrite.
    pub rewrite: Option<Rewrite>,
    /// Header operations, for every destination.
    pub headers: HeaderOps,
}

/// A weighted destination.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Destination {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Its share is `weight` of the sum.
    pub weight: u32,
    /// Header operations for this destination alone.
    pub headers: HeaderOps,
}

/// A rewrite of the request before it is sent on.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rewrite {
    /// Replaces the matched prefix; the whole path under an `exact` or `regex` match; the leading `/` where no uri was
    /// matched.
    pub uri: Option<String>,
    /// Replaces every match of the expression; `\1` stands for a group.
    #[cfg(feature = "regex")]
    pub regex: Option<(Regex, String)>,
    /// Replaces the authority.
    pub authority: Option<String>,
}

/// A redirect answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Redirect {
    /// The status: 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Replaces the path.
    pub uri: Option<String>,
    /// Replaces host and port.
    pub authority: Option<String>,
    /// Replaces the scheme.
    pub scheme: Option<String>,
    /// Replaces the port.
    pub port: Option<u16>,
    /// Operations on the answer's header.
    pub headers: HeaderOps,
}

// === impl StringMatch ===

impl PartialEq for StringMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            #[cfg(feature = "regex")]
            (Self::Regex(a), Self::Regex(b)) => a == b,
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

// === impl Route ===

impl Route {
    /// A route that matches everything.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, action: Action) -> Self {
        Self {
            name: name.into(),
            matches: Vec::new(),
            action,
        }
    }

    /// Adds an alternative.
    #[must_use]
    pub fn with_match(mut self, alternative: Match) -> Self {
        self.matches.push(alternative);
        self
    }
}

// === impl Forward ===

impl Forward {
    /// All traffic to these destinations, no deadline, Istio's default retries.
    #[must_use]
    pub fn new(destinations: Vec<Destination>) -> Self {
        Self {
            destinations,
            deadline: deadline::Params::default(),
            retry: retry::Params::istio(),
            rewrite: None,
            headers: HeaderOps::default(),
        }
    }
}

// === impl Destination ===

impl Destination {
    /// A destination without header operations.
    #[must_use]
    pub fn new(cluster: impl Into<Arc<str>>, weight: u32) -> Self {
        Self {
            cluster: cluster.into(),
            weight,
            headers: HeaderOps::default(),
        }
    }
}

// === impl Redirect ===

impl Redirect {
    /// A redirect with this status that changes nothing yet.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            uri: None,
            authority: None,
            scheme: None,
            port: None,
            headers: HeaderOps::default(),
        }
    }
}
