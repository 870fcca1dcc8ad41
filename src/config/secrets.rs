//! Secret objects: certificates and keys that files hold themselves.
//!
//! What they hold is nobody's business but the cluster's that names them: a secret that no resource names is not looked at,
//! and no finding shows a value.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{decode::Field, diagnostic::Place};
use crate::model::tls;

/// A Secret.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) place: Place,
    /// Its values. One that is no base64 is empty.
    pub(super) values: tls::Secret,
    /// The keys of those.
    pub(super) unreadable: Vec<String>,
}

/// Reads a Secret. Silent.
pub(super) fn read(field: &Field<'_>) -> Secret {
    let mut values = BTreeMap::new();
    let mut unreadable = Vec::new();
    let entries = |name: &str| field.step(name).map(|map| map.entries_of());
    for (key, value) in entries("data").unwrap_or_default() {
        let Some(text) = value.str_quietly() else {
            continue;
        };
        let bytes = decoded(text).unwrap_or_else(|| {
            unreadable.push(key.to_owned());
            Zeroizing::default()
        });
        values.insert(key.to_owned(), Arc::new(bytes));
    }
    for (key, value) in entries("stringData").unwrap_or_default() {
        let Some(text) = value.str_quietly() else {
            continue;
        };
        unreadable.retain(|other| other != key);
        let bytes = Zeroizing::new(text.as_bytes().to_vec());
        values.insert(key.to_owned(), Arc::new(bytes));
    }
    Secret {
        place: field.place(),
        values: tls::Secret(values),
        unreadable,
    }
}

/// Base64, however its lines are broken.
fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let packed: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    STANDARD.decode(packed.as_bytes()).ok().map(Zeroizing::new)
}
