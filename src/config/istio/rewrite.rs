//! `rewrite`, `redirect` and `directResponse` of a rule.

use bytes::Bytes;
use http::{StatusCode, uri::Authority};

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
    let field = object.field();
    let names = ["uri", "uriRegexRewrite", "authority"];
    if names.iter().all(|name| field.given(name).is_none()) {
        let hint =
            "give `uri`, `uriRegexRewrite` or `authority`; `uri: /` leaves the root of a prefix";
        field.error("empty-rewrite", "`rewrite` changes nothing", hint);
    }
    if field.given("uri").is_some() && field.given("uriRegexRewrite").is_some() {
        let message = "`uri` and `uriRegexRewrite` exclude each other";
        field.error("one-of", message, "keep one of them");
    }
    let regex = object.object("uriRegexRewrite").and_then(|regex| {
        let pattern = regex.require("match")?;
        let replacement = regex.require("rewrite")?;
        let text = replacement.str()?;
        if text.is_empty() {
            let message = "`rewrite` is empty";
            replacement.error("missing-field", message, "write \"/\" for the root");
        }
        check_path(&replacement, text);
        let pattern = http_match::regex(&pattern, pattern.str()?)?;
        Some((pattern, text.to_owned()))
    });
    let uri = path(&object);
    if let Some(uri) = uri.filter(|uri| !uri.starts_with('/')) {
        let message =
            format!("{uri:?} does not begin with `/`: it makes a path only after one that stays");
        let place = field.step("uri");
        place
            .as_ref()
            .unwrap_or(field)
            .warn("relative-rewrite", message, "begin it with `/`");
    }
    Some(Rewrite {
        uri: uri.map(str::to_owned),
        regex,
        authority: authority(&object),
    })
}

/// Reads `redirect`.
pub(super) fn redirect(rule: &Object<'_>) -> Option<Redirect> {
    let object = rule.object("redirect")?;
    let mut redirect = Redirect::new(redirect_status(&object)?);
    redirect.uri = path(&object).map(str::to_owned);
    redirect.authority = authority(&object);
    redirect.scheme = object
        .get("scheme")
        .and_then(|scheme| scheme.word(&[("", ""), ("http", "http"), ("https", "https")]))
        .filter(|scheme| !scheme.is_empty())
        .map(str::to_owned);
    object.one_of(&["port", "derivePort"]);
    redirect.port = object
        .get("port")
        .filter(|port| port.int_quietly() != Some(0))
        .and_then(|port| port.port());
    if let Some(port) = object.get("derivePort") {
        port.word(&[("FROM_PROTOCOL_DEFAULT", ()), ("FROM_REQUEST_PORT", ())]);
        object.not_in_force("derivePort", Severity::Warning, "the caller's port is kept");
    }
    if let Some(prefix) = object.get("prefixRewrite") {
        if let Some(text) = prefix.str() {
            check_path(&prefix, text);
        }
        let effect = "the whole path is kept";
        object.not_in_force("prefixRewrite", Severity::Warning, effect);
    }
    let names = [
        "uri",
        "authority",
        "scheme",
        "port",
        "derivePort",
        "prefixRewrite",
    ];
    if names
        .iter()
        .all(|name| object.field().given(name).is_none())
    {
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

fn redirect_status(object: &Object<'_>) -> Option<StatusCode> {
    let given = object.get("redirectCode");
    // 0 is none.
    let Some(field) = given.filter(|code| code.int_quietly() != Some(0)) else {
        return Some(StatusCode::MOVED_PERMANENTLY);
    };
    let code = field.int(300, 399)?;
    if !matches!(code, 301 | 302 | 303 | 307 | 308) {
        let hint = "one of 301, 302, 303, 307 and 308";
        let message = format!("{code} is valid, and no redirect to clients or to Envoy");
        field.warn("odd-redirect", message, hint);
    }
    status(code)
}

/// A `uri` that says something.
fn path<'a>(object: &Object<'a>) -> Option<&'a str> {
    let field = object.get("uri")?;
    let text = field.str()?;
    check_path(&field, text);
    (!text.is_empty()).then_some(text)
}

/// Whether a text may stand in a path as it is.
fn check_path(field: &Field<'_>, text: &str) -> bool {
    let fits = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if !fits {
        let message = "a rewrite makes no valid path with a blank, `#`, a control character or one beyond ASCII";
        let hint = "percent-encode it: %20 is a blank, %23 is `#`";
        field.error("bad-rewrite", message, hint);
    }
    fits
}

/// An `authority` that says something.
fn authority(object: &Object<'_>) -> Option<String> {
    let field = object.get("authority")?;
    let text = field.str()?;
    let fits = text.is_empty() || check_authority(&field, text);
    (fits && !text.is_empty()).then(|| text.to_owned())
}

/// Whether a text may stand in `Host`.
pub(super) fn check_authority(field: &Field<'_>, text: &str) -> bool {
    let fits = text.is_empty() || (text.parse::<Authority>().is_ok() && !text.contains('@'));
    if !fits {
        let message = "a rewrite makes no valid host of this";
        let hint = "a host, with `:` and a port or not; no scheme, path or blank";
        field.error("bad-rewrite", message, hint);
    }
    fits
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
