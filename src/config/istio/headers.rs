//! `headers` of a rule or destination.

use http::{HeaderName, HeaderValue};

use crate::{
    config::decode::{Field, Object},
    layers::route::params::HeaderOps,
};

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

type Values = (Vec<(HeaderName, HeaderValue)>, Option<String>);

fn values(object: &Object<'_>, name: &'static str, request: bool) -> Values {
    let mut values = Vec::new();
    let mut authority = None;
    let entries = object
        .get(name)
        .map(|map| map.entries())
        .unwrap_or_default();
    for (name, field) in entries {
        let Some(text) = field.str().and_then(|text| literal(&field, text)) else {
            continue;
        };
        if request && (name == ":authority" || name.eq_ignore_ascii_case("host")) {
            authority = Some(text);
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
        match HeaderValue::from_str(&text) {
            Ok(value) => values.push((header, value)),
            Err(_) => field.error(
                "bad-header-value",
                "the value holds characters that a header cannot carry",
                "",
            ),
        }
    }
    values.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    (values, authority)
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
            names.extend(header(name, &field));
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

/// The value with `%%` made `%`. Values with operators (`%REQ(x)%`) are not in force.
fn literal(field: &Field<'_>, text: &str) -> Option<String> {
    let mut literal = String::with_capacity(text.len());
    let mut operator = false;
    let mut parts = text.split('%');
    literal.push_str(parts.next().unwrap_or_default());
    while let Some(inside) = parts.next() {
        let Some(after) = parts.next() else {
            let hint = "write `%%` for a percent sign";
            field.error("bad-header-value", "a `%` has no partner", hint);
            return None;
        };
        if inside.is_empty() {
            literal.push('%');
        } else {
            operator = true;
        }
        literal.push_str(after);
    }
    if operator {
        field.warn(
            "not-in-force",
            "values with `%…%` operators are valid but not in force in llmesh: this header is left alone",
            "give a fixed value",
        );
        return None;
    }
    Some(literal)
}
