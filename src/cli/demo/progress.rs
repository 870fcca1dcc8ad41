//! Progress of a long command: one live line on a terminal, a line a step elsewhere.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::base::Counter;

/// A step with a known number of requests.
pub(super) struct Step {
    name: &'static str,
    total: usize,
    done: Arc<Counter>,
    ticker: Option<JoinHandle<()>>,
}

// === impl Step ===

impl Step {
    /// Begins a step; on a terminal a line shows how far it is.
    pub(super) fn begin(name: &'static str, total: usize) -> Self {
        let done = Arc::new(Counter::default());
        let ticker = std::io::stderr().is_terminal().then(|| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                loop {
                    // A terminal that is gone is no reason to stop.
                    let _ = write!(
                        std::io::stderr(),
                        "\r\x1b[2K  {name}  {}/{total}",
                        done.get()
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        });
        Self {
            name,
            total,
            done,
            ticker,
        }
    }

    /// Count finished requests here.
    pub(super) fn done(&self) -> &Arc<Counter> {
        &self.done
    }

    /// Ends the step with a line that stays.
    pub(super) fn end(self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
            eprint!("\r\x1b[2K");
        }
        eprintln!("  {}  {}/{}", self.name, self.done.get(), self.total);
    }
}
