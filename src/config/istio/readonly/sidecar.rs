//! Sidecar (Istio semantics 3.2).

use super::{
    super::{
        format::{self, IP, LABEL_OR_EMPTY, PROTOCOL, UNIX, WORKLOAD_SELECTOR},
        pool,
    },
    gateway::check_host,
    server_tls::TLS,
};
use crate::config::{
    decode::{
        Field,
        shape::{Fields, Format, Rule, Shape, UINT32},
    },
    names,
};

pub(super) static SIDECAR: Shape = Shape::Object(&Fields {
    fields: &[
        ("workloadSelector", WORKLOAD_SELECTOR),
        ("ingress", Shape::List(&INGRESS)),
        ("egress", Shape::List(&EGRESS)),
        ("inboundConnectionPool", POOL),
        ("outboundTrafficPolicy", Shape::Object(&OUTBOUND)),
    ],
    rules: &[
        Rule::Some(&[
            "ingress",
            "egress",
            "inboundConnectionPool",
            "outboundTrafficPolicy",
        ]),
        Rule::Check(check_unique_ports),
        Rule::Check(check_order),
    ],
});

const POOL: Shape = Shape::And(&Shape::Any, |field| {
    pool::read(field);
});

const CAPTURE: Shape = Shape::Word(&["DEFAULT", "IPTABLES", "NONE"]);

static INGRESS: Shape = Shape::Object(&Fields {
    fields: &[
        ("port", Shape::Object(&PORT)),
        ("bind", Shape::Str),
        ("captureMode", CAPTURE),
        ("defaultEndpoint", Shape::Text(&ENDPOINT)),
        ("tls", Shape::And(&Shape::Object(&TLS), check_ingress_tls)),
        ("connectionPool", POOL),
    ],
    rules: &[
        Rule::All(&["port"]),
        Rule::Check(check_ingress),
        Rule::Check(|listener| {
            let protocol = listener.peek_str(&["port", "protocol"]).unwrap_or_default();
            if let Some(tls) = listener.given("tls").filter(|_| !format::is_tls(protocol)) {
                let message = format!("{protocol:?} is no protocol of TLS");
                tls.error(
                    "tls-on-plain-port",
                    message,
                    "use HTTPS or TLS, or remove it",
                );
            }
        }),
    ],
});

static EGRESS: Shape = Shape::Object(&Fields {
    fields: &[
        ("port", Shape::Object(&PORT)),
        ("bind", Shape::Str),
        ("captureMode", CAPTURE),
        (
            "hosts",
            Shape::List(&Shape::And(&Shape::Str, check_egress_host)),
        ),
    ],
    rules: &[Rule::All(&["hosts"]), Rule::Check(check_egress)],
});

static PORT: Fields = Fields {
    fields: &[
        ("number", UINT32),
        ("protocol", Shape::Text(&PROTOCOL)),
        ("name", Shape::Text(&LABEL_OR_EMPTY)),
        ("targetPort", UINT32),
    ],
    rules: &[Rule::Check(|port| {
        if let Some(target) = port.step("targetPort")
            && target.int_quietly().is_some_and(|target| target > 0)
        {
            let message = "`targetPort` has no effect on a Sidecar";
            target.error("target-port", message, "remove it");
        }
    })],
};

static OUTBOUND: Fields = Fields {
    fields: &[
        (
            "mode",
            Shape::Word(&["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]),
        ),
        ("egressProxy", Shape::Object(&PROXY)),
    ],
    rules: &[Rule::Check(|policy| {
        let Some(proxy) = policy.given("egressProxy") else {
            return;
        };
        // The kind's default is not the mesh's.
        if policy.peek_str(&["mode"]).unwrap_or("REGISTRY_ONLY") != "ALLOW_ANY" {
            let hint = "set `mode: ALLOW_ANY`";
            proxy.error("one-of", "`egressProxy` needs the mode ALLOW_ANY", hint);
        }
    })],
};

static PROXY: Fields = Fields {
    fields: &[
        ("host", Shape::Text(&FULL_NAME)),
        ("subset", Shape::Text(&LABEL_OR_EMPTY)),
        (
            "port",
            Shape::Object(&Fields {
                fields: &[("number", crate::config::decode::shape::PORT)],
                rules: &[Rule::All(&["number"])],
            }),
        ),
    ],
    rules: &[Rule::All(&["host", "port"])],
};

static FULL_NAME: Format = Format {
    rule: "bad-host",
    check: names::check_fqdn,
    hint: "",
};

/// `namespace/host`.
static HOST: Format = Format {
    rule: "bad-host",
    check: |text| {
        let Some((namespace, host)) = text.split_once('/') else {
            return Err("this is not `namespace/host`");
        };
        if !matches!(namespace, "*" | "." | "~") && !names::is_dns_label(namespace) {
            return Err("before the `/` stands a namespace, `*`, `.` or `~`");
        }
        check_host(host, false)
    },
    hint: "such as ./*, istio-system/* or ./llm.ai.svc.cluster.local",
};

/// Where an ingress listener sends what it takes.
static ENDPOINT: Format = Format {
    rule: "bad-address",
    check: |text| {
        if text.is_empty() {
            return Ok(());
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return format::check_unix(path);
        }
        let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
        if !["", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"].contains(&host) {
            return Err("it is an address of this workload");
        }
        match port.parse::<u16>() {
            Ok(1..) if !port.starts_with('+') => Ok(()),
            _ => Err("this is no port number"),
        }
    },
    hint: "127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:// and a path",
};

fn check_egress_host(field: &Field<'_>) {
    let Some(text) = field.str_quietly() else {
        return;
    };
    match text.split_once('/') {
        Some((namespace, host)) if names::is_dns_label(host) => {
            let own = match namespace {
                "." | "*" | "~" => &field.origin().namespace,
                other => other,
            };
            field.error(
                "sidecar-short-host",
                format!("{host:?} is a short name; Istio wants the full one here"),
                format!("write {namespace}/{host}.{own}.svc.cluster.local"),
            );
        }
        _ => _ = HOST.holds(text, field),
    }
}

fn check_ingress(listener: &Field<'_>) {
    if let Some(port) = listener.given("port") {
        check_number(&port);
        check_bind(listener);
    }
}

fn check_egress(listener: &Field<'_>) {
    let Some(port) = listener.given("port") else {
        return;
    };
    if number(&port) != 0 {
        check_number(&port);
        check_bind(listener);
        return;
    }
    let bind = listener.given("bind");
    let socket = bind
        .as_ref()
        .and_then(|bind| bind.str_quietly()?.strip_prefix(UNIX));
    match socket.map(format::check_unix) {
        None => {
            let hint = "give a port number, or `bind: unix://…`";
            port.error("out-of-range", "only a unix socket has no port", hint);
        }
        Some(Err(why)) => bind.unwrap_or(port).error("bad-address", why, ""),
        Some(Ok(())) => {}
    }
    if let Some(mode) = listener.given("captureMode")
        && !matches!(mode.str_quietly(), Some("DEFAULT" | "NONE"))
    {
        let message = "traffic of a unix socket is not captured";
        mode.error("one-of", message, "DEFAULT or NONE");
    }
}

fn number(port: &Field<'_>) -> i64 {
    let number = port.step("number");
    number
        .and_then(|number| number.int_quietly())
        .unwrap_or_default()
}

fn check_number(port: &Field<'_>) {
    let value = number(port);
    if !(1..=65_535).contains(&value) {
        let place = port.step("number");
        let message = format!("{value} is not between 1 and 65535");
        place
            .as_ref()
            .unwrap_or(port)
            .error("out-of-range", message, "");
    }
}

fn check_bind(listener: &Field<'_>) {
    if let Some(bind) = listener.given("bind")
        && let Some(text) = bind.str_quietly()
    {
        IP.holds(text, &bind);
    }
}

fn check_ingress_tls(tls: &Field<'_>) {
    for name in [
        "subjectAltNames",
        "credentialName",
        "credentialNames",
        "tlsCertificates",
    ] {
        if let Some(field) = tls.given(name) {
            let message = format!("`{name}` is not supported at a Sidecar's ingress");
            field.error("tls-mode", message, "remove it");
        }
    }
    if let Some(redirect) = tls.step("httpsRedirect")
        && redirect.bool_quietly() == Some(true)
    {
        let message = "a Sidecar's ingress does not redirect";
        redirect.error("tls-mode", message, "remove it");
    }
    if let Some(mode) = tls.step("mode")
        && let Some(text @ ("ISTIO_MUTUAL" | "AUTO_PASSTHROUGH")) = mode.str_quietly()
    {
        let message = format!("{text} is no mode of a Sidecar's ingress");
        mode.error("tls-mode", message, "SIMPLE, MUTUAL or OPTIONAL_MUTUAL");
    }
}

/// Ports of one direction are unique, unix sockets too.
fn check_unique_ports(sidecar: &Field<'_>) {
    for direction in ["ingress", "egress"] {
        let mut seen = Vec::new();
        for listener in sidecar.items(direction) {
            let Some(port) = listener.given("port") else {
                continue;
            };
            let bind = listener.peek_str(&["bind"]).unwrap_or_default();
            let number = number(&port);
            let key = (number, if number == 0 { bind } else { "" });
            if seen.contains(&key) {
                let message = format!("the port {number} is given twice under `{direction}`");
                port.error("duplicate-port", message, "ports are unique");
            }
            seen.push(key);
        }
    }
}

/// The one egress listener without a port takes what the others leave, and so comes last.
fn check_order(sidecar: &Field<'_>) {
    let listeners = sidecar.items("egress");
    let before = listeners.len().saturating_sub(1);
    for listener in listeners.iter().take(before) {
        if listener.given("port").is_none() {
            let message = "an egress listener without a port comes last, and there is one at most";
            listener.error(
                "listener-order",
                message,
                "give it a port, or move it to the end",
            );
        }
    }
}
