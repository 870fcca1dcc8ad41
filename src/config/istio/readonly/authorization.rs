//! AuthorizationPolicy (Istio semantics 4.2).

use super::{
    super::format::{CIDR, NOT_EMPTY, SELECTOR},
    targets::{ONE_CHOICE, TARGET, TARGETS},
};
use crate::config::decode::{
    Field,
    shape::{Fields, Format, Rule, Shape},
};

pub(super) static POLICY: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("targetRef", TARGET),
        ("targetRefs", TARGETS),
        ("rules", Shape::List(&RULE)),
        ("action", Shape::Word(&["ALLOW", "DENY", "AUDIT", "CUSTOM"])),
        (
            "provider",
            Shape::Object(&Fields {
                fields: &[("name", Shape::Str)],
                rules: &[],
            }),
        ),
    ],
    rules: &[ONE_CHOICE, Rule::Check(check_action)],
});

static RULE: Shape = Shape::Object(&Fields {
    fields: &[
        ("from", Shape::And(&Shape::List(&FROM), check_not_empty)),
        ("to", Shape::And(&Shape::List(&TO), check_not_empty)),
        ("when", Shape::List(&CONDITION)),
    ],
    rules: &[],
});

static FROM: Shape = Shape::Object(&Fields {
    fields: &[("source", Shape::Object(&SOURCE))],
    rules: &[Rule::All(&["source"])],
});

static TO: Shape = Shape::Object(&Fields {
    fields: &[("operation", Shape::Object(&OPERATION))],
    rules: &[Rule::All(&["operation"])],
});

const VALUES: Shape = Shape::List(&Shape::Text(&NOT_EMPTY));
const BLOCKS: Shape = Shape::List(&Shape::Text(&CIDR));
const ACCOUNTS: Shape = Shape::And(&Shape::List(&Shape::Text(&ACCOUNT)), |list| {
    if list.list().len() > 16 {
        list.error(
            "out-of-range",
            "there are more than 16 service accounts",
            "",
        );
    }
});

static SOURCE: Fields = Fields {
    fields: &[
        ("principals", VALUES),
        ("notPrincipals", VALUES),
        ("requestPrincipals", VALUES),
        ("notRequestPrincipals", VALUES),
        ("namespaces", VALUES),
        ("notNamespaces", VALUES),
        ("serviceAccounts", ACCOUNTS),
        ("notServiceAccounts", ACCOUNTS),
        ("trustDomains", VALUES),
        ("notTrustDomains", VALUES),
        ("ipBlocks", BLOCKS),
        ("notIpBlocks", BLOCKS),
        ("remoteIpBlocks", BLOCKS),
        ("notRemoteIpBlocks", BLOCKS),
    ],
    rules: &[
        Rule::Some(&[
            "principals",
            "notPrincipals",
            "requestPrincipals",
            "notRequestPrincipals",
            "namespaces",
            "notNamespaces",
            "serviceAccounts",
            "notServiceAccounts",
            "trustDomains",
            "notTrustDomains",
            "ipBlocks",
            "notIpBlocks",
            "remoteIpBlocks",
            "notRemoteIpBlocks",
        ]),
        Rule::Check(check_accounts),
    ],
};

const PORTS: Shape = Shape::List(&Shape::Text(&PORT));
const PATHS: Shape = Shape::List(&Shape::Text(&PATH));

static OPERATION: Fields = Fields {
    fields: &[
        ("hosts", VALUES),
        ("notHosts", VALUES),
        ("ports", PORTS),
        ("notPorts", PORTS),
        ("methods", VALUES),
        ("notMethods", VALUES),
        ("paths", PATHS),
        ("notPaths", PATHS),
    ],
    rules: &[Rule::Some(&[
        "hosts",
        "notHosts",
        "ports",
        "notPorts",
        "methods",
        "notMethods",
        "paths",
        "notPaths",
    ])],
};

static CONDITION: Shape = Shape::Object(&Fields {
    fields: &[
        ("key", Shape::Text(&KEY)),
        ("values", VALUES),
        ("notValues", VALUES),
    ],
    rules: &[
        Rule::All(&["key"]),
        Rule::Some(&["values", "notValues"]),
        Rule::Check(check_condition),
    ],
});

static PORT: Format = Format {
    rule: "out-of-range",
    check: |text| match text.parse::<u16>() {
        Ok(_) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err("this is no port number"),
    },
    hint: "between 0 and 65535, in quotes",
};

static ACCOUNT: Format = Format {
    rule: "bad-service-account",
    check: |text| {
        let parts: Vec<_> = text.split('/').collect();
        let whole = parts.len() <= 2 && parts.iter().all(|part| !part.is_empty());
        if whole && text.len() <= 320 && !text.contains('*') {
            Ok(())
        } else {
            Err("this is no service account")
        }
    },
    hint: "name or namespace/name, without wildcards",
};

static PATH: Format = Format {
    rule: "bad-path-template",
    check: check_path,
    hint: "{*} for one segment, {**} for any number of them, each a segment of its own, {**} after all others",
};

static KEY: Format = Format {
    rule: "unknown-condition",
    check: check_key,
    hint: "such as request.headers[x-token], source.ip or request.auth.claims[iss]",
};

/// The keys of conditions that are names by themselves.
const KEYS: [&str; 12] = [
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "source.trustDomain",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

fn check_key(key: &str) -> Result<(), &'static str> {
    if key.is_empty() || KEYS.contains(&key) {
        return Ok(());
    }
    let maps = [
        "request.headers",
        "request.auth.claims",
        "experimental.envoy.filters.",
    ];
    if !maps.iter().any(|map| key.starts_with(map)) {
        return Err("no condition has this key");
    }
    let inside = key.find('[').filter(|open| *open > 0);
    match inside {
        Some(open) if key.ends_with(']') && open + 2 < key.len() => Ok(()),
        _ => Err("what is meant of it stands in brackets after it"),
    }
}

/// A path, whose templates are whole segments (Istio semantics 4.2).
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    let template = path.contains("{*}") || path.contains("{**}");
    let mut any = false;
    for segment in path.trim_matches('/').split('/') {
        match segment {
            "{*}" | "{**}" if any => return Err("no template comes after `{**}`"),
            "{*}" => {}
            "{**}" => any = true,
            _ if segment.contains(['{', '}']) => return Err("`{` and `}` belong to templates"),
            _ if template && !segment.bytes().all(is_literal) => {
                return Err("beside templates there are no wildcards and only characters of paths");
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@".contains(&byte)
}

fn check_not_empty(list: &Field<'_>) {
    if list.is_empty_list() {
        list.error(
            "empty-value",
            "the list is empty",
            "remove it, or say whom it is about",
        );
    }
}

fn check_accounts(source: &Field<'_>) {
    let account = ["serviceAccounts", "notServiceAccounts"]
        .iter()
        .find_map(|name| source.given(name));
    let others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    let other = others.iter().find(|name| source.given(name).is_some());
    if let (Some(account), Some(other)) = (account, other) {
        let message = format!("service accounts and `{other}` exclude each other in one source");
        account.error(
            "one-of",
            message,
            "write two sources, or keep one of the two",
        );
    }
}

fn check_condition(condition: &Field<'_>) {
    let format = match condition.peek_str(&["key"]) {
        Some("source.ip" | "remote.ip" | "destination.ip") => &CIDR,
        Some("destination.port") => &PORT,
        Some("source.serviceAccount") => &ACCOUNT,
        _ => return,
    };
    for name in ["values", "notValues"] {
        for (text, field) in condition.texts(name) {
            format.holds(text, &field);
        }
    }
}

fn check_action(policy: &Field<'_>) {
    let action = policy.peek_str(&["action"]).unwrap_or("ALLOW");
    let rules = policy.step("rules").filter(|rules| !rules.is_null());
    if matches!(action, "DENY" | "CUSTOM") && rules.is_none() {
        let message = format!("{action} without `rules` never happens");
        let hint = "add rules; `rules: [{}]` means every request";
        policy.error("policy-without-rules", message, hint);
    }
    let provider = policy.step("provider").filter(|field| !field.is_null());
    if action != "CUSTOM" {
        if let Some(provider) = provider {
            let hint = "set `action: CUSTOM`, or remove it";
            provider.error("one-of", format!("{action} asks no provider"), hint);
        }
        if action == "DENY" {
            policy.items("rules").iter().for_each(warn_of_ports);
        }
        return;
    }
    if rules.is_some() && provider.is_none_or(|provider| provider.given("name").is_none()) {
        let hint = "add `provider: {name: …}`, an extension provider of the mesh";
        policy.error(
            "missing-field",
            "CUSTOM asks a provider, and none is named",
            hint,
        );
    }
    policy.items("rules").iter().for_each(check_custom);
}

/// What an external authorizer's trigger cannot look at.
fn check_custom(rule: &Field<'_>) {
    let hint = "let the provider look at it";
    for source in rule
        .items("from")
        .iter()
        .filter_map(|from| from.step("source"))
    {
        for name in [
            "namespaces",
            "notNamespaces",
            "principals",
            "notPrincipals",
            "requestPrincipals",
            "notRequestPrincipals",
            "serviceAccounts",
            "notServiceAccounts",
        ] {
            if let Some(field) = source.given(name) {
                let message = format!("`{name}` is not supported with CUSTOM");
                field.error("custom-condition", message, hint);
            }
        }
    }
    for condition in rule.items("when") {
        let key = condition.peek_str(&["key"]).unwrap_or_default();
        let unseen = [
            "source.namespace",
            "source.principal",
            "source.serviceAccount",
        ];
        if unseen.contains(&key) || key.starts_with("request.auth.") {
            let message = format!("`{key}` is not supported with CUSTOM");
            condition.error("custom-condition", message, hint);
        }
    }
}

/// A DENY rule of HTTP's attributes alone denies everything on a TCP port.
fn warn_of_ports(rule: &Field<'_>) {
    let requests = ["requestPrincipals", "notRequestPrincipals"];
    let from = rule.items("from");
    let to = rule.items("to");
    let peers = from
        .iter()
        .filter_map(|from| from.step("source"))
        .any(|source| {
            let names = SOURCE.fields.iter().map(|(name, _)| *name);
            names
                .filter(|name| !requests.contains(name))
                .any(|name| source.given(name).is_some())
        });
    let ports = to
        .iter()
        .filter_map(|to| to.step("operation"))
        .any(|operation| {
            operation.given("ports").is_some() || operation.given("notPorts").is_some()
        });
    if (!from.is_empty() && to.is_empty() && !peers) || (!to.is_empty() && !ports) {
        rule.warn(
            "deny-on-tcp",
            "a DENY rule with HTTP attributes and no port denies all traffic of TCP ports",
            "name the ports",
        );
    }
}
