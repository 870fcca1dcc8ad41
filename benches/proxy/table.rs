//! Collects numbers and prints the table.

/// One measured thing.
struct Row {
    label: &'static str,
    /// Whether what the direct way takes is subtracted from the others.
    added: bool,
    /// Of each target, one number a turn.
    turns: Vec<Vec<f64>>,
}

/// Rows in the order in which they first came.
pub(crate) struct Table {
    targets: Vec<&'static str>,
    rows: Vec<Row>,
}

// === impl Table ===

impl Table {
    /// For these targets; the first is the direct way, the second is compared to the third.
    pub(crate) fn new(targets: Vec<&'static str>) -> Self {
        Self {
            targets,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, label: &'static str, target: usize, value: f64) {
        self.note(label, false, target, value);
    }

    /// Of which the direct way's share is to be subtracted.
    pub(crate) fn add_delay(&mut self, label: &'static str, target: usize, seconds: f64) {
        self.note(label, true, target, seconds * 1e6);
    }

    fn note(&mut self, label: &'static str, added: bool, target: usize, value: f64) {
        let row = match self.rows.iter().position(|row| row.label == label) {
            Some(row) => row,
            None => {
                let turns = vec![Vec::new(); self.targets.len()];
                self.rows.push(Row {
                    label,
                    added,
                    turns,
                });
                self.rows.len() - 1
            }
        };
        self.rows[row].turns[target].push(value);
    }

    pub(crate) fn print(&self) {
        let columns: String = self.targets.iter().map(|t| format!(" {t:>9} |")).collect();
        let rules: String = self.targets.iter().map(|_| "---:|").collect();
        println!("\n| {:<46} |{columns} ratio |", "");
        println!("|---|{rules}---:|");
        for row in &self.rows {
            let cells: String = (0..self.targets.len())
                .map(|target| match row.cell(target) {
                    Some(value) => format!(" {:>9} |", number(value)),
                    None => format!(" {:>9} |", ""),
                })
                .collect();
            let ratio = match (row.cell(1), row.cell(2)) {
                (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
                _ => String::new(),
            };
            println!("| {:<46} |{cells} {ratio:>5} |", row.label);
        }
    }
}

// === impl Row ===

impl Row {
    fn cell(&self, target: usize) -> Option<f64> {
        let value = median(self.turns.get(target)?)?;
        if self.added && target > 0 {
            return Some(value - median(&self.turns[0])?);
        }
        Some(value)
    }
}

/// The value below which this share of them lies; of sorted values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small counts"
)]
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
