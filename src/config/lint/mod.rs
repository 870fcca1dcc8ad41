//! What is valid, but hardly meant.

mod pools;
mod routes;

use super::{diagnostic::Report, reader::Resources};

/// Checks that need one resource alone.
pub(super) fn resources(resources: &Resources, report: &Report) {
    for service in &resources.virtual_services {
        routes::check(service, report);
    }
    for rule in &resources.destination_rules {
        pools::check(rule, report);
    }
}
