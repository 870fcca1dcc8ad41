//! Hosts that a DestinationRule which is not read asks TLS for: their requests must not leave in plain text.

use std::sync::Arc;

use super::{
    decode::Field,
    diagnostic::{Origin, Place},
    document::{Node, Value},
    foreign, names,
};

/// The modes that ask for TLS.
const MODES: [&str; 3] = ["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];

/// A host whose rule was left out, and asks for TLS.
#[derive(Debug)]
pub(super) struct Guard {
    /// The full name, or a wildcard.
    pub(super) host: String,
    /// Of the rule.
    pub(super) place: Place,
}

// === impl Guard ===

impl Guard {
    /// Of a resource that is left out.
    pub(super) fn of(field: &Field<'_>) -> Option<Self> {
        let origin = field.origin();
        let host = field.peek_str(&["spec", "host"])?;
        let asks = asks_for_tls(field.peek(&["spec"])?);
        (origin.kind == "DestinationRule" && asks).then(|| Self::new(host, field.place()))?
    }

    /// Of the text of a document that cannot be read, as far as its lines tell.
    pub(super) fn of_text(text: &str, place: &Place, namespace: &str) -> Vec<Self> {
        let said = |key| {
            let lines = text.lines();
            lines.flat_map(move |line| foreign::values(line, key))
        };
        if !said("kind").any(|kind| kind == "DestinationRule")
            || !MODES.iter().any(|mode| text.contains(mode))
        {
            return Vec::new();
        }
        let origin = Arc::new(Origin {
            kind: "DestinationRule".to_owned(),
            namespace: said("namespace").next().unwrap_or(namespace).to_owned(),
            name: said("name")
                .find(|name| names::is_dns_label(name))
                .unwrap_or_default()
                .to_owned(),
            order: place.origin.order,
            file: Arc::clone(&place.origin.file),
            document: place.origin.document,
            layer: place.origin.layer,
        });
        let place = Place {
            origin,
            ..place.clone()
        };
        said("host")
            .filter_map(|host| Self::new(host, place.clone()))
            .collect()
    }

    fn new(host: &str, place: Place) -> Option<Self> {
        names::check_host(host).ok()?;
        let host = names::fqdn(host, &place.origin.namespace);
        Some(Self { host, place })
    }
}

/// Whether a rule says, however wrongly, that TLS is to be spoken.
fn asks_for_tls(node: &Node) -> bool {
    match &node.value {
        Value::Str(text) => MODES.contains(&text.as_str()),
        Value::Seq(items) => items.iter().any(asks_for_tls),
        Value::Map(entries) => entries.iter().any(|(key, value)| {
            let tls = key.text.eq_ignore_ascii_case("tls")
                && !matches!(&value.value, Value::Null)
                && value.get("mode").and_then(Node::as_str) != Some("DISABLE");
            tls || asks_for_tls(value)
        }),
        _ => false,
    }
}
