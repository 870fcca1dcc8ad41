//! What comes in for an application: only what policies let in.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::any};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use llmesh::{
    config::Source,
    mesh::Mesh,
    metrics::{Report, Summary},
    proxy::{Inbound, Input, Options, Proxy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const HEAD: &str = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {namespace: ai, name: ";
const SERVICE: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: ai}\nspec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 127.0.0.1}]}\n";

/// Details of every request.
#[derive(Default)]
struct Details(Mutex<Vec<(u16, Option<String>)>>);

impl Report for Details {
    fn report(&self, summary: &Summary) {
        let told = (summary.status, summary.notes.details.clone());
        self.0.lock().unwrap().push(told);
    }
}

fn policy(name: &str, spec: &str) -> String {
    format!("{HEAD}{name}}}\nspec: {spec}\n")
}

fn texts(policies: &str) -> Vec<Source> {
    vec![Source::new("mesh.yaml", format!("{SERVICE}{policies}"))]
}

/// An application that says which path it saw.
fn router() -> Router {
    Router::new().fallback(any(|request: axum::extract::Request| async move {
        format!("saw {}", request.uri().path())
    }))
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A proxy in front of an application, under these policies.
async fn start(policies: &str) -> (Proxy, Arc<Details>) {
    let app = serve(router()).await;
    let mut input = Input::inline(texts(policies));
    input.options.namespace = Some("ai".into());
    input.options.workload_labels = [("app".to_owned(), "llm".to_owned())].into();
    let mut options = Options::new(input);
    options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
    options.admin = None;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    options.inbound = vec![Inbound::new(listen, app)];
    let details = Arc::new(Details::default());
    let report: Arc<dyn Report> = details.clone();
    options.reports.push(report);
    (Proxy::start(options).await.unwrap(), details)
}

/// Sends one request on a connection of its own; all that comes back.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{line} HTTP/1.1\r\nhost: llm\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is no answer either.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Asks for `/admin` on a connection that is kept.
async fn again(stream: &mut TcpStream) -> String {
    let request = b"GET /admin HTTP/1.1\r\nhost: llm\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the connection is kept");
        answer.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8(answer.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| body.len().to_string() == length) {
            return text;
        }
    }
}

const PATHS: &str = "{action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}";

/// Requests and what is seen of them under [`PATHS`]: `None` is refused.
const ROWS: [(&str, Option<&str>); 9] = [
    ("GET /chat", Some("/chat")),
    ("POST /chat?x=/admin", Some("/chat")),
    ("GET /admin", None),
    ("GET /a/../admin", None),
    ("GET /%61dmin/x", None),
    ("GET /a/..%2fadmin", None),
    ("GET /a%2Fb", Some("/a%2Fb")),
    ("GET /x/./y", Some("/x/y")),
    ("GET /administration", Some("/administration")),
];

#[tokio::test]
async fn only_what_policies_let_in_reaches_the_application() {
    let (proxy, details) = start(&policy("deny", PATHS)).await;
    for (line, seen) in ROWS {
        let answer = ask(proxy.inbound()[0], line, "").await;
        match seen {
            Some(path) => {
                assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
                assert!(answer.ends_with(&format!("saw {path}")), "{line}: {answer}");
            }
            None => {
                assert!(answer.starts_with("HTTP/1.1 403"), "{line}: {answer}");
                assert!(answer.contains("content-type: text/plain\r\n"), "{answer}");
                assert!(answer.ends_with("\r\n\r\nRBAC: access denied"), "{answer}");
            }
        }
    }
    let told = details.0.lock().unwrap();
    let refused = told.iter().filter(|(status, _)| *status == 403);
    let named = "rbac_access_denied_matched_policy[ns[ai]-policy[deny]-rule[0]]";
    let all: Vec<_> = refused.map(|(_, details)| details.as_deref()).collect();
    assert_eq!(all, [Some(named); 4]);
}

/// What a caller says of itself is no proof.
#[tokio::test]
async fn a_principal_is_nobody_without_a_certificate() {
    let allow = "{rules: [{from: [{source: {principals: [cluster.local/ns/ai/sa/chat]}}]}]}";
    let (proxy, details) = start(&policy("chat-only", allow)).await;
    let claims =
        "x-forwarded-client-cert: By=x;Hash=1;URI=spiffe://cluster.local/ns/ai/sa/chat\r\n";
    let answer = ask(proxy.inbound()[0], "GET /chat", claims).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let told = details.0.lock().unwrap().clone();
    let none = Some("rbac_access_denied_matched_policy[none]".to_owned());
    assert_eq!(told, [(403, none)]);
}

/// The same for an LLM call and for gRPC: in Envoy's words.
#[tokio::test]
async fn grpc_is_told_by_its_own_status() {
    let (proxy, _) = start(&policy("nothing", "{}")).await;
    let stream = TcpStream::connect(proxy.inbound()[0]).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://llm/a.B/C")
        .header("content-type", "application/grpc")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "7");
    assert_eq!(answer.headers()["grpc-message"], "RBAC: access denied");
    let call = Request::post("http://llm/v1/chat/completions")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(call).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "RBAC: access denied");
}

#[tokio::test]
async fn plain_text_to_a_strict_port_is_closed_without_an_answer() {
    let strict = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {namespace: ai, name: p}\nspec: {mtls: {mode: STRICT}}\n";
    let (proxy, details) = start("").await;
    let open = ask(proxy.inbound()[0], "GET /chat", "").await;
    assert!(open.starts_with("HTTP/1.1 200"), "{open}");
    assert!(proxy.reloader().replace_inline(texts(strict)).await);
    assert_eq!(ask(proxy.inbound()[0], "GET /chat", "").await, "");
    assert_eq!(details.0.lock().unwrap().len(), 1);
}

/// A policy that comes is in force for the next request, on connections that are there too.
#[tokio::test]
async fn policies_follow_their_files() {
    let (proxy, _) = start("").await;
    let mut stream = TcpStream::connect(proxy.inbound()[0]).await.unwrap();
    assert!(again(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert!(
        proxy
            .reloader()
            .replace_inline(texts(&policy("deny", PATHS)))
            .await
    );
    assert!(again(&mut stream).await.starts_with("HTTP/1.1 403"));
}

/// In a Rust service the same policies give the same answers.
#[tokio::test]
async fn a_rust_service_is_behind_the_same_policies() {
    let options = llmesh::config::Options::default().with_namespace("ai");
    let mesh = Mesh::builder()
        .options(options)
        .inline(texts(&policy("deny", PATHS)).remove(0))
        .start()
        .await
        .unwrap();
    // Outside of the router, so that it routes by the path that policies saw.
    let app =
        Router::new().fallback_service(tower::Layer::layer(&mesh.authorization_layer(), router()));
    let address = serve(app).await;
    for (line, seen) in ROWS {
        let answer = ask(address, line, "").await;
        match seen {
            Some(path) => assert!(answer.ends_with(&format!("saw {path}")), "{line}: {answer}"),
            None => assert!(
                answer.starts_with("HTTP/1.1 403") && answer.ends_with("RBAC: access denied"),
                "{line}: {answer}"
            ),
        }
    }
}
