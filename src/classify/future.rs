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
use pin_project::pin_project;

use crate::{
    base::{BoxError, time},
    body::peek::{Peek, Stopped},
    classify::{
        Class, Classified, Classifier, Verdict,
        answer::{ResponseBody, polled_after_end},
        body::{Known, finish},
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
pub struct ResponseFuture<F, C> {
    #[pin]
    state: State<F, C>,
}

#[pin_project(project = StateProj)]
enum State<F, C> {
    Called {
        #[pin]
        inner: F,
        classifier: Option<C>,
        hold: Hold,
    },
    Holding(Option<Box<Holding<C>>>),
}

struct Holding<C> {
    parts: response::Parts,
    peek: Peek<ResponseBody>,
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

impl<F, C> ResponseFuture<F, C> {
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

impl<F, B, C, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    C: Classifier + Send + 'static,
{
    type Output = Result<Response<ResponseBody>, BoxError>;

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
                    match begin(classifier, response.map(ResponseBody::of), hold) {
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

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
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
enum Begun<C> {
    Ready(Response<ResponseBody>),
    Held(Box<Holding<C>>),
}

/// Shows the head to the classifier; holds the body back if it must be seen and a retry may follow.
fn begin<C: Classifier + Send + 'static>(
    mut classifier: C,
    response: Response<ResponseBody>,
    hold: Hold,
) -> Begun<C> {
    let (parts, body) = response.into_parts();
    let verdict = classifier.head(&parts, time::wall_now());
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
    Begun::Ready(finish(parts, body, classifier, known))
}

impl<C: Classifier + Send + 'static> Holding<C> {
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

    fn finish(self, head: Option<Class>, last: Option<Class>) -> Response<ResponseBody> {
        let seen = self.peek.data().count();
        let body = ResponseBody::of(self.peek.into_body());
        let known = Known { head, last, seen };
        finish(self.parts, body, self.classifier, known)
    }
}
