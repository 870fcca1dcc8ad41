//! The names of spans' attributes and events, all in one place.
//!
//! HTTP by OpenTelemetry's semantic conventions, models by its GenAI conventions (0.1.0), Envoy's and Istio's tags beside them:
//! dashboards stand on either.
#![cfg_attr(
    not(feature = "llm"),
    allow(dead_code, reason = "there are no calls of models")
)]

pub(crate) const ERROR_TYPE: &str = "error.type";

// HTTP.
pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const STATUS: &str = "http.response.status_code";
pub(crate) const RESEND: &str = "http.request.resend_count";
pub(crate) const PATH: &str = "url.path";
pub(crate) const SCHEME: &str = "url.scheme";
pub(crate) const SERVER: &str = "server.address";
pub(crate) const PORT: &str = "server.port";
pub(crate) const CLIENT: &str = "client.address";
pub(crate) const PEER: &str = "network.peer.address";
pub(crate) const PEER_PORT: &str = "network.peer.port";
pub(crate) const USER_AGENT: &str = "user_agent.original";

// Envoy's.
pub(crate) const COMPONENT: &str = "component";
pub(crate) const REQUEST_ID: &str = "guid:x-request-id";
pub(crate) const ENVOY_URL: &str = "http.url";
pub(crate) const ENVOY_METHOD: &str = "http.method";
pub(crate) const ENVOY_STATUS: &str = "http.status_code";
pub(crate) const ENVOY_PROTOCOL: &str = "http.protocol";
pub(crate) const ENVOY_USER_AGENT: &str = "user_agent";
pub(crate) const ENVOY_PEER: &str = "peer.address";
pub(crate) const DOWNSTREAM_CLUSTER: &str = "downstream_cluster";
pub(crate) const UPSTREAM_CLUSTER: &str = "upstream_cluster";
pub(crate) const UPSTREAM_CLUSTER_NAME: &str = "upstream_cluster.name";
pub(crate) const REQUEST_SIZE: &str = "request_size";
pub(crate) const RESPONSE_SIZE: &str = "response_size";
pub(crate) const FLAGS: &str = "response_flags";
pub(crate) const ENVOY_ERROR: &str = "error";

// GenAI.
pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(crate) const STREAM: &str = "gen_ai.request.stream";
pub(crate) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(crate) const CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
pub(crate) const CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(crate) const REASONING: &str = "gen_ai.usage.reasoning.output_tokens";

// Our own.
pub(crate) const ATTEMPT: &str = "llmesh.attempt";
pub(crate) const ATTEMPTS: &str = "llmesh.attempts";
pub(crate) const CLASS: &str = "llmesh.class";
pub(crate) const END: &str = "llmesh.end";
pub(crate) const WAIT: &str = "llmesh.wait_ms";
pub(crate) const WAIT_SOURCE: &str = "llmesh.wait_source";
pub(crate) const HINT: &str = "llmesh.hint_ms";
pub(crate) const HINT_SOURCE: &str = "llmesh.hint_source";
pub(crate) const BILLED: &str = "llmesh.usage.billed_tokens";
pub(crate) const ESTIMATED: &str = "llmesh.usage.estimated";

// Events.
pub(crate) const RETRY: &str = "retry";
pub(crate) const NO_RETRY: &str = "retry.ended";
pub(crate) const FALLBACK: &str = "fallback";
pub(crate) const RESUME: &str = "resume";
pub(crate) const REFUSED: &str = "refused";
pub(crate) const FROM: &str = "from";
pub(crate) const TO: &str = "to";
pub(crate) const BY: &str = "by";
pub(crate) const WHY: &str = "why";
