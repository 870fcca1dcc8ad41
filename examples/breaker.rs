//! A circuit that opens on failures, probes, and closes again. A 429 does not count: it is not the upstream's fault.
//!
//! `cargo run --example breaker`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    base::{BoxError, error, time::sleep},
    breaker::{BreakerLayer, Params},
};
use tower::{Layer, ServiceExt, service_fn};

// The clock jumps over sleeps.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let params = Params::default()
        .with_consecutive(Some(3))
        .with_open_for(Duration::from_secs(2), Duration::from_secs(60));
    let layer = BreakerLayer::new(params);
    let circuit = layer.handle().clone();
    let status = Arc::new(AtomicU16::new(200));
    let says = Arc::clone(&status);
    let client = layer.layer(service_fn(move |_: Request<()>| {
        let status = StatusCode::from_u16(says.load(Ordering::Relaxed));
        async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = status?;
            Ok::<_, BoxError>(response)
        }
    }));

    for (title, says, calls, pause) in [
        ("the upstream asks to slow down", 429, 4, 0),
        ("the upstream fails", 503, 5, 0),
        ("2 s later, it still fails", 503, 2, 2),
        ("2 s later, too early for a second probe", 200, 1, 2),
        ("4 s after the probe, it is well again", 200, 2, 2),
    ] {
        sleep(Duration::from_secs(pause)).await;
        status.store(says, Ordering::Relaxed);
        println!("{title}");
        for _ in 0..calls {
            let answer = match client.clone().oneshot(Request::new(())).await {
                // The outcome is known when the body is over.
                Ok(response) => {
                    let status = response.status();
                    response.into_body().collect().await?;
                    status.to_string()
                }
                Err(e) => error::find(&*e).map_or_else(
                    || e.to_string(),
                    |e| {
                        let wait = e.retry_after().unwrap_or_default();
                        format!("{}, retry after {wait:?}", e.kind().as_str())
                    },
                ),
            };
            println!("  {answer:<50} circuit {}", circuit.state().as_str());
        }
    }
    println!(
        "opened {} times, refused {} calls",
        circuit.opened(),
        circuit.rejected()
    );
    Ok(())
}
