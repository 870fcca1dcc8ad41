//! What each API calls an outcome: data. The words are those that its own SDKs and other gateways know.

use ::http::StatusCode;

use crate::classify::Outcome;

/// The names of one error.
#[derive(Debug)]
pub(super) struct Words {
    /// OpenAI: `type`.
    pub(super) openai: &'static str,
    /// OpenAI: `code`.
    pub(super) code: Option<&'static str>,
    /// Anthropic: `type`.
    pub(super) anthropic: &'static str,
    /// Google: the gRPC status name.
    pub(super) google: &'static str,
    /// Bedrock: the exception, without `Exception`.
    pub(super) bedrock: &'static str,
    /// TGI: `error_type`.
    pub(super) tgi: &'static str,
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

/// The words for what the caller is told with this status.
pub(super) fn words(outcome: Outcome, status: StatusCode) -> Words {
    #[rustfmt::skip]
    let (openai, code, anthropic, google, bedrock, tgi) = match told(outcome, status) {
        Outcome::RateLimited =>
            ("rate_limit_error", Some("rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED", "Throttling", "overloaded"),
        Outcome::RampLimited =>
            ("rate_limit_error", Some("slow_down"), "rate_limit_error", "RESOURCE_EXHAUSTED", "Throttling", "overloaded"),
        Outcome::Overloaded =>
            ("service_unavailable_error", Some("server_is_overloaded"), "overloaded_error", "UNAVAILABLE", "ServiceUnavailable", "overloaded"),
        Outcome::ModelNotReady =>
            ("service_unavailable_error", Some("model_not_ready"), "overloaded_error", "UNAVAILABLE", "ModelNotReady", "overloaded"),
        Outcome::QuotaExhausted | Outcome::QuotaWindow =>
            ("insufficient_quota", Some("insufficient_quota"), "billing_error", "RESOURCE_EXHAUSTED", "ServiceQuotaExceeded", "overloaded"),
        Outcome::RequestExceedsLimit =>
            ("tokens", Some("rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED", "Validation", "validation"),
        Outcome::ContextLength =>
            (INVALID, Some("context_length_exceeded"), INVALID, "INVALID_ARGUMENT", "Validation", "validation"),
        Outcome::ContentFilter =>
            (INVALID, Some("content_filter"), INVALID, "INVALID_ARGUMENT", "Validation", "validation"),
        Outcome::TooLarge =>
            (INVALID, Some("request_too_large"), "request_too_large", "INVALID_ARGUMENT", "Validation", "validation"),
        Outcome::Auth =>
            (INVALID, Some("invalid_api_key"), "authentication_error", "UNAUTHENTICATED", "UnrecognizedClient", "validation"),
        Outcome::Permission =>
            (INVALID, Some("permission_denied"), "permission_error", "PERMISSION_DENIED", "AccessDenied", "validation"),
        // A path that leads nowhere is not a model that is missing.
        Outcome::NotFound =>
            (INVALID, (outcome == Outcome::NotFound).then_some("model_not_found"), "not_found_error", "NOT_FOUND", "ResourceNotFound", "validation"),
        Outcome::Conflict =>
            (INVALID, Some("conflict"), "conflict_error", "ABORTED", "Conflict", "validation"),
        Outcome::Timeout | Outcome::FirstTokenTimeout =>
            (SERVER, Some("request_timeout"), "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeout", "generation"),
        Outcome::Cancelled =>
            (INVALID, Some("cancelled"), INVALID, "CANCELLED", "Validation", "validation"),
        Outcome::InvalidRequest =>
            (INVALID, None, INVALID, "INVALID_ARGUMENT", "Validation", "validation"),
        Outcome::StreamStalled =>
            (SERVER, Some("stream_stalled"), "api_error", "INTERNAL", "InternalServer", "generation"),
        Outcome::StreamTruncated =>
            (SERVER, Some("stream_truncated"), "api_error", "INTERNAL", "InternalServer", "incomplete_generation"),
        Outcome::MalformedStream =>
            (SERVER, Some("stream_malformed"), "api_error", "INTERNAL", "InternalServer", "generation"),
        Outcome::Connect
        | Outcome::Local
        | Outcome::OutputInvalid
        | Outcome::Reset
        | Outcome::ServerError
        | Outcome::StreamError
        | Outcome::Success =>
            (SERVER, None, "api_error", "INTERNAL", "InternalServer", "generation"),
    };
    Words {
        openai,
        code,
        anthropic,
        google,
        bedrock,
        tgi,
    }
}

/// A sentence for people, the same for all dialects.
pub(super) fn sentence(outcome: Outcome, status: StatusCode) -> &'static str {
    match told(outcome, status) {
        Outcome::RateLimited => "The rate limit was reached.",
        Outcome::RampLimited => "The number of requests grows too fast.",
        Outcome::Overloaded => "The service is overloaded.",
        Outcome::ModelNotReady => "The model is not ready yet.",
        Outcome::QuotaExhausted => "The quota is used up.",
        Outcome::QuotaWindow => "The quota of this period is used up.",
        Outcome::RequestExceedsLimit => "The request alone is larger than the limit.",
        Outcome::ContextLength => "The request is longer than the model's context window.",
        Outcome::ContentFilter => "A content policy refused the request.",
        Outcome::InvalidRequest => "The request is invalid.",
        Outcome::TooLarge => "The request is too large.",
        Outcome::Auth => "The credentials are missing or bad.",
        Outcome::Permission => "The request is not permitted.",
        Outcome::NotFound if outcome == Outcome::NotFound => "The model does not exist.",
        Outcome::NotFound => "There is nothing at this address.",
        Outcome::Conflict => "The request conflicts with another one.",
        Outcome::Timeout => "The request took too long.",
        Outcome::FirstTokenTimeout => "The answer did not begin in time.",
        Outcome::OutputInvalid => "The model's answer is invalid.",
        Outcome::Cancelled => "The request was cancelled.",
        Outcome::Connect | Outcome::Reset => "The connection to the upstream failed.",
        Outcome::StreamStalled => "The answer stood still before its end.",
        Outcome::StreamTruncated => "The answer was cut off before its end.",
        Outcome::MalformedStream => "The answer cannot be read.",
        Outcome::Local | Outcome::ServerError | Outcome::StreamError | Outcome::Success => {
            "The upstream failed."
        }
    }
}

/// What the caller is told: a refusal of a key that is not theirs is a failure of the server, and a refusal of our own is
/// what its status says.
fn told(outcome: Outcome, status: StatusCode) -> Outcome {
    match outcome {
        Outcome::Auth | Outcome::Permission if status.is_server_error() => Outcome::ServerError,
        Outcome::Local => by_status(status),
        outcome => outcome,
    }
}

fn by_status(status: StatusCode) -> Outcome {
    match status.as_u16() {
        401 => Outcome::Auth,
        402 => Outcome::QuotaExhausted,
        403 => Outcome::Permission,
        404 => Outcome::NotFound,
        408 | 504 => Outcome::Timeout,
        409 => Outcome::Conflict,
        413 => Outcome::TooLarge,
        429 => Outcome::RateLimited,
        499 => Outcome::Cancelled,
        503 | 529 => Outcome::Overloaded,
        400..500 => Outcome::InvalidRequest,
        _ => Outcome::ServerError,
    }
}
