use std::{collections::BTreeSet, time::Duration};

use http::{HeaderMap, HeaderName, Uri};

use super::*;
use crate::layers::balance::{HashKey, HashTable};

const SECOND: Duration = Duration::from_secs(1);

fn address(i: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], i))
}

fn filled(params: Params, outlier: outlier::Params, size: u16) -> EndpointSet {
    let set = EndpointSet::new("test", params, Some(outlier));
    set.update_from((0..size).map(|i| (address(i), 1)));
    set
}

fn eject(set: &EndpointSet, at: usize, now: Instant) {
    let endpoint = set.endpoints().swap_remove(at);
    for _ in 0..5 {
        set.record(&endpoint, Observation::Status(503), now);
    }
}

fn picks(set: &EndpointSet, session: Option<u32>, now: Instant) -> Option<SocketAddr> {
    let mut headers = HeaderMap::new();
    if let Some(session) = session {
        headers.insert("x-session-id", session.into());
    }
    let context = PickContext {
        headers: &headers,
        uri: &Uri::from_static("/"),
        arrival: None,
        tried: None,
        model: None,
    };
    let picked = set.pick(
        &context,
        &SharedRng::seeded(u64::from(session.unwrap_or(0))),
        now,
    );
    picked.map(|p| p.endpoint.address())
}

fn percent(percent: u32) -> outlier::Params {
    outlier::Params::default().with_max_ejection_percent(percent)
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_is_not_picked_until_it_is_back() {
    let (set, now) = (filled(Params::default(), percent(50), 3), Instant::now());
    eject(&set, 1, now);
    let seen =
        |now| -> BTreeSet<_> { (0..200).filter_map(|i| picks(&set, Some(i), now)).collect() };
    assert_eq!(seen(now), [address(0), address(2)].into());
    assert_eq!(seen(now + 30 * SECOND - Duration::from_nanos(1)).len(), 2);
    // Nobody recorded anything: the pick itself applies the sweep.
    assert_eq!(seen(now + 30 * SECOND).len(), 3);
    assert_eq!(set.ejections_active(now + 30 * SECOND), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_picked_when_all_are_ejected_unless_it_panics() {
    let now = Instant::now();
    for (threshold, panics) in [(0, false), (1, true), (50, true)] {
        let params = Params::default().with_panic_threshold(threshold);
        let set = filled(params, percent(100), 2);
        eject(&set, 0, now);
        // One of two is 50 %: not below any of the thresholds.
        assert!(!set.is_panicking());
        assert_eq!(picks(&set, None, now), Some(address(1)));
        eject(&set, 1, now);
        assert_eq!(set.is_panicking(), panics);
        assert_eq!(picks(&set, None, now).is_some(), panics);
        assert_eq!(set.usable(now).len(), if panics { 2 } else { 0 });
        // Out of the panic when the first sweep lets them back in.
        assert_eq!(set.usable(now + 60 * SECOND).len(), 2);
        assert!(!set.is_panicking());
    }
}

#[tokio::test(start_paused = true)]
async fn state_lives_as_long_as_the_address_stays() {
    let (set, now) = (filled(Params::default(), percent(50), 3), Instant::now());
    eject(&set, 0, now);
    let before = set.endpoints();
    set.update_from([
        (address(0), 7),
        (address(9), 1),
        (address(1), 1),
        (address(1), 5),
    ]);
    let after = set.endpoints();
    assert_eq!(
        after.iter().map(|e| e.address()).collect::<Vec<_>>(),
        [address(0), address(9), address(1)]
    );
    assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[2]));
    assert!(after[0].is_ejected());
    assert_eq!((after[0].weight(), after[2].weight()), (7, 1));
    // Removed and added again: as new.
    set.update_from([(address(1), 1)]);
    set.update_from([(address(0), 1), (address(1), 1)]);
    assert!(!set.endpoints()[0].is_ejected());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_left_while_ejected_makes_room_for_another() {
    let (set, now) = (filled(Params::default(), percent(50), 3), Instant::now());
    eject(&set, 0, now);
    eject(&set, 1, now);
    assert_eq!(set.ejections_active(now), 1);
    set.update_from([(address(1), 1), (address(2), 1)]);
    assert_eq!(set.ejections_active(now), 0);
    eject(&set, 0, now);
    assert_eq!(set.ejections_active(now), 1);
    assert_eq!(set.outlier_stats().ejections_total.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn parameters_are_replaced_with_ejections_kept() {
    let (set, now) = (filled(Params::default(), percent(50), 3), Instant::now());
    eject(&set, 0, now);
    set.set_params(Params::new(Policy::RoundRobin), Some(percent(90)));
    let seen: BTreeSet<_> = (0..20).filter_map(|_| picks(&set, None, now)).collect();
    assert_eq!(seen, [address(1), address(2)].into());
    set.set_params(Params::default(), None);
    assert_eq!(set.ejections_active(now), 0);
    assert_eq!(set.usable(now).len(), 3);
    eject(&set, 0, now);
    assert_eq!(set.usable(now).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_the_ejected_endpoints_keys_move_and_they_come_back() {
    let now = Instant::now();
    for table in [HashTable::default(), HashTable::Maglev { size: 65_537 }] {
        let key = HashKey::Header(HeaderName::from_static("x-session-id"));
        let params = Params::new(Policy::ConsistentHash { key, table });
        let set = filled(params, percent(50), 4);
        let owners = |now| -> Vec<_> {
            (0..5_000)
                .map(|s| picks(&set, Some(s), now).unwrap())
                .collect()
        };
        let before = owners(now);
        eject(&set, 2, now);
        for (a, b) in before.iter().zip(owners(now)) {
            assert_ne!(b, address(2));
            assert_eq!(*a == b, *a != address(2));
        }
        assert_eq!(before, owners(now + 30 * SECOND));
    }
}
