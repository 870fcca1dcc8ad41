//! A waker that passes wake-ups on to whoever polls, remembers that there was one, and can be muted.
//!
//! What is polled through it may change hands without being polled anew: it keeps the relay's waker, and the relay knows
//! who is meant. Muting is for wake-ups that somebody gives himself: hyper's body channel wakes its writer whenever a
//! frame is taken, also where that is the task at work, or where the body is over and nothing is left to write.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Passes wake-ups on.
#[derive(Debug)]
pub(crate) struct Relay {
    to: Mutex<Option<Waker>>,
    woken: AtomicBool,
}

thread_local! {
    static MUTED: Cell<bool> = const { Cell::new(false) };
    static MISSED: RefCell<Option<Arc<Relay>>> = const { RefCell::new(None) };
}

// === impl Relay ===

impl Relay {
    /// To nobody yet. What is polled through it has not been polled, which counts as woken.
    #[must_use]
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            to: Mutex::new(None),
            woken: AtomicBool::new(true),
        })
    }

    /// From now on `waker` is woken. One wake-up before that is seen by [`take_woken`](Self::take_woken).
    pub(crate) fn set(&self, waker: &Waker) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *to {
            Some(to) => to.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Notes a wake-up and passes it on to nobody.
    pub(crate) fn mark(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// Whether it was woken since this was asked last. Set the waker before.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Wakes who is set.
    pub(crate) fn notify(&self) {
        self.mark();
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = to.clone();
        drop(to);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !MUTED.get() {
            return self.notify();
        }
        let other = MISSED.replace(Some(Arc::clone(self)));
        if let Some(other) = other.filter(|other| !Arc::ptr_eq(other, self)) {
            other.notify();
        }
    }
}

/// Runs `f`. What it woke through a relay on this thread is not woken and not noted, but returned.
pub(crate) fn muted<T>(f: impl FnOnce() -> T) -> (T, Option<Arc<Relay>>) {
    let before = MUTED.replace(true);
    let done = f();
    MUTED.set(before);
    (done, MISSED.take())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn wakes_who_is_set_now_and_remembers() {
        let (relay, a, b) = (
            Relay::new(),
            Arc::<Count>::default(),
            Arc::<Count>::default(),
        );
        let waker = Waker::from(Arc::clone(&relay));
        assert!(relay.take_woken() && !relay.take_woken());
        waker.wake_by_ref();
        relay.set(&Waker::from(Arc::clone(&a)));
        assert!(relay.take_woken());
        waker.wake_by_ref();
        relay.set(&Waker::from(Arc::clone(&b)));
        waker.wake_by_ref();
        assert_eq!((a.get(), b.get()), (1, 1));
        assert!(relay.take_woken());
    }

    #[test]
    fn what_is_muted_is_given_back() {
        let (relay, other, a) = (Relay::new(), Relay::new(), Arc::<Count>::default());
        for relay in [&relay, &other] {
            relay.set(&Waker::from(Arc::clone(&a)));
            relay.take_woken();
        }
        let ((), missed) = muted(|| Waker::from(Arc::clone(&relay)).wake());
        assert_eq!(a.get(), 0);
        assert!(!relay.take_woken());
        missed.unwrap().notify();
        assert_eq!(a.get(), 1);
        // Only one is kept: of two, the first goes through.
        let ((), missed) = muted(|| {
            Waker::from(Arc::clone(&other)).wake();
            Waker::from(Arc::clone(&relay)).wake();
        });
        assert!(a.get() == 2 && missed.is_some_and(|m| Arc::ptr_eq(&m, &relay)));
        assert!(muted(|| ()).1.is_none());
        Waker::from(relay).wake();
        assert_eq!(a.get(), 3);
    }
}
