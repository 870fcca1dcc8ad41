//! Configuration that changes on disk, for better and for worse.

use llmesh::{
    metrics::Summary,
    testing::upstream::{Answer, ErrorKind},
};

use crate::{
    kit::{CANARY, Caller, Folder, Mesh, Plan, ROUTES, RULES, V1, ask, ms, with},
    support::until,
};

async fn reaches(mesh: &Mesh, name: &str, value: u64) {
    let reached = async {
        while mesh.stat(name).await != value {
            tokio::time::sleep(ms(10)).await;
        }
    };
    tokio::time::timeout(ms(1000), reached).await.expect(name);
}

fn route(summary: &Summary) -> String {
    summary.notes.route.as_ref().unwrap().route.to_string()
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_a_repaired_one_is_taken() {
    let folder = Folder::new();
    folder.write("routes.yaml", ROUTES);
    let mesh = Plan::rules(RULES).watch(folder.0.clone()).start().await;
    let (_, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!(route(&summary), "chat-route");
    let broken = [
        "spec: [".to_owned(),
        with(ROUTES, &[("perTryTimeout", "perTryTimeuot")]),
    ];
    for (n, text) in (1..).zip(&broken) {
        folder.write("routes.yaml", text);
        reaches(&mesh, "server.config_reload_failure", n).await;
        assert_eq!(mesh.stat("server.config_reload_success").await, 1);
        let (reply, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
        assert_eq!((reply.status, &*route(&summary)), (200, "chat-route"));
    }
    folder.write("routes.yaml", &with(ROUTES, &[("chat-route", "renamed")]));
    reaches(&mesh, "server.config_reload_success", 2).await;
    let (_, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!(route(&summary), "renamed");
    // A comment is no change.
    folder.write(
        "routes.yaml",
        &with(ROUTES, &[("chat-route\"", "renamed\" # so")]),
    );
    reaches(&mesh, "server.config_reload_unchanged", 1).await;
    assert_eq!(mesh.stat("server.config_reload_success").await, 2);
    assert_eq!(mesh.stat("server.config_reload_failure").await, 2);
}

#[tokio::test]
async fn what_is_left_out_has_a_name_until_it_is_repaired() {
    let folder = Folder::new();
    folder.write("routes.yaml", ROUTES);
    folder.write(
        "extra.yaml",
        &with(
            CANARY,
            &[("30s", "30"), ("host: llm-service", "host: other")],
        ),
    );
    folder.write("values.yaml", "replicas: 3\n");
    let plan = Plan::rules(RULES).watch(folder.0.clone()).lenient();
    let mesh = plan.start().await;
    let (reply, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!((reply.status, &*route(&summary)), (200, "chat-route"));
    assert_eq!(mesh.stat("server.config_left_out").await, 1);
    let page = mesh.page("/ready?verbose").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body
            .starts_with("LIVE\nleft out: VirtualService ai-services/llm-service-canary (")
            && page.body.contains("extra.yaml:")
            && page
                .body
                .ends_with(": spec.http[1].timeout: 30 has no unit\n"),
        "{}",
        page.body
    );
    assert_eq!(mesh.page("/ready").await.body, "LIVE\n");
    // What was good and is broken now is left out by its place; the rest is taken.
    folder.write("routes.yaml", "spec: [");
    reaches(&mesh, "server.config_left_out", 2).await;
    let (reply, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!((reply.status, &*route(&summary)), (200, "default"));
    folder.write("routes.yaml", ROUTES);
    folder.write("extra.yaml", "replicas: 3\n");
    reaches(&mesh, "server.config_left_out", 0).await;
    let (_, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!(route(&summary), "chat-route");
    assert_eq!(mesh.stat("server.config_reload_failure").await, 0);
}

#[tokio::test]
async fn a_reference_that_is_not_met_is_503_on_its_route_alone() {
    let routes = with(ROUTES, &[("\"chat-route\"", "\"lost-route\"")]);
    let start = routes.find("lost-route").expect("it is there");
    let (before, after) = routes.split_at(start);
    let after = after.replacen("subset: v1", "subset: v9", 1);
    let mesh = Plan::routes(&format!("{before}{after}")).start().await;
    let (reply, summary) = mesh.tell(ask("/api/llm/chat", &[])).await;
    assert_eq!((reply.status, &*route(&summary)), (503, "lost-route"));
    assert_eq!(summary.notes.flags(), "NC");
    let (reply, summary) = mesh.tell(ask("/x", &[])).await;
    assert_eq!((reply.status, &*route(&summary)), (200, "default-route"));
}

#[tokio::test]
async fn a_request_in_flight_keeps_its_routes_and_endpoints_keep_their_state() {
    let folder = Folder::new();
    folder.write("routes.yaml", ROUTES);
    let mesh = Plan::rules(RULES).watch(folder.0.clone()).start().await;
    let error = http::StatusCode::INTERNAL_SERVER_ERROR;
    mesh.v1[2].set_script(llmesh::testing::upstream::Answer::status(error));
    let mut caller = Caller::http1(mesh.addr()).await;
    for _ in 0..40 {
        caller.send(ask("/x", &[])).await;
    }
    assert_eq!(mesh.v1[2].requests(), 5);
    let slow = tokio::spawn({
        let mut caller = Caller::http1(mesh.addr()).await;
        async move {
            caller
                .send(ask("/api/llm/chat", &[("x-mock-delay-ms", "500")]))
                .await
        }
    });
    let before = mesh.requests_v1();
    until(|| mesh.requests_v1() > before).await;
    folder.write("routes.yaml", CANARY);
    reaches(&mesh, "server.config_reload_success", 2).await;
    assert!(!slow.is_finished());
    assert!(caller.send(ask("/x", &[])).await.is_ok());
    let reply = slow.await.unwrap();
    assert!(reply.is_ok() && reply.took >= ms(500), "{reply:?}");
    let all = mesh.log.all();
    until(|| mesh.log.all().iter().any(|s| route(s) == "chat-route")).await;
    assert_eq!(
        route(all.iter().rfind(|s| route(s) != "chat-route").unwrap()),
        "weighted-split"
    );
    // The ejection outlived the reload.
    for _ in 0..30 {
        assert!(caller.send(ask("/x", &[])).await.is_ok());
    }
    assert_eq!(mesh.v1[2].requests(), 5);
    assert_eq!(mesh.of(V1, "outlier_detection.ejections_active").await, 1);
    // An overlay in all but name: a folder gains and loses a file.
    folder.write("rate.yaml", "apiVersion: networking.istio.io/v1\nkind: [");
    reaches(&mesh, "server.config_reload_failure", 1).await;
    std::fs::remove_file(folder.0.join("rate.yaml")).unwrap();
    reaches(&mesh, "server.config_reload_unchanged", 1).await;
}

#[tokio::test]
async fn an_llm_policy_is_changed_under_way() {
    let folder = Folder::new();
    let write = |spec: &str| {
        let head = "apiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {name: llm, namespace: ai-services}";
        folder.write("policy.yaml", &format!("{head}\nspec: {{{spec}}}\n"));
    };
    write("retries: {budget: {percent: 0, minPerSecond: 0}}");
    let routes = with(ROUTES, &[("retriable-4xx,503", "429,503")]);
    let plan = Plan::routes(&routes).watch(folder.0.clone());
    let mesh = plan.start().await;
    // Sends for one request of a caller.
    let sends = async || {
        let before = mesh.requests_v1();
        mesh.tell(ask("/api/llm/chat", &[])).await;
        mesh.requests_v1() - before
    };
    let all = |answer: Answer| mesh.v1.iter().for_each(|u| u.set_script(answer.clone()));
    all(Answer::status(http::StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(sends().await, 1, "no budget, no retry");
    write("retries: {budget: {percent: 0, minPerSecond: 1}}");
    reaches(&mesh, "server.config_reload_success", 2).await;
    assert_eq!(sends().await, 4, "as the route says");
    // An empty account is a verdict, unless nothing but the status counts.
    all(Answer::error(ErrorKind::InsufficientQuota));
    assert_eq!(sends().await, 1);
    write("dialect: status-only, retries: {budget: {percent: 0, minPerSecond: 1}}");
    reaches(&mesh, "server.config_reload_success", 3).await;
    assert_eq!(sends().await, 4);
    // A hint of a second is longer than what is waited for.
    all(Answer::error(ErrorKind::RateLimit).with_retry_after(ms(1000)));
    write("retries: {maxHint: 500ms}");
    reaches(&mesh, "server.config_reload_success", 4).await;
    assert_eq!(sends().await, 1);
    let dump = mesh.page("/config_dump").await.body;
    assert!(dump.contains("LlmPolicy/ai-services/llm") && dump.contains("0.500s"));
}
