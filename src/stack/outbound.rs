//! The shell round everything outbound.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};

use super::Boxed;
use crate::{
    base::{BoxError, SharedRng},
    body::Body,
    context,
    metrics::{MetricsLayer, Report},
    respond::RespondLayer,
    spans::ServerSpanLayer,
    trace::{self, TraceLayer},
};

/// The outbound side, ready for a server.
pub type Outbound = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Wraps the dispatcher: trace context outermost, then the summary, then errors to responses.
pub fn outbound<S>(
    dispatch: S,
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
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(TraceLayer::new(trace).with_rng(rng.clone()))
        .layer(ServerSpanLayer::new())
        .layer(MetricsLayer::new(reports))
        .layer(RespondLayer::default())
        .service(dispatch);
    BoxCloneSyncService::new(stack)
}

/// Wraps the dispatcher of a client inside a service: the inbound request's context outermost, then as [`outbound`], but
/// errors stay errors. A request that ends in one is reported with status 0.
pub fn inside<S>(
    dispatch: S,
    reports: Vec<Arc<dyn Report>>,
    trace: trace::Params,
    rng: &SharedRng,
) -> Boxed
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(context::ClientLayer::new())
        .layer(TraceLayer::new(trace).with_rng(rng.clone()))
        .layer(MetricsLayer::new(reports))
        .service(dispatch);
    Boxed::new(stack)
}
