//! Callers with keys of their own: who may come in, and for which models.
//!
//! A gateway holds the keys of providers, so it must know who uses them. [`CallersLayer`] lets in who brings the key of one of
//! its callers, as `Authorization: Bearer`, `x-api-key`, `api-key`, `x-goog-api-key` or Google's `?key=`, whatever the path
//! and method: a list of models or files is no less the caller's than a call. Others get 401. Of keys only the SHA-256 is
//! held, and each is compared in full, so that the time which it takes says nothing of how near a guess came.
//!
//! What is left for others is the caller's name ([`Caller`](crate::base::ext::Caller)), for limits, metrics and the access log.
//! Names are the operator's, so their number is bounded. The key itself stays in the request for those below, limits by
//! credential among them, until [`OwnKeyed`](crate::fallback::OwnKeyed) takes it out.
//!
//! A request with keys of several callers is refused: whose limits would it count against? Beside a caller's key, one that is
//! nobody's does no harm.
//!
//! [`ModelsLayer`] refuses (403) what a caller may not use. It compares the name that the caller wrote, before any alias, and
//! belongs below [`CallLayer`](crate::call::CallLayer), which reads it. For a caller who may use certain models only, what
//! names a model must be readable: a `POST`, `PUT` or `PATCH` whose model cannot be told is refused, be it a file or a batch,
//! since it may stand for any.
//!
//! # Cancel safety
//! Nothing is held.
//!
//! # Examples
//! ```
//! use http::{Request, Response};
//! use llmesh::{
//!     base::{BoxError, ext::Caller},
//!     body::Body,
//!     callers::{self, CallersLayer},
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let web = callers::Caller::new("web").with_sha256(
//!     // printf %s team-web-key | sha256sum
//!     "02377c67d3a5e728300fd76990e0ecd71279702f9bd3c38773ce71d9a843e7d5".parse()?,
//! );
//! let layer = CallersLayer::new([web], |_| None);
//! let inner = service_fn(|request: Request<Body>| async move {
//!     assert!(request.extensions().get::<Caller>().is_some());
//!     Ok::<_, BoxError>(Response::new(Body::empty()))
//! });
//! let request = Request::get("/v1/models").header("x-api-key", "a guess").body(Body::empty())?;
//! assert!(layer.layer(inner).oneshot(request).await.is_err());
//! # Ok(())
//! # }
//! ```

mod models;
pub mod params;
mod service;

pub use self::{
    models::{Models, ModelsFuture, ModelsLayer},
    params::{Caller, CallerKey, Digest},
    service::{Callers, CallersLayer, ResponseFuture},
};
