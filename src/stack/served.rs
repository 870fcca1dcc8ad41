//! Notes that an upstream answered, how long that took, and if its answer broke off.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use pin_project::pin_project;
use tower::{Layer, Service};

use crate::{
    base::{
        BoxError,
        ext::{AnsweredHere, Record},
        time::Instant,
    },
    body::{End, Observe, Observed},
    classify::transport::kind_of,
    respond,
};

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// Applies [`Served`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ServedLayer;

/// Adds `x-envoy-upstream-service-time` to responses: milliseconds from the first send to the response head, retries
/// and waits included. The request's [`Record`] gets the same, and Envoy's details `via_upstream`; where the
/// upstream breaks off in the middle of its answer, Envoy's flag and details for that.
#[derive(Clone, Debug)]
pub struct Served<S>(S);

/// Future of [`Served`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    begin: Instant,
    record: Option<Record>,
}

/// Watches the response body for the [`Record`].
#[derive(Debug)]
pub struct Cut {
    record: Option<Record>,
    /// Whether it is framed by HTTP/1.
    framed: bool,
}

impl<S> Layer<S> for ServedLayer {
    type Service = Served<S>;

    fn layer(&self, inner: S) -> Served<S> {
        Served(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Served<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes, Error = BoxError>,
{
    type Response = Response<Observed<R, Cut>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record = request.extensions().get().cloned();
        ResponseFuture {
            begin: Instant::now(),
            record,
            inner: self.0.call(request),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes, Error = BoxError>,
{
    type Output = Result<Response<Observed<R, Cut>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut outcome = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut outcome
            && response.extensions().get::<AnsweredHere>().is_none()
        {
            let took = this.begin.elapsed();
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            response
                .headers_mut()
                .insert(SERVICE_TIME, HeaderValue::from(millis));
            if let Some(record) = &*this.record {
                record.note(|n| {
                    n.upstream_time = Some(took);
                    n.details = Some("via_upstream".to_owned());
                });
            }
        }
        Poll::Ready(outcome.map(|response| {
            let cut = Cut {
                record: this.record.take(),
                framed: response.version() < Version::HTTP_2
                    && response.status() != StatusCode::SWITCHING_PROTOCOLS,
            };
            response.map(|body| Observed::new(body, cut))
        }))
    }
}

impl Observe<BoxError> for Cut {
    fn end(self, how: End<'_, BoxError>) {
        let (End::Failed(error), Some(record)) = (how, self.record) else {
            return;
        };
        if let Some((flag, details)) = respond::cut(kind_of(&**error), self.framed) {
            record.flag(flag);
            record.note(|n| n.details = Some(details));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use http_body_util::BodyExt;
    use tower::{ServiceExt, service_fn};

    use crate::{
        base::{Error, Kind, error::ResetReason, ext::Flag},
        body::{self, Timed},
        testing::body::Script,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_to_the_head_is_told_and_noted() {
        let slow = service_fn(|_: Request<()>| async {
            tokio::time::sleep(Duration::from_millis(7)).await;
            Ok::<_, Infallible>(Response::new(body::Body::empty()))
        });
        let record = Record::default();
        let mut request = Request::new(());
        request.extensions_mut().insert(record.clone());
        let response = ServedLayer.layer(slow).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[SERVICE_TIME], "7");
        let notes = record.snapshot();
        assert_eq!(notes.upstream_time, Some(Duration::from_millis(7)));
        assert_eq!(notes.details.as_deref(), Some("via_upstream"));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_noted_as_in_envoy() {
        let reset = |reason| Kind::Reset { reason, sent: true };
        let after = |reason| format!("upstream_reset_after_response_started{{{reason}}}");
        for (kind, version, flags, details) in [
            (
                reset(ResetReason::Terminated),
                Version::HTTP_11,
                "UPE",
                after("protocol_error"),
            ),
            (
                reset(ResetReason::Remote),
                Version::HTTP_2,
                Flag::UR.as_str(),
                after("remote_reset"),
            ),
            // Not the upstream's doing, or noted by whoever did it.
            (
                Kind::DeadlineExceeded,
                Version::HTTP_11,
                "-",
                "via_upstream".to_owned(),
            ),
        ] {
            let broken = service_fn(|_: Request<()>| async move {
                let body = Script::new().fail(Error::new(kind)).body();
                let mut response = Response::new(Timed::unlimited(body));
                *response.version_mut() = version;
                Ok::<_, Infallible>(response)
            });
            let record = Record::default();
            let mut request = Request::new(());
            request.extensions_mut().insert(record.clone());
            let response = ServedLayer.layer(broken).oneshot(request).await.unwrap();
            assert!(response.into_body().collect().await.is_err());
            let notes = record.snapshot();
            assert_eq!(
                (notes.flags().as_str(), notes.details),
                (flags, Some(details))
            );
        }
    }
}
