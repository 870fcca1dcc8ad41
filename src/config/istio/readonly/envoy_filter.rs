//! EnvoyFilter (Istio semantics 5.1).

use super::{
    super::format::{REGEX, WORKLOAD_SELECTOR},
    targets::TARGETS,
};
use crate::config::decode::{
    Field,
    shape::{Fields, Format, INT32, Rule, Shape, UINT32},
};

pub(super) static FILTER: Shape = Shape::Object(&Fields {
    fields: &[
        ("workloadSelector", WORKLOAD_SELECTOR),
        ("targetRefs", TARGETS),
        ("configPatches", Shape::List(&PATCH)),
        ("priority", INT32),
    ],
    rules: &[Rule::AtMostOne(&["workloadSelector", "targetRefs"])],
});

static PATCH: Shape = Shape::Object(&Fields {
    fields: &[
        (
            "applyTo",
            Shape::Word(&[
                "LISTENER",
                "FILTER_CHAIN",
                "NETWORK_FILTER",
                "HTTP_FILTER",
                "ROUTE_CONFIGURATION",
                "VIRTUAL_HOST",
                "HTTP_ROUTE",
                "CLUSTER",
                "EXTENSION_CONFIG",
                "BOOTSTRAP",
                "LISTENER_FILTER",
            ]),
        ),
        ("match", Shape::Object(&MATCH)),
        ("patch", Shape::Object(&CHANGE)),
    ],
    rules: &[Rule::All(&["applyTo", "patch"]), Rule::Check(check_patch)],
});

static CHANGE: Fields = Fields {
    fields: &[
        (
            "operation",
            Shape::Word(&[
                "MERGE",
                "ADD",
                "REMOVE",
                "INSERT_BEFORE",
                "INSERT_AFTER",
                "INSERT_FIRST",
                "REPLACE",
                "MERGE_AND_REPLACE_LIST",
            ]),
        ),
        ("value", Shape::And(&Shape::Any, check_value)),
        (
            "filterClass",
            Shape::Word(&["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]),
        ),
    ],
    rules: &[
        Rule::All(&["operation"]),
        Rule::Check(|change| {
            let operation = change.peek_str(&["operation"]);
            if operation.is_some_and(|text| text != "REMOVE") && change.given("value").is_none() {
                let hint = "only REMOVE does without";
                change.error("missing-field", "the patch has no `value`", hint);
            }
        }),
    ],
};

const NAMED: Shape = Shape::Object(&Fields {
    fields: &[("name", Shape::Str)],
    rules: &[],
});

const SUB_FILTER: Shape = Shape::Object(&Fields {
    fields: &[("name", Shape::Str), ("subFilter", NAMED)],
    rules: &[],
});

static MATCH: Fields = Fields {
    fields: &[
        (
            "context",
            Shape::Word(&[
                "ANY",
                "SIDECAR_INBOUND",
                "SIDECAR_OUTBOUND",
                "GATEWAY",
                "WAYPOINT",
            ]),
        ),
        ("proxy", Shape::Object(&PROXY)),
        ("listener", Shape::Object(&LISTENER)),
        ("routeConfiguration", Shape::Object(&ROUTES)),
        ("cluster", Shape::Object(&CLUSTER)),
        ("waypoint", Shape::Object(&WAYPOINT)),
    ],
    rules: &[
        Rule::AtMostOne(&["listener", "routeConfiguration", "cluster", "waypoint"]),
        Rule::Check(|matched| {
            let objects = ["listener", "routeConfiguration", "cluster"];
            let (wanted, other) = match matched.peek_str(&["context"]) {
                Some("WAYPOINT") => ("waypoint", &objects[..]),
                _ => ("another", &["waypoint"][..]),
            };
            if let Some(field) = other.iter().find_map(|name| matched.given(name)) {
                let message = format!("what is matched is no object of {wanted} context");
                let hint = "`waypoint` goes with the context WAYPOINT, and only with it";
                field.error("wrong-match", message, hint);
            }
        }),
    ],
};

static PROXY: Fields = Fields {
    fields: &[
        ("proxyVersion", Shape::Text(&VERSION)),
        ("metadata", Shape::Any),
    ],
    rules: &[],
};

static VERSION: Format = Format {
    check: |text| match text {
        "" => Ok(()),
        _ => (REGEX.check)(text),
    },
    ..REGEX
};

static LISTENER: Fields = Fields {
    fields: &[
        ("portNumber", UINT32),
        ("portName", Shape::Str),
        ("filterChain", Shape::Object(&CHAIN)),
        ("listenerFilter", Shape::Str),
        ("name", Shape::Str),
    ],
    rules: &[],
};

static CHAIN: Fields = Fields {
    fields: &[
        ("name", Shape::Str),
        ("sni", Shape::Str),
        ("transportProtocol", Shape::Str),
        ("applicationProtocols", Shape::Str),
        ("filter", SUB_FILTER),
        ("destinationPort", UINT32),
    ],
    rules: &[],
};

static ROUTES: Fields = Fields {
    fields: &[
        ("portNumber", UINT32),
        ("portName", Shape::Str),
        ("gateway", Shape::Str),
        ("vhost", Shape::Object(&VIRTUAL_HOST)),
        ("name", Shape::Str),
    ],
    rules: &[],
};

static VIRTUAL_HOST: Fields = Fields {
    fields: &[
        ("name", Shape::Str),
        ("domainName", Shape::Str),
        (
            "route",
            Shape::Object(&Fields {
                fields: &[
                    ("name", Shape::Str),
                    (
                        "action",
                        Shape::Word(&["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]),
                    ),
                ],
                rules: &[],
            }),
        ),
    ],
    rules: &[],
};

static CLUSTER: Fields = Fields {
    fields: &[
        ("portNumber", UINT32),
        ("service", Shape::Str),
        ("subset", Shape::Str),
        ("name", Shape::Str),
    ],
    rules: &[],
};

static WAYPOINT: Fields = Fields {
    fields: &[
        ("portNumber", Shape::Int(0, 65_535)),
        ("filter", SUB_FILTER),
        ("route", NAMED),
    ],
    rules: &[],
};

/// What is changed and what is matched must be of one sort.
fn check_patch(patch: &Field<'_>) {
    let apply_to = patch.peek_str(&["applyTo"]).unwrap_or_default();
    let Some(matched) = patch.step("match") else {
        return;
    };
    let wanted = match apply_to {
        "LISTENER" | "FILTER_CHAIN" | "NETWORK_FILTER" | "HTTP_FILTER" => "listener",
        "ROUTE_CONFIGURATION" | "VIRTUAL_HOST" | "HTTP_ROUTE" => "routeConfiguration",
        "CLUSTER" => "cluster",
        _ => return,
    };
    for name in ["listener", "routeConfiguration", "cluster"] {
        if let Some(field) = matched.given(name).filter(|_| name != wanted) {
            let message = format!("{apply_to} is matched by `{wanted}`");
            field.error("wrong-match", message, "");
        }
    }
    let chain = matched.step("listener").and_then(|l| l.step("filterChain"));
    if wanted == "listener"
        && let Some(filter) = chain.and_then(|chain| chain.given("filter"))
    {
        check_filter(&filter, apply_to);
    }
}

fn check_filter(filter: &Field<'_>, apply_to: &str) {
    const MANAGER: [&str; 2] = [
        "envoy.filters.network.http_connection_manager",
        "envoy.http_connection_manager",
    ];
    let Some(name) = filter.given("name") else {
        filter.error(
            "missing-field",
            "the filter that is matched has no `name`",
            "",
        );
        return;
    };
    let Some(inner) = filter.given("subFilter") else {
        return;
    };
    if apply_to != "HTTP_FILTER" {
        let message = "`subFilter` is for HTTP_FILTER";
        inner.error("wrong-match", message, "remove it");
    } else if !name
        .str_quietly()
        .is_some_and(|name| MANAGER.contains(&name))
    {
        let hint = format!("name {}", MANAGER[0]);
        name.error(
            "wrong-match",
            "only the HTTP connection manager has inner filters",
            hint,
        );
    } else if inner.given("name").is_none() {
        inner.error("missing-field", "the inner filter has no `name`", "");
    }
}

/// A value is an object of Envoy's, whose types are those of its third API.
fn check_value(value: &Field<'_>) {
    let hint = "such as type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
    if let Some(of) = value.object() {
        let of = of.lenient();
        for name in ["typed_config", "typedConfig"] {
            let Some(kind) = of
                .field()
                .step(name)
                .and_then(|config| config.step("@type"))
            else {
                continue;
            };
            let text = kind.str_quietly().unwrap_or_default();
            let full = text.rsplit('/').next().unwrap_or_default();
            if !text.contains('/') || full.contains(".v2.") || full.contains(".v2alpha") {
                kind.error("unknown-type", format!("Envoy has no type {text:?}"), hint);
            }
        }
    }
}
