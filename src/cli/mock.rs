//! `llmesh mock`: scripted upstreams in the foreground.

use std::{io, process::ExitCode};

use tokio::runtime;

use super::{
    args::{Listen, MockArgs},
    cannot_run,
};
use crate::testing::upstream::{Answer, Sequences, Upstream};

/// Serves until SIGINT or SIGTERM.
#[must_use]
pub fn run(args: MockArgs) -> ExitCode {
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(workers) = args.workers {
        builder.worker_threads(workers.get());
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(args)),
        Err(e) => cannot_run(format_args!(
            "llmesh mock: cannot start worker threads: {e}"
        )),
    }
}

async fn serve(args: MockArgs) -> ExitCode {
    // Before the lines below, on which others wait: a signal after them must be caught.
    let stopped = match Signals::new() {
        Ok(signals) => signals,
        Err(e) => return cannot_run(format_args!("llmesh mock: cannot wait for signals: {e}")),
    };
    let (answer, sequences) = (args.answer.unwrap_or_default(), Sequences::new());
    let mut upstreams = Vec::new();
    for listen in args.listen {
        let address = listen.address;
        match start(listen, &answer, &sequences).await {
            Ok(upstream) => upstreams.push(upstream),
            Err(e) => {
                return cannot_run(format_args!("llmesh mock: cannot listen on {address}: {e}"));
            }
        }
    }
    for (upstream, label) in &upstreams {
        let label = label
            .as_ref()
            .map(|l| format!(" as {l}"))
            .unwrap_or_default();
        eprintln!(
            "llmesh mock: listening on http://{}{label}",
            upstream.addr()
        );
    }
    stopped.wait().await;
    ExitCode::SUCCESS
}

async fn start(
    listen: Listen,
    answer: &Answer,
    sequences: &Sequences,
) -> io::Result<(Upstream, Option<String>)> {
    let mut builder = Upstream::builder()
        .bind(listen.address)
        .script(answer.clone())
        .sequences(sequences)
        .record(false);
    if let Some(label) = &listen.label {
        builder = builder.label(label);
    }
    Ok((builder.start().await?, listen.label))
}

/// The signals that ask a process to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

// === impl Signals ===

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on unix")]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn wait(self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
