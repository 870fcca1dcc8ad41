//! Streams over sockets: what callers see when the upstream breaks its promise.

use bytes::Bytes;
use http::Request;
use llmesh::{
    body::Body,
    testing::upstream::{Answer, Fault},
};

use crate::{
    kit::{Caller, Mesh, Plan, ROUTES, ask, chunk, ms},
    support::until,
};

const POLICY: &str = "
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: ai-services}
spec:
  timeouts: {headers: 300ms, interToken: 300ms}
";

const CHAT: &str = "/v1/chat/completions";

/// A chat request that asks for a stream.
fn chat(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = ask(CHAT, headers);
    let text = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    *request.body_mut() = Body::from(text);
    request
}

async fn mesh() -> Mesh {
    Plan::routes(ROUTES)
        .and("policy.yaml", POLICY)
        .start()
        .await
}

#[tokio::test]
async fn what_breaks_before_content_is_repeated_unseen() {
    let mesh = mesh().await;
    for fault in ["error:0", "error:1", "end:1", "reset:1"] {
        let sequence = format!("200;fault={fault};error=overloaded,200");
        let before = mesh.requests_v1();
        let headers = [("x-mock-sequence", &*sequence), ("x-mock-key", fault)];
        let reply = mesh.send(chat(&headers)).await;
        assert_eq!(mesh.requests_v1() - before, 2, "{fault} {reply:?}");
        assert_eq!((reply.status, reply.broken), (200, false), "{fault}");
        let whole = reply.body.ends_with("data: [DONE]\n\n");
        assert!(whole && !reply.body.contains("\"error\""), "{reply:?}");
    }
}

#[tokio::test]
async fn half_an_answer_never_looks_whole() {
    let mesh = mesh().await;
    let mut over_http2 = Caller::http2(mesh.addr()).await;
    for fault in ["cut:5", "reset:5", "end:5", "stall:5", "error:5"] {
        let headers = [("x-mock-fault", fault), ("x-mock-tokens", "20")];
        for reply in [
            mesh.send(chat(&headers)).await,
            over_http2.send(chat(&headers)).await,
        ] {
            assert_eq!(
                (reply.status, reply.broken),
                (200, true),
                "{fault} {reply:?}"
            );
            assert!(reply.body.contains("\"content\""), "{fault} {}", reply.body);
            assert!(!reply.body.contains("[DONE]"), "{fault} {}", reply.body);
        }
    }
    // A finish marker is enough, whatever cannot be read before it.
    for fault in ["no-done", "malformed:1", "malformed:5"] {
        let before = mesh.requests_v1();
        let reply = mesh.send(chat(&[("x-mock-fault", fault)])).await;
        assert_eq!((reply.status, reply.broken), (200, false), "{fault}");
        assert_eq!(mesh.requests_v1() - before, 1, "{fault}");
    }
}

#[tokio::test]
async fn a_silent_upstream_is_given_up_once_and_a_caller_who_goes_is_followed() {
    let mesh = mesh().await;
    let before = mesh.requests_v1();
    let reply = mesh.send(chat(&[("x-mock-fault", "hang")])).await;
    assert_eq!((reply.status, mesh.requests_v1() - before), (504, 1));
    assert!(reply.took >= ms(300), "{:?}", reply.took);

    for upstream in &mesh.v1 {
        upstream.set_script(Answer::ok().with_fault(Fault::Stall(3)));
    }
    let mut caller = Caller::http1(mesh.addr()).await;
    let mut body = caller.open(chat(&[])).await.unwrap().into_body();
    let first: Option<Bytes> = chunk(&mut body).await.map(Result::unwrap);
    assert!(first.is_some());
    drop((body, caller));
    let open = || mesh.v1.iter().map(|u| u.open()).sum::<u64>();
    until(|| open() == 0).await;
}

#[tokio::test]
async fn a_dialect_that_the_policy_names_is_spoken_on_the_paths_that_it_names() {
    const NAMED: &str = "
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: ai-services}
spec: {dialect: openai, paths: [/api/v1/ask]}
";
    let mesh = Plan::routes(ROUTES).and("policy.yaml", NAMED).start().await;
    let on_a_path_of_ours = |headers| {
        let mut request = chat(headers);
        *request.uri_mut() = "/api/v1/ask".parse().unwrap();
        request
    };
    let headers = [("x-mock-fault", "end:5"), ("x-mock-tokens", "20")];
    let reply = mesh.send(on_a_path_of_ours(&headers)).await;
    assert_eq!((reply.status, reply.broken), (200, true), "{reply:?}");
    assert!(reply.body.contains("stream_truncated"), "{}", reply.body);
    let reply = mesh
        .send(on_a_path_of_ours(&[("x-mock-status", "401")]))
        .await;
    let class = reply.headers.get("x-llmesh-class");
    assert_eq!(class.unwrap(), "auth", "{reply:?}");
}
