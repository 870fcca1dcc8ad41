use super::*;

const KINDS: [HashTable; 2] = [
    HashTable::Ring { min_size: 1024 },
    HashTable::Maglev { size: 65_537 },
];
const KEYS: u64 = 10_000;

fn members(weights: &[u32]) -> Vec<(String, u32)> {
    let name = |i: usize| format!("10.0.0.{i}:8080");
    let numbered = weights.iter().enumerate();
    numbered.map(|(i, w)| (name(i), *w)).collect()
}

fn hashes() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|i| xxh64(format!("session-{i}").as_bytes(), 0))
}

fn names(kind: HashTable, members: &[(String, u32)], out: Option<&str>) -> Vec<String> {
    let table = Table::new(kind, members);
    let usable = |i: usize| Some(members[i].0.as_str()) != out;
    hashes()
        .map(|h| members[table.find(h, usable).unwrap()].0.clone())
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn share(of: &[String], name: &str) -> f64 {
    of.iter().filter(|n| *n == name).count() as f64 / of.len() as f64
}

#[test]
fn shares_follow_weights() {
    for kind in KINDS {
        let members = members(&[1, 1, 2, 4]);
        let owners = names(kind, &members, None);
        for (name, weight) in &members {
            let (share, fair) = (share(&owners, name), f64::from(*weight) / 8.0);
            assert!((share - fair).abs() < 0.2 * fair, "{kind:?} {name} {share}");
        }
    }
}

#[test]
fn removing_one_of_ten_moves_its_own_keys_and_at_most_3_points_more() {
    for kind in KINDS {
        let ten = members(&[1; 10]);
        let before = names(kind, &ten, None);
        for gone in 0..10 {
            let mut nine = ten.clone();
            nine.remove(gone);
            let after = names(kind, &nine, None);
            let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            assert!(moved as u64 <= KEYS * 13 / 100, "{kind:?} {gone}: {moved}");
        }
    }
}

#[test]
fn ejecting_one_moves_only_its_own_keys_and_spreads_them() {
    for kind in KINDS {
        let ten = members(&[1; 10]);
        let before = names(kind, &ten, None);
        let gone = ten[3].0.as_str();
        let after = names(kind, &ten, Some(gone));
        let mut heirs = std::collections::BTreeSet::new();
        for (a, b) in before.iter().zip(&after) {
            assert_eq!(a != b, a == gone, "{kind:?}");
            if a == gone {
                heirs.insert(b);
            }
        }
        assert_eq!(heirs.len(), 9, "{kind:?}");
    }
}

#[test]
fn places_do_not_depend_on_the_process() {
    // Fixed once: a change here moves every user's keys at an upgrade.
    let three = members(&[1; 3]);
    let first = |kind| {
        let owners = names(kind, &three, None);
        owners[..8]
            .iter()
            .map(|n| n.as_bytes()[7] - b'0')
            .collect::<Vec<_>>()
    };
    assert_eq!(first(KINDS[0]), RING_PLACES);
    assert_eq!(first(KINDS[1]), MAGLEV_PLACES);
}

const RING_PLACES: [u8; 8] = [0, 2, 1, 2, 0, 1, 1, 2];
const MAGLEV_PLACES: [u8; 8] = [0, 2, 2, 2, 0, 2, 2, 2];

#[test]
fn a_ring_has_at_least_the_entries_asked_for() {
    for (weights, min_size) in [(vec![1; 3], 1024), (vec![1; 100], 1024), (vec![7, 3], 5000)] {
        let entries = ring(min_size, &members(&weights)).len() as u64;
        assert!(entries >= min_size, "{entries}");
        assert!(
            entries <= 4 * min_size.max(128 * weights.len() as u64),
            "{entries}"
        );
    }
    // Weights without a common divisor do not blow it up, and the lightest keeps a place.
    let entries = ring(1024, &members(&[1, u32::MAX]));
    assert!(entries.len() <= 16 * 1024 + 1);
    assert_eq!(entries.iter().filter(|e| e.1 == 0).count(), 1);
}

#[test]
fn nobody_usable_is_nobody() {
    for kind in KINDS {
        assert_eq!(Table::new(kind, &[]).find(7, |_| true), None);
        assert_eq!(Table::new(kind, &members(&[1, 2])).find(7, |_| false), None);
    }
}

#[test]
fn a_size_that_is_no_prime_is_raised_to_one() {
    assert_eq!(maglev(1000, &members(&[1, 1])).len(), 1009);
    assert_eq!(maglev(0, &members(&[1, 1])).len(), 2);
    assert_eq!(prime_from(MAX_MAGLEV), MAX_MAGLEV);
}
