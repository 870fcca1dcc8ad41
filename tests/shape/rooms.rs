//! Room sizes, and where clocks and entropy may be read.

use crate::source::files;

#[test]
fn no_room_is_over_400_lines() {
    let big: Vec<_> = files()
        .into_iter()
        .filter(|f| f.lines > 400)
        .map(|f| format!("{} {}", f.lines, f.path))
        .collect();
    assert!(big.is_empty(), "split these: {big:?}");
}

#[test]
fn most_rooms_are_small() {
    let mut sizes: Vec<usize> = files().iter().map(|f| f.lines).collect();
    sizes.sort_unstable();
    let (median, p90) = (sizes[sizes.len() / 2], sizes[sizes.len() * 9 / 10]);
    assert!(median <= 200 && p90 <= 330, "median {median}, p90 {p90}");
}

#[test]
fn clocks_and_entropy_are_read_in_one_place_each() {
    for file in files() {
        let banned: &[&str] = match file.path.as_str() {
            "base/time.rs" => &["RandomState"],
            // A process's own key for fingerprints, on which no decision depends.
            "base/rng.rs" | "base/fingerprint.rs" => &["SystemTime::now("],
            _ => &["SystemTime::now(", "RandomState", "std::time::Instant"],
        };
        for word in banned {
            assert!(!file.code.contains(word), "{} in {}", word, file.path);
        }
    }
}
