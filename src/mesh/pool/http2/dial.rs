//! Making HTTP/2 connections.

use std::sync::Arc;

use super::run;
use crate::mesh::pool::{
    endpoint::{Dialled, Endpoint},
    error::DialFailure,
    http1,
    socket::Place,
};

pub(super) fn dial(endpoint: &Arc<Endpoint>) -> impl Future<Output = ()> + Send + 'static {
    let mut dialling = Dialling {
        endpoint: Arc::clone(endpoint),
        place: Some(Place::free(Arc::clone(endpoint))),
    };
    async move {
        let endpoint = Arc::clone(&dialling.endpoint);
        let dialled = endpoint.dial(true).await;
        let Some(place) = dialling.place.take() else {
            return;
        };
        match dialled {
            Ok(Dialled { io, http2, .. }) if !http2 => {
                let moved = {
                    let endpoint = Arc::clone(&endpoint);
                    move || fail(&endpoint, &DialFailure::other_protocol())
                };
                http1::adopt(&endpoint, place, io, moved).await;
            }
            Ok(Dialled { io, refused, .. }) => {
                run(&endpoint, place.socket(io), refused, || ()).await;
            }
            Err(failure) => fail(&endpoint, &failure),
        }
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
    let waiting = {
        let mut lane = endpoint.http2();
        lane.dialling = false;
        std::mem::take(&mut lane.waiting)
    };
    let stats = endpoint.limits().stats();
    for waiting in waiting {
        let told = waiting.to.send(Err(failure.clone())).is_ok();
        if told && !failure.is_other_protocol() {
            stats.rq_pending_failure_eject.inc();
        }
    }
}
