//! `llmesh mock`: scripted upstreams in the foreground.

use std::{io, process::ExitCode};

use super::{address::Listen, args::MockArgs, cannot_run, signals::Signals};
use crate::testing::upstream::{Answer, Sequences, Upstream};

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: MockArgs) -> ExitCode {
    // Before the lines below, on which others wait: a signal after them must be caught.
    let mut stopped = match Signals::new() {
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
        super::err(format_args!(
            "llmesh mock: listening on http://{}{label}",
            upstream.addr()
        ));
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
