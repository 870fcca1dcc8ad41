//! Whether an answer refuses what was added to its request: its body is read, and held back no longer than that takes.

use std::{ops::ControlFlow, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;

use super::Addition;
use crate::{
    base::BoxError,
    body::{Body, box_errors, peek::Peek},
    classify::{Classified, Outcome},
    llm::coding::Coding,
};

/// How much of an error is read.
const CAP: usize = 64 * 1024;
/// How long an error's body is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer as it came, or nothing: it refuses the addition.
pub(crate) async fn unless_refused<R>(
    response: Response<R>,
    added: Addition,
) -> Option<Response<Body>>
where
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    if !refuses(&response) {
        return Some(response.map(Body::new));
    }
    let (head, body) = response.into_parts();
    let mut peek = Peek::with_limit(box_errors(body), CAP);
    let all = peek.until(|_| ControlFlow::<()>::Continue(()));
    // However it stopped, what is there is looked at.
    let _ = tokio::time::timeout(PATIENCE, all).await;
    let (mut coding, mut text) = (Coding::of(&head.headers), Vec::new());
    for chunk in peek.frames().filter_map(http_body::Frame::data_ref) {
        coding.show(chunk, |piece| {
            let room = CAP.saturating_sub(text.len()).min(piece.len());
            text.extend_from_slice(piece.get(..room).unwrap_or_default());
        });
    }
    if added.is_named_in(&text) {
        return None;
    }
    Some(Response::from_parts(head, Body::new(peek.into_body())))
}

/// Whether an answer is one of those that say that a request is wrong: by its status, or by what was read of it.
fn refuses<R>(response: &Response<R>) -> bool {
    let class = response.extensions().get::<Classified>();
    let class = class.and_then(|class| class.head().cloned());
    matches!(response.status().as_u16(), 400 | 422)
        || class.is_some_and(|c| c.inner.unwrap_or(c.outcome) == Outcome::InvalidRequest)
}
