//! HTTP/2 on either side: what its callers send arrives whole in HTTP/1, and no goodbye of an upstream loses a request.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use llmesh::{
    base::SharedRng,
    body::Body,
    config::Source,
    proxy::{Input, Options, Proxy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    kit::{Caller, ms},
    support::{Raw, bind, soon},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A proxy before a port of `app.example` that speaks this, with these routes.
async fn proxy(port: u16, protocol: &str, routes: &str) -> Proxy {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: app, namespace: shop}}\nspec:\n  \
         hosts: [app.example]\n  resolution: STATIC\n  ports: [{{number: 80, name: p, protocol: {protocol}}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{p: {port}}}}}]\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app, namespace: shop}}\nspec:\n  \
         hosts: [app.example]\n  http:\n{routes}  - route: [{{destination: {{host: app.example}}}}]\n"
    );
    let mut options = Options::new(Input::inline(vec![Source::new("mesh.yaml", text)]));
    options.outbound = ([127, 0, 0, 1], 0).into();
    options.admin = None;
    options.rng = SharedRng::seeded(3);
    Proxy::start(options)
        .await
        .map_err(|e| e.to_string())
        .unwrap()
}

async fn connect(proxy: &Proxy) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(proxy.outbound()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

#[tokio::test]
async fn cookies_in_several_fields_are_one_for_routes_and_for_http1() {
    const ALL: &str = "theme=dark; group=beta; user=7";
    let (listener, at) = bind().await;
    let routes = format!(
        "  - match: [{{headers: {{cookie: {{exact: \"{ALL}\"}}}}}}]\n    headers: {{response: {{set: {{x-rule: cookies}}}}}}\n    route: [{{destination: {{host: app.example}}}}]\n"
    );
    let proxy = proxy(at.port(), "HTTP", &routes).await;
    let mut caller = connect(&proxy).await;
    let mut request = Request::get("http://app.example/").body(()).unwrap();
    for crumb in ALL.split("; ") {
        request
            .headers_mut()
            .append("cookie", crumb.parse().unwrap());
    }
    let (answer, _) = caller.send_request(request, true).unwrap();
    let mut peer = Raw::accept(&listener).await;
    let head = peer.head().await;
    peer.write(OK).await;
    let cookies: Vec<_> = head
        .lines()
        .filter_map(|line| line.strip_prefix("cookie: "))
        .collect();
    assert_eq!(cookies, [ALL]);
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.headers()["x-rule"], "cookies");
}

#[tokio::test]
async fn an_upload_that_ends_with_an_empty_frame_has_one_last_chunk() {
    let (listener, at) = bind().await;
    let proxy = proxy(at.port(), "HTTP", "").await;
    let mut caller = connect(&proxy).await;
    let mut peer = None;
    for path in ["/one", "/two", "/three"] {
        let request = Request::post(format!("http://app.example{path}"));
        let request = request.body(()).unwrap();
        let (answer, mut body) = caller.send_request(request, false).unwrap();
        for part in ["hello ", "world", ""] {
            body.send_data(Bytes::from(part), part.is_empty()).unwrap();
            tokio::time::sleep(ms(20)).await;
        }
        // All on one connection: a second last chunk would be the beginning of the next request.
        let peer = match &mut peer {
            Some(peer) => peer,
            none => none.insert(Raw::accept(&listener).await),
        };
        let head = peer.head().await;
        assert!(head.starts_with(&format!("POST {path} ")), "{head:?}");
        let mut sent = String::new();
        while !sent.ends_with("0\r\n\r\n") {
            sent += &peer.piece().await;
        }
        assert_eq!(sent, "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
        tokio::time::sleep(ms(20)).await;
        peer.write(OK).await;
        assert_eq!(soon(answer).await.unwrap().status(), 200);
    }
}

// === goodbyes ===

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOODBYE: u8 = 7;

/// How an upstream's first connection ends, in the middle of a request.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The goodbye does not count this request any more; the connection is closed after this.
    Below(Duration),
    /// The goodbye counts all at first, then those up to this one, which is answered.
    TwoSteps,
    /// The request alone is refused.
    Refused,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn goodbye(last: u32) -> Vec<u8> {
    frame(GOODBYE, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

/// Kind, flags, stream and payload; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], id, payload))
}

/// Answers requests; `end` comes at the request of this number.
async fn serve(mut stream: TcpStream, end: Option<(End, u32)>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut requests = 0;
    while let Some((kind, flags, id, payload)) = read(&mut stream).await {
        if matches!(kind, SETTINGS | PING) && flags & 1 == 0 {
            let echo = if kind == PING { &payload[..] } else { &[] };
            stream.write_all(&frame(kind, 1, 0, echo)).await?;
        }
        if kind == HEADERS {
            requests += 1;
            match end.filter(|(_, at)| *at == requests) {
                Some((End::Refused, _)) => {
                    let refused = 7_u32.to_be_bytes();
                    stream.write_all(&frame(RESET, 0, id, &refused)).await?;
                    continue;
                }
                Some((End::Below(linger), _)) => {
                    stream.write_all(&goodbye(id.saturating_sub(2))).await?;
                    tokio::time::sleep(linger).await;
                    return Ok(());
                }
                Some((End::TwoSteps, _)) => {
                    let all = [goodbye(i32::MAX as u32), frame(PING, 0, 0, b"goodbye!")];
                    stream.write_all(&all.concat()).await?;
                    tokio::time::sleep(ms(50)).await;
                    stream.write_all(&goodbye(id)).await?;
                }
                None => {}
            }
        }
        if matches!(kind, HEADERS | DATA) && flags & 1 == 1 {
            // `:status: 200` is entry 8 of the static table.
            let head = frame(HEADERS, 4, id, &[0x88]);
            let answer = [head, frame(DATA, 1, id, b"ok")].concat();
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

/// Ends the first connection so, and none of the later ones.
async fn upstream(listener: TcpListener, end: (End, u32)) {
    let mut first = Some(end);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, first.take()));
    }
}

/// What a goodbye does not count was not worked on: it is sent again, a POST too.
#[tokio::test]
async fn no_goodbye_of_an_upstream_loses_a_request() {
    for end in [
        (End::Below(ms(50)), 1),
        (End::Below(ms(50)), 2),
        (End::Below(ms(1000)), 2),
        (End::TwoSteps, 1),
        (End::TwoSteps, 2),
        (End::Refused, 1),
        (End::Refused, 2),
    ] {
        let (listener, at) = bind().await;
        tokio::spawn(upstream(listener, end));
        let proxy = proxy(at.port(), "GRPC", "").await;
        for number in 1..=3 {
            let request = Request::post("/pay").header("host", "app.example");
            let request = request.body(Body::from("paid")).unwrap();
            let reply = Caller::http1(proxy.outbound()).await.send(request).await;
            let told = (reply.status, reply.broken, &*reply.body);
            assert_eq!(told, (200, false, "ok"), "{end:?}: request {number}");
        }
    }
}
