//! WorkloadGroup.

use super::super::format::{HEADER_NAME, LABEL, LABELS};
use crate::config::decode::shape::{COUNT, Fields, PORT, Rule, Shape, UINT32};

pub(super) static GROUP: Shape = Shape::Object(&Fields {
    fields: &[
        (
            "metadata",
            Shape::Object(&Fields {
                fields: &[("labels", LABELS), ("annotations", Shape::Any)],
                rules: &[],
            }),
        ),
        ("template", Shape::Object(&TEMPLATE)),
        ("probe", Shape::Object(&PROBE)),
    ],
    rules: &[Rule::Check(|spec| {
        if spec.given("template").is_none() {
            spec.error(
                "missing-field",
                "`template` is missing",
                "it may be empty: {}",
            );
        }
    })],
});

/// A WorkloadEntry whose address each workload brings.
static TEMPLATE: Fields = Fields {
    fields: &[
        ("address", Shape::Str),
        ("ports", Shape::Map(&LABEL, &PORT)),
        ("labels", Shape::Any),
        ("network", Shape::Str),
        ("locality", Shape::Str),
        ("weight", UINT32),
        ("serviceAccount", Shape::Str),
    ],
    rules: &[],
};

static PROBE: Fields = Fields {
    fields: &[
        ("initialDelaySeconds", COUNT),
        ("timeoutSeconds", COUNT),
        ("periodSeconds", COUNT),
        ("successThreshold", COUNT),
        ("failureThreshold", COUNT),
        (
            "httpGet",
            Shape::Object(&Fields {
                fields: &[
                    ("path", Shape::Str),
                    ("port", PORT),
                    ("host", Shape::Str),
                    ("scheme", Shape::Word(&["", "HTTP", "HTTPS"])),
                    ("httpHeaders", Shape::List(&HEADER)),
                ],
                rules: &[Rule::All(&["port"])],
            }),
        ),
        (
            "tcpSocket",
            Shape::Object(&Fields {
                fields: &[("host", Shape::Str), ("port", PORT)],
                rules: &[Rule::All(&["port"])],
            }),
        ),
        (
            "exec",
            Shape::Object(&Fields {
                fields: &[("command", Shape::List(&Shape::Str))],
                rules: &[Rule::All(&["command"])],
            }),
        ),
        (
            "grpc",
            Shape::Object(&Fields {
                fields: &[("service", Shape::Str), ("port", PORT)],
                rules: &[],
            }),
        ),
    ],
    rules: &[Rule::One(&["httpGet", "tcpSocket", "exec", "grpc"])],
};

static HEADER: Shape = Shape::Object(&Fields {
    fields: &[("name", Shape::Text(&HEADER_NAME)), ("value", Shape::Str)],
    rules: &[Rule::All(&["name"])],
});
