//! The first error, kept while others are asked: if they all fail, it is what the caller sees.
//!
//! The first target is the one the caller asked for, so its error tells most. Its body is kept up to 64 KiB if it comes
//! within a moment; else its head alone, without a body.

use std::{ops::ControlFlow, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use http_body::Body as HttpBody;

use crate::{
    base::{BoxError, ext::AnsweredBy},
    body::{
        Body, box_errors,
        peek::{Peek, Stopped},
    },
};

const CAP: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_millis(250);

/// A failure that may still be shown.
pub(super) struct First {
    pub(super) result: Result<Response<Body>, BoxError>,
    pub(super) by: AnsweredBy,
}

impl First {
    /// Keeps a failure. The connection is free afterwards.
    pub(super) async fn keep<R>(result: Result<Response<R>, BoxError>, by: AnsweredBy) -> Self
    where
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError> + 'static,
    {
        let response = match result {
            Err(error) => {
                return Self {
                    result: Err(error),
                    by,
                };
            }
            Ok(response) => response,
        };
        let (mut head, body) = response.into_parts();
        let mut peek = Peek::with_limit(box_errors(body), CAP);
        let all = peek.until(|_| ControlFlow::<()>::Continue(()));
        let body = match tokio::time::timeout(PATIENCE, all).await {
            Ok(Stopped::Ended) => Body::new(peek.into_body()),
            _ => {
                for name in [
                    header::CONTENT_ENCODING,
                    header::CONTENT_LENGTH,
                    header::CONTENT_TYPE,
                    header::TRANSFER_ENCODING,
                ] {
                    head.headers.remove(name);
                }
                Body::empty()
            }
        };
        Self {
            result: Ok(Response::from_parts(head, body)),
            by,
        }
    }
}
