//! `connectionPool`.

use crate::{
    config::{
        decode::{
            Field, Least, Object,
            shape::{Fields, Shape},
        },
        diagnostic::{Place, Severity},
    },
    model::{Keepalive, Pool, Protocol},
};

static PINGS: Shape = Shape::Object(&Fields {
    fields: &[("interval", Shape::Duration), ("timeout", Shape::Duration)],
    rules: &[],
});

/// A `connectionPool`: one whole, whatever it leaves out is the default.
#[derive(Clone, Debug)]
pub(in crate::config) struct PoolBlock {
    pub(in crate::config) place: Place,
    pub(in crate::config) pool: Pool,
    /// The protocol it asks for; `None` is the port's own.
    pub(in crate::config) protocol: Option<Protocol>,
    /// Whether HTTP/2 is not to be agreed upon where it could be (`DO_NOT_UPGRADE`).
    pub(in crate::config) keeps_http1: bool,
    /// The settings it gives, as paths below it.
    pub(in crate::config) given: Vec<String>,
}

/// Reads a `connectionPool`.
pub(super) fn read(field: &Field<'_>) -> Option<PoolBlock> {
    let object = field.object()?;
    let mut names = object.names();
    if names.all(|name| ["tcp", "http"].contains(&name) && field.given(name).is_none()) {
        field.error("empty-policy", "`connectionPool` is empty", "remove it");
    }
    object.not_in_force(
        "perHostSettings",
        Severity::Warning,
        "the limits are of all hosts together",
    );
    let mut block = PoolBlock {
        place: field.place(),
        pool: Pool::default(),
        protocol: None,
        keeps_http1: false,
        given: Vec::new(),
    };
    if let Some(tcp) = object.object("tcp") {
        block
            .given
            .extend(tcp.names().map(|name| format!("tcp.{name}")));
        read_tcp(&tcp, &mut block.pool);
    }
    if let Some(http) = object.object("http") {
        block
            .given
            .extend(http.names().map(|name| format!("http.{name}")));
        read_http(&http, &mut block);
    }
    Some(block)
}

fn read_tcp(tcp: &Object<'_>, pool: &mut Pool) {
    set_limit(tcp, "maxConnections", &mut pool.max_connections);
    if let Some(timeout) = tcp
        .get("connectTimeout")
        .and_then(|t| t.duration(Least::Millisecond))
    {
        pool.connect_timeout = timeout;
    }
    pool.max_connection_duration = tcp
        .get("maxConnectionDuration")
        .and_then(|d| d.duration(Least::Millisecond));
    if let Some(idle) = tcp.get("idleTimeout").and_then(|t| t.duration(Least::Zero)) {
        pool.idle_timeout = (!idle.is_zero()).then_some(idle);
    }
    if let Some(keepalive) = tcp.object("tcpKeepalive") {
        let time = |name| {
            keepalive
                .get(name)
                .and_then(|t: Field<'_>| t.duration(Least::Millisecond))
        };
        pool.keepalive = Some(Keepalive {
            time: time("time"),
            interval: time("interval"),
            probes: keepalive.get("probes").and_then(|p| p.u32()),
        });
    }
}

fn read_http(http: &Object<'_>, block: &mut PoolBlock) {
    let pool = &mut block.pool;
    set_limit(http, "http1MaxPendingRequests", &mut pool.max_pending);
    set_limit(http, "http2MaxRequests", &mut pool.max_requests);
    set_limit(
        http,
        "maxConcurrentStreams",
        &mut pool.max_concurrent_streams,
    );
    if let Some(field) = http.get("maxRequestsPerConnection")
        && let Some(max) = field.count()
    {
        pool.max_requests_per_connection = max;
    }
    if let Some(field) = http.get("maxRetries") {
        set_limit(http, "maxRetries", &mut pool.max_retries);
        field.note(
            "max-retries-is-concurrent",
            "`maxRetries` limits the retries in flight at one time, not the attempts of a request",
            "attempts are set by `retries.attempts` of a VirtualService (2 without one)",
        );
    }
    if let Some(idle) = http
        .get("idleTimeout")
        .and_then(|t| t.duration(Least::Millisecond))
    {
        pool.idle_timeout = Some(idle);
    }
    if let Some(pings) = http.get("http2KeepAlive") {
        pings.check(&PINGS);
        http.not_in_force("http2KeepAlive", Severity::Note, "no HTTP/2 pings are sent");
    }
    let upgrade = http.get("h2UpgradePolicy").and_then(|field| {
        field.word(&[
            ("DEFAULT", None),
            ("DO_NOT_UPGRADE", Some(false)),
            ("UPGRADE", Some(true)),
        ])
    });
    let upgrade = upgrade.flatten();
    block.keeps_http1 = upgrade == Some(false);
    block.protocol = (upgrade == Some(true)).then_some(Protocol::Http2);
    if let Some(field) = http.get("useClientProtocol")
        && field.bool() == Some(true)
    {
        if block.protocol.is_some() {
            let message = "`useClientProtocol` and `h2UpgradePolicy: UPGRADE` exclude each other";
            field.error("one-of", message, "keep one of them");
        }
        block.protocol = Some(Protocol::AsCaller);
    }
}

/// Sets a limit; 0 leaves the default, as in Istio.
fn set_limit(object: &Object<'_>, name: &'static str, limit: &mut u32) {
    if let Some(value) = object.get(name).and_then(|field| field.count())
        && value > 0
    {
        *limit = value;
    }
}
