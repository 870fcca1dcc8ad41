//! What it costs to look on at a stream.
//!
//! `cargo bench --bench stream`, or with `-- --smoke` a few events of each, to see that they run.
//!
//! One operation is one token event of a stream of 100,000 (the same thousand again and again, so that they are in the
//! cache, as bytes are that were just received), as a chunk of its own, and beside it in chunks of 16 KiB as they come from
//! a busy connection. The first line passes the chunks on and looks at nothing. MB/s is of the best of several
//! turns, which are taken round robin; events differ in their text, and in the numbers and times that servers count up.
//!
//! With `-- --allocations` it counts the heap's, by valgrind: those of a run of many events less those of a run of few.

use std::{fmt::Write, io, process::Command, time::Duration};

use bytes::Bytes;
use llmesh::{
    base::time::Instant,
    llm::{
        Dialect,
        stream::{Framing, Reader},
    },
};

const EVENTS: usize = 1_000;
const TIMES: usize = 100;
const ROUNDS: usize = 10;
const WORDS: [&str; 8] = [
    " the",
    " of",
    "ing",
    ",",
    " model",
    "\\n\\n",
    " caf\u{e9}",
    " \\\"x\\\"",
];

struct Subject {
    name: &'static str,
    /// `None`: the chunks are passed on.
    reads: Option<(Dialect, Framing)>,
    event: fn(usize, &str) -> String,
    /// Chunks are of so many bytes; 0: an event each.
    chunk: usize,
}

fn chat(n: usize, word: &str) -> String {
    let pad = &"aQ3xZk91LmPq"[..n % 12];
    format!(
        r#"data: {{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1795341600,"model":"gpt-5.4-2026-03-05","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{{"index":0,"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":null}}],"usage":null,"obfuscation":"{pad}"}}"#
    ) + "\n\n"
}

fn responses(n: usize, word: &str) -> String {
    format!(
        "event: response.output_text.delta\ndata: {}\n\n",
        format_args!(
            r#"{{"type":"response.output_text.delta","sequence_number":{n},"item_id":"msg_67c9fdcf37fc8190ba82116e33fb28c5","output_index":0,"content_index":0,"delta":"{word}","logprobs":[],"obfuscation":"aQ3xZk"}}"#
        )
    )
}

fn anthropic(_: usize, word: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {}\n\n",
        format_args!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{word}"}}}}"#
        )
    )
}

fn gemini(_: usize, word: &str) -> String {
    format!(
        "data: {}\r\n\r\n",
        format_args!(
            r#"{{"candidates": [{{"content": {{"parts": [{{"text": "{word}"}}],"role": "model"}},"index": 0}}],"modelVersion": "gemini-3-pro","responseId": "mXkhaYCoGOGdz7IPq9fE0Q4"}}"#
        )
    )
}

/// As Gemini really sends them: with counts in each.
fn counted(n: usize, word: &str) -> String {
    format!(
        "data: {}\r\n\r\n",
        format_args!(
            r#"{{"candidates": [{{"content": {{"parts": [{{"text": "{word}"}}],"role": "model"}},"index": 0}}],"usageMetadata": {{"promptTokenCount": 9,"candidatesTokenCount": {n},"totalTokenCount": {},"promptTokensDetails": [{{"modality": "TEXT","tokenCount": 9}}]}},"modelVersion": "gemini-3-pro","responseId": "mXkhaYCoGOGdz7IPq9fE0Q4"}}"#,
            n + 9
        )
    )
}

fn ollama(n: usize, word: &str) -> String {
    format!(
        r#"{{"model":"llama4","created_at":"2026-11-22T10:00:{:02}.{:06}Z","message":{{"role":"assistant","content":"{word}"}},"done":false}}"#,
        n / 60 % 60,
        n % 1_000_000
    ) + "\n"
}

const SUBJECTS: [Subject; 8] = [
    Subject::new("passed on", None, chat),
    Subject::new("openai chat", Some((Dialect::OpenAi, Framing::Sse)), chat),
    Subject::new(
        "openai responses",
        Some((Dialect::OpenAiResponses, Framing::Sse)),
        responses,
    ),
    Subject::new(
        "anthropic",
        Some((Dialect::Anthropic, Framing::Sse)),
        anthropic,
    ),
    Subject::new("gemini", Some((Dialect::Gemini, Framing::Sse)), gemini),
    Subject::new("ollama", Some((Dialect::Ollama, Framing::NdJson)), ollama),
    Subject::new(
        "gemini, counts in each",
        Some((Dialect::Gemini, Framing::Sse)),
        counted,
    ),
    Subject {
        chunk: 16 * 1024,
        ..Subject::new(
            "openai chat, 16 KiB chunks",
            Some((Dialect::OpenAi, Framing::Sse)),
            chat,
        )
    },
];

impl Subject {
    const fn new(
        name: &'static str,
        reads: Option<(Dialect, Framing)>,
        event: fn(usize, &str) -> String,
    ) -> Self {
        Self {
            name,
            reads,
            event,
            chunk: 0,
        }
    }

    fn chunks(&self, events: usize) -> Vec<Bytes> {
        let events = (0..events).map(|n| (self.event)(n, WORDS[n % WORDS.len()]));
        if self.chunk == 0 {
            return events.map(Bytes::from).collect();
        }
        let mut all = String::new();
        for event in events {
            write!(all, "{event}").expect("a string takes all");
        }
        let all = Bytes::from(all);
        (0..all.len())
            .step_by(self.chunk)
            .map(|at| all.slice(at..all.len().min(at + self.chunk)))
            .collect()
    }

    /// Looks on at all chunks on their way, and says how long it took.
    fn run(&self, chunks: &[Bytes]) -> (Duration, u64) {
        let mut reader = self
            .reads
            .map(|(dialect, framing)| Reader::new(dialect, None, framing));
        let begin = Instant::now();
        for chunk in (0..TIMES).flat_map(|_| chunks) {
            let passed = chunk.clone();
            if let Some(reader) = &mut reader {
                std::hint::black_box(reader.feed(&passed));
            }
            std::hint::black_box(passed);
        }
        (begin.elapsed(), reader.map_or(0, |reader| reader.deltas()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--count") {
        let [name, events, ..] = &args[at + 1..] else {
            panic!("--count NAME N");
        };
        let subject = SUBJECTS.iter().find(|s| s.name == name).expect("a name");
        // The chunks themselves are the same number in each run.
        let chunks = subject.chunks(100);
        let again = events.parse::<usize>().expect("a number") / 100;
        let mut reader = subject
            .reads
            .map(|(dialect, framing)| Reader::new(dialect, None, framing));
        for chunk in (0..again).flat_map(|_| &chunks) {
            if let Some(reader) = &mut reader {
                std::hint::black_box(reader.feed(chunk));
            }
        }
        return;
    }
    if args.iter().any(|arg| arg == "--allocations") {
        return allocations();
    }
    let (events, rounds) = if args.iter().any(|arg| arg == "--smoke") {
        (200, 2)
    } else {
        (EVENTS, ROUNDS)
    };
    let streams: Vec<_> = SUBJECTS.iter().map(|s| s.chunks(events)).collect();
    let mut best = [Duration::MAX; SUBJECTS.len()];
    for _ in 0..rounds {
        for ((subject, chunks), best) in SUBJECTS.iter().zip(&streams).zip(&mut best) {
            let (took, deltas) = subject.run(chunks);
            assert!(subject.reads.is_none() || deltas == (events * TIMES) as u64);
            *best = took.min(*best);
        }
    }
    println!(
        "\n{:<32} {:>8} {:>8} {:>10}",
        "one event of", "bytes", "ns", "MB/s"
    );
    for ((subject, chunks), best) in SUBJECTS.iter().zip(&streams).zip(best) {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let each = bytes as f64 / events as f64;
        let nanos = best.as_nanos() as f64 / (events * TIMES) as f64;
        let rate = (bytes * TIMES) as f64 / best.as_secs_f64() / 1e6;
        println!("{:<32} {each:>8.0} {nanos:>8.1} {rate:>10.0}", subject.name);
    }
}

fn allocations() {
    println!("\n{:<32} {:>20}", "one event of", "allocations");
    for subject in &SUBJECTS {
        match (heap(subject.name, 1_000), heap(subject.name, 11_000)) {
            (Ok(few), Ok(many)) => {
                let extra = many - few;
                println!("{:<32} {:>20}", subject.name, format!("{extra} in 10000"));
            }
            failed => println!("{:<32} valgrind failed: {failed:?}", subject.name),
        }
    }
}

/// How often this bench asks for memory while it does nothing but look on at so many events.
fn heap(name: &str, events: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=memcheck", "--leak-check=no"])
        .arg(std::env::current_exe()?)
        .args(["--count", name, &events.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| {
        let (_, rest) = line.split_once("total heap usage: ")?;
        rest.split(' ').next()?.replace(',', "").parse().ok()
    });
    count.ok_or_else(|| io::Error::other(text.into_owned()))
}
