//! Codes in numbers that are no HTTP statuses. They decide only where the text says nothing that is understood.

use crate::classify::Outcome;

/// z.ai and Zhipu, under `error.code` or `error.type` (docs.z.ai and docs.bigmodel.cn, api-code). 1300 is Mistral's too.
pub(in crate::llm) const ZAI: &[(u32, Outcome)] = &[
    (1000, Outcome::Auth),
    (1001, Outcome::Auth),
    (1002, Outcome::Auth),
    (1003, Outcome::Auth),
    (1004, Outcome::Auth),
    (1110, Outcome::Permission),
    (1111, Outcome::Permission),
    (1112, Outcome::Permission),
    (1113, Outcome::QuotaExhausted),
    (1121, Outcome::Permission),
    (1210, Outcome::InvalidRequest),
    (1211, Outcome::NotFound),
    (1212, Outcome::InvalidRequest),
    (1213, Outcome::InvalidRequest),
    (1214, Outcome::InvalidRequest),
    (1215, Outcome::InvalidRequest),
    (1220, Outcome::Permission),
    (1234, Outcome::ServerError),
    (1261, Outcome::ContextLength),
    (1301, Outcome::ContentFilter),
    (1302, Outcome::RateLimited),
    (1303, Outcome::RateLimited),
    (1304, Outcome::QuotaWindow),
    (1305, Outcome::Overloaded),
    (1308, Outcome::QuotaWindow),
    (1309, Outcome::QuotaExhausted),
    (1310, Outcome::QuotaWindow),
    (1311, Outcome::Permission),
    (1312, Outcome::Overloaded),
    (1313, Outcome::RateLimited),
];

/// MiniMax, under `base_resp.status_code` (platform.minimax.io errorcode; MiniMax-AI/MiniMax-M2.7#36).
pub(in crate::llm) const MINIMAX: &[(u32, Outcome)] = &[
    (1001, Outcome::Timeout),
    (1002, Outcome::RateLimited),
    (1004, Outcome::Auth),
    (1008, Outcome::QuotaExhausted),
    (1026, Outcome::ContentFilter),
    (1027, Outcome::ContentFilter),
    (2013, Outcome::InvalidRequest),
    (2056, Outcome::QuotaWindow),
];
