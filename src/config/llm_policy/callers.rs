//! `callers`: who may come in, each with a name and a key.
//!
//! Nothing that was written in the place of a key or hash is repeated.

use super::{
    credential::{Keys, file, variable},
    limits,
};
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Place,
    },
    layers::{
        callers::{Caller, CallerKey},
        limit::tokens::params::{By, Limit},
    },
    llm::glob::Glob,
};

/// The longest name of a caller: it is a label of metrics.
const MAX_NAME: usize = 64;

/// The longest pattern of models.
const MAX_MODEL: usize = 256;

/// Reads `callers`. What limits them is put to `limits`, where their keys are to `keys`.
pub(super) fn read(spec: &Object<'_>, limits: &mut Vec<Limit>, keys: &mut Keys) -> Vec<Caller> {
    let by_caller = limits.iter().any(|limit| limit.by == By::Caller);
    let Some(field) = spec.get("callers") else {
        if let Some(field) = spec.get("limits").filter(|_| by_caller) {
            let message = "a limit is for each caller, and no callers are named";
            let hint = "add `callers`, or use `credential: true`";
            field.warn("limit-without-callers", message, hint);
        }
        return Vec::new();
    };
    if field.is_empty_list() {
        let message = "`callers` is empty: nobody could come in";
        let hint = "name callers, or leave it out to let everybody in";
        field.error("empty-callers", message, hint);
    }
    let mut callers: Vec<(Caller, Place)> = Vec::new();
    for field in field.list() {
        let Some((caller, own)) = caller(&field, keys) else {
            continue;
        };
        if let Some((_, first)) = callers.iter().find(|(other, _)| other.name == caller.name) {
            let message = format!(
                "{:?} is already the name of the caller in line {}",
                caller.name, first.line
            );
            field.error("duplicate-caller", message, "give each a name of its own");
            continue;
        }
        let shares =
            |(other, _): &&(Caller, Place)| other.keys.iter().any(|key| caller.keys.contains(key));
        if let Some((other, first)) = callers.iter().find(shares) {
            let message = format!(
                "it has a key of {:?} in line {}: one key is one caller's",
                other.name, first.line
            );
            let hint = "give each a key of its own";
            field.error("duplicate-caller-key", message, hint);
            continue;
        }
        if let Some(same) = own
            .iter()
            .find(|own| limits.iter().any(|l| l.name == own.name))
        {
            let message = format!("a limit is called {:?} already", same.name);
            let hint = "give each of the two a `name` of its own";
            field.error("duplicate-limit", message, hint);
            continue;
        }
        limits.extend(own);
        callers.push((caller, field.place()));
    }
    callers.into_iter().map(|(caller, _)| caller).collect()
}

fn caller(field: &Field<'_>, keys: &mut Keys) -> Option<(Caller, Vec<Limit>)> {
    let object = field.object()?;
    let name = object.require("name").map(|name| caller_name(&name));
    let known_by = known_by(field, &object, keys);
    let models = object.get("models").map(|models| patterns(&models));
    // Those of a caller whose name cannot be used are read for their findings.
    let named = name.flatten();
    let limits = limits::of_caller(&object, named.unwrap_or_default());
    let mut caller = Caller::new(named?);
    caller.keys = known_by?;
    caller.models = models.unwrap_or_default();
    Some((caller, limits))
}

fn caller_name<'a>(field: &Field<'a>) -> Option<&'a str> {
    let name = field.str_quietly().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) {
        let message = format!(
            "a caller's name has 1 to {MAX_NAME} characters: letters, digits, `-`, `_`, `.` and `@`"
        );
        let hint = "it stands in metrics and logs; never the key itself";
        field.error("bad-name", message, hint);
        return None;
    }
    Some(name)
}

/// What a caller is known by: one of these or several, so that a key can be replaced while the old one still holds.
fn known_by(field: &Field<'_>, object: &Object<'_>, keys: &mut Keys) -> Option<Vec<CallerKey>> {
    let mut all = Vec::new();
    let mut good = true;
    if let Some(field) = object.get("sha256") {
        let several = if field.is_list() {
            field.list()
        } else {
            vec![field]
        };
        for field in several {
            match digest(&field) {
                Some(key) => all.push(key),
                None => good = false,
            }
        }
    }
    let stored = [
        object
            .get("env")
            .map(|field| (variable(&field), field.place())),
        object
            .get("file")
            .map(|field| (file(&field), field.place())),
    ];
    for (from, place) in stored.into_iter().flatten() {
        let Some(from) = from else {
            good = false;
            continue;
        };
        keys.push((from.clone(), place, "the caller is not let in by it"));
        all.push(CallerKey::Stored(from));
    }
    if good && all.is_empty() {
        let message = "a caller is known by its key: `sha256`, `env` or `file`";
        field.error("caller-without-key", message, HASH);
        return None;
    }
    good.then_some(all)
}

const HASH: &str =
    "`printf %s \"$KEY\" | sha256sum` prints the `sha256`; never write the key itself";

fn digest(field: &Field<'_>) -> Option<CallerKey> {
    let read = field.str_quietly().map(str::parse);
    match read {
        Some(Ok(digest)) => Some(CallerKey::Sha256(digest)),
        Some(Err(why)) => {
            field.error("bad-hash", format!("{why}"), HASH);
            None
        }
        None => {
            let message = "expected the SHA-256 of a key as text: 64 hexadecimal digits in quotes";
            field.error("bad-hash", message, HASH);
            None
        }
    }
}

/// Patterns of models.
fn patterns(field: &Field<'_>) -> Vec<Glob> {
    if field.is_empty_list() {
        let message = "`models` is empty: the caller could use none";
        let hint = "name models, or leave it out to allow all";
        field.error("empty-models", message, hint);
    }
    let mut globs = Vec::new();
    for (text, field) in field.strings() {
        if text.is_empty() || text.len() > MAX_MODEL || text.chars().any(char::is_control) {
            let message =
                format!("a model or pattern has 1 to {MAX_MODEL} characters, all of them visible");
            field.error("bad-name", message, "such as gpt-4o-mini or gpt-4o*");
        } else {
            globs.push(Glob::new(text));
        }
    }
    globs
}
