//! A request that may be sent once more.

use http::{HeaderMap, Method, Request, Uri};
use http_body::Body as _;

use crate::body::{Body, RequestBody};

/// Bytes of a body that are kept for the case that an idle connection was closed.
const KEPT: usize = 64 << 10;

/// What is kept of a request that may be sent again.
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: RequestBody,
}

// === impl Spare ===

impl Spare {
    /// The request once more; `None` if its body was too long to be kept.
    pub(super) fn request(self) -> Option<Request<Body>> {
        if !self.body.can_replay() {
            return None;
        }
        let mut request = Request::new(Body::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        Some(request)
    }
}

// === free functions ===

/// A request, and what is needed to send it again if its method allows that.
pub(super) fn spared(request: Request<Body>) -> (Request<Body>, Option<Spare>) {
    if !request.method().is_idempotent() {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    let body = RequestBody::new(body, KEPT);
    let spare = Spare {
        method: head.method.clone(),
        uri: head.uri.clone(),
        headers: head.headers.clone(),
        body: body.clone(),
    };
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(body)
    };
    (Request::from_parts(head, body), Some(spare))
}
