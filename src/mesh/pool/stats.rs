//! What a cluster's pools count, under Envoy's names.

use crate::base::{Counter, Durations};

macro_rules! stats {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// Counters and gauges of one cluster's pools. `cluster.<name>.<Envoy's name>` is each one's full name.
        #[derive(Debug, Default)]
        pub struct PoolStats {
            $($(#[$doc])* pub $field: Counter,)*
            /// How long the TLS handshakes took that succeeded. Not in Envoy.
            pub ssl_handshake_took: Durations,
        }

        impl PoolStats {
            /// All of them with Envoy's names, without the `cluster.<name>.` in front.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($name, self.$field.get()),)*].into_iter()
            }
        }
    };
}

stats! {
    /// Connections dialled.
    cx_total => "upstream_cx_total",
    /// Gauge: connections open or being made.
    cx_active => "upstream_cx_active",
    /// HTTP/1 connections made.
    cx_http1_total => "upstream_cx_http1_total",
    /// HTTP/2 connections made.
    cx_http2_total => "upstream_cx_http2_total",
    /// Dials that failed, timeouts included.
    cx_connect_fail => "upstream_cx_connect_fail",
    /// Dials that took longer than the connect timeout.
    cx_connect_timeout => "upstream_cx_connect_timeout",
    /// Connections that a request wanted and the ceiling forbade.
    cx_overflow => "upstream_cx_overflow",
    /// Connections closed because they had served their number of requests.
    cx_max_requests => "upstream_cx_max_requests",
    /// Connections closed because they were idle for too long.
    cx_idle_timeout => "upstream_cx_idle_timeout",
    /// Connections closed because they were too old.
    cx_max_duration => "upstream_cx_max_duration_reached",
    /// Connections closed, by whomever.
    cx_destroy => "upstream_cx_destroy",
    /// Connections closed on this side.
    cx_destroy_local => "upstream_cx_destroy_local",
    /// Connections closed by the peer.
    cx_destroy_remote => "upstream_cx_destroy_remote",
    /// Bytes received.
    cx_rx_bytes => "upstream_cx_rx_bytes_total",
    /// Bytes sent.
    cx_tx_bytes => "upstream_cx_tx_bytes_total",
    /// TLS handshakes that succeeded.
    ssl_handshake => "ssl.handshake",
    /// Those among them that resumed an earlier session.
    ssl_session_reused => "ssl.session_reused",
    /// Handshakes that failed for other reasons than the server's certificate.
    ssl_connection_error => "ssl.connection_error",
    /// Handshakes that failed because the server's certificate is not good.
    ssl_fail_verify_error => "ssl.fail_verify_error",
    /// Handshakes that failed because it is for other names.
    ssl_fail_verify_san => "ssl.fail_verify_san",
    /// Requests sent.
    rq_total => "upstream_rq_total",
    /// Gauge: requests on a connection whose response is not over.
    rq_active => "upstream_rq_active",
    /// Requests that had to wait for a connection.
    rq_pending_total => "upstream_rq_pending_total",
    /// Gauge: requests waiting for a connection.
    rq_pending_active => "upstream_rq_pending_active",
    /// Requests refused because too many were waiting.
    rq_pending_overflow => "upstream_rq_pending_overflow",
    /// Requests that failed because the connection they waited for could not be made.
    rq_pending_failure_eject => "upstream_rq_pending_failure_eject",
    /// Requests given up by the caller while they waited.
    rq_cancelled => "upstream_rq_cancelled",
}
