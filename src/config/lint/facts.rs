//! What only the linter asks for: kinds that are not in force here, annotations, and fields without effect.

use std::{collections::BTreeMap, sync::Arc};

use super::{filters::Filters, said};
use crate::config::{
    decode::Field,
    diagnostic::{Origin, Place},
};

/// Names of resources' labels.
pub(in crate::config) type Labels = BTreeMap<String, String>;

/// What was read for the linter, in load order.
#[derive(Debug, Default)]
pub(in crate::config) struct Facts {
    /// Calls that annotations tell.
    pub(super) said: Vec<said::Said>,
    /// Rules that are not to be looked for in a resource.
    pub(super) ignored: Vec<said::Ignored>,
    /// Annotations of ours that cannot be read: place, what is wrong, the way out.
    pub(super) unread: Vec<(Place, String, &'static str)>,
    /// Resources that stand for calls which cost money.
    pub(super) paid: Vec<Arc<Origin>>,
    pub(super) sidecars: Vec<Sidecar>,
    pub(super) authorizations: Vec<Authorization>,
    pub(super) faults: Vec<Fault>,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) filters: Filters,
    /// Pods that a Deployment or its like asks for.
    pub(super) replicas: Vec<(Arc<Origin>, u32)>,
    /// Annotations of Istio's that Istio does not know.
    pub(super) odd: Vec<(String, Place)>,
}

/// A Sidecar's scope.
#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) place: Place,
    pub(super) labels: Labels,
    /// `namespace/host`.
    pub(super) hosts: Vec<(String, Place)>,
}

/// An AuthorizationPolicy.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) place: Place,
    pub(super) labels: Labels,
    pub(super) action: String,
    /// Whether a rule asks for nothing, and so is for every request.
    pub(super) any_request: Option<Place>,
    pub(super) sources: Vec<AuthorizedSource>,
}

/// One source of a rule.
#[derive(Debug)]
pub(super) struct AuthorizedSource {
    pub(super) place: Place,
    pub(super) principals: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) accounts: Vec<String>,
}

/// A fault that is injected.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    /// What happens to how many.
    pub(super) what: String,
    /// Whether only requests with a certain header get it, as in a test.
    pub(super) for_some: bool,
}

/// A place that copies of requests go to.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) place: Place,
    pub(super) host: String,
    pub(super) percent: f64,
}

/// Annotations that Istio had, or that people think it has.
const NOT_ISTIOS: [&str; 1] = ["sidecar.istio.io/proxyConcurrency"];

// === impl Facts ===

impl Facts {
    /// Reads a resource.
    pub(in crate::config) fn read(&mut self, root: &Field<'_>) {
        self.annotations(root);
        let Some(spec) = root.step("spec") else {
            return;
        };
        match root.origin().kind.as_str() {
            "Sidecar" => self.sidecar(root, &spec),
            "AuthorizationPolicy" => self.authorization(root, &spec),
            "VirtualService" => self.virtual_service(&spec),
            "EnvoyFilter" => self.filters.read(&spec),
            "Deployment" | "StatefulSet" | "ReplicaSet" => {
                if let Some(template) = spec.step("template") {
                    self.annotations(&template);
                }
                let count = spec.step("replicas").and_then(|n| n.int_quietly());
                let count = count.map_or(Some(1), |n| u32::try_from(n).ok());
                let origin = Arc::clone(root.origin());
                self.replicas.extend(count.map(|n| (origin, n)));
            }
            _ => {}
        }
    }

    fn annotations(&mut self, of: &Field<'_>) {
        let annotations = of.step("metadata").and_then(|m| m.step("annotations"));
        for (name, value) in annotations.iter().flat_map(Field::entries_of) {
            if NOT_ISTIOS.contains(&name) {
                self.odd.push((name.to_owned(), value.place()));
            }
            let Some(own) = name.strip_prefix("llmesh.io/") else {
                continue;
            };
            let text = value.str_quietly().unwrap_or_default();
            match own {
                "calls" => match said::calls(text) {
                    Ok(calls) => self.said.push(said::Said {
                        place: value.place(),
                        calls,
                    }),
                    Err(why) => self.unread.push((value.place(), why, said::CALLS_HINT)),
                },
                "ignore" => self.ignored.push(said::Ignored {
                    place: value.place(),
                    rules: said::list(text),
                }),
                "costs" if text == "true" || value.bool_quietly() == Some(true) => {
                    self.paid.push(Arc::clone(of.origin()));
                }
                "costs" => {}
                _ => {
                    let why = format!("`{name}` is no annotation of llmesh");
                    let hint = "llmesh.io/calls, llmesh.io/costs or llmesh.io/ignore";
                    self.unread.push((value.place(), why, hint));
                }
            }
        }
    }

    fn sidecar(&mut self, root: &Field<'_>, spec: &Field<'_>) {
        let listeners = spec.items("egress");
        let hosts = listeners.iter().flat_map(|egress| egress.texts("hosts"));
        self.sidecars.push(Sidecar {
            place: root.place(),
            labels: labels(spec, &["workloadSelector", "labels"]),
            hosts: hosts
                .map(|(host, field)| (host.to_owned(), field.place()))
                .collect(),
        });
    }

    fn authorization(&mut self, root: &Field<'_>, spec: &Field<'_>) {
        let rules = spec.items("rules");
        let from = rules.iter().flat_map(|rule| rule.items("from"));
        let sources = from.filter_map(|from| {
            let source = from.step("source")?;
            let texts = |name| {
                let texts = source.texts(name).into_iter();
                texts.map(|(text, _)| text.to_owned()).collect()
            };
            Some(AuthorizedSource {
                place: source.place(),
                principals: texts("principals"),
                namespaces: texts("namespaces"),
                accounts: texts("serviceAccounts"),
            })
        });
        let parts = ["from", "to", "when"];
        let empty = |rule: &&Field<'_>| parts.iter().all(|name| rule.items(name).is_empty());
        self.authorizations.push(Authorization {
            place: root.place(),
            labels: labels(spec, &["selector", "matchLabels"]),
            action: spec.peek_str(&["action"]).unwrap_or("ALLOW").to_owned(),
            any_request: rules.iter().find(empty).map(Field::place),
            sources: sources.collect(),
        });
    }

    fn virtual_service(&mut self, spec: &Field<'_>) {
        for rule in spec.items("http") {
            let fault = rule.given("fault");
            let parts = ["delay", "abort"].into_iter();
            let what: Vec<_> = parts
                .filter_map(|part| happens(part, &fault.as_ref()?.given(part)?))
                .collect();
            if let (Some(fault), false) = (&fault, what.is_empty()) {
                let matches = rule.items("match");
                let headers = |m: &Field<'_>| m.given("headers").is_some();
                self.faults.push(Fault {
                    place: fault.place(),
                    what: what.join(", and "),
                    for_some: !matches.is_empty() && matches.iter().all(headers),
                });
            }
            let one = rule.given("mirror");
            let share = percent(&rule, "mirrorPercentage");
            self.mirrors
                .extend(one.and_then(|to| mirror(&to, &to, share)));
            for item in rule.items("mirrors") {
                let to = item.given("destination");
                let share = percent(&item, "percentage");
                self.mirrors
                    .extend(to.and_then(|to| mirror(&item, &to, share)));
            }
        }
    }

    /// Adds those of another resource.
    pub(in crate::config) fn append(&mut self, mut other: Self) {
        self.said.append(&mut other.said);
        self.ignored.append(&mut other.ignored);
        self.unread.append(&mut other.unread);
        self.paid.append(&mut other.paid);
        self.sidecars.append(&mut other.sidecars);
        self.authorizations.append(&mut other.authorizations);
        self.faults.append(&mut other.faults);
        self.mirrors.append(&mut other.mirrors);
        self.filters.append(other.filters);
        self.replicas.append(&mut other.replicas);
        self.odd.append(&mut other.odd);
    }
}

/// The share of requests in percent; all of them where it is not given.
fn percent(of: &Field<'_>, name: &str) -> f64 {
    let value = of.given(name).and_then(|share| share.step("value"));
    value.map_or(100.0, |value| value.number_quietly().unwrap_or_default())
}

fn mirror(at: &Field<'_>, to: &Field<'_>, percent: f64) -> Option<Mirror> {
    let host = to.peek_str(&["host"])?;
    (percent > 0.0).then(|| Mirror {
        place: at.place(),
        host: crate::config::names::fqdn(host, &at.origin().namespace),
        percent,
    })
}

/// What a part of a fault does, if it ever happens.
fn happens(part: &str, fault: &Field<'_>) -> Option<String> {
    let old = fault.given("percent").and_then(|p| p.int_quietly());
    let share = match fault.given("percentage") {
        Some(share) => share.step("value")?.number_quietly()?,
        None => f64::from(i32::try_from(old?).ok()?),
    };
    if share <= 0.0 {
        return None;
    }
    let text = |name: &str| {
        let field = fault.given(name)?;
        let number = || field.int_quietly().map(|n| n.to_string());
        field.str_quietly().map(str::to_owned).or_else(number)
    };
    Some(match part {
        "delay" => format!("{share} % start {} late", text("fixedDelay")?),
        _ => {
            let status = text("httpStatus").or_else(|| text("grpcStatus"))?;
            format!("{share} % are answered {status}")
        }
    })
}

fn labels(spec: &Field<'_>, path: &[&str; 2]) -> Labels {
    let all = spec.step(path[0]).and_then(|s| s.step(path[1]));
    let texts = all.iter().flat_map(Field::entries_of);
    let texts =
        texts.filter_map(|(key, value)| Some((key.to_owned(), value.str_quietly()?.to_owned())));
    texts.collect()
}
