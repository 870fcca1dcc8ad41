//! Spans leave the process: OTLP over HTTP, in protobuf.
//!
//! A span that is over goes into a queue of bounded length, a task sends batches. Whatever becomes of the collector, a request
//! never waits for it: what the queue cannot take, or the collector does not, is dropped and [counted](Counts).
//!
//! | variable | what | default |
//! |---|---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_TRACES_ENDPOINT` | where to; one of them, or the flag, turns it on | |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `…_TRACES_HEADERS` | fields to send along | |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | of one batch, in milliseconds | 10,000 |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who says it | the workload, else `llmesh` |
//! | `OTEL_TRACES_SAMPLER`, `…_ARG` | which traces that begin here | the mesh's percentage |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `…_MAX_EXPORT_BATCH_SIZE`, `…_SCHEDULE_DELAY` | spans that wait, spans of a batch, milliseconds | 2,048, 512, 5,000 |
//! | `OTEL_TRACES_EXPORTER=none`, `OTEL_SDK_DISABLED=true` | nothing is exported | |

mod client;
mod queue;
mod sampler;
mod settings;

use std::{sync::Arc, time::Duration};

use opentelemetry_otlp::{RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::trace::Tracer;

use self::{client::Client, queue::Processor};

pub use self::{
    queue::Counts,
    settings::{Settings, Unusable},
};

/// An exporter at work.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

// === impl Exporter ===

impl Exporter {
    /// Starts it on the current tokio runtime.
    ///
    /// # Errors
    /// If a setting cannot be used. That the collector is there is not asked.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(settings: &Settings) -> Result<Self, Unusable> {
        let resource = resource(settings);
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_endpoint(settings.traces_url()?)
            // Its own waits would block a thread of the runtime; the queue has some.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| Unusable::new(error.to_string()))?;
        opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource);
        let counts = Arc::<Counts>::default();
        let (processor, receiver) = Processor::new(settings.queue, Arc::clone(&counts));
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource);
        // Without one, the SDK reads its variables.
        if !settings.own_sampler {
            provider = provider.with_sampler(sampler::by_the_mesh());
        }
        let (stop, stopped) = oneshot::channel();
        let sender = queue::Sender {
            exporter,
            settings: settings.clone(),
            counts: Arc::clone(&counts),
        };
        Ok(Self {
            provider: provider.build(),
            counts,
            stop,
            task: tokio::spawn(sender.run(receiver, stopped)),
        })
    }

    /// Where spans are to go.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        Tracer::new(&self.provider)
    }

    /// What became of the spans so far.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Sends what is left, for at most `limit`. Returns whether all was tried.
    pub async fn stop(self, limit: Duration) -> bool {
        let mut task = self.task;
        // It is over already if nobody takes it.
        let _ = self.stop.send(());
        let all = timeout(limit, &mut task).await.is_ok();
        task.abort();
        all
    }
}

/// Who says it: what the variables say, else the workload.
fn resource(settings: &Settings) -> Resource {
    let builder = Resource::builder();
    match &settings.service {
        Some(service) => builder.with_service_name(service.clone()).build(),
        None => builder.build(),
    }
}
