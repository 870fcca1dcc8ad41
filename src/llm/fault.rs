//! Reads an error body of any of the known shapes into one set of facts.
//!
//! OpenAI nests (`error.message`, `.type`, `.code`), Mistral and old vLLM are flat, FastAPI says `detail`, AWS puts a name
//! into a header or `__type`, Google wraps errors into a list and hangs typed details on them, OpenRouter adds
//! `metadata`, Ollama and TGI give a bare string, Cloudflare and watsonx a list under `errors`, MiniMax a `base_resp`. Whatever
//! is missing or of another type is simply not a fact.

use serde_json::{Map, Value};

/// What an error body says. Borrowed from the parsed body.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Fault<'a> {
    /// The text for people.
    pub message: &'a str,
    /// `code`, where it is a word (or a number that is no HTTP status).
    pub code: Option<&'a str>,
    /// `code`, where it is an HTTP error status, as a number or in digits.
    pub number: Option<u16>,
    /// Whether `code` is an HTTP status in digits, as Azure writes it.
    pub digits: bool,
    /// `code` or `type`, where it is a number that is no HTTP status: one of the vendor's own.
    pub vendor: Option<u32>,
    /// Whether the error is MiniMax' `base_resp`.
    pub base: bool,
    /// `type`.
    pub kind: Option<&'a str>,
    /// gRPC status name (Google).
    pub status: Option<&'a str>,
    /// Whether the error is an object under `error`.
    pub nested: bool,
    /// `details.error_code` (Anthropic).
    pub detail_code: Option<&'a str>,
    /// `innererror.code` (Azure).
    pub inner_code: Option<&'a str>,
    /// `google.rpc.ErrorInfo.reason`.
    pub reason: Option<&'a str>,
    /// Whether a `google.rpc.QuotaFailure` names a quota per day.
    pub per_day: bool,
    /// `google.rpc.RetryInfo.retryDelay`.
    pub retry_delay: Option<&'a str>,
    /// `metadata.error_type` (OpenRouter) or `error_type` (TGI).
    pub error_type: Option<&'a str>,
    /// `metadata.limit_source` (OpenRouter).
    pub limit_source: Option<&'a str>,
    /// `metadata.resets_at` (OpenRouter), or `resets_at` (Codex).
    pub resets_at: Option<&'a Value>,
    /// `metadata.raw`: what the provider behind a gateway said (OpenRouter).
    pub raw: Option<&'a str>,
    /// `retry_after` or `retry_after_ms`, in seconds.
    pub retry_after: Option<f64>,
    /// Whether moderation says why (OpenRouter `metadata.reasons`, `.patterns`, `.flagged_input`).
    pub flagged: bool,
    /// `__type` (AWS), as it stands.
    pub aws: Option<&'a str>,
    /// `originalStatusCode` (AWS).
    pub original_status: Option<u16>,
    /// `estimated_time`, in seconds (Hugging Face).
    pub estimated_time: Option<f64>,
}

/// Where the text for people stands: with all; AWS; Baidu and others; Vercel's AI SDK.
const MESSAGES: &[&str] = &[
    "message",
    "Message",
    "msg",
    "error_msg",
    "error_message",
    "errorText",
];

/// Keys under which an answer stands: beside one, a code and words are no error.
const ANSWERS: &[&str] = &[
    "candidates",
    "choices",
    "content",
    "output",
    "result",
    "results",
];

// === impl Fault ===

impl<'a> Fault<'a> {
    /// The facts in an error body; none if it has no known shape.
    #[must_use]
    pub fn read(body: &'a Value) -> Self {
        let mut fault = Self::default();
        let Value::Object(top) = first(body) else {
            return fault;
        };
        fault.aws = string(top, "__type");
        fault.original_status = number(top, "originalStatusCode").and_then(status);
        fault.estimated_time = top.get("estimated_time").and_then(Value::as_f64);
        fault.retry_after = retry_after(top);
        if let Some(base) = base_error(top) {
            fault.base = true;
            fault.message = string(base, "status_msg").unwrap_or_default();
            fault.read_code(base.get("status_code"));
            return fault;
        }
        match top.get("error").map(first) {
            Some(Value::Object(error)) => {
                fault.nested = true;
                fault.read_error(error);
            }
            Some(Value::String(message)) => {
                fault.message = message;
                fault.kind = string(top, "type");
                fault.error_type = string(top, "error_type");
                fault.read_code(top.get("code"));
            }
            // Cloudflare gives a list.
            _ => match top.get("errors").and_then(|list| list.get(0)?.as_object()) {
                Some(error) => fault.read_error(error),
                None => fault.read_error(top),
            },
        }
        fault
    }

    /// Whether the body carries an error beside an answer, or is one instead.
    #[must_use]
    pub fn is_error(body: &Value) -> bool {
        let Value::Object(top) = first(body) else {
            return false;
        };
        if top.get("error").is_some_and(says) || base_error(top).is_some() {
            return true;
        }
        let coded = top.get("code").is_some_and(|code| {
            code.is_number() || code.as_str().is_some_and(|code| !code.is_empty())
        });
        let told = coded || MESSAGES.iter().any(|key| word(top, key).is_some());
        let answers = ANSWERS.iter().any(|key| top.contains_key(*key));
        let typed = word(top, "type").is_some_and(|kind| !is_problem(kind));
        is_named(top) && told || !answers && !typed && is_flat(top)
    }

    /// Whether the body says nothing.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.message.is_empty() && self.code.is_none() && self.kind.is_none()
    }

    /// The facts in the inside of an error object.
    #[must_use]
    pub fn of_object(error: &'a Map<String, Value>) -> Self {
        let mut fault = Self {
            nested: true,
            ..Self::default()
        };
        fault.read_error(error);
        fault
    }

    fn read_error(&mut self, error: &'a Map<String, Value>) {
        self.message = MESSAGES
            .iter()
            .find_map(|key| string(error, key))
            .or_else(|| detail(error.get("detail")?))
            .unwrap_or_default();
        // LangServe has `status_code`, RFC 9457 a `status` that is a number.
        let status = error.get("status").filter(|status| status.is_number());
        let number = error.get("status_code").or(status);
        self.read_code(error.get("code").or(number));
        // FastAPI's list of what a request lacks, which is a 422 wherever it stands.
        let lacks = |list: &Value| list.get(0)?.get("loc").map(drop);
        if self.number.is_none() && error.get("detail").and_then(lacks).is_some() {
            self.number = Some(422);
        }
        self.kind = string(error, "type");
        // z.ai, in its Anthropic dialect.
        self.vendor = self.vendor.or_else(|| self.kind?.parse().ok());
        self.status = string(error, "status");
        self.inner_code = error
            .get("innererror")
            .and_then(|inner| text(inner, "code"));
        self.error_type = string(error, "error_type");
        self.resets_at = error.get("resets_at").filter(|at| !at.is_null());
        self.retry_after = retry_after(error).or(self.retry_after);
        match error.get("details") {
            Some(Value::Array(details)) => details.iter().for_each(|d| self.read_google(d)),
            Some(details) => self.detail_code = text(details, "error_code"),
            None => {}
        }
        if let Some(Value::Object(metadata)) = error.get("metadata") {
            self.error_type = string(metadata, "error_type");
            self.limit_source = string(metadata, "limit_source");
            self.resets_at = metadata.get("resets_at").filter(|at| !at.is_null());
            self.raw = string(metadata, "raw");
            self.flagged = ["reasons", "patterns", "flagged_input"]
                .iter()
                .any(|key| metadata.get(*key).is_some_and(|v| !v.is_null()));
        }
    }

    fn read_code(&mut self, code: Option<&'a Value>) {
        match code {
            Some(Value::Number(n)) => {
                self.number = n.as_u64().and_then(status);
                self.vendor = n.as_u64().and_then(vendor);
            }
            Some(Value::String(code)) if !code.is_empty() => {
                self.number = code.parse().ok().and_then(status);
                self.vendor = code.parse().ok().and_then(vendor);
                self.digits = self.number.is_some();
                self.code = (!self.digits).then_some(code);
            }
            _ => {}
        }
    }

    fn read_google(&mut self, detail: &'a Value) {
        let kind = text(detail, "@type").unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "ErrorInfo" => self.reason = text(detail, "reason"),
            "RetryInfo" => self.retry_delay = text(detail, "retryDelay"),
            "QuotaFailure" => {
                let violations = detail.get("violations").and_then(Value::as_array);
                self.per_day |= violations.into_iter().flatten().any(|violation| {
                    ["quotaId", "quotaMetric"]
                        .iter()
                        .filter_map(|key| text(violation, key))
                        .any(|id| id.contains("PerDay") || id.contains("per_day"))
                });
            }
            _ => {}
        }
    }
}

/// Whether an object calls itself an error: of type or object `error`, or of a type that ends so, with words.
pub(crate) fn is_named(object: &Map<String, Value>) -> bool {
    let kind = word(object, "type").or_else(|| word(object, "event_type"));
    kind == Some("error")
        || word(object, "object") == Some("error")
        || (kind.is_some_and(names_error) && word(object, "message").is_some())
}

/// Whether an object of no type is an error: by a status and words, AWS's exception, or a list of errors.
pub(crate) fn is_flat(object: &Map<String, Value>) -> bool {
    let message = ["message", "detail"]
        .iter()
        .any(|key| word(object, key).is_some());
    let aws = word(object, "__type");
    message && (has_status(object) || aws.is_some())
        || aws.is_some_and(names_error)
        || object
            .get("errors")
            .and_then(|errors| errors.get(0)?.as_object())
            .is_some_and(|error| {
                ["message", "code"]
                    .iter()
                    .any(|key| word(error, key).is_some())
            })
}

/// Whether it has an HTTP status of an error, as a number or in digits.
pub(crate) fn has_status(object: &Map<String, Value>) -> bool {
    ["code", "status", "status_code"].iter().any(|key| {
        let number = object.get(*key).and_then(|code| match code {
            Value::String(digits) => digits.parse().ok(),
            other => other.as_u64(),
        });
        number.and_then(status).is_some()
    })
}

/// Whether a type is the address of a kind of problem, as RFC 9457 has it, and so none of a stream's events.
pub(crate) fn is_problem(kind: &str) -> bool {
    kind.contains(':')
}

/// Whether it says nothing but FastAPI's `detail`.
pub(crate) fn is_detail(object: &Map<String, Value>) -> bool {
    object.len() == 1
        && object
            .get("detail")
            .and_then(detail)
            .is_some_and(|words| !words.is_empty())
}

/// Whether a type is that of an error.
pub(crate) fn names_error(kind: &str) -> bool {
    ["error", "Error", "exception", "Exception"]
        .iter()
        .any(|end| kind.ends_with(end))
}

/// Whether what stands under `error` says anything: some servers send it empty beside every answer.
pub(crate) fn says(error: &Value) -> bool {
    match error {
        Value::Object(error) => error.values().any(|value| match value {
            Value::Null => false,
            Value::Bool(told) => *told,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(object) => !object.is_empty(),
        }),
        Value::String(message) => !message.is_empty(),
        Value::Array(list) => list.first().is_some_and(says),
        _ => false,
    }
}

/// The first of a list, in which some wrap their errors.
fn first(value: &Value) -> &Value {
    match value {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        other => other,
    }
}

/// A text that is not empty.
fn word<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    string(object, key).filter(|text| !text.is_empty())
}

fn string<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn number(object: &Map<String, Value>, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// FastAPI: a string, or a list of `{loc, msg, type}`.
fn detail(detail: &Value) -> Option<&str> {
    match detail {
        Value::String(text) => Some(text),
        Value::Array(list) => text(list.first()?, "msg"),
        Value::Object(object) => string(object, "message"),
        _ => None,
    }
}

/// MiniMax answers with `base_resp`, whose `status_code` is 0 where all is well.
fn base_error(top: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let base = top.get("base_resp")?.as_object()?;
    number(base, "status_code")
        .filter(|code| *code != 0)
        .map(|_| base)
}

/// A wait beside the text, as Cloudflare and other gateways give it.
fn retry_after(object: &Map<String, Value>) -> Option<f64> {
    let number = |key: &str| object.get(key).and_then(Value::as_f64);
    number("retry_after_ms")
        .map(|ms| ms / 1e3)
        .or_else(|| number("retry_after"))
        .or_else(|| number("retry_after_seconds"))
}

/// A number that is none.
fn vendor(n: u64) -> Option<u32> {
    u32::try_from(n).ok().filter(|n| *n >= 600)
}

/// A number that is an HTTP error status.
fn status(n: u64) -> Option<u16> {
    u16::try_from(n).ok().filter(|n| (400..600).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_every_shape() {
        for (body, message, code, kind) in [
            (
                json!({"error": {"message": "m", "type": "t", "code": "c"}}),
                "m",
                Some("c"),
                Some("t"),
            ),
            (
                json!({"object": "error", "message": "m", "type": "t", "code": "1300"}),
                "m",
                Some("1300"),
                Some("t"),
            ),
            (
                json!([{"error": {"message": "m", "code": 429}}]),
                "m",
                None,
                None,
            ),
            (
                json!({"error": "m", "error_type": "validation"}),
                "m",
                None,
                None,
            ),
            (json!({"detail": "m"}), "m", None, None),
            (
                json!({"detail": [{"loc": [1], "msg": "m"}]}),
                "m",
                None,
                None,
            ),
            (json!({"Message": "m"}), "m", None, None),
            (
                json!({"errors": [{"message": "m", "code": "c"}], "success": false}),
                "m",
                Some("c"),
                None,
            ),
            (
                json!({"base_resp": {"status_code": 1008, "status_msg": "m"}}),
                "m",
                None,
                None,
            ),
        ] {
            let fault = Fault::read(&body);
            assert_eq!(
                (fault.message, fault.code, fault.kind),
                (message, code, kind)
            );
        }
    }

    #[test]
    fn a_code_in_digits_is_a_status() {
        let body = json!({"error": {"code": "429", "message": "m"}});
        let fault = Fault::read(&body);
        assert_eq!(
            (fault.number, fault.digits, fault.code),
            (Some(429), true, None)
        );
        let body = json!({"error": {"code": 1300}});
        assert_eq!(Fault::read(&body).number, None);
    }

    #[test]
    fn other_json_has_no_facts() {
        for body in [
            json!(null),
            json!(1),
            json!("error"),
            json!([]),
            json!([[]]),
            json!({"error": null}),
            json!({"error": {"message": 1, "code": [], "details": 3, "metadata": "x"}}),
        ] {
            let fault = Fault::read(&body);
            assert_eq!((fault.message, fault.code), ("", None), "{body}");
        }
        for none in [
            json!({"error": null, "choices": []}),
            json!({"error": {}}),
            json!({"error": ""}),
            json!({"error": {"code": 0, "message": "", "type": null}}),
        ] {
            assert!(!Fault::is_error(&none), "{none}");
        }
        assert!(Fault::is_error(&json!({"error": {"code": 1}})));
    }
}
