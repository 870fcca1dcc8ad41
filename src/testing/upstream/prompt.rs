//! What a request says, in whichever dialect: its text, whether it ends with the assistant's turn, its tools.

use serde_json::{Map, Value, json};

/// The parts of a request that the answer depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Words of all text in the conversation and the instructions, at least 1: the mock's prompt tokens.
    pub(super) tokens: usize,
    /// Of the conversation and the instructions.
    pub(super) hash: u64,
    /// The text of the last turn, if it is the assistant's.
    pub(super) prefill: Option<String>,
    /// How many tokens the caller takes.
    pub(super) max_tokens: Option<usize>,
    pub(super) tools: Vec<Tool>,
}

/// A tool that the request offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// Arguments that its schema accepts: every required property, by its type.
    pub(super) arguments: Value,
}

/// Where the dialects keep the conversation, the last turn last.
const TURNS: [&str; 3] = ["messages", "contents", "input"];

/// Where they keep instructions and plain prompts.
const TEXTS: [&str; 5] = [
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
    "prompt",
];

/// Where they keep the limit.
const LIMITS: [&str; 6] = [
    "/max_tokens",
    "/max_completion_tokens",
    "/max_output_tokens",
    "/generationConfig/maxOutputTokens",
    "/inferenceConfig/maxTokens",
    "/options/num_predict",
];

// === impl Prompt ===

impl Prompt {
    /// Reads a request's body. What is not JSON says one word.
    pub(super) fn read(json: &Value) -> Self {
        let mut texts = Vec::new();
        let mut spoken = Map::new();
        for key in TURNS.iter().chain(&TEXTS) {
            if let Some(value) = json.get(key) {
                collect(value, &mut texts);
                spoken.insert((*key).to_owned(), value.clone());
            }
        }
        let words: usize = texts.iter().map(|t| t.split_whitespace().count()).sum();
        let turns = TURNS.iter().find_map(|key| json.get(key)?.as_array());
        let prefill = turns.and_then(|turns| assistant(turns.last()?));
        let limit = LIMITS.iter().find_map(|at| json.pointer(at)?.as_u64());
        Self {
            tokens: words.max(1),
            hash: xxhash_rust::xxh3::xxh3_64(Value::Object(spoken).to_string().as_bytes()),
            prefill,
            max_tokens: limit.and_then(|n| usize::try_from(n).ok()),
            tools: tools(json),
        }
    }
}

/// The text of a turn of the assistant's that is only text.
fn assistant(turn: &Value) -> Option<String> {
    let role = turn.get("role")?.as_str()?;
    if !matches!(role, "assistant" | "model") || turn.get("tool_calls").is_some() {
        return None;
    }
    let mut texts = Vec::new();
    collect(turn, &mut texts);
    Some(texts.concat())
}

/// The texts in a value, in order, wherever a dialect keeps text.
fn collect<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(fields) => {
            for key in ["content", "parts", "text", "output"] {
                if let Some(value) = fields.get(key) {
                    collect(value, out);
                }
            }
        }
        _ => {}
    }
}

fn tools(json: &Value) -> Vec<Tool> {
    let given = json
        .get("tools")
        .or_else(|| json.pointer("/toolConfig/tools"));
    let mut tools = Vec::new();
    for tool in given.and_then(Value::as_array).into_iter().flatten() {
        match tool.get("functionDeclarations").and_then(Value::as_array) {
            Some(functions) => tools.extend(functions.iter().filter_map(read_tool)),
            None => {
                let nested = tool.get("function").or_else(|| tool.get("toolSpec"));
                tools.extend(read_tool(nested.unwrap_or(tool)));
            }
        }
    }
    tools
}

fn read_tool(tool: &Value) -> Option<Tool> {
    let schema = [
        "/parameters",
        "/parametersJsonSchema",
        "/input_schema",
        "/inputSchema/json",
    ]
    .iter()
    .find_map(|at| tool.pointer(at));
    Some(Tool {
        name: tool.get("name")?.as_str()?.to_owned(),
        arguments: arguments(schema.unwrap_or(&Value::Null)),
    })
}

fn arguments(schema: &Value) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let fields = names.map(|name| {
        let property = schema.get("properties").and_then(|p| p.get(name));
        (name.to_owned(), argument(property.unwrap_or(&Value::Null)))
    });
    Value::Object(fields.collect())
}

fn argument(schema: &Value) -> Value {
    if let Some(Value::Array(choices)) = schema.get("enum") {
        return choices.first().cloned().unwrap_or_default();
    }
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("string");
    match kind.to_ascii_lowercase().as_str() {
        "number" | "integer" => json!(1),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" => arguments(schema),
        _ => json!("mock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_dialect_are_counted() {
        for (body, words) in [
            (
                json!({"messages": [{"role": "user", "content": "one two"}]}),
                2,
            ),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a b c"}]}], "system": "d"}),
                4,
            ),
            (json!({"input": "one two three", "instructions": "four"}), 4),
            (
                json!({"contents": [{"parts": [{"text": "one"}, {"text": "two"}]}], "systemInstruction": {"parts": [{"text": "x"}]}}),
                3,
            ),
            (
                json!({"messages": [{"content": [{"text": "a b"}]}], "system": [{"text": "c"}]}),
                3,
            ),
            (Value::Null, 1),
        ] {
            assert_eq!(Prompt::read(&body).tokens, words, "{body}");
        }
    }

    #[test]
    fn the_last_turn_is_a_prefill_if_it_is_the_assistants() {
        for (body, prefill) in [
            (
                json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "The quick"}]}),
                Some("The quick"),
            ),
            (
                json!({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}),
                None,
            ),
            (
                json!({"contents": [{"role": "model", "parts": [{"text": "The"}, {"text": " quick"}]}]}),
                Some("The quick"),
            ),
            (json!({"input": "text"}), None),
            (json!({"messages": []}), None),
        ] {
            assert_eq!(Prompt::read(&body).prefill.as_deref(), prefill, "{body}");
        }
    }

    #[test]
    fn a_hash_is_the_conversations_own() {
        let hash = |body: &Value| Prompt::read(body).hash;
        let a = json!({"model": "a", "messages": [{"role": "user", "content": "x"}]});
        let b = json!({"model": "b", "messages": [{"role": "user", "content": "x"}]});
        let c = json!({"model": "a", "messages": [{"role": "user", "content": "y"}]});
        assert_eq!(hash(&a), hash(&b));
        assert_ne!(hash(&a), hash(&c));
    }

    #[test]
    fn tools_are_called_as_their_schema_wants() {
        let schema = json!({"type": "object", "required": ["city", "days"], "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"},
        }});
        let expected = Tool {
            name: "weather".into(),
            arguments: json!({"city": "mock", "days": 1}),
        };
        for body in [
            json!({"tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}]}),
            json!({"tools": [{"type": "function", "name": "weather", "parameters": schema}]}),
            json!({"tools": [{"name": "weather", "input_schema": schema}]}),
            json!({"tools": [{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]}),
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": schema}}}]}}),
        ] {
            assert_eq!(
                Prompt::read(&body).tools,
                std::slice::from_ref(&expected),
                "{body}"
            );
        }
    }
}
