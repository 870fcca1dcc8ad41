//! Routes by model, aliases and lists of models, each layer alone.
#![cfg(feature = "llm")]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::BodyExt;
use llmesh::{
    base::{
        BoxError, Kind, SharedRng,
        error::find,
        ext::{MODEL_HEADER, Record, RouteMeta},
    },
    body::Body,
    call::{self, CallLayer},
    llm::{
        DialectMode,
        caller::Allowed,
        glob::Glob,
        request::{Aliases, Call},
    },
    models::{AliasLayer, List, ListLayer, ResponseBody},
    route::{
        ModelLayer, RouteLayer, Table, named_models,
        params::{Action, Destination, FieldName, Forward, Match, Route, StringMatch},
    },
    testing::body::Script,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const CHAT: &str = "/v1/chat/completions";

/// What stands below: answers with the request itself.
fn below()
-> impl Service<Request<Body>, Response = Response<(Parts, Bytes)>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(|request: Request<Body>| async move {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::new((head, bytes)))
    })
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("host", "llm")
        .body(body.into())
        .unwrap()
}

/// `big` by name, then the rest; on `llm` alone.
fn table() -> (Arc<Table>, Vec<Route>) {
    let to =
        |cluster: &str| Action::Forward(Box::new(Forward::new(vec![Destination::new(cluster, 1)])));
    let mut condition = Match::default();
    let name = FieldName::Header(MODEL_HEADER);
    condition
        .headers
        .push((name, StringMatch::Exact("big".to_owned())));
    let routes = vec![
        Route::new("big", to("big")).with_match(condition),
        Route::new("rest", to("rest")),
    ];
    let table = Table::builder()
        .virtual_host("llm", ["llm"], [80], routes.clone())
        .virtual_host("other", ["other"], [80], vec![Route::new("all", to("all"))])
        .build();
    (Arc::new(table), routes)
}

#[tokio::test]
async fn a_route_is_chosen_by_the_model_where_the_host_asks_for_it() {
    let (table, routes) = table();
    let names = named_models(&routes);
    assert_eq!(names.iter().map(|n| &**n).collect::<Vec<_>>(), ["big"]);
    let route = RouteLayer::new(Arc::clone(&table)).with_rng(SharedRng::seeded(1));
    let inner = service_fn(|request: Request<Body>| async move {
        let meta = request.extensions().get::<RouteMeta>().cloned();
        Ok::<_, BoxError>(
            Response::builder()
                .extension(meta.unwrap())
                .body(Body::empty())?,
        )
    });
    let service = ServiceBuilder::new()
        .layer(ModelLayer::new(table))
        .layer(route)
        .service(inner);
    for (host, body, expected) in [
        ("llm", r#"{"messages":[],"model":"big"}"#, "big"),
        ("llm", r#"{"model":"small"}"#, "rest"),
        ("llm", "{}", "rest"),
        ("LLM:80", r#"{"model":"big"}"#, "big"),
        ("other", r#"{"model":"big","model":"two"}"#, "all"),
    ] {
        let mut request = post(CHAT, body);
        request.headers_mut().insert("host", host.parse().unwrap());
        let answer = service.clone().oneshot(request).await.unwrap();
        let meta = answer.extensions().get::<RouteMeta>().unwrap();
        assert_eq!(&*meta.route, expected, "{host} {body}");
    }
    let error = service
        .clone()
        .oneshot(post(CHAT, r#"{"model":"big","model":"two"}"#))
        .await
        .unwrap_err();
    assert_eq!(
        find(&*error).map(llmesh::base::Error::kind),
        Some(Kind::BadRequest)
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_or_has_trailers_goes_on_as_it_is() {
    let (table, _) = table();
    let service = ModelLayer::new(table).layer(service_fn(|request: Request<Body>| async move {
        let model = request.headers().get(MODEL_HEADER).cloned();
        let collected = request.into_body().collect().await;
        let whole = collected.map(|c| (c.trailers().cloned(), c.to_bytes()));
        Ok::<_, BoxError>(Response::new((model, whole)))
    }));
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let script = Script::new()
        .data("{\"model\":")
        .data("\"big\"}")
        .trailer("x-sum", "1");
    let (model, whole) = service
        .clone()
        .oneshot(post(CHAT, Body::new(script.body())))
        .await
        .unwrap()
        .into_body();
    assert_eq!(model.unwrap(), "big");
    assert_eq!(
        whole.unwrap(),
        (Some(trailers), "{\"model\":\"big\"}".into())
    );
    let script = Script::new()
        .data("{\"mod")
        .fail(llmesh::base::Error::new(Kind::Canceled));
    let (model, whole) = service
        .clone()
        .oneshot(post(CHAT, Body::new(script.body())))
        .await
        .unwrap()
        .into_body();
    assert!(model.is_none() && whole.is_err());
}

#[tokio::test]
async fn an_alias_changes_the_call_its_body_and_what_is_noted() {
    let aliases = Arc::new(Aliases::new([("fast", "gpt-4o-mini")]));
    let service = ServiceBuilder::new()
        .layer(CallLayer::new(call::Params::default()))
        .layer(AliasLayer::new(Arc::clone(&aliases)))
        .service(below());
    let record = Record::default();
    let mut request = post(CHAT, r#"{"model":"fast"}"#);
    request.extensions_mut().insert(record.clone());
    let (head, body) = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(body, r#"{"model":"gpt-4o-mini"}"#);
    let call = head.extensions.get::<Call>().unwrap();
    assert_eq!(call.model.as_deref(), Some("gpt-4o-mini"));
    assert_eq!(record.snapshot().alias.as_deref(), Some("fast"));
    // Alone it reads the body itself.
    let alone = AliasLayer::new(aliases).layer(below());
    for (body, out) in [
        (
            r#"{"x":[1],"model":"fast"}"#,
            r#"{"x":[1],"model":"gpt-4o-mini"}"#,
        ),
        (r#"{"model":"else"}"#, r#"{"model":"else"}"#),
        ("no JSON", "no JSON"),
        ("", ""),
    ] {
        let (_, sent) = alone
            .clone()
            .oneshot(post("/v1/images/generations", body))
            .await
            .unwrap()
            .into_body();
        assert_eq!(sent, out);
    }
}

#[tokio::test]
async fn a_list_shows_a_caller_what_it_may_use() {
    let inner = service_fn(|_: Request<Body>| async {
        Ok::<_, BoxError>(Response::builder().status(404).body(Body::empty())?)
    });
    let list =
        ListLayer::new(["fast".into(), "slow".into()].into(), DialectMode::Auto).layer(inner);
    let none = ListLayer::new([].into(), DialectMode::Auto).layer(inner);
    let silent = ListLayer::default().layer(inner);
    assert_eq!(
        ids(list.clone(), None).await,
        Ok(vec!["fast".to_owned(), "slow".to_owned()])
    );
    assert_eq!(
        ids(list.clone(), Some(&["s*", "own", "o-*"])).await,
        Ok(vec!["slow".to_owned(), "own".to_owned()])
    );
    assert_eq!(ids(list.clone(), Some(&["x-*"])).await, Err(404));
    assert_eq!(ids(none.clone(), None).await, Err(404));
    assert_eq!(
        ids(none.clone(), Some(&["own"])).await,
        Ok(vec!["own".to_owned()])
    );
    assert_eq!(ids(silent.clone(), Some(&["own"])).await, Err(404));
}

/// The names listed, or the status of those below.
async fn ids<S>(service: List<S>, allowed: Option<&[&str]>) -> Result<Vec<String>, u16>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    let mut request = Request::get("/v1/models").body(Body::empty()).unwrap();
    if let Some(allowed) = allowed {
        let globs: Vec<_> = allowed.iter().map(|pattern| Glob::new(pattern)).collect();
        request.extensions_mut().insert(Allowed::new(globs));
    }
    let answer: Response<ResponseBody<Body>> = service.oneshot(request).await.unwrap();
    if answer.status() != 200 {
        return Err(answer.status().as_u16());
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let data = list["data"].as_array().unwrap();
    Ok(data
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect())
}
