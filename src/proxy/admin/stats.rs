//! `/stats` and `/stats/prometheus`, with Envoy's names.
//!
//! Text lines are `cluster.outbound|8080|v1|<host>.upstream_rq_total: 5`; Prometheus has
//! `envoy_cluster_upstream_rq_total{cluster_name="…"} 5`, with the response code and its class as labels, as Envoy's own
//! exporter does. What Envoy has no name for begins with `llm`.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::base::Durations;

/// One number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stat {
    scope: Scope,
    name: String,
    kind: Kind,
    value: u64,
    /// Of a histogram: each bound, and how many are no more than it; the value is the sum.
    buckets: Vec<(&'static str, u64)>,
}

/// What a number is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A cluster, by its name.
    Cluster(String),
    /// The outbound listener's HTTP connection manager.
    Http,
    /// The process.
    Server,
    /// A limit on requests and tokens, by its name.
    Limit(String),
    /// Fallback of LLM requests.
    Fallback,
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long; as one number, their sum.
    Histogram,
}

// === impl Stat ===

impl Stat {
    /// A number that only grows.
    pub fn counter(scope: Scope, name: impl Into<String>, value: u64) -> Self {
        Self {
            scope,
            name: name.into(),
            kind: Kind::Counter,
            value,
            buckets: Vec::new(),
        }
    }

    /// A number that goes up and down.
    pub fn gauge(scope: Scope, name: impl Into<String>, value: u64) -> Self {
        Self {
            scope,
            name: name.into(),
            kind: Kind::Gauge,
            value,
            buckets: Vec::new(),
        }
    }

    /// How often something took how long, in milliseconds: for Prometheus a histogram, elsewhere their sum.
    pub fn durations(scope: Scope, name: impl Into<String>, durations: &Durations) -> Self {
        Self {
            scope,
            name: name.into(),
            kind: Kind::Histogram,
            value: durations.sum_ms(),
            buckets: durations.buckets(),
        }
    }

    /// Its full name, as `/stats` shows it.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.scope {
            Scope::Cluster(cluster) => format!("cluster.{cluster}.{}", self.name),
            Scope::Http => format!("http.outbound.{}", self.name),
            Scope::Server => format!("server.{}", self.name),
            Scope::Limit(limit) => format!("llm_limit.{limit}.{}", self.name),
            Scope::Fallback => format!("llm_fallback.{}", self.name),
        }
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// The text page: one `name: value` a line, sorted.
#[must_use]
pub fn text(stats: &[Stat]) -> String {
    let mut lines: Vec<String> = stats
        .iter()
        .map(|s| format!("{}: {}\n", s.path(), s.value))
        .collect();
    lines.sort_unstable();
    lines.concat()
}

/// The page as JSON: `{"stats": [{"name": …, "value": …}]}`.
#[must_use]
pub fn to_json(stats: &[Stat]) -> Value {
    let mut all: Vec<(String, u64)> = stats.iter().map(|s| (s.path(), s.value)).collect();
    all.sort_unstable();
    json!({"stats": all.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()})
}

/// The Prometheus exposition of the same numbers.
#[must_use]
pub fn prometheus(stats: &[Stat]) -> String {
    let mut families: BTreeMap<String, (Kind, Vec<String>)> = BTreeMap::new();
    for stat in stats {
        let (prefix, mut labels) = match &stat.scope {
            Scope::Cluster(cluster) => ("envoy_cluster", vec![("cluster_name", cluster.clone())]),
            Scope::Http => (
                "envoy_http",
                vec![("http_conn_manager_prefix", "outbound".to_owned())],
            ),
            Scope::Server => ("envoy_server", Vec::new()),
            Scope::Limit(limit) => ("llmesh_llm_limit", vec![("limit", limit.clone())]),
            Scope::Fallback => ("llmesh_llm_fallback", Vec::new()),
        };
        let name = match code(&stat.name) {
            Some((base, label)) => {
                labels.push(label);
                base
            }
            None => stat.name.clone(),
        };
        let family = format!("{prefix}_{}", name.replace(['.', '-'], "_"));
        let labels: Vec<String> = labels
            .iter()
            .map(|(k, v)| format!("{k}=\"{}\"", escape(v)))
            .collect();
        let entry = families
            .entry(family.clone())
            .or_insert((stat.kind, Vec::new()));
        entry.1.extend(series(stat, &family, &labels));
    }
    let mut out = String::new();
    for (family, (kind, series)) in families {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# TYPE {family} {kind}");
        out.extend(series);
    }
    out
}

/// The lines of one number, or of one histogram.
fn series(stat: &Stat, family: &str, labels: &[String]) -> Vec<String> {
    let line = |end: &str, more: Option<String>, value: u64| {
        let all: Vec<_> = labels.iter().cloned().chain(more).collect();
        let all = if all.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", all.join(","))
        };
        format!("{family}{end}{all} {value}\n")
    };
    if stat.kind != Kind::Histogram {
        return vec![line("", None, stat.value)];
    }
    let bucket = |(bound, n): &(&str, u64)| line("_bucket", Some(format!("le=\"{bound}\"")), *n);
    let mut lines: Vec<_> = stat.buckets.iter().map(bucket).collect();
    lines.push(line("_sum", None, stat.value));
    let all = stat.buckets.last().map_or(0, |(_, n)| *n);
    lines.push(line("_count", None, all));
    lines
}

/// `upstream_rq_503` is `upstream_rq` with a code; `upstream_rq_5xx` is `upstream_rq_xx` with a class.
fn code(name: &str) -> Option<(String, (&'static str, String))> {
    let (base, last) = name.rsplit_once('_')?;
    if let Some(class) = last
        .strip_suffix("xx")
        .filter(|c| c.len() == 1 && c.as_bytes()[0].is_ascii_digit())
    {
        return Some((
            format!("{base}_xx"),
            ("response_code_class", class.to_owned()),
        ));
    }
    let is_code = last.len() == 3 && last.bytes().all(|b| b.is_ascii_digit());
    is_code.then(|| (base.to_owned(), ("response_code", last.to_owned())))
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Stat> {
        let cluster = || Scope::Cluster("outbound|8080|v1|a.b".to_owned());
        vec![
            Stat::counter(cluster(), "upstream_rq_503", 2),
            Stat::counter(cluster(), "upstream_rq_5xx", 2),
            Stat::gauge(cluster(), "outlier_detection.ejections_active", 1),
            Stat::gauge(Scope::Server, "uptime", 9),
            Stat::counter(Scope::Limit("ns/p/key".to_owned()), "tokens_total", 7),
            Stat::counter(Scope::Fallback, "rescued", 3),
        ]
    }

    #[test]
    fn text_is_sorted_and_in_envoys_form() {
        assert_eq!(
            text(&sample()),
            "cluster.outbound|8080|v1|a.b.outlier_detection.ejections_active: 1\n\
             cluster.outbound|8080|v1|a.b.upstream_rq_503: 2\n\
             cluster.outbound|8080|v1|a.b.upstream_rq_5xx: 2\n\
             llm_fallback.rescued: 3\n\
             llm_limit.ns/p/key.tokens_total: 7\n\
             server.uptime: 9\n"
        );
    }

    #[test]
    fn prometheus_has_codes_as_labels_and_one_type_line_a_family() {
        let page = prometheus(&sample());
        assert!(page.contains("# TYPE envoy_cluster_upstream_rq counter\n"));
        assert!(page.contains("envoy_cluster_upstream_rq{cluster_name=\"outbound|8080|v1|a.b\",response_code=\"503\"} 2\n"));
        assert!(page.contains("envoy_cluster_upstream_rq_xx{cluster_name=\"outbound|8080|v1|a.b\",response_code_class=\"5\"} 2\n"));
        assert!(page.contains("envoy_cluster_outlier_detection_ejections_active{"));
        assert!(page.contains("envoy_server_uptime 9\n"));
        assert!(page.contains("llmesh_llm_limit_tokens_total{limit=\"ns/p/key\"} 7\n"));
        assert!(page.contains("llmesh_llm_fallback_rescued 3\n"));
        assert_eq!(page.matches("# TYPE").count(), 6);
    }

    #[test]
    fn a_histogram_is_one_for_prometheus_and_its_sum_elsewhere() {
        let took = Durations::default();
        took.note(std::time::Duration::from_millis(3));
        took.note(std::time::Duration::from_millis(700));
        let scope = Scope::Cluster("c".to_owned());
        let stats = [Stat::durations(scope, "ssl.handshake_ms", &took)];
        assert_eq!(text(&stats), "cluster.c.ssl.handshake_ms: 703\n");
        let page = prometheus(&stats);
        let name = "envoy_cluster_ssl_handshake_ms";
        assert!(page.starts_with(&format!("# TYPE {name} histogram\n")));
        for line in [
            "_bucket{cluster_name=\"c\",le=\"1\"} 0",
            "_bucket{cluster_name=\"c\",le=\"5\"} 1",
            "_bucket{cluster_name=\"c\",le=\"1000\"} 2",
            "_bucket{cluster_name=\"c\",le=\"+Inf\"} 2",
            "_sum{cluster_name=\"c\"} 703",
            "_count{cluster_name=\"c\"} 2",
        ] {
            assert!(page.contains(&format!("\n{name}{line}\n")), "{page}");
        }
    }
}
