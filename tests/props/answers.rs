//! Answers of any upstream: what is not recognised passes byte for byte, after one send, whatever its label and its cuts; and
//! nothing is sent again without evidence.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    body::RequestBody,
    classify::ClassifyLayer,
    llm::{DialectMode, LlmClassifier},
    respond::RespondLayer,
    retry::{self, RetryLayer, RetryOn},
    stream::StreamLayer,
    testing::body::Script,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

const CALLS: &[&str] = &[
    "/v1/chat/completions",
    "/openai/deployments/d/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/m:generateContent",
    "/v1/publishers/mistralai/models/m:streamRawPredict",
    "/model/m/invoke",
    "/model/m/converse-stream",
    "/v2/chat",
    "/api/generate",
];

const OTHERS: &[&str] = &[
    "/mcp",
    "/order",
    "/v1/audio/speech",
    "/v1/images/generations",
    "/v1/embeddings",
    "/v1/files",
    "/v1/fine_tuning/jobs",
    "/v1/messages/count_tokens",
    "/model/amazon.titan-embed-text-v2/invoke",
];

const LABELS: &[&str] = &[
    "",
    "application/json",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "text/html",
    "image/png",
    "application/vnd.amazon.eventstream",
    "text/event-stream",
    "application/x-ndjson",
];

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "id",
            "name",
            "total",
            "note",
            "overloaded",
            "rate limit",
            "é",
            "[DONE]",
            "\n\n",
            "42",
            "<b>",
            "{",
        ][..],
    )
}

/// JSON that is no answer of a model and no error.
fn neutral() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(&["id", "name", "total", "items", "note"][..]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Value::from)
    });
    prop::collection::vec((key, inner), 1..6).prop_map(|members| {
        Value::Object(
            members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect(),
        )
    })
}

/// What nobody can know.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    let rpc =
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "overloaded"}});
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(word(), 0..30).prop_map(|words| words.join(" ").into_bytes()),
        neutral().prop_map(|value| value.to_string().into_bytes()),
        neutral().prop_map(|value| format!("{value:#}\n").into_bytes()),
        (neutral(), any::<prop::sample::Index>()).prop_map(|(value, at)| {
            let text = value.to_string().into_bytes();
            let at = at.index(text.len());
            text[..at].to_vec()
        }),
        Just(rpc.to_string().into_bytes()),
        word().prop_map(|word| format!("<answer>{word}</answer>").into_bytes()),
        word().prop_map(|word| format!(" \r\n\t{word}").into_bytes()),
    ]
}

/// What is a failure where an answer of a model is due.
fn failure() -> impl Strategy<Value = Vec<u8>> {
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hel"}}]});
    prop_oneof![
        Just(b"<!DOCTYPE html><title>502</title>".to_vec()),
        Just(br#"{"error": {"code": 503, "message": "overloaded"}}"#.to_vec()),
        Just(b"data: {\"error\": {\"code\": 503}}\n\n".to_vec()),
        Just(format!("data: {chunk}\n\n").into_bytes()),
    ]
}

/// What came of a request: how often it was sent, the status, the body, and whether it ended well.
fn ask(
    method: Method,
    path: &str,
    label: &str,
    body: &[u8],
    cut: usize,
) -> (u32, u16, Vec<u8>, bool) {
    let sends = Arc::new(AtomicU32::new(0));
    let (counter, label) = (Arc::clone(&sends), label.to_owned());
    let chunks: Vec<_> = body.chunks(cut).map(Bytes::copy_from_slice).collect();
    let upstream = service_fn(move |_: Request<RequestBody>| {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut answer = Response::builder();
        if !label.is_empty() {
            answer = answer.header("content-type", &label);
        }
        let answer = answer.body(Script::chunks(chunks.clone()).body()).unwrap();
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut terms =
        RetryOn::envoy("5xx,gateway-error,reset,connect-failure,retriable-4xx").unwrap();
    terms.llm = true;
    let retry = RetryLayer::new(retry::Params::default().with_retry_on(terms));
    let classify = ClassifyLayer::new(LlmClassifier::new(DialectMode::Auto));
    let service = retry.layer(classify.layer(StreamLayer::default().layer(upstream)));
    let service = RespondLayer::new().layer(service);
    let request = Request::builder().method(method).uri(path);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let answer = service.oneshot(request.body(Empty::new()).unwrap()).await;
        let (head, mut body) = answer.unwrap().into_parts();
        let (mut bytes, mut well) = (Vec::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Err(_) => well = false,
            }
        }
        (
            sends.load(Ordering::Relaxed),
            head.status.as_u16(),
            bytes,
            well,
        )
    })
}

/// Whether the label decides: a stream of events, which is the reader's to judge, or a page, since it begins like one.
fn speaks(label: &str, body: &[u8]) -> bool {
    let first = body.trim_ascii_start().first();
    match label {
        "text/event-stream" => first.is_none_or(|b| b.is_ascii_alphabetic() || *b == b':'),
        "application/x-ndjson" => first.is_none_or(|b| *b == b'{'),
        "application/vnd.amazon.eventstream" => first.is_none(),
        "text/html" => first == Some(&b'<'),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_is_not_recognised_passes_after_one_send(
        path in prop::sample::select(CALLS),
        label in prop::sample::select(LABELS),
        body in unknown(),
        cut in 1_usize..64,
    ) {
        let label = if speaks(label, &body) { "x/y" } else { label };
        let (sends, status, bytes, well) = ask(Method::POST, path, label, &body, cut);
        prop_assert_eq!((sends, status, well), (1, 200, true));
        prop_assert_eq!(bytes, body);
    }

    #[test]
    fn what_is_no_call_passes_whatever_it_holds(
        path in prop::sample::select(OTHERS),
        read in prop::option::weighted(0.3, prop::sample::select(CALLS)),
        label in prop::sample::select(LABELS),
        body in prop_oneof![unknown(), failure()],
        cut in 1_usize..64,
    ) {
        let (method, path) = read.map_or((Method::POST, path), |path| (Method::GET, path));
        let (sends, status, bytes, well) = ask(method, path, label, &body, cut);
        prop_assert_eq!((sends, status, well), (1, 200, true));
        prop_assert_eq!(bytes, body);
    }
}

proptest! {
    #[test]
    fn a_failure_never_looks_like_an_answer(
        label in prop::sample::select(LABELS),
        body in failure(),
        cut in 1_usize..64,
        blanks in 0_usize..5000,
    ) {
        let body = [vec![b' '; blanks], body].concat();
        let (sends, status, _, well) = ask(Method::POST, CALLS[0], label, &body, cut);
        prop_assert!(status >= 400 || !well, "{status} after {sends}");
    }
}
