//! The call graph for Mermaid, as Markdown pages draw it.

use std::fmt::Write as _;

use crate::config::lint::graph::Graph;

// === impl Graph ===

impl Graph {
    /// A Mermaid flow chart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (index, name) in self.nodes.iter().enumerate() {
            let _ = writeln!(text, "  n{index}[\"{}\"]", plain(name));
        }
        for call in &self.calls {
            let words: Vec<_> = call.words().iter().map(|word| plain(word)).collect();
            let _ = writeln!(
                text,
                "  n{} -->|\"{}\"| n{}",
                call.from,
                words.join("<br/>"),
                call.to
            );
        }
        text
    }
}

/// Without what would end a label.
fn plain(text: &str) -> String {
    let entity = |c: char| match c {
        '"' => "#quot;".to_owned(),
        '<' => "#lt;".to_owned(),
        '>' => "#gt;".to_owned(),
        '#' => "#35;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(entity).collect()
}
