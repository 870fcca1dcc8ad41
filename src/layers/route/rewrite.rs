//! What a route changes: path and authority of the request, headers both ways, and the target of a redirect.
//!
//! Pure functions over heads; each is applied once per request, outside retries. Matching is done before, on the
//! original.

use http::{
    HeaderMap, HeaderName, HeaderValue, header, request,
    uri::{Authority, PathAndQuery, Uri},
};

use super::{
    matcher::{RequestView, split_port},
    params::{Action, Forward, HeaderOps, Match, Redirect, Rewrite, Route, StringMatch},
};
use crate::base::{BoxError, Error, Kind};

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");

/// Applies a route's rewrite and request header operations, for the destination at this position.
///
/// # Errors
/// [`Kind::BadRequest`] if the rewritten path or authority is none (too long, or with characters a URI cannot have).
pub fn apply_request(
    forward: &Forward,
    matched: Option<&Match>,
    destination: usize,
    head: &mut request::Parts,
) -> Result<(), Error> {
    if let Some(rewrite) = &forward.rewrite {
        rewrite_path(rewrite, matched, head)?;
        if let Some(authority) = &rewrite.authority {
            set_authority(head, authority)?;
        }
    }
    for ops in levels(forward, destination).into_iter().flatten() {
        for name in &ops.request_remove {
            head.headers.remove(name);
        }
        for (name, value) in filled(&ops.request_set) {
            if name == header::HOST {
                set_authority(head, text(value)?)?;
            } else {
                head.headers.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in filled(&ops.request_add) {
            if name == header::HOST {
                set_authority(head, text(value)?)?;
            } else {
                head.headers.append(name.clone(), value.clone());
            }
        }
    }
    Ok(())
}

/// Applies a route's response header operations, for the destination at this position. Istio applies them to answers
/// that the proxy makes for the route (503, 504, injected faults) too: whoever turns errors into responses outside the
/// router calls this with the route it noted.
pub fn apply_response(route: &Route, destination: usize, headers: &mut HeaderMap) {
    let Action::Forward(forward) = &route.action else {
        return;
    };
    for ops in levels(forward, destination).into_iter().flatten() {
        for name in &ops.response_remove {
            headers.remove(name);
        }
        for (name, value) in filled(&ops.response_set) {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in filled(&ops.response_add) {
            headers.append(name.clone(), value.clone());
        }
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

/// Header operations in the order in which they apply. Envoy puts a lone destination's into the route action, after the
/// route's; those of weighted ones come before the route's.
fn levels(forward: &Forward, destination: usize) -> [Option<&HeaderOps>; 2] {
    let own = forward.destinations.get(destination).map(|d| &d.headers);
    let route = Some(&forward.headers);
    if forward.destinations.len() > 1 {
        [own, route]
    } else {
        [route, own]
    }
}

/// An empty value leaves the header as it was.
fn filled(ops: &[(HeaderName, HeaderValue)]) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
    ops.iter().filter(|(_, value)| !value.is_empty())
}

fn rewrite_path(
    rewrite: &Rewrite,
    matched: Option<&Match>,
    head: &mut request::Parts,
) -> Result<(), Error> {
    let path = head.uri.path();
    let new = match (&rewrite.regex, &rewrite.uri) {
        (Some((regex, template)), _) => regex.replace_all(path, template),
        (None, Some(uri)) => match matched.and_then(|m| m.uri.as_ref()) {
            Some(StringMatch::Prefix(prefix)) => {
                uri.clone() + path.get(prefix.len()..).unwrap_or_default()
            }
            Some(_) => uri.clone(),
            None => uri.clone() + path.strip_prefix('/').unwrap_or(path),
        },
        (None, None) => return Ok(()),
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
mod tests;
