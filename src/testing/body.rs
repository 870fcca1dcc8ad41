//! Scripted bodies: frames, waits, failures, on tokio's clock.
//!
//! ```
//! # use std::time::Duration;
//! use llmesh::testing::body::Script;
//!
//! let (body, watch) = Script::new()
//!     .data("data: hello\n\n")
//!     .wait(Duration::from_secs(2))
//!     .data("data: [DONE]\n\n")
//!     .trailer("x-end", "yes")
//!     .watched();
//! assert!(!watch.dropped());
//! drop(body);
//! assert!(watch.dropped() && !watch.finished());
//! ```

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::base::{
    BoxError,
    time::{Sleep, sleep},
};

/// What a [`ScriptedBody`] does, in order. At the end of the script the body is over.
#[derive(Debug, Default)]
#[must_use = "a script does nothing until it is built"]
pub struct Script {
    steps: VecDeque<Step>,
    sized: bool,
}

#[derive(Debug)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Wait(Duration),
    Yield,
    Fail(BoxError),
    Hang,
}

/// A body that follows a [`Script`].
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    sized: bool,
    timer: Option<Pin<Box<Sleep>>>,
    seen: Arc<Seen>,
}

/// What became of a [`ScriptedBody`].
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    frames: AtomicUsize,
    finished: AtomicBool,
    dropped: AtomicBool,
}

// === impl Script ===

impl Script {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each chunk as a data frame.
    pub fn chunks<T: Into<Bytes>>(chunks: impl IntoIterator<Item = T>) -> Self {
        chunks.into_iter().fold(Self::new(), Self::data)
    }

    /// A data frame.
    pub fn data(self, chunk: impl Into<Bytes>) -> Self {
        self.step(Step::Data(chunk.into()))
    }

    /// A wait before what follows, counted from the first poll that meets it.
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// `Pending` once, with an immediate wake-up.
    pub fn yield_once(self) -> Self {
        self.step(Step::Yield)
    }

    /// A failure. What follows it is still yielded to a reader that goes on.
    pub fn fail(self, error: impl Into<BoxError>) -> Self {
        self.step(Step::Fail(error.into()))
    }

    /// `Pending` for ever, with no wake-up.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Trailers with one field.
    ///
    /// # Panics
    /// If the name or value is not a valid header.
    pub fn trailer(self, name: &'static str, value: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self.step(Step::Trailers(trailers))
    }

    /// Tells the exact size of the data in the size hint, and the end of the stream as soon as it is known. Without
    /// it the body tells neither, as a stream of unknown length does.
    pub fn sized(mut self) -> Self {
        self.sized = true;
        self
    }

    /// The body.
    #[must_use]
    pub fn body(self) -> ScriptedBody {
        self.watched().0
    }

    /// The body, and a view of what becomes of it.
    #[must_use]
    pub fn watched(self) -> (ScriptedBody, Watch) {
        let watch = Watch::default();
        let body = ScriptedBody {
            steps: self.steps,
            sized: self.sized,
            timer: None,
            seen: Arc::clone(&watch.0),
        };
        (body, watch)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

// === impl ScriptedBody ===

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                std::task::ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            let frame = match self.steps.pop_front() {
                None => {
                    self.seen.finished.store(true, Ordering::SeqCst);
                    return Poll::Ready(None);
                }
                Some(Step::Wait(time)) => {
                    self.timer = Some(Box::pin(sleep(time)));
                    continue;
                }
                Some(Step::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Fail(error)) => return Poll::Ready(Some(Err(error))),
                Some(Step::Data(chunk)) => Frame::data(chunk),
                Some(Step::Trailers(trailers)) => Frame::trailers(trailers),
            };
            self.seen.frames.fetch_add(1, Ordering::SeqCst);
            if self.is_end_stream() {
                self.seen.finished.store(true, Ordering::SeqCst);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.steps.is_empty() && self.timer.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::new();
        }
        SizeHint::with_exact(
            self.steps
                .iter()
                .map(|step| match step {
                    Step::Data(chunk) => chunk.len() as u64,
                    _ => 0,
                })
                .sum(),
        )
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        self.seen.dropped.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for ScriptedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedBody")
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}

// === impl Watch ===

impl Watch {
    /// Frames yielded, trailers included.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.0.frames.load(Ordering::SeqCst)
    }

    /// Whether the end was reached.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.0.finished.load(Ordering::SeqCst)
    }

    /// Whether the body was dropped, before or after its end.
    #[must_use]
    pub fn dropped(&self) -> bool {
        self.0.dropped.load(Ordering::SeqCst)
    }
}

/// What a body gave: its data in one piece, its trailers and its error.
#[derive(Debug)]
pub struct Drained {
    /// All data.
    pub data: Vec<u8>,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
    /// The first error; reading stops at it.
    pub error: Option<BoxError>,
}

/// Reads a body to its end or first error.
pub async fn drain<B>(body: B) -> Drained
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    use http_body_util::BodyExt;

    let mut body = std::pin::pin!(body);
    let mut drained = Drained {
        data: Vec::new(),
        trailers: None,
        error: None,
    };
    while let Some(frame) = body.as_mut().frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(chunk)) => drained.data.extend_from_slice(&chunk),
            Ok(Err(other)) => drained.trailers = other.into_trailers().ok(),
            Err(error) => {
                drained.error = Some(error.into());
                break;
            }
        }
    }
    drained
}
