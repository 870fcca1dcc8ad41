//! How a [`Table`] is made.

use std::{cmp::Reverse, sync::Arc};

use super::{
    index::Index,
    params::{Action, Destination, FieldName, Forward, Match, Route},
    table::{Entry, Table, VirtualHost},
    weighted::Weighted,
};
use crate::base::ext::MODEL_HEADER;

/// Collects virtual hosts.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct TableBuilder<T = ()> {
    table: Table<T>,
}

// === impl Table ===

impl Table {
    /// An empty table to add virtual hosts to, which only decides.
    pub fn builder() -> TableBuilder {
        TableBuilder::new()
    }
}

// === impl TableBuilder ===

impl<T> TableBuilder<T> {
    /// An empty table to add virtual hosts to.
    pub fn new() -> Self {
        let table = Table::default();
        Self { table }
    }

    /// Adds a virtual host.
    ///
    /// `domains` are host names without port, `*.suffix`, or `*`; one that an earlier virtual host claimed stays with
    /// that one. `ports` are those of the service behind it: a request counts as addressed to the port in its authority
    /// (443 or 80, by its scheme, if there is none) if that is listed, else to the first listed of 443 (only for `https`)
    /// and 80, else to the first of the list; with no list, to the port that it addresses.
    ///
    /// `target` makes what a request is given to once a destination is drawn, for each destination of each route that sends
    /// on; it is told the position of the route among `routes`.
    pub fn virtual_host_to<D>(
        mut self,
        name: impl Into<Arc<str>>,
        domains: impl IntoIterator<Item = D>,
        ports: impl Into<Vec<u16>>,
        routes: impl IntoIterator<Item = Route>,
        mut target: impl FnMut(usize, &Forward, &Destination) -> T,
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
        let routes = routes.into_iter().enumerate();
        let routes: Vec<_> = routes
            .map(|(i, route)| Entry::new(route, |forward, to| target(i, forward, to)))
            .collect();
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
    pub fn build(self) -> Table<T> {
        self.table
    }
}

impl TableBuilder {
    /// Adds a virtual host as [`virtual_host_to`](Self::virtual_host_to), without anything for its destinations.
    pub fn virtual_host<D>(
        self,
        name: impl Into<Arc<str>>,
        domains: impl IntoIterator<Item = D>,
        ports: impl Into<Vec<u16>>,
        routes: impl IntoIterator<Item = Route>,
    ) -> Self
    where
        D: AsRef<str>,
    {
        self.virtual_host_to(name, domains, ports, routes, |_, _, _| ())
    }
}

impl<T> Default for TableBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Table<T> {
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

/// Whether a match has a condition on the model that a request names.
fn asks_model(condition: &Match) -> bool {
    let all = condition.headers.iter().chain(&condition.without_headers);
    all.into_iter()
        .any(|(name, _)| matches!(name, FieldName::Header(name) if *name == MODEL_HEADER))
}

// === impl Entry ===

impl<T> Entry<T> {
    fn new(route: Route, mut target: impl FnMut(&Forward, &Destination) -> T) -> Self {
        let (weighted, targets) = match &route.action {
            Action::Forward(forward) => {
                let all = &forward.destinations;
                let targets = all.iter().map(|to| target(forward, to));
                (Weighted::new(all), targets.collect())
            }
            Action::Redirect(_) | Action::Direct { .. } => (Weighted::default(), Vec::new()),
        };
        Self {
            route: Arc::new(route),
            weighted,
            targets,
        }
    }
}
