//! PeerAuthentication and RequestAuthentication (Istio semantics 4.1 and 4.3).

use super::{
    super::format::{NOT_EMPTY, PLAIN_HEADER_NAME, SELECTOR},
    targets::{ONE_CHOICE, TARGET, TARGETS},
};
use crate::config::decode::{
    Field,
    shape::{Fields, Format, Rule, Shape},
};

const MTLS: Shape = Shape::Object(&Fields {
    fields: &[(
        "mode",
        Shape::Word(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]),
    )],
    rules: &[],
});

static PORT_KEY: Format = Format {
    rule: "out-of-range",
    check: |text| match text.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("this is no port number"),
    },
    hint: "between 1 and 65535",
};

pub(super) static PEER: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("mtls", MTLS),
        ("portLevelMtls", Shape::Map(&PORT_KEY, &MTLS)),
    ],
    rules: &[Rule::Check(check_ports)],
});

pub(super) static REQUEST: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("targetRef", TARGET),
        ("targetRefs", TARGETS),
        ("jwtRules", Shape::List(&JWT_RULE)),
    ],
    rules: &[ONE_CHOICE],
});

const NAMES: Shape = Shape::List(&Shape::Text(&NOT_EMPTY));

static JWT_RULE: Shape = Shape::Object(&Fields {
    fields: &[
        ("issuer", Shape::Str),
        ("audiences", NAMES),
        ("jwksUri", Shape::Text(&JWKS_URI)),
        ("jwks_uri", Shape::Text(&JWKS_URI)),
        ("jwks", Shape::Text(&JWKS)),
        ("fromHeaders", Shape::List(&FROM_HEADER)),
        ("fromParams", NAMES),
        ("fromCookies", NAMES),
        ("outputPayloadToHeader", Shape::Str),
        ("forwardOriginalToken", Shape::Bool),
        ("outputClaimToHeaders", Shape::List(&CLAIM_TO_HEADER)),
        ("timeout", Shape::Duration),
        ("spaceDelimitedClaims", NAMES),
        (
            "presence",
            Shape::Word(&["UNSPECIFIED", "OPTIONAL", "REQUIRED"]),
        ),
    ],
    rules: &[
        // Where the keys are fetched from may say who signs.
        Rule::Some(&["issuer", "jwksUri", "jwks_uri"]),
        Rule::AtMostOne(&["jwks", "jwksUri", "jwks_uri"]),
    ],
});

static FROM_HEADER: Shape = Shape::Object(&Fields {
    fields: &[("name", Shape::Str), ("prefix", Shape::Str)],
    rules: &[Rule::All(&["name"])],
});

static CLAIM_TO_HEADER: Shape = Shape::Object(&Fields {
    fields: &[
        ("header", Shape::Text(&PLAIN_HEADER_NAME)),
        ("claim", Shape::Str),
    ],
    rules: &[Rule::All(&["header", "claim"])],
});

static JWKS_URI: Format = Format {
    rule: "bad-url",
    check: |text| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let authority = rest.unwrap_or_default().split(['/', '?', '#']).next();
        let host = authority.unwrap_or_default();
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        let numeric = port.bytes().all(|b| b.is_ascii_digit()) || host.ends_with(']');
        if text.is_empty() || (!host.is_empty() && numeric && !text.contains([' ', '\\'])) {
            Ok(())
        } else {
            Err("this is no http or https URL")
        }
    },
    hint: "such as https://issuer.example/.well-known/jwks.json",
};

static JWKS: Format = Format {
    rule: "bad-jwks",
    check: |text| {
        if text.is_empty() || is_jwks(text) {
            Ok(())
        } else {
            Err("this is no JSON Web Key Set")
        }
    },
    hint: "such as {\"keys\": [{\"kty\": \"RSA\", …}]}",
};

/// A set of keys, or one key (RFC 7517).
fn is_jwks(text: &str) -> bool {
    let is_key = |key: &serde_json::Value| {
        let kind = key.get("kty").and_then(serde_json::Value::as_str);
        matches!(kind, Some("RSA" | "EC" | "oct" | "OKP"))
    };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(set) => match set.get("keys") {
            Some(serde_json::Value::Array(keys)) => keys.iter().all(is_key),
            Some(_) => false,
            None => is_key(&set),
        },
        Err(_) => false,
    }
}

fn check_ports(peer: &Field<'_>) {
    let Some(ports) = peer.step("portLevelMtls").filter(|ports| !ports.is_null()) else {
        return;
    };
    if ports.entries_quietly() == 0 {
        let hint = "name a port, or remove the field";
        ports.error("empty-policy", "`portLevelMtls` names no port", hint);
    }
    let labels = peer
        .step("selector")
        .and_then(|selector| selector.step("matchLabels"));
    if labels.is_none_or(|labels| labels.entries_quietly() == 0) {
        let hint = "add `selector.matchLabels`: a port is a workload's";
        ports.error(
            "port-without-selector",
            "`portLevelMtls` needs a selector",
            hint,
        );
    }
}
