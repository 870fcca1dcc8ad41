//! Public types are `Send + Sync + 'static` where users hold them across tasks.

use llmesh::{balance, base, body, breaker, classify, context, deadline, model, outlier, retry};

fn shared<T: Send + Sync + 'static>() {}
fn sent<T: Send + 'static>() {}

#[test]
fn parameters_and_shared_state_cross_threads() {
    shared::<base::Error>();
    shared::<base::Ceiling>();
    shared::<base::SharedRng>();
    shared::<base::ext::Record>();
    shared::<base::ext::TryClock>();
    shared::<classify::Class>();
    shared::<classify::Classified>();
    shared::<deadline::Params>();
    shared::<retry::Params>();
    shared::<breaker::Params>();
    shared::<outlier::Params>();
    shared::<balance::Params>();
    shared::<model::MeshModel>();
    shared::<context::Context>();
    sent::<body::Body>();
}

#[test]
fn parameters_compare_so_that_a_reload_can_tell_a_change() {
    assert_eq!(model::MeshModel::default(), model::MeshModel::default());
    assert_ne!(retry::Params::default(), retry::Params::off());
}
