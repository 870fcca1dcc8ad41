//! WasmPlugin.

use super::{
    super::format::{NOT_EMPTY, SELECTOR},
    targets::{ONE_CHOICE, TARGET, TARGETS},
};
use crate::config::decode::{
    Field,
    shape::{Fields, Format, INT32, PORT, Rule, Shape},
};

pub(super) static PLUGIN: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("targetRef", TARGET),
        ("targetRefs", TARGETS),
        ("url", Shape::Text(&URL)),
        ("sha256", Shape::Text(&SHA256)),
        (
            "imagePullPolicy",
            Shape::Word(&["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]),
        ),
        ("imagePullSecret", Shape::Text(&SECRET)),
        ("verificationKey", Shape::Str),
        ("pluginConfig", Shape::Any),
        ("pluginName", Shape::Text(&NAME)),
        (
            "phase",
            Shape::Word(&["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]),
        ),
        ("priority", INT32),
        (
            "failStrategy",
            Shape::Word(&["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]),
        ),
        ("vmConfig", Shape::Object(&VM)),
        ("match", Shape::List(&MATCH)),
        (
            "type",
            Shape::Word(&["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]),
        ),
    ],
    rules: &[Rule::All(&["url"]), ONE_CHOICE],
});

static VM: Fields = Fields {
    fields: &[("env", Shape::List(&ENV))],
    rules: &[Rule::Check(check_names)],
};

static ENV: Shape = Shape::Object(&Fields {
    fields: &[
        ("name", Shape::Text(&NAME)),
        ("value", Shape::Str),
        ("valueFrom", Shape::Word(&["INLINE", "HOST"])),
    ],
    rules: &[
        Rule::All(&["name"]),
        Rule::Check(|env| {
            if env.peek_str(&["valueFrom"]) == Some("HOST")
                && let Some(value) = env.step("value").filter(|value| !value.is_null())
            {
                value.error(
                    "one-of",
                    "a value from the host has no `value` here",
                    "remove one",
                );
            }
        }),
    ],
});

static MATCH: Shape = Shape::Object(&Fields {
    fields: &[
        (
            "mode",
            Shape::Word(&["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]),
        ),
        (
            "ports",
            Shape::List(&Shape::Object(&Fields {
                fields: &[("number", PORT)],
                rules: &[Rule::All(&["number"])],
            })),
        ),
    ],
    rules: &[],
});

static URL: Format = Format {
    rule: "bad-url",
    check: |text| {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let known = ["", "file", "http", "https", "oci"].contains(&scheme);
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '#';
        if !text.is_empty() && known && text.chars().all(plain) && escapes_are_whole(text) {
            Ok(())
        } else {
            Err("this is no URL of a module")
        }
    },
    hint: "file, http, https or oci, or an image without a scheme",
};

static SHA256: Format = Format {
    rule: "bad-checksum",
    check: |text| {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.is_empty() || (text.len() == 64 && text.bytes().all(hex)) {
            Ok(())
        } else {
            Err("this is no SHA-256 checksum")
        }
    },
    hint: "64 digits of lower-case hexadecimal",
};

static SECRET: Format = Format {
    rule: "bad-name",
    check: |text| match text.len() {
        1..=253 => Ok(()),
        _ => Err("a secret's name has 1 to 253 characters"),
    },
    hint: "",
};

static NAME: Format = Format {
    check: |text| match text.len() {
        1..=256 => Ok(()),
        _ => Err("a name has 1 to 256 characters"),
    },
    ..NOT_EMPTY
};

/// Whether each `%` is followed by two hexadecimal digits.
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        let mut hex = || digits.next().is_some_and(|b| b.is_ascii_hexdigit());
        hex() && hex()
    })
}

fn check_names(vm: &Field<'_>) {
    let mut seen = Vec::new();
    for env in vm.items("env") {
        let Some(name) = env.given("name") else {
            continue;
        };
        if let Some(text) = name.str_quietly() {
            if seen.contains(&text) {
                name.error("duplicate-name", format!("{text:?} is given twice"), "");
            }
            seen.push(text);
        }
    }
}
