use ::http::{HeaderMap, Method};

use super::*;
use crate::llm::dialect::DialectMode;

fn api(uri: &str) -> (Api, Uri) {
    let uri: Uri = uri.parse().unwrap();
    let api = Api::of(DialectMode::Auto, &Method::POST, &uri, &HeaderMap::new());
    (api, uri)
}

fn read(uri: &str, body: &str) -> Option<Call> {
    let (api, uri) = api(uri);
    Call::read(&api, &uri, &Bytes::from(body.to_owned()))
}

const CHAT: &str = "/v1/chat/completions";
const GEMINI: &str = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse";
const AZURE: &str = "/openai/deployments/prod%2Dgpt/chat/completions?api-version=1";

#[test]
fn each_dialect_says_what_it_asks_for_in_its_own_place() {
    for (uri, body, model, stream, by_path, limit) in [
        (
            CHAT,
            r#"{"model":"gpt","stream":true,"max_tokens":7}"#,
            Some("gpt"),
            true,
            false,
            Some(7),
        ),
        (
            CHAT,
            r#"{"max_completion_tokens":9,"n":3}"#,
            None,
            false,
            false,
            Some(27),
        ),
        (
            AZURE,
            r#"{"stream":false}"#,
            Some("prod-gpt"),
            false,
            false,
            None,
        ),
        (
            "/v1/responses",
            r#"{"model":"o","max_output_tokens":5,"stream":true}"#,
            Some("o"),
            true,
            false,
            Some(5),
        ),
        (
            "/v1/messages",
            r#"{"model":"claude","max_tokens":5}"#,
            Some("claude"),
            false,
            false,
            Some(5),
        ),
        (
            GEMINI,
            r#"{"generationConfig":{"maxOutputTokens":8,"candidateCount":2}}"#,
            Some("gemini-2.5-pro"),
            true,
            true,
            Some(16),
        ),
        (
            "/model/a.b-v1%3A0/converse-stream",
            r#"{"inferenceConfig":{"maxTokens":4}}"#,
            Some("a.b-v1:0"),
            true,
            true,
            Some(4),
        ),
        (
            "/model/arn%3Aaws%2Fx/invoke",
            r#"{"max_tokens":4}"#,
            Some("arn:aws/x"),
            false,
            false,
            Some(4),
        ),
        (
            "/v2/chat",
            r#"{"model":"command","stream":true}"#,
            Some("command"),
            true,
            false,
            None,
        ),
        (
            "/api/chat",
            r#"{"model":"llama","options":{"num_predict":-1}}"#,
            Some("llama"),
            true,
            false,
            None,
        ),
        (
            "/api/chat",
            r#"{"model":"llama","stream":false,"options":{"num_predict":3}}"#,
            Some("llama"),
            false,
            false,
            Some(3),
        ),
        (
            "/generate_stream",
            r#"{"inputs":"x","parameters":{"max_new_tokens":2}}"#,
            None,
            true,
            true,
            Some(2),
        ),
    ] {
        let call = read(uri, body).unwrap();
        assert_eq!(call.model.as_deref(), model, "{uri} {body}");
        assert_eq!(
            (call.stream, call.streams_by_path),
            (stream, by_path),
            "{uri} {body}"
        );
        assert_eq!(call.max_output, limit, "{uri} {body}");
    }
}

#[test]
fn of_a_member_that_stands_twice_the_last_counts() {
    let body = r#"{"model":"a","stream":true,"mo\u0064el":"b","stream":false}"#;
    let call = read(CHAT, body).unwrap();
    assert_eq!((call.model.as_deref(), call.stream), (Some("b"), false));
    let tree: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(tree["model"], "b");
}

#[test]
fn usage_is_asked_for_in_one_place_only() {
    for (body, asked) in [
        (r#"{"stream_options":{"include_usage":true}}"#, true),
        (r#"{"stream_options":{"include_usage":false}}"#, false),
        (
            r#"{"stream_options":{"include_usage":true},"stream_options":null}"#,
            false,
        ),
        (r#"{"include_usage":true}"#, false),
        (r#"{"stream_options":[{"include_usage":true}]}"#, false),
    ] {
        assert_eq!(read(CHAT, body).unwrap().usage_asked, asked, "{body}");
    }
}

#[test]
fn a_prompt_is_a_quarter_of_its_json_and_a_file_about_a_thousand_tokens() {
    let prompt = |body: &str| read(CHAT, body).unwrap();
    assert_eq!(prompt("{}").estimate_input(), 1);
    assert_eq!(prompt(r#"{"messages":[]}"#).prompt_bytes, 2);
    let call =
        prompt(r#"{"messages":[{"role":"user","content":"hi"}],"metadata":{"x":"long long"}}"#);
    assert_eq!((call.prompt_bytes, call.estimate_input()), (32, 8));
    for (prefix, length) in [("", 100_000), ("data:image/png;base64,", 100_000)] {
        let file = format!(r#"{{"messages":["{prefix}{}"]}}"#, "Ab+/".repeat(length));
        let bytes = prompt(&file).prompt_bytes;
        assert!((4096..4120).contains(&bytes), "{bytes}");
    }
    let prose = format!(r#"{{"input":"{}"}}"#, "word ".repeat(1000));
    assert_eq!(read("/v1/responses", &prose).unwrap().prompt_bytes, 5002);
}

#[test]
fn what_is_not_a_call_is_none() {
    assert_eq!(read("/healthz", "{}"), None);
    for body in [
        "",
        "[]",
        "null",
        "not json",
        "{\"model\":",
        "{\"model\":\"a\"}{}",
        "\u{feff}{}",
    ] {
        assert_eq!(read(CHAT, body), None, "{body}");
    }
    let (api, uri) = api(CHAT);
    for body in [
        &b"{\"model\":\"\xff\"}"[..],
        b"\x1f\x8b\x08\x00",
        b"{\"a\":\xc3}",
    ] {
        assert_eq!(Call::read(&api, &uri, &Bytes::copy_from_slice(body)), None);
    }
    let bomb = format!("{{\"messages\":{}", "[".repeat(1_000_000));
    assert_eq!(read(CHAT, &bomb), None);
    for model in [
        r#"7"#,
        r#"["a"]"#,
        r#"null"#,
        r#""""#,
        r#""\ud800""#,
        r#""a\nb""#,
    ] {
        assert_eq!(
            read(CHAT, &format!("{{\"model\":{model}}}")).unwrap().model,
            None,
            "{model}"
        );
    }
    let long = format!("{{\"model\":\"{}\"}}", "m".repeat(MODEL_CAP + 1));
    assert_eq!(read(CHAT, &long).unwrap().model, None);
    let huge = format!("{{\"max_tokens\":{},\"n\":{}}}", u64::MAX, u64::MAX);
    assert_eq!(read(CHAT, &huge).unwrap().max_output, Some(u64::MAX));
    let absurd = "{\"max_tokens\":99999999999999999999999,\"n\":-3}";
    assert_eq!(read(CHAT, absurd).unwrap().max_output, None);
}

#[test]
fn nothing_of_a_prompt_is_shown() {
    let call = read(
        CHAT,
        r#"{"model":"m","messages":[{"content":"my secret"}]}"#,
    )
    .unwrap();
    assert!(!format!("{call:?}").contains("secret"));
}

/// Dialect, uri, body, model, and the uri and body that come of it.
type Rewriting = (
    &'static str,
    &'static str,
    &'static str,
    Result<(&'static str, &'static str), Unwritable>,
);

#[test]
fn another_model_changes_its_bytes_alone() {
    let all: [Rewriting; 16] = [
        (
            CHAT,
            r#"{ "model" : "gpt-4" , "x":1.0}"#,
            "o\"3",
            Ok((CHAT, r#"{ "model" : "o\"3" , "x":1.0}"#)),
        ),
        (
            CHAT,
            r#"{"model":"a","y":{"model":"deep"},"model":"b"}"#,
            "c",
            Ok((CHAT, r#"{"model":"c","y":{"model":"deep"},"model":"c"}"#)),
        ),
        (
            CHAT,
            r#"{"mod\u0065l":null}"#,
            "c",
            Ok((CHAT, r#"{"mod\u0065l":"c"}"#)),
        ),
        (
            CHAT,
            r#" {"x":1}"#,
            "c",
            Ok((CHAT, r#" {"model":"c","x":1}"#)),
        ),
        (CHAT, "{}", "c", Ok((CHAT, r#"{"model":"c"}"#))),
        (CHAT, "[]", "c", Err(Unwritable::Body)),
        (CHAT, r#"{"model":"a""#, "c", Err(Unwritable::Body)),
        (
            AZURE,
            r#"{"x":1}"#,
            "other",
            Ok((
                "/openai/deployments/other/chat/completions?api-version=1",
                r#"{"x":1}"#,
            )),
        ),
        (
            AZURE,
            r#"{"model":"a"}"#,
            "b",
            Ok((
                "/openai/deployments/b/chat/completions?api-version=1",
                r#"{"model":"b"}"#,
            )),
        ),
        (
            "http://h:1/v1beta/models/a:generateContent?key=1",
            "{}",
            "b/c",
            Ok(("http://h:1/v1beta/models/b%2Fc:generateContent?key=1", "{}")),
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict",
            "{}",
            "claude@2",
            Ok((
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude@2:rawPredict",
                "{}",
            )),
        ),
        (
            "/v1beta/interactions",
            r#"{"model":"a"}"#,
            "b",
            Ok(("/v1beta/interactions", r#"{"model":"b"}"#)),
        ),
        (
            "/model/a/converse",
            "not read",
            "arn:x/y",
            Ok(("/model/arn%3Ax%2Fy/converse", "not read")),
        ),
        (
            "/api/chat",
            r#"{"model":"a"}"#,
            "b",
            Ok(("/api/chat", r#"{"model":"b"}"#)),
        ),
        ("/generate", "{}", "b", Err(Unwritable::Dialect)),
        (
            "/v1/messages",
            r#"{"model":"a","stream":true}"#,
            "b",
            Ok(("/v1/messages", r#"{"model":"b","stream":true}"#)),
        ),
    ];
    for (uri, body, model, expected) in all {
        let (api, uri) = api(uri);
        let body = Bytes::from_static(body.as_bytes());
        let result = with_model(api.dialect.unwrap(), &uri, &body, model);
        let expected = expected.map(|(uri, body)| {
            (
                uri.parse::<Uri>().unwrap(),
                Bytes::from_static(body.as_bytes()),
            )
        });
        assert_eq!(result, expected, "{uri}");
        if let Ok((uri, body)) = result
            && let Some(call) = Call::read(&api, &uri, &body)
        {
            assert_eq!(call.model.as_deref(), Some(model));
        }
    }
    let nowhere = with_model(
        Dialect::Gemini,
        &Uri::from_static("/x"),
        &Bytes::from_static(b"{}"),
        "m",
    );
    assert_eq!(nowhere, Err(Unwritable::Path));
    let nowhere = with_model(
        Dialect::Bedrock,
        &Uri::from_static("/x"),
        &Bytes::from_static(b"{}"),
        "m",
    );
    assert_eq!(nowhere, Err(Unwritable::Path));
}

#[test]
fn usage_is_asked_for_where_it_is_not() {
    for (body, asked) in [
        (
            r#"{"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        ),
        (
            r#"{"stream":true,"stream_options":{}}"#,
            Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
        ),
        (
            r#"{"stream":true,"stream_options":{ "include_obfuscation":false}}"#,
            Some(
                r#"{"stream":true,"stream_options":{"include_usage":true, "include_obfuscation":false}}"#,
            ),
        ),
        (
            r#"{"stream_options":{"include_usage":false,"a":1},"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true,"a":1},"stream":true}"#),
        ),
        (
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
            None,
        ),
        (r#"{"stream":false}"#, None),
        ("{}", None),
        ("[]", None),
    ] {
        let with = with_usage(&Bytes::from_static(body.as_bytes()));
        assert_eq!(with.as_deref(), asked.map(str::as_bytes), "{body}");
        if let Some(with) = with {
            let text = std::str::from_utf8(&with).unwrap();
            assert!(read(CHAT, text).unwrap().usage_asked);
            assert_eq!(with_usage(&with), None);
        }
    }
}

#[test]
fn a_begun_answer_is_the_last_message() {
    for (dialect, body, text, with) in [
        (
            Dialect::OpenAi,
            r#"{"messages":[ {"role":"user"} ],"x":1}"#,
            "a \"b\"\n",
            Some(
                r#"{"messages":[ {"role":"user"},{"role":"assistant","content":"a \"b\"\n"} ],"x":1}"#,
            ),
        ),
        (
            Dialect::Anthropic,
            r#"{"messages":[{}]}"#,
            "a \n",
            Some(r#"{"messages":[{},{"role":"assistant","content":"a"}]}"#),
        ),
        (
            Dialect::Gemini,
            r#"{"contents":[{}]}"#,
            "é",
            Some(r#"{"contents":[{},{"role":"model","parts":[{"text":"é"}]}]}"#),
        ),
        (
            Dialect::Ollama,
            r#"{"messages":[1],"messages":[2]}"#,
            "a",
            Some(r#"{"messages":[1],"messages":[2,{"role":"assistant","content":"a"}]}"#),
        ),
        (Dialect::Ollama, r#"{"prompt":"x"}"#, "a", None),
        (Dialect::OpenAi, r#"{"messages":[]}"#, "a", None),
        (Dialect::OpenAi, r#"{"messages":{}}"#, "a", None),
        (Dialect::OpenAi, r#"{"messages":[{}]}"#, "", None),
        (Dialect::Anthropic, r#"{"messages":[{}]}"#, " ", None),
        (Dialect::OpenAiResponses, r#"{"input":[{}]}"#, "a", None),
        (Dialect::OpenAi, "oops", "a", None),
    ] {
        let body = Bytes::from_static(body.as_bytes());
        let got = with_prefill(dialect, &body, text);
        assert_eq!(got.as_deref(), with.map(str::as_bytes), "{body:?}");
    }
}

#[test]
fn a_list_that_the_caller_ended_follows_the_dialects_rule() {
    let body = Bytes::from_static(
        br#"{"messages":[{"role":"user","content":"q"},{"content":"Once \u00e9 ","role":"assistant"}],"x":1}"#,
    );
    let with = with_prefill(Dialect::Anthropic, &body, "upon a ").unwrap();
    assert_eq!(
        with,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"content\":\"Once \u{e9} upon a\",\"role\":\"assistant\"}],\"x\":1}"
    );
    // It may be a turn of its own.
    for dialect in [Dialect::OpenAi, Dialect::Ollama] {
        assert_eq!(with_prefill(dialect, &body, "upon a"), None);
    }
    let gemini = Bytes::from_static(br#"{"contents":[{"role":"model","parts":[{"text":"a"}]}]}"#);
    assert_eq!(with_prefill(Dialect::Gemini, &gemini, "b"), None);
    // No plain text.
    let parts = Bytes::from_static(
        br#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"a"}]}]}"#,
    );
    assert_eq!(with_prefill(Dialect::Anthropic, &parts, "b"), None);
}

/// Whatever the bytes are: nothing panics, and what was a JSON object stays one with the new model in it.
#[test]
fn any_body_is_survived() {
    let rng = crate::base::SharedRng::seeded(3);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small number"
    )]
    let draw = |below: usize| (rng.unit() * below as f64) as usize;
    let seed = br#"{"model":"a","stream":true,"stream_options":{"include_usage":false},"messages":[{"role":"user","content":"h\u00e9"}],"n":2}"#;
    let (api, uri) = api(CHAT);
    let mut kept = 0;
    for _ in 0..20_000 {
        let mut bytes = seed.to_vec();
        for _ in 0..=draw(3) {
            // At least one byte is left.
            let at = draw(bytes.len());
            match draw(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 => bytes.insert(at, b"{}[]\",:\\tu0\xff "[draw(13)]),
                2 => bytes[at] = bytes[draw(bytes.len())],
                _ => bytes.truncate(at + 2),
            }
        }
        let body = Bytes::from(bytes);
        let tree = serde_json::from_slice::<serde_json::Value>(&body);
        let object = tree.as_ref().is_ok_and(serde_json::Value::is_object);
        let call = Call::read(&api, &uri, &body);
        // A lone surrogate is no string to serde, and is passed over here.
        assert!(call.is_some() || !object, "{body:?}");
        let _ = with_usage(&body);
        let _ = with_prefill(Dialect::OpenAi, &body, "x");
        let written = with_model(Dialect::OpenAi, &uri, &body, "new");
        assert_eq!(written.is_ok(), call.is_some(), "{body:?}");
        if let (true, Ok((_, written))) = (object, written) {
            let tree: serde_json::Value = serde_json::from_slice(&written).unwrap();
            assert_eq!(tree["model"], "new", "{written:?}");
            kept += 1;
        }
    }
    assert!(kept > 1000, "{kept}");
}
