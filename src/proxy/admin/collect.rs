//! Gathers every number for the statistics pages.

use std::sync::Arc;

use super::stats::{Scope, Stat};
use crate::{
    base::time::Instant,
    fallback,
    limit::tokens,
    proxy::{registry::Upstream, reload::Reloader, state::ServerState},
    stack::Counters,
};

/// Every number there is.
#[must_use]
pub(super) fn all(reloader: &Reloader, state: &ServerState) -> Vec<Stat> {
    let mut out = server(reloader, state);
    for (name, cluster) in &reloader.snapshot().clusters {
        let mut page = Page {
            cluster: name,
            out: &mut out,
        };
        page.pool(cluster);
        page.requests(cluster);
        page.ceilings(cluster);
        page.endpoints(cluster);
    }
    limits(&reloader.limits().stats(), &mut out);
    fallback(reloader.fallback(), &mut out);
    out
}

fn fallback(stats: &fallback::Stats, out: &mut Vec<Stat>) {
    for (name, counter) in [
        ("fallbacks", &stats.fallbacks),
        ("rescued", &stats.rescued),
        ("exhausted", &stats.exhausted),
        ("passed_over", &stats.passed_over),
        ("steered", &stats.steered),
        ("refused", &stats.refused),
        ("budget_exhausted", &stats.budget_exhausted),
        ("resumed", &stats.resumed),
        ("not_resumed", &stats.not_resumed),
    ] {
        out.push(Stat::counter(Scope::Fallback, name, counter.get()));
    }
}

fn limits(all: &[(Arc<str>, Arc<tokens::Stats>)], out: &mut Vec<Stat>) {
    for (limit, stats) in all {
        for (name, counter) in [
            ("rq_allowed", &stats.allowed),
            ("rq_refused", &stats.refused),
            ("rq_too_large", &stats.too_large),
            ("rq_estimated", &stats.estimated),
            ("tokens_total", &stats.tokens),
        ] {
            let scope = Scope::Limit(limit.to_string());
            out.push(Stat::counter(scope, name, counter.get()));
        }
    }
}

fn server(reloader: &Reloader, state: &ServerState) -> Vec<Stat> {
    let (http, server) = (|| Scope::Http, || Scope::Server);
    let mut out = vec![
        Stat::counter(http(), "downstream_rq_total", state.downstream.total.get()),
        Stat::counter(
            http(),
            "downstream_rq_completed",
            state.downstream.completed.get(),
        ),
        Stat::gauge(http(), "downstream_rq_active", state.active.get()),
        Stat::counter(http(), "downstream_cx_total", state.connections.get()),
        Stat::gauge(server(), "live", 1),
        Stat::gauge(
            server(),
            "config_left_out",
            reloader.left_out().len() as u64,
        ),
        Stat::gauge(server(), "uptime", state.uptime().as_secs()),
        Stat::counter(
            server(),
            "config_reload_success",
            reloader.stats.success.get(),
        ),
        Stat::counter(
            server(),
            "config_reload_failure",
            reloader.stats.failure.get(),
        ),
        Stat::counter(
            server(),
            "config_reload_unchanged",
            reloader.stats.unchanged.get(),
        ),
    ];
    codes(&state.downstream, "downstream_rq", &http, &mut out);
    out
}

/// `PREFIX_503` and `PREFIX_5xx` for every status that came.
fn codes(counters: &Counters, prefix: &str, scope: &dyn Fn() -> Scope, out: &mut Vec<Stat>) {
    let mut classes = [0_u64; 5];
    for (code, n) in counters.by_code() {
        out.push(Stat::counter(scope(), format!("{prefix}_{code}"), n));
        if let Some(class) = classes.get_mut(usize::from(code / 100).saturating_sub(1)) {
            *class += n;
        }
    }
    for (class, n) in (1..).zip(classes) {
        out.push(Stat::counter(scope(), format!("{prefix}_{class}xx"), n));
    }
}

struct Page<'a> {
    cluster: &'a str,
    out: &'a mut Vec<Stat>,
}

// === impl Page ===

impl Page<'_> {
    fn counter(&mut self, name: &str, value: u64) {
        self.out.push(Stat::counter(
            Scope::Cluster(self.cluster.to_owned()),
            name,
            value,
        ));
    }

    fn gauge(&mut self, name: &str, value: u64) {
        self.out.push(Stat::gauge(
            Scope::Cluster(self.cluster.to_owned()),
            name,
            value,
        ));
    }

    fn pool(&mut self, cluster: &Upstream) {
        let (tls, stats) = (cluster.model().tls.is_some(), cluster.limits().stats());
        if tls {
            let scope = Scope::Cluster(self.cluster.to_owned());
            let took = &stats.ssl_handshake_took;
            self.out
                .push(Stat::durations(scope, "ssl.handshake_ms", took));
        }
        for (name, value) in stats.iter() {
            if name.starts_with("ssl.") && !tls {
                continue;
            }
            if name.ends_with("_active") {
                self.gauge(name, value)
            } else {
                self.counter(name, value)
            }
        }
    }

    fn requests(&mut self, cluster: &Upstream) {
        let state = &cluster.state;
        self.counter("upstream_rq_completed", state.counters.completed.get());
        let name = self.cluster.to_owned();
        codes(
            &state.counters,
            "upstream_rq",
            &|| Scope::Cluster(name.clone()),
            self.out,
        );
        self.counter("upstream_rq_timeout", state.deadline_stats.timeouts.get());
        let retry = &state.retry_stats;
        for (name, counter) in [
            ("upstream_rq_per_try_timeout", &retry.per_try_timeout),
            ("upstream_rq_retry", &retry.retries),
            ("upstream_rq_retry_success", &retry.retry_success),
            ("upstream_rq_retry_limit_exceeded", &retry.limit_exceeded),
            ("upstream_rq_retry_overflow", &retry.overflow),
            (
                "upstream_rq_retry_budget_exhausted",
                &retry.budget_exhausted,
            ),
            ("upstream_rq_retry_backoff_exponential", &retry.backoff),
            ("upstream_rq_retry_backoff_ratelimited", &retry.hinted),
        ] {
            self.counter(name, counter.get());
        }
    }

    fn ceilings(&mut self, cluster: &Upstream) {
        let (state, stats) = (&cluster.state, cluster.limits().stats());
        let pool = cluster.model().pool.clone();
        self.counter("upstream_rq_overflow", state.requests.refused());
        let open = |used: u64, limit: u64| u64::from(used >= limit);
        self.gauge(
            "circuit_breakers.default.rq_open",
            open(state.requests.used(), state.requests.limit()),
        );
        self.gauge(
            "circuit_breakers.default.rq_retry_open",
            open(state.retries.used(), state.retries.limit()),
        );
        self.gauge(
            "circuit_breakers.default.cx_open",
            open(stats.cx_active.get(), pool.max_connections.into()),
        );
        self.gauge(
            "circuit_breakers.default.rq_pending_open",
            open(stats.rq_pending_active.get(), pool.max_pending.into()),
        );
    }

    fn endpoints(&mut self, cluster: &Upstream) {
        let (set, now) = (&cluster.state.endpoints, Instant::now());
        set.tick(now);
        let (total, ejected) = (
            set.endpoints().len() as u64,
            set.ejections_active(now) as u64,
        );
        self.gauge("membership_total", total);
        self.gauge("membership_healthy", total.saturating_sub(ejected));
        self.gauge("lb_healthy_panic_active", u64::from(set.is_panicking()));
        if cluster.model().outlier.is_some() {
            let stats = set.outlier_stats();
            self.gauge("outlier_detection.ejections_active", ejected);
            for (name, counter) in [
                ("ejections_enforced_total", &stats.ejections_total),
                ("ejections_overflow", &stats.ejections_overflow),
                ("ejections_detected_consecutive_5xx", &stats.consecutive_5xx),
                (
                    "ejections_detected_consecutive_gateway_failure",
                    &stats.consecutive_gateway,
                ),
                (
                    "ejections_detected_consecutive_local_origin_failure",
                    &stats.consecutive_local,
                ),
            ] {
                self.counter(&format!("outlier_detection.{name}"), counter.get());
            }
        }
    }
}
