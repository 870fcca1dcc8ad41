//! Names that change, fail and come back.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use llmesh::{
    base::SharedRng,
    model::{Discovery, Endpoint},
    proxy::{
        BoxFuture,
        discovery::{Params, Resolve, Resolved, System, start},
    },
};

/// What the name server says, and how often it was asked.
#[derive(Default)]
struct Names {
    answer: Mutex<Option<Vec<&'static str>>>,
    asked: AtomicUsize,
    slow: Option<Duration>,
}

impl Names {
    fn say(&self, answer: Option<&[&'static str]>) {
        *self.answer.lock().unwrap() = answer.map(<[_]>::to_vec);
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(slow) = self.slow {
                tokio::time::sleep(slow).await;
            }
            let ips = answer.ok_or_else(|| io::Error::other("SERVFAIL"))?;
            Ok(ips
                .iter()
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
                .collect())
        })
    }
}

fn params() -> Params {
    Params {
        rng: SharedRng::seeded(1),
        ..Params::default()
    }
}

fn addresses(resolved: &[Resolved]) -> Vec<String> {
    resolved.iter().map(|r| r.address.to_string()).collect()
}

type Changes = Arc<Mutex<Vec<Vec<String>>>>;

fn record() -> (Changes, impl Fn(Vec<Resolved>) + Send + Sync + 'static) {
    let changes = Changes::default();
    let into = Arc::clone(&changes);
    (changes, move |r: Vec<Resolved>| {
        into.lock().unwrap().push(addresses(&r));
    })
}

/// Long enough for one resolution, jitter included, and too short for two.
const ROUND: Duration = Duration::from_secs(6);

#[tokio::test(start_paused = true)]
async fn changes_are_told_and_the_last_good_answer_survives_failures() {
    let names = Arc::new(Names::default());
    names.say(Some(&["10.0.0.1", "10.0.0.2"]));
    let (changes, changed) = record();
    let dns = Discovery::Dns(vec![Endpoint::new("svc", 80)]);
    let (first, refresher) = start(&dns, Arc::clone(&names) as _, params(), changed).await;
    assert_eq!(addresses(&first), ["10.0.0.1:80", "10.0.0.2:80"]);
    for answer in [
        None,
        Some(&[] as &[_]),
        Some(&["10.0.0.2", "10.0.0.1"]),
        Some(&["10.0.0.1", "10.0.0.1", "10.0.0.2"]),
    ] {
        names.say(answer);
        tokio::time::sleep(ROUND).await;
        assert!(
            changes.lock().unwrap().is_empty(),
            "{answer:?} is no change"
        );
    }
    names.say(Some(&["10.0.0.3"]));
    tokio::time::sleep(ROUND).await;
    assert_eq!(*changes.lock().unwrap(), [["10.0.0.3:80"]]);
    drop(refresher);
    let asked = names.asked.load(Ordering::SeqCst);
    tokio::time::sleep(10 * ROUND).await;
    assert_eq!(
        names.asked.load(Ordering::SeqCst),
        asked,
        "it goes on after its handle is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_only_so_long_and_the_late_answer_is_a_change() {
    let names = Names {
        slow: Some(Duration::from_secs(3)),
        ..Names::default()
    };
    names.say(Some(&["10.0.0.1"]));
    let (changes, changed) = record();
    let dns = Discovery::Dns(vec![Endpoint::new("svc", 80)]);
    let params = Params {
        first_wait: Duration::from_secs(1),
        ..params()
    };
    let begin = tokio::time::Instant::now();
    let (first, _refresher) = start(&dns, Arc::new(names), params, changed).await;
    assert_eq!((first.len(), begin.elapsed()), (0, Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(*changes.lock().unwrap(), [["10.0.0.1:80"]]);
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_never_answers_does_not_stop_the_rounds() {
    let names = Arc::new(Names {
        slow: Some(Duration::from_secs(3600)),
        ..Names::default()
    });
    let dns = Discovery::Dns(vec![Endpoint::new("svc", 80)]);
    let (_, _refresher) = start(&dns, Arc::clone(&names) as _, params(), |_| {}).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(names.asked.load(Ordering::SeqCst) >= 5);
}

#[tokio::test(start_paused = true)]
async fn weights_and_origins_are_those_of_the_configured_endpoint() {
    let names = Names::default();
    names.say(Some(&["10.0.0.1", "10.0.0.2"]));
    let mut endpoints = vec![Endpoint::new("10.9.9.9", 81), Endpoint::new("svc", 80)];
    endpoints[1].weight = 7;
    let names: Arc<dyn Resolve> = Arc::new(names);
    let all = Discovery::Dns(endpoints.clone());
    let (found, _refresher) = start(&all, Arc::clone(&names), params(), |_| {}).await;
    let seen: Vec<_> = found
        .iter()
        .map(|r| (r.address.to_string(), r.weight, r.origin))
        .collect();
    assert_eq!(
        seen,
        [
            ("10.9.9.9:81".to_owned(), 1, 0),
            ("10.0.0.1:80".to_owned(), 7, 1),
            ("10.0.0.2:80".to_owned(), 7, 1)
        ]
    );
    endpoints.remove(0);
    let first = Discovery::DnsFirst(endpoints);
    let (found, _refresher) = start(&first, names, params(), |_| {}).await;
    assert_eq!(addresses(&found), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn static_addresses_need_no_resolver_and_the_system_knows_localhost() {
    let endpoints = ["127.0.0.1", "::1", "[::2]", "no-address"].map(|a| Endpoint::new(a, 80));
    let fixed = Discovery::Static(endpoints.to_vec());
    let (found, refresher) = start(&fixed, Arc::new(System), params(), |_| {}).await;
    assert_eq!(addresses(&found), ["127.0.0.1:80", "[::1]:80", "[::2]:80"]);
    assert!(refresher.is_none());
    let local = System.resolve("localhost", 80).await.unwrap();
    assert!(local.iter().all(|a| a.ip().is_loopback() && a.port() == 80) && !local.is_empty());
}
