//! A connection of HTTP/1.1 between two requests.

use std::sync::Arc;

use hyper::client::conn::http1;
use tokio::sync::mpsc;

use super::{line::SharedConnection, socket::Heard, upload::Uploading};
use crate::base::time::Instant;

/// A connection that can take a request. Dropping it closes the connection once it is free.
pub(super) struct Conn {
    pub(super) id: u64,
    pub(super) sender: http1::SendRequest<Uploading>,
    pub(super) served: u32,
    pub(super) born: Instant,
    pub(super) heard: Heard,
    pub(super) line: Arc<SharedConnection>,
    /// To the task that runs the connection, which waits until it can take the next request.
    pub(super) home: mpsc::UnboundedSender<Self>,
}
