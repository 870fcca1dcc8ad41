//! The three days: faults under traffic, a canary, an outage of one version. And what the proxy adds.

use std::time::Duration;

use http::StatusCode;

use super::{
    client::{Ask, Client, Seen, send_all},
    progress::Step,
    report::{Report, Row},
    stage::Stage,
    tally::percentile,
};
use crate::{
    base::BoxError,
    testing::upstream::{Answer, Script},
};

const CHAT: &str = "/api/llm/chat";
const CANARY: &str = "/api/llm/canary";
const WORKERS: usize = 16;

/// Plays all of it.
pub(super) async fn play(stage: &Stage) -> Result<Report, BoxError> {
    let mut report = Report::default();
    bad_day(stage, &mut report).await;
    canary(stage, &mut report).await;
    added_latency(stage, &mut report).await;
    outage(stage, &mut report).await;
    totals(stage, &mut report);
    Ok(report)
}

/// What one hop through the proxy costs, alone on a quiet line: the same call direct and through, in turn.
async fn added_latency(stage: &Stage, report: &mut Report) {
    const ROUNDS: usize = 400;
    let step = Step::begin("what the proxy adds", ROUNDS);
    let (mut direct, mut through) = (
        Client::new(stage.v1[0].addr()),
        Client::new(stage.proxy.outbound()),
    );
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(direct.send(&Ask::new("direct", CHAT)).await.took);
        b.push(through.send(&Ask::new("through", CHAT)).await.took);
        step.done().inc();
    }
    a.sort_unstable();
    b.sort_unstable();
    let added = |percent| percentile(&b, percent).saturating_sub(percentile(&a, percent));
    report.facts.push((
        "added p50 / p99",
        format!(
            "{:.0?} / {:.0?} (one connection, {ROUNDS} calls{})",
            added(50),
            added(99),
            if cfg!(debug_assertions) {
                "; a build without optimisation"
            } else {
                ""
            }
        ),
    ));
    step.end();
}

/// 429 with a hint, 400, an empty account, a hang, failing gateways, and a dead endpoint, all under ordinary traffic.
async fn bad_day(stage: &Stage, report: &mut Report) {
    let mut asks = Vec::new();
    for i in 0..600 {
        let sequence = |case: &'static str, text: &str| {
            Ask::new(case, CHAT)
                .with("x-mock-sequence", text)
                .with("x-mock-key", &format!("{case}-{i}"))
        };
        asks.push(match i % 20 {
            1 | 11 => sequence("hint", "429;retry-after-ms=200,200"),
            3 | 13 => sequence("gateway", "503,503,200"),
            5 => Ask::new("bad-request", CHAT).with("x-mock-error", "invalid_request"),
            7 => Ask::new("no-quota", CHAT).with("x-mock-error", "insufficient_quota"),
            9 if i % 100 == 9 => sequence("hang", "200;fault=hang,200"),
            _ => Ask::new("ordinary", CHAT),
        });
    }
    let step = Step::begin("a bad day", asks.len());
    let seen = send_all(stage.proxy.outbound(), asks, WORKERS, step.done()).await;
    step.end();

    for (case, story, want, attempts, note) in [
        (
            "ordinary",
            "ordinary; one endpoint of four is dead",
            200,
            None,
            "nothing of the dead endpoint",
        ),
        (
            "hint",
            "429, retry-after-ms: 200",
            200,
            Some(2.0),
            "the answer, after the provider's wait",
        ),
        (
            "gateway",
            "503, 503, then well",
            200,
            Some(3.0),
            "the answer",
        ),
        (
            "hang",
            "no answer at first",
            200,
            Some(2.0),
            "the answer, 1 s per-try timeout later",
        ),
        ("bad-request", "400", 400, Some(1.0), "the 400 at once"),
        (
            "no-quota",
            "429, insufficient_quota",
            429,
            Some(1.0),
            "the 429 at once: no wait can help",
        ),
    ] {
        judge(stage, report, &seen, case, story, want, attempts, note);
    }
    let soonest = of(&seen, "hint").map(|s| s.took).min().unwrap_or_default();
    report.expect(
        soonest >= Duration::from_millis(200),
        "no hinted retry before its 200 ms",
        format!("soonest {soonest:.0?}"),
    );
}

fn of<'a>(seen: &'a [Seen], case: &'a str) -> impl Iterator<Item = &'a Seen> {
    seen.iter().filter(move |s| s.case == case)
}

/// Adds a row, and the promise that every caller of the case saw `want` after so many attempts.
#[expect(clippy::too_many_arguments, reason = "one row of a table")]
fn judge(
    stage: &Stage,
    report: &mut Report,
    seen: &[Seen],
    case: &'static str,
    story: &str,
    want: u16,
    attempts: Option<f64>,
    note: &str,
) {
    let requests = of(seen, case).count();
    let as_wanted = of(seen, case).filter(|s| s.status == want).count();
    let per_request = stage.tally.case(case).per_request();
    report.rows.push(Row {
        story: story.to_owned(),
        requests,
        success: as_wanted,
        attempts: per_request,
        note: note.to_owned(),
    });
    report.expect(
        requests > 0 && as_wanted == requests,
        format!("{story}: callers see {want}"),
        format!("{as_wanted} of {requests}"),
    );
    if let Some(attempts) = attempts {
        // A try may also have met the dead endpoint before it was ejected; none is ever saved.
        let kept = per_request >= attempts && per_request < attempts + 0.5;
        report.expect(
            kept,
            format!("{story}: {attempts:.0} attempts"),
            format!("{per_request:.2}"),
        );
    }
}

/// 95/5 by weight; testers always on v2.
async fn canary(stage: &Stage, report: &mut Report) {
    // Fewer where each takes ten times as long.
    const SPLIT: usize = if cfg!(debug_assertions) { 1500 } else { 4000 };
    let mut asks = vec![Ask::new("canary", CANARY); SPLIT];
    asks.extend(vec![
        Ask::new("tester", CANARY).with("x-canary-user", "true");
        200
    ]);
    let step = Step::begin("a canary", asks.len());
    let seen = send_all(stage.proxy.outbound(), asks, WORKERS, step.done()).await;
    step.end();
    judge(
        stage,
        report,
        &seen,
        "canary",
        "95/5 canary",
        200,
        None,
        "v1 or v2",
    );
    judge(
        stage,
        report,
        &seen,
        "tester",
        "x-canary-user: true",
        200,
        None,
        "v2, always",
    );
    let v2 = |case| {
        of(&seen, case)
            .filter(|s| s.version.as_deref() == Some("v2"))
            .count()
    };
    // 4.5 sigma of a binomial share, sqrt(0.05·0.95/n): chance breaks the promise once in 60,000 demos, or fewer.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    let (share, sigma) = (
        v2("canary") as f64 / SPLIT as f64,
        (0.05 * 0.95 / SPLIT as f64).sqrt(),
    );
    report.facts.push((
        "canary split",
        format!(
            "{:.2} % v1 / {:.2} % v2 of {SPLIT}",
            100.0 * (1.0 - share),
            100.0 * share
        ),
    ));
    report.expect(
        (share - 0.05).abs() <= 4.5 * sigma,
        format!("5 % to v2, within {:.2} points", 450.0 * sigma),
        format!("{:.2} %", 100.0 * share),
    );
    report.expect(
        v2("tester") == 200,
        "testers always reach v2",
        format!("{} of 200", v2("tester")),
    );
}

/// All of v2 answers 500. Its share fails, v1's does not; half of v2 is ejected and no more; a changed weight ends it.
async fn outage(stage: &Stage, report: &mut Report) {
    for upstream in &stage.v2 {
        upstream.set_script(Script::always(Answer::status(
            StatusCode::INTERNAL_SERVER_ERROR,
        )));
    }
    let step = Step::begin("an outage of v2", 1600);
    let seen = send_all(
        stage.proxy.outbound(),
        vec![Ask::new("outage", CANARY); 800],
        WORKERS,
        step.done(),
    )
    .await;
    let failed = seen.iter().filter(|s| s.status != 200).count();
    let v1_failed = seen
        .iter()
        .filter(|s| s.status != 200 && s.version.as_deref() != Some("v2"))
        .count();
    let ejected = ejected(stage, "v2");
    let attempts = stage.tally.case("outage").per_request();
    report.rows.push(Row {
        story: "all of v2 answers 500".to_owned(),
        requests: seen.len(),
        success: seen.len() - failed,
        attempts,
        note: "v2's 5 % see its 500s; v1's callers see nothing".to_owned(),
    });
    report.expect(
        failed > 0 && v1_failed == 0,
        "v2's outage stays with v2's share",
        format!("{failed} failed, {v1_failed} of them v1's"),
    );
    report.expect(
        ejected == 1,
        "half of v2 is ejected, never all",
        format!("{ejected} of 2"),
    );

    let changed = stage
        .reload(|mesh| {
            mesh.replace("weight: 95", "weight: 100")
                .replace("weight: 5}", "weight: 0}")
        })
        .await;
    let seen = send_all(
        stage.proxy.outbound(),
        vec![Ask::new("rollback", CANARY); 800],
        WORKERS,
        step.done(),
    )
    .await;
    step.end();
    report.expect(
        changed,
        "the new weights are in force",
        if changed { "yes" } else { "refused" },
    );
    judge(
        stage,
        report,
        &seen,
        "rollback",
        "weights 100/0 put in force",
        200,
        None,
        "the answer",
    );
}

fn ejected(stage: &Stage, subset: &str) -> usize {
    let clusters = stage.proxy.clusters();
    clusters
        .iter()
        .filter(|c| c.name().subset == subset)
        .map(|c| c.ejected().len())
        .sum()
}

fn totals(stage: &Stage, report: &mut Report) {
    let requests: usize = report.rows.iter().map(|r| r.requests).sum();
    let as_promised: usize = report.rows.iter().map(|r| r.success).sum();
    report.facts.insert(0, ("requests", requests.to_string()));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    let rate = 100.0 * as_promised as f64 / requests.max(1) as f64;
    report
        .facts
        .insert(1, ("answered as promised", format!("{rate:.2} %")));
    let hints = stage.tally.case("hint").hints;
    report
        .facts
        .insert(2, ("waits honoured", hints.to_string()));
    report.expect(
        hints == 60,
        "every hint is waited for",
        format!("{hints} of 60"),
    );
    let names = stage
        .proxy
        .clusters()
        .iter()
        .flat_map(|c| {
            let subset = c.name().subset.clone();
            c.ejected()
                .into_iter()
                .map(move |address| format!("{subset} {address}"))
                .collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    report.facts.insert(
        3,
        (
            "ejected now",
            if names.is_empty() {
                "-".to_owned()
            } else {
                names.join(", ")
            },
        ),
    );
}
