//! The call graph as a tree of lines.

use crate::config::lint::graph::Graph;

// === impl Graph ===

impl Graph {
    /// A tree of lines: who calls whom, and the figures behind each callee. What is called from several places is drawn
    /// once, and named again.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut drawn = vec![false; self.nodes.len()];
        for root in self.roots() {
            lines.push((self.nodes[root].clone(), String::new()));
            self.below(root, "", &mut drawn, &mut lines);
        }
        let width = lines
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or_default();
        let mut text = String::new();
        for (name, figures) in lines {
            let pad = width - name.chars().count();
            let line = format!("{name}{:pad$}   {figures}", "");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn below(
        &self,
        node: usize,
        indent: &str,
        drawn: &mut [bool],
        lines: &mut Vec<(String, String)>,
    ) {
        if std::mem::replace(&mut drawn[node], true) {
            return;
        }
        let mut calls = self.calls_of(node).peekable();
        while let Some(call) = calls.next() {
            let last = calls.peek().is_none();
            let (branch, more) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let again = drawn[call.to] && self.calls_of(call.to).next().is_some();
            let again = if again { " (above)" } else { "" };
            lines.push((
                format!("{indent}{branch}{}{again}", self.nodes[call.to]),
                call.words().join("; "),
            ));
            // No chain of calls is deeper than there are nodes; a stack is.
            if indent.len() < 1000 {
                self.below(call.to, &format!("{indent}{more}"), drawn, lines);
            }
        }
    }
}
