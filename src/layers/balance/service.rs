//! The [`Service`] shell.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{Service, ServiceExt};

use super::{
    context::PickContext,
    dial::Dial,
    flight::{Flight, Watch},
    future::ResponseFuture,
    set::EndpointSet,
};
use crate::{
    base::{
        BoxError, Error, Kind, SharedRng,
        ext::{EndpointRef, Record},
        time::Instant,
    },
    body::{self, BoxErrors, Observed},
};

/// Sends each request to an endpoint of a set. Always ready: what it waits for, it waits for in the future.
#[derive(Clone, Debug)]
pub struct Balance<D> {
    set: EndpointSet,
    dial: D,
    rng: SharedRng,
}

// === impl Balance ===

impl<D> Balance<D> {
    /// Picks from `set`, reaches endpoints through `dial`.
    #[must_use]
    pub fn new(set: EndpointSet, dial: D) -> Self {
        Self {
            set,
            dial,
            rng: SharedRng::from_entropy(),
        }
    }

    /// Draws from this generator.
    #[must_use]
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.rng = rng;
        self
    }

    /// The set.
    pub const fn set(&self) -> &EndpointSet {
        &self.set
    }

    /// The way to endpoints.
    pub const fn get_ref(&self) -> &D {
        &self.dial
    }
}

/// # Errors
/// [`Kind::NoEndpoints`] if no endpoint may be used, and the endpoint's service's own.
impl<D, S, B, R> Service<Request<B>> for Balance<D>
where
    D: Dial<Service = S>,
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: 'static,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<Observed<BoxErrors<R>, Watch>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let context = PickContext::of(&request);
        let model = context.model.cloned();
        let picked = self.set.pick(&context, &self.rng, now);
        let Some(picked) = picked else {
            let detail = format!("cluster {}", self.set.name());
            return ResponseFuture::refused(Error::new(Kind::NoEndpoints).with_detail(detail));
        };
        let address = picked.endpoint.address();
        if let Some(tried) = body::Context::of(&request).and_then(body::Context::tried) {
            tried.push(address);
        }
        let given_up = body::Context::reason_of(&request);
        let extensions = request.extensions_mut();
        if let Some(record) = extensions.get::<Record>() {
            record.note(|notes| notes.endpoint = Some(address));
        }
        extensions.insert(EndpointRef(address));
        let service = self.dial.dial(&picked.endpoint);
        let flight = Flight::start(self.set.clone(), picked.endpoint, model, given_up, now);
        ResponseFuture::flying(service.oneshot(request), flight, picked.set_cookie)
    }
}
