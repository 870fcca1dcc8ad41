//! One LLM provider behind a proxy, and the two accounts of what it did: its own, and the mesh's.

use std::sync::Arc;

use http::Request;
use llmesh::{
    base::SharedRng,
    body::Body,
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::Upstream,
};
use serde_json::Value;

use crate::kit::{Caller, Log};

pub const HOST: &str = "llm.test";

/// The provider, the proxy and what it noted.
pub struct Llm {
    pub upstream: Upstream,
    pub proxy: Proxy,
    pub log: Arc<Log>,
}

/// What the mesh settled under one limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settled {
    pub allowed: u64,
    pub refused: u64,
    pub tokens: u64,
    pub estimated: u64,
}

/// What the provider counted for one key, or for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub prompt: u64,
    pub completion: u64,
}

// === impl Llm ===

impl Llm {
    /// `rest`: the `VirtualService` and the policies, of the namespace `ai`.
    pub async fn start(rest: &str) -> Self {
        let upstream = Upstream::builder().record(false).start().await.unwrap();
        let service = format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: llm, namespace: ai}}\nspec:\n  \
             hosts: [{HOST}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
             endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n---\n{rest}",
            upstream.addr().port()
        );
        let log = Arc::new(Log::default());
        let mut options = Options::new(Input::inline(vec![Source::new("llm.yaml", service)]));
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = None;
        options.rng = SharedRng::seeded(11);
        options.reports = vec![Arc::clone(&log) as _];
        let proxy = Proxy::start(options).await.map_err(|e| e.to_string());
        Self {
            upstream,
            proxy: proxy.unwrap(),
            log,
        }
    }

    /// Of the limit with this whole name: namespace, policy, limit.
    pub fn settled(&self, name: &str) -> Settled {
        let all = self.proxy.reloader().limits().stats();
        let stats = all.iter().find(|(n, _)| **n == *name);
        let (_, stats) = stats.unwrap_or_else(|| panic!("no {name} in {all:?}"));
        Settled {
            allowed: stats.allowed.get(),
            refused: stats.refused.get(),
            tokens: stats.tokens.get(),
            estimated: stats.estimated.get(),
        }
    }

    /// Of this key; of all without one.
    pub async fn used(&self, key: Option<&str>) -> Used {
        let mut request = Request::get("/mock/usage").header("host", "mock");
        if let Some(key) = key {
            request = request.header("authorization", bearer(key));
        }
        let mut caller = Caller::http1(self.upstream.addr()).await;
        let reply = caller.send(request.body(Body::empty()).unwrap()).await;
        let usage: Value = serde_json::from_str(&reply.body).unwrap();
        let number = |name: &str| usage[name].as_u64().unwrap();
        Used {
            prompt: number("prompt_tokens"),
            completion: number("completion_tokens"),
        }
    }
}

// === impl Used ===

impl Used {
    pub fn tokens(&self) -> u64 {
        self.prompt + self.completion
    }
}

pub fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}
