//! Retries that help, and the ones that are not made.
//!
//! `cargo run --example retry`

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Error, Kind, error::ConnectFailure, ext::Record, time::Instant},
    body::RequestBody,
    classify::{Class, Classified, Hint, Outcome, Signal},
    retry::{Params, RetryLayer, RetryOn, Stats, params::Budget},
};
use tower::{Layer, ServiceExt, service_fn};

/// What the upstream does with one attempt.
#[derive(Clone, Copy)]
enum Answer {
    Ok,
    Refused,
    Overloaded,
    /// "Slow down, come back in so many milliseconds."
    Pacing(u64),
    /// "Your account is empty": a 429 too.
    Quota,
}

fn answer(answer: Answer) -> Result<Response<Full<Bytes>>, BoxError> {
    let (status, outcome) = match answer {
        Answer::Ok => (200, Outcome::Success),
        Answer::Overloaded => (503, Outcome::Overloaded),
        Answer::Pacing(_) => (429, Outcome::RateLimited),
        Answer::Quota => (429, Outcome::QuotaExhausted),
        Answer::Refused => {
            return Err(Error::new(Kind::Connect(ConnectFailure::Refused)).into());
        }
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status)?;
    // Below a classifier layer this comes by itself.
    let mut class = Class::new(
        outcome,
        Signal::Response {
            status: response.status(),
            grpc_status: None,
            ratelimited: false,
        },
    );
    if let Answer::Pacing(ms) = answer {
        class.hint = Some(Hint {
            wait: Duration::from_millis(ms),
            source: "retry-after-ms",
        });
    }
    let classified = Classified::default();
    classified.set_head(class);
    response.extensions_mut().insert(classified);
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let policy = Params::default()
        .with_retries(3)
        .with_retry_on(RetryOn::envoy("5xx,connect-failure,429")?)
        .with_budget(Budget::standard());
    let stats = Arc::new(Stats::default());
    let layer = RetryLayer::new(policy).with_stats(Arc::clone(&stats));

    let stories: [(&str, &[Answer]); 4] = [
        (
            "refused, overloaded, then well",
            &[Answer::Refused, Answer::Overloaded, Answer::Ok],
        ),
        (
            "asked to come back in 120 ms",
            &[Answer::Pacing(120), Answer::Ok],
        ),
        ("the account is empty", &[Answer::Quota, Answer::Ok]),
        ("down for good", &[Answer::Overloaded; 9]),
    ];
    for (title, script) in stories {
        println!("{title}");
        let (script, next, begin) = (script.to_vec(), AtomicUsize::new(0), Instant::now());
        let script = Arc::new((script, next));
        let upstream = service_fn(move |request: Request<RequestBody>| {
            let script = Arc::clone(&script);
            async move {
                let number = request.headers()["x-envoy-attempt-count"].clone();
                let body = request.into_body().collect().await?.to_bytes();
                let ms = begin.elapsed().as_millis();
                println!(
                    "  {ms:>4} ms  attempt {number:?}, {} body bytes",
                    body.len()
                );
                let at = script.1.fetch_add(1, Ordering::Relaxed);
                answer(script.0.get(at).copied().unwrap_or(Answer::Ok))
            }
        });
        let mut request = Request::new(Full::new(Bytes::from_static(b"{\"model\":\"m\"}")));
        let record = Record::default();
        request.extensions_mut().insert(record.clone());
        let response = layer.layer(upstream).oneshot(request).await?;
        let notes = record.snapshot();
        println!(
            "  client: {} after {} attempts, flags {}",
            response.status(),
            notes.attempts,
            notes.flags()
        );
    }
    println!(
        "retries {}, of which waited as told {}; requests saved {}",
        stats.retries.get(),
        stats.hinted.get(),
        stats.retry_success.get()
    );
    Ok(())
}
