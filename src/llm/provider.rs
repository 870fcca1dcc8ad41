//! The shapes of APIs, and who serves them.

/// The shape of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI chat completions, completions and embeddings, and all that copy them.
    OpenAi,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini and Vertex `generateContent`, and Interactions.
    Gemini,
    /// Bedrock Converse and InvokeModel.
    Bedrock,
    /// Cohere v1 and v2 chat.
    Cohere,
    /// Ollama's native API.
    Ollama,
    /// Hugging Face text-generation-inference.
    Tgi,
}

/// Who serves it. Only those whose signals mean something of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "names of companies and projects")]
pub enum Provider {
    OpenAi,
    Azure,
    Anthropic,
    Gemini,
    Vertex,
    Bedrock,
    Mistral,
    Cohere,
    Groq,
    Together,
    Fireworks,
    OpenRouter,
    DeepSeek,
    HuggingFace,
}
