//! One layer over a hyper client, and then the whole stack, without any configuration.
//!
//! `cargo run --example hyper_client --features hyper,test-util`

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use llmesh::{
    base::{BoxError, Kind, error},
    body::Body,
    client::hyper::HyperClient,
    deadline::{self, DeadlineLayer},
    stack::{self, ClientParams},
    testing::upstream::{Answer, ErrorKind, Fault, Script, Upstream},
};
use tower::{Layer, ServiceBuilder, ServiceExt};

fn chat(upstream: &Upstream) -> Result<Request<Body>, http::Error> {
    Request::post(format!("http://{}/v1/chat/completions", upstream.addr()))
        .body(Body::from(r#"{"model": "m", "messages": []}"#))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let upstream = Upstream::start().await?;
    let timeout = deadline::Params::default().with_timeout(Duration::from_millis(200));

    // One layer.
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::new(timeout.clone()))
        .service(HyperClient::http());
    let response = client.clone().oneshot(chat(&upstream)?).await?;
    println!("in time: {}", response.status());
    response.into_body().collect().await?;

    upstream.set_script(Script::always(Answer::fault(Fault::Hang)));
    let outcome = client.oneshot(chat(&upstream)?).await;
    let error = outcome.err().ok_or("it should have timed out")?;
    println!("hung: {error}");
    let kind = error::find(&*error).map(llmesh::base::Error::kind);
    assert_eq!(kind, Some(Kind::DeadlineExceeded));

    // All of them: the overload is waited out, the empty account is not asked twice.
    let params =
        ClientParams::default().with_deadline(timeout.with_timeout(Duration::from_secs(3)));
    let layer = stack::client(params);
    let client = layer.layer(HyperClient::http());
    for (name, fault) in [
        ("overloaded", ErrorKind::Overloaded),
        ("empty account", ErrorKind::InsufficientQuota),
    ] {
        let before = upstream.requests();
        upstream.set_script(Script::sequence([Answer::error(fault), Answer::ok()]));
        let response = client.clone().oneshot(chat(&upstream)?).await?;
        let attempts = upstream.requests() - before;
        println!("{name}: {} after {attempts} attempts", response.status());
        assert_eq!(attempts, if fault == ErrorKind::Overloaded { 2 } else { 1 });
        response.into_body().collect().await?;
    }
    Ok(())
}
