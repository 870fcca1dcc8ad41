//! Whether the answer to a request may be gone on with by another model, from the text so far.
//!
//! A continuation is text that follows text. What asks for more than that cannot be had in two halves: a call of a tool that the
//! second model would write as prose (BerriAI/litellm#31067), a structure whose schema binds the whole, several answers, sound.

use serde_json::Value;

use crate::llm::dialect::Dialect;

/// What may end in a call of a tool.
const TOOLS: &[&str] = &["functions", "mcp_servers", "tools", "web_search_options"];
/// What binds the structure of the whole answer: Anthropic's, then those of vLLM, llama.cpp and SGLang.
const STRUCTURE: &[&str] = &[
    "ebnf",
    "format",
    "grammar",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "json_schema",
    "output_format",
    "regex",
    "structured_outputs",
];
/// Where text ends an answer.
const STOPS: &[&str] = &["stop", "stop_sequences"];

/// Whether an answer that says `text` so far can be gone on with.
pub(crate) fn can_be_gone_on_with(dialect: Dialect, body: &[u8], text: &str) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let asks = |keys: &[&str]| keys.iter().any(|key| is_set(body.get(*key)));
    // With thoughts Anthropic takes no beginning but one that begins with them (router-for-me/CLIProxyAPI#746).
    let thinks = dialect == Dialect::Anthropic
        && body
            .get("thinking")
            .is_some_and(|t| is_set(Some(t)) && t.get("type") != Some(&"disabled".into()));
    !(asks(TOOLS)
        || asks(STRUCTURE)
        || asks(&["audio"])
        || thinks
        || is_structured(&body)
        || has_other_modes(&body)
        || answers(&body) > 1
        || stops(&body).any(|stop| is_met(stop, text)))
}

/// Whether several answers are asked for.
pub(crate) fn several(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|body| answers(&body) > 1)
}

/// Whether there is something: `null`, `false` and what is empty are nothing.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        // An empty object of options still asks for what it is about.
        Some(_) => true,
    }
}

fn is_structured(body: &Value) -> bool {
    let format = body.get("response_format");
    let other_than_text =
        is_set(format) && format.and_then(|format| format.get("type")) != Some(&"text".into());
    other_than_text || is_set(body.pointer("/output_config/format"))
}

fn has_other_modes(body: &Value) -> bool {
    let modes = body.get("modalities").and_then(Value::as_array);
    modes.is_some_and(|modes| modes.iter().any(|mode| mode != "text"))
}

fn answers(body: &Value) -> u64 {
    let count = |key| body.get(key).and_then(Value::as_u64);
    count("n").max(count("best_of")).unwrap_or(1)
}

fn stops(body: &Value) -> impl Iterator<Item = &str> {
    STOPS
        .iter()
        .filter_map(|key| body.get(*key))
        .flat_map(|stop| match stop {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        })
        .filter_map(Value::as_str)
        .filter(|stop| !stop.is_empty())
}

/// Whether the text has come to this end, or into it: the rest of it would not be known as one in what another model adds.
fn is_met(stop: &str, text: &str) -> bool {
    text.contains(stop)
        || stop
            .char_indices()
            .skip(1)
            .any(|(at, _)| text.ends_with(stop.get(..at).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn can(dialect: Dialect, more: &Value, text: &str) -> bool {
        let mut body = json!({"model": "m", "stream": true, "messages": []});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        can_be_gone_on_with(dialect, body.to_string().as_bytes(), text)
    }

    #[test]
    fn what_is_more_than_one_plain_text_is_not_gone_on_with() {
        for more in [
            json!({"tools": [{"type": "function"}]}),
            json!({"functions": [{"name": "f"}]}),
            json!({"web_search_options": {}}),
            json!({"mcp_servers": [{}]}),
            json!({"response_format": {"type": "json_object"}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
            json!({"output_config": {"format": {"type": "json_schema"}}}),
            json!({"output_format": {"type": "json_schema"}}),
            json!({"guided_json": {}}),
            json!({"grammar": "root ::= x"}),
            json!({"n": 2}),
            json!({"best_of": 2}),
            json!({"modalities": ["text", "audio"]}),
            json!({"audio": {"voice": "x"}}),
            json!({"stop": "lo"}),
            json!({"stop": ["x", "Hello"]}),
            json!({"stop_sequences": ["lo, world"]}),
        ] {
            assert!(!can(Dialect::OpenAi, &more, "Hello"), "{more}");
            assert!(!can(Dialect::Anthropic, &more, "Hello"), "{more}");
        }
        for more in [
            json!({}),
            json!({"tools": [], "functions": null, "tool_choice": "none"}),
            json!({"response_format": {"type": "text"}}),
            json!({"response_format": null}),
            json!({"n": 1, "best_of": null, "audio": null}),
            json!({"modalities": ["text"]}),
            json!({"stop": null}),
            json!({"stop": ["H", ""], "stop_sequences": ["world"]}),
            json!({"output_config": {"effort": "low"}}),
        ] {
            assert!(can(Dialect::OpenAi, &more, "hello"), "{more}");
        }
        assert!(!can_be_gone_on_with(Dialect::OpenAi, b"no JSON", "a"));
    }

    #[test]
    fn thoughts_forbid_it_where_the_dialect_does() {
        let on = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
        let off = json!({"thinking": {"type": "disabled"}});
        assert!(!can(Dialect::Anthropic, &on, "a"));
        assert!(can(Dialect::Anthropic, &off, "a"));
        assert!(can(Dialect::OpenAi, &on, "a"));
    }
}
