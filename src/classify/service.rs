//! The service that classifies each attempt, and the body that finishes the job.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, Request, Response, response};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower::Service;

use crate::{
    base::{BoxError, Error, Kind, ext, time},
    body::{End, Observe, Observed},
    classify::{
        Class, Classified, Classifier, MakeClassifier, Verdict,
        peeked::{Over, Peeked},
    },
};

/// How many bytes of a body are held back at most while its class is open.
pub const HOLD_CAP: usize = 64 * 1024;

/// Classifies each attempt once, and leaves the result where all can read it: [`Classified`] in the response's
/// extensions.
///
/// The head usually decides. Where it does not, and the request's [`Attempt`](ext::Attempt) says that a retry may still
/// follow, the first frames are held back, up to [`HOLD_CAP`], until the classifier decides: then an error that only the
/// body shows can still be retried. Otherwise the response is handed on at once. The end is always noted: at the body's
/// end, its error, or its drop.
///
/// # Errors
/// Those of the inner service, unchanged. Their class is [`class_of_error`](super::transport::class_of_error).
///
/// # Cancel safety
/// Dropping the response before its end is [`Cancelled`](super::Outcome::Cancelled), unless it had failed before.
#[derive(Clone, Copy, Debug)]
pub struct Classify<S, M> {
    inner: S,
    make: M,
}

/// The future of a [`Classify`] service.
#[pin_project]
pub struct ResponseFuture<F, B, C> {
    #[pin]
    state: State<F, B, C>,
}

#[pin_project(project = StateProj)]
enum State<F, B, C> {
    Called {
        #[pin]
        inner: F,
        classifier: Option<C>,
        may_retry: bool,
    },
    Holding(Option<Hold<B, C>>),
}

struct Hold<B, C> {
    parts: response::Parts,
    body: Pin<Box<B>>,
    classifier: C,
    held: VecDeque<Frame<Bytes>>,
    bytes: usize,
    frames: usize,
}

/// A response body whose end decides the final class.
#[pin_project]
pub struct ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    #[pin]
    inner: Observed<Peeked<B>, Watch<C>>,
}

struct Watch<C> {
    classifier: C,
    classified: Classified,
    /// Data frames that the classifier has seen while they were held back.
    seen: usize,
    /// The class, if the whole body was seen already.
    last: Option<Class>,
    trailers: Option<HeaderMap>,
}

// === impl Classify ===

impl<S, M> Classify<S, M> {
    /// Classifies the responses of `inner`.
    pub const fn new(inner: S, make: M) -> Self {
        Self { inner, make }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, taken out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, M, A, B> Service<Request<A>> for Classify<S, M>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    M: MakeClassifier,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B, M::Classifier>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, B, M::Classifier>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let classifier = self
            .make
            .classifier(request.method(), request.uri(), request.headers());
        let may_retry = request
            .extensions()
            .get::<ext::Attempt>()
            .is_some_and(|attempt| attempt.may_retry);
        ResponseFuture {
            state: State::Called {
                inner: self.inner.call(request),
                classifier: Some(classifier),
                may_retry,
            },
        }
    }
}

// === impl ResponseFuture ===

impl<F, B, C, E> Future for ResponseFuture<F, B, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    type Output = Result<Response<ResponseBody<B, C>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called {
                    inner,
                    classifier,
                    may_retry,
                } => {
                    let result = ready!(inner.poll(cx)).map_err(Into::into);
                    let (Some(mut classifier), may_retry) = (classifier.take(), *may_retry) else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let response = match result {
                        Ok(response) => response,
                        Err(error) => {
                            let class = classifier.error(&error);
                            tracing::debug!(class = class.outcome.as_str(), "attempt failed");
                            return Poll::Ready(Err(error));
                        }
                    };
                    let (parts, body) = response.into_parts();
                    match classifier.head(&parts, time::wall_now()) {
                        Verdict::Done(class) => {
                            let body = Peeked::untouched(body);
                            return Poll::Ready(Ok(finish(
                                parts,
                                body,
                                classifier,
                                Some(class),
                                None,
                                0,
                            )));
                        }
                        Verdict::Wait if body.is_end_stream() => {
                            let class = classifier.end(None);
                            let body = Peeked::untouched(body);
                            let last = Some(class.clone());
                            return Poll::Ready(Ok(finish(
                                parts,
                                body,
                                classifier,
                                Some(class),
                                last,
                                0,
                            )));
                        }
                        Verdict::Wait if !may_retry => {
                            let body = Peeked::untouched(body);
                            return Poll::Ready(Ok(finish(parts, body, classifier, None, None, 0)));
                        }
                        Verdict::Wait => this.state.set(State::Holding(Some(Hold {
                            parts,
                            body: Box::pin(body),
                            classifier,
                            held: VecDeque::new(),
                            bytes: 0,
                            frames: 0,
                        }))),
                    }
                }
                StateProj::Holding(hold) => {
                    let Some(open) = hold.as_mut() else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let (head, last, over) = ready!(open.poll(cx));
                    return Poll::Ready(hold.take().map_or_else(
                        || Err(polled_after_end()),
                        |hold| Ok(hold.finish(head, last, over)),
                    ));
                }
            }
        }
    }
}

impl<F, B, C> fmt::Debug for ResponseFuture<F, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

fn polled_after_end() -> BoxError {
    Error::new(Kind::Internal)
        .with_detail("a future was polled after it had completed")
        .into()
}

// === impl Hold ===

/// The class at the time of handing on, the class if the body is over, and how it ended.
type Decision = (Option<Class>, Option<Class>, Option<Over>);

impl<B, C> Hold<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    /// Takes frames until the class is decided, the body is over or the cap is reached.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        loop {
            let over = |class: Class, over| (Some(class.clone()), Some(class), Some(over));
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(over(self.classifier.end(None), Over::Complete)),
                Some(Err(error)) => {
                    let error = error.into();
                    let class = self.classifier.error(&error);
                    return Poll::Ready(over(class, Over::Failed(error)));
                }
                Some(Ok(frame)) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        let class = self.classifier.end(Some(trailers));
                        self.held.push_back(frame);
                        return Poll::Ready(over(class, Over::Complete));
                    }
                    let verdict = frame.data_ref().map(|chunk| {
                        self.bytes += chunk.len();
                        self.frames += 1;
                        self.classifier.frame(chunk)
                    });
                    self.held.push_back(frame);
                    if let Some(Verdict::Done(class)) = verdict {
                        return Poll::Ready((Some(class), None, None));
                    }
                    if self.body.is_end_stream() {
                        return Poll::Ready(over(self.classifier.end(None), Over::Complete));
                    }
                    if self.bytes >= HOLD_CAP {
                        return Poll::Ready((None, None, None));
                    }
                }
            }
        }
    }

    fn finish(
        mut self,
        head: Option<Class>,
        last: Option<Class>,
        over: Option<Over>,
    ) -> Response<ResponseBody<B, C>> {
        let body = Peeked::new(mem::take(&mut self.held), over, self.body);
        finish(self.parts, body, self.classifier, head, last, self.frames)
    }
}

fn finish<B, C>(
    mut parts: response::Parts,
    body: Peeked<B>,
    classifier: C,
    head: Option<Class>,
    last: Option<Class>,
    seen: usize,
) -> Response<ResponseBody<B, C>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    let classified = Classified::default();
    if let Some(class) = head {
        classified.set_head(class);
    }
    parts.extensions.insert(classified.clone());
    let watch = Watch {
        classifier,
        classified,
        seen,
        last,
        trailers: None,
    };
    let inner = Observed::new(body, watch);
    Response::from_parts(parts, ResponseBody { inner })
}

// === impl ResponseBody ===

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B, C> fmt::Debug for ResponseBody<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("size_hint", &self.size_hint())
            .finish_non_exhaustive()
    }
}

// === impl Watch ===

impl<C: Classifier> Observe<BoxError> for Watch<C> {
    fn data(&mut self, chunk: &Bytes) {
        if self.seen > 0 {
            self.seen -= 1;
        } else {
            // Too late to be held back; the end will say what it came to.
            let _ = self.classifier.frame(chunk);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.trailers = Some(trailers.clone());
    }

    fn end(mut self, how: End<'_, BoxError>) {
        let class = match (self.last.take(), how) {
            (Some(class), _) => class,
            (None, End::Complete) => self.classifier.end(self.trailers.as_ref()),
            (None, End::Failed(error)) => self.cut(error),
            (None, End::Dropped) => self.cut(&Error::new(Kind::Canceled).into()),
        };
        self.classified.set_end(class);
    }
}

impl<C: Classifier> Watch<C> {
    /// The body was cut short. A failure that was certain before stays.
    fn cut(&mut self, error: &BoxError) -> Class {
        match self.classified.head() {
            Some(class) if !class.is_success() => class.clone(),
            _ => self.classifier.error(error),
        }
    }
}
