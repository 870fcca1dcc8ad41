//! Gateway (Istio semantics 3.3).

use super::{
    super::format::{self, IP, NOT_EMPTY, UNIX},
    server_tls::TLS,
};
use crate::config::{
    decode::{
        Field,
        shape::{Fields, Format, Rule, Shape, UINT32},
    },
    names,
};

pub(super) static GATEWAY: Shape = Shape::Object(&Fields {
    fields: &[
        ("servers", Shape::List(&SERVER)),
        ("selector", Shape::Map(&NOT_EMPTY, &Shape::Str)),
    ],
    rules: &[Rule::All(&["servers"]), Rule::Check(check_names)],
});

static SERVER: Shape = Shape::Object(&Fields {
    fields: &[
        ("port", Shape::Object(&PORT)),
        ("bind", Shape::Str),
        ("hosts", Shape::List(&Shape::Text(&HOST))),
        ("tls", Shape::Object(&TLS)),
        ("defaultEndpoint", Shape::Str),
        ("name", Shape::Str),
    ],
    rules: &[
        Rule::All(&["port", "hosts"]),
        Rule::Check(check_bind),
        Rule::Check(check_tls),
    ],
});

static PORT: Fields = Fields {
    fields: &[
        ("number", UINT32),
        ("protocol", Shape::Text(&format::PROTOCOL)),
        ("name", Shape::Str),
        ("targetPort", UINT32),
    ],
    rules: &[Rule::All(&["name", "protocol"])],
};

/// A host, or a namespace, `*` or `.` before one.
static HOST: Format = Format {
    rule: "bad-host",
    check: |text| {
        let (namespace, host) = text.split_once('/').unwrap_or(("*", text));
        if !matches!(namespace, "*" | ".") && !names::is_dns_label(namespace) {
            return Err("before the `/` stands a namespace, `*` or `.`");
        }
        check_host(host, true)
    },
    hint: "a full name, `*.` and a domain, or `*`, after namespace/ or not",
};

/// The part of a Gateway's or a Sidecar's host that names a host.
pub(super) fn check_host(host: &str, ip: bool) -> Result<(), &'static str> {
    if host != "*" && !host.contains('.') && !(ip && host.contains(':')) {
        return Err("this is a short name; Istio wants the full one here");
    }
    if host.starts_with('*') && host != "*" && !host.starts_with("*.") {
        return Err("a wildcard is a whole label here: `*.` and then a domain");
    }
    if ip && format::is_ip(host) {
        return Ok(());
    }
    names::check_host(host)
}

fn check_bind(server: &Field<'_>) {
    let Some(port) = server.given("port") else {
        return;
    };
    let number = port.step("number");
    let value = number.as_ref().and_then(|number| number.int_quietly());
    let bind = server.given("bind");
    let text = bind.as_ref().and_then(|bind| bind.str_quietly());
    let socket = text.and_then(|text| text.strip_prefix(UNIX));
    let place = number.as_ref().unwrap_or(&port);
    match (socket, value.unwrap_or_default()) {
        (Some(_), 0) | (None, 1..=65_535) => {}
        (Some(_), _) => place.error("out-of-range", "a unix socket has no port", "set it to 0"),
        (None, value) => {
            let message = format!("{value} is not between 1 and 65535");
            place.error("out-of-range", message, "");
        }
    }
    if let (Some(bind), Some(text)) = (&bind, text) {
        match socket.map(format::check_unix) {
            Some(Err(why)) => bind.error("bad-address", format!("{text:?}: {why}"), ""),
            Some(Ok(())) => {}
            None => _ = IP.holds(text, bind),
        }
    }
    if let Some(target) = port.step("targetPort")
        && target.int_quietly().is_some_and(|target| target > 0)
    {
        let message = "`targetPort` has no effect on a Gateway";
        target.error("target-port", message, "remove it");
    }
}

/// A port of TLS has its settings, and a port of plain text has none but a redirect.
fn check_tls(server: &Field<'_>) {
    let protocol = server.peek_str(&["port", "protocol"]).unwrap_or_default();
    if !format::is_protocol(protocol) {
        return;
    }
    let tls = server.step("tls").filter(|tls| !tls.is_null());
    match tls {
        None if format::is_tls(protocol) => {
            let hint = "add `tls`, with a mode and a certificate";
            server.error("tls-missing", format!("{protocol} needs `tls`"), hint);
        }
        Some(tls) if !format::is_tls(protocol) => {
            let mode = tls.peek_str(&["mode"]).unwrap_or("PASSTHROUGH");
            let passes = matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH");
            let files = ["caCertificates", "privateKey", "serverCertificate"];
            let certified = files.iter().any(|name| tls.given(name).is_some());
            if !format::is_http(protocol) || !passes || certified {
                let message = format!("{protocol} is plain text and has no `tls` but a redirect");
                tls.error(
                    "tls-on-plain-port",
                    message,
                    "use HTTPS or TLS, or remove it",
                );
            }
        }
        _ => {}
    }
}

fn check_names(gateway: &Field<'_>) {
    let mut seen = Vec::new();
    for server in gateway.items("servers") {
        let name = server.step("port").and_then(|port| port.given("name"));
        let Some((field, text)) = name.and_then(|name| Some((name.clone(), name.str_quietly()?)))
        else {
            continue;
        };
        if seen.contains(&text) {
            let message = format!("the port name {text:?} is given twice");
            field.error(
                "duplicate-port",
                message,
                "port names are unique in a Gateway",
            );
        }
        seen.push(text);
    }
}
