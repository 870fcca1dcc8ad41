//! The queue of spans that are over, and the task that empties it.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::sync::{
    mpsc::{self, Receiver},
    oneshot,
};
use tokio::time::timeout;

use super::Settings;
use crate::base::{
    Counter,
    time::{Instant, sleep, sleep_until},
};

/// How often a batch that was not taken is sent again, and how long before.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken by the collector.
    pub exported: Counter,
    /// Dropped, since the queue was full.
    pub dropped: Counter,
    /// Lost, since the collector did not take them.
    pub failed: Counter,
}

/// Takes spans that are over.
#[derive(Debug)]
pub(super) struct Processor {
    queue: mpsc::Sender<SpanData>,
    counts: Arc<Counts>,
}

/// Sends them.
pub(super) struct Sender<E> {
    pub(super) exporter: E,
    pub(super) settings: Settings,
    pub(super) counts: Arc<Counts>,
}

// === impl Counts ===

impl Counts {
    fn note(&self, counter: &Counter, state: &'static str, spans: usize) {
        let spans = spans as u64;
        counter.add(spans);
        metrics::counter!("llmesh_spans_total", "state" => state).increment(spans);
    }
}

// === impl Processor ===

impl Processor {
    pub(super) fn new(length: usize, counts: Arc<Counts>) -> (Self, Receiver<SpanData>) {
        let (queue, receiver) = mpsc::channel(length.max(1));
        (Self { queue, counts }, receiver)
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.try_send(span).is_err() {
            self.counts.note(&self.counts.dropped, "dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// [`Exporter::stop`](super::Exporter::stop) ends it.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

// === impl Sender ===

impl<E: SpanExporter> Sender<E> {
    /// Until it is stopped; then what is left is sent.
    pub(super) async fn run(
        self,
        mut queue: Receiver<SpanData>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let (mut batch, mut broken, mut stopping) = (Vec::new(), false, false);
        loop {
            let more = self.settings.batch - batch.len();
            tokio::select! {
                // An exporter that is dropped stops too.
                _ = &mut stopped, if !stopping => {
                    stopping = true;
                    queue.close();
                }
                taken = queue.recv_many(&mut batch, more) => {
                    if taken == 0 {
                        break;
                    }
                }
            }
            if !stopping {
                self.wait_for_others(&mut batch, &mut queue, &mut stopped, &mut stopping)
                    .await;
            }
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch), &mut broken).await;
            }
        }
    }

    /// Until the batch is full, or old.
    async fn wait_for_others(
        &self,
        batch: &mut Vec<SpanData>,
        queue: &mut Receiver<SpanData>,
        stopped: &mut oneshot::Receiver<()>,
        stopping: &mut bool,
    ) {
        let old = sleep_until(Instant::now() + self.settings.every);
        let mut old = std::pin::pin!(old);
        while batch.len() < self.settings.batch {
            let more = self.settings.batch - batch.len();
            tokio::select! {
                () = &mut old => return,
                _ = &mut *stopped => {
                    *stopping = true;
                    queue.close();
                    return;
                }
                taken = queue.recv_many(batch, more) => {
                    if taken == 0 {
                        return;
                    }
                }
            }
        }
    }

    async fn send(&self, batch: Vec<SpanData>, broken: &mut bool) {
        let spans = batch.len();
        let mut waits = AGAIN.iter();
        loop {
            let export = self.exporter.export(batch.clone());
            let error = match timeout(self.settings.timeout, export).await {
                Ok(Ok(())) => {
                    self.counts.note(&self.counts.exported, "exported", spans);
                    if std::mem::take(broken) {
                        tracing::info!(target: "llmesh", "spans are exported again");
                    }
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {:?}", self.settings.timeout),
            };
            if !std::mem::replace(broken, true) {
                let to = &self.settings.endpoint;
                tracing::warn!(target: "llmesh", "spans are not exported to {to}: {error}; requests go on, spans are lost");
            }
            match waits.next() {
                Some(wait) => sleep(*wait).await,
                None => break,
            }
        }
        self.counts.note(&self.counts.failed, "failed", spans);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};

    use super::*;

    /// A collector: how many spans it took of each batch, and for how many times it is away.
    #[derive(Clone, Debug, Default)]
    struct Collector {
        took: Arc<Mutex<Vec<usize>>>,
        away: Arc<Mutex<usize>>,
        hangs: bool,
    }

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            {
                let mut away = self.away.lock().unwrap();
                if *away > 0 {
                    *away -= 1;
                    return Err(OTelSdkError::InternalFailure("away".to_owned()));
                }
            }
            self.took.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    struct Running {
        provider: SdkTracerProvider,
        counts: Arc<Counts>,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Running {
        fn new(collector: &Collector) -> Self {
            let mut settings = Settings::new("http://collector");
            (settings.queue, settings.batch) = (4, 3);
            let counts = Arc::<Counts>::default();
            let (processor, receiver) = Processor::new(settings.queue, Arc::clone(&counts));
            let provider = SdkTracerProvider::builder()
                .with_span_processor(processor)
                .build();
            let (stop, stopped) = oneshot::channel();
            let sender = Sender {
                exporter: collector.clone(),
                settings,
                counts: Arc::clone(&counts),
            };
            let task = tokio::spawn(sender.run(receiver, stopped));
            Self {
                provider,
                counts,
                stop,
                task,
            }
        }

        fn spans(&self, n: usize) {
            let tracer = self.provider.tracer("test");
            (0..n).for_each(|_| tracer.start("span").end());
        }

        /// Exported, dropped, failed.
        fn counts(&self) -> [u64; 3] {
            let c = &self.counts;
            [c.exported.get(), c.dropped.get(), c.failed.get()]
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_go_when_they_are_full_or_old_and_the_last_at_the_stop() {
        let collector = Collector::default();
        let running = Running::new(&collector);
        running.spans(4);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*collector.took.lock().unwrap(), [3]);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(*collector.took.lock().unwrap(), [3, 1]);
        running.spans(2);
        let counts = Arc::clone(&running.counts);
        running.stop.send(()).unwrap();
        running.task.await.unwrap();
        assert_eq!(*collector.took.lock().unwrap(), [3, 1, 2]);
        assert_eq!((counts.exported.get(), counts.dropped.get()), (6, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_or_is_not_taken_is_counted() {
        let collector = Collector::default();
        *collector.away.lock().unwrap() = 4;
        let running = Running::new(&collector);
        // Nobody empties the queue in between.
        running.spans(6);
        assert_eq!(running.counts(), [0, 2, 0]);
        // Three sends of the first batch, the second is taken at its second.
        sleep(Duration::from_secs(20)).await;
        assert_eq!(running.counts(), [1, 2, 3]);
        assert_eq!(*collector.took.lock().unwrap(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_hangs_is_given_up() {
        let collector = Collector {
            hangs: true,
            ..Collector::default()
        };
        let running = Running::new(&collector);
        running.spans(3);
        sleep(Duration::from_secs(34)).await;
        assert_eq!(running.counts(), [0, 0, 3]);
    }
}
