//! Hosts that a DestinationRule which is not read asks TLS for: their requests must not leave in plain text.
//!
//! A port that waits for TLS gets it whatever is read. What is kept here is for the others: a rule that is broken and left
//! out, that is still to be filled in, or that lies in a template or a patch, as far as its text tells its host.

use std::sync::Arc;

use super::{
    decode::Field,
    diagnostic::{Origin, Place},
    document::{Node, Value},
    marks, names,
};

/// The modes that ask for TLS: those with certificates of their own, and the mesh's.
const MODES: [&str; 3] = ["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];

/// A host whose rule is not read, and asks for TLS.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) whom: Whom,
    /// Of the rule.
    pub(super) place: Place,
}

/// Whom a rule is for.
#[derive(Debug)]
pub(super) enum Whom {
    /// The full name, or a wildcard.
    Host(String),
    /// The host of the rule that it patches, which has its name.
    Patched,
}

// === impl Guard ===

impl Guard {
    /// Of a resource that is left out, in this namespace unless it says another.
    pub(super) fn of(field: &Field<'_>, namespace: &str) -> Option<Self> {
        let host = field.peek_str(&["spec", "host"])?;
        let asks = asks_for_tls(field.peek(&["spec"])?);
        asks.then(|| Self::new(host, named(field, namespace)))?
    }

    /// Of a patch of a rule.
    pub(super) fn of_patch(field: &Field<'_>) -> Option<Self> {
        let kind = field.peek_str(&["kind"]);
        let asks = asks_for_tls(field.peek(&["spec"])?);
        let whom = Whom::Patched;
        (kind == Some("DestinationRule") && asks).then(|| Self {
            whom,
            place: named(field, ""),
        })
    }

    /// Of the text of a document that cannot be read, as far as its lines tell.
    pub(super) fn of_text(text: &str, place: &Place, namespace: &str) -> Vec<Self> {
        let upper = || MODES.iter().any(|mode| text.contains(mode));
        if upper() || says_mode(text, &MODES) {
            rules_in(text, place, namespace)
        } else {
            Vec::new()
        }
    }

    /// Of a file that is not read because it is no resource, but what one is made of. What the mesh alone would speak is
    /// left to what is made of it.
    pub(super) fn of_skipped(text: &str, place: &Place, namespace: &str) -> Vec<Self> {
        let mut all = Vec::new();
        let lines: Vec<_> = text.lines().collect();
        let mut first = 1;
        for lines in lines.split(|line| line.starts_with("---")) {
            let text = lines.join("\n");
            if says_mode(&text, &MODES[..2]) {
                let place = Place {
                    line: first,
                    column: 1,
                    ..place.clone()
                };
                all.extend(rules_in(&text, &place, namespace));
            }
            first += u32::try_from(lines.len()).unwrap_or_default() + 1;
        }
        all
    }

    fn new(host: &str, place: Place) -> Option<Self> {
        let host = marks::without_placeholder(host);
        names::check_host(&host).ok()?;
        let host = names::fqdn(&host, &place.origin.namespace);
        let whom = Whom::Host(host);
        Some(Self { whom, place })
    }
}

/// The place of a rule by what it says its name is.
fn named(field: &Field<'_>, namespace: &str) -> Place {
    let text = |key: &str| field.peek_str(&["metadata", key]);
    let origin = Origin {
        kind: "DestinationRule".to_owned(),
        namespace: text("namespace").unwrap_or(namespace).to_owned(),
        name: text("name").unwrap_or_default().to_owned(),
        file: Arc::clone(&field.origin().file),
        ..**field.origin()
    };
    Place {
        origin: Arc::new(origin),
        ..field.place()
    }
}

fn said<'t>(text: &'t str, key: &'static str) -> impl Iterator<Item = &'t str> {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(move |line| marks::values(line, key))
}

/// Whether a line names one of these modes, in any case.
fn says_mode(text: &str, modes: &[&str]) -> bool {
    let mut words = said(text, "mode").chain(said(text, "tls"));
    words.any(|word| modes.iter().any(|mode| mode.eq_ignore_ascii_case(word)))
}

/// The rules of a text, by its lines.
fn rules_in(text: &str, place: &Place, namespace: &str) -> Vec<Guard> {
    if !said(text, "kind").any(|kind| kind == "DestinationRule") {
        return Vec::new();
    }
    let name = said(text, "name").find(|name| names::is_dns_label(name));
    let space = said(text, "namespace").find(|name| names::is_dns_label(name));
    let origin = Origin {
        kind: "DestinationRule".to_owned(),
        namespace: space.unwrap_or(namespace).to_owned(),
        name: name.unwrap_or_default().to_owned(),
        file: Arc::clone(&place.origin.file),
        ..*place.origin
    };
    let place = Place {
        origin: Arc::new(origin),
        ..place.clone()
    };
    let lines = text.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    let hosts = lines.flat_map(|line| marks::rest_after(line, "host"));
    hosts
        .filter_map(|host| Guard::new(host, place.clone()))
        .collect()
}

/// Whether a rule says, however wrongly, that TLS is to be spoken.
fn asks_for_tls(node: &Node) -> bool {
    let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    match &node.value {
        Value::Str(text) => MODES.contains(&text.as_str()),
        Value::Seq(items) => items.iter().any(asks_for_tls),
        Value::Map(entries) => entries.iter().any(|(key, value)| {
            let mode = value.get("mode").and_then(Node::as_str);
            let tls = is(&key.text, "tls")
                && !matches!(&value.value, Value::Null)
                && !mode.is_some_and(|mode| is(mode, "DISABLE"));
            tls || asks_for_tls(value)
        }),
        _ => false,
    }
}
