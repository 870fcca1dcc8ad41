//! `--otlp` without the exporter.

use crate::trace::Tracer;

/// What exports spans: nothing.
pub(super) struct Spans(());

// === impl Spans ===

impl Spans {
    /// # Errors
    /// In words, if it is asked for.
    pub(super) fn start(flag: Option<&str>, _: Option<&str>) -> Result<Self, String> {
        match flag {
            Some(_) => Err(
                "--otlp: this llmesh was built without the exporter; build it with `--features proxy,otlp`"
                    .to_owned(),
            ),
            None => Ok(Self(())),
        }
    }

    pub(super) fn tracer(&self) -> Tracer {
        Tracer::off()
    }

    pub(super) async fn stop(self) {}
}
