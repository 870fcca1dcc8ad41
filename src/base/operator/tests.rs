use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::*;
use crate::base::ext::{Flag, Notes, RouteMeta};

fn render(text: &str, known: &Known<'_>) -> String {
    let template = Template::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    String::from_utf8(template.render("-", |operator| known.value(operator))).unwrap()
}

#[test]
fn operators_stand_for_what_is_known() {
    let mut headers = HeaderMap::new();
    headers.insert("x-tier", HeaderValue::from_static("gold"));
    headers.insert("host", HeaderValue::from_static("app:80"));
    let (method, uri) = (Method::POST, Uri::from_static("/a/b?k=v&l"));
    let mut response = HeaderMap::new();
    response.insert("x-r", HeaderValue::from_static("r"));
    let mut route = RouteMeta::block_all();
    route.cluster = "outbound|80||app".into();
    let notes = Notes {
        flags: vec![Flag::URX, Flag::UF],
        attempts: 3,
        endpoint: Some(([127, 0, 0, 1], 9000).into()),
        details: Some("via_upstream".to_owned()),
        ..Notes::default()
    };
    let known = Known {
        request: Some(RequestHead {
            method: &method,
            uri: &uri,
            version: Version::HTTP_2,
            headers: &headers,
            scheme: "http",
        }),
        status: 503,
        response: Some(&response),
        route: Some(&route),
        notes: Some(&notes),
        peer: Some(([10, 0, 0, 9], 4000).into()),
        local: Some(([10, 0, 0, 1], 15001).into()),
        started: Some(UNIX_EPOCH + Duration::from_nanos(1_795_341_600_678_912_345)),
        duration: Some(Duration::from_micros(1999)),
        bytes_received: 5,
        bytes_sent: 6,
    };
    for (text, value) in [
        ("plain", "plain"),
        ("100%%", "100%"),
        ("%%REQ(x-tier)%%", "%REQ(x-tier)%"),
        ("%REQ(X-Tier)%", "gold"),
        ("<%REQ(x-none)%>", "<->"),
        ("%REQ(x-none?x-tier)%", "gold"),
        ("%REQ(x-none?:PATH):4%", "/a/b"),
        ("%REQ(x-tier):2%", "go"),
        ("%REQ(x-tier):9%", "gold"),
        ("%REQ(x-tier):99999999999999999999999%", "gold"),
        (
            "%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:scheme)%",
            "POST app:80 http",
        ),
        ("%REQ(Host)%", "app:80"),
        ("%REQ_WITHOUT_QUERY(x-none?:PATH)%", "/a/b"),
        ("%PATH%%PATH(NQ)%", "/a/b?k=v&l/a/b"),
        ("%QUERY_PARAM(k)%%QUERY_PARAM(l)%%QUERY_PARAM(m)%", "v-"),
        ("%RESP(x-r)%%RESP(:STATUS)%%RESP(x-none)%", "r503-"),
        ("%PROTOCOL%", "HTTP/2"),
        ("%RESPONSE_CODE% %RESPONSE_FLAGS%", "503 URX,UF"),
        ("%RESPONSE_CODE_DETAILS%", "via_upstream"),
        ("%DURATION% %BYTES_RECEIVED% %BYTES_SENT%", "1 5 6"),
        ("%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.9:4000"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.9"),
        ("%DOWNSTREAM_REMOTE_PORT%", "4000"),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "10.0.0.1:15001"),
        (
            "%UPSTREAM_HOST% %UPSTREAM_CLUSTER%",
            "127.0.0.1:9000 outbound|80||app",
        ),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "3"),
        ("%ROUTE_NAME%", "block_all"),
        ("%START_TIME%", "2026-11-22T10:00:00.678Z"),
        (
            "%START_TIME(%Y/%m/%dT%H:%M:%S%z)%",
            "2026/11/22T10:00:00+0000",
        ),
        ("%START_TIME(%s.%3f)%", "1795341600.678"),
        ("%START_TIME(%E6S %f)%", "00.678912 678912345"),
        (
            "%START_TIME(%a %b %e %T %F %q%%)%",
            "Sun Nov 22 10:00:00 2026-11-22 %q%",
        ),
        (
            "%DOWNSTREAM_TLS_VERSION%%TRAILER(x)%%DYNAMIC_METADATA(a:b)%",
            "---",
        ),
        ("%REQUESTED_SERVER_NAME%", "-"),
    ] {
        assert_eq!(render(text, &known), value, "{text}");
    }
    let nothing = Known::default();
    for (text, value) in [
        (
            "%REQ(x)%%RESP(x)%%PROTOCOL%%START_TIME%%DURATION%%UPSTREAM_HOST%",
            "------",
        ),
        ("%RESPONSE_CODE%%BYTES_SENT%%RESPONSE_FLAGS%", "00-"),
    ] {
        assert_eq!(render(text, &nothing), value, "{text}");
    }
}

#[test]
fn what_is_no_operator_is_named() {
    for (text, message) in [
        ("100%", "the `%` at \"%\" begins no operator"),
        ("a %b", "the `%` at \"%b\" begins no operator"),
        ("%PROTOCOL", "the `%` at \"%PROTOCOL\" begins no operator"),
        ("%protocol%", "the `%` at \"%protocol%\" begins no operator"),
        ("%REQ(x%", "begins no operator"),
        ("%REQ(x):%", "begins no operator"),
        ("%REQ(x):y%", "begins no operator"),
        ("%%%", "begins no operator"),
        (
            "%NO_SUCH_THING%",
            "`%NO_SUCH_THING%` is no operator that Envoy knows",
        ),
        ("a%NO(x):3%", "`%NO(x):3%` is no operator"),
        ("%REQ%", "`%REQ%` needs the name of a field"),
        ("%REQ()%", "`%REQ()%` names no field"),
        (
            "%REQ(a?b?c)%",
            "`%REQ(a?b?c)%` takes one alternative at most",
        ),
        ("%REQ(a b)%", "names no field"),
        ("%PROTOCOL(x)%", "`%PROTOCOL(x)%` takes no arguments"),
        ("%PROTOCOL:3%", "`%PROTOCOL:3%` takes no length"),
        ("%QUERY_PARAM%", "needs the name of a parameter"),
        ("%PATH(X)%", "takes WQ or NQ"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_lone_operator_keeps_its_kind() {
    let known = Known {
        status: 204,
        ..Known::default()
    };
    let lone = |text: &str| {
        let template = Template::parse(text).unwrap();
        template.lone(|operator| known.value(operator))
    };
    assert_eq!(lone("%RESPONSE_CODE%"), Some(Some(Value::Number(204))));
    assert_eq!(lone("%REQ(x)%"), Some(None));
    assert_eq!(lone("a%REQ(x)%"), None);
    assert_eq!(lone("a"), None);
    assert_eq!(Template::parse("50%%").unwrap().fixed(), Some("50%"));
    assert_eq!(Template::parse("").unwrap().fixed(), Some(""));
}

#[test]
fn names_are_in_one_table_alone() {
    for name in table::ABSENT.split_whitespace() {
        let plain = table::PLAIN.iter().any(|(plain, _)| *plain == name);
        assert!(!plain, "{name}");
        assert!(Template::parse(&format!("%{name}%")).is_ok(), "{name}");
    }
}
