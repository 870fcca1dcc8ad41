use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode};

use super::*;
use crate::layers::route::{
    future::ResponseOps,
    params::{Destination, HeaderText, Regex},
};

fn forward(rewrite: Rewrite) -> Forward {
    let mut forward = Forward::new(vec![Destination::new("c", 1)]);
    forward.rewrite = Some(rewrite);
    forward
}

fn matched(uri: StringMatch) -> Option<Match> {
    Some(Match {
        uri: Some(uri),
        ..Match::default()
    })
}

fn head(target: &str) -> request::Parts {
    Request::get(target)
        .header("host", "app:8080")
        .body(())
        .unwrap()
        .into_parts()
        .0
}

fn rewritten(matched: Option<&Match>, to: &str, target: &str) -> String {
    let mut head = head(target);
    let rewrite = Rewrite {
        uri: Some(to.into()),
        ..Rewrite::default()
    };
    apply_request(&forward(rewrite), matched, 0, &mut head).unwrap();
    assert_eq!(head.headers["x-envoy-original-path"], target);
    head.uri.to_string()
}

#[test]
fn uri_rewrite_table() {
    // `HTTPRewrite.uri`.
    let prefix = |p: &str| matched(StringMatch::Prefix(p.into()));
    let exact = |p: &str| matched(StringMatch::Exact(p.into()));
    let regex = matched(StringMatch::Regex(Regex::new("/r.*").unwrap()));
    for (m, to, target, expected) in [
        (prefix("/strip"), "/", "/strip/x", "//x"),
        (prefix("/strip/"), "/", "/strip/x", "/x"),
        (prefix("/a"), "/b", "/abc?q=1", "/bbc?q=1"),
        (prefix(""), "/b", "/abc", "/b/abc"),
        (prefix("/a/"), "x", "/a/b", "/xb"),
        (exact("/a"), "/b", "/a?q=1", "/b?q=1"),
        (regex, "/b", "/r/s/t", "/b"),
        (None, "/H", "/any", "/Hany"),
        (Some(Match::default()), "/H", "/any", "/Hany"),
    ] {
        assert_eq!(
            rewritten(m.as_ref(), to, target),
            expected,
            "{m:?} {to} {target}"
        );
    }
}

#[test]
fn regex_rewrite_fills_groups() {
    let run = |regex: &str, template: &str, target: &str| {
        let rewrite = Rewrite {
            regex: Some((Regex::new(regex).unwrap(), template.into())),
            ..Rewrite::default()
        };
        let mut head = head(target);
        apply_request(&forward(rewrite), None, 0, &mut head).unwrap();
        head.uri.to_string()
    };
    assert_eq!(
        run(
            "^/service/([^/]+)(/.*)$",
            r"\2/instance/\1",
            "/service/foo/v1/api?q"
        ),
        "/v1/api/instance/foo?q"
    );
    assert_eq!(
        run("one", "two", "/xxx/one/yyy/one/zzz"),
        "/xxx/two/yyy/two/zzz"
    );
    assert_eq!(run("a", "$1", "/a"), "/$1");
    assert_eq!(run("none", "x", "/a"), "/a");
}

#[test]
fn authority_rewrite_sets_host_and_keeps_the_old_one() {
    let rewrite = || Rewrite {
        authority: Some("new:1".into()),
        ..Rewrite::default()
    };
    let mut h1 = head("/a");
    apply_request(&forward(rewrite()), None, 0, &mut h1).unwrap();
    assert_eq!(h1.headers["host"], "new:1");
    assert_eq!(h1.headers["x-envoy-original-host"], "app:8080");
    assert_eq!(h1.uri, "/a");
    assert!(!h1.headers.contains_key("x-envoy-original-path"));

    let mut h2 = head("http://old/a");
    h2.headers.remove("host");
    apply_request(&forward(rewrite()), None, 0, &mut h2).unwrap();
    assert_eq!(h2.uri, "http://new:1/a");
    assert_eq!(h2.headers["x-envoy-original-host"], "old");
    assert!(!h2.headers.contains_key("host"));
}

#[test]
fn a_path_no_uri_can_have_is_the_callers_mistake() {
    let rewrite = Rewrite {
        uri: Some("/a b".into()),
        ..Rewrite::default()
    };
    let error = apply_request(&forward(rewrite), None, 0, &mut head("/")).unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest);
}

fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderText) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value).into(),
    )
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let all = headers.get_all(name).iter();
    all.map(|v| v.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_that_a_route_puts_on_is_seen() {
    for (name, value, ours) in [
        ("authorization", "Bearer sk-dummy", true),
        ("x-api-key", "sk-dummy", true),
        ("x-goog-api-key", "", false),
        ("x-team", "a", false),
    ] {
        for set in [true, false] {
            for own in [true, false] {
                let mut forward = Forward::new(vec![Destination::new("c", 1)]);
                let mut ops = HeaderOps::default();
                match set {
                    true => ops.request_set.push(pair(name, value)),
                    false => ops.request_add.push(pair(name, value)),
                }
                match own {
                    true => forward.destinations[0].headers = ops,
                    false => forward.headers = ops,
                }
                assert_eq!(
                    key_headers(&forward, 0).next().is_some(),
                    ours,
                    "{name} {value}"
                );
            }
        }
    }
}

#[test]
fn operations_are_remove_then_set_then_add() {
    let mut forward = Forward::new(vec![Destination::new("c", 1)]);
    forward.headers = HeaderOps {
        request_remove: vec![HeaderName::from_static("x-a")],
        request_set: vec![pair("x-a", "set"), pair("x-b", "")],
        request_add: vec![pair("x-a", "add"), pair("x-b", "")],
        ..HeaderOps::default()
    };
    let mut head = head("/");
    head.headers.append("x-a", HeaderValue::from_static("0"));
    head.headers.append("x-b", HeaderValue::from_static("kept"));
    apply_request(&forward, None, 0, &mut head).unwrap();
    assert_eq!(values(&head.headers, "x-a"), ["set", "add"]);
    assert_eq!(values(&head.headers, "x-b"), ["kept"]);
}

#[test]
fn the_lone_destination_wins_and_the_route_wins_over_weighted_ones() {
    let set = |value| HeaderOps {
        request_set: vec![pair("x-a", value)],
        response_set: vec![pair("x-r", value)],
        ..HeaderOps::default()
    };
    let destination = |value| {
        let mut d = Destination::new("c", 1);
        d.headers = set(value);
        d
    };
    let run = |destinations: Vec<Destination>| {
        let mut forward = Forward::new(destinations);
        forward.headers = set("route");
        let (mut head, mut response) = (head("/"), HeaderMap::new());
        apply_request(&forward, None, 0, &mut head).unwrap();
        let route = Arc::new(Route::new("r", Action::Forward(Box::new(forward))));
        let ops = ResponseOps::new(&route, 0, &head).unwrap();
        ops.apply(StatusCode::OK, &mut response);
        (values(&head.headers, "x-a"), values(&response, "x-r"))
    };
    let own = vec!["destination".to_owned()];
    assert_eq!(run(vec![destination("destination")]), (own.clone(), own));
    let route = vec!["route".to_owned()];
    assert_eq!(
        run(vec![destination("destination"), destination("other")]),
        (route.clone(), route)
    );
}

#[test]
fn an_operation_on_host_is_an_authority_rewrite() {
    let mut forward = Forward::new(vec![Destination::new("c", 1)]);
    forward.headers.request_set = vec![pair("host", "new")];
    let mut head = head("/");
    apply_request(&forward, None, 0, &mut head).unwrap();
    assert_eq!(values(&head.headers, "host"), ["new"]);
    assert_eq!(head.headers["x-envoy-original-host"], "app:8080");
}

#[test]
fn redirect_table() {
    // `HTTPRedirect`: (uri, authority, scheme, port) and the request's (proto, host, target).
    type Given = (
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
        Option<u16>,
    );
    let cases: [(Given, (&str, &str, &str), &str); 15] = [
        (
            (Some("/new"), None, None, None),
            ("http", "app", "/old?q=1"),
            "http://app/new?q=1",
        ),
        (
            (Some("/new?x"), None, None, None),
            ("http", "app", "/old?q=1"),
            "http://app/new?x",
        ),
        (
            (None, None, None, None),
            ("http", "app:8080", "/a?b"),
            "http://app:8080/a?b",
        ),
        (
            (None, None, Some("https"), None),
            ("http", "app:8080", "/a"),
            "https://app:8080/a",
        ),
        (
            (None, None, Some("https"), None),
            ("http", "app:80", "/a"),
            "https://app/a",
        ),
        (
            (None, None, Some("http"), None),
            ("http", "app:80", "/a"),
            "http://app:80/a",
        ),
        (
            (None, None, Some("http"), None),
            ("https", "app:443", "/a"),
            "http://app/a",
        ),
        (
            (None, Some("new"), None, None),
            ("http", "app:8080", "/a"),
            "http://new/a",
        ),
        (
            (None, Some("new"), None, Some(81)),
            ("http", "app:8080", "/a"),
            "http://new:81/a",
        ),
        (
            (None, None, None, Some(81)),
            ("http", "app:8080", "/a"),
            "http://app:81/a",
        ),
        (
            (None, None, None, Some(80)),
            ("http", "app:8080", "/a"),
            "http://app:8080/a",
        ),
        (
            (None, None, Some("https"), Some(443)),
            ("http", "app", "/a"),
            "https://app/a",
        ),
        (
            (None, None, Some("https"), Some(80)),
            ("http", "app", "/a"),
            "https://app:80/a",
        ),
        (
            (None, None, None, Some(443)),
            ("https", "app", "/a"),
            "https://app/a",
        ),
        (
            (None, None, Some("https"), None),
            ("http", "[::1]:80", "/a"),
            "https://[::1]/a",
        ),
    ];
    for ((uri, authority, scheme, port), (proto, host, target), expected) in cases {
        let mut redirect = Redirect::new(StatusCode::FOUND);
        redirect.uri = uri.map(Into::into);
        redirect.authority = authority.map(Into::into);
        redirect.scheme = scheme.map(Into::into);
        redirect.port = port;
        let request = Request::get(target)
            .header("host", host)
            .header("x-forwarded-proto", proto)
            .body(())
            .unwrap();
        let location = location(&redirect, &RequestView::new(&request)).unwrap();
        assert_eq!(location, expected, "{redirect:?} {proto} {host}");
    }
}
