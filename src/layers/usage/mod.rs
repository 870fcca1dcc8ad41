//! Asks for the usage of a stream where its caller did not, and takes that back where it is refused.
//!
//! An OpenAI chat stream tells its token counts only if it is asked to (`stream_options.include_usage`). This layer asks, for
//! each attempt at a target, at the last moment: what stands above, retries, fallbacks, other models, sees the caller's own
//! request. [Its context](crate::body::Context::usage_injected) says so to whoever takes the counts out of the answer again; since that
//! changes bytes, the answer is asked for without a coding (`accept-encoding: identity`).
//!
//! A target that refuses what was added ([`Addition::Usage`](crate::llm::refused::Addition::Usage): a 400 or 422 that names it) is asked
//! once more, with the caller's own request, and not asked for usage again for as long as that is
//! [remembered](crate::llm::refused::Refusals). It is one attempt, which takes two sends once: no retry, so no budget pays for it, and no failure of
//! anybody. The refusal is looked for in the first 64 KiB of the error, and for no longer than 2 s after its head.
//!
//! Nothing is added to a request whose body is signed or summed up in a header, since that would make it another's; nor to one
//! that was not read ([`Call`](crate::llm::request::Call)).
//!
//! # Cancel safety
//! Dropping the future drops the attempt under way.
//!
//! # Examples
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use llmesh::{
//!     base::BoxError,
//!     body::Body,
//!     call::{CallLayer, Params},
//!     llm::refused::Refusals,
//!     usage::UsageLayer,
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let inner = service_fn(|request: Request<Body>| async move {
//!     let body = request.into_body().collect().await?.to_bytes();
//!     assert!(body.starts_with(br#"{"stream_options":{"include_usage":true},"#));
//!     Ok::<_, BoxError>(Response::new(Body::empty()))
//! });
//! let asks = UsageLayer::new("outbound|443||llm.example", Refusals::default()).layer(inner);
//! let body = Bytes::from_static(br#"{"model": "m", "stream": true, "messages": []}"#);
//! let request = Request::post("/v1/chat/completions").body(Body::from(body))?;
//! CallLayer::new(Params::default()).layer(asks).oneshot(request).await?;
//! # Ok(())
//! # }
//! ```

mod service;

pub use self::service::{ResponseFuture, Usage, UsageLayer};
