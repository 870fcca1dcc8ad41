//! Streamed answers.

use crate::{
    base::SharedRng,
    llm::{
        Dialect, Usage,
        stream::{End, Fault, Framing, Reader},
    },
};

use super::text::line;

const DIALECTS: [(&str, Dialect); 8] = [
    ("openai", Dialect::OpenAi),
    ("responses", Dialect::OpenAiResponses),
    ("anthropic", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
    ("bedrock", Dialect::Bedrock),
    ("cohere", Dialect::Cohere),
    ("ollama", Dialect::Ollama),
    ("tgi", Dialect::Tgi),
];

const FRAMINGS: [(&str, Framing); 4] = [
    ("sse", Framing::Sse),
    ("ndjson", Framing::NdJson),
    ("array", Framing::JsonArray),
    ("frames", Framing::EventStream),
];

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Story {
    content: u64,
    committed: bool,
    usage: Option<Usage>,
    model: Option<String>,
    fault: Option<Fault>,
    end: End,
}

/// Input: a dialect, a blank, a framing, a line break, a stream.
///
/// It comes to the same however it is cut, and whether events that are alike are compared or parsed; a fault is told once and
/// nothing is looked at after it; content is never taken back; without content nothing is committed.
///
/// # Panics
/// If one of these does not hold.
pub fn stream(data: &[u8]) {
    let (first, stream) = line(data);
    let first = String::from_utf8_lossy(first);
    let mut words = first.split_ascii_whitespace();
    let dialect = find(&DIALECTS, words.next());
    let framing = find(&FRAMINGS, words.next());
    let (Some(dialect), Some(framing)) = (dialect, framing) else {
        return;
    };
    let new = || Reader::new(dialect, None, framing);
    let whole = follow(new(), [stream]);
    assert_eq!(follow(new(), stream.chunks(1)), whole, "byte by byte");
    let parsed = follow(new().without_templates(), [stream]);
    assert_eq!(parsed, whole, "in full");
    let rng = SharedRng::seeded(data.len() as u64);
    let mut chunks = Vec::new();
    let mut rest = stream;
    while let Some(at) = rng.index(rest.len() + 1).filter(|_| !rest.is_empty()) {
        let (chunk, tail) = rest.split_at(at);
        chunks.push(chunk);
        rest = tail;
    }
    assert_eq!(follow(new(), chunks), whole, "at random places");
    let held = follow(new().with_reasoning_commits(false), [stream]);
    assert!(whole.committed || !held.committed);
    let same = Story {
        committed: whole.committed,
        ..held
    };
    assert_eq!(same, whole, "reasoning held back");
}

fn find<T: Copy>(all: &[(&str, T)], word: Option<&str>) -> Option<T> {
    let (_, found) = all.iter().find(|(name, _)| Some(*name) == word)?;
    Some(*found)
}

fn follow<'a>(mut reader: Reader, chunks: impl IntoIterator<Item = &'a [u8]>) -> Story {
    let (mut content, mut committed) = (0, false);
    let mut fault = None;
    for chunk in chunks {
        let progress = reader.feed(chunk);
        assert!(
            fault.is_none() || progress.fault.is_none() && progress.content == 0,
            "looked at after a fault"
        );
        content += u64::from(progress.content);
        fault = fault.or(progress.fault);
        assert_eq!(content, reader.deltas());
        assert_eq!(progress.finished, reader.finished());
        assert!(reader.committed() || !committed, "taken back");
        committed = reader.committed();
        assert!(content > 0 || !committed, "committed by nothing");
    }
    let end = reader.end();
    assert_eq!(reader.end(), end, "asked twice");
    if let Some(fault) = &fault {
        assert_eq!(end, End::Fault(fault.clone()), "forgotten");
    }
    assert!(!matches!(end, End::Complete(_)) || reader.finished());
    Story {
        content: reader.deltas(),
        committed: reader.committed(),
        usage: reader.usage(),
        model: reader.model().map(str::to_owned),
        fault,
        end,
    }
}
