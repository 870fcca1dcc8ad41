use super::*;
use crate::layers::outlier::can_ever_eject;

const SECOND: Duration = Duration::from_secs(1);

struct Set {
    params: Params,
    hosts: Vec<Arc<Host>>,
    detector: Detector,
    now: Instant,
}

impl Set {
    fn new(size: usize, params: Params) -> Self {
        let now = Instant::now();
        Self {
            hosts: (0..size).map(|_| Arc::default()).collect(),
            detector: Detector::new(&params, now),
            params,
            now,
        }
    }

    fn see(&self, host: usize, seen: Observation) -> Option<Ejected> {
        let host = &self.hosts[host];
        self.detector
            .record(&self.params, &self.hosts, host, seen, self.now)
    }

    /// Fails `times` in a row; returns after which one the host was ejected, from 1.
    fn fail(&self, host: usize, seen: Observation, times: usize) -> Option<usize> {
        (1..=times).find(|_| self.see(host, seen).is_some())
    }

    fn after(&mut self, time: Duration) -> Vec<usize> {
        self.now += time;
        self.detector.tick(&self.params, &self.hosts, self.now)
    }

    fn ejected(&self) -> Vec<usize> {
        let out = |i: &usize| self.hosts[*i].is_ejected();
        (0..self.hosts.len()).filter(out).collect()
    }
}

/// The reference user's llm-service: both thresholds 5, half may go.
fn llm_service() -> Params {
    Params::default()
        .with_consecutive_gateway(5)
        .with_max_ejection_percent(50)
}

#[test]
fn ejects_at_the_fifth_in_a_row_and_returns_at_the_sweep_after_30_s() {
    let mut set = Set::new(3, llm_service());
    set.after(5 * SECOND);
    assert_eq!(set.fail(0, Observation::Status(500), 4), None);
    set.see(0, Observation::Status(404));
    assert_eq!(set.fail(0, Observation::Status(500), 4), None);
    let ejected = set.see(0, Observation::Status(500)).unwrap();
    assert_eq!(ejected.reason, Reason::Consecutive5xx);
    assert_eq!(ejected.lasts, 30 * SECOND);
    // Out at 5 s; over at 35 s; the sweep is at 40 s.
    assert!(set.after(35 * SECOND - Duration::from_nanos(1)).is_empty());
    assert_eq!(set.ejected(), [0]);
    assert_eq!(set.after(Duration::from_nanos(1)), [0]);
    assert!(set.ejected().is_empty());
    // Counters start again from zero.
    assert_eq!(set.fail(0, Observation::Status(500), 5), Some(5));
}

#[test]
fn what_counts_into_which_counter() {
    let params = Params::default()
        .with_consecutive_5xx(5)
        .with_consecutive_gateway(3)
        .with_max_ejection_percent(100);
    let fresh = || Set::new(1, params.clone());
    for seen in [
        Observation::Status(502),
        Observation::Status(503),
        Observation::Status(504),
        Observation::Timeout,
        Observation::Failure,
    ] {
        assert_eq!(fresh().fail(0, seen, 10), Some(3), "{seen:?}");
    }
    assert_eq!(fresh().fail(0, Observation::Status(500), 10), Some(5));
    assert_eq!(fresh().fail(0, Observation::Status(429), 100), None);
    // A 500 sets the gateway counter to zero, but both count into the 5xx counter.
    let set = fresh();
    for status in [503, 503, 500, 503] {
        assert_eq!(set.see(0, Observation::Status(status)), None);
    }
    let ejected = set.see(0, Observation::Status(503)).unwrap();
    assert_eq!(ejected.reason, Reason::Consecutive5xx);
    // Off is off.
    let off = Set::new(1, params.clone().with_consecutive_5xx(0));
    assert_eq!(off.fail(0, Observation::Status(500), 1000), None);
}

#[test]
fn split_local_failures_have_a_counter_of_their_own() {
    let params = llm_service()
        .with_split_local(3)
        .with_max_ejection_percent(100);
    let set = Set::new(1, params.clone());
    for _ in 0..4 {
        set.see(0, Observation::Failure);
        set.see(0, Observation::Timeout);
        // Any answer shows that the connection works.
        assert_eq!(set.see(0, Observation::Status(503)), None);
    }
    let ejected = set.see(0, Observation::Status(503)).unwrap();
    assert_eq!(ejected.reason, Reason::ConsecutiveGateway);
    let set = Set::new(1, params);
    assert_eq!(set.fail(0, Observation::Failure, 10), Some(3));
}

#[test]
fn listed_statuses_count_in_place_of_5xx() {
    let params = Params::default()
        .with_error_statuses([429, 503].into())
        .with_max_ejection_percent(100);
    assert_eq!(
        Set::new(1, params.clone()).fail(0, Observation::Status(429), 9),
        Some(5)
    );
    assert_eq!(
        Set::new(1, params.clone()).fail(0, Observation::Status(500), 99),
        None
    );
    assert_eq!(
        Set::new(1, params).fail(0, Observation::Failure, 9),
        Some(5)
    );
}

#[test]
fn never_two_of_three_at_50_percent() {
    let mut set = Set::new(3, llm_service());
    for _ in 0..100 {
        for host in 0..3 {
            set.see(host, Observation::Status(503));
        }
    }
    assert_eq!(set.ejected(), [0]);
    assert_eq!(set.detector.stats().ejections_total.get(), 1);
    assert_eq!(set.detector.stats().ejections_overflow.get(), 2 * 20);
    // Two of four may go.
    set = Set::new(4, llm_service());
    for host in 0..4 {
        set.fail(host, Observation::Status(503), 10);
    }
    assert_eq!(set.ejected(), [0, 1]);
}

#[test]
fn thirty_percent_of_three_never_ejects() {
    let params = Params::default()
        .with_consecutive_gateway(3)
        .with_max_ejection_percent(30);
    let set = Set::new(3, params.clone());
    assert!(!can_ever_eject(&params, 3));
    assert_eq!(set.fail(0, Observation::Status(503), 1000), None);
    assert_eq!(set.detector.stats().ejections_total.get(), 0);
}

#[test]
fn ten_hosts_at_ten_percent_lose_one() {
    let set = Set::new(10, Params::default());
    for host in [7, 2, 5] {
        set.fail(host, Observation::Status(500), 50);
    }
    assert_eq!(set.ejected(), [7]);
}

#[test]
fn a_relapse_is_out_longer_up_to_300_s_and_health_shortens_it_again() {
    let mut set = Set::new(1, Params::default().with_max_ejection_percent(100));
    for n in 1..=12_u32 {
        assert_eq!(set.fail(0, Observation::Status(500), 5), Some(5));
        let seconds = (30 * n).min(300);
        // Failing right at the sweep that lets it in: both ends on the grid, so out for exactly that long.
        let out = seconds * SECOND;
        assert!(set.after(out - Duration::from_nanos(1)).is_empty(), "{n}");
        assert_eq!(set.after(Duration::from_nanos(1)), [0], "{n}");
    }
    // Eleven is the greatest multiplier; nine healthy sweeps leave two, the next ejection makes it three.
    set.after(90 * SECOND);
    set.fail(0, Observation::Status(500), 4);
    let ejected = set.see(0, Observation::Status(500)).unwrap();
    assert_eq!(ejected.lasts, 90 * SECOND);
}

#[test]
fn sweeps_missed_in_a_long_silence_are_made_up() {
    let mut set = Set::new(2, llm_service());
    set.fail(0, Observation::Status(500), 5);
    assert_eq!(set.after(Duration::from_secs(86_400 * 365)), [0]);
    let lasts = (0..5).find_map(|_| set.see(0, Observation::Status(500)));
    assert_eq!(lasts.unwrap().lasts, 30 * SECOND);
}

#[test]
fn a_shorter_interval_takes_effect_at_once() {
    let mut set = Set::new(2, llm_service().with_interval(3600 * SECOND));
    set.fail(0, Observation::Status(500), 5);
    set.after(60 * SECOND);
    set.params = llm_service();
    assert!(set.after(SECOND).is_empty());
    assert_eq!(set.after(10 * SECOND), [0]);
}

#[test]
fn a_host_that_left_the_set_ejects_nothing() {
    let set = Set::new(2, llm_service());
    let stranger = Host::default();
    for _ in 0..10 {
        let (params, hosts) = (&set.params, &set.hosts);
        let seen = Observation::Status(500);
        let ejected = set.detector.record(params, hosts, &stranger, seen, set.now);
        assert_eq!(ejected, None);
    }
    assert!(!stranger.is_ejected());
}

#[test]
fn scattered_errors_eject_nobody() {
    let set = Set::new(4, llm_service());
    for n in 0..60_000 {
        let status = if n % 100 == 0 || n % 3 == 0 { 500 } else { 200 };
        for host in 0..4 {
            assert_eq!(set.see(host, Observation::Status(status)), None);
        }
    }
}

#[test]
fn a_host_that_comes_back_has_no_row_left_from_before() {
    let params = Params::default()
        .with_consecutive_gateway(3)
        .with_max_ejection_percent(100);
    let mut set = Set::new(1, params);
    // Three of the five 5xx are counted when the gateway rule ejects it.
    assert_eq!(set.fail(0, Observation::Status(503), 3), Some(3));
    assert_eq!(set.after(30 * SECOND), [0]);
    assert_eq!(set.fail(0, Observation::Status(500), 9), Some(5));
}

#[test]
fn an_untrusted_member_is_ejected_only_where_others_are_trusted() {
    let all = || Set::new(3, llm_service().with_max_ejection_percent(100));
    // Everywhere the same: the certificate, or the authority here, is at fault.
    let set = all();
    for host in 0..3 {
        set.see(host, Observation::Status(200));
    }
    for _ in 0..20 {
        for host in 0..3 {
            assert_eq!(set.see(host, Observation::Untrusted), None);
        }
    }
    assert!(set.ejected().is_empty());
    // The others answer: it is this one. The first time is not held against it.
    let set = all();
    for _ in 0..5 {
        assert_eq!(set.see(0, Observation::Untrusted), None);
        set.see(1, Observation::Status(200));
    }
    assert!(set.see(0, Observation::Untrusted).is_some());
    assert_eq!(set.ejected(), [0]);
    // Two of three.
    let set = all();
    for _ in 0..10 {
        set.see(0, Observation::Untrusted);
        set.see(1, Observation::Untrusted);
        set.see(2, Observation::Status(500));
        set.see(2, Observation::Status(200));
    }
    assert_eq!(set.ejected(), [0, 1]);
    // One alone has no others.
    let set = Set::new(1, llm_service().with_max_ejection_percent(100));
    assert_eq!(set.fail(0, Observation::Untrusted, 50), None);
}
