//! `credential`: where a key is, and the header that carries it.
//!
//! What was written in the place of either is never repeated: it may be the key.

use std::path::PathBuf;

use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Place,
    },
    layers::fallback::{Credential, KeyHeader, OwnKey},
};

const HINT: &str = "write {env: BACKUP_KEY} or {file: /var/run/secrets/backup-key}";

/// Where the keys are that a policy names, and what is not to be had without each.
pub(in crate::config) type Keys = Vec<(Credential, Place, &'static str)>;

/// What a key is read from, and the header that carries it if that is said.
pub(super) type Read = (Credential, Option<KeyHeader>);

/// The credential of a fallback target.
pub(super) fn of_target(field: &Field<'_>) -> Option<Read> {
    if !names_one(field) {
        let message = "a credential says where its key is: `env` or `file`";
        field.error("bad-credential", message, HINT);
        return None;
    }
    let object = field.object()?;
    let header = header(&object);
    Some((place(&object)?, header?))
}

/// The credential of the route's own targets, which may be that callers' keys pass through.
pub(super) fn own(spec: &Object<'_>) -> Option<(OwnKey, Place)> {
    let field = spec.get("credential")?;
    if !names_one(&field) && field.peek(&["passthrough"]).is_none() {
        let message = "a credential says where its key is, `env` or `file`, or that keys of callers pass through";
        field.error("bad-credential", message, HINT);
        return None;
    }
    let object = field.object()?;
    let passthrough = object.bool("passthrough").unwrap_or_default();
    let mut own = OwnKey::default().with_passthrough(passthrough);
    own.header = header(&object)?;
    if names_one(&field) {
        own.credential = Some(place(&object)?);
    } else if let Some(header) = object.get("header") {
        let hint = "add `env` or `file`, or remove `header`";
        header.warn("header-without-key", "there is no key to put in it", hint);
    }
    Some((own, field.place()))
}

fn names_one(field: &Field<'_>) -> bool {
    field.peek(&["env"]).is_some() || field.peek(&["file"]).is_some()
}

/// `env` or `file`.
pub(super) fn place(object: &Object<'_>) -> Option<Credential> {
    match object.one_of(&["env", "file"])? {
        "env" => variable(&object.get("env")?),
        _ => file(&object.get("file")?),
    }
}

/// The name of an environment variable.
pub(super) fn variable(value: &Field<'_>) -> Option<Credential> {
    let name = value.str_quietly().filter(|name| is_variable(name));
    if name.is_none() {
        let message = "this is no name of an environment variable";
        let hint = "upper-case letters, digits and `_`, such as BACKUP_KEY; never the key itself";
        value.error("bad-credential", message, hint);
    }
    Some(Credential::Env(name?.to_owned()))
}

/// The path of a file.
pub(super) fn file(value: &Field<'_>) -> Option<Credential> {
    let path = value.str_quietly().filter(|path| is_path(path));
    if path.is_none() {
        let message = "this is no absolute path of a file";
        let hint = "such as /var/run/secrets/backup-key; never the key itself";
        value.error("bad-credential", message, hint);
    }
    Some(Credential::File(PathBuf::from(path?)))
}

#[expect(clippy::option_option, reason = "wrong; absent, right")]
fn header(object: &Object<'_>) -> Option<Option<KeyHeader>> {
    let Some(field) = object.get("header") else {
        return Some(None);
    };
    let written = field.str_quietly().unwrap_or_default();
    let known = KeyHeader::ALL.into_iter();
    let header = known.into_iter().find(|header| header.name() == written);
    if header.is_none() {
        let message = "no key is sent in this header";
        let hint = "authorization (as `Bearer`), x-api-key, api-key or x-goog-api-key";
        field.error("bad-key-header", message, hint);
    }
    header.map(Some)
}

/// POSIX's portable names of environment variables: a key in their place is hardly ever one.
fn is_variable(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (1..=128).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_path(path: &str) -> bool {
    (2..=4096).contains(&path.len()) && path.starts_with('/') && !path.contains(char::is_control)
}
