//! `headers` of a rule or destination.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::{
    base::{
        ext::RetryHeaders,
        operator::{Operator, ParseError, Template},
    },
    config::decode::{Field, Object},
    layers::route::params::{HeaderOps, HeaderText},
};

/// Headers that say how a message is framed, or hold for one connection.
const FRAMING: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "upgrade",
];

/// Reads header operations. The second value is a new authority, which Istio takes from `host` and `:authority`.
pub(super) fn read(object: &Object<'_>) -> (HeaderOps, Option<String>) {
    let mut ops = HeaderOps::default();
    let mut authority = None;
    let Some(headers) = object.object("headers") else {
        return (ops, authority);
    };
    if let Some(request) = headers.object("request") {
        (ops.request_set, authority) = values(&request, "set", true);
        let (add, host) = values(&request, "add", true);
        ops.request_add = add;
        authority = authority.or(host);
        ops.request_remove = removals(&request);
    }
    if let Some(response) = headers.object("response") {
        ops.response_set = values(&response, "set", false).0;
        ops.response_add = values(&response, "add", false).0;
        ops.response_remove = removals(&response);
    }
    (ops, authority)
}

type Values = (Vec<(HeaderName, HeaderText)>, Option<String>);

fn values(object: &Object<'_>, name: &'static str, request: bool) -> Values {
    let mut values = Vec::new();
    let mut authority = None;
    let entries = object
        .get(name)
        .map(|map| map.entries())
        .unwrap_or_default();
    for (name, field) in entries {
        let Some(template) = field.str().and_then(|text| template(&field, text)) else {
            continue;
        };
        if request && (name == ":authority" || name.eq_ignore_ascii_case("host")) {
            if template.fixed().is_none() {
                let message = "a new `host` is a fixed text: it takes no operators";
                field.error("bad-header-value", message, "");
            }
            authority = template.fixed().map(str::to_owned);
            continue;
        }
        if name.eq_ignore_ascii_case("host") {
            let message = "an answer has no `host`";
            field.error("bad-header-name", message, "remove it");
            continue;
        }
        let Some(header) = header(name, &field) else {
            continue;
        };
        if is_framing(&header, &field) {
            continue;
        }
        if request {
            for_the_router(&header, &field);
        }
        match template.fixed().map(HeaderValue::from_str) {
            Some(Ok(value)) => values.push((header, value.into())),
            None => values.push((header, HeaderText::Template(Arc::new(template)))),
            Some(Err(_)) => field.error(
                "bad-header-value",
                "the value holds characters that a header cannot carry",
                "",
            ),
        }
    }
    values.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    (values, authority)
}

/// Says what becomes of a header that the router reads itself.
fn for_the_router(name: &HeaderName, field: &Field<'_>) {
    if RetryHeaders::is_in_force(name) {
        let message = format!(
            "`{name}` is read here: it changes the retries of this route, and is not sent on"
        );
        let hint = "`retries` says the same in plain sight";
        field.note("router-header", message, hint);
    } else if RetryHeaders::is_one(name) {
        let message = format!(
            "`{name}` has no effect where a route sets it, as under Istio, and is not sent on"
        );
        field.warn("router-header", message, "use `timeout` and `retries`");
    }
}

/// Whether a header belongs to one connection or frames its messages; says that no operation on it has an effect.
fn is_framing(name: &HeaderName, field: &Field<'_>) -> bool {
    let framing = FRAMING.contains(&name.as_str());
    if framing {
        let message = format!("`{name}` has no effect: llmesh frames messages itself");
        field.warn("not-in-force", message, "remove it");
    }
    framing
}

fn removals(object: &Object<'_>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for (name, field) in object
        .get("remove")
        .map(|list| list.strings())
        .unwrap_or_default()
    {
        if name.eq_ignore_ascii_case("host") {
            field.error("bad-header-name", "`host` cannot be removed", "");
        } else {
            names.extend(header(name, &field).filter(|name| !is_framing(name, &field)));
        }
    }
    names
}

fn header(name: &str, field: &Field<'_>) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        let hint = if name.starts_with(':') {
            "of the pseudo headers only `:authority` may be set, on requests"
        } else {
            ""
        };
        field.error(
            "bad-header-name",
            format!("{name:?} is not a header name"),
            hint,
        );
    }
    parsed
}

/// The value with its operators.
fn template(field: &Field<'_>, text: &str) -> Option<Template> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            let hint = match &error {
                ParseError::Unknown(_) => {
                    "an operator such as %REQ(x-tier)%, or `%%` for a percent sign"
                }
                _ => "",
            };
            field.error("bad-header-value", error.to_string(), hint);
            return None;
        }
    };
    let plain = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    if !text.bytes().all(plain) {
        let message = "the value holds characters that a header cannot carry";
        field.error("bad-header-value", message, "");
        return None;
    }
    for operator in template.operators() {
        if let Operator::Absent(name) = operator {
            let message = format!(
                "`%{name}%` has no value in llmesh: a header that comes out empty is left as it was"
            );
            field.warn("not-in-force", message, "");
        }
    }
    Some(template)
}
