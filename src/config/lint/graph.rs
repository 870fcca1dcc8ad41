//! The call graph with its figures, as people see it.

/// Who calls whom, with what the files say of each call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Graph {
    /// The names of callers and callees.
    pub nodes: Vec<String>,
    /// Calls, in the order in which the files tell them.
    pub calls: Vec<GraphCall>,
    /// Timeouts, retries, limits and breakers in all files: the places to look at in a bad night.
    pub settings: usize,
}

/// One service calls another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GraphCall {
    /// The caller, by position.
    pub from: usize,
    /// The callee, by position.
    pub to: usize,
    /// Timeout, sends, breaker and load, in words.
    pub figures: Vec<String>,
    /// Sends of one request at the beginning of the worst chain of calls when the callee fails.
    pub amplification: f64,
    /// What tells the call: `annotation`, `Sidecar`, `AuthorizationPolicy` or `sourceLabels`.
    pub told_by: &'static str,
}

// === impl Graph ===

impl Graph {
    /// The calls that a node makes.
    pub(super) fn calls_of(&self, node: usize) -> impl Iterator<Item = &GraphCall> {
        self.calls.iter().filter(move |call| call.from == node)
    }

    /// Nodes that nobody calls, then those that are called only in a circle.
    pub(super) fn roots(&self) -> Vec<usize> {
        let called = |node: &usize| self.calls.iter().any(|call| call.to == *node);
        let mut roots: Vec<_> = (0..self.nodes.len()).filter(|node| !called(node)).collect();
        let mut seen = vec![false; self.nodes.len()];
        let mut open = roots.clone();
        for node in 0..=self.nodes.len() {
            while let Some(at) = open.pop() {
                if !std::mem::replace(&mut seen[at], true) {
                    open.extend(self.calls_of(at).map(|call| call.to));
                }
            }
            if node < seen.len() && !seen[node] {
                roots.push(node);
                open.push(node);
            }
        }
        roots
    }
}

// === impl GraphCall ===

impl GraphCall {
    /// All figures, the amplification last.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = self.figures.clone();
        if self.amplification > 1.0 {
            words.push(format!("x{} in an outage", self.amplification));
        }
        words
    }
}
