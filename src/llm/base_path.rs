//! Where an API hangs: what of a path is the base URL's, and what the API's own.

use ::http::{Uri, uri::PathAndQuery};

/// Beginnings of the APIs' own parts. Bases of OpenAI's end in a version, which those of the others do not.
const OWN: &[&str] = &[
    "/chat/completions",
    "/fim/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/audio",
    "/images",
    "/moderations",
    "/v1/messages",
    "/v1/complete",
    "/interactions",
    "/v2/chat",
    "/v1/chat",
    "/api/chat",
    "/api/generate",
    "/generate",
    "/generate_stream",
];

/// The request's target under another base: `base` takes the place of what stands before the API's own part of the path. Of a
/// path that is no API's all is its own part; a base that ends in this very part is the whole path. The query stays.
///
/// `None` if that makes no path.
pub(crate) fn with_base(uri: &Uri, base: &str) -> Option<Uri> {
    let path = uri.path();
    let own = path.get(own_part(path)..)?;
    let base = base.trim_end_matches('/');
    let mut text = match base.ends_with(own) {
        true => base.to_owned(),
        false => format!("{base}{own}"),
    };
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// Where a path's own part begins.
fn own_part(path: &str) -> usize {
    // Gemini and Vertex, whose verb follows the model; Bedrock.
    if let Some(at) = path.rfind("/models/")
        && path.get(at..).is_some_and(|own| own.contains(':'))
    {
        return at;
    }
    if let Some(at) = path.find("/model/") {
        return at;
    }
    let found = OWN.iter().find_map(|own| {
        let at = path.rfind(own)?;
        let rest = path.get(at + own.len()..)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(at)
    });
    found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_apis_own_part_is_replaced() {
        for (path, base, moved) in [
            (
                "/v1/chat/completions",
                "/openai/v1",
                "/openai/v1/chat/completions",
            ),
            (
                "/v1/chat/completions?a=b",
                "/openai/v1/",
                "/openai/v1/chat/completions?a=b",
            ),
            ("/v1/chat/completions", "/", "/chat/completions"),
            ("/chat/completions", "/api/v1", "/api/v1/chat/completions"),
            (
                "/v1/chat/completions/",
                "/api/v1",
                "/api/v1/chat/completions/",
            ),
            (
                "/v1/completions",
                "/inference/v1",
                "/inference/v1/completions",
            ),
            ("/v1/embeddings", "/openai/v1", "/openai/v1/embeddings"),
            (
                "/v1/audio/transcriptions",
                "/openai/v1",
                "/openai/v1/audio/transcriptions",
            ),
            (
                "/v1/responses/resp_1/cancel",
                "/openai/v1",
                "/openai/v1/responses/resp_1/cancel",
            ),
            (
                "/openai/deployments/a/chat/completions",
                "/v1",
                "/v1/chat/completions",
            ),
            (
                "/v1/chat/completions",
                "/openai/deployments/a",
                "/openai/deployments/a/chat/completions",
            ),
            (
                "/v1/chat/completions",
                "/x/v2/chat/completions",
                "/x/v2/chat/completions",
            ),
            ("/v1/messages", "/anthropic", "/anthropic/v1/messages"),
            (
                "/v1/messages/count_tokens",
                "/anthropic",
                "/anthropic/v1/messages/count_tokens",
            ),
            ("/a/v1/messages", "/", "/v1/messages"),
            (
                "/v1beta/models/g:generateContent",
                "/v1/projects/p/publishers/google",
                "/v1/projects/p/publishers/google/models/g:generateContent",
            ),
            ("/model/a%2Fb/converse", "/aws", "/aws/model/a%2Fb/converse"),
            ("/v2/chat", "/cohere", "/cohere/v2/chat"),
            ("/api/chat", "/ollama", "/ollama/api/chat"),
            ("/generate_stream", "/tgi", "/tgi/generate_stream"),
            ("/ask/me", "/there", "/there/ask/me"),
            ("/", "/there", "/there/"),
        ] {
            let uri = with_base(&path.parse().unwrap(), base).unwrap();
            assert_eq!(uri.to_string(), moved, "{path} {base}");
        }
        let absolute: Uri = "http://llm:80/v1/chat/completions?x=1".parse().unwrap();
        let moved = with_base(&absolute, "/openai/v1").unwrap();
        assert_eq!(moved, "http://llm:80/openai/v1/chat/completions?x=1");
        assert_eq!(with_base(&absolute, "/a b"), None);
    }
}
