//! The span of a call of a model, by OpenTelemetry's GenAI conventions.

use http::Extensions;

use super::{Span, attribute::Value, kind::Kind, names};
use crate::{
    base::cost::Ledger,
    layers::trace,
    llm::{Dialect, Provider, request::Call},
};

/// What a call of a model costs, and whether it is one.
pub(super) struct Models {
    ledger: Ledger,
}

// === impl Models ===

impl Models {
    /// `None`: the request is no call of a model. Otherwise an account is kept of it.
    pub(super) fn of(request: &mut Extensions) -> Option<Self> {
        request.get::<Call>()?;
        let ledger = request.get_or_insert_default::<Ledger>().clone();
        Some(Self { ledger })
    }

    /// Writes who answered and what that cost.
    pub(super) fn write(&self, span: &Span, succeeded: bool) {
        if !succeeded {
            span.set(names::FINISH_REASONS, Value::List(vec!["error"]));
        }
        let all = self.ledger.all();
        let Some(last) = all.last() else { return };
        if let Some(model) = &last.model {
            span.set(names::RESPONSE_MODEL, model.clone());
        }
        let usage = &last.usage;
        span.set(names::INPUT_TOKENS, usage.input);
        span.set(names::OUTPUT_TOKENS, usage.output);
        let details = [
            (names::CACHE_READ, usage.cache_read),
            (names::CACHE_WRITE, usage.cache_write),
            (names::REASONING, usage.reasoning),
        ];
        for (name, count) in details {
            if let Some(count) = count {
                span.set(name, count);
            }
        }
        if last.estimated {
            span.set(names::ESTIMATED, true);
        }
        if all.len() > 1 {
            span.set(names::BILLED, self.ledger.total());
        }
    }
}

// === free functions ===

/// Begins the span of a call.
pub(super) fn begin(
    above: Option<&Span>,
    context: &trace::Context,
    call: &Call,
    path: &str,
) -> Option<Span> {
    let operation = operation(call, path);
    let name = match &call.model {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    };
    let span = Span::begin(above, context, Kind::Client, name)?;
    if !span.is_recording() {
        return Some(span);
    }
    span.set(names::OPERATION, operation);
    span.set(names::PROVIDER, provider(call));
    if let Some(model) = &call.model {
        span.set(names::REQUEST_MODEL, model.clone());
    }
    if let Some(max) = call.max_output {
        span.set(names::MAX_TOKENS, max);
    }
    if call.stream {
        span.set(names::STREAM, true);
    }
    Some(span)
}

/// The conventions' name of what is done.
fn operation(call: &Call, path: &str) -> &'static str {
    let embeds = [
        "/embeddings",
        "/embed",
        "/api/embeddings",
        ":embedContent",
        ":batchEmbedContents",
    ];
    if embeds.iter().any(|end| path.ends_with(end)) {
        return "embeddings";
    }
    if path.ends_with("/completions") && !path.ends_with("/chat/completions") {
        return "text_completion";
    }
    match call.dialect {
        Dialect::Gemini => "generate_content",
        Dialect::Tgi => "text_completion",
        _ => "chat",
    }
}

/// The conventions' name of who is asked: by the host, else by the words that are spoken.
fn provider(call: &Call) -> &'static str {
    let by_words = match call.dialect {
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gcp.gemini",
        Dialect::Bedrock => "aws.bedrock",
        Dialect::Cohere => "cohere",
        Dialect::Ollama => "ollama",
        Dialect::Tgi => "hugging_face",
        Dialect::OpenAi | Dialect::OpenAiResponses => "openai",
    };
    let Some(provider) = call.provider else {
        return by_words;
    };
    match provider {
        Provider::OpenAi => "openai",
        Provider::Azure => "azure.ai.openai",
        Provider::Anthropic => "anthropic",
        Provider::Gemini => "gcp.gemini",
        Provider::Vertex => "gcp.vertex_ai",
        Provider::Bedrock => "aws.bedrock",
        Provider::Mistral => "mistral_ai",
        Provider::Cohere => "cohere",
        Provider::Groq => "groq",
        Provider::Together => "together_ai",
        Provider::Fireworks => "fireworks_ai",
        Provider::OpenRouter => "openrouter",
        Provider::DeepSeek => "deepseek",
        Provider::HuggingFace => "hugging_face",
    }
}
