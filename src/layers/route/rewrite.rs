//! What a route changes: path and authority of the request, headers both ways, and the target of a redirect.
//!
//! Pure functions over heads; each is applied once per request, outside retries. Matching is done before, on the
//! original.

use http::{
    HeaderName, HeaderValue, header, request,
    uri::{Authority, PathAndQuery, Uri},
};

use super::{
    headers::{self, HeaderText, Side},
    matcher::{RequestView, split_port},
    params::{Action, Forward, HeaderOps, Match, Redirect, Rewrite, Route, StringMatch},
};
use crate::base::{BoxError, Error, Kind, ext::KEY_HEADERS};

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");

/// Applies a route's request header operations and its rewrite, for the destination at this position. Values are made from
/// the request as it came, before it is rewritten.
///
/// # Errors
/// [`Kind::BadRequest`] if the rewritten path or authority is none (too long, or with characters a URI cannot have).
pub fn apply_request(
    forward: &Forward,
    matched: Option<&Match>,
    destination: usize,
    head: &mut request::Parts,
) -> Result<(), Error> {
    let levels = levels(forward, destination, HeaderOps::request);
    for level in levels.iter().filter(|level| !is_empty(level)) {
        headers::request(level, head, |head, value| set_authority(head, text(value)?))?;
    }
    if let Some(rewrite) = &forward.rewrite {
        rewrite_path(rewrite, matched, head)?;
        if let Some(authority) = &rewrite.authority {
            set_authority(head, authority)?;
        }
    }
    Ok(())
}

/// The headers in which a route's request header operations put a key, for the destination at this position. One that is made
/// of the request (`%REQ(…)%`) is the caller's.
pub fn key_headers(
    forward: &Forward,
    destination: usize,
) -> impl Iterator<Item = &HeaderName> + use<'_> {
    let own = forward.destinations.get(destination).map(|d| &d.headers);
    own.into_iter()
        .chain([&forward.headers])
        .flat_map(|ops| ops.request_set.iter().chain(&ops.request_add))
        .filter(|(name, value)| {
            let fixed = matches!(value, HeaderText::Fixed(value) if !value.is_empty());
            fixed && KEY_HEADERS.contains(name)
        })
        .map(|(name, _)| name)
}

/// The response header operations of a route, for the destination at this position. Istio applies them to answers that the
/// proxy makes for the route (503, 504, injected faults, redirects) too.
pub(super) fn response_ops(route: &Route, destination: usize) -> Levels<'_> {
    match &route.action {
        Action::Forward(forward) => levels(forward, destination, HeaderOps::response),
        Action::Redirect(redirect) => alone(redirect.headers.response()),
        Action::Direct { headers, .. } => alone(headers.response()),
    }
}

/// Where a redirect of this request leads.
///
/// - path: `uri` with the original query, unless `uri` has its own; else path and query as sent
/// - scheme: `scheme`, else the one the caller used
/// - port: `port`, but 80 with `http` and 443 with `https` count as not given; else the one in the Host
/// - authority: replaces host and port; else the Host stays, less the old scheme's default port where the scheme changes
///
/// # Errors
/// [`Kind::BadRequest`] if the outcome cannot be a header value.
pub fn location(redirect: &Redirect, view: &RequestView<'_>) -> Result<HeaderValue, Error> {
    let scheme = redirect.scheme.as_deref().unwrap_or(view.scheme);
    let port = redirect
        .port
        .filter(|p| !matches!((*p, scheme), (80, "http") | (443, "https")));
    let host = match &redirect.authority {
        Some(authority) => authority.as_str(),
        None => {
            let (bare, sent) = split_port(view.authority);
            let default_of_old = matches!(
                (view.scheme, sent),
                ("http", Some(80)) | ("https", Some(443))
            );
            if port.is_some() || (scheme != view.scheme && default_of_old) {
                bare
            } else {
                view.authority
            }
        }
    };
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = port {
        location.push_str(&format!(":{port}"));
    }
    match &redirect.uri {
        None => location.push_str(view.path_and_query),
        Some(uri) => {
            location.push_str(uri);
            if let (Some(query), false) = (view.query, uri.contains('?')) {
                location.push('?');
                location.push_str(query);
            }
        }
    }
    HeaderValue::from_bytes(location.as_bytes())
        .map_err(|e| bad("the redirect target is no header value", e))
}

/// Header operations in the order in which they apply; the sides of one level apply as one.
pub(super) type Levels<'o> = [[Side<'o>; 2]; 2];

/// Istio writes a lone destination's operations into the route's own level, behind the route's; Envoy applies those of
/// weighted ones as a level before the route's.
fn levels<'o>(
    forward: &'o Forward,
    destination: usize,
    side: impl Fn(&'o HeaderOps) -> Side<'o>,
) -> Levels<'o> {
    let own = forward.destinations.get(destination);
    let own = own.map_or(Side::NONE, |d| side(&d.headers));
    let route = side(&forward.headers);
    if forward.destinations.len() > 1 {
        [[own, Side::NONE], [route, Side::NONE]]
    } else {
        [[route, own], [Side::NONE; 2]]
    }
}

fn alone(side: Side<'_>) -> Levels<'_> {
    [[side, Side::NONE], [Side::NONE; 2]]
}

pub(super) fn is_empty(level: &[Side<'_>; 2]) -> bool {
    level.iter().all(Side::is_empty)
}

/// What the path becomes; `None` if it stays.
fn new_path(rewrite: &Rewrite, matched: Option<&Match>, path: &str) -> Option<String> {
    #[cfg(feature = "regex")]
    if let Some((regex, template)) = &rewrite.regex {
        return Some(regex.replace_all(path, template));
    }
    let uri = rewrite.uri.as_ref()?;
    Some(match matched.and_then(|m| m.uri.as_ref()) {
        Some(StringMatch::Prefix(prefix)) => {
            uri.clone() + path.get(prefix.len()..).unwrap_or_default()
        }
        Some(_) => uri.clone(),
        None => uri.clone() + path.strip_prefix('/').unwrap_or(path),
    })
}

fn rewrite_path(
    rewrite: &Rewrite,
    matched: Option<&Match>,
    head: &mut request::Parts,
) -> Result<(), Error> {
    let Some(new) = new_path(rewrite, matched, head.uri.path()) else {
        return Ok(());
    };
    let original = head.uri.path_and_query().map_or("/", |pq| pq.as_str());
    let original = HeaderValue::from_bytes(original.as_bytes())
        .map_err(|e| bad("the path is no header value", e))?;
    let slash = if new.starts_with('/') { "" } else { "/" };
    let new = match head.uri.query() {
        Some(query) => format!("{slash}{new}?{query}"),
        None => format!("{slash}{new}"),
    };
    let new = PathAndQuery::try_from(new).map_err(|e| bad("the rewritten path is none", e))?;
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(new);
    head.uri = Uri::from_parts(parts).map_err(|e| bad("the rewritten path is none", e))?;
    head.headers.insert(ORIGINAL_PATH, original);
    Ok(())
}

/// Replaces the authority where the request carries it: in the URI, in `Host`, or in both.
fn set_authority(head: &mut request::Parts, new: &str) -> Result<(), Error> {
    let value = HeaderValue::from_str(new)
        .map_err(|e| bad("the rewritten authority is no header value", e))?;
    let in_uri = head.uri.authority().map(|a| a.as_str().to_owned());
    let old = match &in_uri {
        Some(authority) => HeaderValue::from_str(authority).ok(),
        None => head.headers.get(header::HOST).cloned(),
    };
    if in_uri.is_some() {
        let mut parts = head.uri.clone().into_parts();
        parts.authority =
            Some(Authority::try_from(new).map_err(|e| bad("the rewritten authority is none", e))?);
        head.uri = Uri::from_parts(parts).map_err(|e| bad("the rewritten authority is none", e))?;
    }
    if in_uri.is_none() || head.headers.contains_key(header::HOST) {
        head.headers.insert(header::HOST, value);
    }
    if let Some(old) = old {
        head.headers.insert(ORIGINAL_HOST, old);
    }
    Ok(())
}

fn text(value: &HeaderValue) -> Result<&str, Error> {
    value
        .to_str()
        .map_err(|e| bad("the rewritten authority is no text", e))
}

fn bad(detail: &'static str, source: impl Into<BoxError>) -> Error {
    Error::new(Kind::BadRequest)
        .with_detail(detail)
        .with_source(source)
}

#[cfg(test)]
#[cfg(feature = "regex")]
mod tests;
