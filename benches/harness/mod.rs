//! The loop that the benches share.

use std::time::Duration;

use llmesh::base::time::Instant;

/// How long each measurement goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often each subject has its turn.
    rounds: usize,
    /// Operations in one turn.
    operations: usize,
}

/// Something to be measured: does this many operations and says how long they took.
pub(crate) struct Subject<'a> {
    name: String,
    run: Box<dyn FnMut(usize) -> Duration + 'a>,
    best: f64,
}

// === impl Effort ===

impl Effort {
    /// This much, or next to nothing if only a smoke test is asked for.
    pub(crate) fn new(rounds: usize, operations: usize) -> Self {
        let (rounds, operations) = if smoke() {
            (2, 20)
        } else {
            (rounds, operations)
        };
        Self { rounds, operations }
    }
}

// === impl Subject ===

impl<'a> Subject<'a> {
    /// Measured by what `run` returns.
    pub(crate) fn timed(name: impl Into<String>, run: impl FnMut(usize) -> Duration + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            best: f64::INFINITY,
        }
    }

    /// Measured around `operation`, which is given the number of its turn.
    #[allow(dead_code, reason = "not every bench uses it")]
    pub(crate) fn each<T>(
        name: impl Into<String>,
        mut operation: impl FnMut(usize) -> T + 'a,
    ) -> Self {
        Self::timed(name, move |operations| {
            let begin = Instant::now();
            for i in 0..operations {
                std::hint::black_box(operation(i));
            }
            begin.elapsed()
        })
    }
}

/// Whether the command line asks for a few operations only, to see that all of it runs.
pub(crate) fn smoke() -> bool {
    std::env::args().any(|arg| arg == "--smoke")
}

/// Measures the subjects in turns, so that a busy moment of the machine hits all of them alike, and prints the best
/// turn of each, beside that of the first.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub(crate) fn compare(title: &str, effort: Effort, mut subjects: Vec<Subject<'_>>) {
    for _ in 0..effort.rounds {
        for subject in &mut subjects {
            let nanos = (subject.run)(effort.operations).as_nanos() as f64;
            subject.best = subject.best.min(nanos / effort.operations as f64);
        }
    }
    let first = subjects.first().map_or(1.0, |s| s.best);
    println!("\n{title:<44} {:>10} {:>8}", "ns/op", "ratio");
    for Subject { name, best, .. } in &subjects {
        println!("{name:<44} {best:>10.0} {:>8.2}", best / first);
    }
}
