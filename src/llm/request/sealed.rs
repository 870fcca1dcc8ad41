//! Requests whose headers say what their body is.

use ::http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};

/// Sums of a body.
const SUMS: &[&str] = &["content-digest", "content-md5", "digest", "repr-digest"];
/// Signatures of one.
const SIGNED: &[&str] = &["signature-input", "x-amz-content-sha256"];

/// Whether a body cannot be changed without its headers: it is summed up or signed there.
pub(crate) fn is_sealed(headers: &HeaderMap) -> bool {
    let signed = headers.get(AUTHORIZATION).is_some_and(|value| {
        let value = value.as_bytes();
        value.starts_with(b"AWS4-") || value.starts_with(b"Signature ")
    });
    signed
        || SUMS
            .iter()
            .chain(SIGNED)
            .any(|name| headers.contains_key(*name))
}

/// Takes off what another body is not.
pub(super) fn without_sums(headers: &mut HeaderMap) {
    for name in SUMS {
        headers.remove(*name);
    }
}

/// The length of a body that was written anew.
pub(crate) fn set_length(headers: &mut HeaderMap, length: usize) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
