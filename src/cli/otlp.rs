//! `--otlp`: traces to a collector.

use std::time::Duration;

use crate::{
    proxy::otlp::{Exporter, Settings},
    trace::Tracer,
};

/// How long a stop waits for the last spans.
const LAST: Duration = Duration::from_secs(2);

/// What exports spans, if anything does.
pub(super) struct Spans(Option<Exporter>);

// === impl Spans ===

impl Spans {
    /// As the flag says, then the environment.
    ///
    /// # Errors
    /// In words, if a setting cannot be used.
    pub(super) fn start(flag: Option<&str>, workload: Option<&str>) -> Result<Self, String> {
        let settings = Settings::read(flag, workload).map_err(|error| error.to_string())?;
        let Some(settings) = settings else {
            return Ok(Self(None));
        };
        let exporter = Exporter::start(&settings).map_err(|error| error.to_string())?;
        tracing::info!(target: "llmesh", "spans go to {}", settings.endpoint);
        Ok(Self(Some(exporter)))
    }

    /// Where spans go.
    pub(super) fn tracer(&self) -> Tracer {
        self.0.as_ref().map_or_else(Tracer::off, Exporter::tracer)
    }

    /// Sends what is left.
    pub(super) async fn stop(self) {
        let Some(exporter) = self.0 else { return };
        let counts = exporter.counts().clone();
        let all = exporter.stop(LAST).await;
        let (dropped, failed) = (counts.dropped.get(), counts.failed.get());
        if !all || dropped + failed > 0 {
            tracing::warn!(target: "llmesh", dropped, failed, in_time = all, "not all spans were exported");
        }
    }
}
