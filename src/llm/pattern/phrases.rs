//! The phrases: data. Each names who says it; `spec` is what SDKs and documentation of the provider say.
//!
//! The first family that is meant decides, so money comes before pacing, and a verdict before a fault.

use super::family::Family;
use crate::classify::Outcome;

/// What one request can exceed.
const WINDOW: &str = "context length|context window|context size|context limit|context budget|maximum context|max context|\
    model length|prompt length|input length|allowed length|sequence length|token limit|input limit|maximum number of tokens|\
    maximum number of input tokens|max_model_len|max_seq_len|max_num_tokens|n_ctx|model's max|上下文|最大长度";
const EXCEEDS: &str = "exceed|longer than|greater than|larger than|more than|too long|too large|too big|not fit|overflow|超";

/// Words of pacing: a text that has one is not about the window.
const PACING: &[&str] = &[
    "per minute",
    "per day",
    "per hour",
    "per second",
    "per min",
    "(tpm)",
    "(rpm)",
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "throttl",
    "too many requests",
    "please wait",
    "time frame",
    "quota",
    "budget has",
    "usage limit",
    "每分钟",
    "频率",
    "并发",
];

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = &[
    // Money that is gone.
    Family {
        outcome: Outcome::QuotaExhausted,
        first: true,
        on: &[400, 402, 403, 429, 500],
        unless: &["allocated quota exceeded"],
        phrases: &[
            (&["insufficient", "balance|credit|fund"], "deepseek-ai/DeepSeek-V3#635, XiaomiMiMo/MiMo#99"),
            (&["insufficient quota|insufficient_quota|insufficient_user_quota|insufficient user quota"], "openai; songquanpeng/one-api#1270"),
            (
                &["balance is|account balance|credit balance|credits|funds", "insufficient|too low|not enough|exhausted|depleted|used up|run out|empty"],
                "anthropic (spec 2.3); docs.siliconflow.cn error-code",
            ),
            (&["not enough|out of|no remaining|no more|used all|used up all|purchase more|buy more|requires more", "credit|balance|funds"], "continuedev/continue#10373 (xAI), can1357/oh-my-pi#9569"),
            (&["out of quota"], "openai"),
            (&["reached|exceeded|hit your|hit the", "spending limit|spend limit|spending cap|credit limit|billing hard limit"], "continuedev/continue#10373 (xAI)"),
            (&["please recharge|recharge your account|overdue balance|overdue payment|in arrears|arrearage|past due|good standing"], "zai-org/GLM-5#148, tencentmusic/supersonic#1572 (DashScope), volcengine 82379/1299023"),
            (&["account overdue"], "volcengine 82379/1299023"),
            (&["payment required|billing not active|billing is not active|billing hard limit"], "openai"),
            (&["budget has been exceeded|exceededbudget|exceeded budget|over budget|budget exceeded|max budget limit"], "docs.litellm.ai error_reference"),
            (&["余额不足|已欠费|额度不足|请充值"], "continuedev/continue#11823 (GLM), QuantumNous/new-api#7448"),
            (&["trial key"], "cohere (spec 2.3)"),
        ],
    },
    // A plan's allowance, with a time at which it comes back.
    Family {
        outcome: Outcome::QuotaWindow,
        first: true,
        on: &[400, 402, 403, 429, 500],
        unless: PACING_OF_WINDOWS,
        phrases: &[
            (&["usage limit|session limit|weekly limit|monthly limit|plan limit|使用上限", "reach|exceed|hit your|hit the|reset|重置"], "MiniMax-AI/MiniMax-M2.7#36; dirge-code/dirge#818 (GLM 1308)"),
            (&["reach|exceed|hit your|hit the|达到", "usage limit|session usage|weekly usage|monthly usage|billing cycle|usage cap|使用上限"], "kimi.com kimi-code error-reference; continuedev/continue#11444 (Ollama)"),
            (&["limit|quota", "will reset at|resets at|will reset on|resets on|next billing cycle|将在"], "continuedev/continue#13195 (z.ai 1308); support.huaweicloud.com ModelArts.81022"),
        ],
    },
    // Money in words that others use for pacing.
    Family {
        outcome: Outcome::QuotaExhausted,
        first: true,
        on: &[400, 402, 403, 429],
        unless: &[
            "retry in", "try again in", "try again after", "per minute", "rate limit", "ai.google.dev", "googleapis", "aliyun",
            "alibabacloud", "increase your quota", "resource has been exhausted", "resource exhausted",
        ],
        phrases: &[
            (&["exceeded|reached", "current quota|your quota|user quota|monthly quota|plan quota|free quota"], "MoonshotAI/Kimi-K2#5"),
            (&["quota is|quota has|quota was|your quota|user quota|quota", "exhausted|used up|not enough|insufficient|run out|depleted|用尽|已用完"], "songquanpeng/one-api#1270, support.huaweicloud.com ModelArts.81022"),
            (&["free", "quota|tier|credits", "exceeded|exhausted|used up|expired"], "QwenLM/qwen-code#1742"),
        ],
    },
    // One request that is over a rate: it never fits.
    Family {
        outcome: Outcome::RequestExceedsLimit,
        first: true,
        on: &[413, 429],
        unless: &[],
        phrases: &[(&["request too large for", "tokens per min|tpm"], "openai, groq (spec 2.2)")],
    },
    // The window. The plainest words count under a fault's status too, which some servers give.
    Family {
        outcome: Outcome::ContextLength,
        first: true,
        on: &[400, 403, 413, 422, 424, 429, 500, 502, 503],
        unless: PACING,
        phrases: &[
            (&["maximum context length|maximum prompt length|maximum model length|maximum input length"], "openai, vllm (spec 2.3); cline/cline#3120 (xAI)"),
            (&["prompt is too long|prompt too long|prompt tokens too long|input is too long|input too long|input token length too long|inputs too long|tokens too long"], "anthropic, bedrock (spec 2.3); can1357/oh-my-pi#12741 (z.ai); cloud.baidu.com qianfan; kimi api errors"),
            (&["exceed", "context limit|context length|context window|context size|context budget|model token limit"], "docker/docker-agent#569, MoonshotAI/kimi-cli#2011, ggml-org/llama.cpp#15780"),
            (&["context length|context window|context size|context limit", "exceed|overflow"], "ggml-org/llama.cpp#19774, MiniMax-AI/MiniMax-M2#119"),
            (&["longer than|larger than|greater than|more than", "context length|context window|context size|model length"], "BerriAI/litellm#10793 (SGLang), anomalyco/opencode#2259 (LM Studio), xorbitsai/inference#3785"),
            (&["tokens >", "maximum"], "anthropic (spec 2.3)"),
            (&["reached context length of", "token"], "lmstudio-ai/lmstudio-bug-tracker#1251"),
            (&["context length is only"], "vllm-project/vllm#36197"),
            (&["contextwindowexceedederror"], "onyx-dot-app/onyx#5507, OpenHands/OpenHands#5350 (LiteLLM)"),
        ],
    },
    Family {
        outcome: Outcome::ContextLength,
        first: true,
        on: &[400, 403, 413, 422],
        unless: PACING,
        phrases: &[
            (&["prompt|input|request|message|conversation|query|context|tokens", EXCEEDS, WINDOW], "earendil-works/pi#129 (a table of many), #4943 (Poolside), sgl-project/sglang#4048"),
            (&["input tokens|prompt tokens|prompt token count|input token count|token count|total tokens|number of tokens|input length|prompt length|sum of prompt", "exceed|longer than|greater than|larger than|more than"], "openclaw/openclaw#58839 (Bedrock Nova, Cohere)"),
            (&["too many tokens: |too many input tokens|too many prompt tokens|too many tokens in"], "cohere (spec 2.3)"),
            (&["range of input length should be"], "QwenLM/qwen-code#98 (DashScope)"),
            (&["`inputs`|inputs", "must be <=|must have less than|must be less than"], "tgi (spec 2.3)"),
            (&["keep the first", "when context"], "lmstudio-ai/lmstudio-bug-tracker#546"),
            (&["n_keep", "n_ctx"], "anomalyco/opencode#11141 (LM Studio)"),
            (&["current length is", "while limit is"], "cerebras (spec 2.3)"),
            (&["reduce the length of|reduce your prompt|shorten your prompt|reduce the prompt", "message|prompt|input|completion|;"], "groq; openai"),
            (&["too large for", "max size", "token"], "GitHub Models tokens_limit_reached"),
            (&["too large to process", "batch size"], "ggml-org/llama.cpp#12295"),
            (&["prompt|输入|上下文|请求内容", "超长|过长|超过最大|超出最大|超过模型|超出模型"], "docs.bigmodel.cn 1261"),
        ],
    },
    Family {
        outcome: Outcome::TooLarge,
        first: true,
        on: &[400],
        unless: PACING,
        phrases: &[(&["total message size|request size|request body|payload|request entity", "exceeds limit|exceeds the limit|too large|exceeds maximum|exceeds the maximum"], "kimi.com kimi-code error-reference")],
    },
    Family {
        outcome: Outcome::NotFound,
        first: true,
        on: &[400],
        unless: &["tool", "file", "response with"],
        phrases: &[
            (&["model identifier is invalid"], "bedrock (spec 2.3)"),
            (&["model", "not exist|does not exist|doesn't exist|not found|不存在"], "deepseek (spec 2.3); docs.siliconflow.cn 20012"),
            (&["unknown model|no such model"], "docs.litellm.ai error_reference"),
        ],
    },
    Family {
        outcome: Outcome::ModelNotReady,
        first: true,
        on: &[503],
        unless: &[],
        phrases: &[(&["loading model|model is loading|currently loading|still loading|is warming up|cold start"], "llama.cpp server; huggingface (spec 2.2)")],
    },
    // Shared capacity, told as pacing.
    Family {
        outcome: Outcome::Overloaded,
        first: true,
        on: &[429],
        unless: &["rate limit"],
        phrases: &[
            (&["high demand|capacity exceeded|at capacity|over capacity|high traffic|heavy load|heavy traffic|high load"], "azure, mistral (spec 2.3)"),
            (&["overloaded|is busy|too busy|访问量过大|负载已饱和"], "MoonshotAI/MoonshotAI-Cookbook#16; docs.bigmodel.cn 1305; songquanpeng/one-api#1061"),
        ],
    },
    // From here on: what a code says better.
    // A day's allowance. Groq's comes with a code of pacing and a wait, which says more.
    Family {
        outcome: Outcome::QuotaWindow,
        first: false,
        on: &[403, 429],
        unless: &["per minute", "per-minute"],
        phrases: &[
            (&["tokens per day|requests per day|per-day|tokens/day|requests/day"], "bedrock, groq (spec 2.3)"),
            (&["daily|per day|today", "limit|quota|allowance", "reach|exceed|used|exhaust"], "gitlawb/openclaude; docs.bigmodel.cn 1304"),
            (&["reach|exceed|used|exhaust", "daily|today", "limit|quota|allowance"], "docs.bigmodel.cn 1304"),
            (&["quota", "daily"], "ai.baidu.com AppBuilder QUOTA_USER_DAILY_REQUEST"),
            (&["今日", "限额|上限"], "docs.bigmodel.cn 1304"),
        ],
    },
    Family {
        outcome: Outcome::ContentFilter,
        first: false,
        on: &[400, 403],
        unless: &["rate limit"],
        phrases: &[
            (&["content filter|content management policy|content policy|content_filter|safety system|usage policies|usage guidelines|prohibited content|responsible ai|policy violation|moderation"], "azure, openai; docs.x.ai debugging"),
            (&["considered high risk|risk detection|data inspection|sensitive content|sensitive information|contains sensitive|new_sensitive|new sensitive|inappropriate content|unsafe"], "kimi api errors; volcengine 82379/1299023; DashScope DataInspectionFailed"),
            (&["敏感|违规|不安全"], "docs.bigmodel.cn 1301"),
        ],
    },
    Family {
        outcome: Outcome::Overloaded,
        first: false,
        on: &[500],
        unless: &["rate limit"],
        phrases: &[
            (&["overload|high demand|capacity exceeded|at capacity|over capacity|no capacity|high traffic|heavy load"], "openai; kimi engine_overloaded_error"),
            (&["maximum pending requests exceeded"], "ollama/ollama#4159"),
            (&["server is busy|service is busy|servers are busy|system is too busy|too busy|temporarily unavailable|service unavailable|访问量过大|服务繁忙|负载已饱和"], "deepseek; docs.siliconflow.cn 50603; docs.bigmodel.cn 1305"),
        ],
    },
    Family {
        outcome: Outcome::RateLimited,
        first: false,
        on: &[403, 500],
        unless: &[],
        phrases: &[
            (&["rate limit|ratelimit|rate_limit|rate quota|burst rate|too many requests|throttl|requests per minute|tokens per minute|concurrency limit|max request|请求频率|并发数过高|速率限制"], "openai; harry0703/MoneyPrinterTurbo#339; anomalyco/opencode#9789 (GLM)"),
            (&["reduce concurrency|slow down|rate increased too quickly|no deployments available"], "kaitranntt/ccs#402 (z.ai); DashScope Throttling.BurstRate; BerriAI/litellm#20867"),
        ],
    },
    Family {
        outcome: Outcome::Auth,
        first: false,
        on: &[400],
        unless: &[],
        phrases: &[
            (&["incorrect|invalid|expired|missing|unrecognized", "api key|api-key|apikey|x-api-key|access token|authentication|credentials"], "kimi api errors; docs.x.ai debugging"),
            (&["api key|api-key|apikey|access token", "not valid|is invalid|invalid|incorrect|expired|missing"], "gemini; openai"),
            (&["unauthorized|unauthenticated"], "http"),
        ],
    },
    Family {
        outcome: Outcome::Permission,
        first: false,
        on: &[],
        unless: &[],
        phrases: &[(&["permission denied|access denied|not permitted|not authorized|forbidden|no permission|access terminated|unpurchased|organization must be verified"], "google; DashScope AccessDenied; kimi")],
    },
    Family {
        outcome: Outcome::Timeout,
        first: false,
        on: &[],
        unless: &[],
        phrases: &[(&["timed out|request timeout|time out|timeout|deadline exceeded"], "openai; DashScope RequestTimeOut")],
    },
    // A mistake of the caller's that comes without a status.
    Family {
        outcome: Outcome::InvalidRequest,
        first: false,
        on: &[],
        unless: &["upstream", "internal", "server", "backend", "engine", "worker", "response from", "invalid response"],
        phrases: &[
            (&["image|audio|video|document|pdf|media", "invalid|not valid|not supported|unsupported|too large|too small|corrupt|parse|format|not found|download|empty|could not be read"], "openai (spec 4.1); ogx-ai/ogx#4942"),
            (&["invalid|unsupported|empty|unknown", "image|audio|video|document|pdf|file|media"], "openai (spec 4.1)"),
            (&["data residency|residency mismatch"], "openai (spec 4.1)"),
            (&["invalid|unsupported|malformed|unrecognized|bad", "parameter|argument|request|value|field|input|prompt|schema|format|json|type|message"], "openai; DashScope InvalidParameter"),
            (&["missing|unknown|required", "parameter|field|argument|property"], "openai"),
            (&["is not supported|not supported with this model|extra inputs are not permitted|above max|below min"], "openai; fastapi"),
        ],
    },
];

/// Words of pacing that a plan's limit is not told in.
const PACING_OF_WINDOWS: &[&str] = &[
    "per minute",
    "per second",
    "rate limit",
    "tpm",
    "rpm",
    "rate_limit",
    "concurren",
];
