//! The right form of what is often written in another: first guesses, short forms that do not exist, other tools' words.
//!
//! As data: a row is the end of a value's path, from the resource's kind on (`[]` is an item of a list, `*` any key), and
//! what is right there. `{}` stands for what was written, if that is a number or a plain name: a text may be a secret in the
//! wrong place.

mod rows;

use self::rows::{BOOLEANS, LISTS, MAPPINGS, Row, TEXTS, UNITS, UNKNOWN};
use super::field::{Field, Name, Step};
use crate::config::{document::Value, names};

impl Field<'_> {
    /// The right form of a value that is not what is `wanted`.
    pub(super) fn right_form(&self, wanted: &str) -> Option<String> {
        let rows = match wanted {
            "a mapping" => MAPPINGS,
            "a list" => LISTS,
            "a string" => TEXTS,
            "a boolean" => return self.boolean(),
            "an integer" => return self.alone(),
            _ => return None,
        };
        let form = self.row(rows)?;
        Some(said(&form.replace("{}", &self.plain(form))))
    }

    /// The form of a field of this mapping.
    pub(super) fn form_of(&self, name: &str) -> Option<String> {
        let mut names = self.names();
        names.push(name);
        let rows = MAPPINGS.iter().chain(LISTS);
        let (_, form) = rows.into_iter().find(|(path, _)| ends_with(&names, path))?;
        (!form.contains("{}")).then(|| said(form))
    }

    /// Where it belongs, or what it is called, if it is no field where it stands.
    pub(super) fn known_elsewhere(&self) -> Option<String> {
        self.row(UNKNOWN).map(said)
    }

    /// What to do with a field at the top of a resource.
    pub(super) fn under_spec(&self) -> Option<String> {
        let top = self.path.as_ref().is_some_and(|step| step.parent.is_none());
        (top && !self.cx.origin.kind.is_empty()).then(|| {
            "beside `apiVersion`, `kind` and `metadata` all of it stands under `spec`".to_owned()
        })
    }

    /// The host in what is none.
    pub(super) fn right_host(&self) -> Option<String> {
        let Value::Str(text) = &self.node.value else {
            return None;
        };
        let bare = text
            .split_once("://")
            .map_or(text.as_str(), |(_, rest)| rest);
        let (authority, path) = match bare.find('/') {
            Some(at) => bare.split_at(at),
            None => (bare, ""),
        };
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (authority, ""),
        };
        let host = host.trim_matches(['[', ']']);
        let good = names::check_host(host).is_ok() || host.parse::<std::net::IpAddr>().is_ok();
        if host == text || !good {
            return None;
        }
        let mut hint = format!("write {host}");
        if !port.is_empty() {
            let names = self.names();
            let place = match names.last() {
                Some(&"host") => format!("`port: {{number: {port}}}` beside it"),
                Some(&"address") => format!("`ports: {{PORT-NAME: {port}}}` beside it"),
                _ => format!(
                    "the ServiceEntry's `ports: [{{number: {port}, name: http, protocol: HTTP}}]`"
                ),
            };
            hint.push_str(&format!("; the port stands in {place}"));
        }
        if path.len() > 1 {
            hint.push_str("; the path belongs to `match` or `rewrite` of a VirtualService");
        }
        Some(hint)
    }

    fn boolean(&self) -> Option<String> {
        let word = match &self.node.value {
            Value::Str(text) => text.to_ascii_lowercase(),
            Value::Int(number) => number.to_string(),
            _ => return None,
        };
        let right = match word.as_str() {
            "true" | "false" => return None,
            _ => BOOLEANS.iter().find(|(wrong, _)| *wrong == word)?.1,
        };
        Some(format!(
            "write {right}: a boolean is true or false, without quotes"
        ))
    }

    /// A number with a percent sign or a size's unit behind it.
    fn alone(&self) -> Option<String> {
        let Value::Str(text) = &self.node.value else {
            return None;
        };
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 = digits.parse().ok()?;
        let unit = text[digits.len()..].trim().to_ascii_lowercase();
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(format!(
            "write the number alone: {}",
            number.checked_mul(*size)?
        ))
    }

    fn row(&self, rows: &[Row]) -> Option<&'static str> {
        let names = self.names();
        let row = rows.iter().find(|(path, _)| ends_with(&names, path));
        row.map(|(_, form)| *form)
    }

    /// What was written, where it may stand in a message; else a word in its place.
    fn plain(&self, form: &str) -> String {
        let secret = |text: &str| text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic());
        match &self.node.value {
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
            Value::Str(text) if form.contains("attempts") && text.parse::<u32>().is_err() => {
                "3".into()
            }
            Value::Str(text) if !secret(text) => text.clone(),
            _ => "…".to_owned(),
        }
    }

    /// The keys from the kind of the resource on; `[]` is an item.
    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut step: Option<&Step<'_>> = self.path.as_deref();
        while let Some(at) = step {
            names.push(match at.name {
                Name::Key(key) => key,
                Name::Index(_) => "[]",
            });
            step = at.parent.as_deref();
        }
        names.push(&self.cx.origin.kind);
        names.reverse();
        names
    }
}

/// Whether a path ends as a row says.
fn ends_with(names: &[&str], row: &str) -> bool {
    let row = row.replace("[]", ".[]");
    let mut names = names.iter().rev();
    row.rsplit('.').all(|part| {
        names
            .next()
            .is_some_and(|name| part == "*" || part == *name)
    })
}

/// A row's right form as a hint.
fn said(form: &str) -> String {
    match form.split_once(" | ") {
        Some((code, more)) => format!("write `{code}`: {more}"),
        None if form.contains('`') => form.to_owned(),
        None => format!("write `{form}`"),
    }
}
