//! `trafficPolicy`: blocks that replace each other as wholes, never field by field.

use http::HeaderName;

use super::{
    outlier::{self, OutlierBlock},
    pool::{self, PoolBlock},
    retry_budget,
};
use crate::{
    config::{
        decode::{Field, Least, Object},
        diagnostic::Severity,
    },
    layers::{
        balance::params::{HashKey, HashTable, Policy},
        retry::params::Budget,
    },
};

/// The largest Maglev table of Envoy.
const MAX_MAGLEV: i64 = 5_000_011;

/// The blocks of a `trafficPolicy` or of one of its ports.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct TrafficPolicy {
    pub(in crate::config) balance: Option<Balance>,
    pub(in crate::config) pool: Option<PoolBlock>,
    pub(in crate::config) outlier: Option<OutlierBlock>,
    /// Of all ports: entries for a port have none.
    pub(in crate::config) retry_budget: Option<Budget>,
    pub(in crate::config) ports: Vec<(u16, Self)>,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug)]
pub(in crate::config) enum Balance {
    Policy(Policy),
    /// The address the caller used.
    Passthrough,
}

/// Reads a `trafficPolicy`.
pub(super) fn read(field: &Field<'_>) -> TrafficPolicy {
    let Some(object) = field.object() else {
        return TrafficPolicy::default();
    };
    if object.is_empty() {
        field.error("empty-policy", "`trafficPolicy` is empty", "remove it");
    }
    let mut policy = blocks(&object);
    policy.retry_budget = object
        .get("retryBudget")
        .and_then(|budget| retry_budget::read(&budget));
    for item in object.list("portLevelSettings") {
        let Some(entry) = item.object() else { continue };
        let port = entry
            .require("port")
            .and_then(|port| port.object())
            .and_then(|port| port.require("number"))
            .and_then(|number| number.port());
        let settings = blocks(&entry);
        if let Some(port) = port {
            if policy.ports.iter().any(|(other, _)| *other == port) {
                let message = format!("port {port} is given twice");
                item.error("duplicate-port", message, "keep one of the two");
            } else {
                policy.ports.push((port, settings));
            }
        }
    }
    object.not_in_force("tunnel", Severity::Warning, "connections are direct");
    object.not_in_force(
        "proxyProtocol",
        Severity::Warning,
        "no PROXY header is sent",
    );
    policy
}

fn blocks(object: &Object<'_>) -> TrafficPolicy {
    tls(object);
    TrafficPolicy {
        balance: object.get("loadBalancer").and_then(|lb| balance(&lb)),
        pool: object.get("connectionPool").and_then(|p| pool::read(&p)),
        outlier: object
            .get("outlierDetection")
            .and_then(|o| outlier::read(&o)),
        ..TrafficPolicy::default()
    }
}

/// TLS to the upstream is not in force. A resource that asks for it is not taken in plain text behind its back.
fn tls(object: &Object<'_>) {
    let Some(tls) = object.object("tls") else {
        return;
    };
    let tls = tls.lenient();
    let modes = [
        ("DISABLE", None),
        ("SIMPLE", Some(Severity::Error)),
        ("MUTUAL", Some(Severity::Error)),
        ("ISTIO_MUTUAL", Some(Severity::Warning)),
    ];
    let Some(mode) = tls.get("mode") else { return };
    if let Some(Some(severity)) = mode.word(&modes) {
        mode.report().add(
            &mode.place(),
            severity,
            "tls-not-in-force",
            "TLS to the upstream is valid but not in force in llmesh: requests would leave in plain text",
            "use mode DISABLE where plain text is acceptable",
        );
    }
}

fn balance(field: &Field<'_>) -> Option<Balance> {
    let object = field.object()?;
    for (name, effect) in [
        ("localityLbSetting", "localities are not preferred"),
        ("warmup", "new endpoints get their full share at once"),
        (
            "warmupDurationSecs",
            "new endpoints get their full share at once",
        ),
    ] {
        object.not_in_force(name, Severity::Warning, effect);
    }
    match object.one_of(&["simple", "consistentHash"]) {
        Some("simple") => object.get("simple")?.word(&[
            ("UNSPECIFIED", Simple::LeastRequest),
            ("LEAST_REQUEST", Simple::LeastRequest),
            ("LEAST_CONN", Simple::LeastRequest),
            ("RANDOM", Simple::Random),
            ("ROUND_ROBIN", Simple::RoundRobin),
            ("PASSTHROUGH", Simple::Passthrough),
        ]),
        Some(_) => return consistent_hash(&object.object("consistentHash")?),
        None => Some(Simple::LeastRequest),
    }
    .map(|simple| match simple {
        Simple::LeastRequest => Balance::Policy(Policy::LeastRequest),
        Simple::Random => Balance::Policy(Policy::Random),
        Simple::RoundRobin => Balance::Policy(Policy::RoundRobin),
        Simple::Passthrough => Balance::Passthrough,
    })
}

#[derive(Clone, Copy)]
enum Simple {
    LeastRequest,
    Random,
    RoundRobin,
    Passthrough,
}

fn consistent_hash(object: &Object<'_>) -> Option<Balance> {
    let keys = [
        "httpHeaderName",
        "httpCookie",
        "useSourceIp",
        "httpQueryParameterName",
    ];
    let table = table(object);
    let key = match object.one_of(&keys) {
        Some("httpHeaderName") => header_key(&object.get("httpHeaderName")?)?,
        Some("httpCookie") => cookie_key(&object.object("httpCookie")?)?,
        Some("useSourceIp") => {
            let field = object.get("useSourceIp")?;
            if !field.bool()? {
                field.error(
                    "no-hash-key",
                    "`useSourceIp: false` gives no key",
                    "set it to true",
                );
                return None;
            }
            HashKey::SourceIp
        }
        Some(_) => HashKey::Query(object.str("httpQueryParameterName")?.to_owned()),
        None => {
            let hint =
                "give one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName";
            object
                .field()
                .error("no-hash-key", "`consistentHash` has no key", hint);
            return None;
        }
    };
    Some(Balance::Policy(Policy::ConsistentHash {
        key,
        table: table?,
    }))
}

fn header_key(field: &Field<'_>) -> Option<HashKey> {
    let name = field.str()?;
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        let message = format!("{name:?} is not a header name");
        field.error("bad-header-name", message, "");
    }
    parsed.map(HashKey::Header)
}

fn cookie_key(object: &Object<'_>) -> Option<HashKey> {
    let ttl = object.get("ttl").map(|ttl| ttl.duration(Least::Zero));
    let path = object.str("path").map(str::to_owned);
    let name = object.require("name")?;
    let text = name.str()?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        name.error("bad-cookie-name", format!("{text:?} is no cookie name"), "");
        return None;
    }
    Some(HashKey::Cookie {
        name: text.to_owned(),
        path,
        ttl: match ttl {
            Some(ttl) => Some(ttl?),
            None => None,
        },
    })
}

fn table(object: &Object<'_>) -> Option<HashTable> {
    let ring = |size: Option<Field<'_>>| match size {
        None => Some(HashTable::default()),
        Some(size) => Some(HashTable::Ring {
            // Envoy's bound on the ring.
            min_size: u64::try_from(size.int(0, 8 << 20)?).ok()?,
        }),
    };
    let old = object.get("minimumRingSize");
    match object.one_of(&["ringHash", "maglev"]) {
        Some("ringHash") => ring(object.object("ringHash")?.get("minimumRingSize")),
        Some(_) => {
            let maglev = object.object("maglev")?;
            let Some(size) = maglev.get("tableSize") else {
                return Some(HashTable::Maglev { size: 65_537 });
            };
            let number = u64::try_from(size.int(2, MAX_MAGLEV)?).ok()?;
            if !is_prime(number) {
                let message = format!("{number} is not prime");
                size.error(
                    "out-of-range",
                    message,
                    "Maglev needs a prime, such as 65537",
                );
                return None;
            }
            Some(HashTable::Maglev { size: number })
        }
        None => ring(old),
    }
}

fn is_prime(n: u64) -> bool {
    n >= 2
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}
