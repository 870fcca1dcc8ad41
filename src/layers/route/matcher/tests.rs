use http::HeaderValue;

use super::*;
use crate::{base::ext::Arrival, layers::route::params::Regex};

fn exact(s: &str) -> StringMatch {
    StringMatch::Exact(s.into())
}

fn prefix(s: &str) -> StringMatch {
    StringMatch::Prefix(s.into())
}

fn regex(s: &str) -> StringMatch {
    StringMatch::Regex(Regex::new(s).unwrap())
}

fn request(target: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::get(target).body(()).unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn check(m: &Match, target: &str, headers: &[(&'static str, &str)]) -> bool {
    let request = request(target, headers);
    m.matches(&RequestView::new(&request), 8080)
}

fn uri(m: StringMatch, ignore_case: bool) -> Match {
    Match {
        uri: Some(m),
        ignore_uri_case: ignore_case,
        ..Match::default()
    }
}

fn header_name(name: &'static str) -> FieldName {
    FieldName::Header(HeaderName::from_static(name))
}

#[test]
fn uri_table() {
    // `HTTPMatchRequest.uri` and `ignore_uri_case`.
    for (m, ignore, path, expected) in [
        (exact("/a"), false, "/a", true),
        (exact("/a"), false, "/a?q=1", true),
        (exact("/a"), false, "/a/", false),
        (exact("/a"), false, "/A", false),
        (exact("/a"), true, "/A", true),
        (prefix("/api/llm/chat"), false, "/api/llm/chatter", true),
        (prefix("/api/llm/chat"), false, "/api/llm/cha", false),
        (prefix("/Api"), false, "/api/x", false),
        (prefix("/Api"), true, "/aPI/x", true),
        (prefix("/api/longer"), true, "/api", false),
        (prefix(""), false, "/anything", true),
        (regex("/v[12]/.*"), false, "/v1/x", true),
        (regex("/v[12]"), false, "/v1/x", false),
        (regex("/v[12]"), false, "/x/v1", false),
        (regex("a|/b"), false, "/b", true),
        (regex("/A"), true, "/a", false),
        (regex("(?i)/A"), false, "/a", true),
        (prefix("/a?q"), false, "/a?q=1", false),
    ] {
        assert_eq!(
            check(&uri(m.clone(), ignore), path, &[]),
            expected,
            "{m:?} {path}"
        );
    }
}

#[test]
fn a_prefix_never_splits_a_character() {
    let request = request("/é", &[]);
    let m = uri(prefix("/\u{c3}"), true);
    assert!(!m.matches(&RequestView::new(&request), 80));
}

#[test]
fn headers_table() {
    // `HTTPMatchRequest.headers`: each value of a repeated header on its own, one is enough.
    let cases: &[(StringMatch, &[&str], bool)] = &[
        (exact("true"), &["true"], true),
        (exact("true"), &["True"], false),
        (exact("true"), &[], false),
        (exact("b"), &["a", "b"], true),
        (exact("a,b"), &["a", "b"], false),
        (exact("a,b"), &["a,b"], true),
        (prefix("a"), &["b", "abc"], true),
        (regex("b+"), &["abb", "bb"], true),
        (regex("b+"), &["abb"], false),
        (StringMatch::Present, &["anything"], true),
        (StringMatch::Present, &[""], true),
        (StringMatch::Present, &[], false),
    ];
    for (m, values, expected) in cases {
        let headers: Vec<_> = values.iter().map(|v| ("x-h", *v)).collect();
        let rule = Match {
            headers: vec![(header_name("x-h"), m.clone())],
            ..Match::default()
        };
        assert_eq!(check(&rule, "/", &headers), *expected, "{m:?} {values:?}");
    }
}

#[test]
fn without_headers_table() {
    // `HTTPMatchRequest.without_headers`: the inverse; an absent header counts as empty under a value matcher.
    let cases: &[(StringMatch, &[&str], bool)] = &[
        (exact("x"), &[], true),
        (exact("x"), &["y"], true),
        (exact("x"), &["x"], false),
        (exact("x"), &["y", "x"], false),
        (exact("x"), &["y", "z"], true),
        (regex(".*"), &[], false),
        (regex(".+"), &[], true),
        (prefix("x"), &[], true),
        (StringMatch::Present, &[], true),
        (StringMatch::Present, &["y"], false),
    ];
    for (m, values, expected) in cases {
        let headers: Vec<_> = values.iter().map(|v| ("x-h", *v)).collect();
        let rule = Match {
            without_headers: vec![(header_name("x-h"), m.clone())],
            ..Match::default()
        };
        assert_eq!(check(&rule, "/", &headers), *expected, "{m:?} {values:?}");
    }
}

#[test]
fn all_conditions_of_an_alternative_must_hold() {
    let rule = Match {
        uri: Some(prefix("/a")),
        method: Some(exact("GET")),
        headers: vec![
            (header_name("x-a"), exact("1")),
            (header_name("x-b"), StringMatch::Present),
        ],
        ..Match::default()
    };
    assert!(check(&rule, "/a", &[("x-a", "1"), ("x-b", "")]));
    assert!(!check(&rule, "/a", &[("x-a", "1")]));
    assert!(!check(&rule, "/b", &[("x-a", "1"), ("x-b", "")]));
}

#[test]
fn query_table() {
    // `HTTPMatchRequest.query_params`: the first value, names and values as sent.
    for (m, target, expected) in [
        (exact("1"), "/?k=1", true),
        (exact("1"), "/?k=2&k=1", false),
        (exact("2"), "/?k=2&k=1", true),
        (exact("a b"), "/?k=a%20b", false),
        (exact("a%20b"), "/?k=a%20b", true),
        (exact(""), "/?k", true),
        (exact("a=b"), "/?k=a=b", true),
        (prefix("ab"), "/?x=1&k=abc", true),
        (regex("[0-9]+"), "/?k=12", true),
        (regex("[0-9]"), "/?k=12", false),
        (StringMatch::Present, "/?k", true),
        (StringMatch::Present, "/?K=1", false),
        (StringMatch::Present, "/", false),
        (StringMatch::Present, "/?", false),
    ] {
        let rule = Match {
            query: vec![("k".into(), m.clone())],
            ..Match::default()
        };
        assert_eq!(check(&rule, target, &[]), expected, "{m:?} {target}");
    }
}

#[test]
fn authority_includes_the_port_and_case_as_sent() {
    let rule = |m| Match {
        authority: Some(m),
        ..Match::default()
    };
    let host = &[("host", "llm:8080")];
    assert!(check(&rule(exact("llm:8080")), "/", host));
    assert!(!check(&rule(exact("llm")), "/", host));
    assert!(!check(&rule(exact("LLM:8080")), "/", host));
    // HTTP/2 and absolute form: the URI's wins over Host (RFC 9112 section 3.2.2).
    assert!(check(&rule(exact("other")), "http://other/", host));
}

#[test]
fn scheme_is_the_forwarded_one_then_the_connections() {
    let rule = Match {
        scheme: Some(exact("https")),
        ..Match::default()
    };
    let tls = |tls| Arrival {
        at: crate::base::time::Instant::now(),
        peer: None,
        local: None,
        tls,
    };
    assert!(check(&rule, "/", &[("x-forwarded-proto", "https")]));
    assert!(!check(&rule, "/", &[]));
    assert!(check(&rule, "https://a/", &[]));
    let mut sent = request("https://a/", &[]);
    sent.extensions_mut().insert(tls(false));
    assert!(!rule.matches(&RequestView::new(&sent), 80));
    sent.extensions_mut().insert(tls(true));
    assert!(rule.matches(&RequestView::new(&sent), 80));
    sent.headers_mut()
        .insert("x-forwarded-proto", HeaderValue::from_static("http"));
    assert!(!rule.matches(&RequestView::new(&sent), 80));
}

#[test]
fn pseudo_headers_may_be_named() {
    let rule = |name, m| Match {
        headers: vec![(name, m)],
        ..Match::default()
    };
    let host = &[("host", "llm")];
    for (name, m, expected) in [
        (FieldName::Path, exact("/a?b=c"), true),
        (FieldName::Path, exact("/a"), false),
        (FieldName::Method, exact("GET"), true),
        (FieldName::Method, exact("get"), false),
        (FieldName::Scheme, exact("http"), true),
        (FieldName::Authority, exact("llm"), true),
        (FieldName::Status, exact(""), false),
        (FieldName::Status, StringMatch::Present, false),
        (header_name("host"), exact("llm"), true),
    ] {
        assert_eq!(
            check(&rule(name.clone(), m), "/a?b=c", host),
            expected,
            "{name:?}"
        );
    }
    let not_get = Match {
        without_headers: vec![(FieldName::Method, exact("GET"))],
        ..Match::default()
    };
    assert!(!check(&not_get, "/", host));
    let no_status = Match {
        without_headers: vec![(FieldName::Status, exact("200"))],
        ..Match::default()
    };
    assert!(check(&no_status, "/", host));
}

#[test]
fn port_is_the_addressed_one() {
    let rule = |port| Match {
        port: Some(port),
        ..Match::default()
    };
    assert!(check(&rule(8080), "/", &[]));
    assert!(!check(&rule(80), "/", &[]));
}

#[test]
fn bytes_that_are_no_text_match_no_regex() {
    let mut sent = request("/", &[]);
    let value = HeaderValue::from_bytes(b"a\xffb").unwrap();
    sent.headers_mut().insert("x-h", value);
    let rule = |m| Match {
        headers: vec![(header_name("x-h"), m)],
        ..Match::default()
    };
    let view = RequestView::new(&sent);
    assert!(!rule(regex(".*")).matches(&view, 80));
    assert!(rule(prefix("a")).matches(&view, 80));
    assert!(rule(StringMatch::Present).matches(&view, 80));
}

#[test]
fn two_hosts_are_none() {
    let sent = request("/", &[("host", "a"), ("host", "b")]);
    assert_eq!(RequestView::new(&sent).authority, "");
}

#[test]
fn ports_are_split_off_hosts() {
    for (authority, expected) in [
        ("a", ("a", None)),
        ("a:80", ("a", Some(80))),
        ("a:", ("a", None)),
        ("a:x", ("a:x", None)),
        ("a:70000", ("a:70000", None)),
        ("a:+80", ("a:+80", None)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:8080", ("[::1]", Some(8080))),
        ("", ("", None)),
    ] {
        assert_eq!(split_port(authority), expected, "{authority}");
    }
}
