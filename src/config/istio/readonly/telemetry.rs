//! Telemetry (Istio semantics 6.5).

use super::{
    super::format::{NOT_EMPTY, SELECTOR},
    cel,
    targets::{ONE_CHOICE, TARGET, TARGETS},
};
use crate::config::decode::{
    Field,
    shape::{Fields, Rule, Shape},
};

const MODE: Shape = Shape::Word(&["CLIENT_AND_SERVER", "CLIENT", "SERVER"]);

const NAME: Shape = Shape::Text(&NOT_EMPTY);

const PROVIDERS: Shape = Shape::List(&Shape::Object(&Fields {
    fields: &[("name", Shape::Str)],
    rules: &[Rule::All(&["name"])],
}));

const MATCH_MODE: Shape = Shape::Object(&Fields {
    fields: &[("mode", MODE)],
    rules: &[],
});

pub(super) static TELEMETRY: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("targetRef", TARGET),
        ("targetRefs", TARGETS),
        ("tracing", Shape::List(&TRACING)),
        ("metrics", Shape::List(&METRICS)),
        ("accessLogging", Shape::List(&ACCESS_LOGGING)),
    ],
    rules: &[ONE_CHOICE],
});

static TRACING: Shape = Shape::Object(&Fields {
    fields: &[
        ("match", MATCH_MODE),
        ("providers", PROVIDERS),
        ("randomSamplingPercentage", Shape::Number(0.0, 100.0)),
        ("disableSpanReporting", Shape::Bool),
        ("customTags", Shape::Map(&NOT_EMPTY, &CUSTOM_TAG)),
        ("useRequestIdForTraceSampling", Shape::Bool),
        ("enableIstioTags", Shape::Bool),
        ("disableContextPropagation", Shape::Bool),
    ],
    rules: &[],
});

static CUSTOM_TAG: Shape = Shape::Object(&Fields {
    fields: &[
        ("literal", VALUE),
        ("environment", NAMED),
        ("header", NAMED),
        ("formatter", VALUE),
    ],
    rules: &[Rule::AtMostOne(&[
        "literal",
        "environment",
        "header",
        "formatter",
    ])],
});

const VALUE: Shape = Shape::Object(&Fields {
    fields: &[("value", Shape::Str)],
    rules: &[Rule::All(&["value"])],
});

const NAMED: Shape = Shape::Object(&Fields {
    fields: &[("name", Shape::Str), ("defaultValue", Shape::Str)],
    rules: &[Rule::All(&["name"])],
});

static METRICS: Shape = Shape::Object(&Fields {
    fields: &[
        ("providers", PROVIDERS),
        ("overrides", Shape::List(&OVERRIDE)),
        ("reportingInterval", Shape::Duration),
    ],
    rules: &[],
});

static OVERRIDE: Shape = Shape::Object(&Fields {
    fields: &[
        (
            "match",
            Shape::Object(&Fields {
                fields: &[
                    ("metric", Shape::Word(&METRIC_NAMES)),
                    ("customMetric", NAME),
                    ("mode", MODE),
                ],
                rules: &[Rule::AtMostOne(&["metric", "customMetric"])],
            }),
        ),
        ("disabled", Shape::Bool),
        ("tagOverrides", Shape::Map(&NOT_EMPTY, &TAG_OVERRIDE)),
    ],
    rules: &[],
});

static METRIC_NAMES: [&str; 11] = [
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
];

static TAG_OVERRIDE: Shape = Shape::Object(&Fields {
    fields: &[
        ("operation", Shape::Word(&["UPSERT", "REMOVE"])),
        ("value", Shape::Str),
    ],
    rules: &[Rule::Check(|tag| {
        let value = tag.given("value");
        match (tag.peek_str(&["operation"]), value) {
            (Some("REMOVE"), Some(value)) => {
                value.error(
                    "one-of",
                    "a tag that is removed has no value",
                    "remove one of the two",
                );
            }
            (None | Some("UPSERT"), None) => {
                let hint = "a CEL expression, or `operation: REMOVE`";
                tag.error("missing-field", "a tag that is set has a `value`", hint);
            }
            _ => {}
        }
    })],
});

static ACCESS_LOGGING: Shape = Shape::Object(&Fields {
    fields: &[
        ("match", MATCH_MODE),
        ("providers", PROVIDERS),
        ("disabled", Shape::Bool),
        (
            "filter",
            Shape::Object(&Fields {
                fields: &[("expression", Shape::And(&Shape::Str, check_expression))],
                rules: &[],
            }),
        ),
    ],
    rules: &[],
});

fn check_expression(field: &Field<'_>) {
    if let Some(Err(why)) = field.str_quietly().map(cel::check) {
        let hint = "a CEL expression, such as response.code >= 400";
        field.error("bad-expression", format!("not an expression: {why}"), hint);
    }
}
