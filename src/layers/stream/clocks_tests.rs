use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn limits() -> Clocks {
    Clocks::default()
        .with_headers(secs(2))
        .with_first_token(secs(5))
        .with_inter_token(secs(3))
}

#[test]
fn the_head_is_waited_for_from_the_send() {
    let begin = Instant::now();
    for (streams, after, check) in [
        (false, 1, Check::Fine(Some(begin + secs(2)))),
        (false, 2, Check::Up(Limit::Headers)),
        (true, 2, Check::Up(Limit::Headers)),
    ] {
        let stage = Stage::Head { streams };
        let got = limits().check(stage, Some(begin), begin + secs(after));
        assert_eq!(got, check, "{streams} {after}");
    }
}

#[test]
fn only_a_stream_owes_content_before_its_head() {
    let begin = Instant::now();
    let limits = Clocks::default().with_first_token(secs(5));
    let at =
        |streams, after| limits.check(Stage::Head { streams }, Some(begin), begin + secs(after));
    assert_eq!(at(false, 60), Check::Fine(None));
    assert_eq!(at(true, 4), Check::Fine(Some(begin + secs(5))));
    assert_eq!(at(true, 5), Check::Up(Limit::FirstToken));
    let late = limits.check(Stage::Body, Some(begin), begin + secs(60));
    assert_eq!(late, Check::Up(Limit::FirstToken));
}

#[test]
fn what_is_not_sent_is_not_late() {
    let now = Instant::now();
    let check = limits().check(Stage::Body, None, now);
    assert_eq!(check, Check::Fine(Some(now + secs(5))));
    let zero = Clocks::default().with_first_token(Duration::ZERO);
    assert_eq!(zero.check(Stage::Body, None, now), Check::Fine(Some(now)));
    assert_eq!(
        zero.check(Stage::Body, Some(now), now),
        Check::Up(Limit::FirstToken)
    );
}

#[test]
fn a_limit_beyond_the_clock_never_ends() {
    let now = Instant::now();
    let limits = Clocks::default()
        .with_first_token(Duration::MAX)
        .with_inter_token(Duration::MAX);
    assert_eq!(limits.check(Stage::Body, Some(now), now), Check::Fine(None));
    let mut flow = Flow::new(limits, None);
    flow.content(1);
    flow.wait(now);
    assert_eq!(flow.check(now + secs(9)), Check::Fine(None));
}

#[test]
fn silence_ends_with_content_and_with_nothing_else() {
    let begin = Instant::now();
    let mut flow = Flow::new(limits(), None);
    flow.content(1);
    flow.wait(begin);
    assert_eq!(flow.check(begin), Check::Fine(Some(begin + secs(3))));
    // A ping.
    flow.woke(begin + secs(2));
    flow.wait(begin + secs(2));
    assert_eq!(
        flow.check(begin + secs(2)),
        Check::Fine(Some(begin + secs(3)))
    );
    assert_eq!(flow.check(begin + secs(3)), Check::Up(Limit::InterToken));
    // Content.
    flow.woke(begin + secs(3));
    flow.content(1);
    flow.wait(begin + secs(3));
    assert_eq!(
        flow.check(begin + secs(5)),
        Check::Fine(Some(begin + secs(6)))
    );
}

#[test]
fn a_slow_reader_is_no_silence() {
    let begin = Instant::now();
    let mut flow = Flow::new(limits(), None);
    flow.content(1);
    flow.wait(begin);
    flow.woke(begin + secs(2));
    // The reader is away for a minute; then it waits again.
    let back = begin + secs(62);
    assert_eq!(flow.check(back), Check::Fine(Some(back + secs(1))));
    flow.wait(back);
    assert_eq!(flow.check(back + secs(1)), Check::Up(Limit::InterToken));
}

#[test]
fn a_stream_handed_on_without_content_still_owes_it() {
    let begin = Instant::now();
    let mut flow = Flow::new(limits(), Some(secs(4)));
    flow.wait(begin);
    assert_eq!(flow.check(begin), Check::Fine(Some(begin + secs(4))));
    assert_eq!(flow.check(begin + secs(4)), Check::Up(Limit::FirstToken));
    flow.woke(begin + secs(4));
    flow.content(1);
    flow.wait(begin + secs(4));
    assert_eq!(
        flow.check(begin + secs(4)),
        Check::Fine(Some(begin + secs(7)))
    );
}

/// Content at these times; when the floor is missed.
fn missed(limits: Clocks, contents: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let begin = Instant::now();
    let mut flow = Flow::new(limits, None);
    flow.content(1);
    let mut due = None;
    flow.wait(begin);
    let mut look = |flow: &mut Flow, until: Duration| {
        loop {
            let now = begin + due.unwrap_or_default();
            if now > begin + until {
                return None;
            }
            match flow.check(now) {
                Check::Up(Limit::Throughput) => return due,
                Check::Fine(Some(at)) => due = Some(at - begin),
                other => panic!("{other:?}"),
            }
        }
    };
    for at in contents {
        if let Some(missed) = look(&mut flow, at) {
            return Some(missed);
        }
        flow.woke(begin + at);
        flow.content(1);
        flow.wait(begin + at);
    }
    look(&mut flow, Duration::MAX / 4)
}

#[test]
fn a_drip_misses_the_floor_when_a_window_is_full() {
    let floor = Clocks::default().with_min_tokens_per_second(2.0);
    let every = |gap: u64, n: u64| (1..=n).map(move |i| Duration::from_millis(gap * i));
    // One a second, where two are demanded.
    assert_eq!(missed(floor, every(1000, 100)), Some(secs(10)));
    // Ten a second, then nothing: the window empties until fewer than 20 are in it.
    let end = missed(floor, every(100, 300)).unwrap();
    assert!(end > secs(37) && end < secs(39), "{end:?}");
    // Exactly the floor.
    let end = missed(floor, every(500, 1000)).unwrap();
    assert!(end > secs(500), "{end:?}");
}

#[test]
fn a_floor_that_says_nothing_is_none() {
    let window = |window| Clocks {
        window,
        ..Clocks::default().with_min_tokens_per_second(1.0)
    };
    for limits in [
        Clocks::default().with_min_tokens_per_second(0.0),
        Clocks::default().with_min_tokens_per_second(f64::NAN),
        Clocks::default().with_min_tokens_per_second(-1.0),
        window(Duration::ZERO),
    ] {
        assert!(!Flow::new(limits, None).any());
        assert!(!limits.any());
    }
    assert!(Flow::new(window(Duration::MAX), None).any());
    let mut flow = Flow::new(window(Duration::MAX), None);
    flow.content(1);
    let now = Instant::now();
    flow.wait(now);
    assert_eq!(flow.check(now + secs(99)), Check::Fine(None));
}
