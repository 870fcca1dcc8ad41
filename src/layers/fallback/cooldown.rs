//! Cooldowns: who is not to be asked, and until when. Pure: told the time at each step.
//!
//! A breaker suspects; a cooldown knows. The provider said how long to wait, when the window opens again, or that a key is
//! refused. So a 429 opens no breaker: the key is full, the target is healthy.
//!
//! | class | what cools | for how long |
//! |---|---|---|
//! | RateLimited | key and model | the hint up to [`max_hint`](Params::max_hint), else 1 s, 2 s, 4 s … [`max_pace`](Params::max_pace) |
//! | RampLimited | account | the same |
//! | QuotaWindow | account, or the key where the class says so | until it resets, at most 31 days |
//! | QuotaExhausted | the same | [`quota_probe`](Params::quota_probe), then one probe |
//! | Auth | key | [`auth`](Params::auth), then one probe |
//! | Permission | key and model | the same |
//! | Overloaded, ModelNotReady with a hint | key and model | the hint, at most the breaker's longest time |
//!
//! The number of entries is bounded: those that are over make room, then the one that is over first.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::{
    judging::Params,
    who::{Account, TargetId},
};
use crate::{
    base::{Fingerprint, time::Instant},
    classify::{Class, Outcome, Scope, hint::LONGEST},
};

/// How many cooldowns are kept.
const MOST: usize = 1024;
/// How long a probe keeps others away while its outcome is open.
const LEASE: Duration = Duration::from_secs(10);

/// All cooldowns.
#[derive(Debug, Default)]
pub struct Cooldowns(HashMap<What, Cooling>);

/// Until when somebody is not to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Out {
    /// The end.
    pub until: Instant,
    /// Whether the provider named it: then asking sooner is known to be in vain.
    pub known: bool,
}

/// What cools.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    Pair(TargetId),
    Credential(Fingerprint),
    Account(Account),
}

#[derive(Clone, Copy, Debug)]
struct Cooling {
    since: Instant,
    out: Out,
    /// How many in a row, for the back-off.
    row: u32,
    /// Whether one probe at a time finds out if it is over.
    probed: bool,
}

// === impl Cooldowns ===

impl Cooldowns {
    /// How long this one is not to be asked; `None`: it may be asked.
    #[must_use]
    pub fn out(&self, who: &TargetId, now: Instant) -> Option<Out> {
        whats(who)
            .filter_map(|what| self.0.get(&what))
            .map(|cooling| cooling.out)
            .filter(|out| out.until > now)
            .max_by_key(|out| out.until)
    }

    /// Asks it: where the end of a cooldown is to be probed, others are kept away until the outcome is known. Whether that
    /// is so.
    pub fn probe(&mut self, who: &TargetId, now: Instant) -> bool {
        let mut leased = false;
        for what in whats(who) {
            if let Some(cooling) = self.0.get_mut(&what)
                && cooling.probed
                && cooling.out.until <= now
            {
                leased = true;
                cooling.out = Out {
                    until: now + LEASE,
                    known: false,
                };
            }
        }
        leased
    }

    /// A request that was sent at `sent` succeeded: what was said before that holds no longer, and a row of refusals ends.
    pub fn succeeded(&mut self, who: &TargetId, sent: Instant, now: Instant) {
        if self.0.is_empty() {
            return;
        }
        for what in whats(who) {
            if self
                .0
                .get(&what)
                .is_some_and(|c| c.since <= sent || (c.out.until <= now && !c.probed))
            {
                self.0.remove(&what);
            }
        }
    }

    /// Notes what an attempt came to. `wall` is for resets that are given as dates.
    pub fn note(
        &mut self,
        params: &Params,
        who: &TargetId,
        class: &Class,
        now: Instant,
        wall: SystemTime,
    ) {
        let hint = class.hint.map(|hint| hint.wait);
        let outcome = class.inner.unwrap_or(class.outcome);
        let (what, wait, probed) = match outcome {
            Outcome::RateLimited => (pair(who), hint.map(|h| h.min(params.max_hint)), false),
            Outcome::RampLimited => (
                What::Account(who.account.clone()),
                hint.map(|h| h.min(params.max_hint)),
                false,
            ),
            Outcome::QuotaWindow => {
                let reset = class
                    .reset_at
                    .and_then(|at| at.duration_since(wall).ok())
                    .map(|wait| wait.min(LONGEST))
                    .or(hint);
                let probed = reset.is_none();
                (
                    payer(who, class.scope),
                    Some(reset.unwrap_or(params.quota_probe)),
                    probed,
                )
            }
            Outcome::QuotaExhausted => (payer(who, class.scope), Some(params.quota_probe), true),
            Outcome::Auth => (
                who.credential.map_or_else(|| pair(who), What::Credential),
                Some(params.auth),
                true,
            ),
            Outcome::Permission => (pair(who), Some(params.auth), true),
            Outcome::Overloaded | Outcome::ModelNotReady => match hint {
                Some(hint) => (
                    pair(who),
                    Some(hint.min(params.breaker.max_open_for)),
                    false,
                ),
                None => return,
            },
            _ => return,
        };
        let said = match outcome {
            Outcome::QuotaWindow => !probed,
            _ => hint.is_some() && !probed,
        };
        self.cool(params, what, wait, said, probed, now);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn cool(
        &mut self,
        params: &Params,
        what: What,
        wait: Option<Duration>,
        known: bool,
        probed: bool,
        now: Instant,
    ) {
        let before = self.0.get(&what).copied();
        // Requests that were under way together say the same once.
        let row = match before {
            Some(c) if c.out.until > now => c.row,
            Some(c) if c.out.until + params.max_pace > now => c.row.saturating_add(1),
            _ => 0,
        };
        let wait = wait.unwrap_or_else(|| {
            params
                .pace
                .saturating_mul(1 << row.min(16))
                .min(params.max_pace)
        });
        let end = |wait| now.checked_add(wait);
        let Some(until) = end(wait).or_else(|| end(params.quota_probe)) else {
            return;
        };
        let mut cooling = Cooling {
            since: now,
            out: Out { until, known },
            row,
            probed,
        };
        if let Some(before) = before
            && before.out.until > until
            && !before.probed
        {
            cooling.out = before.out;
        }
        if before.is_none() && self.0.len() >= MOST {
            self.make_room(now);
        }
        self.0.insert(what, cooling);
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, cooling| cooling.out.until > now);
        if self.0.len() >= MOST {
            let first = self.0.iter().min_by_key(|(_, c)| c.out.until);
            if let Some(what) = first.map(|(what, _)| what.clone()) {
                self.0.remove(&what);
            }
        }
    }
}

/// All that concerns a target.
fn whats(who: &TargetId) -> impl Iterator<Item = What> {
    [
        Some(pair(who)),
        who.credential.map(What::Credential),
        Some(What::Account(who.account.clone())),
    ]
    .into_iter()
    .flatten()
}

fn pair(who: &TargetId) -> What {
    What::Pair(who.clone())
}

/// Whose money it is.
fn payer(who: &TargetId, scope: Scope) -> What {
    match (scope, who.credential) {
        (Scope::Credential, Some(key)) => What::Credential(key),
        _ => What::Account(who.account.clone()),
    }
}
