//! What can be mended without a choice, one function a kind of mistake.

use super::{
    edit::{Edit, token},
    find::{self, child},
};
use crate::config::{
    diagnostic::Diagnostic,
    document::{Document, Value},
    source::Source,
};

/// Everything that is known when one is mended.
pub(super) struct Texts<'a> {
    pub(super) sources: &'a [Source],
    pub(super) documents: Vec<Vec<Document>>,
}

/// The rules whose findings are mended, and how: the changes and the source that they are in.
type Repair = fn(&Texts<'_>, &Diagnostic) -> Option<(usize, Edit)>;

pub(super) static REPAIRS: [(&str, Repair); 13] = [
    ("unknown-field", word),
    ("unknown-value", word),
    ("unsupported-kind", word),
    ("unknown-retry-on", word),
    ("vs-unknown-subset", word),
    ("unknown-route", word),
    ("wrong-type", unquoted),
    ("bad-duration", unit),
    ("sidecar-short-host", full_name),
    ("ejection-impossible", ejection),
    ("ejection-at-its-limit", ejection),
    ("breaker-never-fires", ejection),
    ("retries-without-budget", budget),
];

/// A bare number up to this is taken for seconds; what is larger may be milliseconds.
const MOST_SECONDS: u32 = 600;

/// What a misspelt word was meant to be.
fn word(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    let meant = found
        .hint
        .strip_prefix("did you mean ")?
        .strip_suffix('?')?;
    let meant = meant.trim_matches('`');
    let bad = quoted(&found.message)?;
    let text = &texts.sources[found.order].text;
    let written = token(text, found.line, found.column)?;
    let at = written.text.find(bad)?;
    let before = written.text[..at].chars().count() + usize::from(written.quote.is_some());
    let column = found.column + u32::try_from(before).ok()?;
    let edit = Edit {
        line: found.line,
        column,
        remove: bad.chars().count(),
        insert: meant.to_owned(),
    };
    Some((found.order, edit))
}

/// A number or boolean in quotes.
fn unquoted(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    if !found.hint.starts_with("remove the quotes") {
        return None;
    }
    let written = token(&texts.sources[found.order].text, found.line, found.column)?;
    written.quote?;
    replaced(found, written.length, written.text)
}

/// A duration without unit.
fn unit(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    let written = token(&texts.sources[found.order].text, found.line, found.column)?;
    let seconds: u32 = written.text.parse().ok()?;
    let plain = written.quote.is_none() && (1..=MOST_SECONDS).contains(&seconds);
    plain.then(|| replaced(found, written.length, format!("{seconds}s")))?
}

/// The full name of a host in a Sidecar.
fn full_name(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    let full = found.hint.strip_prefix("write ")?;
    let written = token(&texts.sources[found.order].text, found.line, found.column)?;
    let quote = written.quote.map(String::from).unwrap_or_default();
    replaced(found, written.length, format!("{quote}{full}{quote}"))
}

/// The share of endpoints that may be ejected: enough for one.
fn ejection(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    let (_, least) = found.hint.rsplit_once("at least ")?;
    let least: u32 = least.parse().ok()?;
    let block = find::mapping(&texts.documents[found.order], "outlierDetection", found)?;
    let text = &texts.sources[found.order].text;
    let insert = format!("maxEjectionPercent: {least}");
    let Some(value) = block.get("maxEjectionPercent") else {
        return Some((found.order, child(text, block, &insert)?));
    };
    let written = token(text, value.line, value.column)?;
    let edit = Edit {
        line: value.line,
        column: value.column,
        remove: written.length,
        insert: least.to_string(),
    };
    Some((found.order, edit))
}

/// A budget in the DestinationRule of the host that a rule leads to.
fn budget(texts: &Texts<'_>, found: &Diagnostic) -> Option<(usize, Edit)> {
    let rule = find::item(&texts.documents[found.order], found)?;
    let Value::Seq(routes) = &rule.get("route")?.value else {
        return None;
    };
    let namespace = find::namespace(&found.resource)?;
    let host = routes.first()?.get("destination")?.get("host")?.as_str()?;
    let (source, policy) = find::traffic_policy(&texts.documents, host, namespace)?;
    if policy.get("retryBudget").is_some() {
        return None;
    }
    let insert = "retryBudget: {percent: 20, minRetryConcurrency: 3}";
    Some((source, child(&texts.sources[source].text, policy, insert)?))
}

fn replaced(found: &Diagnostic, remove: usize, insert: String) -> Option<(usize, Edit)> {
    let edit = Edit {
        line: found.line,
        column: found.column,
        remove,
        insert,
    };
    (found.line > 0).then_some((found.order, edit))
}

/// The first word of a message that stands in quotes.
fn quoted(message: &str) -> Option<&str> {
    let start = message.find(['`', '"'])?;
    let quote = message[start..].chars().next()?;
    let rest = &message[start + 1..];
    rest.split(quote).next().filter(|word| !word.is_empty())
}
