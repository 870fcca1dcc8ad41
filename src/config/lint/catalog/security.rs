//! Access and identity.

use crate::config::{
    diagnostic::Severity::{Error, Warning},
    lint::rule::Rule,
};

pub(super) static RULES: &[Rule] = &[
    Rule::of_loader(
        Error,
        "policy-without-rules",
        "",
        "The policy says nothing.",
        "Add rules.",
    ),
    Rule::of_loader(
        Warning,
        "deny-on-tcp",
        "",
        "On a TCP port, fields of HTTP make a DENY rule refuse more than it says.",
        "Limit it to HTTP ports.",
    ),
    Rule::of_loader(
        Error,
        "unknown-condition",
        "",
        "No condition has this key.",
        "Use one that is named.",
    ),
    Rule::of_loader(
        Warning,
        "custom-condition",
        "",
        "The condition is read by an extension.",
        "Check its name.",
    ),
    Rule::of_loader(
        Error,
        "bad-path-template",
        "",
        "This is no template of a path.",
        "`{*}` for one segment, `{**}` for the rest.",
    ),
    Rule::of_loader(
        Error,
        "bad-service-account",
        "",
        "This is no service account.",
        "Write `name` or `namespace/name`.",
    ),
    Rule::of_loader(
        Error,
        "bad-expression",
        "",
        "The expression cannot be read.",
        "Mend it.",
    ),
    Rule::of_loader(
        Error,
        "bad-jwks",
        "",
        "The key set cannot be read.",
        "Mend it.",
    ),
    Rule::of_loader(
        Error,
        "bad-url",
        "",
        "This is no URL of a kind that is taken here.",
        "Write it in full.",
    ),
    Rule::of_loader(
        Error,
        "bad-checksum",
        "",
        "This is no SHA-256 in hex.",
        "Mend it.",
    ),
    Rule::of_loader(
        Error,
        "unknown-type",
        "",
        "The type is not known.",
        "Use one that is named.",
    ),
];
