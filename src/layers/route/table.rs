//! Virtual hosts by domain, and the decision over both steps: which host, which route.

use std::{cmp::Reverse, collections::BTreeMap, collections::HashMap, sync::Arc};

use super::{
    index::Index,
    matcher::RequestView,
    params::{Action, Destination, FieldName, Match, Route, StringMatch},
    weighted::Weighted,
};
use crate::base::{
    SharedRng,
    ext::{MODEL_HEADER, RouteMeta},
};

/// Every virtual host and route in force, and a `T` for each weighted destination. Immutable: a reload builds another one.
#[derive(Debug)]
pub struct Table<T = ()> {
    pub(super) hosts: Vec<VirtualHost<T>>,
    pub(super) exact: HashMap<String, usize>,
    /// What follows the `*`, longest first.
    pub(super) wildcards: BTreeMap<Reverse<usize>, HashMap<String, usize>>,
    pub(super) catch_all: Option<usize>,
    pub(super) routes: usize,
    /// Whether any host's routes match on the model.
    pub(super) reads_model: bool,
}

#[derive(Debug)]
pub(super) struct VirtualHost<T> {
    pub(super) name: Arc<str>,
    pub(super) ports: Vec<u16>,
    pub(super) routes: Vec<Entry<T>>,
    pub(super) index: Index,
    /// The number of routes in the virtual hosts before this one.
    pub(super) base: usize,
    /// Whether a route matches on the model.
    pub(super) reads_model: bool,
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) route: Arc<Route>,
    pub(super) weighted: Weighted,
    /// One for each destination.
    pub(super) targets: Vec<T>,
}

/// What the table says about a request.
#[derive(Debug)]
pub enum Outcome<'t, T = ()> {
    /// The request names no host, or several.
    NoHost,
    /// No virtual host claims the host.
    UnknownHost,
    /// The virtual host has no route for it.
    NoRoute {
        /// The virtual host's name.
        virtual_host: &'t Arc<str>,
    },
    /// This route serves it.
    Route(Found<'t, T>),
}

/// A route that serves a request.
#[derive(Debug)]
pub struct Found<'t, T = ()> {
    /// Position of the route in the table, over all virtual hosts.
    pub id: usize,
    /// The virtual host's name.
    pub virtual_host: &'t Arc<str>,
    /// The route.
    pub route: &'t Arc<Route>,
    /// The alternative that was satisfied; `None` where the route has none and matches everything.
    pub matched: Option<&'t Match>,
    weighted: &'t Weighted,
    targets: &'t [T],
}

/// A destination that was drawn.
#[derive(Debug)]
pub struct Drawn<'t, T = ()> {
    /// Its position within the route.
    pub position: usize,
    /// What the route says of it.
    pub destination: &'t Destination,
    /// What the table was built with for it.
    pub target: &'t T,
}

// === impl Table ===

impl<T> Default for Table<T> {
    /// Without a virtual host.
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            exact: HashMap::new(),
            wildcards: BTreeMap::new(),
            catch_all: None,
            routes: 0,
            reads_model: false,
        }
    }
}

impl<T> Table<T> {
    /// Decides. Pure: the same request gives the same outcome.
    #[must_use]
    pub fn find(&self, view: &RequestView<'_>) -> Outcome<'_, T> {
        let host = view.host();
        if host.is_empty() {
            return Outcome::NoHost;
        }
        let Some(vhost) = self.position(host).and_then(|i| self.hosts.get(i)) else {
            return Outcome::UnknownHost;
        };
        vhost.find(view).unwrap_or(Outcome::NoRoute {
            virtual_host: &vhost.name,
        })
    }

    /// Whether a virtual host serves this host name (without port).
    #[must_use]
    pub fn knows(&self, host: &str) -> bool {
        self.position(host).is_some()
    }

    /// Whether the routes of the virtual host that a request is for match on the model that it names
    /// ([`MODEL_HEADER`](crate::base::ext::MODEL_HEADER)).
    #[must_use]
    pub fn reads_model<B>(&self, request: &http::Request<B>) -> bool {
        self.reads_model && {
            let position = self.position(RequestView::new(request).host());
            let host = position.and_then(|i| self.hosts.get(i));
            host.is_some_and(|host| host.reads_model)
        }
    }

    /// The virtual host for a host name without port: exact, else the longest wildcard, else `*`. Neither case counts nor
    /// a final dot, which says that the name is in full.
    fn position(&self, host: &str) -> Option<usize> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let lowered;
        let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            lowered = host.to_ascii_lowercase();
            &lowered
        } else {
            host
        };
        if let Some(position) = self.exact.get(host) {
            return Some(*position);
        }
        // `*` stands for at least one character.
        let wildcard = self.wildcards.iter().find_map(|(Reverse(len), suffixes)| {
            let start = host.len().checked_sub(*len).filter(|start| *start > 0)?;
            suffixes.get(host.get(start..)?)
        });
        wildcard.copied().or(self.catch_all)
    }

    /// The number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes == 0
    }

    /// Every route with its virtual host's name, in the order of their positions.
    pub fn routes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Route>)> {
        self.hosts
            .iter()
            .flat_map(|h| h.routes.iter().map(|e| (&h.name, &e.route)))
    }
}

/// The models that routes match on by name and send on, in their order.
#[must_use]
pub fn named_models(routes: &[Route]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let forwards = routes
        .iter()
        .filter(|r| matches!(r.action, Action::Forward(_)));
    for (name, condition) in forwards.flat_map(|r| &r.matches).flat_map(|m| &m.headers) {
        if let (FieldName::Header(name), StringMatch::Exact(model)) = (name, condition)
            && *name == MODEL_HEADER
            && !names.iter().any(|known| **known == **model)
        {
            names.push(model.as_str().into());
        }
    }
    names
}

// === impl VirtualHost ===

impl<T> VirtualHost<T> {
    fn find(&self, view: &RequestView<'_>) -> Option<Outcome<'_, T>> {
        let port = self.port(view);
        let (position, alternative) = self.index.find(&self.routes, view, port)?;
        let entry = self.routes.get(position)?;
        Some(Outcome::Route(Found {
            id: self.base + position,
            virtual_host: &self.name,
            route: &entry.route,
            matched: alternative.and_then(|j| entry.route.matches.get(j)),
            weighted: &entry.weighted,
            targets: &entry.targets,
        }))
    }

    fn port(&self, view: &RequestView<'_>) -> u16 {
        let addressed = view.addressed_port();
        let Some(first) = self.ports.first() else {
            return addressed;
        };
        let others: &[u16] = if view.https { &[443, 80] } else { &[80] };
        let mut wanted = std::iter::once(&addressed).chain(others);
        *wanted.find(|p| self.ports.contains(p)).unwrap_or(first)
    }
}

// === impl Entry ===

impl<T> AsRef<Route> for Entry<T> {
    fn as_ref(&self) -> &Route {
        &self.route
    }
}

// === impl Found ===

impl<'t, T> Found<'t, T> {
    /// Draws a destination. `None` if the route sends nothing on, or all its weights are 0. To be called once per request:
    /// all attempts go to the destination drawn.
    #[must_use]
    pub fn draw(&self, rng: &SharedRng) -> Option<Drawn<'t, T>> {
        let Action::Forward(forward) = &self.route.action else {
            return None;
        };
        let position = self.weighted.draw(rng)?;
        Some(Drawn {
            position,
            destination: forward.destinations.get(position)?,
            target: self.targets.get(position)?,
        })
    }

    /// What other layers are told, for the destination drawn; without one, for a route that answers by itself.
    #[must_use]
    pub fn meta(&self, drawn: Option<&Destination>) -> RouteMeta {
        RouteMeta {
            id: self.id,
            route: Arc::clone(&self.route.name),
            virtual_host: Arc::clone(self.virtual_host),
            cluster: drawn.map_or_else(|| "-".into(), |to| Arc::clone(&to.cluster)),
        }
    }
}

#[cfg(test)]
mod tests;
