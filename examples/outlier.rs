//! Outlier detection over a set of clients that is kept by hand: one bad client is left out for a while.
//!
//! `cargo run --example outlier`

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use llmesh::base::BoxError;
use llmesh::outlier::{Group, Params};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let group = Group::new(
        Params::default()
            .with_consecutive_5xx(3)
            .with_interval(Duration::from_millis(100))
            .with_base_ejection(Duration::from_millis(300))
            .with_max_ejection_percent(50),
    );
    let clients = ["good", "bad", "fine"].map(|name| {
        let client = service_fn(move |_: Request<Empty<Bytes>>| async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            if name == "bad" {
                *response.status_mut() = StatusCode::BAD_GATEWAY;
            }
            Ok::<_, Infallible>(response)
        });
        (name, group.layer(name).layer(client))
    });
    for round in 1..=10 {
        for (name, client) in &clients {
            let answer = client.clone().oneshot(Request::new(Empty::new())).await;
            let answer = answer.map_or_else(|e| e.to_string(), |r| r.status().to_string());
            println!("round {round}, {name}: {answer}");
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    println!("ejections: {}", group.stats().ejections_total.get());
    Ok(())
}
