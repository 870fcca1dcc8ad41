use super::*;
use crate::{base::Ratio, layers::breaker::Rate};

const SECOND: Duration = Duration::from_secs(1);

fn params() -> Params {
    Params::default()
        .with_consecutive(Some(3))
        .with_open_for(SECOND, 4 * SECOND)
}

/// Makes one call and returns the state change.
fn call(
    circuit: &mut Circuit,
    params: &Params,
    outcome: Outcome,
    now: Instant,
) -> Option<Option<State>> {
    let ticket = circuit.try_acquire(params, now).ok()?;
    Some(circuit.record(params, ticket, outcome, now))
}

fn wait_of(circuit: &mut Circuit, params: &Params, now: Instant) -> Option<Duration> {
    circuit.try_acquire(params, now).unwrap_err().retry_after
}

#[test]
fn the_whole_walk() {
    use Outcome::{Failure, Success};
    let (params, mut circuit, mut now) = (params(), Circuit::default(), Instant::now());
    let (changed, same) = (|s| Some(Some(s)), Some(None));
    // A success breaks a row; the third failure in a row opens.
    for outcome in [Failure, Failure, Success, Failure, Failure] {
        assert_eq!(call(&mut circuit, &params, outcome, now), same);
    }
    assert_eq!(
        call(&mut circuit, &params, Failure, now),
        changed(State::Open)
    );
    // Each failed probe doubles the open time, up to the longest.
    for seconds in [1, 2, 4, 4] {
        let open = seconds * SECOND;
        assert_eq!(wait_of(&mut circuit, &params, now), Some(open));
        let last = now + open - Duration::from_nanos(1);
        assert_eq!(
            wait_of(&mut circuit, &params, last),
            Some(Duration::from_nanos(1))
        );
        assert_eq!(circuit.state(last), State::Open);
        now += open;
        assert_eq!(circuit.state(now), State::HalfOpen);
        assert_eq!(
            call(&mut circuit, &params, Failure, now),
            changed(State::Open)
        );
    }
    now += 4 * SECOND;
    assert_eq!(
        call(&mut circuit, &params, Success, now),
        changed(State::Closed)
    );
    // Closing forgets both the row and the doubling.
    for outcome in [Failure, Failure] {
        assert_eq!(call(&mut circuit, &params, outcome, now), same);
    }
    assert_eq!(
        call(&mut circuit, &params, Failure, now),
        changed(State::Open)
    );
    assert_eq!(wait_of(&mut circuit, &params, now), Some(SECOND));
}

fn half_open(params: &Params) -> (Circuit, Instant) {
    let (mut circuit, now) = (Circuit::default(), Instant::now());
    for _ in 0..3 {
        call(&mut circuit, params, Outcome::Failure, now);
    }
    (circuit, now + SECOND)
}

#[test]
fn half_open_admits_exactly_its_probes_and_closes_when_all_succeed() {
    let params = params().with_probes(3);
    let (mut circuit, now) = half_open(&params);
    let tickets: Vec<_> = (0..64)
        .filter_map(|_| circuit.try_acquire(&params, now).ok())
        .collect();
    assert_eq!(tickets.len(), 3);
    assert_eq!(wait_of(&mut circuit, &params, now), None);
    let changes: Vec<_> = tickets
        .into_iter()
        .map(|t| circuit.record(&params, t, Outcome::Success, now))
        .collect();
    assert_eq!(changes, [None, None, Some(State::Closed)]);
}

#[test]
fn a_probe_that_says_nothing_gives_its_permit_back() {
    let params = params().with_probes(2);
    let (mut circuit, now) = half_open(&params);
    for round in 0..1_000 {
        let tickets: Vec<_> = (0..3)
            .filter_map(|_| circuit.try_acquire(&params, now).ok())
            .collect();
        assert_eq!(tickets.len(), 2, "round {round}");
        for ticket in tickets {
            assert_eq!(circuit.record(&params, ticket, Outcome::Neutral, now), None);
        }
    }
    assert_eq!(circuit.state(now), State::HalfOpen);
}

#[test]
fn late_results_of_an_earlier_period_are_ignored() {
    let params = params();
    let (mut circuit, start) = (Circuit::default(), Instant::now());
    let late: Vec<_> = (0..4)
        .map(|_| circuit.try_acquire(&params, start).unwrap())
        .collect();
    for _ in 0..3 {
        call(&mut circuit, &params, Outcome::Failure, start);
    }
    let now = start + SECOND;
    let probe = circuit.try_acquire(&params, now).unwrap();
    for (ticket, outcome) in late.into_iter().zip([
        Outcome::Failure,
        Outcome::Success,
        Outcome::Neutral,
        Outcome::Failure,
    ]) {
        assert_eq!(circuit.record(&params, ticket, outcome, now), None);
        assert_eq!(circuit.state(now), State::HalfOpen);
        // Nor did it free a probe's place.
        assert!(circuit.try_acquire(&params, now).is_err());
    }
    let changed = circuit.record(&params, probe, Outcome::Success, now);
    assert_eq!(changed, Some(State::Closed));
}

#[test]
fn neutral_outcomes_neither_add_to_a_row_nor_break_it() {
    let (params, mut circuit, now) = (params(), Circuit::default(), Instant::now());
    for outcome in [
        Outcome::Failure,
        Outcome::Failure,
        Outcome::Neutral,
        Outcome::Neutral,
    ] {
        call(&mut circuit, &params, outcome, now);
    }
    assert_eq!(circuit.state(now), State::Closed);
    call(&mut circuit, &params, Outcome::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

fn rate_params() -> Params {
    let rate = Rate::new(Ratio::new(0.5).unwrap(), 10 * SECOND, 10);
    params().with_consecutive(None).with_rate(rate)
}

#[test]
fn the_rate_rule_waits_for_enough_calls() {
    let (params, mut circuit, now) = (rate_params(), Circuit::default(), Instant::now());
    for n in 0..9 {
        call(&mut circuit, &params, Outcome::Failure, now);
        assert_eq!(circuit.state(now), State::Closed, "after {n}");
    }
    // The tenth call completes the sample, even as a success.
    call(&mut circuit, &params, Outcome::Success, now);
    assert_eq!(circuit.state(now), State::Open);
}

#[test]
fn the_rate_rule_looks_at_the_recent_past_only() {
    let (params, mut circuit, start) = (rate_params(), Circuit::default(), Instant::now());
    for _ in 0..100_000 {
        call(&mut circuit, &params, Outcome::Success, start);
    }
    let later = start + 10 * SECOND;
    for _ in 0..9 {
        call(&mut circuit, &params, Outcome::Failure, later);
    }
    assert_eq!(circuit.state(later), State::Closed);
    call(&mut circuit, &params, Outcome::Failure, later);
    assert_eq!(circuit.state(later), State::Open);
}

#[test]
fn new_parameters_apply_from_the_next_step_with_no_state_lost() {
    let (strict, mut circuit, now) = (params(), Circuit::default(), Instant::now());
    for _ in 0..2 {
        call(&mut circuit, &strict, Outcome::Failure, now);
    }
    let lenient = params().with_consecutive(Some(5));
    for _ in 0..2 {
        call(&mut circuit, &lenient, Outcome::Failure, now);
    }
    assert_eq!(circuit.state(now), State::Closed);
    call(&mut circuit, &lenient, Outcome::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
    // Half-open with fewer probes than have succeeded already: the next call closes it.
    let now = now + SECOND;
    let four = params().with_probes(4);
    for _ in 0..2 {
        call(&mut circuit, &four, Outcome::Success, now);
    }
    assert_eq!(circuit.state(now), State::HalfOpen);
    let _ticket = circuit.try_acquire(&params().with_probes(2), now).unwrap();
    assert_eq!(circuit.state(now), State::Closed);
}
