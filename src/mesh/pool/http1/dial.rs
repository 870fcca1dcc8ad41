//! Making HTTP/1 connections.

use std::sync::Arc;

use super::run;
use crate::mesh::{
    connect::BoxIo,
    pool::{endpoint::Endpoint, error::DialFailure, http2, socket::Place},
};

/// Makes a connection and runs it to its end. The place under the ceiling has been allotted.
pub(in crate::mesh::pool) fn dial(
    endpoint: &Arc<Endpoint>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut dialling = Dialling {
        endpoint: Arc::clone(endpoint),
        place: Some(Place::allotted(Arc::clone(endpoint))),
    };
    async move {
        let endpoint = Arc::clone(&dialling.endpoint);
        let dialled = endpoint.dial(false).await;
        let Some(mut place) = dialling.place.take() else {
            return;
        };
        let failure = match dialled {
            Ok(dialled) if dialled.http2 => {
                place.uncount();
                let moved = {
                    let endpoint = Arc::clone(&endpoint);
                    move || fail(&endpoint, &DialFailure::other_protocol())
                };
                return http2::run(&endpoint, place.socket(dialled.io), dialled.refused, moved)
                    .await;
            }
            Ok(dialled) => return run(&endpoint, place.socket(dialled.io), || ()).await,
            Err(failure) => failure,
        };
        fail(&endpoint, &failure);
        // Only now, so that nobody dials again for the requests that just failed.
        drop(place);
    }
}

/// A dial under way. If the runtime drops it, the requests that wait for it are told.
struct Dialling {
    endpoint: Arc<Endpoint>,
    place: Option<Place>,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if self.place.is_some() {
            fail(&self.endpoint, &DialFailure::abandoned());
        }
    }
}

pub(super) fn fail(endpoint: &Endpoint, failure: &DialFailure) {
    let limits = endpoint.limits();
    let failed = limits.book().dial_failed(endpoint.lane(), failure);
    if !failure.is_other_protocol() {
        limits.stats().rq_pending_failure_eject.add(failed);
    }
}

/// A connection that was dialled for HTTP/2 and speaks HTTP/1. It is closed if there is no room for one more.
pub(in crate::mesh::pool) async fn adopt(
    endpoint: &Arc<Endpoint>,
    mut place: Place,
    io: BoxIo,
    ready: impl FnOnce() + Send,
) {
    let max = u64::from(endpoint.limits().look().max_connections);
    let allotted = endpoint.limits().book().allot(endpoint.lane(), max);
    if !allotted {
        drop(place);
        return ready();
    }
    place.count(true);
    run(endpoint, place.socket(io), ready).await;
}
