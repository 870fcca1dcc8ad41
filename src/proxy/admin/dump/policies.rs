//! LLM policies, in the words of the `LlmPolicy` resource. Where keys are read from is shown, never a key.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::seconds::seconds;
use crate::{
    layers::{
        callers::{Caller, CallerKey},
        fallback::{Credential, KeyHeader, OwnKey, Resume, Target},
        limit::tokens::params::{Allowance, By, Limit},
        stream::Clocks,
    },
    llm::{Dialect, DialectMode},
    model::{LlmPolicy, MeshModel, llm::Retries},
    retry::params::Budget,
};

/// Every policy that a route has. One whose targets differ from route to route appears once for each.
#[must_use]
pub(super) fn all(model: &MeshModel) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let shared = model.virtual_hosts.iter().flat_map(|host| &host.llm);
    let distinct = shared
        .flatten()
        .filter(|p| seen.insert(Arc::as_ptr(p) as usize));
    let mut all: Vec<Value> = distinct.map(|p| policy(p)).collect();
    all.sort_by_cached_key(ToString::to_string);
    all.dedup();
    all
}

/// One policy. What holds without being said is shown too.
#[must_use]
pub fn policy(p: &LlmPolicy) -> Value {
    json!({
        "name": p.origin,
        "dialect": dialect(p.stream.dialect),
        "paths": p.paths,
        "models": p.models.pairs().map(|(name, model)| (name.to_owned(), (**model).into())).collect::<Map<_, _>>(),
        "listModels": p.list_models,
        "timeouts": clocks(&p.stream.clocks),
        "retries": retries(&p.retries),
        "fallback": p.fallback.targets.iter().map(target).collect::<Vec<_>>(),
        "fallbackOn": {"contentFilter": p.fallback.content_filter},
        "resume": match p.fallback.resume {
            Resume::Off => "off",
            Resume::Prefill => "prefill",
        },
        "limits": p.limits.limits.iter().map(limit).collect::<Vec<_>>(),
        "callers": p.callers.iter().map(caller).collect::<Vec<_>>(),
        "credential": p.credential.as_ref().map(own_key),
        "credentials": {"plaintext": p.plaintext},
        "defaultOutputTokens": p.limits.default_output,
        "usage": {"inject": p.stream.inject_usage},
        "reasoning": if p.stream.reasoning_commits { "commit" } else { "hold" },
        "holdBytes": p.stream.hold_cap,
        "headers": p.headers,
    })
}

fn dialect(setting: DialectMode) -> &'static str {
    match setting {
        DialectMode::Auto => "auto",
        DialectMode::StatusOnly => "status-only",
        DialectMode::Fixed(dialect) => match dialect {
            Dialect::OpenAi => "openai",
            Dialect::OpenAiResponses => "openai-responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
            Dialect::Bedrock => "bedrock",
            Dialect::Cohere => "cohere",
            Dialect::Ollama => "ollama",
            Dialect::Tgi => "tgi",
        },
    }
}

/// Only what is there.
fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(Map::from_iter(given))
}

fn clocks(c: &Clocks) -> Value {
    let time = |limit: Option<Duration>| limit.map(|limit| seconds(limit).into());
    given([
        ("headers", time(c.headers)),
        ("firstToken", time(c.first_token)),
        ("interToken", time(c.inter_token)),
        (
            "minTokensPerSecond",
            c.min_tokens_per_second.map(Into::into),
        ),
        (
            "window",
            c.min_tokens_per_second.map(|_| seconds(c.window).into()),
        ),
    ])
}

fn retries(r: &Retries) -> Value {
    let budget = r.budget.map(|budget| match budget {
        Budget::Percent {
            share,
            min_per_second,
            ..
        } => json!({"percent": share.get() * 100.0, "minPerSecond": min_per_second}),
        Budget::TokenBucket { capacity, .. } => json!({"tokens": capacity}),
    });
    given([
        ("budget", budget),
        ("maxHint", r.max_hint.map(|hint| seconds(hint).into())),
        ("beforeFirstToken", Some(r.before_first_token.into())),
    ])
}

fn target(t: &Target) -> Value {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(Into::into);
    given([
        ("cluster", Some((*t.cluster).into())),
        ("authority", text(&t.authority)),
        ("path", text(&t.path)),
        ("model", text(&t.model)),
        (
            "credential",
            t.credential.as_ref().map(|from| credential(from, t.header)),
        ),
        ("account", text(&t.account)),
        ("larger", Some(t.larger.into())),
        ("prefill", Some(t.prefill.into())),
    ])
}

/// Where a key is read from.
fn credential(from: &Credential, header: Option<KeyHeader>) -> Value {
    let (env, file) = match from {
        Credential::Env(name) => (Some(name.as_str().into()), None),
        Credential::File(path) => (None, Some(path.display().to_string().into())),
    };
    let header = header.map(|header| header.name().as_str().into());
    given([("env", env), ("file", file), ("header", header)])
}

/// A caller; of a key that is known by its hash not even that.
fn caller(c: &Caller) -> Value {
    let key = |key: &CallerKey| match key {
        CallerKey::Sha256(_) => json!("sha256"),
        CallerKey::Stored(from) => credential(from, None),
    };
    let models = c.models.iter().map(|glob| Value::from(glob.as_str()));
    given([
        ("name", Some((*c.name).into())),
        ("keys", Some(c.keys.iter().map(key).collect())),
        ("models", (!c.models.is_empty()).then(|| models.collect())),
    ])
}

fn own_key(own: &OwnKey) -> Value {
    let mut shown = match &own.credential {
        Some(from) => credential(from, own.header),
        None => json!({}),
    };
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("passthrough".to_owned(), own.passthrough.into());
    }
    shown
}

fn limit(l: &Limit) -> Value {
    let key = match &l.by {
        By::Route => None,
        By::Credential => Some(json!({"credential": true})),
        By::Model => Some(json!({"model": true})),
        By::Caller => Some(json!({"caller": true})),
        By::Header { name, value: None } => Some(json!({"header": name.as_str()})),
        By::Header {
            name,
            value: Some(value),
        } => Some(json!({"header": name.as_str(), "value": value})),
    };
    let allowance = |allowed: Option<Allowance>| {
        allowed.map(|allowed| json!({"amount": allowed.amount, "per": seconds(allowed.per)}))
    };
    given([
        ("name", Some((*l.name).into())),
        ("caller", l.caller.as_deref().map(Into::into)),
        ("key", key),
        ("requests", allowance(l.requests)),
        ("tokens", allowance(l.tokens)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, Source, load};

    #[test]
    fn a_policy_reads_like_its_resource() {
        let text = include_str!("../../../config/llm_policy/everything.yaml");
        let loaded = load(&[Source::new("a.yaml", text)], &Options::default());
        let model = loaded.model.unwrap();
        let [policy] = &all(&model)[..] else {
            panic!("one policy");
        };
        assert_eq!(
            policy["fallback"],
            json!([
                {"cluster": "outbound|8080|v2|llm.ai.svc.cluster.local", "larger": true, "prefill": true},
                {"cluster": "outbound|8080||backup.ai.svc.cluster.local", "authority": "backup.ai.svc.cluster.local",
                 "model": "gpt-4o-mini", "credential": {"env": "BACKUP_KEY"}, "account": "second", "larger": false, "prefill": false},
                {"cluster": "outbound|8080|v1|llm.ai.svc.cluster.local", "model": "small",
                 "credential": {"file": "/var/run/secrets/key", "header": "x-api-key"}, "larger": false, "prefill": true},
            ])
        );
        assert_eq!(
            policy["callers"],
            json!([
                {"name": "web", "keys": ["sha256", {"env": "WEB_KEY"}], "models": ["gpt-4o*", "small"]},
                {"name": "batch", "keys": [{"file": "/var/run/secrets/batch"}]},
            ])
        );
        assert_eq!(
            policy["limits"][5],
            json!({"name": "ai/chat/web/route", "caller": "web", "requests": {"amount": 60, "per": "60s"}})
        );
        assert_eq!(
            (&policy["credential"], &policy["credentials"]),
            (
                &json!({"env": "OWN_KEY", "header": "api-key", "passthrough": true}),
                &json!({"plaintext": true})
            )
        );
        assert_eq!(
            policy["timeouts"],
            json!({"headers": "10s", "firstToken": "15s", "interToken": "20s", "minTokensPerSecond": 0.5, "window": "5s"})
        );
        assert_eq!(
            policy["limits"][0],
            json!({"name": "ai/chat/free", "key": {"header": "x-user-tier", "value": "free"},
                   "requests": {"amount": 10, "per": "1s"}, "tokens": {"amount": 100_000, "per": "60s"}})
        );
        assert_eq!(
            policy["retries"]["budget"],
            json!({"percent": 20.0, "minPerSecond": 3})
        );
        assert_eq!(
            (&policy["dialect"], &policy["resume"]),
            (&json!("openai"), &json!("prefill"))
        );
    }
}
