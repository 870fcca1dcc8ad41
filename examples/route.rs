//! A virtual host with a header rule, a prefix rule and a 95/5 split, over an inner service that says where it was sent.
//!
//! `cargo run --example route`

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use llmesh::{
    base::{BoxError, Error, Kind, SharedRng, error, ext::RouteMeta},
    route::{RouteLayer, Table, params::*},
};
use tower::{Layer, Service, ServiceExt, service_fn};

fn to(destinations: Vec<Destination>) -> Action {
    Action::Forward(Box::new(Forward::new(destinations)))
}

fn table() -> Table {
    let mut canary = Match::default();
    canary.headers.push((
        FieldName::Header(HeaderName::from_static("x-canary-user")),
        StringMatch::Exact("true".into()),
    ));
    let mut chat = Match::default();
    chat.uri = Some(StringMatch::Prefix("/api/llm/".into()));
    let split = vec![Destination::new("v1", 95), Destination::new("v2", 5)];
    Table::builder()
        .virtual_host(
            "llm:8080",
            ["llm"],
            [8080],
            [
                Route::new("canary", to(vec![Destination::new("v2", 1)])).with_match(canary),
                Route::new("chat", to(split)).with_match(chat),
            ],
        )
        .build()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let upstream = service_fn(|request: Request<()>| async move {
        let cluster = match request.extensions().get::<RouteMeta>() {
            Some(meta) => format!("{} -> {}", meta.route, meta.cluster),
            None => "not routed".to_owned(),
        };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(cluster))))
    });
    let mut service = RouteLayer::new(Arc::new(table()))
        .with_rng(SharedRng::seeded(3))
        .layer(upstream);
    for (host, path, canary) in [
        ("llm", "/api/llm/chat", "false"),
        ("llm", "/api/llm/chat", "true"),
        ("llm", "/other", "false"),
        ("elsewhere", "/", "false"),
    ] {
        let request = Request::get(path)
            .header("host", host)
            .header("x-canary-user", canary)
            .body(())?;
        match service.ready().await?.call(request).await {
            Ok(response) => {
                let body = response.into_body().collect().await?.to_bytes();
                println!("{host}{path}: {}", String::from_utf8_lossy(&body));
            }
            Err(e) => {
                let kind = error::find(&*e).map(Error::kind);
                println!("{host}{path}: {}", kind.map_or("unknown", Kind::as_str));
            }
        }
    }
    Ok(())
}
