//! Limits: sliding windows.

use std::{sync::Arc, time::Duration};

use llmesh::{
    base::time::Instant,
    limit::window::{Cell, Rate, Reservation, Short},
};
use proptest::prelude::*;

/// What happens to a window.
#[derive(Clone, Copy, Debug)]
enum Event {
    Reserve(u64),
    /// Settles one of those under way with a share of what it reserved, in percent.
    Settle(usize, u64),
    Drop(usize),
    Pass(u64),
}

fn events(most: u64) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..=60_u64).prop_map(Event::Reserve),
        3 => (any::<usize>(), 0..=most).prop_map(|(i, percent)| Event::Settle(i, percent)),
        1 => any::<usize>().prop_map(Event::Drop),
        4 => (0..4000_u64).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 1..300)
}

/// A window, what is under way, and what it all came to: when it was let in and what it counts for.
struct Run {
    cell: Arc<Cell>,
    rate: Rate,
    now: Instant,
    under_way: Vec<(usize, Reservation)>,
    spent: Vec<(Instant, u64)>,
}

impl Run {
    fn new(rate: Rate) -> Self {
        Self {
            cell: Arc::default(),
            rate,
            now: Instant::now(),
            under_way: Vec::new(),
            spent: Vec::new(),
        }
    }

    fn reserve(&mut self, amount: u64) -> Result<(), Short> {
        let held = Cell::reserve(&self.cell, self.rate, amount, self.now)?;
        self.under_way.push((self.spent.len(), held));
        self.spent.push((self.now, amount));
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<(), Short> {
        let some = |at: usize, len: usize| (len > 0).then(|| at % len);
        match event {
            Event::Reserve(amount) => return self.reserve(amount),
            Event::Pass(ms) => self.now += Duration::from_millis(ms),
            Event::Settle(at, percent) => {
                if let Some(at) = some(at, self.under_way.len()) {
                    let (index, held) = self.under_way.swap_remove(at);
                    let actual = held.amount() * percent / 100;
                    held.settle(actual, self.now);
                    self.spent[index].1 = actual;
                }
            }
            Event::Drop(at) => {
                if let Some(at) = some(at, self.under_way.len()) {
                    let (index, held) = self.under_way.swap_remove(at);
                    drop(held);
                    self.spent[index].1 = 0;
                }
            }
        }
        Ok(())
    }

    /// The most that counted within any stretch of one period: reserved, or settled where that is known.
    fn most_in_a_period(&self) -> u64 {
        let within = |from: Instant| {
            let in_it = |(at, _): &&(Instant, u64)| *at >= from && *at - from < self.rate.per;
            self.spent.iter().filter(in_it).map(|(_, n)| n).sum()
        };
        self.spent
            .iter()
            .map(|(at, _)| within(*at))
            .max()
            .unwrap_or(0)
    }
}

fn rate() -> impl Strategy<Value = Rate> {
    (1..200_u64, 1..90_u64).prop_map(|(amount, seconds)| Rate {
        amount,
        per: Duration::from_secs(seconds),
    })
}

proptest! {
    /// As long as nobody spends more than reserved, no stretch of one period counts more than the limit, at any time.
    #[test]
    fn a_limit_never_lets_in_too_much(rate in rate(), events in events(100)) {
        let mut run = Run::new(rate);
        for event in events {
            let _ = run.step(event);
            prop_assert!(run.most_in_a_period() <= rate.amount);
        }
    }

    /// After the wait that a refusal names the same charge fits, and a nanosecond before it does not; also where some
    /// spent more than they reserved.
    #[test]
    fn the_wait_of_a_refusal_is_exact(rate in rate(), events in events(300)) {
        let mut run = Run::new(rate);
        for event in events {
            let before = run.now;
            let Err(short) = run.step(event) else { continue };
            let Event::Reserve(amount) = event else { unreachable!() };
            match short {
                Short::Never => prop_assert!(amount > rate.amount),
                Short::Wait(wait) => {
                    prop_assert!(!wait.is_zero());
                    let early = before + wait - Duration::from_nanos(1);
                    let early = Cell::reserve(&run.cell, rate, amount, early);
                    prop_assert!(matches!(early, Err(Short::Wait(left)) if left == Duration::from_nanos(1)));
                    run.now = before + wait;
                    prop_assert!(run.reserve(amount).is_ok());
                }
            }
        }
    }

    /// A period after the last charge everything is back, whatever happened.
    #[test]
    fn everything_comes_back(rate in rate(), events in events(300)) {
        let mut run = Run::new(rate);
        for event in events {
            let _ = run.step(event);
        }
        run.under_way.clear();
        let later = run.now + rate.per;
        prop_assert!(run.cell.is_empty(rate.per, later));
        prop_assert_eq!(run.cell.state(rate, later).0, rate.amount);
    }

    /// A charge leaves at the earliest one period after it came, and at most a thirtieth of it later.
    #[test]
    fn an_allowance_comes_back_in_time(per in 1..90_u64, gaps in proptest::collection::vec(0..5000_u64, 1..50)) {
        let rate = Rate { amount: 1000, per: Duration::from_secs(per) };
        let mut run = Run::new(rate);
        for gap in gaps {
            run.now += Duration::from_millis(gap);
            let _ = run.reserve(1);
            let since = run.now.checked_sub(rate.per + rate.per / 30).unwrap_or(run.now);
            let held: u64 = run.spent.iter().filter(|(at, _)| *at >= since).map(|(_, n)| n).sum();
            prop_assert!(1000 - run.cell.state(rate, run.now).0 <= held);
        }
    }
}
