//! The shell round an application that is called: what comes in.

use std::sync::Arc;

use http::{Request, Response};
use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};

use super::Outbound;
use crate::{
    authz::{AuthzLayer, Policies},
    base::{BoxError, SharedRng},
    body::Body,
    llm::DialectMode,
    metrics::{MetricsLayer, Report},
    respond::RespondLayer,
    trace::{self, InjectLayer, TraceLayer},
};

/// Wraps an application that serves the workload's `port`: trace context outermost, then the summary, then errors to
/// responses in Envoy's words, then policies. What they do not let in never reaches it.
pub fn inbound<S>(
    app: S,
    policies: impl Policies,
    port: u16,
    reports: Vec<Arc<dyn Report>>,
    trace: trace::Params,
    rng: &SharedRng,
) -> Outbound
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let respond = RespondLayer::new()
        .with_dialect(DialectMode::StatusOnly)
        .with_headers(false);
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(TraceLayer::new(trace).with_rng(rng.clone()))
        .layer(MetricsLayer::new(reports))
        .layer(respond)
        .layer(AuthzLayer::new(policies).with_port(port))
        .layer(InjectLayer::new())
        .service(app);
    BoxCloneSyncService::new(stack)
}
