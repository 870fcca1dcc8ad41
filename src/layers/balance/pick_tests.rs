use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Uri};

use super::*;
use crate::layers::balance::{Endpoint, HashTable, Params};

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 0], u16::try_from(i).unwrap()))
}

fn snapshot(policy: Policy, weights: &[u32]) -> Snapshot {
    let endpoints = weights.iter().enumerate();
    let all = endpoints
        .map(|(i, w)| Arc::new(Endpoint::new(address(i), *w)))
        .collect();
    Snapshot::new(Params::new(policy), None, all, None)
}

struct Picker {
    snapshot: Snapshot,
    turns: Turns,
    rng: SharedRng,
    headers: HeaderMap,
    tried: Option<Tried>,
    now: Instant,
}

impl Picker {
    fn new(policy: Policy, weights: &[u32]) -> Self {
        Self {
            snapshot: snapshot(policy, weights),
            turns: Turns::default(),
            rng: SharedRng::seeded(42),
            headers: HeaderMap::new(),
            tried: None,
            now: Instant::now(),
        }
    }

    fn pick(&self) -> Option<usize> {
        let context = PickContext {
            headers: &self.headers,
            uri: &Uri::from_static("/"),
            arrival: None,
            tried: self.tried.as_ref(),
            model: None,
        };
        pick(&self.snapshot, &context, &self.turns, &self.rng, self.now).map(|p| p.member)
    }

    fn counts(&self, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; self.snapshot.all.len()];
        (0..picks).for_each(|_| counts[self.pick().unwrap()] += 1);
        counts
    }

    fn after_trying(mut self, tried: &[usize]) -> Self {
        let so_far = Tried::default();
        tried.iter().for_each(|i| so_far.push(address(*i)));
        self.tried = Some(so_far);
        self
    }
}

fn hash_policy() -> Policy {
    Policy::ConsistentHash {
        key: HashKey::Header(HeaderName::from_static("x-session-id")),
        table: HashTable::default(),
    }
}

fn policies() -> [Policy; 5] {
    [
        Policy::Random,
        Policy::RoundRobin,
        Policy::LeastRequest,
        Policy::PeakEwma(EwmaParams::default()),
        hash_policy(),
    ]
}

#[test]
fn an_empty_set_gives_none_and_one_endpoint_itself() {
    for policy in policies() {
        assert_eq!(Picker::new(policy.clone(), &[]).pick(), None, "{policy:?}");
        assert_eq!(
            Picker::new(policy.clone(), &[1]).pick(),
            Some(0),
            "{policy:?}"
        );
    }
}

#[test]
fn random_is_uniform_whatever_the_weights() {
    let counts = Picker::new(Policy::Random, &[1, 9, 1, 1]).counts(40_000);
    assert!(
        counts.iter().all(|c| (9_500..10_500).contains(c)),
        "{counts:?}"
    );
}

#[test]
fn round_robin_is_even() {
    let counts = Picker::new(Policy::RoundRobin, &[1; 4]).counts(4 * 2_500);
    assert_eq!(counts, [2_500; 4]);
}

#[test]
fn round_robin_follows_weights_and_starts_anywhere() {
    let counts = Picker::new(Policy::RoundRobin, &[1, 2, 7]).counts(10_000);
    assert_eq!(counts, [1_000, 2_000, 7_000]);
    let starts: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| {
            let mut picker = Picker::new(Policy::RoundRobin, &[1; 4]);
            picker.rng = SharedRng::seeded(seed);
            picker.pick()
        })
        .collect();
    assert_eq!(starts.len(), 4);
}

#[test]
fn least_request_takes_the_less_loaded_of_two() {
    let picker = Picker::new(Policy::LeastRequest, &[1; 2]);
    picker.snapshot.all[0].stats().rq_active.inc();
    assert_eq!(picker.counts(100), [0, 100]);
    // A tie goes to the first drawn: either.
    picker.snapshot.all[1].stats().rq_active.inc();
    assert!(picker.counts(1_000).iter().all(|c| (400..600).contains(c)));
    // With three, the worst is never taken, and the best twice as often as the middle one.
    let picker = Picker::new(Policy::LeastRequest, &[1; 3]);
    picker.snapshot.all[0].stats().rq_active.add(9);
    picker.snapshot.all[1].stats().rq_active.add(1);
    let counts = picker.counts(30_000);
    assert_eq!(counts[0], 0);
    assert!((19_500..20_500).contains(&counts[2]), "{counts:?}");
}

#[test]
fn least_request_with_unequal_weights_is_weighted_by_free_capacity() {
    let picker = Picker::new(Policy::LeastRequest, &[1, 3]);
    let counts = picker.counts(40_000);
    assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    // 1/1 against 3/(5 + 1).
    picker.snapshot.all[1].stats().rq_active.add(5);
    let counts = picker.counts(30_000);
    assert!((19_500..20_500).contains(&counts[0]), "{counts:?}");
}

/// Open loop at 1,000 calls a second over simulated endpoints, one of them ten times slower. Returns its share.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn slow_share(policy: Policy) -> f64 {
    let ewma = EwmaParams::default();
    let mut picker = Picker::new(policy, &[1; 10]);
    let latency = |member| Duration::from_millis(if member == 0 { 200 } else { 20 });
    let mut flying: Vec<(Instant, usize)> = Vec::new();
    let mut slow = 0;
    for _ in 0..20_000 {
        picker.now += Duration::from_millis(1);
        flying.retain(|&(ends, member)| {
            let endpoint = &picker.snapshot.all[member];
            if ends <= picker.now {
                endpoint.stats().rq_active.dec();
                endpoint.load().record(&ewma, latency(member), ends);
            }
            ends > picker.now
        });
        let member = picker.pick().unwrap();
        picker.snapshot.all[member].stats().rq_active.inc();
        flying.push((picker.now + latency(member), member));
        slow += usize::from(member == 0);
    }
    slow as f64 / 20_000.0
}

#[test]
fn a_slow_endpoint_gets_little_from_two_choices() {
    for policy in [
        Policy::LeastRequest,
        Policy::PeakEwma(EwmaParams::default()),
    ] {
        let share = slow_share(policy.clone());
        assert!(share <= 0.08, "{policy:?} {share}");
    }
    // What the balancers are measured against.
    assert!(slow_share(Policy::Random) > 0.09);
}

#[test]
fn peak_ewma_shuns_a_penalized_endpoint_until_it_fades() {
    let ewma = EwmaParams::default();
    let mut picker = Picker::new(Policy::PeakEwma(ewma), &[1; 2]);
    let all = &picker.snapshot.all;
    all[0].load().record(&ewma, ewma.penalty, picker.now);
    all[1]
        .load()
        .record(&ewma, Duration::from_millis(20), picker.now);
    assert_eq!(picker.counts(100), [0, 100]);
    // Only the used one is measured again; the other's bad name fades.
    for _ in 0..120 {
        picker.now += Duration::from_secs(1);
        let used = &picker.snapshot.all[1];
        used.load()
            .record(&ewma, Duration::from_millis(20), picker.now);
    }
    assert_eq!(picker.counts(100), [100, 0]);
}

#[test]
fn a_retry_goes_elsewhere() {
    for policy in [
        Policy::LeastRequest,
        Policy::PeakEwma(EwmaParams::default()),
    ] {
        // Even where the other one is busier.
        let picker = Picker::new(policy.clone(), &[1; 2]).after_trying(&[0]);
        picker.snapshot.all[1].stats().rq_active.add(50);
        assert_eq!(picker.counts(100), [0, 100], "{policy:?}");
    }
    let counts = Picker::new(Policy::RoundRobin, &[1; 4])
        .after_trying(&[0, 2])
        .counts(1_000);
    assert_eq!((counts[0], counts[2]), (0, 0));
    // Six draws in all: 1/2 to the sixth.
    let counts = Picker::new(Policy::Random, &[1; 2])
        .after_trying(&[0])
        .counts(64_000);
    assert!((850..1_150).contains(&counts[0]), "{counts:?}");
}

#[test]
fn where_all_were_tried_any_is_taken() {
    for policy in policies() {
        let picker = Picker::new(policy.clone(), &[1; 2]).after_trying(&[0, 1]);
        assert!(picker.pick().is_some(), "{policy:?}");
    }
}

#[test]
fn without_repicks_a_retry_may_return() {
    for policy in [Policy::Random, Policy::LeastRequest] {
        let mut picker = Picker::new(policy, &[1; 2]).after_trying(&[0]);
        picker.snapshot.params.repicks = 0;
        assert!((400..600).contains(&picker.counts(1_000)[0]));
    }
}

#[test]
fn a_hash_key_sticks_even_on_a_retry_and_its_absence_is_random() {
    let mut picker = Picker::new(hash_policy(), &[1; 4]);
    let counts = picker.counts(4_000);
    assert!(
        counts.iter().all(|c| (900..1_100).contains(c)),
        "{counts:?}"
    );
    picker
        .headers
        .insert("x-session-id", HeaderValue::from_static("s1"));
    let owner = picker.pick().unwrap();
    assert_eq!(picker.counts(100)[owner], 100);
    let picker = picker.after_trying(&[owner]);
    assert_eq!(picker.pick(), Some(owner));
}
