//! Ten requests over three endpoints under each policy; then one endpoint fails and is ejected, and only its keys move.
//!
//! `cargo run --example balance`

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    balance::{
        BalanceLayer, Endpoint, EndpointSet, EwmaParams, HashKey, HashTable, Params, Policy,
    },
    base::{BoxError, SharedRng, ext::EndpointRef},
    outlier,
};
use tower::{Layer, ServiceExt, service_fn};

/// Where ten users' requests went. The endpoint on the port `down` answers with 503.
async fn users(set: &EndpointSet, down: u16) -> Result<String, BoxError> {
    let dial = |endpoint: &Arc<Endpoint>| {
        let port = endpoint.address().port(); // a real client connects to the address
        service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            if port == down {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, BoxError>(response)
        })
    };
    let client = BalanceLayer::new(set.clone())
        .with_rng(SharedRng::seeded(5))
        .layer(dial);
    let mut went = String::new();
    for user in 0..10 {
        let request = Request::get("/chat")
            .header("x-user", format!("user-{user}"))
            .body(())?;
        let response = client.clone().oneshot(request).await?;
        let port = response
            .extensions()
            .get()
            .map(|e: &EndpointRef| e.0.port());
        let failed = if response.status() == 200 { " " } else { "!" };
        went.push_str(&format!(" {}{failed}", port.unwrap_or_default() % 10));
        response.into_body().collect().await?;
    }
    Ok(went)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let endpoint = |n: u16, weight| (SocketAddr::from(([127, 0, 0, 1], 9000 + n)), weight);
    let by_user = Policy::ConsistentHash {
        key: HashKey::Header(HeaderName::from_static("x-user")),
        table: HashTable::default(),
    };
    let policies = [
        ("least request", Policy::LeastRequest),
        ("random", Policy::Random),
        ("round robin", Policy::RoundRobin),
        ("peak EWMA", Policy::PeakEwma(EwmaParams::default())),
        ("by user", by_user),
    ];
    println!("which of the endpoints 1, 2, 3 each of ten users gets; 1 has twice the weight");
    let outlier = outlier::Params::default()
        .with_consecutive_5xx(1)
        .with_max_ejection_percent(50);
    let set = EndpointSet::new("llm", Params::default(), Some(outlier.clone()));
    set.update_from([endpoint(1, 2), endpoint(2, 1), endpoint(3, 1)]);
    for (name, policy) in policies {
        set.set_params(Params::new(policy), Some(outlier.clone()));
        println!("{name:<22}{}", users(&set, 0).await?);
    }
    println!("{:<22}{}", "by user, 2 fails", users(&set, 9002).await?);
    println!(
        "{:<22}{}",
        "by user, 2 is ejected",
        users(&set, 9002).await?
    );
    Ok(())
}
