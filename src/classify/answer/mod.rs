//! What of an attempt lasts to the end of its answer.
//!
//! A layer that lets a call in and waits for its end (a ceiling, a circuit) needs a response future, a response body and the rule by which
//! the end is judged. They are here once, for all of them and for yours: the layer takes what it counts, arms a [`Guard`] with it, and gets the end told
//! exactly once, with the class that the attempt came to. All such layers share one [`ResponseBody`]: the first of a stack erases the body of the leaf,
//! the others find it and add their guard in place, so that a further layer costs neither an allocation nor a wrapper.
//!
//! A foreign layer in between may wrap the body: then the next one of these erases what it finds, and both hear of the end, the inner one first.
//!
//! # Examples
//! A gate that counts what is in flight.
//! ```
//! use std::{
//!     sync::{Arc, atomic::{AtomicU64, Ordering}},
//!     task::{Context, Poll},
//! };
//!
//! use http::{Request, Response};
//! use llmesh::{
//!     base::BoxError,
//!     body::Body,
//!     classify::answer::{Ended, Guard, Guarded, OnEnd, ResponseBody},
//! };
//! use tower::{Service, ServiceExt, service_fn};
//!
//! #[derive(Default)]
//! struct InFlight(AtomicU64);
//!
//! impl OnEnd for InFlight {
//!     fn end(&self, _token: u64, _ended: &Ended<'_>) {
//!         self.0.fetch_sub(1, Ordering::Relaxed);
//!     }
//! }
//!
//! struct Counted<S>(S, Arc<InFlight>);
//!
//! impl<S> Service<Request<Body>> for Counted<S>
//! where
//!     S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
//! {
//!     type Response = Response<ResponseBody>;
//!     type Error = BoxError;
//!     type Future = Guarded<S::Future>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
//!         self.0.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, request: Request<Body>) -> Self::Future {
//!         self.1.0.fetch_add(1, Ordering::Relaxed);
//!         let guard = Guard::new(self.1.clone(), 0);
//!         Guarded::admitted(self.0.call(request), guard)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let leaf = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::from("hello"))) });
//! let in_flight = Arc::new(InFlight::default());
//! let response = Counted(leaf, in_flight.clone()).oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(in_flight.0.load(Ordering::Relaxed), 1);
//! drop(response);
//! assert_eq!(in_flight.0.load(Ordering::Relaxed), 0);
//! # Ok(())
//! # }
//! ```

mod body;
mod future;
mod guard;
mod tail;

pub(super) use self::body::watched;
pub(crate) use self::future::polled_after_end;
pub use self::{
    body::ResponseBody,
    future::Guarded,
    guard::{Ended, Guard, How, OnEnd},
};
