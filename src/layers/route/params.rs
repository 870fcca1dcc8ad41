//! Plain data of the router: what a route matches and where it leads.

use std::sync::{Arc, OnceLock};

use http::{HeaderName, StatusCode};

pub use super::headers::{HeaderOps, HeaderText};
use super::re2::translate;
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
    Regex(Regex),
    /// There at all, whatever its value.
    Present,
}

/// A compiled whole-string regular expression (RE2 syntax, linear time), equal by its source.
#[derive(Clone, Debug)]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::Regex,
    /// Without the anchors, for rewrites; compiled when first needed. `None` only if that failed.
    search: OnceLock<Option<regex::Regex>>,
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
            (Self::Regex(a), Self::Regex(b)) => a == b,
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

// === impl Regex ===

impl Regex {
    /// Compiles `source` for whole-string matches. The program is bounded to 1 MiB.
    ///
    /// # Errors
    /// If it is not a regular expression of RE2's kind (no look-around, no back-references) or too large.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        // Checked alone first: `a)|(b` must not become valid by the wrapping.
        let ours = translate(source);
        regex::RegexBuilder::new(&ours)
            .size_limit(1 << 20)
            .build()?;
        let compiled = regex::RegexBuilder::new(&format!("^(?:{ours})$"))
            .size_limit(1 << 20)
            .build()?;
        Ok(Self {
            source: source.into(),
            compiled,
            search: OnceLock::new(),
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    /// Replaces every match inside `text`. In `template`, `\0` to `\9` stand for groups and `\\` for a backslash, as in
    /// RE2; everything else stands for itself.
    #[must_use]
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let search = self.search.get_or_init(|| {
            regex::RegexBuilder::new(&translate(&self.source))
                .size_limit(1 << 20)
                .build()
                .ok()
        });
        match search {
            Some(search) => search
                .replace_all(text, |groups: &regex::Captures<'_>| {
                    expand(template, groups)
                })
                .into_owned(),
            // `new` compiled this very source, so this cannot happen; an unchanged text is the harmless answer.
            None => text.to_owned(),
        }
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Fills RE2's `\1` groups into a template.
fn expand(template: &str, groups: &regex::Captures<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(d) if d.is_ascii_digit() => {
                let group = d.to_digit(10).and_then(|n| groups.get(n as usize));
                out.push_str(group.map_or("", |m| m.as_str()));
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
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
