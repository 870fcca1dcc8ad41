//! Which limit is in force: pure.

use super::{Params, headers::Stated};
use crate::base::{ext::Deadline, time::Instant};

/// The deadline of a request that is called at `now`: the soonest of our timeout, the caller's headers (if they are
/// honoured) and a deadline that is already known. `None` is no limit.
///
/// # Errors
/// [`Expired`] if it has passed already.
pub fn effective(
    params: &Params,
    stated: &Stated,
    known: Option<Deadline>,
    now: Instant,
) -> Result<Option<Deadline>, Expired> {
    let caller = stated.limit.filter(|_| params.honour_caller);
    // A limit beyond the clock's range is no limit.
    let at = |limit| now.checked_add(limit).map(Deadline);
    let own = Deadline::sooner(params.timeout.and_then(at), caller.and_then(at));
    match Deadline::sooner(own, known) {
        Some(Deadline(at)) if at <= now => Err(Expired),
        deadline => Ok(deadline),
    }
}

/// Until when the caller waits for the head, where that is sooner than the deadline. A caller that gives no time at all is
/// not one that waits: see [`Stated::patience`].
#[must_use]
pub fn patience(
    params: &Params,
    stated: &Stated,
    deadline: Option<Deadline>,
    now: Instant,
) -> Option<Deadline> {
    let limit = stated.patience.filter(|_| params.honour_caller)?;
    let at = now.checked_add(limit)?;
    deadline.is_none_or(|d| at < d.0).then_some(Deadline(at))
}

/// The deadline has passed before the work began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::layers::deadline::headers::{self, stated};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_soonest_counts() {
        let now = Instant::now();
        let params = Params::default();
        let ours = params.clone().with_timeout(ms(100));
        let deaf = ours.clone().with_honour_caller(false);
        let known = |left| Some(Deadline(now + ms(left)));
        for (params, caller, known, expected) in [
            (&params, None, None, None),
            (&ours, None, None, Some(100)),
            (&ours, Some("50"), None, Some(50)),
            (&ours, Some("200"), None, Some(100)),
            (&ours, Some("0"), None, Some(100)),
            (&ours, Some("-1"), None, Some(100)),
            (&deaf, Some("50"), None, Some(100)),
            (&params, Some("50"), None, Some(50)),
            (&params, Some("18446744073709551615"), known(9), Some(9)),
            (&ours, Some("50"), known(20), Some(20)),
            (&ours, Some("50"), known(70), Some(50)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(text) = caller {
                headers.insert(headers::EXPECTED, HeaderValue::from_static(text));
            }
            assert_eq!(
                effective(params, &stated(&headers), known, now),
                Ok(expected.map(|left| Deadline(now + ms(left)))),
                "{params:?} {caller:?} {known:?}"
            );
        }
    }

    #[test]
    fn patience_counts_only_where_it_is_shorter() {
        let now = Instant::now();
        let params = Params::default();
        let deaf = params.clone().with_honour_caller(false);
        let mut headers = HeaderMap::new();
        assert_eq!(patience(&params, &stated(&headers), None, now), None);
        headers.insert("x-stainless-timeout", HeaderValue::from_static("2"));
        let two = Some(Deadline(now + ms(2000)));
        for (params, deadline, expected) in [
            (&params, None, two),
            (&params, Some(Deadline(now + ms(2001))), two),
            (&params, Some(Deadline(now + ms(2000))), None),
            (&deaf, None, None),
        ] {
            assert_eq!(patience(params, &stated(&headers), deadline, now), expected);
        }
    }

    #[test]
    fn what_has_passed_is_not_started() {
        let now = Instant::now();
        let headers = Stated::default();
        let zero = Params::default().with_timeout(Duration::ZERO);
        assert_eq!(effective(&zero, &headers, None, now), Err(Expired));
        let known = Some(Deadline(now));
        let none = Params::default();
        assert_eq!(effective(&none, &headers, known, now), Err(Expired));
    }
}
