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

    fn headers(&self) -> HeaderMap {
        self.headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn decide(&self) -> Finding {
        let (fault, headers) = (Fault::read(&self.body), self.headers());
        decide(&Evidence::new(
            self.status,
            &headers,
            &fault,
            self.provider,
            self.llm,
            now(),
        ))
    }

    fn class(&self) -> Class {
        let (fault, headers) = (Fault::read(&self.body), self.headers());
        let signal = Signal::Response {
            status: StatusCode::from_u16(self.status).unwrap(),
            grpc_status: None,
            ratelimited: false,
        };
        let llm = self.llm;
        Evidence::new(self.status, &headers, &fault, self.provider, llm, now()).class(signal)
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
        for status in [400, 403, 429, 500] {
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
        (Scope::Credential, FallbackScope::Any)
    );
    let found = code(400, "failed_precondition").is(Outcome::Permission);
    assert_eq!(found.elsewhere, FallbackScope::Any);
    let found = message(403, "m")
        .from(Provider::Azure)
        .is(Outcome::Permission);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::Target, FallbackScope::Any)
    );
    let found = message(403, "m").is(Outcome::Permission);
    assert_eq!(
        (found.scope, found.elsewhere),
        (Scope::Credential, FallbackScope::OtherAccount)
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
        (Scope::None, FallbackScope::None)
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
        ("invalid_base64_image", Outcome::InvalidRequest),
        ("image_from_the_future_unsupported", Outcome::InvalidRequest),
        ("data_residency_mismatch", Outcome::InvalidRequest),
        ("child_safety_policy_violation", Outcome::ContentFilter),
        ("nobody_knows", Outcome::ServerError),
        ("internal_error", Outcome::ServerError),
        ("upstream_error", Outcome::ServerError),
    ] {
        row(200, json!({"error": {"message": "m", "code": word}})).is(outcome);
    }
    row(200, json!({"error": {"type": "invalid_request_error"}})).is(Outcome::InvalidRequest);
    row(200, json!({"error": "m"})).is(Outcome::ServerError);
}

/// An error as vendors tell it: status, body.
fn vendors() -> Vec<(u16, Value, Outcome)> {
    use Outcome::{
        Auth, ContentFilter, ContextLength, InvalidRequest, ModelNotReady, NotFound, Overloaded,
        Permission, QuotaExhausted, QuotaWindow, RateLimited, RequestExceedsLimit, ServerError,
    };
    let openai = |message: &str, kind: &str, code: Value| json!({"error": {"message": message, "type": kind, "code": code}});
    let none = Value::Null;
    vec![
        // Money.
        (
            429,
            openai(
                "Your account is suspended due to insufficient balance",
                "exceeded_current_quota_error",
                none.clone(),
            ),
            QuotaExhausted,
        ),
        (
            403,
            openai(
                "organization exceeded current quota",
                "exceeded_current_quota_error",
                none.clone(),
            ),
            QuotaExhausted,
        ),
        (
            402,
            openai(
                "Insufficient Balance",
                "unknown_error",
                json!("invalid_request_error"),
            ),
            QuotaExhausted,
        ),
        (
            400,
            openai(
                "Insufficient Balance",
                "unknown_error",
                json!("invalid_request_error"),
            ),
            QuotaExhausted,
        ),
        (
            429,
            openai(
                "Insufficient balance or no resource package. Please recharge.",
                "x",
                json!("1113"),
            ),
            QuotaExhausted,
        ),
        (
            429,
            json!({"type": "error", "error": {"type": "1113", "message": "[1113][x][y]"}}),
            QuotaExhausted,
        ),
        (
            429,
            json!({"type": "error", "error": {"type": "rate_limit_error", "code": "1113", "message": "[1113][Insufficient balance]"}}),
            QuotaExhausted,
        ),
        (
            429,
            json!({"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}}),
            QuotaExhausted,
        ),
        (
            500,
            json!({"type": "error", "error": {"type": "api_error", "message": "insufficient balance (1008)"}}),
            QuotaExhausted,
        ),
        (
            429,
            json!({"error": {"http_code": "429", "message": "m", "type": "insufficient_balance_error"}}),
            QuotaExhausted,
        ),
        (
            400,
            json!({"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing.", "request_id": "x"}),
            QuotaExhausted,
        ),
        (
            403,
            json!({"code": "AllocationQuota.FreeTierOnly", "message": "m"}),
            QuotaExhausted,
        ),
        (
            403,
            json!({"error": {"code": "AccountOverdueError", "message": "m", "type": "Forbidden"}}),
            QuotaExhausted,
        ),
        (
            429,
            json!(
                "Your team x has either used all available credits or reached its monthly spending limit."
            ),
            RateLimited,
        ),
        (
            429,
            json!({"code": "c", "error": "Your team x has either used all available credits or reached its monthly spending limit."}),
            QuotaExhausted,
        ),
        (
            403,
            json!({"code": "x", "error": "You have run out of credits or need a subscription."}),
            QuotaExhausted,
        ),
        (
            403,
            json!({"code": 30001, "message": "Sorry, your account balance is insufficient", "data": null}),
            QuotaExhausted,
        ),
        (
            403,
            openai(
                "user quota is not enough",
                "one_api_error",
                json!("insufficient_user_quota"),
            ),
            QuotaExhausted,
        ),
        (
            400,
            openai(
                "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
                "budget_exceeded",
                json!("400"),
            ),
            QuotaExhausted,
        ),
        (
            429,
            openai(
                "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
                "auth_error",
                none.clone(),
            ),
            QuotaExhausted,
        ),
        (
            429,
            openai(
                "litellm.RateLimitError: OpenAIException - {'error': {'message': 'You exceeded your current quota, please check your plan.', 'type': 'insufficient_quota'}}",
                "throttling_error",
                json!("429"),
            ),
            QuotaExhausted,
        ),
        (
            200,
            json!({"id": "x", "choices": null, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
            QuotaExhausted,
        ),
        (
            200,
            json!({"base_resp": {"status_code": 1008, "status_msg": ""}}),
            QuotaExhausted,
        ),
        // Windows.
        (
            429,
            openai(
                "Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 19:01:25",
                "x",
                json!("1308"),
            ),
            QuotaWindow,
        ),
        (
            429,
            json!({"type": "error", "error": {"type": "rate_limit_error", "message": "usage limit exceeded, 5-hour usage limit reached for Token Plan (0/0 used), resets at 2026-11-22T15:00:00Z (2056)"}}),
            QuotaWindow,
        ),
        (
            403,
            openai(
                "You've reached your usage limit for this billing cycle.",
                "access_terminated_error",
                none.clone(),
            ),
            QuotaWindow,
        ),
        (
            429,
            openai(
                "you have reached your session usage limit, upgrade for higher limits",
                "api_error",
                none.clone(),
            ),
            QuotaWindow,
        ),
        (
            429,
            openai(
                "Rate limit reached for m on tokens per day (TPD): Limit 100000, Used 97875, Requested 3399. Please try again in 18m20s.",
                "tokens",
                json!("rate_limit_exceeded"),
            ),
            RateLimited,
        ),
        (
            429,
            openai("Rate limit exceeded: free-models-per-day.", "x", json!(429)),
            QuotaWindow,
        ),
        (
            429,
            json!({"error": {"code": "1304", "message": "该 API 已达今日调用次数限额"}}),
            QuotaWindow,
        ),
        (
            429,
            json!({"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached", "resets_at": 1_795_345_200}}),
            QuotaWindow,
        ),
        // Pacing in words of money.
        (
            429,
            json!({"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit"}}),
            RateLimited,
        ),
        (
            429,
            json!({"code": "Throttling.AllocationQuota", "message": "Allocated quota exceeded, please increase your quota limit."}),
            RateLimited,
        ),
        (
            429,
            json!({"code": "Throttling.AllocationQuota", "message": "Free allocated quota exceeded."}),
            QuotaExhausted,
        ),
        (
            429,
            json!({"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later."}),
            RateLimited,
        ),
        (
            429,
            json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota, please check your plan and billing details. For more information, head to: https://ai.google.dev/gemini-api/docs/rate-limits. Please retry in 34.07s."}}),
            RateLimited,
        ),
        (
            429,
            json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Resource has been exhausted (e.g. check quota)."}}),
            RateLimited,
        ),
        (
            429,
            json!({"title": "Too Many Requests", "detail": "You have exceeded the maximum number of tokens allowed within a given time frame. Wait a bit and try again.", "status": 429}),
            RateLimited,
        ),
        (
            429,
            openai(
                "Number of request tokens has exceeded your rate limit. Please reduce the the prompt length or the maximum tokens requested",
                "rate_limit_error",
                none.clone(),
            ),
            RateLimited,
        ),
        (
            429,
            openai("Rate limit reached for requests", "x", json!("1302")),
            RateLimited,
        ),
        (
            429,
            openai(
                "You can increase your rate limit by adding a payment method to your account.",
                "requests",
                json!("rate_limit_exceeded"),
            ),
            RateLimited,
        ),
        (
            429,
            openai(
                "Your account request reached max request: 3, please try again after 1 seconds",
                "rate_limit_reached_error",
                none.clone(),
            ),
            RateLimited,
        ),
        (
            429,
            openai(
                "No deployments available for selected model, Try again in 60 seconds.",
                "throttling_error",
                json!("429"),
            ),
            RateLimited,
        ),
        (
            429,
            json!({"message": "Too many tokens, please wait before trying again."}),
            RateLimited,
        ),
        (
            403,
            openai("rate limit exceeded", "x", none.clone()),
            RateLimited,
        ),
        (
            429,
            json!({"error": {"code": "ModelAccountTpmRateLimitExceeded", "message": "m", "type": "TooManyRequests"}}),
            RateLimited,
        ),
        (
            429,
            openai("m", "x", json!("tpm_rate_limit_exceeded")),
            RateLimited,
        ),
        // Capacity.
        (
            429,
            openai(
                "The engine is currently overloaded, please try again later",
                "engine_overloaded_error",
                none.clone(),
            ),
            Overloaded,
        ),
        (
            429,
            json!({"error": {"code": "1305", "message": "该模型当前访问量过大，请您稍后再试"}}),
            Overloaded,
        ),
        (
            429,
            json!({"error": {"code": 1305, "message": "m"}}),
            Overloaded,
        ),
        (
            503,
            json!({"code": 50603, "message": "System is too busy now. Please try again later."}),
            Overloaded,
        ),
        (
            503,
            json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
            ModelNotReady,
        ),
        (
            500,
            openai("The server is overloaded", "server_error", none.clone()),
            Overloaded,
        ),
        // The window.
        (
            400,
            openai(
                "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
                "x",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            json!({"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 136973 tokens."}),
            ContextLength,
        ),
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or `max_tokens` and try again"}}),
            ContextLength,
        ),
        (
            400,
            json!({"object": "error", "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).", "type": "BadRequestError", "param": null, "code": 400}),
            ContextLength,
        ),
        (
            400,
            json!({"object": "error", "message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", "type": "BadRequestError"}),
            ContextLength,
        ),
        (
            400,
            json!({"object": "error", "message": "Requested token count exceeds the model's maximum context length of 131072 tokens.", "type": "BadRequestError"}),
            ContextLength,
        ),
        (
            400,
            openai(
                "The decoder prompt (length 21535) is longer than the maximum model length of 16384.",
                "BadRequestError",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "The prompt (total length 25938) is too long to fit into the model (context length 4096).",
                "BadRequestError",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
                "x",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "exceed_context_size_error",
                json!(400),
            ),
            ContextLength,
        ),
        (
            500,
            openai(
                "Context size has been exceeded.",
                "server_error",
                json!(500),
            ),
            ContextLength,
        ),
        (
            500,
            openai(
                "the request exceeds the available context size. try increasing the context size or enable context shift",
                "x",
                json!(500),
            ),
            ContextLength,
        ),
        (
            500,
            openai(
                "input is larger than the max context size. skipping",
                "server_error",
                json!(500),
            ),
            ContextLength,
        ),
        (
            400,
            json!({"error": "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input"}),
            ContextLength,
        ),
        (
            400,
            json!({"error": "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}),
            ContextLength,
        ),
        (
            400,
            json!({"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}),
            ContextLength,
        ),
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "code": "1261", "message": "[1261][prompt is too long][x]"}}),
            ContextLength,
        ),
        (
            400,
            json!({"error": {"code": "1261", "message": "Prompt 超长"}}),
            ContextLength,
        ),
        (
            400,
            json!({"error": {"code": "invalid_parameter_error", "message": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 983616]", "type": "invalid_request_error"}}),
            ContextLength,
        ),
        (
            400,
            openai(
                "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
                "invalid_request_error",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Input token length too long",
                "invalid_request_error",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "invalid params, context window exceeds limit (2013)",
                "x",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Prompt tokens too long",
                "invalid_request_error",
                json!("tokens_too_long"),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
                "invalid_request_error",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
                "x",
                json!(400),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "Please reduce the length of the messages or completion.",
                "invalid_request_error",
                none.clone(),
            ),
            ContextLength,
        ),
        (
            400,
            openai(
                "prompt token count of 130000 exceeds the limit of 128000",
                "x",
                json!("model_max_prompt_tokens_exceeded"),
            ),
            ContextLength,
        ),
        (
            413,
            openai(
                "Request body too large for gpt-4o model. Max size: 8000 tokens.",
                "x",
                json!("tokens_limit_reached"),
            ),
            ContextLength,
        ),
        (
            400,
            json!({"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again."}),
            ContextLength,
        ),
        (
            400,
            json!({"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292"}),
            ContextLength,
        ),
        (
            400,
            json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575)."}}),
            ContextLength,
        ),
        (
            400,
            json!({"error": {"message": "litellm.BadRequestError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 214301 tokens > 200000 maximum\"}}", "type": null, "param": null, "code": "400"}}),
            ContextLength,
        ),
        (
            400,
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "{\"error\":{\"message\":\"This endpoint's maximum context length is 8192 tokens.\"}}"}}}),
            ContextLength,
        ),
        (
            400,
            json!({"errors": [{"message": "The estimated number of input and maximum output tokens (30000) exceeded this model context window limit (24000).", "code": 5021}], "success": false}),
            ContextLength,
        ),
        (
            200,
            json!({"error": {"message": "Context size has been exceeded."}}),
            ContextLength,
        ),
        // Mistakes that name sizes, and are none of the window.
        (
            400,
            openai(
                "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760, but got a string with length 12000000 instead.",
                "invalid_request_error",
                json!("string_above_max_length"),
            ),
            InvalidRequest,
        ),
        (
            400,
            openai(
                "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
                "invalid_request_error",
                json!("invalid_value"),
            ),
            InvalidRequest,
        ),
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for m"}}),
            InvalidRequest,
        ),
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes"}}),
            InvalidRequest,
        ),
        (
            400,
            openai(
                "Unknown parameter: 'prompt is too long'.",
                "invalid_request_error",
                json!("unknown_parameter"),
            ),
            InvalidRequest,
        ),
        (
            400,
            openai(
                "Invalid value: 'my credit balance is too low, and the prompt is too long'. Supported values are: 'a'.",
                "invalid_request_error",
                none.clone(),
            ),
            InvalidRequest,
        ),
        (
            422,
            json!({"detail": [{"loc": ["body"], "msg": "Field required", "input": "maximum context length"}]}),
            InvalidRequest,
        ),
        // Too large for the rate.
        (
            429,
            openai(
                "Request too large for m on tokens per min (TPM): Limit 30000, Requested 48211.",
                "tokens",
                json!("rate_limit_exceeded"),
            ),
            RequestExceedsLimit,
        ),
        (
            200,
            openai(
                "Request too large for m on tokens per min (TPM): Limit 30000, Requested 48211.",
                "tokens",
                json!("rate_limit_exceeded"),
            ),
            RequestExceedsLimit,
        ),
        // Others.
        (
            400,
            openai(
                "The request was rejected because it was considered high risk",
                "content_filter",
                none.clone(),
            ),
            ContentFilter,
        ),
        (
            400,
            json!({"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
            ContentFilter,
        ),
        (
            400,
            json!({"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
            ContentFilter,
        ),
        (
            400,
            json!({"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": null}),
            NotFound,
        ),
        (
            400,
            openai(
                "Model Not Exist",
                "invalid_request_error",
                json!("invalid_request_error"),
            ),
            NotFound,
        ),
        (
            400,
            json!({"code": "Client specified an invalid argument", "error": "Incorrect API key provided: sk***. You can obtain an API key from the console."}),
            Auth,
        ),
        (
            401,
            openai(
                "Invalid Authentication",
                "invalid_authentication_error",
                none.clone(),
            ),
            Auth,
        ),
        (403, openai("m", "x", json!("ModelNotOpen")), Permission),
        (
            403,
            openai("m", "permission_denied_error", none.clone()),
            Permission,
        ),
        (
            500,
            openai("Internal server error", "server_error", none),
            ServerError,
        ),
    ]
}

#[test]
fn vendors_words_are_understood() {
    for (status, body, outcome) in vendors() {
        row(status, body).is(outcome);
    }
}

#[test]
fn windows_are_told_in_many_words() {
    for text in [
        "Reached context length of 4096 tokens with model (arch: qwen2) that cannot overflow",
        "You passed 5000 input tokens and requested 100 output tokens. However, the model's context length is only 4096 tokens",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too long",
    ] {
        message(400, text).is(Outcome::ContextLength);
    }
}

#[test]
fn what_a_message_quotes_steers_nothing() {
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')] {
        let of = |before: &str, after: &str| {
            let text = format!("{before}{open}insufficient_quota{close}{after}");
            row(
                400,
                json!({"error": {"message": text, "type": "invalid_request_error"}}),
            )
        };
        of("Invalid value for 'tool_choice': ", " is not a function").is(Outcome::InvalidRequest);
        of("Unknown tool ", ".").is(Outcome::InvalidRequest);
    }
    // A gateway hands on what it got.
    for text in [
        "Error code: 429 - {'error': {'message': 'm', 'code': 'insufficient_quota'}}",
        "upstream said {\"type\":\"insufficient_quota\"}",
        "error: 'insufficient_quota'",
    ] {
        message(400, text).is(Outcome::QuotaExhausted);
    }
}

#[test]
fn an_error_inside_a_success_is_classed_by_its_words_alone() {
    for (message, outcome) in [
        ("Rate limit reached for m", Outcome::RateLimited),
        ("Too many requests", Outcome::RateLimited),
        ("Overloaded", Outcome::Overloaded),
        ("The server is busy, try again later", Outcome::Overloaded),
        (
            "server busy, please try again.  maximum pending requests exceeded",
            Outcome::Overloaded,
        ),
        (
            "Reached context length of 4096 tokens with model (arch: qwen2)",
            Outcome::ContextLength,
        ),
        ("Incorrect API key provided", Outcome::Auth),
        ("Access denied", Outcome::Permission),
        ("The model `x` does not exist", Outcome::NotFound),
        ("The request timed out", Outcome::Timeout),
        ("Invalid image", Outcome::InvalidRequest),
        (
            "Unsupported value for parameter top_k",
            Outcome::InvalidRequest,
        ),
        (
            "The output was blocked by our content policy",
            Outcome::ContentFilter,
        ),
        ("Insufficient balance", Outcome::QuotaExhausted),
        (
            "prompt is too long: 2 tokens > 1 maximum",
            Outcome::ContextLength,
        ),
        ("Provider returned error", Outcome::ServerError),
        (
            "an error was encountered while running the model",
            Outcome::ServerError,
        ),
        ("Invalid response from upstream", Outcome::ServerError),
        ("", Outcome::ServerError),
    ] {
        row(200, json!({"error": {"message": message}})).is(outcome);
        row(200, json!({"error": message, "x": 1})).is(outcome);
    }
    // A number that was told is one, but for plainer words.
    let told = |message: &str| json!({"error": {"code": 502, "message": message}});
    row(200, told("Rate limit of things")).is(Outcome::ServerError);
    row(200, told("Context size has been exceeded.")).is(Outcome::ContextLength);
}

#[test]
fn ordinary_services_faults_have_no_words() {
    let mut ordinary = row(
        500,
        json!({"error": {"message": "Context size has been exceeded."}}),
    );
    ordinary.llm = false;
    let class = ordinary.class();
    assert_eq!((class.outcome, class.paced), (Outcome::ServerError, false));
}

#[test]
fn a_class_says_what_its_words_stand_for() {
    let quota = json!({"error": {"message": "m", "type": "insufficient_quota"}});
    for (status, body, stands_for) in [
        (402, quota.clone(), Some(429)),
        (403, quota.clone(), Some(429)),
        (200, quota, Some(429)),
        (
            200,
            json!({"error": {"code": 422, "message": "m"}}),
            Some(422),
        ),
        (200, json!({"error": {"type": "NotFoundError"}}), Some(404)),
        (200, json!({"error": {"message": "m"}}), None),
        (402, json!({"error": {"message": "m"}}), None),
        (500, json!({"error": {"code": 429}}), None),
    ] {
        let found = row(status, body.clone()).class();
        let expected = stands_for.map(|status| StatusCode::from_u16(status).unwrap());
        assert_eq!(found.stands_for, expected, "{status} {body}");
    }
}

#[test]
fn providers_that_ask_to_slow_down_mean_seconds() {
    for (status, paced) in [
        (429, true),
        (503, true),
        (529, true),
        (500, false),
        (504, false),
    ] {
        let found = row(status, json!({"error": {"message": "m"}})).class();
        assert_eq!(found.paced, paced, "{status}");
        let mut ordinary = row(status, json!({}));
        ordinary.llm = false;
        assert!(!ordinary.class().paced, "{status}");
    }
}

#[test]
fn windows_in_text_have_their_ends() {
    for (message, at) in [
        (
            "Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 19:01:25",
            Some("2026-11-22T11:01:25Z"),
        ),
        (
            "5-hour usage limit reached, resets at 2026-11-22T15:00:00Z (2056)",
            Some("2026-11-22T15:00:00Z"),
        ),
        (
            "Too many requests per day. Please try again in 18m20s.",
            Some("2026-11-22T10:18:20Z"),
        ),
        (
            "You've reached your usage limit for this billing cycle.",
            None,
        ),
    ] {
        let found = message_of(429, message).is(Outcome::QuotaWindow);
        assert_eq!(found.reset_at, at.and_then(parse_rfc3339), "{message}");
    }
}

fn message_of(status: u16, message: &str) -> Row {
    row(status, json!({"error": {"message": message}}))
}

#[test]
fn waits_stand_in_text_and_beside_it() {
    for (body, ms) in [
        (
            json!({"error": {"message": "please try again after 1 seconds"}}),
            Some(1000),
        ),
        (
            json!({"error": {"message": "m", "retry_after": 30}}),
            Some(30_000),
        ),
        (
            json!({"error": {"message": "m", "retry_after_ms": 250}}),
            Some(250),
        ),
        (
            json!({"status": 429, "detail": "m", "retry_after": 7}),
            Some(7000),
        ),
        (
            json!({"error": {"message": "Provider returned error", "metadata": {"raw": "Please retry in 3s"}}}),
            Some(3000),
        ),
        (json!({"error": {"message": "later"}}), None),
        (json!({"error": {"message": "m", "retry_after": -3}}), None),
    ] {
        let wait = row(429, body.clone())
            .class()
            .hint
            .map(|hint| hint.wait.as_millis());
        assert_eq!(wait, ms, "{body}");
    }
}
