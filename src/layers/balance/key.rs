//! What consistent hashing hashes: the key of a request.

use std::time::Duration;

use http::{HeaderValue, header};
use xxhash_rust::xxh64::xxh64;

use super::{context::PickContext, params::HashKey};
use crate::base::SharedRng;

/// A request's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its hash: xxHash64 of the value.
    pub hash: u64,
    /// The `Set-Cookie` that lets the caller keep a key that was made here.
    pub set_cookie: Option<HeaderValue>,
}

impl Key {
    fn of(value: &[u8]) -> Self {
        Self {
            hash: xxh64(value, 0),
            set_cookie: None,
        }
    }
}

/// The key of a request; `None` if it has none. An empty value is a key.
#[must_use]
pub fn key(of: &HashKey, context: &PickContext<'_>, rng: &SharedRng) -> Option<Key> {
    match of {
        HashKey::Header(name) => {
            let mut values: Vec<_> = context.headers.get_all(name).iter().collect();
            if values.is_empty() {
                return None;
            }
            // The order of repeated headers carries no meaning here.
            values.sort_unstable();
            let hash = values.iter().fold(0, |seed, v| xxh64(v.as_bytes(), seed));
            Some(Key {
                hash,
                set_cookie: None,
            })
        }
        HashKey::SourceIp => {
            let ip = context.arrival?.peer?.ip();
            Some(Key::of(ip.to_canonical().to_string().as_bytes()))
        }
        HashKey::Query(name) => query(context, name).map(|v| Key::of(v.as_bytes())),
        HashKey::Cookie { name, path, ttl } => cookie(context, name)
            .map(Key::of)
            .or_else(|| Some(new_cookie(context, name, path.as_deref(), (*ttl)?, rng))),
    }
}

/// The first value of a query parameter as sent; `?k` has the empty value.
fn query<'a>(context: &PickContext<'a>, name: &str) -> Option<&'a str> {
    context.uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// The first cookie of this name, without quotes around it.
fn cookie<'a>(context: &PickContext<'a>, name: &str) -> Option<&'a [u8]> {
    let lines = context.headers.get_all(header::COOKIE).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|b| *b == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = pair.iter().position(|b| *b == b'=')?;
            let (key, value) = (pair.get(..at)?, pair.get(at + 1..)?);
            (key == name.as_bytes()).then(|| unquoted(value))
        })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// A cookie for a caller without one: a hash of the connection's addresses, so that requests which a connection sends
/// at once share it; a random value where the connection is not known.
fn new_cookie(
    context: &PickContext<'_>,
    name: &str,
    path: Option<&str>,
    ttl: Duration,
    rng: &SharedRng,
) -> Key {
    let connection = context
        .arrival
        .and_then(|a| a.peer.map(|peer| (peer, a.local)));
    let value = connection.map_or_else(
        || rng.next(),
        |(peer, local)| xxh64(format!("{peer}{local:?}").as_bytes(), 0),
    );
    let value = format!("{value:016x}");
    let mut line = format!("{name}=\"{value}\"");
    if !ttl.is_zero() {
        line.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if let Some(path) = path.filter(|p| !p.is_empty()) {
        line.push_str("; Path=");
        line.push_str(path);
    }
    line.push_str("; HttpOnly");
    Key {
        // A name or path that no header can carry makes no cookie.
        set_cookie: HeaderValue::from_str(&line).ok(),
        ..Key::of(value.as_bytes())
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
