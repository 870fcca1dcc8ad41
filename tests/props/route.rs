#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only functions marked as tests"
)]

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, Request};
use llmesh::route::{Outcome, RequestView, Table, params::*};
use proptest::prelude::*;

/// Compiled once: compiling is slow.
static REGEXES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let sources = ["/a.?", "/[aAb]+/.*", "(?i)/aB?", "/.*é"];
    sources.map(|source| Regex::new(source).unwrap()).into()
});

/// Few letters, so that paths collide, nest and differ in case alone.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["/", "a", "A", "b", "é"]), 0..6)
        .prop_map(|parts| format!("/{}", parts.concat()))
}

fn uri() -> impl Strategy<Value = Option<StringMatch>> {
    prop_oneof![
        3 => path().prop_map(|p| Some(StringMatch::Prefix(p))),
        3 => path().prop_map(|p| Some(StringMatch::Exact(p))),
        1 => Just(Some(StringMatch::Prefix(String::new()))),
        1 => prop::sample::select(&*REGEXES).prop_map(|r| Some(StringMatch::Regex(r))),
        1 => Just(None),
    ]
}

fn alternative() -> impl Strategy<Value = Match> {
    let header = prop::option::weighted(0.3, prop::sample::select(vec!["1", "2"]));
    let port = prop::option::weighted(0.2, prop::sample::select(vec![80_u16, 81]));
    (uri(), any::<bool>(), header, port).prop_map(|(uri, ignore, header, port)| {
        let mut m = Match::default();
        m.uri = uri;
        m.ignore_uri_case = ignore;
        m.port = port;
        if let Some(value) = header {
            let name = FieldName::Header(HeaderName::from_static("x-h"));
            m.headers.push((name, StringMatch::Exact(value.into())));
        }
        m
    })
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    // A route without alternatives matches everything: rare, or nothing below it would ever be reached.
    let matches = prop_oneof![
        19 => prop::collection::vec(alternative(), 1..4),
        1 => Just(Vec::new()),
    ];
    prop::collection::vec(matches, 0..40).prop_map(|all| {
        all.into_iter()
            .map(|matches| {
                let action = Action::Forward(Box::new(Forward::new(Vec::new())));
                let mut route = Route::new("r", action);
                route.matches = matches;
                route
            })
            .collect()
    })
}

/// The rule as written: routes in order, alternatives in order, the first that matches.
fn scan(routes: &[Route], view: &RequestView<'_>, port: u16) -> Option<(usize, Option<usize>)> {
    routes.iter().enumerate().find_map(|(i, route)| {
        if route.matches.is_empty() {
            return Some((i, None));
        }
        let j = route.matches.iter().position(|m| m.matches(view, port))?;
        Some((i, Some(j)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_index_finds_what_a_scan_finds(
        routes in routes(),
        path in path(),
        header in prop::option::of(prop::sample::select(vec!["1", "2"])),
        port in prop::sample::select(vec![80_u16, 81]),
    ) {
        let mut request = Request::get(format!("{path}?q")).body(()).unwrap();
        let host = HeaderValue::from_str(&format!("a:{port}")).unwrap();
        request.headers_mut().insert("host", host);
        if let Some(value) = header {
            request.headers_mut().insert("x-h", HeaderValue::from_static(value));
        }
        let view = RequestView::new(&request);
        let table = Table::builder()
            .virtual_host("v", ["a"], [80, 81], routes.clone())
            .build();
        let expected = scan(&routes, &view, port);
        let found = match table.find(&view) {
            Outcome::Route(found) => {
                let matched = found.matched.map(|m| {
                    found.route.matches.iter().position(|other| std::ptr::eq(m, other)).unwrap()
                });
                Some((found.id, matched))
            }
            _ => None,
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_request_makes_matching_panic(
        path in "/[ -~é]{0,20}",
        host in "\\PC{0,20}",
        rule in path(),
        ignore in any::<bool>(),
    ) {
        let Ok(mut request) = Request::get(path).body(()) else { return Ok(()) };
        if let Ok(host) = HeaderValue::from_bytes(host.as_bytes()) {
            request.headers_mut().insert("host", host);
        }
        let mut m = Match::default();
        m.uri = Some(StringMatch::Prefix(rule));
        m.ignore_uri_case = ignore;
        let mut forward = Forward::new(vec![Destination::new("c", 1)]);
        let mut rewrite = Rewrite::default();
        rewrite.uri = Some("/x".into());
        rewrite.authority = Some("b".into());
        forward.rewrite = Some(rewrite);
        let route = Route::new("r", Action::Forward(Box::new(forward.clone()))).with_match(m);
        let table = Table::builder().virtual_host("v", ["*"], [80], [route]).build();
        let matched = match table.find(&RequestView::new(&request)) {
            Outcome::Route(found) => found.matched.cloned(),
            _ => None,
        };
        let (mut head, ()) = request.into_parts();
        let done = llmesh::route::rewrite::apply_request(&forward, matched.as_ref(), 0, &mut head);
        prop_assert!(done.is_ok());
        prop_assert!(head.uri.path().starts_with("/x"));
    }
}
