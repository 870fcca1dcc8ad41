//! `llmesh mock`: its flags.

use std::num::NonZeroUsize;

use clap::Args;

use crate::{cli::address::Listen, testing::upstream::Answer};

/// `llmesh mock`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The path picks the dialect: /v1/chat/completions, /openai/deployments/D/chat/completions and /v1/responses (OpenAI,
Azure), /v1/messages (Anthropic), …:generateContent and …:streamGenerateContent (Gemini), /api/chat (Ollama), /v2/chat
(Cohere), /model/M/converse and …/converse-stream (Bedrock); others answer as OpenAI chat. Point an SDK's base URL here.

What goes wrong is asked for by the model's name, after its last @:
  m@503                              every request fails        m@429;retry-after=2;times=1    once, then good
  m@503;times=2,429,200,loop         in turn, and again (or ,hold: the last stays)
  m@503;flap-ms=5000                 5 s bad, 5 s good, …       m@case=anthropic-015           a case of /mock/cases
or by request headers, which pass through a proxy between: x-mock-status: 503, x-mock-times: 1, …,
x-mock-sequence: 503,429;retry-after-ms=300,200, and x-mock-key: ID (turns are counted for each ID). Names and values:
  status=N        or N alone         error=E        or E alone  fault=F        or F alone
  retry-after=S   retry-after-ms=N   header-NAME=V              case=ID
  delay-ms=N      before the head    first-token-delay-ms=N     token-delay-ms=N      tokens-per-second=R
  tokens=N        body-bytes=N       ping-ms=N   while waiting  stall-ms=N   how long stall:N lasts
  finish=stop | length | content_filter                         tool[=NAME]  call a tool of the request
  no-prefill      refuse prefills    gzip | bad-gzip            times=N      flap-ms=N
  E: rate_limit ramp_limit request_exceeds_limit insufficient_quota quota_window overloaded context_length
     content_filter invalid_request too_large auth permission not_found conflict timeout server_error
  F: hang close reset refuse:MS   before an answer;   page   HTML instead of it
     cut:N reset:N end:N stall:N error:N malformed:N   after N events of a stream, N tokens (cut:3t), N bytes of a body
     no-done double-finish content-after-finish   at the end of a stream
Models named NAME@20250514, NAME@latest and NAME@default ask for nothing.

The text is \"The quick brown fox … home. 13 14 …\", 16 tokens unless told; a last turn of the assistant's is continued.
Prompt tokens are words. Answers name who gave them: x-mock-listener, x-mock-version.

Examples:
  llmesh mock --listen 127.0.0.1:9001=v1 --listen 127.0.0.1:9011=v2
  curl -i localhost:9001/v1/chat/completions -d '{\"model\":\"m@rate_limit;retry-after=2;times=1\"}'
  curl -N localhost:9001/v1/messages -d '{\"model\":\"m@cut:3t\",\"stream\":true}' -H 'x-api-key: k'
  curl -X POST localhost:9001/mock/script -d '{\"status\":500}'          every answer of this listener is a 500 …
  curl -X DELETE localhost:9001/mock/script                            … until then
  curl localhost:9001/mock/usage                      tokens, attempts, hang-ups by key and model
  curl localhost:9001/mock/stats                      also /mock/prompts, /mock/cases
  curl -X DELETE localhost:9001/mock/state            forgets turns and counts
  llmesh mock --listen 9001 --answer 'delay-ms=50;tokens=40'           all answers take 50 ms and have 40 tokens")]
pub struct MockArgs {
    /// Where to listen, and which version label to give; may be given several times.
    #[arg(
        long,
        value_name = "[IP:]PORT[=LABEL]",
        default_value = "127.0.0.1:9001"
    )]
    pub listen: Vec<Listen>,
    /// What to answer to requests that do not ask for something themselves, such as `503` or `overloaded;delay-ms=20`.
    #[arg(long, value_name = "ANSWER")]
    pub answer: Option<Answer>,
    /// Worker threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
}
