use http::HeaderValue;

use super::*;

fn splice(dialect: Dialect) -> Splice {
    Splice::of(dialect, &answer("text/event-stream; charset=utf-8", None)).unwrap()
}

/// The head of an answer.
pub(super) fn answer(label: &'static str, coding: Option<&'static str>) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(label));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn feed(splice: &mut Splice, events: &[&str]) -> String {
    let mut out = String::new();
    for event in events {
        let bytes = splice.feed(Bytes::from((*event).to_owned()));
        out.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    out
}

fn rest(splice: &mut Splice, well: bool) -> String {
    String::from_utf8(splice.rest(well).to_vec()).unwrap()
}

fn chunk(delta: &str) -> String {
    format!(
        "data: {{\"id\":\"b\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
    )
}

fn says(text: &str) -> String {
    chunk(&format!("{{\"content\":{}}}", Value::from(text)))
}

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// The texts of chunks or messages, joined as a client does.
fn heard(stream: &str) -> String {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|event| {
            let text = event
                .pointer("/choices/0/delta/content")
                .or_else(|| event.pointer("/delta/text"))?;
            text.as_str().map(str::to_owned)
        })
        .collect()
}

#[test]
fn the_first_part_passes_byte_for_byte_but_never_half_an_event() {
    let mut s = splice(Dialect::OpenAi);
    let stream = [ROLE, ": ping\n\n", &says("He"), &says("llo")].concat();
    for cut in 0..stream.len() {
        let mut s = splice(Dialect::OpenAi);
        let first = feed(&mut s, &[&stream[..cut]]);
        assert!(first.is_empty() || first.ends_with("\n\n"));
        let second = feed(&mut s, &[&stream[cut..]]);
        assert_eq!(first + &second, stream);
        assert_eq!(s.text(), Some("Hello"));
    }
    feed(&mut s, &[&stream, "data: {\"choices\":[{\"ind"]);
    assert_eq!(rest(&mut s, false), "");
    feed(&mut s, &["data: {\"choices\":[{\"ind"]);
    assert_eq!(rest(&mut s, true), "data: {\"choices\":[{\"ind");
}

#[test]
fn a_joined_chat_has_one_role_one_finish_and_adds_what_was_said() {
    let mut s = splice(Dialect::OpenAi);
    let first = feed(&mut s, &[ROLE, &says("one "), &says("two")]);
    s.join();
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n";
    let with_role = chunk("{\"role\":\"assistant\",\"content\":\" three\"}");
    let second = feed(
        &mut s,
        &[ROLE, &with_role, &says(" four"), STOP, usage, DONE],
    );
    let all = first + &second;
    assert_eq!(heard(&all), "one two three four");
    assert_eq!(all.matches("\"role\"").count(), 1);
    assert_eq!(all.matches("\"stop\"").count(), 1);
    assert_eq!(all.matches("[DONE]").count(), 1);
    assert!(
        all.contains(&says(" four")),
        "unchanged events keep their bytes"
    );
    assert!(all.contains("\"completion_tokens\":5"), "{all}");
    assert!(all.contains("\"total_tokens\":14"), "{all}");
    assert!(all.contains("\"prompt_tokens\":9"), "{all}");
}

#[test]
fn an_error_event_is_kept_back_until_nobody_goes_on() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let mut s = splice(Dialect::OpenAi);
    let out = feed(&mut s, &[&says("a"), error]);
    assert!(!out.contains("overloaded"));
    assert_eq!(s.text(), Some("a"));
    assert_eq!(rest(&mut s, false), error);
    let mut s = splice(Dialect::OpenAi);
    feed(&mut s, &[&says("a"), error]);
    s.join();
    let out = feed(&mut s, &[&says("b"), STOP]);
    assert!(!out.contains("overloaded"));
    assert_eq!(rest(&mut s, true), "");
}

#[test]
fn only_plain_text_is_gone_on_with() {
    let tool = chunk("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}}]}");
    let second = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n";
    for event in [
        tool.as_str(),
        second,
        STOP,
        "data: {\"choices\":[{\"index\":0,\"text\":\"x\"}]}\n\n",
        &chunk("{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}"),
        &chunk("{\"refusal\":\"no\"}"),
        &says(&"x".repeat(TEXT_CAP)),
    ] {
        let mut s = splice(Dialect::OpenAi);
        let out = feed(&mut s, &[&says("a"), event, &says("b")]);
        assert_eq!(out, [&says("a"), event, &says("b")].concat());
        assert_eq!(s.text(), None, "{event:.80}");
    }
    let mut s = splice(Dialect::OpenAi);
    feed(&mut s, &[ROLE, &says(" \n")]);
    assert_eq!(s.text(), None, "nothing to go on with");
    // Reasoning is not sent along, and forbids nothing.
    feed(
        &mut s,
        &[&chunk("{\"reasoning_content\":\"hm\"}"), &says("a")],
    );
    assert_eq!(s.text(), Some(" \na"));
}

#[test]
fn what_cannot_be_joined_is_not_taken_on() {
    let sse = "text/event-stream";
    assert!(Splice::of(Dialect::Cohere, &answer(sse, None)).is_none());
    assert!(Splice::of(Dialect::OpenAi, &answer("application/json", None)).is_none());
    assert!(Splice::of(Dialect::OpenAi, &answer(sse, Some("gzip"))).is_none());
    assert!(Splice::of(Dialect::Anthropic, &answer(sse, None)).is_some());
}

#[test]
fn a_repetition_is_heard_once() {
    let begun = "It was a dark and stormy night";
    let run = |parts: &[&str]| {
        let mut s = splice(Dialect::OpenAi);
        let mut all = feed(&mut s, &[&says(begun)]);
        s.join();
        let parts: Vec<_> = parts.iter().map(|text| says(text)).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        all += &feed(&mut s, &parts);
        all += &feed(&mut s, &[STOP, DONE]);
        all += &rest(&mut s, true);
        assert_eq!(all.matches("stop").count(), 1);
        (heard(&all), s.facts.text.clone())
    };
    for (parts, added) in [
        (vec![begun, "; rain"], "; rain"),
        (vec!["It was a dark", " and stormy night; rain"], "; rain"),
        (
            vec!["It was", " a d", "ark and stormy night", "; rain"],
            "; rain",
        ),
        (vec!["; rain"], "; rain"),
        // Nearly the same is not the same.
        (
            vec!["It was a dark", " and stormy day"],
            "It was a dark and stormy day",
        ),
        (vec!["It was"], "It was"),
        (vec!["It", " was", " I"], "It was I"),
    ] {
        let whole = format!("{begun}{added}");
        assert_eq!(run(&parts), (whole.clone(), whole), "{parts:?}");
    }
    // Too short to tell from chance.
    let mut s = splice(Dialect::OpenAi);
    let mut all = feed(&mut s, &[&says("ha")]);
    s.join();
    all += &feed(&mut s, &[&says("ha"), STOP]);
    assert_eq!(heard(&all), "haha");
}

fn event(data: &str) -> String {
    let value: Value = serde_json::from_str(data).unwrap();
    let name = value["type"].as_str().unwrap();
    format!("event: {name}\ndata: {data}\n\n")
}

fn block(index: u64, kind: &str) -> String {
    event(&format!(
        r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"{kind}","text":""}}}}"#
    ))
}

fn text(index: u64, text: &str) -> String {
    event(&format!(
        r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"text_delta","text":"{text}"}}}}"#
    ))
}

fn stop_of(index: u64) -> String {
    event(&format!(
        r#"{{"type":"content_block_stop","index":{index}}}"#
    ))
}

fn begin() -> String {
    event(
        r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":7,"output_tokens":1}}}"#,
    )
}

fn finish(output: u64) -> String {
    event(&format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{"output_tokens":{output}}}}}"#
    )) + &event(r#"{"type":"message_stop"}"#)
}

/// What an SDK checks: one message, blocks that begin, go on and stop in order.
fn well_formed(stream: &str) -> Vec<u64> {
    let (mut open, mut seen, mut starts, mut stops) = (None, Vec::new(), 0, 0);
    for data in stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let event: Value = serde_json::from_str(data).unwrap();
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "message_start" => starts += 1,
            "message_stop" => stops += 1,
            "content_block_start" => {
                assert_eq!(open, None, "{stream}");
                assert_eq!(index, Some(seen.len() as u64), "{stream}");
                seen.extend(index);
                open = index;
            }
            "content_block_delta" => assert_eq!(index, open, "{stream}"),
            "content_block_stop" => assert_eq!(index, open.take(), "{stream}"),
            _ => {}
        }
    }
    assert_eq!((open, starts, stops), (None, 1, 1), "{stream}");
    seen
}

#[test]
fn a_joined_message_has_one_start_and_its_block_goes_on() {
    let mut s = splice(Dialect::Anthropic);
    let mut all = feed(
        &mut s,
        &[
            &begin(),
            &block(0, "text"),
            &text(0, "one two "),
            &text(0, "three "),
        ],
    );
    assert_eq!(s.text(), Some("one two three "));
    s.join();
    // The white space at the end is not sent, so the target may bring it.
    let next = [
        begin(),
        block(0, "text"),
        text(0, " four"),
        stop_of(0),
        finish(3),
    ];
    all += &feed(&mut s, &next.each_ref().map(String::as_str));
    assert_eq!(heard(&all), "one two three four");
    assert_eq!(well_formed(&all), [0]);
    assert!(all.contains("\"output_tokens\":5"), "{all}");
}

#[test]
fn blocks_are_numbered_on() {
    // Cut in the second block, after one of thoughts.
    let mut s = splice(Dialect::Anthropic);
    let thought = event(
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
    );
    let first = [
        begin(),
        block(0, "thinking"),
        thought,
        stop_of(0),
        block(1, "text"),
        text(1, "so"),
    ];
    let first = feed(&mut s, &first.each_ref().map(String::as_str));
    s.join();
    let next = [
        begin(),
        block(0, "text"),
        text(0, " it goes"),
        stop_of(0),
        block(1, "tool_use"),
        stop_of(1),
        finish(3),
    ];
    let all = first.clone() + &feed(&mut s, &next.each_ref().map(String::as_str));
    assert_eq!(heard(&all), "so it goes");
    assert_eq!(well_formed(&all), [0, 1, 2]);
    // Something else than text follows: the open block is ended first.
    let mut s = splice(Dialect::Anthropic);
    feed(&mut s, &[&first]);
    s.join();
    let next = [begin(), block(0, "tool_use"), stop_of(0), finish(3)];
    let all = first + &feed(&mut s, &next.each_ref().map(String::as_str));
    assert_eq!(well_formed(&all), [0, 1, 2]);
    // Cut between two blocks.
    let mut s = splice(Dialect::Anthropic);
    let first = [begin(), block(0, "text"), text(0, "so"), stop_of(0)].concat();
    let mut all = feed(&mut s, &[&first]);
    s.join();
    let next = [
        begin(),
        block(0, "text"),
        text(0, " on"),
        stop_of(0),
        finish(3),
    ]
    .concat();
    all += &feed(&mut s, &[&next]);
    assert_eq!(well_formed(&all), [0, 1]);
    // A call of a tool is not gone on with.
    let mut s = splice(Dialect::Anthropic);
    let json = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#;
    feed(&mut s, &[&begin(), &block(0, "tool_use"), &event(json)]);
    assert_eq!(s.text(), None);
}

#[test]
fn nothing_it_is_fed_makes_it_panic() {
    let odd = [
        "data: {}\n\n",
        "data: {\"choices\":{}}\n\n",
        "data: {\"choices\":[null]}\n\n",
        "data: {\"choices\":[{\"delta\":null}],\"usage\":7}\n\n",
        "data: {\"type\":7,\"index\":-1}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":18446744073709551615}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":[]}\n\n",
        "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":-4}}\n\n",
        "data: \u{fffd}\n\n",
        "\n\n\n",
    ];
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut s = splice(dialect);
        feed(&mut s, &odd);
        s.join();
        feed(&mut s, &odd);
        s.feed(Bytes::from_static(b"data: \xff\xfe\n\n"));
        s.join();
        feed(&mut s, &odd);
        rest(&mut s, true);
    }
}

#[test]
fn a_text_does_not_go_on_in_a_block_of_thoughts() {
    let mut s = splice(Dialect::Anthropic);
    let thought = event(
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
    );
    let parts = [
        begin(),
        block(0, "text"),
        text(0, "Hello"),
        stop_of(0),
        block(1, "thinking"),
        thought,
    ];
    for part in parts {
        feed(&mut s, &[&part]);
    }
    assert_eq!(s.text(), None);
}
