//! A gate of one's own: refuses calls to a target after three failures in a row, until one that is under way succeeds. What a failure is, and
//! that a stream is judged at its end, comes with the class.
//!
//! `cargo run --example own_gate`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use llmesh::{
    base::BoxError,
    body::Body,
    classify::answer::{Ended, Guard, Guarded, OnEnd, ResponseBody},
};
use tower::{Service, ServiceExt, service_fn};

/// Failures in a row.
#[derive(Default)]
struct Row(AtomicU64);

impl OnEnd for Row {
    fn end(&self, _token: u64, ended: &Ended<'_>) {
        match ended.class {
            Some(class) if class.is_success() => self.0.store(0, Ordering::Relaxed),
            Some(class) if class.blames_target() => drop(self.0.fetch_add(1, Ordering::Relaxed)),
            // The caller's mistake, or the caller went away.
            _ => {}
        }
    }
}

#[derive(Clone)]
struct Gate<S>(S, Arc<Row>);

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.1.0.load(Ordering::Relaxed) >= 3 {
            return Guarded::refused("three failures in a row");
        }
        let guard = Guard::new(self.1.clone(), 0).with_reason_of(&request);
        Guarded::admitted(self.0.call(request), guard)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let upstream = service_fn(|_: Request<Body>| async {
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        Ok::<_, BoxError>(response.body(Body::from("no capacity"))?)
    });
    let gate = Gate(upstream, Arc::default());
    for call in 1..=4 {
        match gate.clone().oneshot(Request::new(Body::empty())).await {
            Ok(response) => {
                let status = response.status();
                let bytes = response.into_body().collect().await?.to_bytes();
                println!("call {call}: {status}, {} bytes", bytes.len());
            }
            Err(error) => println!("call {call}: {error}"),
        }
    }
    Ok(())
}
