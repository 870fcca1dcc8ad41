//! The loop that the benches share.

use std::{io, process::Command, time::Duration};

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
/// turn of each, beside that of the first. With `--instructions` it counts instead, allocations too, and `--count NAME N`
/// is how. `--only TEXT` leaves the first subject and those with this in their names.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub(crate) fn compare(title: &str, effort: Effort, mut subjects: Vec<Subject<'_>>) {
    let args: Vec<String> = std::env::args()
        .skip_while(|arg| arg != "--count")
        .collect();
    if let [_, name, calls, ..] = args.as_slice() {
        let calls = calls.parse().expect("--count NAME N");
        // A bench may compare several times: the name is one of another comparison then.
        if let Some(subject) = subjects.iter_mut().find(|s| s.name == *name) {
            (subject.run)(calls);
        }
        return;
    }
    let mut only = std::env::args().skip_while(|arg| arg != "--only").skip(1);
    if let Some(only) = only.next() {
        let mut first = true;
        subjects.retain(|s| std::mem::take(&mut first) || s.name.contains(&only));
        if subjects.len() < 2 {
            return;
        }
    }
    if std::env::args().any(|arg| arg == "--instructions") {
        return count(title, &subjects);
    }
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

/// Counts the instructions and allocations of each subject: those of a run of many operations less those of a run of few.
fn count(title: &str, subjects: &[Subject<'_>]) {
    const FEW: u64 = 1_000;
    const MANY: u64 = 3_000;
    println!(
        "\n{title:<44} {:>12} {:>8} {:>11} {:>8}",
        "instructions", "less 1st", "allocations", "less 1st"
    );
    let each = |tool: fn(&str, u64) -> io::Result<u64>, name: &str| {
        let more = tool(name, MANY)?.saturating_sub(tool(name, FEW)?);
        // A table that grows now and then is not part of an operation.
        io::Result::Ok((more + (MANY - FEW) / 2) / (MANY - FEW))
    };
    let mut first = None;
    for Subject { name, .. } in subjects {
        let runs = (each(instructions, name), each(allocations, name));
        let (Ok(steps), Ok(heap)) = runs else {
            println!("{name:<44} valgrind failed: {runs:?}");
            continue;
        };
        let base = *first.get_or_insert((steps, heap));
        println!(
            "{name:<44} {steps:>12} {:>8} {heap:>11} {:>8}",
            steps.saturating_sub(base.0),
            heap.saturating_sub(base.1)
        );
    }
}

/// Instructions of this bench doing nothing but `calls` operations of one subject.
fn instructions(name: &str, calls: u64) -> io::Result<u64> {
    let callgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    valgrind(callgrind, "Collected : ", name, calls)
}

/// How often it asks for memory then.
fn allocations(name: &str, calls: u64) -> io::Result<u64> {
    let memcheck = ["--tool=memcheck", "--leak-check=no"];
    valgrind(memcheck, "total heap usage: ", name, calls)
}

/// The number that a tool prints after `label`.
fn valgrind(tool: [&str; 2], label: &str, name: &str, calls: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe()?)
        .args(["--count", name, &calls.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(label)?;
        let number = rest.split_whitespace().next()?;
        number.replace(',', "").parse().ok()
    });
    count.ok_or_else(|| io::Error::other(text.into_owned()))
}
