//! What comes in goes along.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use llmesh::{
    base::{SharedRng, ext::Deadline, time::Instant},
    body,
    context::{self, ClientLayer, Context, ServerLayer},
    trace,
};
use tower::{Layer, Service, ServiceExt, service_fn};

const TRACEPARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

type Sent = Arc<Mutex<Vec<(HeaderMap, Option<Deadline>)>>>;

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let value = http::HeaderValue::from_static(value);
        request.headers_mut().append(*name, value);
    }
    request
}

/// A client that notes what it sends.
fn client(
    sent: &Sent,
) -> impl Service<Request<()>, Response = (), Error = Infallible, Future: Send> + Clone + Send + use<>
{
    let sent = Arc::clone(sent);
    ClientLayer::new().layer(service_fn(move |request: Request<()>| {
        let deadline = body::Context::of(&request).and_then(body::Context::deadline);
        sent.lock()
            .unwrap()
            .push((request.headers().clone(), deadline));
        async { Ok::<_, Infallible>(()) }
    }))
}

fn layer() -> ServerLayer {
    ServerLayer::new().with_rng(SharedRng::seeded(7))
}

/// The heads that leave when a server that gets `inbound` sends `outbound`.
async fn through(
    layer: ServerLayer,
    inbound: Request<()>,
    outbound: Vec<Request<()>>,
) -> Vec<(HeaderMap, Option<Deadline>)> {
    let sent = Sent::default();
    let client = client(&sent);
    let outbound = Arc::new(Mutex::new(outbound));
    let server = layer.layer(service_fn(move |_: Request<()>| {
        let (client, outbound) = (client.clone(), Arc::clone(&outbound));
        async move {
            let all = std::mem::take(&mut *outbound.lock().unwrap());
            for request in all {
                client.clone().oneshot(request).await?;
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    }));
    server.oneshot(inbound).await.unwrap();
    let sent = sent.lock().unwrap();
    sent.clone()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers[name].to_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_goes_along() {
    let inbound = request(&[
        ("traceparent", TRACEPARENT),
        ("tracestate", "a=b"),
        ("x-request-id", "r-1"),
        ("baggage", "user=1"),
        ("baggage", "tier=gold"),
        ("x-datadog-trace-id", "9"),
        ("x-envoy-expected-rq-timeout-ms", "5000"),
        ("authorization", "secret"),
        ("x-other", "1"),
    ]);
    let begin = Instant::now();
    let sent = through(layer(), inbound, vec![request(&[])]).await;
    let (headers, deadline) = &sent[0];
    assert_eq!(text(headers, "traceparent"), TRACEPARENT);
    assert_eq!(text(headers, "tracestate"), "a=b");
    assert_eq!(text(headers, "x-request-id"), "r-1");
    assert_eq!(text(headers, "x-datadog-trace-id"), "9");
    assert_eq!(text(headers, "x-envoy-expected-rq-timeout-ms"), "5000");
    let baggage: Vec<_> = headers.get_all("baggage").iter().collect();
    assert_eq!(baggage, ["user=1", "tier=gold"]);
    assert!(!headers.contains_key("authorization") && !headers.contains_key("x-other"));
    assert_eq!(*deadline, Some(Deadline(begin + Duration::from_secs(5))));
}

#[tokio::test(start_paused = true)]
async fn what_the_request_says_itself_stays() {
    let inbound = request(&[
        ("traceparent", TRACEPARENT),
        ("x-request-id", "r-1"),
        ("baggage", "user=1"),
        ("x-datadog-trace-id", "9"),
        ("x-envoy-expected-rq-timeout-ms", "5000"),
    ]);
    let own = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
    let outbound = vec![
        request(&[
            ("traceparent", own),
            ("baggage", "mine=1"),
            ("x-envoy-expected-rq-timeout-ms", "200"),
        ]),
        request(&[
            ("x-request-id", "r-2"),
            ("x-envoy-expected-rq-timeout-ms", "99999"),
        ]),
    ];
    let sent = through(layer(), inbound, outbound).await;
    let (first, second) = (&sent[0].0, &sent[1].0);
    assert_eq!(text(first, "traceparent"), own);
    assert_eq!(text(first, "baggage"), "mine=1");
    assert_eq!(text(first, "x-request-id"), "r-1");
    assert_eq!(text(first, "x-envoy-expected-rq-timeout-ms"), "200");
    assert!(
        !first.contains_key("x-datadog-trace-id"),
        "two traces in one request"
    );
    assert_eq!(text(second, "x-request-id"), "r-2");
    assert_eq!(text(second, "traceparent"), TRACEPARENT);
    assert_eq!(
        text(second, "x-envoy-expected-rq-timeout-ms"),
        "5000",
        "a deadline only becomes sooner"
    );
}

#[tokio::test(start_paused = true)]
async fn an_own_deadline_wins_only_if_it_is_sooner() {
    let inbound = || request(&[("x-envoy-expected-rq-timeout-ms", "5000")]);
    let now = Instant::now();
    for (own, expected) in [(1, 1), (9, 5)] {
        let mut outbound = request(&[]);
        let own = Deadline(now + Duration::from_secs(own));
        body::Context::edit(&mut outbound, |context| context.shorten(own));
        let sent = through(layer(), inbound(), vec![outbound]).await;
        let expected = Deadline(now + Duration::from_secs(expected));
        assert_eq!(sent[0].1, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn time_spent_before_the_call_is_taken_off() {
    let sent = Sent::default();
    let client = client(&sent);
    let server = layer().layer(service_fn(move |_: Request<()>| {
        let client = client.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            client.oneshot(request(&[])).await?;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    }));
    let grpc = request(&[("content-type", "application/grpc"), ("grpc-timeout", "3S")]);
    server.oneshot(grpc).await.unwrap();
    let headers = &sent.lock().unwrap()[0].0;
    assert_eq!(text(headers, "x-envoy-expected-rq-timeout-ms"), "1800");
}

#[tokio::test]
async fn calls_of_one_request_without_a_trace_share_its_id_and_no_trace_is_made_up() {
    let outbound = vec![request(&[]), request(&[])];
    let sent = through(layer(), request(&[]), outbound).await;
    let (first, second) = (&sent[0].0, &sent[1].0);
    assert_eq!(first["x-request-id"], second["x-request-id"]);
    for name in ["traceparent", "b3", "x-b3-traceid"] {
        assert!(!first.contains_key(name), "{name}");
    }
    assert_eq!(sent[0].1, None);
    assert!(!first.contains_key("x-envoy-expected-rq-timeout-ms"));
    let next = through(layer(), request(&[]), vec![request(&[])]).await;
    let other = through(
        ServerLayer::new().with_rng(SharedRng::seeded(8)),
        request(&[]),
        vec![request(&[])],
    )
    .await;
    assert_ne!(next[0].0["x-request-id"], other[0].0["x-request-id"]);
}

#[tokio::test]
async fn chosen_headers_go_along_too() {
    let layer = layer().with_header(HeaderName::from_static("x-tier"));
    let inbound = request(&[("x-tier", "gold"), ("baggage", "a=1")]);
    let sent = through(layer, inbound, vec![request(&[])]).await;
    assert_eq!(text(&sent[0].0, "x-tier"), "gold");
    assert_eq!(text(&sent[0].0, "baggage"), "a=1");
}

#[tokio::test]
async fn outside_of_a_request_nothing_is_written() {
    let sent = Sent::default();
    client(&sent).oneshot(request(&[])).await.unwrap();
    assert!(sent.lock().unwrap()[0].0.is_empty());
    assert!(context::current().is_none());
}

#[tokio::test]
async fn concurrent_requests_on_one_thread_keep_apart() {
    let sent = Sent::default();
    let client = client(&sent);
    let server = layer().layer(service_fn(move |_: Request<()>| {
        let client = client.clone();
        async move {
            for _ in 0..3 {
                tokio::task::yield_now().await;
                client.clone().oneshot(request(&[])).await?;
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    }));
    let ids = ["a", "b"].map(|id| server.clone().oneshot(request(&[("x-request-id", id)])));
    let [a, b] = ids;
    let (a, b) = tokio::join!(a, b);
    a.unwrap();
    b.unwrap();
    let seen: Vec<String> = sent
        .lock()
        .unwrap()
        .iter()
        .map(|(headers, _)| text(headers, "x-request-id").to_owned())
        .collect();
    assert_ne!(seen[0], seen[1], "they take turns: {seen:?}");
    let of = |id: &str| seen.iter().filter(|s| *s == id).count();
    assert_eq!((of("a"), of("b")), (3, 3));
}

#[tokio::test]
async fn a_spawned_task_has_it_only_if_it_is_carried() {
    let server = layer().layer(service_fn(|_: Request<()>| async {
        let id = || context::current().and_then(|c| c.request_id().cloned());
        let plain = tokio::spawn(async move { id() }).await.unwrap();
        let carried = context::spawn(async move { id() }).await.unwrap();
        assert_eq!(plain, None);
        assert_eq!(carried.unwrap(), "r-1");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    server
        .oneshot(request(&[("x-request-id", "r-1")]))
        .await
        .unwrap();
    let outside = context::spawn(async { context::current().is_none() });
    assert!(outside.await.unwrap());
}

/// Asks for the context in everything that a body is asked.
struct Asking(u8);

impl http_body::Body for Asking {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let id = context::current().unwrap().request_id().cloned().unwrap();
        self.0 += 1;
        Poll::Ready(match self.0 {
            1 => Some(Ok(Frame::data(Bytes::copy_from_slice(id.as_bytes())))),
            2 => Some(Ok(Frame::trailers(HeaderMap::from_iter([(
                HeaderName::from_static("x-id"),
                id,
            )])))),
            _ => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(3)
    }
}

#[tokio::test]
async fn it_holds_in_call_and_in_the_response_body() {
    let server = layer().layer(service_fn(|_: Request<()>| {
        assert!(context::current().is_some(), "in call");
        async { Ok::<_, Infallible>(Response::new(Asking(0))) }
    }));
    let response = server
        .oneshot(request(&[("x-request-id", "r-1")]))
        .await
        .unwrap();
    assert!(context::current().is_none());
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(3));
    let all = body.collect().await.unwrap();
    assert_eq!(all.trailers().unwrap()["x-id"], "r-1");
    assert_eq!(all.to_bytes(), "r-1");
    assert!(context::current().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_handler_sees_trace_and_deadline_in_the_request() {
    let server = layer().layer(service_fn(|request: Request<()>| async move {
        let trace = request.extensions().get::<trace::Context>().unwrap();
        let current = context::current().unwrap();
        assert_eq!(current.trace(), trace);
        let known = body::Context::of(&request).and_then(body::Context::deadline);
        assert_eq!(known, current.deadline());
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let mut inbound = request(&[("x-envoy-expected-rq-timeout-ms", "5000")]);
    // A deadline layer outside has already found a shorter one.
    let known = Deadline(Instant::now() + Duration::from_secs(1));
    body::Context::edit(&mut inbound, |context| context.shorten(known));
    server.oneshot(inbound).await.unwrap();
}

#[tokio::test]
async fn work_after_the_answer_can_leave_the_deadline_behind() {
    let known = Some(Deadline(Instant::now() + Duration::from_secs(1)));
    let trace = trace::Context::root(&SharedRng::seeded(1));
    let context = Context::new(trace).with_deadline(known);
    let free = context.clone().with_deadline(None);
    let deadline = |context| context::scope(context, async { context::current()?.deadline() });
    assert_eq!(deadline(context).await, known);
    assert_eq!(deadline(free).await, None);
}

#[test]
fn values_are_not_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("baggage", http::HeaderValue::from_static("user=secret"));
    let trace = trace::Context::root(&SharedRng::seeded(1));
    let shown = format!("{:?}", Context::new(trace).with_headers(headers));
    assert!(
        shown.contains("baggage") && !shown.contains("secret"),
        "{shown}"
    );
}
