//! Istio's access log line, as JSON or text.
//!
//! Keys and order are those of Istio's default JSON encoding; numbers stay numbers, what is missing is `null` (text:
//! `-`). The JSON line of an LLM call that cost something ends with `llm_model` (the last that answered),
//! `llm_input_tokens` and `llm_output_tokens` (the sums over all attempts) and `llm_estimated` (whether any is estimated). Query strings are part of the path as in Envoy, except the values of parameters that carry credentials.

use std::{borrow::Cow, fmt::Write, sync::Arc};

use super::{Report, Summary};
use crate::base::{cost::Usage, time::format_rfc3339};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object a line.
    #[default]
    Json,
    /// Envoy's text format.
    Text,
}

/// Writes one line per request to a sink.
#[derive(Clone)]
pub struct AccessLog {
    encoding: Encoding,
    sink: Arc<dyn Fn(&str) + Send + Sync>,
}

enum Value<'a> {
    Missing,
    Text(Cow<'a, str>),
    Number(u64),
    Truth(bool),
}

// === impl AccessLog ===

impl AccessLog {
    /// A log that hands each line (without its line end) to `sink`.
    pub fn new(encoding: Encoding, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            encoding,
            sink: Arc::new(sink),
        }
    }

    /// The line of one request.
    #[must_use]
    pub fn line(&self, summary: &Summary) -> String {
        match self.encoding {
            Encoding::Json => {
                let mut fields = fields(summary);
                fields.extend(usage(summary));
                json(&fields)
            }
            Encoding::Text => text(&fields(summary)),
        }
    }
}

impl Report for AccessLog {
    fn report(&self, summary: &Summary) {
        (self.sink)(&self.line(summary));
    }

    fn wants_head(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog")
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

fn fields(s: &Summary) -> Vec<(&'static str, Value<'_>)> {
    use Value::{Missing, Number};
    let opt = |v: Option<String>| v.map_or(Missing, |v| Value::Text(v.into()));
    let header = |name: &str| {
        let value = s.head.as_ref().and_then(|h| h.headers.get(name));
        value.map_or(Missing, |v| {
            Value::Text(String::from_utf8_lossy(v.as_bytes()))
        })
    };
    let millis = |d: std::time::Duration| Number(u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    let head = s.head.as_ref();
    let authority = head
        .and_then(|h| h.uri.authority())
        // Without a user and password.
        .map(|a| a.as_str().rsplit('@').next().unwrap_or_default());
    let route = s.notes.route.as_ref();
    vec![
        ("start_time", Value::Text(format_rfc3339(s.started).into())),
        ("route_name", opt(route.map(|r| r.route.to_string()))),
        ("method", opt(head.map(|h| h.method.to_string()))),
        (
            "path",
            opt(head.map(|h| redact(h.uri.path_and_query().map_or("/", |p| p.as_str())))),
        ),
        ("protocol", opt(head.map(|h| format!("{:?}", h.version)))),
        ("response_code", Number(s.status.into())),
        ("response_flags", Value::Text(s.notes.flags().into())),
        ("response_code_details", opt(s.notes.details.clone())),
        ("connection_termination_details", Missing),
        ("bytes_received", Number(s.bytes_received)),
        ("bytes_sent", Number(s.bytes_sent)),
        ("duration", millis(s.duration)),
        (
            "upstream_service_time",
            s.notes.upstream_time.map_or(Missing, millis),
        ),
        ("x_forwarded_for", header("x-forwarded-for")),
        ("user_agent", header("user-agent")),
        ("request_id", header("x-request-id")),
        (
            "authority",
            authority.map_or_else(|| header("host"), |a| Value::Text(a.into())),
        ),
        (
            "upstream_host",
            opt(s.notes.endpoint.map(|e| e.to_string())),
        ),
        (
            "upstream_cluster",
            opt(route.map(|r| r.cluster.to_string())),
        ),
        ("upstream_local_address", Missing),
        (
            "downstream_local_address",
            opt(s.local.map(|a| a.to_string())),
        ),
        (
            "downstream_remote_address",
            opt(s.peer.map(|a| a.to_string())),
        ),
        ("requested_server_name", Missing),
        ("upstream_transport_failure_reason", Missing),
    ]
}

/// What an LLM call cost; nothing for other requests.
fn usage(s: &Summary) -> Vec<(&'static str, Value<'_>)> {
    let all = s.spent();
    let Some(last) = all.last() else {
        return Vec::new();
    };
    let sum = |of: fn(&Usage) -> u64| {
        let counts = all.iter().map(|spent| of(&spent.usage));
        Value::Number(counts.fold(0, u64::saturating_add))
    };
    let model = last.model.as_ref();
    vec![
        (
            "llm_model",
            model.map_or(Value::Missing, |m| Value::Text(m.to_string().into())),
        ),
        ("llm_input_tokens", sum(|usage| usage.input)),
        ("llm_output_tokens", sum(|usage| usage.output)),
        (
            "llm_estimated",
            Value::Truth(all.iter().any(|spent| spent.estimated)),
        ),
    ]
}

fn json(fields: &[(&'static str, Value<'_>)]) -> String {
    let mut out = String::with_capacity(512);
    for (i, (key, value)) in fields.iter().enumerate() {
        out.push(if i == 0 { '{' } else { ',' });
        // Writing to a string cannot fail.
        let _ = write!(out, "\"{key}\":");
        match value {
            Value::Missing => out.push_str("null"),
            Value::Number(n) => drop(write!(out, "{n}")),
            Value::Truth(truth) => drop(write!(out, "{truth}")),
            Value::Text(text) => quote(&mut out, text),
        }
    }
    out.push('}');
    out
}

fn text(fields: &[(&'static str, Value<'_>)]) -> String {
    let get = |key: &str| match fields.iter().find(|(k, _)| *k == key) {
        Some((_, Value::Text(text))) => text
            .chars()
            .map(|c| if c.is_control() || c == '"' { '?' } else { c })
            .collect(),
        Some((_, Value::Number(n))) => n.to_string(),
        Some((_, Value::Truth(truth))) => truth.to_string(),
        _ => "-".to_owned(),
    };
    format!(
        "[{}] \"{} {} {}\" {} {} {} {} \"{}\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {} {} {} {}",
        get("start_time"),
        get("method"),
        get("path"),
        get("protocol"),
        get("response_code"),
        get("response_flags"),
        get("response_code_details"),
        get("connection_termination_details"),
        get("upstream_transport_failure_reason"),
        get("bytes_received"),
        get("bytes_sent"),
        get("duration"),
        get("upstream_service_time"),
        get("x_forwarded_for"),
        get("user_agent"),
        get("request_id"),
        get("authority"),
        get("upstream_host"),
        get("upstream_cluster"),
        get("upstream_local_address"),
        get("downstream_local_address"),
        get("downstream_remote_address"),
        get("requested_server_name"),
        get("route_name"),
    )
}

/// Writes a JSON string. Control characters never reach the log raw.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Hides the values of query parameters that carry credentials.
fn redact(path: &str) -> String {
    const SECRET: [&str; 8] = [
        "key",
        "api_key",
        "api-key",
        "apikey",
        "access_token",
        "token",
        "x-goog-api-key",
        "x-amz-signature",
    ];
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let hidden = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRET.iter().any(|s| name.eq_ignore_ascii_case(s)) => {
            format!("{name}=***")
        }
        _ => pair.to_owned(),
    });
    format!("{path}?{}", hidden.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::base::cost::Ledger;
    use crate::{
        base::{
            cost::Spent,
            ext::{Flag, Notes, RouteMeta},
        },
        layers::metrics::Head,
    };

    fn summary() -> Summary {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "user-agent",
            http::HeaderValue::from_bytes(b"a\"b\xff\tc").unwrap(),
        );
        headers.insert(
            "authorization",
            http::HeaderValue::from_static("Bearer sk-secret"),
        );
        Summary {
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_341_600_678),
            duration: Duration::from_millis(1234),
            head: Some(Head {
                method: http::Method::POST,
                uri: "http://me:sk-secret@llm-service/v1/chat?api_key=sk-secret&x=1"
                    .parse()
                    .unwrap(),
                version: http::Version::HTTP_11,
                headers,
            }),
            peer: None,
            local: None,
            status: 503,
            grpc: false,
            bytes_received: 10,
            bytes_sent: 20,
            notes: Notes {
                flags: vec![Flag::URX, Flag::UF],
                route: Some(RouteMeta {
                    id: 0,
                    destination: 0,
                    route: "chat-route".into(),
                    virtual_host: "v".into(),
                    cluster: "outbound|8080|v1|h".into(),
                }),
                ..Notes::default()
            },
        }
    }

    #[test]
    fn a_json_line_has_istios_24_keys_and_no_secret() {
        let line = AccessLog::new(Encoding::Json, |_| {}).line(&summary());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 24);
        assert_eq!(value["start_time"], "2026-11-22T10:00:00.678Z");
        assert_eq!(value["response_code"], 503);
        assert_eq!(value["response_flags"], "URX,UF");
        assert_eq!(value["path"], "/v1/chat?api_key=***&x=1");
        assert_eq!(value["authority"], "llm-service");
        assert_eq!(value["x_forwarded_for"], serde_json::Value::Null);
        assert!(!line.contains("sk-secret"));
    }

    #[test]
    fn the_line_of_an_llm_call_says_what_its_attempts_cost() {
        let mut summary = summary();
        let ledger = Ledger::default();
        summary.notes.ledger = Some(ledger.clone());
        let line = |summary: &Summary| AccessLog::new(Encoding::Json, |_| {}).line(summary);
        assert!(!line(&summary).contains("llm_"));
        let mut cut = Spent::new(1, Usage::new(10, 3));
        cut.estimated = true;
        ledger.push(cut);
        let mut whole = Spent::new(2, Usage::new(11, 20));
        whole.model = Some("m-2\"".into());
        ledger.push(whole);
        let value: serde_json::Value = serde_json::from_str(&line(&summary)).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 28);
        assert_eq!(value["llm_model"], "m-2\"");
        assert_eq!(value["llm_input_tokens"], 21);
        assert_eq!(value["llm_output_tokens"], 23);
        assert_eq!(value["llm_estimated"], true);
    }

    #[test]
    fn a_text_line_is_one_line() {
        let line = AccessLog::new(Encoding::Text, |_| {}).line(&summary());
        assert!(line.starts_with("[2026-11-22T10:00:00.678Z] \"POST /v1/chat?api_key=***&x=1 HTTP/1.1\" 503 URX,UF - - \"-\" 10 20 1234"));
        assert!(line.chars().all(|c| !c.is_control()));
    }
}
