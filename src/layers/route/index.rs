//! Finds the first matching route without trying them all.
//!
//! Alternatives are numbered in route order, so that the lowest number that matches is the first route that matches.
//! Those with an exact path stand in a hash map. Those with a prefix stand in a sorted list whose entries know the next
//! shorter prefix of themselves: every prefix of a path is on the chain that starts at the last entry not above the path.
//! (An entry `p` that is a prefix of the path sorts at or below it, and whatever sorts between the two begins with `p`.)
//! All others are tried in order, but never beyond the best number found so far.
//!
//! Keys are lower-cased and candidates tested in full, so `ignoreUriCase` needs no second index. With n different
//! prefixes a decision takes about log₂ n comparisons plus one test for each candidate; routes that share one path, or
//! have no `uri` or a regular expression, are as slow as a scan of their number.

use std::{borrow::Cow, collections::HashMap};

use super::{
    matcher::RequestView,
    params::{Match, Route, StringMatch},
};

/// The index over one virtual host's routes.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Every alternative in order, as (route, position in `matches`); `None` for a route without any.
    alternatives: Vec<(u32, Option<u32>)>,
    exact: HashMap<Box<str>, Vec<u32>>,
    prefixes: Vec<Prefix>,
    rest: Vec<u32>,
}

#[derive(Debug)]
struct Prefix {
    key: Box<str>,
    /// The longest other entry that is a prefix of this one.
    shorter: Option<u32>,
    alternatives: Vec<u32>,
}

/// A route and the alternative of its match that was satisfied.
pub(super) type Hit = (usize, Option<usize>);

// === impl Index ===

impl Index {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "four thousand million routes do not fit in memory"
    )]
    pub(super) fn new<'a>(routes: impl Iterator<Item = &'a Route>) -> Self {
        let mut index = Self::default();
        let mut prefixes: HashMap<String, Vec<u32>> = HashMap::new();
        for (i, route) in routes.enumerate() {
            if route.matches.is_empty() {
                index.rest.push(index.alternatives.len() as u32);
                index.alternatives.push((i as u32, None));
            }
            for (j, alternative) in route.matches.iter().enumerate() {
                let number = index.alternatives.len() as u32;
                match &alternative.uri {
                    Some(StringMatch::Exact(path)) => index
                        .exact
                        .entry(path.to_ascii_lowercase().into())
                        .or_default()
                        .push(number),
                    Some(StringMatch::Prefix(path)) => prefixes
                        .entry(path.to_ascii_lowercase())
                        .or_default()
                        .push(number),
                    _ => index.rest.push(number),
                }
                index.alternatives.push((i as u32, Some(j as u32)));
            }
        }
        index.prefixes = chained(prefixes);
        index
    }

    /// The first hit in route order; `port` is the one that the caller addressed.
    pub(super) fn find<R: AsRef<Route>>(
        &self,
        routes: &[R],
        view: &RequestView<'_>,
        port: u16,
    ) -> Option<Hit> {
        let path = lower(view.path);
        let mut best = None;
        if let Some(numbers) = self.exact.get(path.as_ref()) {
            self.improve(&mut best, numbers, routes, view, port);
        }
        let below = self.prefixes.partition_point(|p| *p.key <= *path);
        let mut entry = below.checked_sub(1).and_then(|i| self.prefixes.get(i));
        while let Some(prefix) = entry {
            if path.starts_with(&*prefix.key) {
                self.improve(&mut best, &prefix.alternatives, routes, view, port);
            }
            entry = prefix.shorter.and_then(|i| self.prefixes.get(i as usize));
        }
        self.improve(&mut best, &self.rest, routes, view, port);
        let (route, alternative) = *self.alternatives.get(best? as usize)?;
        Some((route as usize, alternative.map(|j| j as usize)))
    }

    /// Lowers `best` to the first of `numbers` (ascending) that matches.
    fn improve<R: AsRef<Route>>(
        &self,
        best: &mut Option<u32>,
        numbers: &[u32],
        routes: &[R],
        view: &RequestView<'_>,
        port: u16,
    ) {
        let found = numbers
            .iter()
            .copied()
            .take_while(|n| best.is_none_or(|b| *n < b))
            .find(|n| {
                self.alternative(routes, *n)
                    .is_some_and(|a| a.is_none_or(|m| m.matches(view, port)))
            });
        *best = found.or(*best);
    }

    /// The alternative of this number; `Some(None)` matches everything.
    fn alternative<'r, R: AsRef<Route>>(
        &self,
        routes: &'r [R],
        number: u32,
    ) -> Option<Option<&'r Match>> {
        let (route, alternative) = *self.alternatives.get(number as usize)?;
        let matches = &routes.get(route as usize)?.as_ref().matches;
        match alternative {
            None => Some(None),
            Some(j) => matches.get(j as usize).map(Some),
        }
    }
}

/// Sorts the prefixes and links each to the next shorter one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "four thousand million routes do not fit in memory"
)]
fn chained(prefixes: HashMap<String, Vec<u32>>) -> Vec<Prefix> {
    let mut sorted: Vec<_> = prefixes.into_iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut out: Vec<Prefix> = Vec::with_capacity(sorted.len());
    for (key, alternatives) in sorted {
        // The same argument as for a path: start at the entry before, follow its chain.
        let mut shorter = out.len().checked_sub(1).map(|i| i as u32);
        while let Some(candidate) = shorter.and_then(|i| out.get(i as usize)) {
            if key.starts_with(&*candidate.key) {
                break;
            }
            shorter = candidate.shorter;
        }
        out.push(Prefix {
            key: key.into(),
            shorter,
            alternatives,
        });
    }
    out
}

fn lower(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}
