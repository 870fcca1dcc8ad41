//! Lines of a log, written by a thread of its own: a reader that is slow, gone or full costs no request.

use std::{
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// How many lines wait for a slow reader; those beyond are dropped.
const WAITING: usize = 16 * 1024;
/// How long the end waits for what is not written yet.
const LAST: Duration = Duration::from_secs(1);

/// Where lines go. Dropping it waits, for a second at most, until they are written.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Option<SyncSender<String>>,
    over: Mutex<Receiver<()>>,
    dropping: AtomicBool,
}

// === impl Lines ===

impl Lines {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn new(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        let (done, over) = sync_channel(1);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                write(out, &waiting);
                // Whoever waited for it may have gone.
                let _ = done.send(());
            })?;
        Ok(Self {
            lines: Some(lines),
            over: Mutex::new(over),
            dropping: AtomicBool::new(false),
        })
    }

    /// Writes a line some time soon, or never if too many are waiting.
    pub(crate) fn line(&self, line: &str) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(format!("{line}\n")) {
            Ok(()) => self.dropping.store(false, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                if !self.dropping.swap(true, Ordering::Relaxed) {
                    tracing::warn!(target: "llmesh", "lines of the access log are dropped: they are not read as fast as they come");
                }
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.lines = None;
        // A reader that stands still does not hold the process.
        let over = self.over.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = over.recv_timeout(LAST);
    }
}

fn write(mut out: impl Write, lines: &Receiver<String>) {
    let mut failing = false;
    for line in lines {
        let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        match written {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(target: "llmesh", %error, "the access log cannot be written");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, mpsc},
    };

    use super::*;

    /// Fails, or waits for a word before each write.
    struct Odd(Option<mpsc::Receiver<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Odd {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match &self.0 {
                None => return Err(io::ErrorKind::BrokenPipe.into()),
                Some(go) => go.recv().map_err(|_| io::ErrorKind::BrokenPipe)?,
            }
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_or_stands_still_costs_nothing() {
        let gone = Lines::new(Odd(None, Arc::default())).unwrap();
        gone.line("a");
        gone.line("b");
        drop(gone);

        let (go, wait) = mpsc::channel();
        let seen = Arc::default();
        let still = Lines::new(Odd(Some(wait), Arc::clone(&seen))).unwrap();
        for n in 0..WAITING + 10 {
            still.line(&n.to_string());
        }
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        drop(go);
        drop(still);
        assert_eq!(*seen.lock().unwrap(), b"0\n1\n2\n");
    }
}
