//! The response future: shows the head to the classifier, and holds back the body's beginning where that may help.

use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::{HeaderMap, Response, StatusCode, response};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use pin_project::pin_project;

use crate::{
    base::{BoxError, time},
    body::peek::{Held, Peek, Stopped},
    classify::{
        Class, Classified, Classifier, Verdict,
        answer::polled_after_end,
        body::{Erased, Known, ResponseBody, finish},
    },
};

/// Which responses are held back while their class is open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hold {
    Nothing,
    Errors,
    All,
}

/// The future of a [`Classify`](super::Classify) service.
#[pin_project]
pub struct ResponseFuture<F, B: Body, C> {
    #[pin]
    state: State<F, B, C>,
}

#[pin_project(project = StateProj)]
enum State<F, B: Body, C> {
    Called {
        #[pin]
        inner: F,
        classifier: Option<C>,
        hold: Hold,
    },
    Holding(Option<Box<Holding<B, C>>>),
}

struct Holding<B: Body, C> {
    parts: response::Parts,
    peek: Peek<Erased<B>>,
    classifier: C,
    trailers: Option<HeaderMap>,
    /// Runs from the first byte of meaning.
    patience: Option<Pin<Box<time::Sleep>>>,
}

/// How long a body is held back: an error whose body stalls is then judged by its head, as a proxy without an interest in
/// bodies does at once. Of an answer the time before its first byte of meaning does not count: blanks keep a connection
/// alive while a model works, and what they end with is not known yet. Deadlines bound it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

// === impl ResponseFuture ===

impl<F, B: Body, C> ResponseFuture<F, B, C> {
    pub(super) fn new(inner: F, classifier: C, hold: Hold) -> Self {
        Self {
            state: State::Called {
                inner,
                classifier: Some(classifier),
                hold,
            },
        }
    }
}

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
                    hold,
                } => {
                    let result = ready!(inner.poll(cx)).map_err(Into::into);
                    let (Some(mut classifier), hold) = (classifier.take(), *hold) else {
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
                    match begin(classifier, response, hold) {
                        Begun::Ready(response) => return Poll::Ready(Ok(response)),
                        Begun::Held(hold) => this.state.set(State::Holding(Some(hold))),
                    }
                }
                StateProj::Holding(hold) => {
                    let Some(open) = hold.as_mut() else {
                        return Poll::Ready(Err(polled_after_end()));
                    };
                    let (head, last) = ready!(open.poll(cx));
                    return Poll::Ready(hold.take().map_or_else(
                        || Err(polled_after_end()),
                        |hold| Ok(hold.finish(head, last)),
                    ));
                }
            }
        }
    }
}

impl<F, B: Body, C> fmt::Debug for ResponseFuture<F, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl Hold ===

impl Hold {
    fn holds(self, status: StatusCode) -> bool {
        match self {
            Self::Nothing => false,
            Self::Errors => status.is_client_error() || status.is_server_error(),
            Self::All => true,
        }
    }
}

// === impl Holding ===

#[expect(clippy::large_enum_variant, reason = "taken apart where it is made")]
enum Begun<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    Ready(Response<ResponseBody<B, C>>),
    Held(Box<Holding<B, C>>),
}

/// Shows the head to the classifier; holds the body back if it must be seen and a retry may follow.
fn begin<B, C>(mut classifier: C, response: Response<B>, hold: Hold) -> Begun<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    let (parts, body) = response.into_parts();
    let verdict = classifier.head(&parts, time::wall_now());
    let body: Erased<B> = body.map_err(Into::into);
    let (head, last) = match verdict {
        // Decided below, or to be decided there at the end.
        _ if parts.extensions.get::<Classified>().is_some() => (None, None),
        Verdict::Done(class) => (Some(class), None),
        Verdict::Wait if body.is_end_stream() => {
            let class = classifier.end(None);
            (Some(class.clone()), Some(class))
        }
        Verdict::Wait if hold.holds(parts.status) => {
            return Begun::Held(Box::new(Holding {
                parts,
                peek: Peek::new(body).patient(),
                classifier,
                trailers: None,
                patience: None,
            }));
        }
        Verdict::Wait => (None, None),
    };
    let known = Known {
        head,
        last,
        seen: 0,
    };
    Begun::Ready(finish(parts, Held::untouched(body), classifier, known))
}

impl<B, C> Holding<B, C>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    C: Classifier,
{
    /// Takes frames until the class is decided, the body is over, or the cap or the end of patience is reached. The class at the time of handing
    /// on, and the final class if the body is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Option<Class>, Option<Class>)> {
        let Self {
            peek,
            classifier,
            trailers,
            patience,
            ..
        } = self;
        let polled = peek.poll_until(cx, |frame| {
            if let Some(chunk) = frame.data_ref() {
                if let Verdict::Done(class) = classifier.frame(chunk) {
                    return ControlFlow::Break(class);
                }
            } else {
                *trailers = frame.trailers_ref().cloned();
            }
            ControlFlow::Continue(())
        });
        let stopped = match polled {
            Poll::Ready(stopped) => stopped,
            Poll::Pending => {
                if classifier.says_nothing() {
                    *patience = None;
                    return Poll::Pending;
                }
                let patience = patience.get_or_insert_with(|| Box::pin(time::sleep(PATIENCE)));
                ready!(patience.as_mut().poll(cx));
                return Poll::Ready((None, None));
            }
        };
        let class = match (stopped, peek.error()) {
            (Stopped::Decided(class), _) => return Poll::Ready((Some(class), None)),
            (Stopped::Full, _) => return Poll::Ready((None, None)),
            (Stopped::Failed, Some(error)) => classifier.error(error),
            (Stopped::Ended | Stopped::Failed, _) => classifier.end(trailers.as_ref()),
        };
        Poll::Ready((Some(class.clone()), Some(class)))
    }

    fn finish(self, head: Option<Class>, last: Option<Class>) -> Response<ResponseBody<B, C>> {
        let seen = self.peek.data().count();
        let body = self.peek.into_body();
        let known = Known { head, last, seen };
        finish(self.parts, body, self.classifier, known)
    }
}
