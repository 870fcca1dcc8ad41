//! Streams of every family, whatever the path promised, and errors of every form in each.

use super::*;

/// What one stream is made of. The last of `events` is its finish marker.
struct Sample {
    name: &'static str,
    /// How an event is put into the stream.
    put: fn(&Value) -> Vec<u8>,
    framing: Framing,
    /// Events without content, which come first.
    before: Vec<Value>,
    content: Vec<Value>,
    /// The finish marker.
    finish: Value,
    /// What may follow it.
    after: Vec<Value>,
    dialect: Option<Dialect>,
}

const PRIORS: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Ollama,
    Dialect::Tgi,
];

fn plain(event: &Value) -> Vec<u8> {
    format!("data: {event}\n\n").into_bytes()
}

/// Named by its type, or its `event_type`.
fn named(event: &Value) -> Vec<u8> {
    let kind = event["type"]
        .as_str()
        .or_else(|| event["event_type"].as_str());
    format!("event: {}\ndata: {event}\n\n", kind.unwrap_or("message")).into_bytes()
}

/// Under a name of the server's own.
fn oddly(event: &Value) -> Vec<u8> {
    format!("event: response.chunk\nid: 7\ndata:{event}\r\n\r\n").into_bytes()
}

fn line(event: &Value) -> Vec<u8> {
    format!("{event}\n").into_bytes()
}

/// In a frame of InvokeModelWithResponseStream.
fn chunked(event: &Value) -> Vec<u8> {
    let payload = json!({"bytes": base64(event.to_string().as_bytes()), "p": "abcd"});
    let headers = [
        (":event-type", "chunk"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    frame(&headers, payload.to_string().as_bytes())
}

/// In a frame of ConverseStream: an object of one key is the event of this name.
fn framed(event: &Value) -> Vec<u8> {
    let mut only = event
        .as_object()
        .filter(|o| o.len() == 1)
        .into_iter()
        .flatten();
    let (name, payload) = only.next().map_or(("", event), |(name, e)| (name, e));
    let headers = [(":event-type", name), (":message-type", "event")];
    frame(&headers, payload.to_string().as_bytes())
}

fn samples() -> Vec<Sample> {
    let sample = |name, before, content, finish, after, dialect| Sample {
        name,
        put: plain,
        framing: Framing::Sse,
        before,
        content,
        finish,
        after,
        dialect,
    };
    let chat = |name| {
        sample(
            name,
            vec![
                json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "object": ""}),
                chunk(json!({"role": "assistant", "content": ""}), None),
            ],
            vec![
                chunk(json!({"content": "an error"}), None),
                chunk(json!({"content": "!"}), None),
            ],
            chunk(json!({}), Some("stop")),
            vec![json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})],
            Some(Dialect::OpenAi),
        )
    };
    let message = |text: &str, reason: Option<&str>| json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "stop_reason": reason}]});
    let text = |text: &str, reason: Option<&str>| json!({"choices": [{"text": text, "stop_reason": reason}]});
    let anthropic = |name| {
        sample(
            name,
            vec![
                json!({"type": "message_start", "message": {"model": "c", "content": []}}),
                json!({"type": "ping"}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ],
            vec![
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "error: no"}}),
            ],
            json!({"type": "message_stop"}),
            vec![],
            Some(Dialect::Anthropic),
        )
    };
    let completion = |name| {
        let event = |text: &str, reason: Option<&str>| json!({"type": "completion", "completion": text, "stop_reason": reason, "stop": null});
        sample(
            name,
            vec![json!({"type": "ping"})],
            vec![event(" Hi", None)],
            event("", Some("stop_sequence")),
            vec![],
            None,
        )
    };
    let cohere1 = |name| {
        let event = |kind: &str, text: &str| json!({"event_type": kind, "text": text, "is_finished": false});
        let end = json!({"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": true, "response": {"text": "ab"}});
        sample(
            name,
            vec![json!({"event_type": "stream-start", "is_finished": false})],
            vec![event("text-generation", "a"), event("text-generation", "b")],
            end,
            vec![],
            Some(Dialect::Cohere),
        )
    };
    let invoked = |sample: Sample| Sample {
        put: chunked,
        framing: Framing::EventStream,
        dialect: Some(Dialect::Bedrock),
        ..sample
    };
    let metrics = json!({"inputTokenCount": 3, "outputTokenCount": 4});
    vec![
        chat("chat"),
        Sample {
            put: oddly,
            ..chat("chat under names of its own")
        },
        invoked(chat("Jamba or gpt-oss on Bedrock")),
        invoked(sample(
            "Mistral chat on Bedrock",
            vec![],
            vec![message("a", None), message("b", None)],
            message("", Some("stop")),
            vec![],
            None,
        )),
        invoked(sample(
            "DeepSeek on Bedrock",
            vec![],
            vec![text("a", None)],
            text("", Some("stop")),
            vec![],
            None,
        )),
        sample(
            "completions",
            vec![],
            vec![
                json!({"object": "text_completion", "choices": [{"index": 0, "text": "a", "finish_reason": null}]}),
            ],
            json!({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}),
            vec![],
            Some(Dialect::OpenAi),
        ),
        Sample {
            put: named,
            ..sample(
                "Responses",
                vec![
                    json!({"type": "response.created", "response": {"status": "in_progress", "error": null}}),
                    json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
                ],
                vec![
                    json!({"type": "response.output_text.delta", "delta": "a"}),
                    json!({"type": "response.output_text.delta", "delta": "b"}),
                ],
                json!({"type": "response.completed", "response": {"status": "completed", "error": null}}),
                vec![],
                Some(Dialect::OpenAiResponses),
            )
        },
        Sample {
            put: named,
            ..anthropic("Messages")
        },
        invoked(anthropic("Messages on Bedrock")),
        Sample {
            put: named,
            ..completion("Anthropic's completions")
        },
        invoked(completion("Anthropic's completions on Bedrock")),
        sample(
            "Gemini",
            vec![json!({"usageMetadata": {"promptTokenCount": 1}, "modelVersion": "g"})],
            vec![json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "index": 0}]})],
            json!({"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 1}}),
            vec![],
            Some(Dialect::Gemini),
        ),
        Sample {
            put: named,
            ..sample(
                "Interactions",
                vec![json!({"event_type": "interaction.created", "interaction": {"id": "i"}})],
                vec![json!({"event_type": "step.delta", "delta": {"type": "text", "text": "a"}})],
                json!({"event_type": "interaction.completed", "interaction": {"status": "completed"}}),
                vec![],
                Some(Dialect::Gemini),
            )
        },
        Sample {
            put: named,
            ..sample(
                "Cohere v2",
                vec![json!({"type": "message-start", "delta": {"message": {"content": []}}})],
                vec![
                    json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}}),
                ],
                json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
                vec![],
                Some(Dialect::Cohere),
            )
        },
        Sample {
            put: line,
            framing: Framing::NdJson,
            ..cohere1("Cohere v1")
        },
        cohere1("Cohere v1 in events"),
        invoked(cohere1("Cohere Command R on Bedrock")),
        invoked(sample(
            "Cohere Command on Bedrock",
            vec![],
            vec![json!({"index": 0, "is_finished": false, "text": "a"})],
            json!({"is_finished": true, "finish_reason": "COMPLETE", "amazon-bedrock-invocationMetrics": metrics}),
            vec![],
            None,
        )),
        Sample {
            put: line,
            framing: Framing::NdJson,
            ..sample(
                "Ollama",
                vec![],
                vec![
                    json!({"model": "m", "message": {"role": "assistant", "content": "a"}, "done": false}),
                ],
                json!({"model": "m", "message": {"content": ""}, "done": true, "done_reason": "stop"}),
                vec![],
                Some(Dialect::Ollama),
            )
        },
        sample(
            "text-generation-inference",
            vec![],
            vec![
                json!({"index": 1, "token": {"id": 1, "text": "a", "special": false}, "generated_text": null}),
            ],
            json!({"index": 2, "token": {"id": 2, "text": "</s>", "special": true}, "generated_text": "a", "details": null}),
            vec![],
            Some(Dialect::Tgi),
        ),
        Sample {
            put: framed,
            framing: Framing::EventStream,
            ..sample(
                "Converse",
                vec![
                    json!({"initial-response": {}}),
                    json!({"messageStart": {"role": "assistant"}}),
                ],
                vec![
                    json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}}),
                ],
                json!({"messageStop": {"stopReason": "end_turn"}}),
                vec![json!({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}})],
                Some(Dialect::Bedrock),
            )
        },
        invoked(sample(
            "Nova",
            vec![json!({"messageStart": {"role": "assistant"}})],
            vec![json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}})],
            json!({"messageStop": {"stopReason": "end_turn"}}),
            vec![json!({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}})],
            None,
        )),
        invoked(sample(
            "Titan",
            vec![],
            vec![json!({"outputText": "a", "index": 0, "completionReason": null})],
            json!({"outputText": "", "completionReason": "FINISH", "amazon-bedrock-invocationMetrics": metrics}),
            vec![],
            None,
        )),
        invoked(sample(
            "Llama",
            vec![],
            vec![json!({"generation": "a", "prompt_token_count": 5, "stop_reason": null})],
            json!({"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics}),
            vec![],
            None,
        )),
        invoked(sample(
            "Mistral's completions",
            vec![],
            vec![json!({"outputs": [{"text": "a", "stop_reason": null}]})],
            json!({"outputs": [{"text": "", "stop_reason": "stop"}], "amazon-bedrock-invocationMetrics": metrics}),
            vec![],
            None,
        )),
    ]
}

// === impl Sample ===

impl Sample {
    fn reader(&self, prior: Dialect) -> Reader {
        Reader::new(prior, None, self.framing)
    }

    fn bytes(&self, events: &[&[Value]]) -> Vec<u8> {
        let mut out = Vec::new();
        for event in events.iter().copied().flatten() {
            out.extend_from_slice(&(self.put)(event));
        }
        out
    }

    fn finish(&self) -> &[Value] {
        std::slice::from_ref(&self.finish)
    }

    /// Follows the stream with every prior: it comes to one story.
    fn follow(&self, stream: &[u8]) -> Story {
        let story = follow_ways(|| self.reader(Dialect::OpenAi), stream, 5);
        for prior in PRIORS {
            assert_eq!(
                follow(self.reader(prior), [stream]),
                story,
                "{} {prior:?}",
                self.name
            );
        }
        story
    }
}

#[test]
fn the_family_is_found_from_the_events() {
    for sample in samples() {
        let name = sample.name;
        let whole = sample.bytes(&[
            &sample.before,
            &sample.content,
            sample.finish(),
            &sample.after,
        ]);
        let story = sample.follow(&whole);
        assert_eq!(
            (story.fault, story.end),
            (None, End::Complete(Outcome::Success)),
            "{name}"
        );
        assert_eq!(story.content, sample.content.len() as u64, "{name}");
        let mut reader = sample.reader(Dialect::Tgi);
        reader.feed(&sample.bytes(&[&sample.before, &sample.content]));
        assert_eq!(
            reader.spoken().map(|spoken| spoken.0),
            sample.dialect,
            "{name}"
        );
        let counted = [
            "Titan",
            "Llama",
            "Nova",
            "Converse",
            "Mistral's completions",
            "Cohere Command on Bedrock",
        ];
        if counted.contains(&name) {
            assert_eq!(story.usage, Some(Usage::new(3, 4)), "{name}");
        }
    }
}

#[test]
fn a_stream_that_was_recognised_and_has_no_finish_marker_was_cut() {
    for sample in samples() {
        let story = sample.follow(&sample.bytes(&[&sample.before, &sample.content]));
        assert_eq!(
            (story.fault, story.end),
            (None, End::Truncated),
            "{}",
            sample.name
        );
        // Nothing but what comes first is enough to know it, where that says so.
        let story = sample.follow(&sample.bytes(&[&sample.content[..1]]));
        assert_eq!(
            (story.content, story.end),
            (1, End::Truncated),
            "{}",
            sample.name
        );
    }
}

#[test]
fn events_that_the_family_does_not_have_change_nothing() {
    let extra = [
        json!({"type": "image_generation.partial_image", "b64_json": "AA=="}),
        json!({"annotations": [{"url": "u"}], "citations": ["error"]}),
        json!({"object": "chat.reasoning.done", "search_results": [], "message": "failed"}),
        json!({"type": "response.mcp_call.failed", "error": "no such tool"}),
        json!({"status": "working", "message": "error", "code": "0"}),
    ];
    for sample in samples() {
        for extra in &extra {
            let extra = std::slice::from_ref(extra);
            let stream = sample.bytes(&[
                &sample.before,
                &sample.content[..1],
                extra,
                &sample.content[1..],
                extra,
                sample.finish(),
                extra,
            ]);
            let story = sample.follow(&stream);
            assert_eq!(
                (story.fault, story.end),
                (None, End::Complete(Outcome::Success)),
                "{} {extra:?}",
                sample.name
            );
            assert_eq!(
                story.content,
                sample.content.len() as u64,
                "{} {extra:?}",
                sample.name
            );
            // Before all others it is passed at once, and nothing is lost.
            let stream = sample.bytes(&[extra, &sample.before, &sample.content, sample.finish()]);
            assert_eq!(
                sample.follow(&stream).end,
                End::Complete(Outcome::Success),
                "{}",
                sample.name
            );
        }
    }
}

#[test]
fn a_stream_of_two_families_is_nobodys() {
    let all = samples();
    let chat = &all[0];
    for other in all
        .iter()
        .filter(|other| other.framing == Framing::Sse && other.dialect != chat.dialect)
    {
        let both = [other.bytes(&[&other.content]), chat.bytes(&[&chat.content])].concat();
        assert_eq!(chat.follow(&both).end, End::Opaque, "{}", other.name);
        // Without content of the first, it is the second's.
        if !other.before.is_empty() && other.name != "Anthropic's completions" {
            let second = [other.bytes(&[&other.before]), chat.bytes(&[&chat.content])].concat();
            let story = chat.follow(&second);
            assert_eq!(
                (story.content, story.end),
                (2, End::Truncated),
                "{}",
                other.name
            );
        }
    }
}

// === errors ===

/// An error as an event: its code or type, and its words, which must be kept.
fn error_events() -> Vec<(Value, &'static str, Outcome)> {
    vec![
        (
            json!({"error": {"message": "Slow Down", "code": "rate_limit_exceeded"}}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"error": {"message": "Slow Down", "code": 429}}),
            "429",
            Outcome::RateLimited,
        ),
        (
            json!({"error": "Slow Down", "code": "rate_limit_exceeded"}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"error": "Slow Down", "error_type": "overloaded"}),
            "overloaded",
            Outcome::Overloaded,
        ),
        (
            json!([{"error": {"message": "Slow Down", "code": 503, "status": "UNAVAILABLE"}}]),
            "UNAVAILABLE",
            Outcome::Overloaded,
        ),
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Slow Down"}, "request_id": "r"}),
            "overloaded_error",
            Outcome::Overloaded,
        ),
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow Down", "param": null}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"type": "rate_limit_error", "message": "Slow Down"}),
            "rate_limit_error",
            Outcome::RateLimited,
        ),
        (
            json!({"event_type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow Down"}}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"object": "error", "message": "Slow Down", "type": "TooManyRequests", "code": 429}),
            "TooManyRequests",
            Outcome::RateLimited,
        ),
        (
            json!({"errors": [{"message": "Slow Down", "code": "rate_limit_exceeded"}], "success": false}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"code": 503, "message": "Slow Down", "request_id": "r"}),
            "503",
            Outcome::Overloaded,
        ),
        (
            json!({"__type": "ThrottlingException", "message": "Slow Down"}),
            "ThrottlingException",
            Outcome::RateLimited,
        ),
    ]
}

/// The same where only the place says that it is one.
fn told_by_place() -> Vec<(Value, &'static str, Outcome)> {
    let mut all = error_events();
    all.extend([
        (
            json!({"code": "rate_limit_exceeded", "message": "Slow Down", "request_id": "r"}),
            "rate_limit_exceeded",
            Outcome::RateLimited,
        ),
        (
            json!({"detail": "Slow Down", "status": 429}),
            "429",
            Outcome::ServerError,
        ),
    ]);
    all
}

fn is_told(story: &Story, word: &str, inner: Outcome, committed: bool, what: &str) {
    let Some(Fault::Error(body)) = &story.fault else {
        panic!("{what}: {:?}", story.end);
    };
    let said = body.to_string();
    assert!(
        said.contains("Slow Down") && said.contains(word),
        "{what}: {said}"
    );
    assert_eq!(story.end, End::Fault(Fault::Error(body.clone())), "{what}");
    assert_eq!(
        super::inner(&story.end, committed).inner,
        Some(inner),
        "{what}"
    );
}

#[test]
fn errors_of_every_form_in_every_family_at_every_place() {
    for sample in samples() {
        for (event, word, inner) in error_events() {
            let what = format!("{} {event}", sample.name);
            let error = (sample.put)(&event);
            for (before, committed) in [
                (sample.bytes(&[]), false),
                (sample.bytes(&[&sample.before]), false),
                (sample.bytes(&[&sample.content]), true),
                (
                    sample.bytes(&[&sample.content, sample.finish(), &sample.after]),
                    true,
                ),
            ] {
                let story = sample
                    .follow(&[&before[..], &error, &sample.bytes(&[&sample.content])].concat());
                assert_eq!(story.committed, committed, "{what}");
                is_told(&story, word, inner, committed, &what);
            }
        }
    }
}

#[test]
fn errors_outside_of_the_grammar_of_events() {
    for sample in samples()
        .into_iter()
        .filter(|sample| sample.framing == Framing::Sse)
    {
        for (event, word, inner) in told_by_place() {
            let pretty = serde_json::to_string_pretty(&event).unwrap();
            for error in [
                format!("event: error\ndata: {event}\n\n"),
                format!("event:error\nid:1\n:HTTP_STATUS/429\ndata:{event}\n\n"),
                format!("error: {event}\n\n"),
                format!("error:{event}"),
                format!("{event}\n"),
                event.to_string(),
                format!("{pretty}\n\n"),
                pretty.replace('\n', "\r\n"),
            ] {
                for before in [&[][..], &[&sample.before[..]], &[&sample.content[..]]] {
                    let before = sample.bytes(before);
                    let story = sample.follow(&[&before[..], error.as_bytes()].concat());
                    let Some(fault) = story.fault.or(match story.end {
                        End::Fault(fault) => Some(fault),
                        _ => None,
                    }) else {
                        panic!("{} {error}", sample.name);
                    };
                    let end = End::Fault(fault.clone());
                    let story = Story {
                        fault: Some(fault),
                        end,
                        ..story
                    };
                    let committed = story.committed;
                    if event.get("detail").is_none() {
                        is_told(&story, word, inner, committed, &error);
                    }
                }
            }
        }
        for words in ["Slow Down, 429", "\"Slow Down, 429\""] {
            let error = format!("event: error\ndata: {words}\n\n");
            let before = sample.bytes(&[&sample.content]);
            let story = sample.follow(&[&before[..], error.as_bytes()].concat());
            is_told(&story, "429", Outcome::RateLimited, true, &error);
        }
    }
    // Lines that look alike and are none.
    let all = samples();
    for innocent in [
        "{\"a\": {\"error\": 1}}\n",
        "{\"message\": \"error\"}\n",
        "{\"error\"\n\n",
        "{\"error\": \"\n",
        "error\n\n",
        "errors: 1\n\n",
        "[error] worker 3\n\n",
        ": error: {\"error\": {\"message\": \"m\"}}\n\n",
        "id: {\"error\": {\"message\": \"m\"}}\n\n",
    ] {
        passes_within(&all[0], innocent);
    }
}

/// Wherever it stands in a good stream, this is no error.
fn passes_within(sample: &Sample, innocent: &str) {
    let (content, finish) = (
        sample.bytes(&[&sample.content]),
        sample.bytes(&[sample.finish()]),
    );
    for pieces in [
        [innocent.as_bytes(), &content, &finish],
        [&content, innocent.as_bytes(), &finish],
        [&content, &finish, innocent.as_bytes()],
    ] {
        let story = sample.follow(&pieces.concat());
        assert_eq!(
            (story.fault, story.end),
            (None, End::Complete(Outcome::Success)),
            "{} {innocent}",
            sample.name
        );
    }
}

#[test]
fn an_error_that_says_nothing_is_none() {
    for sample in samples()
        .into_iter()
        .filter(|sample| sample.framing == Framing::Sse)
    {
        for nothing in [
            "",
            "null",
            "{}",
            "\"\"",
            "false",
            "0",
            "[]",
            "none",
            "{not json}",
            "{\"code\":0,\"message\":\"\"}",
            "{\"error\":null}",
            "{\"error\":{\"message\":null}}",
        ] {
            passes_within(&sample, &format!("error: {nothing}\n\n"));
            passes_within(&sample, &format!("error:{nothing}\r\n\r\n"));
            // Beside the data of an event, which is read as ever.
            let both = [
                format!("error: {nothing}\n").as_bytes(),
                &sample.bytes(&[&sample.content, sample.finish()]),
            ]
            .concat();
            let story = sample.follow(&both);
            assert_eq!(
                (story.fault, story.end),
                (None, End::Complete(Outcome::Success)),
                "{} {nothing}",
                sample.name
            );
        }
        for nothing in ["", "null", "{}", "[]", "{\"error\":null}", "{\"error\":{}}"] {
            passes_within(&sample, &format!("event: error\ndata: {nothing}\n\n"));
        }
    }
}

#[test]
fn messages_of_json_rpc_are_another_protocols() {
    let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 503, "message": "overloaded"}});
    for message in [error.clone(), json!([error])] {
        for stream in [
            format!("data: {message}\n\n"),
            format!("event: message\ndata: {message}\n\n"),
            format!("event: error\ndata: {message}\n\n"),
            format!("data: {{\"jsonrpc\":\"2.0\",\"result\":{{}}}}\n\ndata: {message}\n\n"),
            format!("{message}\n"),
        ] {
            let story = super::sse(Dialect::OpenAi, &stream);
            assert_eq!((story.fault, story.end), (None, End::Opaque), "{stream}");
            passes_within(&samples()[0], &stream);
        }
    }
}

#[test]
fn a_failure_in_the_words_of_another_family_is_one() {
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Slow Down"}}});
    let chunk = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]});
    for sample in samples()
        .into_iter()
        .filter(|sample| sample.framing == Framing::Sse)
    {
        for event in [&failed, &chunk] {
            let before = sample.bytes(&[&sample.content]);
            let story = sample.follow(&[&before[..], &plain(event)].concat());
            assert!(
                matches!(
                    (&story.fault, &story.end),
                    (Some(Fault::Error(_)), End::Fault(_))
                ),
                "{} {event}: {:?}",
                sample.name,
                story.end
            );
        }
    }
}

#[test]
fn exceptions_of_bedrock_keep_their_words() {
    for sample in samples()
        .into_iter()
        .filter(|sample| sample.framing == Framing::EventStream)
    {
        for (payload, words) in [
            (
                &br#"{"message":"Slow Down","originalMessage":"m","extra":1}"#[..],
                "\"extra\":1",
            ),
            (b"Slow Down please", "please"),
        ] {
            let headers = [
                (":message-type", "exception"),
                (":exception-type", "throttlingException"),
            ];
            let exception = frame(&headers, payload);
            for before in [
                &[][..],
                &[&sample.content[..]],
                &[&sample.content[..], sample.finish()],
            ] {
                let before = sample.bytes(before);
                let story = sample.follow(&[&before[..], &exception].concat());
                is_told(&story, words, Outcome::RateLimited, true, sample.name);
                is_told(
                    &story,
                    "ThrottlingException",
                    Outcome::RateLimited,
                    true,
                    sample.name,
                );
            }
        }
    }
}
