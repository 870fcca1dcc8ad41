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

/// Every virtual host and route in force. Immutable: a reload builds another one.
#[derive(Debug, Default)]
pub struct Table {
    hosts: Vec<VirtualHost>,
    exact: HashMap<String, usize>,
    /// What follows the `*`, longest first.
    wildcards: BTreeMap<Reverse<usize>, HashMap<String, usize>>,
    catch_all: Option<usize>,
    routes: usize,
    /// Whether any host's routes match on the model.
    reads_model: bool,
}

/// Collects virtual hosts.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct TableBuilder {
    table: Table,
}

#[derive(Debug)]
struct VirtualHost {
    name: Arc<str>,
    ports: Vec<u16>,
    routes: Vec<Entry>,
    index: Index,
    /// The number of routes in the virtual hosts before this one.
    base: usize,
    /// Whether a route matches on the model.
    reads_model: bool,
}

#[derive(Debug)]
struct Entry {
    route: Arc<Route>,
    weighted: Weighted,
}

/// What the table says about a request.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'t> {
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
    Route(Found<'t>),
}

/// A route that serves a request.
#[derive(Clone, Copy, Debug)]
pub struct Found<'t> {
    /// Position of the route in the table, over all virtual hosts.
    pub id: usize,
    /// The virtual host's name.
    pub virtual_host: &'t Arc<str>,
    /// The route.
    pub route: &'t Arc<Route>,
    /// The alternative that was satisfied; `None` where the route has none and matches everything.
    pub matched: Option<&'t Match>,
    weighted: &'t Weighted,
}

// === impl Table ===

impl Table {
    /// An empty table to add virtual hosts to.
    pub fn builder() -> TableBuilder {
        TableBuilder::default()
    }

    /// Decides. Pure: the same request gives the same outcome.
    #[must_use]
    pub fn find(&self, view: &RequestView<'_>) -> Outcome<'_> {
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

// === impl TableBuilder ===

impl TableBuilder {
    /// Adds a virtual host.
    ///
    /// `domains` are host names without port, `*.suffix`, or `*`; one that an earlier virtual host claimed stays with
    /// that one. `ports` are those of the service behind it: a request counts as addressed to the port in its authority
    /// (443 or 80, by its scheme, if there is none) if that is listed, else to the first listed of 443 (only for `https`)
    /// and 80, else to the first of the list; with no list, to the port that it addresses.
    pub fn virtual_host<D>(
        mut self,
        name: impl Into<Arc<str>>,
        domains: impl IntoIterator<Item = D>,
        ports: impl Into<Vec<u16>>,
        routes: impl IntoIterator<Item = Route>,
    ) -> Self
    where
        D: AsRef<str>,
    {
        let table = &mut self.table;
        let position = table.hosts.len();
        for domain in domains {
            let domain = domain.as_ref().to_ascii_lowercase();
            table.claim(domain.strip_suffix('.').unwrap_or(&domain), position);
        }
        let routes: Vec<_> = routes.into_iter().map(Entry::new).collect();
        let base = table.routes;
        table.routes += routes.len();
        let reads_model = routes
            .iter()
            .any(|e| e.route.matches.iter().any(asks_model));
        table.reads_model |= reads_model;
        table.hosts.push(VirtualHost {
            reads_model,
            name: name.into(),
            ports: ports.into(),
            index: Index::new(routes.iter().map(|e| &*e.route)),
            routes,
            base,
        });
        self
    }

    /// The table.
    #[must_use]
    pub fn build(self) -> Table {
        self.table
    }
}

impl Table {
    fn claim(&mut self, domain: &str, position: usize) {
        match domain.strip_prefix('*') {
            Some("") => {
                self.catch_all.get_or_insert(position);
            }
            Some(suffix) => {
                self.wildcards
                    .entry(Reverse(suffix.len()))
                    .or_default()
                    .entry(suffix.to_owned())
                    .or_insert(position);
            }
            None => {
                self.exact.entry(domain.to_owned()).or_insert(position);
            }
        }
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

/// Whether a match has a condition on the model that a request names.
fn asks_model(condition: &Match) -> bool {
    let all = condition.headers.iter().chain(&condition.without_headers);
    all.into_iter()
        .any(|(name, _)| matches!(name, FieldName::Header(name) if *name == MODEL_HEADER))
}

// === impl VirtualHost ===

impl VirtualHost {
    fn find(&self, view: &RequestView<'_>) -> Option<Outcome<'_>> {
        let port = self.port(view);
        let (position, alternative) = self.index.find(&self.routes, view, port)?;
        let entry = self.routes.get(position)?;
        Some(Outcome::Route(Found {
            id: self.base + position,
            virtual_host: &self.name,
            route: &entry.route,
            matched: alternative.and_then(|j| entry.route.matches.get(j)),
            weighted: &entry.weighted,
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

impl Entry {
    fn new(route: Route) -> Self {
        let weighted = match &route.action {
            Action::Forward(forward) => Weighted::new(&forward.destinations),
            Action::Redirect(_) | Action::Direct { .. } => Weighted::default(),
        };
        Self {
            route: Arc::new(route),
            weighted,
        }
    }
}

impl AsRef<Route> for Entry {
    fn as_ref(&self) -> &Route {
        &self.route
    }
}

// === impl Found ===

impl<'t> Found<'t> {
    /// Draws a destination and its position. `None` if the route sends nothing on, or all its weights are 0. To be
    /// called once per request: all attempts go to the destination drawn.
    #[must_use]
    pub fn draw(&self, rng: &SharedRng) -> Option<(usize, &'t Destination)> {
        let Action::Forward(forward) = &self.route.action else {
            return None;
        };
        let position = self.weighted.draw(rng)?;
        Some((position, forward.destinations.get(position)?))
    }

    /// What other layers are told, for the destination drawn; `None` for a route that answers by itself.
    #[must_use]
    pub fn meta(&self, drawn: Option<(usize, &Destination)>) -> RouteMeta {
        let (destination, cluster) = match drawn {
            Some((position, destination)) => (position, Arc::clone(&destination.cluster)),
            None => (0, Arc::from("-")),
        };
        RouteMeta {
            id: self.id,
            destination,
            route: Arc::clone(&self.route.name),
            virtual_host: Arc::clone(self.virtual_host),
            cluster,
        }
    }
}

#[cfg(test)]
mod tests;
