//! `trafficPolicy`: blocks that replace each other as wholes, never field by field.

use http::HeaderName;

use super::{
    client_tls::{self, TlsBlock},
    format, locality,
    outlier::{self, OutlierBlock},
    pool::{self, PoolBlock},
    retry_budget,
};
use crate::{
    config::{
        decode::{
            Field, Least, Object,
            shape::{Fields, PORT, Rule, Shape},
        },
        diagnostic::Severity,
        names,
    },
    layers::{
        balance::params::{HashKey, HashTable, Policy},
        retry::params::Budget,
    },
};

/// Maglev tables are smaller than this.
const MAX_MAGLEV: i64 = 5_000_011;

/// Envoy's bound on the ring.
const MAX_RING: i64 = 8 << 20;

static TUNNEL: Shape = Shape::Object(&Fields {
    fields: &[
        ("protocol", Shape::Word(&["", "CONNECT", "POST"])),
        ("targetHost", Shape::And(&Shape::Str, check_target)),
        ("targetPort", PORT),
    ],
    rules: &[Rule::All(&["targetHost", "targetPort"])],
});

static COOKIE_ATTRIBUTES: Shape = Shape::List(&Shape::Object(&Fields {
    fields: &[("name", Shape::Str), ("value", Shape::Str)],
    rules: &[Rule::All(&["name"])],
}));

static PROXY_PROTOCOL: Shape = Shape::Object(&Fields {
    fields: &[("version", Shape::Word(&["V1", "V2"]))],
    rules: &[],
});

/// The blocks of a `trafficPolicy` or of one of its ports.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct TrafficPolicy {
    pub(in crate::config) balance: Option<Balance>,
    pub(in crate::config) pool: Option<PoolBlock>,
    pub(in crate::config) outlier: Option<OutlierBlock>,
    pub(in crate::config) tls: Option<TlsBlock>,
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
    if object.names().all(|name| field.given(name).is_none()) {
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
        if BLOCKS.iter().all(|name| item.given(name).is_none()) {
            let hint = "add a block, or remove the entry";
            item.error("empty-policy", "nothing is set for this port", hint);
        }
        if let Some(port) = port {
            if policy.ports.iter().any(|(other, _)| *other == port) {
                let message = format!("port {port} is given twice: the first entry holds");
                item.warn("duplicate-port", message, "keep one of the two");
            } else {
                policy.ports.push((port, settings));
            }
        }
    }
    for (name, shape, effect) in [
        ("tunnel", &TUNNEL, "connections are direct"),
        ("proxyProtocol", &PROXY_PROTOCOL, "no PROXY header is sent"),
    ] {
        if let Some(field) = object.get(name) {
            field.check(shape);
            object.not_in_force(name, Severity::Warning, effect);
        }
    }
    object.one_of(&["tunnel", "proxyProtocol"]);
    policy
}

/// The blocks that a port has as well.
const BLOCKS: [&str; 4] = ["loadBalancer", "connectionPool", "outlierDetection", "tls"];

fn check_target(field: &Field<'_>) {
    if let Some(text) = field.str_quietly()
        && let Err(why) = names::check_fqdn(text)
        && !format::is_ip(text)
    {
        field.error("bad-host", format!("{text:?}: {why}"), "");
    }
}

fn blocks(object: &Object<'_>) -> TrafficPolicy {
    TrafficPolicy {
        tls: object.get("tls").and_then(|tls| client_tls::read(&tls)),
        balance: object.get("loadBalancer").and_then(|lb| balance(&lb)),
        pool: object.get("connectionPool").and_then(|p| pool::read(&p)),
        outlier: object
            .get("outlierDetection")
            .and_then(|o| outlier::read(&o)),
        ..TrafficPolicy::default()
    }
}

fn balance(field: &Field<'_>) -> Option<Balance> {
    let object = field.object()?;
    let at_once = "new endpoints get their full share at once";
    for (name, shape, effect) in [
        (
            "localityLbSetting",
            &locality::LOCALITY,
            "localities are not preferred",
        ),
        ("warmup", &locality::WARMUP, at_once),
        ("warmupDurationSecs", &Shape::Duration, at_once),
    ] {
        if let Some(field) = object.get(name) {
            field.check(shape);
            object.not_in_force(name, Severity::Warning, effect);
        }
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
    let table = table(object);
    let key = match object.one_of(&[
        "httpHeaderName",
        "httpCookie",
        "useSourceIp",
        "httpQueryParameterName",
    ]) {
        Some("httpHeaderName") => header_key(&object.get("httpHeaderName")?)?,
        Some("httpCookie") => Some(cookie_key(&object.object("httpCookie")?)?),
        Some("useSourceIp") => object.bool("useSourceIp")?.then_some(HashKey::SourceIp),
        Some(_) => {
            let name = object.str("httpQueryParameterName")?;
            (!name.is_empty()).then(|| HashKey::Query(name.to_owned()))
        }
        None => None,
    };
    let table = table?;
    let Some(key) = key else {
        object.field().warn(
            "no-hash-key",
            "`consistentHash` has no key: each request goes to an endpoint by chance",
            "give one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName",
        );
        return Some(Balance::Policy(Policy::Random));
    };
    Some(Balance::Policy(Policy::ConsistentHash { key, table }))
}

/// The outer `None` is a mistake, the inner one no key.
fn header_key(field: &Field<'_>) -> Option<Option<HashKey>> {
    let name = field.str()?;
    if name.is_empty() {
        return Some(None);
    }
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        let message = format!("{name:?} is not a header name");
        field.error("bad-header-name", message, "");
    }
    parsed.map(|name| Some(HashKey::Header(name)))
}

fn cookie_key(object: &Object<'_>) -> Option<HashKey> {
    let ttl = object.get("ttl").map(|ttl| ttl.duration(Least::Zero));
    let path = object.str("path").map(str::to_owned);
    if let Some(attributes) = object.get("attributes") {
        attributes.check(&COOKIE_ATTRIBUTES);
        object.not_in_force(
            "attributes",
            Severity::Note,
            "cookies are made without them",
        );
    }
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
    let old = object.get("minimumRingSize");
    if let Some(old) = &old {
        let hint = "use `ringHash.minimumRingSize`";
        old.warn("deprecated", "`minimumRingSize` is deprecated here", hint);
    }
    let old = old.filter(|old| old.int_quietly() != Some(0));
    let algorithm = object.one_of(&["ringHash", "maglev"]);
    if let (Some(old), Some(algorithm)) = (&old, algorithm) {
        let message = format!("`minimumRingSize` and `{algorithm}` exclude each other");
        old.error("one-of", message, "keep one of them");
    }
    match algorithm {
        Some("ringHash") => ring(object.object("ringHash")?.get("minimumRingSize")),
        Some(_) => maglev(&object.object("maglev")?),
        None => ring(old),
    }
}

fn ring(size: Option<Field<'_>>) -> Option<HashTable> {
    let Some(size) = size else {
        return Some(HashTable::default());
    };
    let asked = size.int(0, i64::MAX)?;
    if asked > MAX_RING {
        let message = format!("Envoy has no ring larger than {MAX_RING}: this one is as large");
        size.warn("out-of-range", message, "");
    }
    Some(HashTable::Ring {
        min_size: u64::try_from(asked.min(MAX_RING)).ok()?,
    })
}

fn maglev(object: &Object<'_>) -> Option<HashTable> {
    let hint = "Maglev needs a prime, such as 65537";
    let Some(size) = object.get("tableSize") else {
        object
            .field()
            .error("missing-field", "`tableSize` is missing", hint);
        return None;
    };
    let number = u64::try_from(size.int(2, MAX_MAGLEV - 1)?).ok()?;
    if !is_prime(number) {
        size.error("out-of-range", format!("{number} is not prime"), hint);
        return None;
    }
    Some(HashTable::Maglev { size: number })
}

fn is_prime(n: u64) -> bool {
    n >= 2
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}
