//! Properties: balance.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderName, Uri};
use llmesh::{
    balance::{EndpointSet, EwmaParams, HashKey, HashTable, Params, PickContext, Policy},
    base::{SharedRng, ext::Tried, time::Instant},
    outlier::{self, Observation},
};
use proptest::prelude::*;

fn address(i: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], i))
}

fn policy() -> impl Strategy<Value = Policy> {
    let hash = |table| Policy::ConsistentHash {
        key: HashKey::Header(HeaderName::from_static("k")),
        table,
    };
    prop_oneof![
        Just(Policy::LeastRequest),
        Just(Policy::Random),
        Just(Policy::RoundRobin),
        Just(Policy::PeakEwma(EwmaParams::default())),
        Just(hash(HashTable::Ring { min_size: 64 })),
        Just(hash(HashTable::Maglev { size: 251 })),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Fail(usize),
    Wait(u64),
    Update(Vec<(u16, u32)>),
    Params(Policy, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let endpoints = proptest::collection::vec((0..12_u16, 0..6_u32), 0..12);
    prop_oneof![
        4 => (0..12_usize).prop_map(Step::Fail),
        2 => (0..40_u64).prop_map(Step::Wait),
        1 => endpoints.prop_map(Step::Update),
        1 => (policy(), 0..100_u32).prop_map(|(p, panic)| Step::Params(p, panic)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_pick_is_always_usable_and_the_ejected_never_exceed_their_share(
        start in policy(),
        max in 0..=100_u32,
        steps in proptest::collection::vec(step(), 1..40),
        seed in any::<u64>(),
    ) {
        let outlier = outlier::Params::default().with_max_ejection_percent(max);
        let set = EndpointSet::new("p", Params::new(start), Some(outlier.clone()));
        set.update_from((0..6).map(|i| (address(i), 1 + u32::from(i % 3))));
        let (rng, mut now) = (SharedRng::seeded(seed), Instant::now());
        let (mut headers, tried) = (HeaderMap::new(), Tried::default());
        tried.push(address(0));
        for step in steps {
            let before = set.ejections_active(now);
            let mut fails = false;
            match step {
                Step::Fail(i) => {
                    fails = true;
                    if let Some(endpoint) = set.endpoints().get(i) {
                        (0..5).for_each(|_| set.record(endpoint, Observation::Status(500), now));
                    }
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Update(endpoints) => {
                    set.update_from(endpoints.into_iter().map(|(i, w)| (address(i), w)));
                }
                Step::Params(policy, panic) => set.set_params(
                    Params::new(policy).with_panic_threshold(panic),
                    Some(outlier.clone()),
                ),
            }
            let (all, usable) = (set.endpoints(), set.usable(now));
            let active = set.ejections_active(now);
            if fails && active > before {
                prop_assert!(100 * active <= max as usize * all.len());
            }
            let healthy = all.len() - active;
            prop_assert_eq!(usable.len(), if set.is_panicking() { all.len() } else { healthy });
            for i in 0..20_u32 {
                headers.insert("k", i.into());
                let context = PickContext {
                    headers: &headers,
                    uri: &Uri::from_static("/"),
                    arrival: None,
                    tried: (i % 2 == 0).then_some(&tried),
                    model: None,
                };
                let picked = set.pick(&context, &rng, now).map(|p| p.endpoint.address());
                prop_assert_eq!(picked.is_some(), !usable.is_empty());
                prop_assert!(picked.is_none_or(|a| usable.iter().any(|e| e.address() == a)));
            }
        }
    }
}
