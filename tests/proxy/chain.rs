//! A fallback chain over sockets: what answers say steers it, and its keys are those on disk.

use http::Request;
use llmesh::{
    body::Body,
    metrics::access_log::{AccessLog, Encoding},
    testing::upstream::Answer,
};

use crate::{
    kit::{Folder, Plan, ROUTES, ask},
    support::until,
};

fn policy(targets: &str) -> String {
    format!(
        "apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm, namespace: ai-services}}\nspec: {{hosts: [llm-service], fallback: [{targets}]}}\n"
    )
}

fn chat(headers: &[(&str, &str)]) -> Request<Body> {
    ask("/v1/chat/completions", headers)
}

#[tokio::test]
async fn what_is_left_of_a_limit_steers_before_the_first_429() {
    let plan = Plan::routes(ROUTES).and("policy.yaml", &policy("{subset: v2}"));
    let mesh = plan.start().await;
    let says = [
        ("x-mock-header-x-ratelimit-remaining-requests", "0"),
        ("x-mock-header-x-ratelimit-reset-requests", "60s"),
    ];
    for (headers, v1, v2) in [(&says[..], 1, 0), (&[], 1, 1), (&[], 1, 2)] {
        assert_eq!(mesh.send(chat(headers)).await.status, 200);
        assert_eq!((mesh.requests_v1(), mesh.v2.requests()), (v1, v2));
    }
    // Another key has limits of its own.
    let other = chat(&[("authorization", "Bearer other")]);
    let (reply, summary) = mesh.tell(other).await;
    assert_eq!((reply.status, mesh.requests_v1()), (200, 2));
    // What it cost is there for logs and metrics.
    let all = summary.notes.ledger.as_ref().unwrap().all();
    assert!(all.len() == 1 && all[0].usage.total() > 0 && !all[0].estimated);
    let line = AccessLog::new(Encoding::Json, |_| {}).line(&summary);
    assert!(
        line.contains(r#","llm_model":"gpt-4o","llm_input_tokens":"#),
        "{line}"
    );
    for (name, n) in [("steered", 2), ("passed_over", 2), ("fallbacks", 0)] {
        assert_eq!(mesh.stat(&format!("llm_fallback.{name}")).await, n);
    }
    let page = mesh.page("/stats/prometheus").await.body;
    assert!(page.contains("\nllmesh_llm_fallback_steered 2\n"), "{page}");
}

#[tokio::test]
async fn a_key_that_changes_on_disk_is_the_next_one_sent() {
    let (folder, keys) = (Folder::new(), Folder::new());
    keys.write("key", "one\n");
    let file = keys.0.join("key");
    let target = format!("{{subset: v2, credential: {{file: {}}}}}", file.display());
    folder.write("policy.yaml", &policy(&target));
    let plan = Plan::routes(ROUTES).watch(folder.0.clone());
    let mesh = plan.start().await;
    let down = Answer::status(http::StatusCode::SERVICE_UNAVAILABLE);
    mesh.v1.iter().for_each(|u| u.set_script(down.clone()));
    let sent = async || {
        mesh.send(chat(&[])).await;
        let last = mesh.v2.seen().pop().unwrap();
        last.headers["authorization"].to_str().unwrap().to_owned()
    };
    assert_eq!(sent().await, "Bearer one");
    let reloaded = async |n| {
        while mesh.stat("server.config_reload_success").await < n {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    keys.write("key", "two\n");
    crate::support::soon(reloaded(2)).await;
    assert_eq!(sent().await, "Bearer two");
    // Also while the configuration has an error.
    folder.write("bad.yaml", "apiVersion: networking.istio.io/v1\nkind: [");
    until(|| mesh.proxy().reloader().stats.failure.get() > 0).await;
    keys.write("key", "three\n");
    crate::support::soon(reloaded(3)).await;
    assert_eq!(sent().await, "Bearer three");
    assert_eq!(mesh.stat("server.config_reload_unchanged").await, 0);
}
