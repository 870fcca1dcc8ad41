//! What a target refuses of that which is added to a call on this side, and which calls need it no longer.
//!
//! An addition must not fail a call that is good without it. So a refusal is recognised, by its words alone (a 400 or a 422, or
//! an error under another status that was read as such, that names what was added, in the code, the parameter, the message or a list of details; never in what it quotes of the request),
//! and remembered for that cluster and model: for an hour, since servers learn, and for [`MOST`] of them, the newest.

mod answer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

pub(crate) use self::answer::unless_refused;
use crate::base::time::Instant;

/// How long a refusal is remembered.
pub const FOR: Duration = Duration::from_secs(3600);
/// How many refusals are remembered.
pub const MOST: usize = 1024;

/// How deep an error is looked into.
const DEPTH: u32 = 8;

/// What is added to a call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addition {
    /// `stream_options.include_usage`, for a caller who did not ask.
    Usage,
    /// The beginning of the answer as the last message, where a stream is gone on with.
    Prefill,
}

/// Which refusals are known. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<HashMap<Key, Instant>>>);

/// An addition at a model of a cluster, or at a cluster whose model is not known.
type Key = (Addition, Arc<str>, Option<Arc<str>>);

/// Words that tell what is refused, in lower case.
///
/// Of usage: the parameter's names, which also stand in "Unknown parameter: 'stream_options.include_usage'"
/// (QuantumNous/new-api#418, BigPizzaV3/CodexPlusPlus#234), "extraneous key [`include_usage`] is not permitted"
/// (BerriAI/litellm#9916) and `"loc": ["body", "stream_options"]` (Mistral, `FastAPI`).
const USAGE: &[&str] = &[
    "stream_options",
    "include_usage",
    "streamoptions",
    "stream options",
];

const PREFILL: &[&str] = &[
    // Anthropic since Opus 4.6, and whoever stands before it (aws-samples/bedrock-access-gateway#219); llama.cpp
    // (ggml-org/llama.cpp#20861).
    "prefill",
    // Anthropic.
    "must end with a user message",
    // Gemini's OpenAI-compatible side.
    "requests end with a user role",
    // Mistral (0xPlaygrounds/rig#708).
    "expected last role user",
    // vLLM and transformers (mistralai/mistral-vibe#114).
    "when the last message is from the assistant",
    // Ollama and llama.cpp (NousResearch/hermes-agent#80265).
    "assistant messages at the end of the list",
    // Others' wordings of the same.
    "last message must be from the user",
    "last message must have role",
    "last message must be a user",
    "last message cannot be from the assistant",
];

/// Where an error says what is wrong. What it quotes (`input`, `ctx`, a message's text) is not looked at.
const SAYS: &[&str] = &[
    "cause",
    "code",
    "description",
    "detail",
    "details",
    "error",
    "errors",
    "field",
    "fieldviolations",
    "loc",
    "message",
    "msg",
    "param",
    "path",
    "reason",
    "title",
];

// === impl Addition ===

impl Addition {
    /// Whether an error with this (decoded) body says that it is refused. The error must be one that says that the request is
    /// wrong: a 400, a 422, or what means the same.
    #[must_use]
    pub fn is_named_in(self, body: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(body) else {
            return false;
        };
        match serde_json::from_str::<Value>(text) {
            Ok(error) => self.named_in(&error, DEPTH),
            Err(_) => self.named(text),
        }
    }

    fn named_in(self, error: &Value, depth: u32) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return false;
        };
        match error {
            Value::String(text) => self.named(text),
            Value::Array(list) => list.iter().any(|value| self.named_in(value, deeper)),
            Value::Object(members) => members.iter().any(|(key, value)| {
                SAYS.iter().any(|says| key.eq_ignore_ascii_case(says))
                    && self.named_in(value, deeper)
            }),
            _ => false,
        }
    }

    fn named(self, text: &str) -> bool {
        let words = match self {
            Self::Usage => USAGE,
            Self::Prefill => PREFILL,
        };
        let text = text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    }
}

// === impl Refusals ===

impl Refusals {
    /// Whether this model of this cluster is known, at `now`, to refuse it.
    #[must_use]
    pub fn knows(
        &self,
        what: Addition,
        cluster: &Arc<str>,
        model: Option<&Arc<str>>,
        now: Instant,
    ) -> bool {
        let known = self.lock();
        if known.is_empty() {
            return false;
        }
        let key = (what, Arc::clone(cluster), model.cloned());
        known.get(&key).is_some_and(|until| now < *until)
    }

    /// Remembers a refusal, from `now` on.
    pub fn note(&self, what: Addition, cluster: &Arc<str>, model: Option<&Arc<str>>, now: Instant) {
        let key = (what, Arc::clone(cluster), model.cloned());
        let mut known = self.lock();
        if known.len() >= MOST && !known.contains_key(&key) {
            known.retain(|_, until| now < *until);
        }
        if known.len() >= MOST && !known.contains_key(&key) {
            let oldest = known.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
            }
        }
        if let Some(until) = now.checked_add(FOR) {
            known.insert(key, until);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(what: Addition, body: &str) -> bool {
        what.is_named_in(body.as_bytes())
    }

    #[test]
    fn a_refusal_names_what_was_added() {
        for body in [
            r#"{"error": {"message": "Unknown parameter: 'stream_options'.", "param": "stream_options", "code": "unknown_parameter"}}"#,
            r#"{"error": {"message": "Bad request", "param": "stream_options.include_usage"}}"#,
            r#"{"error": {"message": "property 'stream_options' is unsupported, did you mean 'stream'?"}}"#,
            r#"{"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}"#,
            r#"{"object": "error", "message": {"detail": [{"loc": ["body", "stream_options", "include_usage"]}]}}"#,
            r#"{"detail": "Stream options are not supported"}"#,
            r#"{"message": "extraneous key [include_usage] is not permitted"}"#,
            r#"[{"error": {"code": 400, "details": [{"fieldViolations": [{"field": "stream_options"}]}]}}]"#,
            r#"{"error": "litellm: {\"error\": {\"param\": \"stream_options\"}}"}"#,
            "json: unknown field \"stream_options\"",
        ] {
            assert!(refuses(Addition::Usage, body), "{body}");
            assert!(!refuses(Addition::Prefill, body), "{body}");
        }
    }

    #[test]
    fn what_is_quoted_is_no_refusal() {
        for body in [
            "",
            "{}",
            r#"{"error": {"message": "Param Incorrect", "code": "400"}}"#,
            r#"{"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "input": {"stream_options": {"include_usage": true}}}]}"#,
            r#"{"error": {"message": "bad", "request": {"stream_options": {}}}, "stream_options": "stream_options"}"#,
            "\u{fffd}",
        ] {
            assert!(!refuses(Addition::Usage, body), "{body}");
        }
        assert!(!Addition::Usage.is_named_in(b"\xff stream_options"));
        let deep = format!("{}\"stream_options\"{}", "[".repeat(50), "]".repeat(50));
        assert!(!refuses(Addition::Usage, &deep));
    }

    #[test]
    fn a_beginning_is_refused_in_many_words() {
        for message in [
            "This model does not support assistant message prefill. The conversation must end with a user message.",
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            "Cannot set `add_generation_prompt` to True when the last message is from the assistant. Consider `continue_final_message`.",
            "Cannot have 2 or more assistant messages at the end of the list.",
            "Assistant response prefill is incompatible with enable_thinking.",
            "Please ensure that multiturn requests end with a user role.",
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            assert!(refuses(Addition::Prefill, &body), "{message}");
            assert!(!refuses(Addition::Usage, &body), "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_for_its_cluster_and_model_and_a_while() {
        let (known, now) = (Refusals::default(), Instant::now());
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let model: Arc<str> = "m".into();
        known.note(Addition::Usage, &a, Some(&model), now);
        let knows = |what, cluster, model, now| known.knows(what, cluster, model, now);
        assert!(knows(Addition::Usage, &a, Some(&model), now));
        assert!(!knows(Addition::Prefill, &a, Some(&model), now));
        assert!(!knows(Addition::Usage, &b, Some(&model), now));
        assert!(!knows(Addition::Usage, &a, None, now));
        assert!(!knows(Addition::Usage, &a, Some(&model), now + FOR));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_remembered() {
        let (known, now) = (Refusals::default(), Instant::now());
        let cluster: Arc<str> = "c".into();
        let model = |n: usize| Arc::<str>::from(n.to_string());
        let at = |n: usize| now + Duration::from_millis(n as u64);
        for n in 0..MOST + 10 {
            known.note(Addition::Usage, &cluster, Some(&model(n)), at(n));
        }
        assert_eq!(known.lock().len(), MOST);
        let knows = |n| known.knows(Addition::Usage, &cluster, Some(&model(n)), at(MOST));
        assert!(!knows(9) && knows(10) && knows(MOST + 9));
    }
}
