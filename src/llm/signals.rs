//! The words that providers use, and what they mean. Data for [`table`](super::table).
//!
//! Words are compared without regard to case, marks and a final `error` or `exception`: vendors copy each other's, each in
//! a style of its own. What stands in no list here is read as [text](super::pattern).

mod codes;
mod numbers;

pub(super) use self::{
    codes::CODES,
    numbers::{MINIMAX, ZAI},
};
use crate::classify::Outcome;

/// Who says some words, and what they mean.
pub(super) type Vocabulary = &'static [(&'static str, &'static [(&'static str, Outcome)])];

/// Codes for money and allowance that are gone, with no date: what the text says beside them is not asked.
pub(super) const EXHAUSTED: &[&str] = &[
    // OpenAI; OpenRouter and Gemini Interactions.
    "billing_hard_limit_reached",
    "billing_not_active",
    "contract_spend_limit_reached",
    "credit_balance_exhausted",
    "insufficient_quota",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
    "organization_usage_limit_exceeded",
    "payment_required",
    "session_budget_exceeded",
    "usage_limit_exceeded",
    // Moonshot (MoonshotAI/kimi-code#1857).
    "exceeded_current_quota",
    // DashScope (tencentmusic/supersonic#1572; help.aliyun.com model-studio error-code).
    "Arrearage",
    "AllocationQuota.FreeTierOnly",
    // Volcengine Ark (volcengine.com 82379/1299023).
    "AccountOverdue",
    "SetLimitExceeded",
    // Baidu Qianfan (ai.baidu.com AppBuilder).
    "BILLING_INSUFFICIENT_BALANCE",
    // MiniMax by way of ModelScope (modelscope/modelscope#1691), Venice (veniceai/api-docs#149).
    "insufficient_balance",
    // one-api and new-api (songquanpeng/one-api#1270).
    "insufficient_user_quota",
    "pre_consume_token_quota_failed",
    // LiteLLM (docs.litellm.ai error_reference).
    "budget_exceeded",
];

/// Codes for spend limits that reset with the calendar month.
pub(super) const MONTHLY: &[&str] = &[
    "enforced_spend_limit_reached",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
];

/// What marks an answer of DashScope's, whose `insufficient_quota` under 429 is a rate: tokens a minute
/// (can1357/oh-my-pi#8496; alibabacloud.com model-studio rate-limit).
pub(super) const DASHSCOPE: &[&str] =
    &["aliyun.com", "alibabacloud.com", "allocated quota exceeded"];

/// AWS error names, without `Exception`. Names that need their text or status are left out.
pub(super) const AWS: &[(&str, Outcome)] = &[
    ("AccessDenied", Outcome::Permission),
    ("BandwidthLimitExceeded", Outcome::RateLimited),
    ("Conflict", Outcome::Conflict),
    ("EC2Throttled", Outcome::RateLimited),
    ("ExpiredToken", Outcome::Auth),
    ("IncompleteSignature", Outcome::Auth),
    ("InternalFailure", Outcome::ServerError),
    ("InternalServer", Outcome::ServerError),
    ("InvalidClientTokenId", Outcome::Auth),
    ("InvalidSignature", Outcome::Auth),
    ("LimitExceeded", Outcome::RateLimited),
    ("MissingAuthenticationToken", Outcome::Auth),
    ("ModelNotReady", Outcome::ModelNotReady),
    ("ModelTimeout", Outcome::Timeout),
    ("PriorRequestNotComplete", Outcome::RateLimited),
    ("ProvisionedThroughputExceeded", Outcome::RateLimited),
    ("RequestExpired", Outcome::Auth),
    ("RequestLimitExceeded", Outcome::RateLimited),
    ("RequestThrottled", Outcome::RateLimited),
    ("RequestTimeout", Outcome::Timeout),
    ("ResourceNotFound", Outcome::NotFound),
    ("ServiceQuotaExceeded", Outcome::RateLimited),
    ("ServiceUnavailable", Outcome::Overloaded),
    ("SlowDown", Outcome::RateLimited),
    ("Throttled", Outcome::RateLimited),
    ("Throttling", Outcome::RateLimited),
    ("TooManyRequests", Outcome::RateLimited),
    ("TransactionInProgress", Outcome::RateLimited),
    ("UnrecognizedClient", Outcome::Auth),
];

/// gRPC status names (Google).
pub(super) const GRPC: &[(&str, Outcome)] = &[
    ("ABORTED", Outcome::Conflict),
    ("CANCELLED", Outcome::Cancelled),
    ("DATA_LOSS", Outcome::ServerError),
    ("DEADLINE_EXCEEDED", Outcome::Timeout),
    ("FAILED_PRECONDITION", Outcome::Permission),
    ("INTERNAL", Outcome::ServerError),
    ("INVALID_ARGUMENT", Outcome::InvalidRequest),
    ("NOT_FOUND", Outcome::NotFound),
    ("OUT_OF_RANGE", Outcome::InvalidRequest),
    ("PERMISSION_DENIED", Outcome::Permission),
    ("RESOURCE_EXHAUSTED", Outcome::RateLimited),
    ("UNAUTHENTICATED", Outcome::Auth),
    ("UNAVAILABLE", Outcome::Overloaded),
];

/// Types that name an HTTP status, for errors inside a 2xx that tell no number: OpenAI's, and the exceptions of the
/// frameworks that servers hand through. They say too little to go before a text.
pub(super) const STATUSES: &[(&str, u16)] = &[
    ("invalid_request", 400),
    ("BadRequest", 400),
    ("invalid_parameter", 400),
    ("invalid_argument", 400),
    ("validation", 400),
    ("ValueError", 400),
    ("Unauthorized", 401),
    ("Forbidden", 403),
    ("NotFound", 404),
    ("UnprocessableEntity", 422),
    ("InternalServer", 500),
    ("server_error", 500),
    ("api_error", 500),
    ("NotImplemented", 501),
    ("BadGateway", 502),
    ("GatewayTimeout", 504),
];

/// Whether two words are the same but for style.
pub(super) fn same(a: &str, b: &str) -> bool {
    letters(a).eq(letters(b))
}

fn letters(word: &str) -> impl Iterator<Item = char> + '_ {
    let end = ["error", "exception"].iter().find_map(|end| {
        let at = word.len().checked_sub(end.len()).filter(|at| *at > 0)?;
        let found = word.get(at..)?.eq_ignore_ascii_case(end);
        found.then_some(at)
    });
    word.get(..end.unwrap_or(word.len()))
        .unwrap_or(word)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_every_style() {
        for (a, b, alike) in [
            ("rate_limit_exceeded", "RateLimitExceeded", true),
            (
                "ContextWindowExceededError",
                "context_window_exceeded",
                true,
            ),
            ("Throttling.RateQuota", "throttling_rate_quota", true),
            ("overloaded_error", "overloaded", true),
            ("rate_limit", "rate_limit_exceeded", false),
            ("error", "error", true),
            ("error", "exception", false),
            ("timeout", "timeouts", false),
        ] {
            assert_eq!(same(a, b), alike, "{a} {b}");
        }
    }
}
