//! Retries as a route's own header operations ask for them.
//!
//! Envoy's rules (`RetryStateImpl`): terms, codes and header names come beside the route's, the number in place of the
//! route's. Terms turn retries on where the route has none: one then, unless a number is given. Codes need
//! `retriable-status-codes` and header names `retriable-headers`, from either side. What Envoy does not know counts for
//! nothing.

use super::{Params, RetryOn};
use crate::base::ext::RetryHeaders;

impl Params {
    /// The policy of a request that asks for this.
    pub(super) fn asked(&self, asked: &RetryHeaders) -> Self {
        let mut params = self.clone();
        if self.retries == 0 {
            // Without retries there are no terms either.
            params.retry_on = RetryOn::default();
        }
        for term in &asked.on {
            // Numbers among terms are Istio's, not Envoy's.
            if term.parse::<u16>().is_err() {
                let _ = params.retry_on.add(term);
            }
        }
        let on = &mut params.retry_on;
        if on.listed_statuses {
            on.statuses.extend(&asked.statuses);
        }
        if on.listed_headers {
            on.headers.extend(asked.names.iter().cloned());
        }
        if params.retry_on.is_empty() {
            return params;
        }
        params.retries = asked.max.unwrap_or_else(|| self.retries.max(1));
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(on: &str, max: Option<u32>, statuses: &[u16]) -> RetryHeaders {
        RetryHeaders {
            on: on.split(',').map(str::to_owned).collect(),
            max,
            statuses: statuses.to_vec(),
            ..RetryHeaders::default()
        }
    }

    #[test]
    fn what_is_asked_comes_beside_the_route() {
        let route = |retries, on: &str| {
            let on = if on.is_empty() {
                RetryOn::default()
            } else {
                on.parse().unwrap()
            };
            Params::istio().with_retries(retries).with_retry_on(on)
        };
        for (params, asked, retries, on) in [
            // Codes need their term, from either side.
            (
                route(2, "reset,retriable-status-codes"),
                asked("", None, &[423]),
                2,
                "reset,423",
            ),
            (route(2, "reset"), asked("", None, &[423]), 2, "reset"),
            (
                route(2, "503"),
                asked("retriable-4xx", Some(3), &[423]),
                3,
                "retriable-4xx,423,503",
            ),
            // Terms turn retries on where the route has none; a number alone does not.
            (route(0, "reset"), asked("5xx", None, &[]), 1, "5xx"),
            (route(0, "reset"), asked("5xx", Some(4), &[]), 4, "5xx"),
            (route(0, "reset"), asked("", Some(4), &[423]), 0, ""),
            (route(2, "reset"), asked("", Some(0), &[]), 0, "reset"),
            // What is not known counts for nothing.
            (route(1, "reset"), asked("rset,503", None, &[]), 1, "reset"),
        ] {
            let found = params.asked(&asked);
            assert_eq!((found.retries, &*found.retry_on.to_string()), (retries, on));
        }
    }

    #[test]
    fn header_names_need_their_term_too() {
        let mut asked = asked("", None, &[]);
        asked.names = vec!["x-busy".parse().unwrap()];
        let names = |on: &str| {
            let params = Params::istio().with_retry_on(on.parse().unwrap());
            params.asked(&asked).retry_on.headers
        };
        assert_eq!(names("reset,retriable-headers"), ["x-busy"]);
        assert!(names("reset").is_empty());
    }
}
