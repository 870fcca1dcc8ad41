//! What a good answer says: tokens of one fixed text, or a tool call.

use super::{
    answer::{Answer, Finish},
    dialect::Ask,
    prompt::Tool,
};

/// The moment every answer claims to have been made: 2026-11-22 10:00 UTC. Answers repeat exactly.
pub(super) const CREATED: u64 = 1_795_341_600;

/// Tokens of an answer that does not say.
const TOKENS: usize = 16;

const WORDS: [&str; 12] = [
    "The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", " and", " runs",
    " home.",
];

/// Characters of a tool's arguments in one event.
const ARGUMENT_CHARS: usize = 8;

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Of the text, or of the JSON text of the tool's arguments.
    pub(super) tokens: Vec<String>,
    pub(super) finish: Finish,
    pub(super) tool: Option<Tool>,
}

// === impl Reply ===

impl Reply {
    /// The answer to `ask`: its text begins with the label, if there is one, and goes on where a prefill ends.
    pub(super) fn new(answer: &Answer, ask: &Ask, label: Option<&str>) -> Self {
        let named = |name: &String| {
            let mut tools = ask.prompt.tools.iter();
            tools.find(|tool| name.is_empty() || tool.name == *name)
        };
        let tool = answer.tool.as_ref().and_then(named).cloned();
        let (mut tokens, mut finish) = match &tool {
            Some(tool) => (pieces(&tool.arguments.to_string()), Finish::ToolCalls),
            None => {
                let all = text(answer.tokens.unwrap_or(TOKENS), label);
                (rest(all, ask.prompt.prefill.as_deref()), Finish::Stop)
            }
        };
        if let (Some(max), None) = (ask.prompt.max_tokens, &tool)
            && tokens.len() > max
        {
            tokens.truncate(max);
            finish = Finish::Length;
        }
        Self {
            tokens,
            finish: answer.finish.unwrap_or(finish),
            tool,
        }
    }

    /// All tokens.
    pub(super) fn text(&self) -> String {
        self.tokens.concat()
    }
}

/// The first `count` tokens of the fixed text: twelve words, then numbers from 13 on, so that no two are alike.
fn text(count: usize, label: Option<&str>) -> Vec<String> {
    let word = |i: usize| match WORDS.get(i) {
        Some(word) => (*word).to_owned(),
        None => format!(" {}", i + 1),
    };
    let mut tokens: Vec<String> = (0..count).map(word).collect();
    if let (Some(label), Some(first)) = (label, tokens.first_mut()) {
        *first = format!("[{label}] {first}");
    }
    tokens
}

/// What is left after the prefill, which another label may have begun. One that is no beginning of the text is no
/// prefill: the text comes from its start.
fn rest(all: Vec<String>, prefill: Option<&str>) -> Vec<String> {
    let Some(prefill) = prefill.map(unlabelled).filter(|p| !p.is_empty()) else {
        return all;
    };
    let whole = all.concat();
    if !unlabelled(&whole).starts_with(prefill) {
        return all;
    }
    let mut skip = whole.len() - unlabelled(&whole).len() + prefill.len();
    let mut out = Vec::new();
    for token in all {
        match token.get(skip..) {
            Some("") | None => skip = skip.saturating_sub(token.len()),
            Some(tail) => {
                out.push(tail.to_owned());
                skip = 0;
            }
        }
    }
    out
}

fn unlabelled(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|t| t.split_once("] "));
    inner.map_or(text, |(_, rest)| rest)
}

fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(ARGUMENT_CHARS)
        .map(|c| c.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(count: usize, label: Option<&str>, prefill: &str) -> String {
        rest(text(count, label), Some(prefill)).concat()
    }

    #[test]
    fn a_prefill_is_continued_at_any_character() {
        let whole = text(16, None).concat();
        for at in 1..=whole.len() {
            let (head, tail) = whole.split_at(at);
            assert_eq!(left(16, None, head), tail, "{head}");
        }
    }

    #[test]
    fn another_label_goes_on_where_the_first_left_off() {
        assert_eq!(left(4, Some("v2"), "[v1] The quick"), " brown fox");
        assert_eq!(left(4, Some("v2"), "The quick"), " brown fox");
        assert_eq!(left(4, None, "[v1] The qu"), "ick brown fox");
    }

    #[test]
    fn what_does_not_begin_the_text_is_no_prefill() {
        assert_eq!(left(2, None, "A slow"), "The quick");
        assert_eq!(left(2, None, "The quick brown"), "The quick");
    }

    #[test]
    fn tokens_after_the_words_are_numbers() {
        assert_eq!(text(14, None)[11..], [" home.", " 13", " 14"]);
    }
}
