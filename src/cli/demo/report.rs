//! The table at the end: what was tried, what callers saw, what was promised.

use std::fmt;

use serde_json::{Value, json};

use crate::cli::table::Table;

/// A promise and whether it was kept.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    pub(super) promise: String,
    pub(super) seen: String,
    pub(super) kept: bool,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) story: String,
    pub(super) requests: usize,
    pub(super) success: usize,
    pub(super) attempts: f64,
    pub(super) note: String,
}

/// Everything the demo found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) expectations: Vec<Expectation>,
}

// === impl Report ===

impl Report {
    /// Notes a promise.
    pub(super) fn expect(
        &mut self,
        kept: bool,
        promise: impl Into<String>,
        seen: impl Into<String>,
    ) {
        self.expectations.push(Expectation {
            promise: promise.into(),
            seen: seen.into(),
            kept,
        });
    }

    /// Whether every promise was kept.
    pub(super) fn ok(&self) -> bool {
        self.expectations.iter().all(|e| e.kept)
    }

    /// For machines.
    pub(super) fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|r| {
            json!({"story": r.story, "requests": r.requests, "success": r.success, "attempts_per_request": r.attempts, "note": r.note})
        });
        let expectations = self
            .expectations
            .iter()
            .map(|e| json!({"promise": e.promise, "seen": e.seen, "kept": e.kept}));
        json!({
            "ok": self.ok(),
            "rows": rows.collect::<Vec<_>>(),
            "facts": self.facts.iter().map(|(k, v)| ((*k).to_owned(), Value::from(v.as_str()))).collect::<serde_json::Map<_, _>>(),
            "expectations": expectations.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "counts of a short demo")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            "WHAT HAPPENED",
            "REQUESTS",
            "SUCCESS",
            "ATTEMPTS/REQUEST",
            "WHAT CALLERS SAW",
        ]);
        for row in &self.rows {
            let rate = 100.0 * row.success as f64 / row.requests.max(1) as f64;
            table.row([
                row.story.clone(),
                row.requests.to_string(),
                format!("{rate:.1} %"),
                format!("{:.2}", row.attempts),
                row.note.clone(),
            ]);
        }
        writeln!(f, "\n{table}")?;
        let mut facts = Table::new(&["IN ALL", ""]);
        for (name, value) in &self.facts {
            facts.row([(*name).to_owned(), value.clone()]);
        }
        writeln!(f, "{facts}")?;
        let mut promises = Table::new(&["PROMISE", "SEEN", "KEPT"]);
        for e in &self.expectations {
            promises.row([
                e.promise.clone(),
                e.seen.clone(),
                if e.kept { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        write!(f, "{promises}")
    }
}
