//! The rows of the table that need words of their own; whole answers are in the case file.

use ::http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::base::time::parse_rfc3339;

struct Row {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Value,
    provider: Option<Provider>,
    llm: bool,
}

fn now() -> SystemTime {
    parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
}

fn row(status: u16, body: Value) -> Row {
    Row {
        status,
        headers: &[],
        body,
        provider: None,
        llm: true,
    }
}

impl Row {
    fn from(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    fn decide(&self) -> Finding {
        let fault = Fault::read(&self.body);
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        decide(&Evidence {
            status: effective_status(self.status, &fault),
            headers: &headers,
            fault: &fault,
            provider: self.provider,
            llm: self.llm,
            now: now(),
        })
    }

    #[track_caller]
    fn is(self, outcome: Outcome) -> Finding {
        let found = self.decide();
        assert_eq!(found.outcome, outcome, "{} {}", self.status, self.body);
        found
    }
}

fn code(status: u16, code: &str) -> Row {
    row(
        status,
        json!({"error": {"message": "m", "type": "t", "code": code}}),
    )
}

fn message(status: u16, message: &str) -> Row {
    row(
        status,
        json!({"error": {"message": message, "type": "invalid_request_error", "code": null}}),
    )
}

#[test]
fn money_outranks_everything() {
    for word in EXHAUSTED {
        for status in [400, 403, 429] {
            let found = code(status, word)
                .with(&[("retry-after", "1"), ("x-should-retry", "true")])
                .is(Outcome::QuotaExhausted);
            assert_eq!((found.scope, found.retry_same), (Scope::Account, false));
        }
    }
    for (word, scope) in [
        ("enforced_spend_limit_reached", Scope::Account),
        ("organization_spend_limit_exceeded", Scope::Account),
        ("project_spend_limit_exceeded", Scope::Credential),
    ] {
        let found = code(429, word).is(Outcome::QuotaWindow);
        let reset = parse_rfc3339("2026-12-01T00:00:00Z");
        assert_eq!((found.scope, found.reset_at), (scope, reset), "{word}");
    }
    // The code tells them apart, the type does not.
    let body = json!({"error": {"type": "insufficient_quota", "code": "rate_limit_exceeded"}});
    row(429, body).is(Outcome::RateLimited);
    let body = json!({"error": {"type": "insufficient_quota", "code": null}});
    row(429, body).is(Outcome::QuotaExhausted);
    let body = json!({"type": "error", "error": {"type": "billing_error", "message": "m"}});
    row(402, body).is(Outcome::QuotaExhausted);
    row(402, json!({})).is(Outcome::QuotaExhausted);
}

#[test]
fn geminis_daily_quota_ignores_its_retry_info() {
    let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
         "violations": [{"quotaMetric": "x", "quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]}});
    let found = row(429, body).is(Outcome::QuotaWindow);
    assert_eq!(found.reset_at, parse_rfc3339("2026-11-23T08:00:00Z"));
    assert!(!found.retry_same);
    let body = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}});
    let found = row(400, body).is(Outcome::Auth);
    assert_eq!(found.scope, Scope::Credential);
}

#[test]
fn openrouter_says_which_limit() {
    let limit = |status: u16, source: &str, resets: Value| {
        row(
            status,
            json!({"error": {"code": status, "message": "m",
                "metadata": {"limit_source": source, "resets_at": resets}}}),
        )
    };
    let at = parse_rfc3339("2026-11-23T00:00:00Z");
    for (source, scope) in [
        ("openrouter_key_limit", Scope::Credential),
        ("openrouter_guardrail_budget", Scope::Credential),
        ("openrouter_workspace_budget", Scope::Account),
    ] {
        let found = limit(403, source, json!("2026-11-23T00:00:00Z")).is(Outcome::QuotaWindow);
        assert_eq!((found.scope, found.reset_at), (scope, at), "{source}");
    }
    limit(402, "openrouter_credits", json!(null)).is(Outcome::QuotaExhausted);
    limit(402, "openrouter_in_flight_budget", json!(null)).is(Outcome::RateLimited);
    for key in ["reasons", "patterns", "flagged_input"] {
        let body = json!({"error": {"code": 403, "metadata": {key: ["x"]}}});
        row(403, body).is(Outcome::ContentFilter);
    }
    for (word, outcome) in [
        ("context_length_exceeded", Outcome::ContextLength),
        ("payload_too_large", Outcome::TooLarge),
        ("provider_unavailable", Outcome::ServerError),
        ("timeout", Outcome::Timeout),
        ("refusal", Outcome::ContentFilter),
        ("authentication", Outcome::Auth),
    ] {
        let body = json!({"error": {"code": 400, "metadata": {"error_type": word}}});
        row(200, body).is(outcome);
    }
}

#[test]
fn aws_names_in_header_and_body() {
    for (name, status, outcome) in [
        ("ConflictException", 400, Outcome::Conflict),
        ("ModelTimeoutException", 408, Outcome::Timeout),
        ("InternalServerException", 500, Outcome::ServerError),
        ("ServiceUnavailableException", 503, Outcome::Overloaded),
        ("ResourceNotFoundException", 404, Outcome::NotFound),
        ("InvalidClientTokenId", 403, Outcome::Auth),
        ("UnrecognizedClientException", 403, Outcome::Auth),
        ("TooManyRequestsException", 429, Outcome::RateLimited),
        ("EC2ThrottledException", 503, Outcome::RateLimited),
        ("ValidationException", 400, Outcome::InvalidRequest),
        ("NobodyKnowsException", 403, Outcome::Permission),
    ] {
        let body = json!({"__type": format!("com.amazon.coral#{name}"), "message": "m"});
        row(status, body).is(outcome);
    }
    let expired = row(403, json!({"message": "m"}))
        .with(&[("x-amzn-errortype", "ExpiredTokenException:http://x/")])
        .is(Outcome::Auth);
    assert!(expired.retry_same && expired.immediate && expired.scope == Scope::None);
}

#[test]
fn a_424_is_what_it_was_inside() {
    for (inner, outcome) in [
        (json!(400), Outcome::InvalidRequest),
        (json!(429), Outcome::RateLimited),
        (json!(503), Outcome::Overloaded),
        (json!(200), Outcome::ServerError),
        (json!("x"), Outcome::ServerError),
    ] {
        let body = json!({"message": "m", "originalStatusCode": inner});
        row(424, body)
            .with(&[("x-amzn-errortype", "ModelErrorException")])
            .is(outcome);
    }
    row(424, json!({"error": "m", "error_type": "generation"})).is(Outcome::ServerError);
}

#[test]
fn one_status_two_meanings() {
    message(403, "m")
        .from(Provider::Together)
        .is(Outcome::ContextLength);
    message(403, "m")
        .from(Provider::OpenAi)
        .is(Outcome::Permission);
    message(498, "m")
        .from(Provider::Groq)
        .is(Outcome::Overloaded);
    message(498, "m").from(Provider::Cohere).is(Outcome::Auth);
    row(498, json!({"message": "m"})).is(Outcome::Auth);
    row(412, json!({}))
        .from(Provider::Fireworks)
        .is(Outcome::QuotaExhausted);
    row(412, json!({})).is(Outcome::InvalidRequest);
    row(429, json!({"error": "m", "error_type": "overloaded"})).is(Outcome::Overloaded);
    row(429, json!({}))
        .with(&[("x-ratelimit-over-limit", "yes")])
        .is(Outcome::RateLimited);
    row(503, json!({"error": "Model x is currently loading"})).is(Outcome::ModelNotReady);
    row(503, json!({"error": "m"})).is(Outcome::Overloaded);
    row(429, json!({}))
        .with(&[("x-envoy-overloaded", "true")])
        .is(Outcome::Overloaded);
}

#[test]
fn regions_and_networks_leave_other_places_open() {
    let found = code(403, "unsupported_country_region_territory").is(Outcome::Permission);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::Credential, Elsewhere::Any)
    );
    let found = code(400, "failed_precondition").is(Outcome::Permission);
    assert_eq!(found.elsewhere, Elsewhere::Any);
    let found = message(403, "m")
        .from(Provider::Azure)
        .is(Outcome::Permission);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::Target, Elsewhere::Any)
    );
    let found = message(403, "m").is(Outcome::Permission);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::Credential, Elsewhere::OtherAccount)
    );
}

#[test]
fn anthropics_details_and_spend_limits() {
    let detail = |status: u16, word: &str| {
        row(
            status,
            json!({"type": "error", "error": {"type": "x", "message": "m", "details": {"error_code": word}}}),
        )
    };
    detail(429, "ramp_limit_exceeded").is(Outcome::RampLimited);
    detail(429, "contract_spend_limit_reached").is(Outcome::QuotaExhausted);
    detail(400, "request_body_too_large_after_decoding").is(Outcome::TooLarge);
    detail(400, "image_dimensions_too_large").is(Outcome::InvalidRequest);
    let found = detail(500, "cmek_context_unavailable").is(Outcome::ServerError);
    assert_eq!(found.scope, Scope::Account);
    let text =
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.";
    let found = message(400, text).is(Outcome::QuotaWindow);
    assert_eq!(found.reset_at, parse_rfc3339("2026-12-01T00:00:00Z"));
}

#[test]
fn statuses_without_a_word() {
    for (status, outcome) in [
        (400, Outcome::InvalidRequest),
        (401, Outcome::Auth),
        (403, Outcome::Permission),
        (404, Outcome::NotFound),
        (405, Outcome::InvalidRequest),
        (408, Outcome::Timeout),
        (409, Outcome::Conflict),
        (411, Outcome::InvalidRequest),
        (413, Outcome::TooLarge),
        (415, Outcome::InvalidRequest),
        (422, Outcome::InvalidRequest),
        (431, Outcome::InvalidRequest),
        (446, Outcome::ContentFilter),
        (499, Outcome::Cancelled),
        (500, Outcome::ServerError),
        (501, Outcome::ServerError),
        (502, Outcome::ServerError),
        (504, Outcome::Timeout),
        (520, Outcome::ServerError),
        (524, Outcome::Timeout),
        (527, Outcome::ServerError),
        (529, Outcome::Overloaded),
        (530, Outcome::ServerError),
        (999, Outcome::ServerError),
    ] {
        let found = row(status, Value::Null).is(outcome);
        assert!(found.status_only, "{status}");
    }
}

#[test]
fn an_ordinary_services_404_blames_nobody() {
    let mut ordinary = row(404, json!({"detail": "no such document"}));
    ordinary.llm = false;
    let found = ordinary.is(Outcome::NotFound);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::None, Elsewhere::None)
    );
    let found = row(404, json!({"detail": "no such model"})).is(Outcome::NotFound);
    assert_eq!(found.scope, Scope::Target);
}

#[test]
fn words_decide_under_a_200_where_the_status_cannot() {
    for (word, outcome) in [
        ("server_error", Outcome::ServerError),
        ("rate_limit_exceeded", Outcome::RateLimited),
        ("vector_store_timeout", Outcome::Timeout),
        ("bio_policy", Outcome::ContentFilter),
        ("invalid_prompt", Outcome::InvalidRequest),
        ("server_is_overloaded", Outcome::Overloaded),
        ("invalid_request_error", Outcome::InvalidRequest),
        ("nobody_knows", Outcome::ServerError),
    ] {
        row(200, json!({"error": {"message": "m", "code": word}})).is(outcome);
    }
    row(200, json!({"error": {"type": "invalid_request_error"}})).is(Outcome::InvalidRequest);
    row(200, json!({"error": "m"})).is(Outcome::ServerError);
}
