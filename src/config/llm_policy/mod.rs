//! `LlmPolicy`: what Istio cannot say about LLM traffic.
//!
//! Our own kind, as strict as the others. A key never stands in it: credentials are named by where they are, and no
//! finding repeats what was written in their place.

mod callers;
mod clocks;
mod credential;
mod dialects;
mod fallback;
mod limits;
mod models;
mod prefix;

use std::{num::NonZeroU64, sync::Arc, time::Duration};

pub(super) use self::fallback::TargetRef;
use self::{
    credential::Keys,
    dialects::DIALECTS,
    prefix::{MAX_PATH, is_plain_path},
};
use super::{
    decode::{Field, Least, Object},
    diagnostic::{Origin, Place},
    istio::virtual_service::host_names,
};
use crate::{
    base::Share,
    layers::{
        fallback::{Credential, Resume},
        limit::tokens::params::Params as TokenLimits,
        retry::params::Budget,
    },
    model,
};

/// An LlmPolicy, with its targets still to be linked.
#[derive(Debug)]
pub(super) struct LlmPolicy {
    pub(super) origin: Arc<Origin>,
    pub(super) place: Place,
    /// Full names; `None` is every host of the namespace.
    pub(super) hosts: Option<Vec<(String, Place)>>,
    /// Names of routes; `None` is all.
    pub(super) routes: Option<Vec<(String, Place)>>,
    /// All of it but the targets.
    pub(super) model: model::LlmPolicy,
    /// The limits that a route's timeout may make void.
    pub(super) clocks: Vec<(&'static str, Duration, Place)>,
    pub(super) targets: Vec<TargetRef>,
    pub(super) keys: Keys,
}

/// Over which a budget counts.
const BUDGET_INTERVAL: Duration = Duration::from_secs(10);

/// The most of a stream that can be held back, in bytes.
const MAX_HOLD: i64 = 1 << 20;

/// Reads `spec`.
pub(super) fn read(spec: &Object<'_>) -> LlmPolicy {
    let origin = spec.field().origin();
    let mut policy = model::LlmPolicy {
        origin: origin.id(),
        ..model::LlmPolicy::default()
    };
    let hosts = given(spec, "hosts").map(|()| host_names(spec));
    let routes = given(spec, "routes").map(|()| route_names(spec));
    policy.paths = paths(spec);
    policy.models = Arc::new(models::read(spec));
    policy.list_models = spec.bool("listModels").unwrap_or_default();
    let clocks = stream(spec, &mut policy);
    retries(spec, &mut policy.retries);
    let targets = fallback::read(spec);
    if let Some(on) = spec.object("fallbackOn") {
        policy.fallback.content_filter = on.bool("contentFilter").unwrap_or_default();
    }
    if let Some(field) = spec.get("resume") {
        policy.fallback.resume = resume(&field).unwrap_or_default();
    }
    policy.limits = token_limits(spec);
    policy.headers = spec.bool("headers").unwrap_or(true);
    let mut keys: Keys = targets.iter().filter_map(key_of_target).collect();
    if let Some((own, place)) = credential::own(spec) {
        let what = "the route answers 503 to who needs it";
        keys.extend(own.credential.clone().map(|from| (from, place, what)));
        policy.credential = Some(own);
    }
    policy.callers = callers::read(spec, &mut policy.limits.limits, &mut keys);
    if let Some(credentials) = spec.object("credentials") {
        policy.plaintext = credentials.bool("plaintext").unwrap_or_default();
    }
    LlmPolicy {
        origin: Arc::clone(origin),
        place: spec.place(),
        hosts,
        routes,
        model: policy,
        clocks,
        targets,
        keys,
    }
}

fn key_of_target(target: &TargetRef) -> Option<(Credential, Place, &'static str)> {
    let (from, place) = target.credential.clone()?;
    Some((from, place, "the target is passed over"))
}

/// Whether a list is there. An empty one selects nothing, which is hardly meant.
fn given(spec: &Object<'_>, name: &'static str) -> Option<()> {
    let field = spec.get(name)?;
    if field.is_empty_list() {
        let message = format!("`{name}` is empty: the policy is for nothing");
        let hint = format!("name {name}, or leave `{name}` out for all of them");
        field.error("empty-selector", message, hint);
    }
    Some(())
}

fn route_names(spec: &Object<'_>) -> Vec<(String, Place)> {
    let mut routes: Vec<(String, Place)> = Vec::new();
    for (name, field) in spec.get("routes").map(|r| r.strings()).unwrap_or_default() {
        if name.is_empty() {
            field.error("bad-name", "the name is empty", "the name of a route");
        } else if let Some((_, first)) = routes.iter().find(|(other, _)| other == name) {
            let message = format!("{name:?} is already named in line {}", first.line);
            field.error("duplicate-route", message, "keep one of the two");
        } else {
            routes.push((name.to_owned(), field.place()));
        }
    }
    routes
}

/// Prefixes of paths.
fn paths(spec: &Object<'_>) -> Vec<String> {
    let mut paths: Vec<(String, Place)> = Vec::new();
    for (path, field) in spec.get("paths").map(|p| p.strings()).unwrap_or_default() {
        if !is_plain_path(path) {
            let message = format!(
                "expected the beginning of a path, such as /ask: it begins with `/`, has no more than {MAX_PATH} characters and neither `?`, `#`, `*` nor blanks"
            );
            let hint = "a prefix covers what lies below it, element by element";
            field.error("bad-path", message, hint);
        } else if let Some((_, first)) = paths.iter().find(|(other, _)| other == path) {
            let message = format!("{path:?} is already named in line {}", first.line);
            field.error("duplicate-path", message, "keep one of the two");
        } else {
            paths.push((path.to_owned(), field.place()));
        }
    }
    paths.into_iter().map(|(path, _)| path).collect()
}

/// What concerns answers and their streams.
fn stream(
    spec: &Object<'_>,
    policy: &mut model::LlmPolicy,
) -> Vec<(&'static str, Duration, Place)> {
    let stream = &mut policy.stream;
    if let Some(dialect) = spec.get("dialect").and_then(|d| d.word(DIALECTS)) {
        stream.dialect = dialect;
    }
    if let Some(usage) = spec.object("usage") {
        stream.inject_usage = usage.bool("inject").unwrap_or_default();
    }
    if let Some(reasoning) = spec.get("reasoning") {
        let words = [("commit", true), ("hold", false)];
        stream.reasoning_commits = reasoning.word(&words).unwrap_or(true);
    }
    if let Some(cap) = spec.get("holdBytes").and_then(|cap| cap.int(0, MAX_HOLD)) {
        stream.hold_cap = usize::try_from(cap).unwrap_or(stream.hold_cap);
    }
    let Some(timeouts) = spec.object("timeouts") else {
        return Vec::new();
    };
    clocks::read(&timeouts, &mut stream.clocks)
}

fn retries(spec: &Object<'_>, retries: &mut model::llm::Retries) {
    let Some(object) = spec.object("retries") else {
        return;
    };
    retries.budget = object.get("budget").and_then(|field| budget(&field));
    retries.max_hint = object
        .get("maxHint")
        .and_then(|hint| hint.duration(Least::Zero));
    retries.before_first_token = object.bool("beforeFirstToken").unwrap_or(true);
}

/// As a DestinationRule's `retryBudget`, but for the name of its minimum. More than 100 % is a retry for each request and
/// more.
fn budget(field: &Field<'_>) -> Option<Budget> {
    let object = field.object()?;
    let percent = object.get("percent").map(|p| p.number(0.0, 1000.0));
    let floor = object.get("minPerSecond").map(|floor| floor.count());
    let percent = percent.unwrap_or(Some(20.0))?;
    let min_per_second = floor.unwrap_or(Some(3))?;
    if percent == 0.0 && min_per_second == 0 {
        let hint = "give it a `percent` or a `minPerSecond`; for no retries, `attempts: 0` in the VirtualService says so";
        field.warn("budget-of-nothing", "it allows no retry at all", hint);
    }
    Some(Budget::Percent {
        share: Share::new(percent / 100.0).ok()?,
        min_per_second,
        ttl: BUDGET_INTERVAL,
    })
}

/// `off` or `prefill`. YAML 1.1 reads a bare `off` as false, and so do tools that rewrite files: both are off.
fn resume(field: &Field<'_>) -> Option<Resume> {
    match field.bool_quietly() {
        Some(false) => Some(Resume::Off),
        Some(true) => {
            let message = "expected off or prefill, found the boolean true";
            field.error("wrong-type", message, "write prefill");
            None
        }
        None => field.word(&[("off", Resume::Off), ("prefill", Resume::Prefill)]),
    }
}

fn token_limits(spec: &Object<'_>) -> TokenLimits {
    let mut limits = TokenLimits::new(limits::read(spec));
    limits.default_output = spec
        .get("defaultOutputTokens")
        .and_then(|tokens| tokens.int(1, i64::from(u32::MAX)))
        .and_then(|tokens| NonZeroU64::new(tokens.unsigned_abs()));
    limits
}
