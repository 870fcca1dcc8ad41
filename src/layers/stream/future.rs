//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{
    ResponseBody,
    call::{Call, passed},
    hold::{Hold, Settled},
    open::{Opened, Opening},
};
use crate::{
    base::BoxError,
    body::{BoxErrors, box_errors},
    classify::answer::polled_after_end,
};

/// Response future of [`Stream`](super::Stream).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, B: Body> {
    #[pin]
    state: State<F, B>,
}

#[pin_project(project = Projected)]
enum State<F, B: Body> {
    /// No generation call.
    Untouched(#[pin] F),
    /// For the head.
    Waiting {
        #[pin]
        inner: F,
        call: Option<Box<Call>>,
    },
    /// For the first bytes that tell what the answer is.
    Opening(Option<Box<Opening<BoxErrors<B>>>>),
    /// For the first content.
    Holding(Option<Box<Hold<BoxErrors<B>>>>),
    Over,
}

// === impl ResponseFuture ===

impl<F, B: Body> ResponseFuture<F, B> {
    pub(super) fn new(inner: F, call: Option<Box<Call>>) -> Self {
        Self {
            state: match call {
                None => State::Untouched(inner),
                call => State::Waiting { inner, call },
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                Projected::Untouched(inner) => {
                    let result = std::task::ready!(inner.poll(cx)).map_err(Into::into);
                    return Poll::Ready(result.map(untouched));
                }
                Projected::Waiting { inner, call } => {
                    let Some(open) = call.as_mut() else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let Poll::Ready(result) = inner.poll(cx) else {
                        let limit = std::task::ready!(open.poll_head(cx));
                        // The upstream is told at once.
                        this.state.set(State::Over);
                        return Poll::Ready(Err(passed(limit).into()));
                    };
                    let call = call.take();
                    let (head, body) = result.map_err(Into::into)?.into_parts();
                    let opening = match call {
                        Some(call) => call.open(head, body),
                        None => Err((head, box_errors(body))),
                    };
                    match opening {
                        Ok(opening) => this.state.set(State::Opening(Some(Box::new(opening)))),
                        Err((head, body)) => {
                            this.state.set(State::Over);
                            let body = ResponseBody::untouched(body);
                            return Poll::Ready(Ok(Response::from_parts(head, body)));
                        }
                    }
                }
                Projected::Opening(opening) => {
                    let Some(open) = opening.as_mut() else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let found = std::task::ready!(open.poll(cx));
                    let opening = opening.take().ok_or_else(polled_after_end)?;
                    match opening.open(found?) {
                        Opened::Stream(hold) => {
                            this.state.set(State::Holding(Some(hold)));
                        }
                        Opened::Other(response) => {
                            this.state.set(State::Over);
                            return Poll::Ready(Ok(response.map(ResponseBody::other)));
                        }
                    }
                }
                Projected::Holding(hold) => {
                    let Some(open) = hold.as_mut() else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let settled = std::task::ready!(open.poll(cx));
                    let hold = hold.take().ok_or_else(polled_after_end)?;
                    return Poll::Ready(match settled {
                        Settled::Pass => Ok(hold.pass().map(ResponseBody::stream)),
                        Settled::Refused(event) => {
                            Ok(hold.refuse(event).map(ResponseBody::refused))
                        }
                        Settled::Failed(error) => {
                            hold.fail(&error);
                            Err(error)
                        }
                    });
                }
                Projected::Over => return Poll::Ready(Err(polled_after_end())),
            }
        }
    }
}

impl<F, B: Body> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("watched", &!matches!(self.state, State::Untouched(_)))
            .finish_non_exhaustive()
    }
}

fn untouched<B>(response: Response<B>) -> Response<ResponseBody<B>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    response.map(|body| ResponseBody::untouched(box_errors(body)))
}
