//! Endpoints that fail are left alone for a while, and never too many of them.

use http::StatusCode;
use llmesh::{
    base::time::Instant,
    testing::upstream::{Answer, Fault, Upstream},
};

use crate::{
    kit::{Caller, Mesh, Plan, ROUTES, RULES, V1, ask, ms, with},
    support::Raw,
};

/// File 03 with a sweep every 200 ms and ejections of 600 ms.
fn quick_rules() -> String {
    let changes = [
        ("interval: 10s", "interval: 200ms"),
        ("baseEjectionTime: 30s", "baseEjectionTime: 600ms"),
    ];
    with(RULES, &changes)
}

fn counts(mesh: &Mesh) -> Vec<u64> {
    mesh.v1.iter().map(Upstream::requests).collect()
}

/// Sends this many on the default route; returns how many of them failed.
async fn send(mesh: &Mesh, n: usize) -> usize {
    let mut caller = Caller::http1(mesh.addr()).await;
    let mut failed = 0;
    for _ in 0..n {
        failed += usize::from(caller.send(ask("/x", &[])).await.status == 500);
    }
    failed
}

#[tokio::test]
async fn five_errors_eject_and_time_lets_back_in() {
    let mesh = Plan::rules(&quick_rules())
        .and("routes.yaml", ROUTES)
        .start()
        .await;
    let bad = &mesh.v1[1];
    bad.set_script(Answer::status(StatusCode::INTERNAL_SERVER_ERROR));
    let mut caller = Caller::http1(mesh.addr()).await;
    let (mut failed, mut begin) = (0, Instant::now());
    while failed < 5 {
        begin = Instant::now();
        let reply = caller.send(ask("/x", &[])).await;
        failed += usize::from(reply.status == 500);
    }
    assert_eq!(bad.requests(), 5);
    bad.set_script(Answer::ok());
    // Seen by all who look, and gone from the next pick on.
    let page = mesh.page("/clusters").await.body;
    let flags = |upstream: &Upstream| {
        let line = format!("{V1}::{}::health_flags::", upstream.addr());
        let found = page.lines().find_map(|l| l.strip_prefix(&line));
        found
            .unwrap_or_else(|| panic!("no {line} in {page}"))
            .to_owned()
    };
    assert_eq!(flags(bad), "/failed_outlier_check");
    assert_eq!(flags(&mesh.v1[0]), "healthy");
    let json: serde_json::Value =
        serde_json::from_str(&mesh.page("/clusters?format=json").await.body).unwrap();
    let clusters = json["cluster_statuses"].as_array().unwrap();
    let cluster = clusters.iter().find(|c| c["name"] == V1).unwrap();
    let health: Vec<_> = cluster["host_statuses"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|h| h["health_status"]["failed_outlier_check"] == true)
        .map(|h| {
            h["address"]["socket_address"]["port_value"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(health, [u64::from(bad.addr().port())]);
    assert_eq!(mesh.of(V1, "outlier_detection.ejections_active").await, 1);
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        1
    );
    assert_eq!(mesh.of(V1, "membership_healthy").await, 2);
    // It gets nothing until the sweep after 600 ms.
    while mesh.of(V1, "outlier_detection.ejections_active").await == 1 {
        assert!(begin.elapsed() < ms(2500));
        assert!(caller.send(ask("/x", &[])).await.is_ok());
        assert!(bad.requests() == 5 || begin.elapsed() >= ms(600));
    }
    assert!(begin.elapsed() >= ms(600), "{:?}", begin.elapsed());
    while bad.requests() == 5 {
        assert!(begin.elapsed() < ms(2500));
        assert!(caller.send(ask("/x", &[])).await.is_ok());
    }
}

#[tokio::test]
async fn half_is_half_one_of_three() {
    for failing in [2, 3] {
        let mesh = Plan::routes(ROUTES).start().await;
        let error = Answer::status(StatusCode::INTERNAL_SERVER_ERROR);
        for upstream in mesh.v1.iter().take(failing) {
            upstream.set_script(error.clone());
        }
        send(&mesh, 40).await;
        let before = counts(&mesh);
        assert_eq!(mesh.of(V1, "outlier_detection.ejections_active").await, 1);
        assert!(mesh.of(V1, "outlier_detection.ejections_overflow").await >= 1);
        assert_eq!(before.iter().filter(|n| **n == 5).count(), 1, "{before:?}");
        let failed = send(&mesh, 60).await;
        let moved = before
            .iter()
            .zip(counts(&mesh))
            .filter(|(a, b)| *a != b)
            .count();
        assert_eq!(moved, 2, "{failing}");
        assert!(
            if failing == 3 {
                failed == 60
            } else {
                (10..50).contains(&failed)
            },
            "{failed}"
        );
    }
}

#[tokio::test]
async fn hanging_endpoints_are_ejected_and_a_callers_own_hurry_ejects_nothing() {
    let routes = with(
        ROUTES,
        &[
            ("timeout: 60s", "timeout: 5s"),
            ("perTryTimeout: 20s", "perTryTimeout: 120ms"),
        ],
    );
    let mesh = Plan::routes(&routes).start().await;
    mesh.v1[0].set_script(Answer::fault(Fault::Hang));
    for upstream in &mesh.v1[1..] {
        upstream.set_script(Answer::ok().with_delay(ms(15)));
    }
    let mut caller = Caller::http1(mesh.addr()).await;
    // All of them hang for callers that wait for 5 ms.
    for _ in 0..30 {
        let reply = caller
            .send(ask("/x", &[("x-envoy-expected-rq-timeout-ms", "5")]))
            .await;
        assert_eq!(reply.status, 504);
    }
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        0
    );
    for _ in 0..25 {
        assert!(caller.send(ask("/x", &[])).await.is_ok());
    }
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        1
    );
    // On a busy machine a good one may be late too, but not five times in a row.
    assert!(mesh.of(V1, "upstream_rq_per_try_timeout").await >= 5);
    let hung = mesh.v1[0].requests();
    for _ in 0..10 {
        assert!(caller.send(ask("/x", &[])).await.is_ok());
    }
    assert_eq!(mesh.v1[0].requests(), hung);
}

#[tokio::test]
async fn a_callers_slow_upload_ejects_nothing_and_costs_no_attempt() {
    let routes = with(
        ROUTES,
        &[
            ("timeout: 60s", "timeout: 400ms"),
            ("perTryTimeout: 20s", "perTryTimeout: 100ms"),
        ],
    );
    let mesh = Plan::routes(&routes).start().await;
    let upload = async |mut raw: Raw, stall: Option<u64>| {
        raw.write("POST /x HTTP/1.1\r\nhost: llm-service\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab").await;
        if let Some(stall) = stall {
            tokio::time::sleep(ms(stall)).await;
            raw.write("cd").await;
        }
        raw.rest().await
    };
    // Twice the per-try timeout: the clock of the attempt runs from the end of the upload.
    let answer = upload(Raw::connect(mesh.addr()).await, Some(250)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(mesh.log.nth(0).await.notes.attempts, 1);
    // Never: after as long as the route's timeout the caller is told so, and it was not the upstream.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        tasks.spawn(upload(Raw::connect(mesh.addr()).await, None));
    }
    for answer in tasks.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let line = mesh.log.nth(1).await;
    assert_eq!((line.notes.attempts, line.status), (1, 408));
    assert_eq!(
        mesh.of(V1, "outlier_detection.ejections_enforced_total")
            .await,
        0
    );
    assert_eq!(mesh.of(V1, "upstream_rq_per_try_timeout").await, 0);
    assert_eq!(mesh.of(V1, "upstream_rq_timeout").await, 0);
    let clusters = mesh.page("/clusters").await.body;
    let bad = |l: &&str| l.contains("::rq_error::") && !l.ends_with("::0");
    assert_eq!(clusters.lines().find(bad), None);
    // An upstream that hangs with the upload done is to blame as ever.
    mesh.v1
        .iter()
        .for_each(|u| u.set_script(Answer::fault(Fault::Hang)));
    send(&mesh, 1).await;
    assert!(mesh.of(V1, "upstream_rq_per_try_timeout").await >= 2);
}
