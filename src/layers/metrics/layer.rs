//! The `Layer`.

use std::{fmt, sync::Arc};

use tower::Layer;

use super::{Metrics, Report};

/// Reports every request at its end. See the [module](super).
#[derive(Clone, Default)]
pub struct MetricsLayer {
    reports: Arc<[Arc<dyn Report>]>,
}

impl MetricsLayer {
    /// A layer that tells these reports.
    #[must_use]
    pub fn new(reports: Vec<Arc<dyn Report>>) -> Self {
        Self {
            reports: reports.into(),
        }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics::new(inner, Arc::clone(&self.reports))
    }
}

impl fmt::Debug for MetricsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("reports", &self.reports.len())
            .finish()
    }
}
