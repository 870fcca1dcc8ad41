//! `rewrite`, `redirect` and `directResponse` of a rule.

use bytes::Bytes;
use http::StatusCode;

use super::http_match;
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Severity,
    },
    layers::route::params::{Redirect, Rewrite},
};

/// Envoy's bound on the body of a direct response.
const MAX_BODY: usize = 1 << 20;

/// Reads `rewrite`.
pub(super) fn rewrite(rule: &Object<'_>) -> Option<Rewrite> {
    let object = rule.object("rewrite")?;
    if object.is_empty() {
        object
            .field()
            .error("empty-rewrite", "`rewrite` changes nothing", "");
    }
    object.one_of(&["uri", "uriRegexRewrite"]);
    let regex = object.object("uriRegexRewrite").and_then(|regex| {
        let pattern = regex.require("match")?;
        let replacement = regex.require("rewrite")?.str()?.to_owned();
        let pattern = http_match::regex(&pattern, pattern.str()?)?;
        Some((pattern, replacement))
    });
    Some(Rewrite {
        uri: object.str("uri").map(str::to_owned),
        regex,
        authority: object.str("authority").map(str::to_owned),
    })
}

/// Reads `redirect`.
pub(super) fn redirect(rule: &Object<'_>) -> Option<Redirect> {
    let object = rule.object("redirect")?;
    let status = match object.get("redirectCode") {
        None => StatusCode::MOVED_PERMANENTLY,
        Some(field) => match field.int(300, 399)? {
            code @ (301 | 302 | 303 | 307 | 308) => status(code)?,
            code => {
                let hint = "one of 301, 302, 303, 307 and 308";
                field.error("out-of-range", format!("{code} is no redirect"), hint);
                return None;
            }
        },
    };
    let mut redirect = Redirect::new(status);
    redirect.uri = object.str("uri").map(str::to_owned);
    redirect.authority = object.str("authority").map(str::to_owned);
    redirect.scheme = object
        .get("scheme")
        .and_then(|scheme| scheme.word(&[("http", "http"), ("https", "https")]))
        .map(str::to_owned);
    object.one_of(&["port", "derivePort"]);
    redirect.port = object.get("port").and_then(|port| port.port());
    object.not_in_force("derivePort", Severity::Warning, "the caller's port is kept");
    let names = ["uri", "authority", "scheme", "port", "derivePort"];
    if !object.names().any(|name| names.contains(&name)) {
        let hint = "give at least one of uri, authority, scheme and port";
        object.field().error(
            "empty-redirect",
            "it leads to where the request came from",
            hint,
        );
        return None;
    }
    Some(redirect)
}

/// Reads `directResponse`.
pub(super) fn direct(rule: &Object<'_>) -> Option<(StatusCode, Bytes)> {
    let object = rule.object("directResponse")?;
    let code = status(object.require("status")?.int(200, 600)?)?;
    let body = match object.object("body") {
        None => Bytes::new(),
        Some(body) => match body.one_of(&["string", "bytes"]) {
            Some("string") => Bytes::copy_from_slice(body.str("string")?.as_bytes()),
            Some(_) => decoded(&body.get("bytes")?)?,
            None => Bytes::new(),
        },
    };
    if body.len() > MAX_BODY {
        let message = format!("the body is larger than {MAX_BODY} bytes");
        object.field().error("out-of-range", message, "");
        return None;
    }
    Some((code, body))
}

fn status(code: i64) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(code).ok()?).ok()
}

/// Base64 (RFC 4648, standard alphabet), as proto-JSON writes bytes.
fn decoded(field: &Field<'_>) -> Option<Bytes> {
    let text = field.str()?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => {
                field.error(
                    "bad-base64",
                    "this is not base64",
                    "use `string` for plain text",
                );
                return None;
            }
        };
        bits = (bits << 6 | u32::from(digit)) & 0x00ff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    Some(bytes.into())
}
