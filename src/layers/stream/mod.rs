//! The truth about LLM streams: when one commits, whether it is alive, whether it is whole.
//!
//! A 200 with `content-type: text/event-stream` is a promise, and providers break it in every place: with an error as the
//! first event, with pings and no content, with a stall, a cut, an end without an end. This layer stands at the endpoint,
//! below [`Classify`](crate::classify::Classify) and above the connection, and looks on while a stream passes.
//!
//! **What is a stream** its first bytes tell, not its label: events under `application/json` are followed, and a page or an error
//! in JSON under `text/event-stream` is handed on, for the classifier above. Until they come, white space and comments are waited
//! through. What stays open for a second after its first byte of meaning passes as what its label says, or as no stream.
//!
//! **Before the first content** the head and all that is no content are held back, up to
//! [`hold_cap`](Params::hold_cap) bytes (and [`MAX_FRAMES`](crate::body::peek::MAX_FRAMES) frames): nobody has seen
//! anything, so the attempt can be repeated. An error event becomes what it should have been, a response with the status of
//! its meaning; an end without a finish marker and a lost connection become errors. What is not understood is not held. At the cap the stream is
//! handed on without content: it is committed by force, and what goes wrong from then on can only be shown. What stands in the
//! same piece as the first content counts as before it.
//!
//! **After it** every frame passes as it comes, unchanged, none merged, none late. What goes wrong ends the body
//! with an error in place of the end, so that half an answer never looks whole: a provider's error event passes first, and the
//! error says so ([`Failure::told`](crate::classify::Failure)). `[DONE]` where the answer owes its finish is kept back, since
//! clients stop reading there: it is shown if the finish comes after all, and never before an error. Once the finish
//! marker was seen the answer is whole, however the connection ends, unless an error event follows. An event that cannot be
//! read passes, and is a failure only if no finish marker follows.
//!
//! **A stream of nobody's**, in which nothing was understood, passes untouched and ends as it ends: its class says that only its
//! status was looked at.
//!
//! **The class** of the attempt ([`Classified`](crate::classify::Classified)) is open until the stream ends, is cut or is dropped: 200 headers are
//! no success. Dropped before its finish marker it is `Cancelled`, nobody's fault; after it, what the marker says.
//!
//! **The clocks** ([`Clocks`]): the head and the first content are waited for from the send, that is, from when the attempt
//! has a connection and its caller owes nothing ([`TryClock`](crate::base::ext::TryClock)); the wait between contents and the throughput floor
//! count time in which the reader waits. The first content of an answer that is not known to be a stream is not waited for
//! before its head. On the [last target](crate::body::Context::last_target), if there is a deadline, it is not waited for at all: the deadline
//! decides. Clocks that run out after the finish marker end the stream well.
//!
//! **The cost** goes into the request's [`Ledger`](crate::base::cost::Ledger), once for each attempt, when its stream is over: by the provider's
//! counts, or, if the stream ends before they came, by an estimate: contents counted, and the size of the prompt where the
//! provider said nothing of it. An attempt without a head, and one that was refused by an error event before any content and
//! with no word of usage, cost nothing as far as anybody knows, and leave nothing.
//!
//! **A compressed stream** is judged by what stands in it, as soon as that can be decoded, and passes as the upstream sent it,
//! frame by frame; the beginning that is held back is the compressed one. One that turns out not to be what its label says is
//! passed on, and nothing is said of its end.
//!
//! What is no generation call, an answer that is no stream, an error status and a stream in a coding that is not known pass
//! untouched; the class of the last says that only its status was looked at.
//!
//! Cancel safety: dropping the response future or the body drops the inner one and closes the account.
//!
//! # Examples
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use llmesh::{
//!     base::{BoxError, Kind, error},
//!     body::Body,
//!     stream::StreamLayer,
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // A provider that hangs up before it says anything.
//! let upstream = service_fn(|_: Request<Body>| async {
//!     let body = Body::from(": processing\n\n");
//!     let stream = Response::builder().header("content-type", "text/event-stream");
//!     Ok::<_, Infallible>(stream.body(body).expect("valid"))
//! });
//! let service = StreamLayer::default().layer(upstream);
//! let request = Request::post("/v1/chat/completions").body(Body::empty())?;
//! let failed = service.oneshot(request).await.unwrap_err();
//! let kind = error::find(&*failed).map(|e| e.kind());
//! assert_eq!(kind, Some(Kind::StreamTruncated));
//! # Ok(())
//! # }
//! ```

mod alarm;
mod body;
mod call;
pub mod clocks;
mod future;
mod hold;
mod layer;
mod open;
pub mod params;
mod premature;
mod refusal;
mod service;
pub mod strip;
mod watch;

pub use self::{
    body::ResponseBody,
    call::Policy,
    future::ResponseFuture,
    layer::StreamLayer,
    params::{Clocks, Params},
    service::Stream,
};
