#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only functions marked as tests"
)]

use http::{HeaderMap, HeaderName, HeaderValue};
use llmesh::authz::{Engine, Fact, Facts, HttpFacts, Sight, TrustDomains, params::*};
use proptest::prelude::*;

const PEERS: [&str; 5] = [
    "td/ns/a/sa/x",
    "td/ns/a/sa/y",
    "td/ns/b/sa/x",
    "ud/ns/a/sa/x",
    "td/z",
];
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"];
const HEADERS: [&str; 3] = ["x-a", "x-b", "x-c"];

#[derive(Clone, Debug)]
struct Request {
    peer: Option<&'static str>,
    ip: &'static str,
    port: u16,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

fn pick<T: Clone + std::fmt::Debug + 'static>(of: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(of.to_vec())
}

fn request() -> impl Strategy<Value = Request> {
    let header = (pick(&HEADERS), pick(&["1", "2", "12", ""]));
    (
        prop::option::weighted(0.8, pick(&PEERS)),
        pick(&["10.0.0.1", "10.1.0.1", "11.0.0.1"]),
        pick(&[80, 81]),
        pick(&["GET", "POST", "PUT"]),
        pick(&["a.x", "b.x", "a.x:80"]),
        pick(&PATHS),
        prop::collection::vec(header, 0..4),
    )
        .prop_map(|(peer, ip, port, method, host, path, headers)| Request {
            peer,
            ip,
            port,
            method,
            host,
            path,
            headers,
        })
}

/// A value as it stands, or cut and with a `*`.
fn pattern(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    (pick(of), 0..6_usize, 0..4_u8).prop_map(|(text, at, form)| {
        let at = at.min(text.len());
        match form {
            0 => format!("{}*", &text[..at]),
            1 => format!("*{}", &text[at..]),
            _ => text.to_owned(),
        }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let some = |of| prop::collection::vec(pattern(of), 1..3);
    let plain =
        |of: &'static [&'static str]| prop::collection::vec(pick(of).prop_map(str::to_owned), 1..3);
    let header = pick(&HEADERS).prop_map(|name| Subject::Header(name.to_owned()));
    let wanted = prop_oneof![
        (Just(Subject::Principal), some(&PEERS)),
        (Just(Subject::Namespace), plain(&["a", "b", "c"])),
        (Just(Subject::ServiceAccount), plain(&["x", "y", "b/x"])),
        (Just(Subject::TrustDomain), some(&["td", "ud"])),
        (
            Just(Subject::SourceIp),
            plain(&["10.0.0.0/8", "10.0.0.1", "10.1.0.0/16"])
        ),
        (Just(Subject::Port), plain(&["80", "81", "82"])),
        (Just(Subject::Method), some(&["GET", "POST", "PUT"])),
        (Just(Subject::Host), some(&["a.x", "b.x", "a.x:80"])),
        (Just(Subject::Path), some(&PATHS)),
        (
            Just(Subject::Path),
            plain(&["/{*}", "/a/{*}", "/a/{**}", "/{**}"])
        ),
        (header, some(&["1", "2", "12"])),
    ];
    (wanted, prop::bool::weighted(0.3)).prop_map(|((subject, values), negate)| {
        if negate {
            Condition::none(subject, values)
        } else {
            Condition::any(subject, values)
        }
    })
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let all = || prop::collection::vec(condition(), 1..3);
    let choices = || prop::collection::vec(all(), 0..3);
    let rule = (
        choices(),
        choices(),
        prop::collection::vec(condition(), 0..2),
    )
        .prop_map(|(from, to, when)| {
            let mut rule = Rule::default();
            (rule.from, rule.to, rule.when) = (from, to, when);
            rule
        });
    let action = pick(&[Action::Allow, Action::Allow, Action::Deny, Action::Audit]);
    let policy = (action, prop::collection::vec(rule, 0..4)).prop_map(|(action, rules)| {
        let mut policy = Policy::new("a", "p", action);
        policy.rules = rules;
        policy
    });
    prop::collection::vec(policy, 0..5)
}

/// Istio's rules as its documentation has them, with nothing in mind but that.
fn reference(policies: &[Policy], r: &Request) -> bool {
    let text = |pattern: &String, text: &str| match pattern.as_str() {
        "*" => !text.is_empty(),
        "/{*}" | "/a/{*}" => {
            let rest = text.strip_prefix(pattern.trim_end_matches("{*}"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        }
        "/{**}" | "/a/{**}" => text.starts_with(pattern.trim_end_matches("{**}")),
        p if p.starts_with('*') => text.ends_with(&p[1..]),
        p if p.ends_with('*') => text.starts_with(&p[..p.len() - 1]),
        p => p == text,
    };
    let holds = |c: &Condition, deny: bool| {
        let peer = r.peer.unwrap_or_default();
        let one = |of: &str| r.peer.is_some() && c.values.iter().any(|v| text(v, of));
        let plain = |of: &str| c.values.iter().any(|v| text(v, of));
        let inner = match &c.subject {
            Subject::Principal => one(peer),
            Subject::Namespace => c.values.iter().any(|v| peer.contains(&format!("/ns/{v}/"))),
            Subject::ServiceAccount => c.values.iter().any(|v| {
                let (ns, sa) = v.split_once('/').unwrap_or(("a", v));
                peer.ends_with(&format!("/ns/{ns}/sa/{sa}"))
            }),
            Subject::TrustDomain => one(peer.split('/').next().unwrap()),
            Subject::SourceIp => c.values.iter().any(|v| match v.as_str() {
                "10.0.0.0/8" => r.ip.starts_with("10."),
                "10.1.0.0/16" => r.ip.starts_with("10.1."),
                ip => ip == r.ip,
            }),
            Subject::Port => plain(&r.port.to_string()),
            Subject::Method => plain(r.method),
            Subject::Host => plain(r.host),
            Subject::Path => plain(r.path),
            Subject::Header(name) => {
                let mut lines = r.headers.iter().filter(|(own, _)| own == name);
                let present = c.values.iter().any(|v| v == "*");
                let mut good = lines.clone().map(|(_, line)| present || plain(line));
                // Where one line decides and where all must.
                if deny != c.negate {
                    good.any(|g| g)
                } else {
                    lines.next().is_some() && good.all(|g| g)
                }
            }
            other => panic!("{other:?} is not drawn"),
        };
        inner != c.negate
    };
    let rule = |rule: &Rule, deny| {
        let all = |conditions: &Vec<Condition>| conditions.iter().all(|c| holds(c, deny));
        let one = |choices: &Vec<Vec<_>>| choices.is_empty() || choices.iter().any(all);
        one(&rule.from) && one(&rule.to) && all(&rule.when)
    };
    let of = |action| policies.iter().filter(move |p| p.action == action);
    let matches =
        |action| of(action).any(|p| p.rules.iter().any(|r| rule(r, action == Action::Deny)));
    !matches(Action::Deny) && (of(Action::Allow).count() == 0 || matches(Action::Allow))
}

fn decide(engine: &Engine, r: &Request) -> bool {
    let uri = r.peer.map(|peer| format!("spiffe://{peer}"));
    let mut headers = HeaderMap::new();
    for (name, value) in &r.headers {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let mut facts = Facts::unknown();
    facts.peer = Fact::known(uri.as_deref());
    facts.source_ip = Fact::Is(r.ip.parse().unwrap());
    facts.port = Fact::Is(r.port);
    facts.http = Fact::Is(HttpFacts::new(r.method, r.host, r.path, &headers));
    engine.decide(&facts).allowed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    /// 2,500 sets of policies and 20 requests for each: 50,000 pairs.
    #[test]
    fn decisions_are_those_of_the_documentation(
        policies in policies(),
        requests in prop::collection::vec(request(), 20),
    ) {
        let engine = Engine::new(&policies, &TrustDomains { own: Some("none".into()), aliases: Vec::new() }, Sight::http());
        for request in requests {
            prop_assert_eq!(decide(&engine, &request), reference(&policies, &request), "{:?}", request);
        }
    }
}
