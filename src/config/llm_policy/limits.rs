//! `limits`.

use std::{num::NonZeroU64, time::Duration};

use http::{HeaderName, header};

use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Place,
    },
    layers::limit::tokens::params::{Allowance, By, Limit},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The largest allowance.
const MAX: i64 = 1_000_000_000_000;

/// The longest name, and the longest header value.
const MAX_TEXT: usize = 256;

/// Reads `limits`. Counts are kept under `namespace/policy/name`, so that they are one policy's own.
pub(super) fn read(spec: &Object<'_>) -> Vec<Limit> {
    all(spec, "")
}

/// Reads the `limits` of one caller, whose counts are kept under `namespace/policy/caller/name`.
pub(super) fn of_caller(object: &Object<'_>, caller: &str) -> Vec<Limit> {
    let limits = all(object, &format!("{caller}/")).into_iter();
    limits.map(|limit| limit.with_caller(caller)).collect()
}

fn all(object: &Object<'_>, under: &str) -> Vec<Limit> {
    let mut limits: Vec<(Limit, Place)> = Vec::new();
    for field in object.list("limits") {
        let Some(limit) = limit(&field, under) else {
            continue;
        };
        if let Some((_, first)) = limits.iter().find(|(first, _)| first.name == limit.name) {
            let message = format!(
                "it would share its counts with the limit in line {}",
                first.line
            );
            let hint = "give each of the two a `name` of its own";
            field.error("duplicate-limit", message, hint);
            continue;
        }
        limits.push((limit, field.place()));
    }
    limits.into_iter().map(|(limit, _)| limit).collect()
}

fn limit(field: &Field<'_>, under: &str) -> Option<Limit> {
    let object = field.object()?;
    let by = match object.get("key") {
        Some(key) => by(&key),
        None => Some(By::Route),
    };
    let name = object.get("name").map(|name| text(&name));
    let requests = match object.one_of(&["requestsPerSecond", "requestsPerMinute"]) {
        Some("requestsPerSecond") => Some(allowance(&object, "requestsPerSecond", SECOND)),
        Some(_) => Some(allowance(&object, "requestsPerMinute", MINUTE)),
        None => None,
    };
    let tokens = object
        .get("tokensPerMinute")
        .map(|_| allowance(&object, "tokensPerMinute", MINUTE));
    if requests.is_none() && tokens.is_none() {
        let hint = "add `requestsPerSecond`, `requestsPerMinute` or `tokensPerMinute`";
        field.error("empty-limit", "it limits nothing", hint);
        return None;
    }
    let by = by?;
    let name = match name {
        Some(name) => name?.to_owned(),
        None => describe(&by),
    };
    let origin = field.origin();
    let mut limit = Limit::new(
        format!("{}/{}/{under}{name}", origin.namespace, origin.name),
        by,
    );
    limit.requests = requests.flatten();
    limit.tokens = tokens.flatten();
    Some(limit)
}

fn allowance(object: &Object<'_>, name: &'static str, per: Duration) -> Option<Allowance> {
    let amount = object.get(name)?.int(1, MAX)?;
    let amount = NonZeroU64::new(amount.unsigned_abs())?;
    Some(Allowance { amount, per })
}

fn by(field: &Field<'_>) -> Option<By> {
    let object = field.object()?;
    let value = object.get("value");
    let kind = object.one_of(&["header", "credential", "model", "caller"]);
    if let (Some(value), Some("credential" | "model" | "caller") | None) = (&value, kind) {
        let hint = "add `header`, or remove `value`";
        value.error("value-without-header", "it is a header's value", hint);
        return None;
    }
    match kind {
        Some("header") => {
            let name = header_name(&object.get("header")?)?;
            let value = match value {
                Some(value) => Some(text(&value)?.to_owned()),
                None => None,
            };
            Some(By::Header { name, value })
        }
        Some("credential") => truth(&object, "credential").map(|()| By::Credential),
        Some("caller") => truth(&object, "caller").map(|()| By::Caller),
        Some(_) => truth(&object, "model").map(|()| By::Model),
        None => {
            let hint = "add `header`, `credential: true`, `caller: true` or `model: true`; leave `key` out for one allowance for the whole route";
            field.error("empty-key", "the key is empty", hint);
            None
        }
    }
}

/// `true`; there is no other way to say it.
fn truth(object: &Object<'_>, name: &'static str) -> Option<()> {
    let field = object.get(name)?;
    if field.bool()? {
        return Some(());
    }
    let message = format!("`{name}: false` is no key");
    let hint = "leave `key` out for one allowance for the whole route";
    field.error("empty-key", message, hint);
    None
}

fn header_name(field: &Field<'_>) -> Option<HeaderName> {
    let text = field.str()?;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("{text:?} is not a header name");
        field.error("bad-header-name", message, "");
        return None;
    };
    let secret = name == header::AUTHORIZATION
        || name == header::PROXY_AUTHORIZATION
        || name == header::COOKIE
        || matches!(name.as_str(), "x-api-key" | "api-key" | "x-goog-api-key");
    if secret {
        let message = format!("{name} carries secrets: its values are never kept");
        field.error("limit-by-secret", message, "use `credential: true`");
        return None;
    }
    Some(name)
}

/// A name or a header value.
fn text<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.str()?;
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        let message = format!("expected 1 to {MAX_TEXT} characters, all of them visible");
        field.error("bad-name", message, "");
        return None;
    }
    Some(text)
}

/// The name of a limit without one: what it is for.
fn describe(by: &By) -> String {
    match by {
        By::Route => "route".to_owned(),
        By::Credential => "credential".to_owned(),
        By::Model => "model".to_owned(),
        By::Caller => "caller".to_owned(),
        By::Header { name, value: None } => name.to_string(),
        By::Header {
            name,
            value: Some(value),
        } => format!("{name}={value}"),
    }
}
