//! Istio's access log line, as JSON or text.
//!
//! Keys and order are those of Istio's default JSON encoding; numbers stay numbers, what is missing is `null` (text:
//! `-`). Where the destination's host does not tell its namespace (a ServiceEntry's seldom does), the JSON line goes on with
//! `destination_service_namespace`; that of a caller who is known by name with `llm_caller`; that of a request that was sent more than once, or of an LLM call that cost something, with
//! `attempts` (the sends, over all targets). That of an LLM call that cost something ends with `llm_model` (the last that answered),
//! `llm_input_tokens` and `llm_output_tokens` (the sums over all attempts) and `llm_estimated` (whether any is estimated). Query strings are part of the path as in Envoy, except the values of parameters that carry credentials.

pub mod params;

use std::{fmt::Write, sync::Arc};

use http::HeaderName;

pub use self::params::{Encoding, Field, Format};
use self::params::{Lines, quote};
use super::{Report, Summary};
use crate::base::{
    cost::Usage,
    operator::{self, Known, Operator, RequestHead, Value},
    secrets::{is_secret_header, is_secret_parameter},
};

/// Writes one line per request to a sink.
#[derive(Clone)]
pub struct AccessLog {
    format: Format,
    sink: Arc<dyn Fn(&str) + Send + Sync>,
}

// === impl AccessLog ===

impl AccessLog {
    /// A log that hands each line (without its line end) to `sink`. An [`Encoding`] stands for Istio's own format.
    pub fn new(format: impl Into<Format>, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            format: format.into(),
            sink: Arc::new(sink),
        }
    }

    /// The line of one request.
    #[must_use]
    pub fn line(&self, summary: &Summary) -> String {
        let known = known(summary);
        let value = |operator: &Operator| value(operator, &known, summary);
        let mut out = String::with_capacity(512);
        match &self.format.0 {
            Lines::Text(template) => {
                let line = template.render("-", |operator| value(operator).map(plain));
                return String::from_utf8_lossy(&line).into_owned();
            }
            Lines::Json(fields) => {
                out.push('{');
                params::write(&mut out, fields, &value);
            }
            Lines::Istio(fields) => {
                out.push('{');
                params::write(&mut out, fields, &value);
                if let Some(namespace) = namespace(summary) {
                    out.push_str(",\"destination_service_namespace\":");
                    quote(&mut out, namespace);
                }
                if let Some(caller) = &summary.notes.caller {
                    out.push_str(",\"llm_caller\":");
                    quote(&mut out, caller);
                }
                usage(&mut out, summary);
            }
        }
        out.push('}');
        out
    }
}

impl Report for AccessLog {
    fn report(&self, summary: &Summary) {
        (self.sink)(&self.line(summary));
    }

    fn wants_head(&self) -> bool {
        true
    }

    fn wants_answer(&self) -> bool {
        self.format.asks_response()
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

fn known(s: &Summary) -> Known<'_> {
    let head = s.head.as_ref();
    Known {
        request: head.map(|head| RequestHead {
            method: &head.method,
            uri: &head.uri,
            version: head.version,
            headers: &head.headers,
            scheme: scheme(head),
        }),
        status: s.status,
        response: s.answer.as_ref(),
        route: s.notes.route.as_ref(),
        notes: Some(&s.notes),
        peer: s.peer,
        local: s.local,
        started: Some(s.started),
        duration: Some(s.duration),
        bytes_received: s.bytes_received,
        bytes_sent: s.bytes_sent,
    }
}

fn scheme(head: &super::Head) -> &str {
    let told = head.headers.get("x-forwarded-proto");
    told.and_then(|v| v.to_str().ok()).unwrap_or("http")
}

/// What the log shows for an operator: no credential, whatever its format asks for.
fn value<'s>(operator: &Operator, known: &Known<'s>, s: &'s Summary) -> Option<Value<'s>> {
    const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
    let any = |is: fn(&operator::Field) -> bool| match operator {
        Operator::Request(first, other)
        | Operator::Response(first, other)
        | Operator::WithoutQuery(first, other) => is(first) || other.as_ref().is_some_and(is),
        _ => false,
    };
    if let Operator::Response(operator::Field::Header(name), _) = operator
        && *name == SERVICE_TIME
    {
        return s.notes.upstream_time.map(operator::millis);
    }
    let hidden = || Value::text("***");
    match operator {
        Operator::QueryParameter(name) if is_secret_parameter(name) => {
            known.value(operator).map(|_| hidden())
        }
        _ if any(is_secret) => known.value(operator).map(|_| hidden()),
        _ if any(is_path) => known.value(operator).map(|value| match value {
            Value::Bytes(path) => Value::text(redact(&String::from_utf8_lossy(&path))),
            number => number,
        }),
        _ => known.value(operator),
    }
}

fn is_path(field: &operator::Field) -> bool {
    match field {
        operator::Field::Path => true,
        operator::Field::Header(name) => name == "x-envoy-original-path" || name == "referer",
        _ => false,
    }
}

/// Fields that carry keys, tokens and sessions.
fn is_secret(field: &operator::Field) -> bool {
    matches!(field, operator::Field::Header(name) if is_secret_header(name))
}

/// A value in a text line, which it must not break.
fn plain(value: Value<'_>) -> Value<'_> {
    let breaks = |c: char| c.is_control() || c == '"';
    match value {
        Value::Bytes(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Value::text(text.replace(breaks, "?"))
        }
        number => number,
    }
}

/// The namespace of the service, where its host does not tell it.
fn namespace(s: &Summary) -> Option<&str> {
    let namespace = s.notes.namespace.as_deref()?;
    let host = s.notes.route.as_ref()?.cluster.rsplit('|').next()?;
    let told = host.contains(&format!(".{namespace}.svc"));
    (!told).then_some(namespace)
}

/// What an LLM call cost; nothing for other requests.
fn usage(out: &mut String, s: &Summary) {
    let all = s.spent();
    let attempts = s.notes.attempts;
    if attempts > 1 || !all.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(out, ",\"attempts\":{attempts}");
    }
    let Some(last) = all.last() else { return };
    let sum = |of: fn(&Usage) -> u64| {
        let counts = all.iter().map(|spent| of(&spent.usage));
        counts.fold(0, u64::saturating_add)
    };
    if let Some(alias) = &s.notes.alias {
        out.push_str(",\"llm_model_asked\":");
        quote(out, alias);
    }
    out.push_str(",\"llm_model\":");
    match &last.model {
        Some(model) => quote(out, model),
        None => out.push_str("null"),
    }
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        ",\"llm_input_tokens\":{},\"llm_output_tokens\":{},\"llm_estimated\":{}",
        sum(|usage| usage.input),
        sum(|usage| usage.output),
        all.iter().any(|spent| spent.estimated),
    );
}

/// Hides the values of query parameters that carry credentials.
fn redact(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let hidden = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret_parameter(name) => format!("{name}=***"),
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
            answer: None,
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
        assert!(!line(&summary).contains("llm_") && !line(&summary).contains("attempts"));
        summary.notes.caller = Some("web".into());
        assert!(line(&summary).ends_with(",\"llm_caller\":\"web\"}"));
        summary.notes.caller = None;
        summary.notes.attempts = 2;
        assert!(line(&summary).ends_with(",\"attempts\":2}"));
        let mut cut = Spent::new(1, Usage::new(10, 3));
        cut.estimated = true;
        ledger.push(cut);
        let mut whole = Spent::new(2, Usage::new(11, 20));
        whole.model = Some("m-2\"".into());
        ledger.push(whole);
        let value: serde_json::Value = serde_json::from_str(&line(&summary)).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 29);
        assert_eq!(value["attempts"], 2);
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

    fn own(format: Result<Format, operator::ParseError>, summary: &Summary) -> String {
        AccessLog::new(format.unwrap(), |_| {}).line(summary)
    }

    #[test]
    fn a_format_of_ones_own() {
        let mut summary = summary();
        summary
            .head
            .as_mut()
            .unwrap()
            .headers
            .insert("x-tier", "gold".parse().unwrap());
        let text = "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(X-TIER):2% %ROUTE_NAME% 100%% %REQ(x)%\n";
        assert_eq!(
            own(Format::text(text), &summary),
            "POST 503 URX,UF go chat-route 100% -"
        );
        let read = |text: &str| Field::Text(operator::Template::parse(text).unwrap());
        let fields = vec![
            ("code".to_owned(), read("%RESPONSE_CODE%")),
            ("mixed".to_owned(), read("<%RESPONSE_CODE%|%REQ(x)%>")),
            ("none".to_owned(), read("%REQ(x)%")),
            ("fixed".to_owned(), Field::Fixed("7".to_owned())),
            (
                "more\"".to_owned(),
                Field::Object(vec![("ua".to_owned(), read("%REQ(USER-AGENT)%"))]),
            ),
        ];
        let line = own(Ok(Format::json(fields)), &summary);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "code": 503, "mixed": "<503|->", "none": null, "fixed": 7,
                "more\"": {"ua": "a\"b\u{fffd}\tc"},
            })
        );
    }

    #[test]
    fn no_format_shows_a_credential() {
        let summary = summary();
        let text = "%REQ(Authorization)% %REQ(x?AUTHORIZATION):20% %REQ(:PATH)% %QUERY_PARAM(api_key)% %QUERY_PARAM(x)% %REQ(:AUTHORITY)% %REQ(COOKIE)%";
        let line = own(Format::text(text), &summary);
        assert_eq!(line, "*** *** /v1/chat?api_key=***&x=1 *** 1 llm-service -");
    }
}
