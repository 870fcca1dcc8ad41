//! The service, its future and its body.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower::Service;

use super::{admit::Limits, settle::Settle};
use crate::{
    base::{
        BoxError, Error,
        cost::Ledger,
        order::{self, Step},
        quota,
        time::Instant,
    },
    body::{End, Observe, Observed},
};

/// Refuses requests that limits leave no room for, and settles the others when they are over.
///
/// Successful answers and others carry what is left in `RateLimit` and `RateLimit-Policy`.
///
/// # Errors
/// [`Kind::RateLimited`](crate::base::Kind) where a limit has no room (the inner service is not called), else those of the
/// inner service.
///
/// # Cancel safety
/// Dropping the future or the body at any time settles with what was noted until then.
#[derive(Clone, Debug)]
pub struct TokenLimit<S> {
    inner: S,
    limits: Arc<Limits>,
}

/// The response future of [`TokenLimit`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    /// The future goes before the reservation when both are dropped, so that its attempts are noted.
    Called(#[pin] F, Option<Settle>),
    Refused(Option<Error>),
}

/// The response body of [`TokenLimit`]: holds the reservation until it is over.
#[pin_project]
pub struct ResponseBody<R: Body>(#[pin] Observed<R, Watch>);

/// Nothing, where no limit applies.
struct Watch(Option<Settle>);

// === impl TokenLimit ===

impl<S> TokenLimit<S> {
    pub(super) const fn new(inner: S, limits: Arc<Limits>) -> Self {
        Self { inner, limits }
    }
}

impl<S, B, R> Service<Request<B>> for TokenLimit<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        order::not_below(
            request.extensions(),
            Step::OwnKey,
            "OwnKeyed stands above TokenLimitLayer, so all callers would count as one; put it below",
        );
        order::pass(request.extensions_mut(), Step::Limit);
        let settle = match reserve(&self.limits, &mut request) {
            Ok(settle) => settle,
            Err(error) => {
                return ResponseFuture {
                    state: State::Refused(Some(error)),
                };
            }
        };
        ResponseFuture {
            state: State::Called(self.inner.call(request), settle),
        }
    }
}

/// Reserves, and sees to it that there is a ledger. `None`: no limit applies.
fn reserve<B>(limits: &Limits, request: &mut Request<B>) -> Result<Option<Settle>, Error> {
    if limits.is_empty() {
        return Ok(None);
    }
    let held = limits.admit(request, Instant::now())?;
    if held.is_empty() {
        return Ok(None);
    }
    let extensions = request.extensions_mut();
    let ledger = match extensions.get::<Ledger>() {
        Some(ledger) => ledger.clone(),
        None => {
            let ledger = Ledger::default();
            extensions.insert(ledger.clone());
            ledger
        }
    };
    Ok(Some(Settle::new(held, ledger)))
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused(error) => {
                let error = error.take();
                let error = error.unwrap_or_else(|| Error::new(crate::base::Kind::Internal));
                Poll::Ready(Err(error.into()))
            }
            StateProj::Called(future, settle) => {
                let result = ready!(future.poll(cx));
                let mut settle = settle.take();
                Poll::Ready(result.map_err(Into::into).map(|mut response| {
                    if let Some(settle) = &mut settle {
                        settle.head(response.status().is_success());
                        quota::write(&settle.quotas(Instant::now()), response.headers_mut());
                    }
                    response.map(|body| ResponseBody(Observed::new(body, Watch(settle))))
                }))
            }
        }
    }
}

// === impl ResponseBody ===

impl<R: Body<Data = Bytes>> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        self.project().0.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl<R: Body + fmt::Debug> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseBody").field(&self.0).finish()
    }
}

// === impl Watch ===

impl<E> Observe<E> for Watch {
    fn data(&mut self, chunk: &Bytes) {
        if let Some(settle) = &mut self.0 {
            settle.data(chunk);
        }
    }

    fn end(self, _: End<'_, E>) {}
}
