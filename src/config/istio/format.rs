//! The formats of Istio's strings: names, hosts, addresses, labels, header names and values.

use std::net::IpAddr;

use crate::{
    config::{
        decode::{
            Field,
            shape::{Fields, Format, Rule, Shape},
        },
        names,
    },
    layers::route::params::Regex,
};

/// Istio's bound on regular expressions, in bytes.
pub(super) const MAX_REGEX: usize = 1024;

/// What an address of a unix socket begins with.
pub(super) const UNIX: &str = "unix://";

/// The protocols that Istio knows, in lower case.
const PROTOCOLS: [&str; 12] = [
    "tcp",
    "udp",
    "grpc",
    "grpc-web",
    "http",
    "http_proxy",
    "http2",
    "https",
    "tls",
    "mongo",
    "redis",
    "mysql",
];

pub(super) static NOT_EMPTY: Format = Format {
    rule: "empty-value",
    check: |text| holds(!text.is_empty(), "it is empty"),
    hint: "",
};

/// The name of a subset, a port, a namespace.
pub(super) static LABEL: Format = Format {
    rule: "bad-name",
    check: |text| holds(names::is_dns_label(text), "this is no name of this kind"),
    hint: "letters, digits and `-`",
};

/// As [`LABEL`], where empty counts as absent.
pub(super) static LABEL_OR_EMPTY: Format = Format {
    check: |text| {
        holds(
            text.is_empty() || names::is_dns_label(text),
            "this is no name",
        )
    },
    ..LABEL
};

/// A host: a DNS name, with a wildcard in its first label or not.
pub(super) static HOST: Format = Format {
    rule: "bad-host",
    check: names::check_host,
    hint: "",
};

pub(super) static IP: Format = Format {
    rule: "bad-address",
    check: |text| holds(is_ip(text), "this is no IP address"),
    hint: "",
};

/// An IP address or a block of them.
pub(super) static CIDR: Format = Format {
    rule: "bad-address",
    check: |text| holds(is_cidr(text), "this is no IP address or CIDR block"),
    hint: "such as 10.0.0.1 or 10.0.0.0/8",
};

/// The key of a Kubernetes label.
pub(super) static LABEL_KEY: Format = Format {
    rule: "bad-label",
    check: |text| holds(is_label_key(text), "this is no key of a label"),
    hint: "letters, digits, `-`, `_` and `.`, after a DNS name and `/` or not",
};

/// The value of a Kubernetes label.
pub(super) static LABEL_VALUE: Format = Format {
    rule: "bad-label",
    check: |text| {
        holds(
            text.is_empty() || is_qualified(text),
            "this is no value of a label",
        )
    },
    hint: "letters, digits, `-`, `_` and `.`, a letter or digit at both ends",
};

/// A key of a selector.
static SELECTOR_KEY: Format = Format {
    rule: "bad-selector",
    check: |text| {
        holds(
            !text.is_empty() && !text.contains('*'),
            "a key is a label's, whole",
        )
    },
    hint: "wildcards are not supported in selectors",
};

/// A value of a selector.
static SELECTOR_VALUE: Format = Format {
    rule: "bad-selector",
    check: |text| {
        holds(
            text.len() <= 63 && !text.contains('*'),
            "a value is a label's, whole",
        )
    },
    hint: "wildcards are not supported in selectors",
};

/// Labels that are given to something.
pub(super) const LABELS: Shape = Shape::Map(&LABEL_KEY, &Shape::Text(&LABEL_VALUE));

/// Labels that something is chosen by.
pub(super) const CHOSEN_LABELS: Shape = Shape::Map(&SELECTOR_KEY, &Shape::Text(&SELECTOR_VALUE));

/// `selector`, and the `workloadSelector` of a DestinationRule.
pub(super) const SELECTOR: Shape = Shape::Object(&Fields {
    fields: &[("matchLabels", CHOSEN_LABELS)],
    rules: &[Rule::Check(|field| warn_of_all(field, "matchLabels"))],
});

/// `workloadSelector` of the older kinds.
pub(super) const WORKLOAD_SELECTOR: Shape = Shape::Object(&Fields {
    fields: &[("labels", CHOSEN_LABELS)],
    rules: &[Rule::Check(|field| warn_of_all(field, "labels"))],
});

/// A header's name (RFC 9110).
pub(super) static HEADER_NAME: Format = Format {
    rule: "bad-header-name",
    check: |text| holds(is_token(text), "this is no header name"),
    hint: "",
};

/// A header's name as Istio wants it where it is made.
pub(super) static PLAIN_HEADER_NAME: Format = Format {
    rule: "bad-header-name",
    check: |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        holds(
            !text.is_empty() && text.bytes().all(plain),
            "this is no header name",
        )
    },
    hint: "letters, digits, `-` and `_`",
};

/// A gateway of a VirtualService: `mesh`, a name, or `namespace/name`.
pub(super) static GATEWAY: Format = Format {
    rule: "bad-gateway",
    check: |text| match text.split_once('/') {
        Some((namespace, name)) => {
            let labels = names::is_dns_label(namespace) && names::is_dns_label(name);
            holds(labels, "this is no `namespace/name`")
        }
        None => names::check_fqdn(text),
    },
    hint: "`mesh`, the name of a Gateway, or namespace/name",
};

/// Gateways of a VirtualService, or of a match in one.
pub(super) static GATEWAYS: Shape = Shape::List(&Shape::Text(&GATEWAY));

/// A regular expression of RE2's kind.
pub(super) static REGEX: Format = Format {
    rule: "bad-regex",
    check: |text| {
        if text.is_empty() || text.len() > MAX_REGEX {
            return Err("a regular expression has 1 to 1024 characters");
        }
        check_re2(text)?;
        holds(Regex::new(text).is_ok(), "this is no regular expression")
    },
    hint: "RE2 syntax: no look-around and no back-references; the whole value must match",
};

/// The protocol of a port.
pub(super) static PROTOCOL: Format = Format {
    rule: "unknown-protocol",
    check: |text| {
        let known = text.is_empty() || is_protocol(text);
        holds(known, "Istio knows no such protocol")
    },
    hint: "HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, MYSQL or REDIS",
};

/// Finds what RE2 refuses and our engine takes: a repetition of a repetition, and one of more than 1000 times.
pub(super) fn check_re2(text: &str) -> Result<(), &'static str> {
    let (mut escaped, mut class, mut repeated) = (false, false, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if escaped || class {
            class &= escaped || c != ']';
            escaped = !escaped && c == '\\';
            continue;
        }
        let repeats = match c {
            '*' | '+' | '?' => true,
            '{' => check_times(&text[at + 1..])?,
            _ => false,
        };
        if repeats && repeated {
            return Err("a repetition is repeated; put it in brackets");
        }
        if repeats {
            if c == '{' {
                while characters.next_if(|(_, c)| *c != '}').is_some() {}
                characters.next();
            }
            // Lazily.
            characters.next_if(|(_, c)| *c == '?');
        }
        repeated = repeats;
        (escaped, class) = (c == '\\', c == '[');
        if class {
            // A bracket that comes first is one of the characters.
            characters.next_if(|(_, c)| *c == '^');
            characters.next_if(|(_, c)| *c == ']');
        }
    }
    Ok(())
}

/// Whether what follows a `{` makes it a repetition, such as `2}`, `2,}` or `2,3}`.
fn check_times(text: &str) -> Result<bool, &'static str> {
    let Some((times, _)) = text.split_once('}') else {
        return Ok(false);
    };
    let (least, most) = times.split_once(',').unwrap_or((times, times));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return Ok(false);
    }
    let fits = |text: &str| text.is_empty() || text.parse::<u16>().is_ok_and(|n| n <= 1000);
    if fits(least) && fits(most) {
        Ok(true)
    } else {
        Err("RE2 repeats at most 1000 times")
    }
}

/// Whether a protocol has a name that Istio knows.
pub(super) fn is_protocol(text: &str) -> bool {
    PROTOCOLS.iter().any(|name| text.eq_ignore_ascii_case(name))
}

/// Whether a protocol is one of HTTP's.
pub(super) fn is_http(text: &str) -> bool {
    let http = ["http", "http2", "http_proxy", "grpc", "grpc-web"];
    http.iter().any(|name| text.eq_ignore_ascii_case(name))
}

/// Whether a protocol is spoken over TLS, by its name.
pub(super) fn is_tls(text: &str) -> bool {
    text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("tls")
}

pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return is_ip(text);
    };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    plain && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// The path of a unix socket, without `unix://`.
pub(super) fn check_unix(path: &str) -> Result<(), &'static str> {
    let fits = path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'));
    holds(
        fits,
        "a unix socket is an absolute path of a file, or `@` and a name",
    )
}

fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let inner = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 63
        && is_qualified(name)
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(inner))
}

/// A name within a label.
fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

fn warn_of_all(field: &Field<'_>, name: &'static str) {
    let labels = field.step(name).map(|labels| labels.entries_quietly());
    if labels.unwrap_or_default() == 0 {
        field.warn(
            "empty-selector",
            "a selector without labels chooses every workload of the namespace",
            "give labels, or leave the selector out",
        );
    }
}

fn holds(good: bool, why: &'static str) -> Result<(), &'static str> {
    if good { Ok(()) } else { Err(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(format: &Format, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!((format.check)(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!((format.check)(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn formats() {
        fits(&LABEL, &["a", "v1-b", "A"], &["", "a.b", "-a", "a_b"]);
        fits(
            &IP,
            &["10.0.0.1", "::1", "001:db8::"],
            &["", "10.0.0", "a", "10.0.0.1/8"],
        );
        fits(
            &CIDR,
            &["10.0.0.1", "10.1.2.3/16", "::/0", "2001:1::1/64"],
            &[
                "10.0.0.0/33",
                "10.0.0.0/08",
                "10.0.0.0/",
                "a/8",
                "1.2.3.4/8/8",
                "::/129",
            ],
        );
        fits(
            &LABEL_KEY,
            &["app", "app.kubernetes.io/name", "a_b.c-d"],
            &["", ".", "a/b/c", "-a", "a-", "/a", "x y", "*"],
        );
        fits(
            &LABEL_VALUE,
            &["", "v1", "a.b_c-d"],
            &["~", "-a", "a-", "a b", "*"],
        );
        fits(&HEADER_NAME, &["x-a", "x!a"], &["", "a b", ":path", "a:b"]);
        fits(
            &PLAIN_HEADER_NAME,
            &["x-a_B"],
            &["", "x.a", ":authority", "x a"],
        );
        fits(
            &GATEWAY,
            &["mesh", "gw", "ns/gw", "gw.ns.svc.cluster.local"],
            &["", "ns/*", "*/gw", "b@d", "ns/a.b", "a/b/c"],
        );
        fits(
            &REGEX,
            &[
                ".*", "a|b", "a+?", "(a*)*", "[+*]+", r"a\++", "a{2,3}?", "[]+]*", "a??",
            ],
            &[
                "",
                "(",
                "a(?=b)",
                "a++",
                "a**",
                "a{2}{3}",
                "a{2}*",
                "a??*",
                "a{1001}",
                "%#@~++==",
                &"x".repeat(1025),
            ],
        );
        fits(
            &PROTOCOL,
            &["", "HTTP", "gRPC-Web", "UDP", "Mongo"],
            &["HTTP3", "ws", " "],
        );
    }
}
