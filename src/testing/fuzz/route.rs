//! The route table against its definition.

use http::{HeaderName, HeaderValue, Request, header::HOST};

use super::text::line;
use crate::route::{
    Outcome, RequestView, Table,
    params::{Action, FieldName, Forward, Match, Regex, Route, StringMatch},
};

const FIELD: HeaderName = HeaderName::from_static("x-h");

#[derive(Debug, Default)]
struct Host {
    domains: Vec<String>,
    ports: Vec<u16>,
    routes: Vec<Route>,
}

/// Input: lines that build a table, an empty line, lines of requests (`authority path [x-h]`).
///
/// | line | adds |
/// |---|---|
/// | `host a,*.b,* 80 81` | a virtual host with domains and ports |
/// | `route` | a route without alternatives |
/// | `= /a`, `^ /a`, `~ /a.*`, `. ` | an alternative: exact, prefix, regular expression, any path |
/// | `i`, `:81`, `h1` | to the last alternative: case ignored, a port, a value of `x-h` |
///
/// For each request the table finds what a scan of all domains, routes and alternatives in order finds.
///
/// # Panics
/// If it does not.
pub fn route(data: &[u8]) {
    let (hosts, mut rest) = hosts(data);
    let mut table = Table::builder();
    for (i, host) in hosts.iter().enumerate() {
        table = table.virtual_host(
            i.to_string(),
            &host.domains,
            host.ports.clone(),
            host.routes.iter().cloned(),
        );
    }
    let table = table.build();
    for _ in 0..64 {
        if rest.is_empty() {
            break;
        }
        let (request, tail) = line(rest);
        rest = tail;
        if let Some(request) = self::request(request) {
            compare(&table, &hosts, &request);
        }
    }
}

fn compare(table: &Table, hosts: &[Host], request: &Request<()>) {
    let view = RequestView::new(request);
    let found = table.find(&view);
    let Some(number) = host_of(hosts, view.host()) else {
        assert!(matches!(found, Outcome::NoHost | Outcome::UnknownHost));
        return;
    };
    let host = &hosts[number];
    let name = number.to_string();
    let hit = scan(host, &view);
    match found {
        Outcome::NoRoute { virtual_host } => {
            assert_eq!((&**virtual_host, hit), (name.as_str(), None));
        }
        Outcome::Route(found) => {
            assert_eq!(&**found.virtual_host, name);
            let before: usize = hosts[..number].iter().map(|h| h.routes.len()).sum();
            let Some((route, alternative)) = hit else {
                panic!("{view:?} has no route, but {} was found", found.id);
            };
            assert_eq!(found.id, before + route, "{view:?}");
            let position = found.matched.and_then(|matched| {
                let all = &found.route.matches;
                all.iter().position(|other| std::ptr::eq(matched, other))
            });
            assert_eq!(position, alternative, "{view:?}");
        }
        other => panic!("{view:?} is for {name}, not {other:?}"),
    }
}

/// The first virtual host that claims the name: by an exact domain, else by the longest wildcard, else by `*`.
fn host_of(hosts: &[Host], name: &str) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    // A final dot makes no other host.
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
    };
    let name = plain(name);
    let claims = |domain: &String| {
        let domain = plain(domain);
        match domain.strip_prefix('*') {
            None => (domain == name).then_some(usize::MAX),
            Some("") => Some(0),
            Some(end) => (name.len() > end.len() && name.ends_with(end)).then_some(end.len()),
        }
    };
    let best = |host: &Host| host.domains.iter().filter_map(claims).max();
    let all = hosts.iter().enumerate();
    let ranked = all.filter_map(|(i, host)| Some((best(host)?, i)));
    ranked
        .max_by_key(|(rank, i)| (*rank, std::cmp::Reverse(*i)))
        .map(|(_, i)| i)
}

/// Routes in order, alternatives in order, the first that matches.
fn scan(host: &Host, view: &RequestView<'_>) -> Option<(usize, Option<usize>)> {
    let port = match view.port() {
        Some(port) if host.ports.is_empty() || host.ports.contains(&port) => port,
        _ if host.ports.is_empty() || host.ports.contains(&80) => 80,
        _ => host.ports[0],
    };
    host.routes.iter().enumerate().find_map(|(i, route)| {
        if route.matches.is_empty() {
            return Some((i, None));
        }
        let j = route.matches.iter().position(|m| m.matches(view, port))?;
        Some((i, Some(j)))
    })
}

fn hosts(data: &[u8]) -> (Vec<Host>, &[u8]) {
    let mut hosts: Vec<Host> = Vec::new();
    let mut rest = data;
    let mut alternatives = 0;
    while !rest.is_empty() {
        let (line, tail) = line(rest);
        rest = tail;
        if line.is_empty() {
            break;
        }
        let line = String::from_utf8_lossy(line);
        let (word, more) = line.split_once(' ').unwrap_or((&line, ""));
        if word == "host" {
            hosts.push(host(more));
            continue;
        }
        let Some(host) = hosts.last_mut() else {
            continue;
        };
        if word == "route" {
            let action = Action::Forward(Box::new(Forward::new(Vec::new())));
            host.routes.push(Route::new("r", action));
            continue;
        }
        let Some(route) = host.routes.last_mut() else {
            continue;
        };
        // Compiling expressions is slow, and a handful shows all there is to see.
        alternatives += 1;
        match alternative(word, more) {
            Some(alternative) if alternatives <= 200 => route.matches.push(alternative),
            _ => narrow(route, word),
        }
    }
    (hosts, rest)
}

fn host(text: &str) -> Host {
    let mut words = text.split(' ');
    let domains = words.next().unwrap_or_default().split(',');
    Host {
        domains: domains
            .filter(|d| !d.is_empty())
            .map(str::to_owned)
            .collect(),
        ports: words.filter_map(|word| word.parse().ok()).collect(),
        routes: Vec::new(),
    }
}

fn alternative(word: &str, more: &str) -> Option<Match> {
    let uri = match word {
        "=" => Some(StringMatch::Exact(more.to_owned())),
        "^" => Some(StringMatch::Prefix(more.to_owned())),
        "~" if more.len() < 50 => Some(StringMatch::Regex(Regex::new(more).ok()?)),
        "." => None,
        _ => return None,
    };
    Some(Match {
        uri,
        ..Match::default()
    })
}

fn narrow(route: &mut Route, word: &str) {
    let Some(last) = route.matches.last_mut() else {
        return;
    };
    if word == "i" {
        last.ignore_uri_case = true;
    } else if let Some(port) = word.strip_prefix(':').and_then(|p| p.parse().ok()) {
        last.port = Some(port);
    } else if let Some(value) = word.strip_prefix('h') {
        let value = StringMatch::Exact(value.to_owned());
        last.headers.push((FieldName::Header(FIELD), value));
    }
}

fn request(line: &[u8]) -> Option<Request<()>> {
    let mut words = line.split(|b| *b == b' ');
    let host = HeaderValue::from_bytes(words.next()?).ok()?;
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::try_from(words.next()?).ok()?;
    request.headers_mut().insert(HOST, host);
    for value in words {
        let value = HeaderValue::from_bytes(value).ok()?;
        request.headers_mut().append(FIELD, value);
    }
    Some(request)
}
