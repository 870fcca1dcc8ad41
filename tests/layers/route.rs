#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only functions marked as tests"
)]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use llmesh::{
    base::{BoxError, Error, Kind, SharedRng, error, ext::Record, ext::RouteMeta},
    route::{
        Outcome, RequestView, ResponseBody, RouteLayer, Router, Table, TableBuilder, params::*,
    },
};
use tower::{Layer, Service, ServiceExt, service_fn};

const CLUSTER: &str = "outbound|8080|v1|llm-service.ai-services.svc.cluster.local";

fn forward() -> Forward {
    Forward::new(vec![Destination::new(CLUSTER, 100)])
}

fn to(action: Forward) -> Action {
    Action::Forward(Box::new(action))
}

fn prefix(path: &str) -> Match {
    let mut m = Match::default();
    m.uri = Some(StringMatch::Prefix(path.into()));
    m
}

fn with_header(mut m: Match, name: &'static str, value: &str) -> Match {
    let name = FieldName::Header(HeaderName::from_static(name));
    m.headers.push((name, StringMatch::Exact(value.into())));
    m
}

/// The routes of `reference-mesh/04` and, in front, the canary header rule of `07`.
fn reference() -> Table {
    let stream = with_header(prefix("/api/llm/stream"), "accept", "text/event-stream");
    let canary = with_header(Match::default(), "x-canary-user", "true");
    let mut v2 = forward();
    v2.destinations = vec![Destination::new(CLUSTER.replace("v1", "v2"), 1)];
    Table::builder()
        .virtual_host(
            "llm-service.ai-services.svc.cluster.local:8080",
            [
                "llm-service",
                "llm-service.ai-services",
                "llm-service.ai-services.svc.cluster.local",
            ],
            [8080],
            [
                Route::new("internal-testing", to(v2)).with_match(canary),
                Route::new("streaming-route", to(forward())).with_match(stream),
                Route::new("chat-route", to(forward())).with_match(prefix("/api/llm/chat")),
                Route::new("default-route", to(forward())),
            ],
        )
        .build()
}

fn post(path: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::post(path)
        .header("host", "llm-service")
        .body(())
        .unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, HeaderValue::from_static(value));
    }
    request
}

fn route_of<'t>(table: &'t Table, request: &Request<()>) -> &'t str {
    match table.find(&RequestView::new(request)) {
        Outcome::Route(found) => &found.route.name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_reference_virtual_service() {
    let table = reference();
    let stream = ("accept", "text/event-stream");
    for (path, headers, expected) in [
        ("/api/llm/stream", &[stream][..], "streaming-route"),
        ("/api/llm/stream/x?y", &[stream], "streaming-route"),
        ("/api/llm/stream", &[], "default-route"),
        (
            "/api/llm/stream",
            &[("accept", "text/event-stream;q=1")],
            "default-route",
        ),
        ("/api/llm/chat", &[], "chat-route"),
        ("/api/llm/chat", &[stream], "chat-route"),
        ("/api/llm/chatter", &[], "chat-route"),
        ("/api/llm/cha", &[], "default-route"),
        ("/", &[], "default-route"),
        (
            "/api/llm/chat",
            &[("x-canary-user", "true")],
            "internal-testing",
        ),
        ("/api/llm/chat", &[("x-canary-user", "True")], "chat-route"),
    ] {
        assert_eq!(
            route_of(&table, &post(path, headers)),
            expected,
            "{path} {headers:?}"
        );
    }
}

/// An inner service that keeps the requests it gets and answers 200 with a header.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Vec<Request<()>>>>);

impl Service<Request<()>> for Upstream {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.0.lock().unwrap().push(request);
        let mut response = Response::new(Empty::new());
        let value = HeaderValue::from_static("upstream");
        response.headers_mut().insert("x-from", value);
        std::future::ready(Ok(response))
    }
}

impl Upstream {
    fn only(&self) -> Request<()> {
        let mut seen = self.0.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.pop().unwrap()
    }
}

async fn send(
    table: Table,
    request: Request<()>,
) -> (Upstream, Result<Response<ResponseBody<Empty<Bytes>>>, Kind>) {
    let upstream = Upstream::default();
    let result = RouteLayer::new(Arc::new(table))
        .with_rng(SharedRng::seeded(1))
        .layer(upstream.clone())
        .oneshot(request)
        .await
        .map_err(|e| error::find(&*e).map(Error::kind).unwrap());
    (upstream, result)
}

#[tokio::test]
async fn what_the_router_decides_goes_along() {
    let record = Record::default();
    let mut request = post("/api/llm/chat", &[]);
    request.extensions_mut().insert(record.clone());
    let (upstream, result) = send(reference(), request).await;
    assert_eq!(result.unwrap().status(), StatusCode::OK);
    let expected = RouteMeta {
        id: 2,
        route: "chat-route".into(),
        virtual_host: "llm-service.ai-services.svc.cluster.local:8080".into(),
        cluster: CLUSTER.into(),
    };
    assert_eq!(upstream.only().extensions().get(), Some(&expected));
    assert_eq!(record.snapshot().route, Some(expected));
    assert_eq!(record.snapshot().details, None);
}

#[tokio::test]
async fn hosts_and_routes_that_are_not_there_are_errors() {
    let only_post = |name: &str| {
        let mut m = Match::default();
        m.method = Some(StringMatch::Exact("POST".into()));
        Route::new(name, to(forward())).with_match(m)
    };
    let table = || {
        Table::builder()
            .virtual_host("a", ["a"], [80], [only_post("r")])
            .virtual_host("empty", ["empty"], [80], [])
            .build()
    };
    for (host, kind) in [
        ("a", Kind::NoRoute),
        ("empty", Kind::NoRoute),
        ("b", Kind::UnknownHost),
        ("a..", Kind::UnknownHost),
        (".", Kind::UnknownHost),
        ("", Kind::BadRequest),
    ] {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        let (upstream, result) = send(table(), request).await;
        assert_eq!(result.err(), Some(kind), "{host:?}");
        assert!(upstream.0.lock().unwrap().is_empty());
    }
    let (_, result) = send(table(), Request::get("/").body(()).unwrap()).await;
    assert_eq!(result.err(), Some(Kind::BadRequest));
}

#[tokio::test]
async fn a_route_without_weight_has_no_cluster() {
    let nothing = Forward::new(vec![Destination::new("a", 0), Destination::new("b", 0)]);
    let table = Table::builder()
        .virtual_host("v", ["llm-service"], [80], [Route::new("r", to(nothing))])
        .build();
    let (_, result) = send(table, post("/", &[])).await;
    assert_eq!(result.err(), Some(Kind::NoCluster));
}

#[tokio::test]
async fn rewrites_and_header_operations_reach_both_sides() {
    let pair = |name: &'static str, value: &'static str| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value).into(),
        )
    };
    let mut action = forward();
    let mut rewrite = Rewrite::default();
    rewrite.uri = Some("/v1".into());
    rewrite.authority = Some("llm.example".into());
    action.rewrite = Some(rewrite);
    action.headers.request_add = vec![pair("x-tier", "gold")];
    action.headers.response_remove = vec![HeaderName::from_static("x-from")];
    action.destinations[0].headers.response_set = vec![pair("x-subset", "v1")];
    let route = Route::new("r", to(action)).with_match(prefix("/api"));
    let table = Table::builder()
        .virtual_host("v", ["llm-service"], [80], [route])
        .build();
    let (upstream, result) = send(table, post("/api/chat?q=1", &[])).await;

    let sent = upstream.only();
    assert_eq!(sent.uri(), "/v1/chat?q=1");
    for (name, value) in [
        ("host", "llm.example"),
        ("x-envoy-original-host", "llm-service"),
        ("x-envoy-original-path", "/api/chat?q=1"),
        ("x-tier", "gold"),
    ] {
        assert_eq!(sent.headers()[name], value, "{name}");
    }
    let response = result.unwrap();
    assert_eq!(response.headers()["x-subset"], "v1");
    assert!(!response.headers().contains_key("x-from"));
}

#[tokio::test]
async fn direct_responses_and_redirects_never_reach_the_upstream() {
    let record = Record::default();
    let direct = Action::Direct {
        status: StatusCode::SERVICE_UNAVAILABLE,
        body: Bytes::from_static(b"closed"),
        headers: HeaderOps::default(),
    };
    let mut redirect = Redirect::new(StatusCode::FOUND);
    redirect.scheme = Some("https".into());
    redirect.uri = Some("/new".into());
    let table = || {
        Table::builder()
            .virtual_host(
                "v",
                ["llm-service"],
                [80],
                [
                    Route::new("closed", direct.clone()).with_match(prefix("/closed")),
                    Route::new("moved", Action::Redirect(redirect.clone())),
                ],
            )
            .build()
    };
    let mut request = post("/closed", &[]);
    request.extensions_mut().insert(record.clone());
    let (upstream, result) = send(table(), request).await;
    let response = result.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["content-type"], "text/plain");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "closed");
    assert!(upstream.0.lock().unwrap().is_empty());
    let notes = record.snapshot();
    assert_eq!(notes.details.as_deref(), Some("direct_response"));
    assert_eq!(&*notes.route.unwrap().route, "closed");

    let (upstream, result) = send(table(), post("/old?q=1", &[])).await;
    let response = result.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(
        response.headers()["location"],
        "https://llm-service/new?q=1"
    );
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    assert!(upstream.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_split_is_drawn_per_request_and_repeats_with_its_seed() {
    let clusters = |seed| async move {
        let split = Forward::new(vec![Destination::new("v1", 95), Destination::new("v2", 5)]);
        let table = Table::builder()
            .virtual_host("v", ["llm-service"], [80], [Route::new("r", to(split))])
            .build();
        let inner = service_fn(|request: Request<()>| async move {
            let meta = request.extensions().get::<RouteMeta>().unwrap();
            let mut response = Response::new(Empty::<Bytes>::new());
            response.extensions_mut().insert(meta.clone());
            Ok::<_, Infallible>(response)
        });
        let mut service = RouteLayer::new(Arc::new(table))
            .with_rng(SharedRng::seeded(seed))
            .layer(inner);
        let mut drawn = Vec::new();
        for _ in 0..20_000 {
            let call = service.ready().await.unwrap().call(post("/", &[]));
            let response = call.await.unwrap();
            let meta = response.extensions().get::<RouteMeta>().unwrap();
            drawn.push(meta.cluster.clone());
        }
        drawn
    };
    let first = clusters(7).await;
    // 1,000 expected; the standard deviation is sqrt(20,000 · 0.95 · 0.05) ≈ 30.8.
    let second_share = first.iter().filter(|cluster| ***cluster == *"v2").count();
    assert!((908..=1092).contains(&second_share), "{second_share}");
    assert_eq!(first, clusters(7).await);
}

#[tokio::test]
async fn each_destination_has_a_service_of_its_own() {
    let split = Forward::new(vec![Destination::new("v1", 1), Destination::new("v2", 1)]);
    let only = Forward::new(vec![Destination::new("v3", 0)]);
    let nowhere = Forward::new(vec![Destination::new("v4", 0), Destination::new("v5", 0)]);
    let direct = Action::Direct {
        status: StatusCode::OK,
        body: Bytes::from_static(b"here"),
        headers: HeaderOps::default(),
    };
    let routes = [
        Route::new("direct", direct).with_match(prefix("/direct")),
        Route::new("split", to(split)).with_match(prefix("/split")),
        Route::new("nowhere", to(nowhere)).with_match(prefix("/nowhere")),
        Route::new("only", to(only)),
    ];
    let table = TableBuilder::new().virtual_host_to("v", ["v"], [80], routes, |route, _, to| {
        let name = format!("{route} {}", to.cluster);
        service_fn(move |request: Request<()>| {
            let meta = request.extensions().get::<RouteMeta>().unwrap();
            assert!(name.ends_with(&*meta.cluster), "{name}: {meta:?}");
            let response = Response::new(Full::<Bytes>::from(name.clone()));
            std::future::ready(Ok::<_, Infallible>(response))
        })
    });
    let router = Router::new(Arc::new(table.build()), SharedRng::seeded(3));
    let ask = |target: &'static str| {
        let request = Request::get(target).header("host", "v").body(()).unwrap();
        let answer = router.clone().oneshot(request);
        async move {
            let body = answer.await?.into_body().collect().await.unwrap();
            Ok::<_, BoxError>(String::from_utf8(body.to_bytes().to_vec()).unwrap())
        }
    };
    assert_eq!(ask("/").await.unwrap(), "3 v3");
    assert_eq!(ask("/direct").await.unwrap(), "here");
    let error = ask("/nowhere").await.unwrap_err();
    assert_eq!(error::find(&*error).map(Error::kind), Some(Kind::NoCluster));
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        seen.insert(ask("/split").await.unwrap());
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["1 v1", "1 v2"]);
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_through() {
    let inner = service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, _>(Error::new(Kind::NoEndpoints))
    });
    let result = RouteLayer::new(Arc::new(reference()))
        .layer(inner)
        .oneshot(post("/", &[]))
        .await;
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(
        error::find(&*error).map(Error::kind),
        Some(Kind::NoEndpoints)
    );
}
