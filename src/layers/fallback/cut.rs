//! A stream that was cut: who goes on with it.

use std::{mem, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tower::Service;

use super::{
    resume::{GoOn, Going, Splice},
    run::{Run, note, watched},
    target::set_length,
};
use crate::{
    base::{BoxError, time::Instant},
    body::{Body, Replay},
    classify::{Class, class_of_result},
    llm::{Dialect, request::with_prefill},
};

/// A stream at this place, which may be cut.
pub(super) struct Cut<S> {
    pub(super) run: Run<S>,
    pub(super) at: usize,
}

impl<S, R> GoOn for Cut<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    fn go_on(self: Box<Self>, failure: Class, text: String) -> Going {
        let Self { mut run, at } = *self;
        Box::pin(async move {
            let stats = Arc::clone(&run.shared.stats);
            run.asked.push((at, failure));
            let gone_on = run.go_on(&text).await;
            if gone_on.is_some() {
                stats.resumed.inc();
            } else {
                stats.not_resumed.inc();
            }
            let (body, at) = gone_on?;
            Some((body, Box::new(Self { run, at }) as Box<dyn GoOn>))
        })
    }
}

impl<S, R> Run<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    /// Asks the next targets to go on with a text. The stream of the first that does, and its place.
    async fn go_on(&mut self, text: &str) -> Option<(Body, usize)> {
        let dialect = self.dialect()?;
        let whole = self.body.clone().collect().await.ok()?.to_bytes();
        if several(&whole) {
            return None;
        }
        let begun = with_prefill(dialect, &whole, text)?;
        let length = self.head.headers.get(header::CONTENT_LENGTH).cloned();
        set_length(&mut self.head, begun.len());
        let body = mem::replace(&mut self.body, Replay::new(Body::from(begun), usize::MAX));
        let found = self.find_next(dialect).await;
        self.body = body;
        if let Some(length) = length {
            self.head.headers.insert(header::CONTENT_LENGTH, length);
        }
        found
    }

    async fn find_next(&mut self, dialect: Dialect) -> Option<(Body, usize)> {
        loop {
            let (at, pass) = self.next(Instant::now())?;
            self.shared.stats.fallbacks.inc();
            let result = self.send(at).await;
            let class = class_of_result(&result);
            let goes_on = class.is_success()
                && result
                    .as_ref()
                    .is_ok_and(|r| Splice::of(dialect, r.headers()).is_some());
            match result {
                Ok(response) if goes_on => {
                    note(self.record.as_ref(), &self.by(at));
                    return Some((watched(response, pass, class).into_body(), at));
                }
                _ => pass.finish(&class),
            }
            self.asked.push((at, class));
        }
    }
}

/// Whether several answers are asked for.
fn several(body: &[u8]) -> bool {
    let body: Result<serde_json::Value, _> = serde_json::from_slice(body);
    body.is_ok_and(|body| body.get("n").and_then(serde_json::Value::as_u64) > Some(1))
}
