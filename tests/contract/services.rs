//! The services of this crate.

use llmesh::{
    base::Ceiling,
    context::{ClientLayer, ServerLayer},
    limit::concurrency::ConcurrencyLayer,
    respond::RespondLayer,
};
use tower::Layer;

use crate::matrix::{Subject, breaches};

/// One test: the service keeps the whole contract.
macro_rules! contract {
    ($name:ident, $subject:expr) => {
        #[tokio::test(start_paused = true)]
        async fn $name() {
            assert_eq!(breaches($subject).await, []);
        }
    };
}

// The probe itself must pass, or the matrix proves nothing.
contract!(the_bare_probe, Subject::new(|probe| probe));
contract!(concurrency_layer, {
    let ceiling = Ceiling::new(8);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    Subject::new(move |probe| layer.layer(probe)).holds(move || ceiling.used())
});
contract!(
    respond_layer,
    Subject::new(|probe| RespondLayer::new().layer(probe)).answers()
);
contract!(respond_over_concurrency, {
    let ceiling = Ceiling::new(8);
    let layer = ConcurrencyLayer::new(ceiling.clone());
    Subject::new(move |probe| RespondLayer::new().layer(layer.layer(probe)))
        .holds(move || ceiling.used())
        .answers()
});
contract!(
    context_server_layer,
    Subject::new(|probe| ServerLayer::new().layer(probe))
);
contract!(
    context_client_layer,
    Subject::new(|probe| ServerLayer::new().layer(ClientLayer::new().layer(probe)))
);
