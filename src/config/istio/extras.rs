//! What a rule says besides where requests go: faults, mirrors, CORS. None is in force, each is checked.

use super::format::{HEADER_NAME, HOST, LABEL_OR_EMPTY, REGEX};
use crate::config::decode::{
    Field, Object,
    shape::{Fields, Format, INT32, PORT, Rule, Shape},
};
use crate::config::diagnostic::Severity;

/// The names of gRPC status codes, from 0.
static GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A place that requests go to.
pub(super) const DESTINATION: Shape = Shape::Object(&Fields {
    fields: &[
        ("host", Shape::Text(&ONE_HOST)),
        ("subset", Shape::Text(&LABEL_OR_EMPTY)),
        (
            "port",
            Shape::Object(&Fields {
                fields: &[("number", PORT)],
                rules: &[Rule::All(&["number"])],
            }),
        ),
    ],
    rules: &[Rule::All(&["host"])],
});

static ONE_HOST: Format = Format {
    check: |text| match text {
        // What is missing is said elsewhere.
        "" => Ok(()),
        "*" => Err("a destination is not every host"),
        _ => (HOST.check)(text),
    },
    ..HOST
};

/// A share of requests.
const SHARE: Shape = Shape::Object(&Fields {
    fields: &[("value", Shape::Number(0.0, 100.0))],
    rules: &[],
});

/// A share of requests, in steps that Envoy can draw.
const CHANCE: Shape = Shape::Object(&Fields {
    fields: &[(
        "value",
        Shape::And(&Shape::Any, |value| _ = value.percent()),
    )],
    rules: &[],
});

static MIRRORS: Shape = Shape::List(&Shape::Object(&Fields {
    fields: &[("destination", DESTINATION), ("percentage", SHARE)],
    rules: &[Rule::All(&["destination"])],
}));

static FAULT: Shape = Shape::Object(&Fields {
    fields: &[
        ("delay", Shape::And(&DELAY, warn_of_never)),
        ("abort", Shape::And(&ABORT, warn_of_never)),
    ],
    rules: &[Rule::Check(|fault| {
        if fault.given("delay").is_none() && fault.given("abort").is_none() {
            fault.error("empty-fault", "`fault` needs `delay` or `abort`", "");
        }
    })],
});

static DELAY: Shape = Shape::Object(&Fields {
    fields: &[
        ("fixedDelay", Shape::Duration),
        (
            "exponentialDelay",
            Shape::And(&Shape::Any, unknown_to_istio),
        ),
        ("percentage", CHANCE),
        ("percent", INT32),
    ],
    rules: &[Rule::AtMostOne(&["fixedDelay", "exponentialDelay"])],
});

static ABORT: Shape = Shape::Object(&Fields {
    fields: &[
        ("httpStatus", Shape::Int(200, 600)),
        ("grpcStatus", Shape::Word(&GRPC_STATUS)),
        ("http2Error", Shape::And(&Shape::Any, unknown_to_istio)),
        ("percentage", CHANCE),
    ],
    rules: &[Rule::AtMostOne(&["httpStatus", "grpcStatus", "http2Error"])],
});

static CORS: Shape = Shape::Object(&Fields {
    fields: &[
        ("allowOrigins", Shape::List(&ORIGIN)),
        ("allowOrigin", Shape::List(&Shape::Str)),
        (
            "allowMethods",
            Shape::List(&Shape::Word(&[
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*",
            ])),
        ),
        ("allowHeaders", Shape::List(&Shape::Text(&HEADER_NAME))),
        ("exposeHeaders", Shape::List(&Shape::Text(&HEADER_NAME))),
        ("maxAge", Shape::And(&Shape::Duration, check_seconds)),
        ("allowCredentials", Shape::Bool),
        (
            "unmatchedPreflights",
            Shape::Word(&["UNSPECIFIED", "FORWARD", "IGNORE"]),
        ),
    ],
    rules: &[],
});

static ORIGIN: Shape = Shape::Object(&Fields {
    fields: &[
        ("exact", Shape::Str),
        ("prefix", Shape::Str),
        ("regex", Shape::Text(&REGEX)),
    ],
    rules: &[Rule::One(&["exact", "prefix", "regex"])],
});

/// Checks them in a rule, and says that they have no effect.
pub(super) fn check(rule: &Object<'_>) {
    let no_fault = "no delay or abort is injected (under Istio a delay is not part of `timeout`, and an abort is not retried)";
    for (name, shape, effect) in [
        ("fault", &FAULT, no_fault),
        ("mirror", &DESTINATION, "no copy is sent"),
        ("mirrors", &MIRRORS, "no copy is sent"),
        ("corsPolicy", &CORS, "preflight requests go upstream"),
    ] {
        if let Some(field) = rule.get(name) {
            field.check(shape);
            rule.not_in_force(name, Severity::Warning, effect);
        }
    }
    if let Some(share) = rule.get("mirrorPercentage") {
        share.check(&SHARE);
    }
    for name in ["mirrorPercent", "mirror_percent"] {
        if let Some(field) = rule.get(name) {
            field.int(0, 100);
            let message = format!("`{name}` is deprecated");
            field.warn("deprecated", message, "use `mirrorPercentage.value`");
        }
    }
    if rule.field().given("mirrors").is_some() {
        rule.one_of(&["mirror", "mirrors"]);
    }
}

fn unknown_to_istio(field: &Field<'_>) {
    let message = "Istio names this field and supports it nowhere";
    field.error(
        "unsupported-fault",
        message,
        "use fixedDelay, httpStatus or grpcStatus",
    );
}

fn warn_of_never(part: &Field<'_>) {
    if let Some(percent) = part.given("percent") {
        let hint = "use `percentage.value`";
        percent.warn("deprecated", "`percent` is deprecated", hint);
    } else if part.given("percentage").is_none() {
        let hint = "add `percentage: {value: …}`";
        let message = "without a percentage it never happens";
        part.warn("fault-without-percentage", message, hint);
    }
    let kinds = [
        "fixedDelay",
        "exponentialDelay",
        "httpStatus",
        "grpcStatus",
        "http2Error",
    ];
    if kinds.iter().all(|name| part.given(name).is_none()) {
        let hint = "give fixedDelay, or httpStatus or grpcStatus";
        part.warn("fault-without-effect", "it does not say what happens", hint);
    }
}

fn check_seconds(age: &Field<'_>) {
    let text = age.str_quietly().unwrap_or_default();
    let whole = crate::config::scalar::duration(text).is_ok_and(|age| age.subsec_nanos() == 0);
    if !whole {
        age.error("bad-duration", "an age is in whole seconds", "");
    }
}
