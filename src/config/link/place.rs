//! A route and where it stands, as findings name it.

use crate::layers::route::params::Route;

/// A route and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The full name.
    pub(super) host: &'a str,
    pub(super) route: &'a Route,
}

// === impl Place ===

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {:?} of {}", &*self.route.name, self.host)
    }
}

/// Whether a route has a name: its own, or that of the rule whose named alternative it is.
pub(super) fn is_named(route: &Route, name: &str) -> bool {
    route
        .name
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
