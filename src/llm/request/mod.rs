//! What a request asks for: model, stream, limits, size; and its rewriting where another target is asked.
//!
//! Nothing of a prompt is kept, and a rewriting changes the bytes it names and no other. A body that is not one JSON
//! object is none of ours: [`Call::read`] says `None`, and the upstream may say what is wrong with it.

mod alias;
mod form;
pub(crate) mod named;
mod names;
mod rename;
mod resume;
mod rewrite;
mod scan;
mod sealed;
mod sole;

use std::sync::Arc;

use ::http::Uri;
use bytes::Bytes;

use crate::llm::dialect::{Api, Dialect, Provider};

pub use self::alias::Aliases;
pub use self::rewrite::{Unwritable, with_model, with_prefill, with_usage};
pub(crate) use self::{
    rename::{rename, rename_named, rename_path},
    resume::{can_be_gone_on_with, several},
    rewrite::model_in_path,
    sealed::{is_sealed, set_length},
};

/// The longest name of a model that is read: names become keys and labels.
const MODEL_CAP: usize = 512;
/// A string longer than this that is base64 through and through is a file, which is not billed by its bytes.
const DATA_FROM: usize = 1024;
/// As how many bytes of text such a file counts: about a thousand tokens, as a large image does.
const DATA_COUNTS: u64 = 4096;

/// What one LLM request asks for. It goes with the request, as an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The API's shape.
    pub dialect: Dialect,
    /// Whose API it is, as far as the host tells.
    pub provider: Option<Provider>,
    /// The model asked for, in the body or in the path (there decoded).
    pub model: Option<Arc<str>>,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Whether the path says so (Gemini, Bedrock, TGI).
    pub streams_by_path: bool,
    /// Whether the caller asked for usage in the stream (`stream_options.include_usage`). Only OpenAI chat has to be
    /// asked.
    pub usage_asked: bool,
    /// The most output tokens that it may cost: the limit of one answer times the number of answers.
    pub max_output: Option<u64>,
    /// The size of the prompt: the JSON of messages, instructions, documents and tools. A file in base64 counts as 4 KiB.
    pub prompt_bytes: u64,
}

/// Members whose value is billed as input, in any dialect.
const PROMPT: &[&str] = &[
    "chat_history",
    "contents",
    "documents",
    "functions",
    "input",
    "inputText",
    "inputs",
    "instructions",
    "message",
    "messages",
    "preamble",
    "prompt",
    "response_format",
    "suffix",
    "system",
    "systemInstruction",
    "system_instruction",
    "toolConfig",
    "tools",
];

/// Objects that hold limits.
const GROUPS: &[&str] = &[
    "generationConfig",
    "generation_config",
    "inferenceConfig",
    "options",
    "parameters",
    "textGenerationConfig",
];

/// Names of the limit on output tokens. Of several that stand side by side the largest counts.
const LIMITS: &[&str] = &[
    "maxOutputTokens",
    "maxTokenCount",
    "maxTokens",
    "max_completion_tokens",
    "max_gen_len",
    "max_new_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tokens_to_sample",
    "num_predict",
];

/// Names of the number of answers.
const ANSWERS: &[&str] = &["best_of", "candidateCount", "candidate_count", "n"];

/// What the members of a body say.
#[derive(Default)]
struct Facts {
    model: Option<String>,
    stream: Option<bool>,
    usage_asked: bool,
    limit: Option<u64>,
    answers: u64,
    prompt_bytes: u64,
}

// === impl Call ===

impl Call {
    /// Reads a request. Of a member that stands twice the last counts, as for most parsers.
    ///
    /// `None` if it is neither an LLM call nor an embedding, or its body is not one JSON object.
    #[must_use]
    pub fn read(api: &Api, uri: &Uri, body: &Bytes) -> Option<Self> {
        let dialect = api.dialect.filter(|_| api.counts)?;
        let text = std::str::from_utf8(body).ok()?;
        let mut facts = Facts::default();
        scan::object(text, |m| {
            let (Some(key), Some(value)) = (text.get(m.key), text.get(m.value)) else {
                return;
            };
            facts.top(key, value);
        })?;
        let model = rewrite::model_in_path(uri).or(facts.model);
        // Ollama alone streams unless told not to.
        let streams = facts.stream.unwrap_or(dialect == Dialect::Ollama);
        Some(Self {
            dialect,
            provider: api.provider,
            model: model.and_then(as_name),
            stream: api.streaming || streams,
            streams_by_path: api.streaming,
            usage_asked: facts.usage_asked,
            max_output: facts
                .limit
                .map(|limit| limit.saturating_mul(facts.answers.max(1))),
            prompt_bytes: facts.prompt_bytes,
        })
    }

    /// The input tokens that are expected: a quarter of [`prompt_bytes`](Self::prompt_bytes), rounded up, at least one.
    ///
    /// Four bytes a token is the common rule of thumb for English prose; JSON round it and other scripts make the truth
    /// smaller or larger. It is for reservations, which the real usage settles.
    #[must_use]
    pub fn estimate_input(&self) -> u64 {
        self.prompt_bytes.div_ceil(4).max(1)
    }
}

// === impl Facts ===

impl Facts {
    /// A member at the top; the key with its quotes.
    fn top(&mut self, key: &str, value: &str) {
        let is = |word: &str| scan::is(key, word);
        if is("model") {
            self.model = scan::decoded(value);
        } else if is("stream") {
            self.stream = Some(value == "true");
        } else if is("stream_options") {
            self.usage_asked = false;
            each(value, |key, value| {
                if scan::is(key, "include_usage") {
                    self.usage_asked = value == "true";
                }
            });
        } else if GROUPS.iter().any(|word| is(word)) {
            each(value, |key, value| self.limits(key, value));
        } else if PROMPT.iter().any(|word| is(word)) {
            self.prompt_bytes = self.prompt_bytes.saturating_add(size(value));
        } else {
            self.limits(key, value);
        }
    }

    fn limits(&mut self, key: &str, value: &str) {
        // A number that is no count, such as Ollama's -1 for "no end", is no limit.
        let Ok(number) = value.parse::<u64>() else {
            return;
        };
        if LIMITS.iter().any(|word| scan::is(key, word)) {
            self.limit = self.limit.max(Some(number));
        } else if ANSWERS.iter().any(|word| scan::is(key, word)) {
            self.answers = self.answers.max(number);
        }
    }
}

/// What can be a model's name: not empty, not too long, and visible.
fn as_name(text: String) -> Option<Arc<str>> {
    let fits = !text.is_empty() && text.len() <= MODEL_CAP && !text.contains(char::is_control);
    fits.then(|| text.into())
}

/// The members of a value that is an object.
fn each(value: &str, mut visit: impl FnMut(&str, &str)) {
    let mut visit = |m: scan::Member| {
        if let (Some(key), Some(value)) = (value.get(m.key), value.get(m.value)) {
            visit(key, value);
        }
    };
    // It was read as a value before: if it is no object, there are no members.
    let _ = scan::members(value.as_bytes(), 0, &mut visit);
}

/// The bytes of a prompt's part, files discounted.
fn size(value: &str) -> u64 {
    let mut size = value.len() as u64;
    scan::strings(value, |string| {
        if is_data(string) {
            size = size
                .saturating_sub(string.len() as u64)
                .saturating_add(DATA_COUNTS.min(string.len() as u64));
        }
    });
    size
}

/// Whether a string is a file: base64, alone or in a `data:` URL.
fn is_data(string: &[u8]) -> bool {
    if string.len() <= DATA_FROM {
        return false;
    }
    let data = match string.strip_prefix(b"data:") {
        Some(url) => match url.iter().take(256).position(|b| *b == b',') {
            Some(comma) => url.get(comma + 1..).unwrap_or_default(),
            None => return false,
        },
        None => string,
    };
    // `\` and `n`: line breaks, and an escaped slash.
    data.iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\'))
}

#[cfg(test)]
mod tests;
