//! A sliding window: so much in any stretch of so long.
//!
//! A token bucket that holds a minute's allowance lets through twice that in some minutes: a full bucket at once, and what
//! flows in meanwhile. Fixed windows do the same at their border. A limit of 10,000 tokens per minute is meant to be one in
//! *every* minute, so this counts what was let in within the last `per`, and a charge leaves exactly `per` after it came.
//! The price: who has spent a minute's allowance in its first second waits for the rest of the minute.
//!
//! Charges that come within a thirtieth of `per` are kept as one and leave with the last of them, so a window takes
//! constant memory, never admits too much, and gives an allowance back up to that much late.
//!
//! A reservation counts from when it was let in. What is given back was never spent, so it comes off there; what was spent
//! beyond a reservation is charged when it is known, may go over the limit, and later requests wait for it.
//!
//! [`Window`] is the arithmetic; [`Cell`] shares it among tasks behind a lock that is held for some tens of nanoseconds and
//! never across a wait. A decision and its charge are one step, so no number of concurrent requests admits too much.

use std::{collections::VecDeque, sync::PoisonError, time::Duration};

use crate::base::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

/// Parts of `per` that are told apart.
const PARTS: u32 = 30;

/// What was charged within the last while.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Oldest first.
    slots: VecDeque<Slot>,
    /// Their sum.
    total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: Instant,
    last: Instant,
    amount: u64,
}

/// So much in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much.
    pub amount: u64,
    /// In how long.
    pub per: Duration,
}

/// Why a charge does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// It will, after exactly this wait, if nothing else is charged.
    Wait(Duration),
    /// It is more than the limit: it never will.
    Never,
}

/// A [`Window`] shared among tasks.
#[derive(Debug, Default)]
pub struct Cell(Mutex<Window>);

/// What was reserved in a [`Cell`]. Dropped unsettled, all of it is given back.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation {
    cell: Arc<Cell>,
    at: Instant,
    per: Duration,
    amount: u64,
}

// === impl Window ===

impl Window {
    /// Charges `amount` if it fits. Gives when it was charged: `now`, or later if others were charged later.
    ///
    /// # Errors
    /// When it would fit; nothing is charged.
    pub fn charge(&mut self, rate: Rate, amount: u64, now: Instant) -> Result<Instant, Short> {
        let at = self.expire(rate.per, now);
        let Some(room) = rate.amount.checked_sub(amount) else {
            return Err(Short::Never);
        };
        let over = self.total.saturating_sub(room);
        if over > 0 {
            return Err(Short::Wait(self.until_gone(over, rate.per, now)));
        }
        self.add(amount, rate.per, at);
        Ok(at)
    }

    /// Charges `amount`, whether it fits or not.
    pub fn force(&mut self, amount: u64, per: Duration, now: Instant) {
        let now = self.expire(per, now);
        self.add(amount, per, now);
    }

    /// Takes back what was charged at `at`, unless it has left the window.
    pub fn give_back(&mut self, amount: u64, at: Instant) {
        let found = self.slots.partition_point(|slot| slot.last < at);
        if let Some(slot) = self.slots.get_mut(found).filter(|slot| slot.first <= at) {
            let amount = amount.min(slot.amount);
            slot.amount -= amount;
            self.total -= amount;
        }
    }

    /// How much would fit now.
    pub fn left(&mut self, rate: Rate, now: Instant) -> u64 {
        self.expire(rate.per, now);
        rate.amount.saturating_sub(self.total)
    }

    /// How long until everything charged has left.
    pub fn empty_in(&mut self, per: Duration, now: Instant) -> Duration {
        self.expire(per, now);
        self.until_gone(self.total, per, now)
    }

    /// Drops what has left the window. Gives the later of `now` and the last charge: clocks are read before locks are
    /// taken, so calls may come out of order.
    fn expire(&mut self, per: Duration, now: Instant) -> Instant {
        while let Some(slot) = self.slots.front()
            && (slot.amount == 0 || now.saturating_duration_since(slot.last) >= per)
        {
            self.total -= slot.amount;
            self.slots.pop_front();
        }
        self.slots.back().map_or(now, |slot| slot.last.max(now))
    }

    fn add(&mut self, amount: u64, per: Duration, now: Instant) {
        let amount = amount.min(u64::MAX - self.total);
        self.total += amount;
        match self.slots.back_mut() {
            Some(slot) if now.saturating_duration_since(slot.first) < per / PARTS => {
                slot.last = now;
                slot.amount += amount;
            }
            _ => self.slots.push_back(Slot {
                first: now,
                last: now,
                amount,
            }),
        }
    }

    /// How long until the oldest `amount` has left.
    fn until_gone(&self, amount: u64, per: Duration, now: Instant) -> Duration {
        let mut gone: u64 = 0;
        for slot in &self.slots {
            gone = gone.saturating_add(slot.amount);
            if gone >= amount && slot.amount > 0 {
                let gone_at = slot.last.checked_add(per);
                return gone_at.map_or(per, |at| at.saturating_duration_since(now));
            }
        }
        Duration::ZERO
    }
}

// === impl Cell ===

impl Cell {
    /// Reserves `amount` if it fits.
    ///
    /// # Errors
    /// When it would fit.
    pub fn reserve(
        cell: &Arc<Self>,
        rate: Rate,
        amount: u64,
        now: Instant,
    ) -> Result<Reservation, Short> {
        let at = cell.lock().charge(rate, amount, now)?;
        Ok(Reservation {
            cell: Arc::clone(cell),
            at,
            per: rate.per,
            amount,
        })
    }

    /// How much is left, and how long until all is back.
    pub fn state(&self, rate: Rate, now: Instant) -> (u64, Duration) {
        let mut window = self.lock();
        (window.left(rate, now), window.empty_in(rate.per, now))
    }

    /// Whether nothing is charged any more.
    pub fn is_empty(&self, per: Duration, now: Instant) -> bool {
        self.lock().empty_in(per, now).is_zero()
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Reservation ===

impl Reservation {
    /// How much is reserved.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Where it is reserved.
    #[must_use]
    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// Ends the reservation with what was really spent: gives the rest back, or charges the excess at `now`.
    pub fn settle(mut self, actual: u64, now: Instant) {
        let reserved = std::mem::take(&mut self.amount);
        let mut window = self.cell.lock();
        if actual > reserved {
            window.force(actual - reserved, self.per, now);
        } else {
            window.give_back(reserved - actual, self.at);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.cell.lock().give_back(self.amount, self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Rate = Rate {
        amount: 100,
        per: Duration::from_secs(60),
    };

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_charge_leaves_exactly_one_period_after_it_came() {
        let (mut window, start) = (Window::default(), Instant::now());
        assert_eq!(window.charge(MINUTE, 60, start), Ok(start));
        window.charge(MINUTE, 40, start + secs(10)).unwrap();
        let now = start + secs(30);
        assert_eq!(
            window.charge(MINUTE, 60, now),
            Err(Short::Wait(secs(30))),
            "the first 60 leave at 60 s"
        );
        assert_eq!(window.charge(MINUTE, 61, now), Err(Short::Wait(secs(40))));
        let early = start + secs(60) - Duration::from_nanos(1);
        assert!(window.charge(MINUTE, 60, early).is_err());
        assert!(window.charge(MINUTE, 60, start + secs(60)).is_ok());
        assert_eq!(window.left(MINUTE, start + secs(60)), 0);
        assert_eq!(window.empty_in(MINUTE.per, start + secs(60)), secs(60));
    }

    #[test]
    fn more_than_the_limit_never_fits() {
        let (mut window, now) = (Window::default(), Instant::now());
        assert_eq!(window.charge(MINUTE, 101, now), Err(Short::Never));
        assert!(window.charge(MINUTE, 100, now).is_ok());
        assert_eq!(
            window.charge(MINUTE, 0, now),
            Ok(now),
            "nothing always fits"
        );
    }

    #[test]
    fn what_is_given_back_counts_no_more_and_only_once_gone_not_at_all() {
        let (cell, start) = (Arc::new(Cell::default()), Instant::now());
        let first = Cell::reserve(&cell, MINUTE, 60, start).unwrap();
        let second = Cell::reserve(&cell, MINUTE, 40, start + secs(30)).unwrap();
        first.settle(10, start + secs(40));
        assert_eq!(cell.state(MINUTE, start + secs(40)), (50, secs(50)));
        drop(second);
        assert_eq!(cell.state(MINUTE, start + secs(40)).0, 90);
        let late = Cell::reserve(&cell, MINUTE, 90, start + secs(50)).unwrap();
        let other = Cell::reserve(&cell, MINUTE, 5, start + secs(111)).unwrap();
        late.settle(0, start + secs(115));
        assert_eq!(cell.state(MINUTE, start + secs(115)).0, 95, "it had left");
        drop(other);
        assert!(cell.is_empty(MINUTE.per, start + secs(115)));
    }

    #[test]
    fn what_was_spent_beyond_the_reservation_is_a_debt_that_others_wait_for() {
        let (cell, start) = (Arc::new(Cell::default()), Instant::now());
        let first = Cell::reserve(&cell, MINUTE, 10, start).unwrap();
        first.settle(250, start + secs(20));
        assert_eq!(cell.state(MINUTE, start + secs(20)), (0, secs(60)));
        let refused = Cell::reserve(&cell, MINUTE, 1, start + secs(70)).unwrap_err();
        assert_eq!(refused, Short::Wait(secs(10)));
        assert!(Cell::reserve(&cell, MINUTE, 1, start + secs(80)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_another_rate_applies_at_once() {
        let (mut window, start) = (Window::default(), Instant::now());
        let plenty = Rate {
            amount: u64::MAX,
            per: secs(60),
        };
        for ms in (0..120_000).step_by(7) {
            let now = start + Duration::from_millis(ms);
            window.charge(plenty, 1, now).unwrap();
        }
        assert!(window.slots.len() <= 32, "{}", window.slots.len());
        let now = start + secs(120);
        assert!(matches!(window.charge(MINUTE, 1, now), Err(Short::Wait(_))));
        assert!(window.charge(plenty, u64::MAX, now).is_err(), "no overflow");
        window.force(u64::MAX, plenty.per, now);
        let second = Rate {
            amount: 100,
            per: secs(1),
        };
        assert!(window.charge(second, 100, now + secs(1)).is_ok());
    }

    #[test]
    fn a_clock_read_early_and_used_late_does_not_go_back() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.charge(MINUTE, 50, start + secs(5)).unwrap();
        assert_eq!(window.charge(MINUTE, 50, start), Ok(start + secs(5)));
        assert_eq!(
            window.charge(MINUTE, 1, start),
            Err(Short::Wait(secs(65))),
            "the charge counts from 5 s"
        );
    }
}
