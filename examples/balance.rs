//! Three endpoints, one of them slow: two random choices give it little.
//!
//! `cargo run --example balance`

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use llmesh::{
    balance::{Balance, Endpoint, EndpointSet, Params},
    base::BoxError,
    outlier,
};
use tokio::task::JoinSet;
use tower::{ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let set = EndpointSet::new("llm", Params::default(), Some(outlier::Params::default()));
    set.update_from((9001..=9003).map(|port| (SocketAddr::from(([127, 0, 0, 1], port)), 1)));
    // In earnest this is a connection pool or a client bound to the address.
    let dial = |endpoint: &Arc<Endpoint>| {
        let slow = endpoint.address().port() == 9001;
        service_fn(move |_: Request<Empty<Bytes>>| async move {
            tokio::time::sleep(Duration::from_millis(if slow { 100 } else { 10 })).await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        })
    };
    let service = Balance::new(set.clone(), dial);
    let mut calls = JoinSet::new();
    for _ in 0..500 {
        calls.spawn(service.clone().oneshot(Request::new(Empty::new())));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    for endpoint in set.endpoints() {
        let stats = endpoint.stats();
        println!("{}::rq_total::{}", endpoint.address(), stats.rq_total.get());
    }
    Ok(())
}
