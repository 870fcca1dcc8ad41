//! What it costs to find a route, to pick an endpoint, and to load a large configuration.
//!
//! `cargo bench --features config --bench route`, or with `-- --smoke` a few operations of each, to see that they run.
//!
//! - `find`: one operation is one look-up in a table of one virtual host. Requests go to routes all over the table. The
//!   ratio is to the first line, 10 prefix routes: it shows how the cost grows with the table.
//! - `pick`: one operation is one pick out of ten endpoints, without sending anything. The ratio is to `random`.
//! - `load`: seconds for `config::load` on generated YAML, text to model with all checks; best of several turns.
//!
//! Compare within one run only; each number is the best of several turns, which are taken round robin.

mod harness;

use std::fmt::Write;

use http::{HeaderName, Request};
use llmesh::{
    balance::{
        EndpointSet, EwmaParams, HashKey, HashTable, Params as Balance, PickContext, Policy,
    },
    base::{SharedRng, time::Instant},
    config::{self, Options, Source},
    route::{Outcome, RequestView, Table, params::*},
};

use self::harness::{Effort, Subject, compare, smoke};

/// What the routes of a table match.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A prefix each.
    Prefix,
    /// A path each.
    Exact,
    /// Per hundred: 49 prefixes, 40 paths, 10 paths with a header, 1 regular expression.
    Mixed,
}

fn main() {
    find(Effort::new(20, 100_000));
    pick(Effort::new(20, 100_000));
    load();
}

fn find(effort: Effort) {
    let mut cases = Vec::new();
    for shape in [Shape::Prefix, Shape::Exact, Shape::Mixed] {
        for count in [10, 1_000, 10_000] {
            cases.push((shape, count, table(shape, count), requests(count)));
        }
    }
    let subjects = cases.iter().map(|(shape, count, table, requests)| {
        let name = format!("{count:>6} routes, {shape:?}");
        let mut requests = requests.iter().cycle();
        Subject::each(name, move |_| {
            let request = requests.next().expect("an endless iterator");
            let Outcome::Route(found) = table.find(&RequestView::new(request)) else {
                panic!("each request has its route");
            };
            found.id
        })
    });
    compare("find in", effort, subjects.collect());
}

fn table(shape: Shape, count: usize) -> Table {
    let routes = (0..count).map(|i| {
        let mut condition = Match::default();
        let exact = StringMatch::Exact(format!("/service-{i}/chat"));
        let prefix = StringMatch::Prefix(format!("/service-{i}/"));
        // Each kind spread over the table.
        let kind = i * 37 % 100;
        condition.uri = Some(match (shape, kind) {
            (Shape::Prefix, _) | (Shape::Mixed, 0..49) => prefix,
            (Shape::Exact, _) | (Shape::Mixed, 49..99) => exact,
            (Shape::Mixed, _) => {
                let pattern = format!("/service-{i}/(chat|embeddings)");
                StringMatch::Regex(Regex::new(&pattern).expect("a pattern"))
            }
        });
        if matches!((shape, kind), (Shape::Mixed, 89..99)) {
            let name = FieldName::Header(HeaderName::from_static("x-user"));
            let value = StringMatch::Exact("alice".into());
            condition.headers.push((name, value));
        }
        let forward = Forward::new(vec![Destination::new("upstream", 1)]);
        Route::new(format!("route-{i}"), Action::Forward(Box::new(forward))).with_match(condition)
    });
    Table::builder()
        .virtual_host("upstream:80", ["upstream"], [80], routes)
        .build()
}

/// One to a thousand requests, each for another route, spread over the table.
fn requests(count: usize) -> Vec<Request<()>> {
    // 7919 is a prime that divides none of the sizes.
    let requests = (0..count.min(1_000)).map(|n| {
        let path = format!("http://upstream/service-{}/chat", n * 7919 % count);
        Request::get(path)
            .header("host", "upstream")
            .header("x-user", "alice")
            .body(())
            .expect("a request")
    });
    requests.collect()
}

fn pick(effort: Effort) {
    let rng = SharedRng::seeded(1);
    let key = || HashKey::Header(HeaderName::from_static("x-user"));
    let hash = |table| Policy::ConsistentHash { key: key(), table };
    let policies = [
        ("random", Policy::Random),
        ("round robin", Policy::RoundRobin),
        ("least request", Policy::LeastRequest),
        ("peak EWMA", Policy::PeakEwma(EwmaParams::default())),
        ("ring hash", hash(HashTable::Ring { min_size: 1024 })),
        ("maglev", hash(HashTable::Maglev { size: 65_537 })),
    ];
    let requests = users();
    let subjects = policies.map(|(name, policy)| {
        let set = EndpointSet::new("upstream", Balance::new(policy), None);
        set.update_from((1..=10).map(|port| (([127, 0, 0, 1], port).into(), 1)));
        let (rng, now, mut requests) = (rng.clone(), Instant::now(), requests.iter().cycle());
        Subject::each(name, move |_| {
            let request = requests.next().expect("an endless iterator");
            let picked = set.pick(&PickContext::of(request), &rng, now);
            picked.expect("one of ten endpoints")
        })
    });
    compare("pick one of 10 endpoints", effort, subjects.into());
}

/// A thousand requests of a user each.
fn users() -> Vec<Request<()>> {
    let requests = (0..1_000).map(|n| {
        Request::get("http://upstream/")
            .header("x-user", format!("user-{n}"))
            .body(())
            .expect("a request")
    });
    requests.collect()
}

fn load() {
    let (hosts, turns) = if smoke() { (100, 1) } else { (1_000, 5) };
    let source = Source::new("mesh.yaml", mesh(hosts));
    let mut best = f64::INFINITY;
    for _ in 0..turns {
        let begin = Instant::now();
        let loaded = config::load(std::slice::from_ref(&source), &Options::default());
        best = best.min(begin.elapsed().as_secs_f64());
        let Some(model) = loaded.model else {
            panic!("not loaded: {:?}", loaded.diagnostics.first());
        };
        let routes: usize = model.virtual_hosts.iter().map(|h| h.routes.len()).sum();
        assert_eq!((routes, model.clusters.len()), (hosts * 10, hosts));
    }
    println!("\n{:<44} {:>10}", "load", "seconds");
    let name = format!("{} routes, {hosts} clusters", hosts * 10);
    println!("{name:<44} {best:>10.3}");
}

/// So many hosts with ten routes and one cluster each.
fn mesh(hosts: usize) -> String {
    let mut yaml = String::new();
    for n in 0..hosts {
        let host = format!("service-{n}.ai.svc.cluster.local");
        let _ = write!(
            yaml,
            r"---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: service-{n}, namespace: ai}}
spec:
  hosts: [{host}]
  resolution: STATIC
  ports: [{{number: 8080, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: service-{n}, namespace: ai}}
spec:
  hosts: [{host}]
  http:
"
        );
        for route in 0..10 {
            let _ = write!(
                yaml,
                r"  - name: route-{route}
    match:
    - uri: {{prefix: /api/{route}/}}
      headers: {{accept: {{exact: application/json}}}}
    route:
    - destination: {{host: {host}}}
    timeout: 30s
    retries: {{attempts: 3, perTryTimeout: 10s, retryOn: 'gateway-error,connect-failure'}}
"
            );
        }
    }
    yaml
}
