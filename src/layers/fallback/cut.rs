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
};
use crate::{
    base::{BoxError, time::Instant},
    body::{Body, RequestBody},
    classify::{Class, FallbackScope, class_of_result},
    llm::{
        Dialect,
        refused::{Addition, unless_refused},
        request::{can_be_gone_on_with, is_sealed, set_length, several, with_prefill},
    },
};

/// A stream at this place, which may be cut.
pub(super) struct Continuation<S> {
    pub(super) run: Run<S>,
    pub(super) at: usize,
}

impl<S, R> GoOn for Continuation<S>
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
    /// Asks the next targets to go on with a text, or, if nothing was said, to answer. The stream of the first that does, and
    /// its place.
    async fn go_on(&mut self, text: &str) -> Option<(Body, usize)> {
        let dialect = self.dialect()?;
        let whole = self.body.clone().collect().await.ok()?.to_bytes();
        if text.is_empty() {
            // Of several answers each has a beginning of its own.
            return if several(&whole) {
                None
            } else {
                self.find_next(dialect).await
            };
        }
        if is_sealed(&self.head.headers) || !can_be_gone_on_with(dialect, &whole, text) {
            return None;
        }
        let begun = with_prefill(dialect, &whole, text)?;
        let length = self.head.headers.get(header::CONTENT_LENGTH).cloned();
        set_length(&mut self.head.headers, begun.len());
        let begun = RequestBody::from(begun)
            .keep(usize::MAX)
            .with_context(self.body.context().clone());
        let body = mem::replace(&mut self.body, begun);
        self.begun = true;
        let found = self.find_next(dialect).await;
        self.begun = false;
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
            let result = self.send(at, pass.is_probe()).await;
            let mut class = class_of_result(&result);
            let joins = |r: &Response<R>| Splice::of(dialect, r).is_some();
            match result {
                Ok(response) if class.is_success() && joins(&response) => {
                    note(self.record.as_ref(), &self.by(at));
                    return Some((watched(response, pass, class).into_body(), at));
                }
                Ok(response) if self.begun => {
                    pass.finish(&class);
                    if unless_refused(response, Addition::Prefill).await.is_none() {
                        self.refused(at);
                        // It is what was added that was wrong, and no mistake of the caller's.
                        class.elsewhere = FallbackScope::Any;
                    }
                }
                _ => pass.finish(&class),
            }
            self.asked.push((at, class));
        }
    }

    /// The target at this place does not go on with answers.
    fn refused(&self, at: usize) {
        if let Some(place) = self.places.get(at) {
            let (cluster, model) = (&place.who.cluster, place.who.model.as_ref());
            let refusals = &self.shared.refusals;
            refusals.note(Addition::Prefill, cluster, model, Instant::now());
            tracing::info!(%cluster, model = model.map(|m| &**m), "answers are not gone on with here: it is refused");
        }
    }
}
