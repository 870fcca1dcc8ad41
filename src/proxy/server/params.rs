//! Limits of a server.

use std::time::Duration;

/// Limits of a server. Each has a safe default.
///
/// How long a service may take for its answer is not limited here: that is the route's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// How long a request's head may take on HTTP/1, and the preface on HTTP/2, from the first byte: 30 s. Then the
    /// connection is closed.
    pub header_read_timeout: Duration,
    /// How long a connection may stay with no request on it: one hour, as in Envoy. Callers are processes of this host,
    /// whose pools must not find connections closed under them.
    pub idle_timeout: Duration,
    /// How long the service may wait for the next bytes of a request's body before it has begun to answer: 60 s. Then
    /// the body fails with [`Kind::UploadTimeout`](crate::base::Kind::UploadTimeout), which is a 408 to the caller. Not
    /// for gRPC, whose callers may open a stream only to listen.
    pub upload_idle_timeout: Duration,
    /// How long a peer may read nothing of what waits to be written to its connection: 5 min. Then it is closed.
    pub write_idle_timeout: Duration,
    /// Connections at a time; more are closed as soon as they are accepted. `None` is no limit.
    pub max_connections: Option<usize>,
    /// Header fields of an HTTP/1 request: 100. hyper has no such limit on HTTP/2, so it is the service's there.
    pub max_headers: usize,
    /// Bytes of a request's head: 60 KiB. HTTP/1: also the read buffer; at least 8 KiB.
    pub max_header_bytes: u32,
    /// Concurrent streams on an HTTP/2 connection: 100.
    pub max_concurrent_streams: u32,
    /// Streams that an HTTP/2 peer may have reset before they were served: 20. At more the connection is closed.
    pub max_pending_resets: usize,
    /// Streams on a connection that this side may have to reset for an HTTP/2 peer's errors: 1024. At more the
    /// connection is closed.
    pub max_local_resets: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(3600),
            upload_idle_timeout: Duration::from_secs(60),
            write_idle_timeout: Duration::from_secs(300),
            max_connections: None,
            max_headers: 100,
            max_header_bytes: 60 << 10,
            max_concurrent_streams: 100,
            max_pending_resets: 20,
            max_local_resets: 1024,
        }
    }
}
