//! `http[].match[]` of a VirtualService.

use std::collections::BTreeMap;

use http::HeaderName;

use super::format::{GATEWAYS, LABEL_OR_EMPTY, LABELS, MAX_REGEX, check_re2};
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Place,
    },
    layers::route::params::{FieldName, Match, Regex, StringMatch},
};

const RE2: &str = "RE2 syntax: no look-around and no back-references; the whole value must match";

/// One alternative, with the conditions that are decided when the mesh is built.
#[derive(Clone, Debug)]
pub(in crate::config) struct MatchRule {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) place: Place,
    pub(in crate::config) condition: Match,
    pub(in crate::config) gateways: Option<Vec<String>>,
    pub(in crate::config) source_labels: BTreeMap<String, String>,
    pub(in crate::config) source_namespace: Option<String>,
}

/// Reads one alternative.
pub(super) fn read(field: &Field<'_>) -> Option<MatchRule> {
    let object = field.object()?;
    let gateways = object.get("gateways").map(|list| {
        list.check(&GATEWAYS);
        list.strings()
            .iter()
            .map(|(s, _)| (*s).to_owned())
            .collect()
    });
    object.str("statPrefix");
    let source_labels = object.get("sourceLabels").map(|labels| {
        labels.check(&LABELS);
        labels.labels()
    });
    let source_namespace = object.get("sourceNamespace").and_then(|namespace| {
        let text = namespace.str()?;
        LABEL_OR_EMPTY.holds(text, &namespace);
        (!text.is_empty()).then(|| text.to_owned())
    });
    Some(MatchRule {
        name: object.str("name").map(str::to_owned),
        place: field.place(),
        condition: condition(&object),
        gateways,
        source_labels: source_labels.unwrap_or_default(),
        source_namespace,
    })
}

fn condition(object: &Object<'_>) -> Match {
    Match {
        uri: uri(object),
        ignore_uri_case: object.bool("ignoreUriCase").unwrap_or_default(),
        scheme: pseudo(object, "scheme"),
        method: pseudo(object, "method"),
        authority: pseudo(object, "authority"),
        headers: headers(object, "headers"),
        without_headers: headers(object, "withoutHeaders"),
        query: query(object),
        port: object
            .get("port")
            .filter(|port| port.int_quietly() != Some(0))
            .and_then(|port| port.port()),
    }
}

fn uri(object: &Object<'_>) -> Option<StringMatch> {
    let field = object.get("uri")?;
    present_is_any(&field, string_match(&field, Kind::Path)?)
}

fn pseudo(object: &Object<'_>, name: &'static str) -> Option<StringMatch> {
    let field = object.get(name)?;
    present_is_any(&field, string_match(&field, Kind::Other)?)
}

/// Every request has a path, a method and so on: to ask for its presence is to ask for nothing.
fn present_is_any(field: &Field<'_>, value: StringMatch) -> Option<StringMatch> {
    if value == StringMatch::Present {
        let hint = "give exact, prefix or regex, or remove the field";
        field.warn("empty-match", "this matches every request", hint);
        return None;
    }
    Some(value)
}

fn headers(object: &Object<'_>, name: &'static str) -> Vec<(FieldName, StringMatch)> {
    let Some(map) = object.get(name) else {
        return Vec::new();
    };
    let absent = name == "withoutHeaders";
    let mut matches = Vec::new();
    for (name, field) in map.entries() {
        if field.is_null() {
            if absent {
                matches.extend(header_name(name, &field).map(|name| (name, StringMatch::Present)));
            } else {
                let hint = "write `{}` to ask only that the header is there, or give exact, prefix or regex";
                field.error("null-header-match", "a header match must not be null", hint);
            }
            continue;
        }
        let value = string_match(&field, Kind::Header);
        if let (Some(name), Some(value)) = (header_name(name, &field), value) {
            matches.push((name, value));
        }
    }
    matches
}

fn header_name(name: &str, field: &Field<'_>) -> Option<FieldName> {
    match name {
        ":method" => return Some(FieldName::Method),
        ":path" => return Some(FieldName::Path),
        ":scheme" => return Some(FieldName::Scheme),
        ":authority" => return Some(FieldName::Authority),
        ":status" => {
            let message = "no request has a `:status`: it counts as absent";
            field.warn("empty-match", message, "match what a request has");
            return Some(FieldName::Status);
        }
        _ => {}
    }
    if name.starts_with("@request.auth.claims") {
        let hint = "JWT claims can be matched at gateways only";
        field.error(
            "jwt-claim-match",
            "a JWT claim is matched inside the mesh",
            hint,
        );
        return None;
    }
    if name.eq_ignore_ascii_case("host") {
        return Some(FieldName::Authority);
    }
    let parsed = HeaderName::from_bytes(name.as_bytes());
    if parsed.is_err() {
        let message = format!("{name:?} is not a header name");
        let hint = if name.starts_with(':') {
            "of a request there are :method, :path, :scheme and :authority"
        } else {
            ""
        };
        field.error("bad-header-name", message, hint);
    }
    parsed.ok().map(FieldName::Header)
}

fn query(object: &Object<'_>) -> Vec<(String, StringMatch)> {
    let Some(map) = object.get("queryParams") else {
        return Vec::new();
    };
    let mut matches = Vec::new();
    for (name, field) in map.entries() {
        if let Some(value) = string_match(&field, Kind::Other) {
            matches.push((name.to_owned(), value));
        }
    }
    matches
}

/// What is matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its prefix may be empty.
    Path,
    /// The regex `*` asks for presence.
    Header,
    Other,
}

/// Istio's `StringMatch`; an empty one asks for presence.
fn string_match(field: &Field<'_>, kind: Kind) -> Option<StringMatch> {
    let object = field.object()?;
    match object.one_of(&["exact", "prefix", "regex"]) {
        Some("exact") => object
            .str("exact")
            .map(|s| StringMatch::Exact(s.to_owned())),
        Some("prefix") => {
            let value = object.get("prefix")?;
            let prefix = value.str()?;
            if prefix.is_empty() && kind != Kind::Path {
                let hint = "write `{}` to ask only for presence";
                value.error("empty-prefix", "an empty prefix is not allowed here", hint);
                return None;
            }
            Some(StringMatch::Prefix(prefix.to_owned()))
        }
        Some(_) => {
            let value = object.get("regex")?;
            match value.str()? {
                "*" if kind == Kind::Header => Some(StringMatch::Present),
                source => regex(&value, source).map(StringMatch::Regex),
            }
        }
        None if object.is_empty() => Some(StringMatch::Present),
        None => None,
    }
}

/// Compiles a regular expression under Istio's bounds.
pub(super) fn regex(field: &Field<'_>, source: &str) -> Option<Regex> {
    let length = source.len();
    if length == 0 || length > MAX_REGEX {
        let message = format!("a regular expression has 1 to {MAX_REGEX} bytes, this has {length}");
        field.error("bad-regex", message, "");
        return None;
    }
    if let Err(why) = check_re2(source) {
        field.error("bad-regex", why, RE2);
        return None;
    }
    match Regex::new(source) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let why = match &error {
                regex::Error::Syntax(text) => text
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
                other => other.to_string(),
            };
            field.error("bad-regex", format!("not a regular expression: {why}"), RE2);
            None
        }
    }
}

// === impl MatchRule ===

impl MatchRule {
    /// Whether it matches every request that gets as far as it.
    pub(in crate::config) fn is_catch_all(&self) -> bool {
        let condition = &self.condition;
        let any_uri = match &condition.uri {
            None => true,
            Some(StringMatch::Prefix(prefix)) => prefix.is_empty() || prefix == "/",
            Some(StringMatch::Regex(regex)) => regex.source() == ".*",
            Some(_) => false,
        };
        any_uri
            && Match {
                uri: None,
                ignore_uri_case: false,
                ..condition.clone()
            } == Match::default()
    }

    /// Whether nothing but the path is asked.
    pub(in crate::config) fn is_uri_only(&self) -> bool {
        Match {
            uri: None,
            ..self.condition.clone()
        } == Match::default()
    }
}
