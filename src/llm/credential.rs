//! The keys that a request carries, wherever its API puts them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Uri};

use crate::base::{Fingerprint, ext::KEY_HEADERS, secrets::unescaped};

/// Where callers put their keys.
pub const HEADERS: [HeaderName; 4] = KEY_HEADERS;

/// The key that a request is sent with: the first one that stands in a header, else Google's `key` in the query.
#[must_use]
pub fn sent(headers: &HeaderMap, uri: &Uri) -> Option<Fingerprint> {
    all(headers, uri).next()
}

/// Each one, in whatever header it stands, and Google's `key` in the query. The same may come twice.
pub fn all<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> impl Iterator<Item = Fingerprint> + 'a {
    keys(headers, uri).map(|key| Fingerprint::of(&key))
}

/// As [`all`], as they were sent, without scheme and blanks. They are secrets: keep none.
pub fn keys<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> impl Iterator<Item = Cow<'a, [u8]>> + 'a {
    let in_headers = HEADERS.into_iter().flat_map(move |name| {
        let values = headers.get_all(name).iter();
        values.map(|value| Cow::Borrowed(bare(value.as_bytes())))
    });
    let in_query = uri.query().into_iter().flat_map(|query| {
        let fields = query.split('&');
        fields.filter_map(|field| Some(Cow::Owned(unescaped(field.strip_prefix("key=")?))))
    });
    in_headers.chain(in_query).filter(|key| !key.is_empty())
}
/// The key without its scheme. Of an AWS signature, which differs each time, the access key's id.
fn bare(value: &[u8]) -> &[u8] {
    const AWS: &[u8] = b"AWS4-HMAC-SHA256 ";
    let value = value.trim_ascii();
    if let Some(fields) = value.strip_prefix(AWS) {
        let mut fields = fields.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let scope = fields.find_map(|field| field.strip_prefix(b"Credential="));
        return scope
            .and_then(|scope| scope.split(|b| *b == b'/').next())
            .unwrap_or(value);
    }
    match value.split_at_checked(6) {
        Some((scheme, key))
            if scheme.eq_ignore_ascii_case(b"bearer")
                && key.first().is_none_or(u8::is_ascii_whitespace) =>
        {
            key.trim_ascii_start()
        }
        _ => value,
    }
}
