//! The fault drill: everything that goes wrong with LLM providers, at one address, and what a caller of the mesh sees.
//!
//! Two retries, 30 s in all, one fallback model. Faults are asked for by the model's name, as users of the mock would.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    ask::{Call, Reply, call},
    progress::Step,
    report::{Report, Row},
};
use crate::{
    base::{
        BoxError,
        time::{Instant, sleep},
    },
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::Upstream,
};

const MESH: &str = include_str!("faults.yaml");

/// Who answers when the model that was asked for cannot.
const BACKUP: &str = "backup";

/// One fault and what is promised about it.
struct Case {
    story: &'static str,
    call: Call,
    promise: &'static str,
    /// Whether the caller saw what was promised. `asked`: how often the provider was asked for the model itself.
    kept: fn(&Reply, asked: u64) -> bool,
}

/// The drill: a provider with every model, and the proxy in front of it.
struct Drill {
    upstream: Upstream,
    proxy: Proxy,
}

/// Plays all cases at once; the longest takes a minute.
pub(super) async fn play() -> Result<Report, BoxError> {
    let drill = Arc::new(Drill::build().await?);
    let cases = cases();
    let step = Step::begin("the fault drill, a minute", cases.len() + FLAPS);
    let mut running = JoinSet::new();
    for (i, case) in cases.into_iter().enumerate() {
        let (drill, done) = (Arc::clone(&drill), Arc::clone(step.done()));
        running.spawn(async move {
            // Not all in the same moment: they share one retry budget.
            sleep(Duration::from_millis(400) * u32::try_from(i).unwrap_or(0)).await;
            let reply = call(drill.proxy.outbound(), &case.call).await;
            done.inc();
            (i, case, reply)
        });
    }
    let flapping = {
        let (drill, done) = (Arc::clone(&drill), Arc::clone(step.done()));
        tokio::spawn(async move { flap(drill.proxy.outbound(), &|| done.inc()).await })
    };
    let mut seen = running.join_all().await;
    seen.sort_by_key(|(i, ..)| *i);
    let mut report = Report::default();
    for (_, case, reply) in seen {
        judge(&drill, &mut report, &case, &reply);
    }
    flapped(&mut report, &flapping.await?);
    step.end();
    Ok(report)
}

// === impl Drill ===

impl Drill {
    async fn build() -> Result<Self, BoxError> {
        let upstream = Upstream::builder().record(false).start().await?;
        let mesh = MESH.replace("$PORT", &upstream.addr().port().to_string());
        let mut options = Options::new(Input::inline(vec![Source::new("demo/faults.yaml", mesh)]));
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = None;
        let proxy = Proxy::start(options).await?;
        Ok(Self { upstream, proxy })
    }

    /// How often the provider was asked for this very model. It counts by names without the fault.
    fn asked(&self, model: &str) -> u64 {
        let model = model.split('@').next().unwrap_or(model);
        let usage = self.upstream.usage();
        let of_model = usage.iter().filter(|u| u.model == model);
        of_model.map(|u| u.requests).sum()
    }
}

fn judge(drill: &Drill, report: &mut Report, case: &Case, reply: &Reply) {
    let asked = drill.asked(&case.call.model);
    let kept = (case.kept)(reply, asked);
    let seen = format!("{reply}, asked {asked} x");
    report.rows.push(Row {
        story: case.story.to_owned(),
        requests: 1,
        success: usize::from(kept),
        attempts: f64::from(u32::try_from(asked).unwrap_or(u32::MAX))
            + f64::from(u8::from(reply.by(BACKUP))),
        note: seen.clone(),
    });
    report.expect(kept, format!("{}: {}", case.story, case.promise), seen);
}

/// The answer of the model that was asked for, whole.
fn own(reply: &Reply) -> bool {
    reply.whole() && !reply.by(BACKUP)
}

/// The backup's answer, whole.
fn backup(reply: &Reply) -> bool {
    reply.whole() && reply.by(BACKUP)
}

/// A stream that cannot be taken for whole: an error event and an unclean end after a good beginning.
fn honest(reply: &Reply) -> bool {
    reply.status == 200 && reply.broken && reply.error && !reply.finished && reply.tokens > 0
}

fn cases() -> Vec<Case> {
    let mut all = before_the_answer();
    all.extend(in_the_answer());
    all.extend(verdicts());
    all
}

/// What goes wrong before anything of an answer was seen.
fn before_the_answer() -> Vec<Case> {
    let case = |story, model: &str, promise, kept| Case {
        story,
        call: Call::whole(model),
        promise,
        kept,
    };
    let slow = "slow@first-token-delay-ms=20000";
    vec![
        case(
            "429, Retry-After 2 s",
            "pace@429;retry-after=2;times=1",
            "the answer, after the provider's wait",
            |r, asked| own(r) && asked == 2 && (2.0..5.0).contains(&r.took.as_secs_f64()),
        ),
        case(
            "429 for ever",
            "full@429",
            "the backup's answer after few attempts",
            |r, asked| backup(r) && asked <= 3,
        ),
        case("500 once", "once@500;times=1", "one retry", |r, asked| {
            own(r) && asked == 2
        }),
        case(
            "503 for ever",
            "ill@503",
            "the backup's answer",
            |r, asked| backup(r) && asked <= 3,
        ),
        case(
            "TCP reset",
            "rst@reset",
            "the backup's answer",
            |r, asked| backup(r) && asked <= 3,
        ),
        case(
            "no answer at all",
            "mute@hang",
            "the backup's answer; the silent one is not asked twice",
            |r, asked| backup(r) && asked == 1 && r.took.as_secs() < 15,
        ),
        Case {
            story: "headers at once, first token after 20 s",
            call: Call::stream(slow),
            promise: "the backup's answer by the first-token limit, within 15 s",
            kept: |r, asked| backup(r) && asked == 1 && r.took.as_secs() < 15,
        },
        Case {
            story: "an error event before the first token",
            call: Call::stream("early@overloaded;error:0"),
            promise: "the backup's answer, the event unseen",
            kept: |r, _| backup(r) && !r.error,
        },
    ]
}

/// What goes wrong in the middle of a stream.
fn in_the_answer() -> Vec<Case> {
    let case = |story, path, model: &str, promise, kept| Case {
        story,
        call: Call::stream(model).at(path),
        promise,
        kept,
    };
    vec![
        case(
            "cut at 40 of 60 tokens",
            "/",
            "cut@tokens=60;cut:40t",
            "never shown as complete",
            |r, _| honest(r) && r.tokens <= 40,
        ),
        case(
            "a clean end at 40 of 60 tokens",
            "/",
            "end@tokens=60;end:40t",
            "never shown as complete",
            |r, _| honest(r) && r.tokens == 40,
        ),
        case(
            "stalled at 40 of 60 tokens for 30 s",
            "/",
            "stall@tokens=60;stall:40t;stall-ms=30000",
            "never shown as complete, and told after 5 s",
            |r, _| honest(r) && r.tokens == 40 && r.took.as_secs() < 10,
        ),
        case(
            "one malformed chunk",
            "/",
            "odd@tokens=60;malformed:4",
            "all 60 tokens, asked once",
            |r, asked| own(r) && r.tokens == 60 && asked == 1,
        ),
        case(
            "cut at 40 of 60, resume: prefill",
            "/resume/",
            "cut2@tokens=60;cut:40t",
            "all 60 tokens, none twice",
            |r, _| r.whole() && r.tokens == 60 && r.in_order,
        ),
        case(
            "stalled at 40 of 60, resume: prefill",
            "/resume/",
            "stall2@tokens=60;stall:40t;stall-ms=30000",
            "all 60 tokens, none twice",
            |r, _| r.whole() && r.tokens == 60 && r.in_order,
        ),
        case(
            "cut, and the backup refuses prefill",
            "/refused/",
            "cut3@tokens=60;cut:40t",
            "the original failure",
            |r, _| honest(r) && r.tokens <= 40,
        ),
        case(
            "complete, but no [DONE]",
            "/",
            "silent@no-done",
            "a success",
            |r, asked| own(r) && asked == 1,
        ),
    ]
}

/// What no repetition can change.
fn verdicts() -> Vec<Case> {
    let case = |story, model: &str, promise, kept| Case {
        story,
        call: Call::whole(model),
        promise,
        kept,
    };
    vec![
        case(
            "context length",
            "long@context_length",
            "one attempt, the 400",
            |r, asked| r.status == 400 && asked == 1 && r.attempts == 1,
        ),
        case(
            "content filter, as an error",
            "bad@content_filter",
            "one attempt, handed through",
            |r, asked| r.status == 400 && asked == 1 && r.attempts == 1,
        ),
        case(
            "content filter, as an answer",
            "filtered@finish=content_filter",
            "one attempt, handed through",
            |r, asked| r.status == 200 && asked == 1 && !r.by(BACKUP),
        ),
    ]
}

/// Requests of the flapping case, and what is between them.
const FLAPS: usize = 15;
const PAUSE: Duration = Duration::from_secs(4);
/// How long the model fails, then works.
const SPELL: Duration = Duration::from_secs(20);

/// One request each 4 s for a minute, of a model that fails for 20 s, works for 20 s and fails again.
async fn flap(proxy: SocketAddr, done: &(dyn Fn() + Sync)) -> Vec<(Duration, Reply)> {
    let begin = Instant::now();
    let mut seen = Vec::with_capacity(FLAPS);
    for _ in 0..FLAPS {
        let at = begin.elapsed();
        let call_ = Call::whole("flap@503;flap-ms=20000");
        seen.push((at, call(proxy, &call_).await));
        done();
        sleep(PAUSE.saturating_sub(begin.elapsed().saturating_sub(at))).await;
    }
    seen
}

fn flapped(report: &mut Report, seen: &[(Duration, Reply)]) {
    let good = seen.iter().filter(|(_, r)| r.whole()).count();
    let back = seen
        .iter()
        .find(|(at, r)| *at >= SPELL && own(r))
        .map(|(at, _)| at.saturating_sub(SPELL));
    let when = back.map_or_else(|| "never".to_owned(), |after| format!("{after:.0?} after"));
    report.rows.push(Row {
        story: "flapping for a minute, 20 s each".to_owned(),
        requests: seen.len(),
        success: good,
        attempts: seen.iter().map(|(_, r)| f64::from(r.attempts)).sum::<f64>() / 15.0,
        note: format!("the model itself answers again {when}"),
    });
    report.expect(
        good + 1 >= seen.len(),
        "flapping: at most one request fails",
        format!("{good} of {}", seen.len()),
    );
    report.expect(
        back.is_some_and(|after| after <= Duration::from_secs(15)),
        "flapping: the model is asked again within 15 s after it healed",
        when,
    );
}
