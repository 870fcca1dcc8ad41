//! Layers broken on purpose: a check that never fails checks nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Ceiling},
    body::{Body, Guarded},
    testing::probe::ServiceProbe,
};
use tower::Service;

use crate::matrix::{Breach, Subject, breaches};

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    CallsFreshClone,
    ReadyTooSoon,
    ReadyWithoutWaker,
    ReadyThoughFailed,
    WaitsForTheBody,
    ReleasesAtHeaders,
    SpawnsTheCall,
    SpawnsTheBody,
    LeaksThePermit,
    DropsTrailers,
    ReplacesErrors,
    EndsBrokenBodies,
}

#[derive(Clone)]
struct Broken {
    inner: ServiceProbe,
    fault: Fault,
    ceiling: Ceiling,
}

impl Service<Request<Body>> for Broken {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let ready = |inner: &mut ServiceProbe, cx: &mut Context<'_>| {
            Service::<Request<Body>>::poll_ready(inner, cx)
        };
        match self.fault {
            Fault::ReadyTooSoon => {
                let _ = ready(&mut self.inner, cx);
                Poll::Ready(Ok(()))
            }
            Fault::ReadyWithoutWaker => {
                ready(&mut self.inner, &mut Context::from_waker(Waker::noop()))
            }
            Fault::ReadyThoughFailed => ready(&mut self.inner, cx).map(|_| Ok(())),
            _ => ready(&mut self.inner, cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fault = self.fault;
        let permit = self.ceiling.try_acquire();
        let call = match fault {
            Fault::CallsFreshClone => self.inner.clone().call(request),
            _ => self.inner.call(request),
        };
        Box::pin(async move {
            let answer = match fault {
                Fault::SpawnsTheCall => tokio::spawn(call).await?,
                Fault::ReplacesErrors => call.await.map_err(|e| e.to_string().into()),
                _ => call.await,
            };
            let body = answer?.into_body();
            Ok(Response::new(match fault {
                Fault::ReleasesAtHeaders => Body::new(body),
                Fault::WaitsForTheBody => {
                    let whole = body.collect().await?.to_bytes();
                    Body::new(Guarded::new(Body::from(whole), permit))
                }
                Fault::LeaksThePermit => {
                    std::mem::forget(permit);
                    Body::new(body)
                }
                Fault::SpawnsTheBody => {
                    let mut body = Guarded::new(body, permit);
                    let first = body.frame().await;
                    tokio::spawn(async move { body.collect().await.map(drop) });
                    match first.and_then(Result::ok).and_then(|f| f.into_data().ok()) {
                        Some(chunk) => Body::from(chunk),
                        None => Body::empty(),
                    }
                }
                Fault::DropsTrailers | Fault::EndsBrokenBodies => {
                    Body::new(Guarded::new(Lossy(Body::new(body), fault), permit))
                }
                _ => Body::new(Guarded::new(body, permit)),
            }))
        })
    }
}

/// Loses trailers or errors.
struct Lossy(Body, Fault);

impl http_body::Body for Lossy {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        match (&polled, self.1) {
            (Poll::Ready(Some(Ok(frame))), Fault::DropsTrailers) if frame.is_trailers() => {
                Poll::Ready(None)
            }
            (Poll::Ready(Some(Err(_))), Fault::EndsBrokenBodies) => Poll::Ready(None),
            _ => polled,
        }
    }
}

async fn found(fault: Fault) -> Vec<Breach> {
    let ceiling = Ceiling::unlimited();
    let shared = ceiling.clone();
    let subject = Subject::new(move |inner| Broken {
        inner,
        fault,
        ceiling: shared.clone(),
    });
    breaches(subject.holds(move || ceiling.used())).await
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_found() {
    assert_eq!(found(Fault::None).await, []);
    for (fault, breach) in [
        (Fault::CallsFreshClone, Breach::Unready),
        (Fault::ReadyTooSoon, Breach::IgnoresPending),
        (Fault::ReadyWithoutWaker, Breach::LosesWakeup),
        (Fault::ReadyThoughFailed, Breach::HidesUnreadiness),
        (Fault::WaitsForTheBody, Breach::HoldsBack),
        (Fault::ReleasesAtHeaders, Breach::ReleasesEarly),
        (Fault::SpawnsTheCall, Breach::OutlivesFuture),
        (Fault::SpawnsTheBody, Breach::OutlivesBody),
        (Fault::LeaksThePermit, Breach::OutlivesBody),
        (Fault::LeaksThePermit, Breach::KeepsAtEnd),
        (Fault::DropsTrailers, Breach::ChangesBody),
        (Fault::DropsTrailers, Breach::LosesSize),
        (Fault::ReplacesErrors, Breach::LosesSource),
        (Fault::EndsBrokenBodies, Breach::HidesBodyError),
    ] {
        let found = found(fault).await;
        assert!(found.contains(&breach), "{fault:?}: {found:?}");
    }
}
