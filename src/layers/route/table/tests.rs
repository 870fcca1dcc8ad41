use http::Request;

use super::*;
use crate::layers::route::params::{Forward, StringMatch};

fn forward(name: &str) -> Route {
    let destinations = vec![Destination::new(name, 1)];
    Route::new(name, Action::Forward(Box::new(Forward::new(destinations))))
}

fn on_port(name: &str, port: u16) -> Route {
    forward(name).with_match(Match {
        port: Some(port),
        ..Match::default()
    })
}

/// The name of the route for a host, or what else the table says.
fn ask<'t>(table: &'t Table, host: &str) -> &'t str {
    let request = Request::get("/").header("host", host).body(()).unwrap();
    name(table.find(&RequestView::new(&request)))
}

fn name(outcome: Outcome<'_>) -> &str {
    match outcome {
        Outcome::NoHost => "<no host>",
        Outcome::UnknownHost => "<unknown>",
        Outcome::NoRoute { .. } => "<no route>",
        Outcome::Route(found) => &found.route.name,
    }
}

#[test]
fn hosts_table() {
    let table = Table::builder()
        .virtual_host("exact", ["a.b.c", "short"], [80], [forward("exact")])
        .virtual_host("wild", ["*.b.c"], [80], [forward("wild")])
        .virtual_host("wilder", ["*.c"], [80], [forward("wilder")])
        .virtual_host("late", ["short", "*.c"], [80], [forward("late")])
        .build();
    for (host, expected) in [
        ("a.b.c", "exact"),
        ("A.B.C", "exact"),
        ("a.b.c:9999", "exact"),
        ("a.b.c.", "exact"),
        ("a.b.c.:80", "exact"),
        ("x.b.c.", "wild"),
        ("a.b.c..", "<unknown>"),
        ("short", "exact"),
        ("x.b.c", "wild"),
        ("x.y.b.c", "wild"),
        ("X.B.C:1", "wild"),
        ("b.c", "wilder"),
        ("c", "<unknown>"),
        (".c", "<unknown>"),
        ("other", "<unknown>"),
        ("a.b.c:x", "<unknown>"),
        ("", "<no host>"),
        (":80", "<no host>"),
    ] {
        assert_eq!(ask(&table, host), expected, "{host}");
    }
}

#[test]
fn a_catch_all_takes_the_rest() {
    let table = Table::builder()
        .virtual_host("all", ["*"], [80], [forward("all")])
        .virtual_host("a", ["a"], [80], [forward("a")])
        .virtual_host("a6", ["[::1]"], [80], [forward("a6")])
        .build();
    assert_eq!(ask(&table, "a"), "a");
    assert_eq!(ask(&table, "[::1]:80"), "a6");
    assert_eq!(ask(&table, "anything.else."), "all");
}

#[test]
fn no_route_names_the_virtual_host() {
    let table = Table::builder()
        .virtual_host("v", ["a"], [80], [on_port("r", 81)])
        .build();
    let request = Request::get("/").header("host", "a").body(()).unwrap();
    let outcome = table.find(&RequestView::new(&request));
    let Outcome::NoRoute { virtual_host } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(&**virtual_host, "v");
}

#[test]
fn the_addressed_port() {
    let ask_ports = |ports: &[u16], uri: &str| {
        let routes = [80, 443, 8080, 9090].map(|p| on_port(&p.to_string(), p));
        let table = Table::builder()
            .virtual_host("v", ["a"], ports, routes)
            .build();
        let request = Request::get(uri).body(()).unwrap();
        name(table.find(&RequestView::new(&request))).to_owned()
    };
    for (ports, uri, expected) in [
        (&[8080, 9090][..], "http://a:9090/", "9090"),
        (&[8080, 9090], "http://a/", "8080"),
        (&[8080, 9090], "https://a/", "8080"),
        (&[8080, 80], "http://a/", "80"),
        (&[8080, 80], "http://a:443/", "80"),
        (&[8080], "http://a:443/", "8080"),
        (&[443], "http://a/", "443"),
        (&[80, 443], "http://a/", "80"),
        (&[80, 443], "https://a/", "443"),
        (&[80, 443], "https://a:443/", "443"),
        (&[80, 443], "https://a:80/", "80"),
        (&[80, 443], "https://a:8443/", "443"),
        (&[80, 443], "http://a:8443/", "80"),
        (&[80, 8080], "https://a/", "80"),
        (&[], "http://a:443/", "443"),
        (&[], "https://a/", "443"),
        (&[], "http://a/", "80"),
    ] {
        assert_eq!(ask_ports(ports, uri), expected, "{ports:?} {uri}");
    }
}

#[test]
fn a_scheme_that_was_forwarded_addresses_no_port() {
    let table = Table::builder()
        .virtual_host(
            "v",
            ["a"],
            [80, 443],
            [on_port("80", 80), on_port("443", 443)],
        )
        .build();
    let mut request = Request::get("/").header("host", "a");
    request = request.header("x-forwarded-proto", "https");
    let request = request.body(()).unwrap();
    assert_eq!(name(table.find(&RequestView::new(&request))), "80");
}

#[test]
fn positions_count_over_all_virtual_hosts() {
    let table = Table::builder()
        .virtual_host("v", ["a"], [80], [on_port("x", 1), forward("y")])
        .virtual_host("w", ["b"], [80], [forward("z")])
        .build();
    let request = Request::get("/").header("host", "b").body(()).unwrap();
    let Outcome::Route(found) = table.find(&RequestView::new(&request)) else {
        panic!("b has a route")
    };
    assert_eq!((found.id, table.len()), (2, 3));
    assert!(found.matched.is_none());
    let drawn = found.draw(&SharedRng::seeded(1)).unwrap();
    let meta = found.meta(Some(drawn.destination));
    assert_eq!(
        (&*meta.cluster, &*meta.virtual_host, drawn.position),
        ("z", "w", 0)
    );
    let names: Vec<_> = table.routes().map(|(_, r)| &*r.name).collect();
    assert_eq!(names, ["x", "y", "z"]);
}

#[test]
fn the_first_match_wins_over_a_longer_one() {
    let uri = |name: &str, m| {
        forward(name).with_match(Match {
            uri: Some(m),
            ..Match::default()
        })
    };
    let table = Table::builder()
        .virtual_host(
            "v",
            ["a"],
            [80],
            [
                uri("exact", StringMatch::Exact("/api/llm".into())),
                uri("short", StringMatch::Prefix("/api".into())),
                uri("long", StringMatch::Prefix("/api/llm/chat".into())),
                forward("rest"),
                uri("dead", StringMatch::Exact("/dead".into())),
            ],
        )
        .build();
    let ask = |path: &str| {
        let request = Request::get(path).header("host", "a").body(()).unwrap();
        name(table.find(&RequestView::new(&request)))
    };
    assert_eq!(ask("/api/llm"), "exact");
    assert_eq!(ask("/api/llm/chat"), "short");
    assert_eq!(ask("/apix"), "short");
    assert_eq!(ask("/dead"), "rest");
}
