//! Making connections: of either protocol, or of the one that the server chooses.

use std::sync::Arc;

use super::{
    endpoint::{Dialled, Endpoint},
    error::DialFailure,
    http1, http2,
    limits::Dials,
    socket::Place,
};
use crate::mesh::connect::BoxIo;

impl Dials for Endpoint {
    fn dial_http1(self: Arc<Self>) {
        let place = Place::allotted(Arc::clone(&self) as _);
        self.spawn(dial(Dialling::new(&self, place, Tell::Http1)));
    }

    fn dial_http2(self: Arc<Self>) {
        let place = Place::free(Arc::clone(&self) as _);
        self.spawn(dial(Dialling::new(&self, place, Tell::Http2)));
    }
}

/// Who waits for a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tell {
    Http1,
    Http2,
}

/// A dial under way. If the runtime drops it, the requests that wait for it are told.
struct Dialling {
    endpoint: Arc<Endpoint>,
    place: Option<Place>,
    tell: Tell,
}

// === impl Tell ===

impl Tell {
    fn fail(self, endpoint: &Endpoint, failure: &DialFailure) {
        match self {
            Self::Http1 => http1::fail(endpoint, failure),
            Self::Http2 => endpoint.http2().fail(failure),
        }
    }
}

// === impl Dialling ===

impl Dialling {
    fn new(endpoint: &Arc<Endpoint>, place: Place, tell: Tell) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            place: Some(place),
            tell,
        }
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.tell.fail(&self.endpoint, &DialFailure::abandoned());
        }
    }
}

// === free functions ===

/// Makes a connection and runs it to its end.
async fn dial(mut dialling: Dialling) {
    let (endpoint, tell) = (Arc::clone(&dialling.endpoint), dialling.tell);
    let dialled = endpoint.dial(tell == Tell::Http2).await;
    let Some(mut place) = dialling.place.take() else {
        return;
    };
    let moved = {
        let endpoint = Arc::clone(&endpoint);
        move || tell.fail(&endpoint, &DialFailure::other_protocol())
    };
    match dialled {
        Ok(Dialled { io, http2, refused }) => match (tell, http2) {
            (Tell::Http1, false) => http1::run(&endpoint, place.socket(io), || ()).await,
            (Tell::Http1, true) => {
                place.uncount();
                http2::run(&endpoint, place.socket(io), refused, moved).await;
            }
            (Tell::Http2, false) => adopt(&endpoint, place, io, moved).await,
            (Tell::Http2, true) => {
                http2::run(&endpoint, place.socket(io), refused, || ()).await;
            }
        },
        Err(failure) => {
            tell.fail(&endpoint, &failure);
            // Only now, so that nobody dials again for the requests that just failed.
            drop(place);
        }
    }
}

/// A connection that was dialled for HTTP/2 and speaks HTTP/1. It is closed if there is no room for one more.
async fn adopt(endpoint: &Arc<Endpoint>, mut place: Place, io: BoxIo, ready: impl FnOnce() + Send) {
    let max = u64::from(endpoint.limits().look().max_connections);
    let allotted = endpoint.limits().book().allot(endpoint.lane(), max);
    if !allotted {
        drop(place);
        return ready();
    }
    place.count(true);
    http1::run(endpoint, place.socket(io), ready).await;
}
