//! The proxy over real sockets on loopback.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "in helpers of tests too, a panic is how a test fails"
)]

mod account;
mod admin;
mod answers;
mod attack;
mod binary;
mod chain;
mod clients;
mod discovery;
mod early;
mod faults;
mod framing;
mod gateway;
mod half;
mod http2;
mod https;
mod inbound;
mod keys;
mod kit;
mod leaks;
mod limits;
mod llm_stream;
mod mesh_client;
mod mock;
mod mock_faults;
mod mock_usage;
mod models;
#[cfg(feature = "otlp")]
mod otlp;
mod outlier;
mod own;
mod pool;
mod proxied;
mod recorder;
mod reload;
mod routing;
mod sdk;
mod server;
mod stand_in;
mod story;
mod streams;
mod support;
mod tls;
mod token_limit;

mod traces;
mod upstream;
mod verdict;
mod watch;
mod websocket;
mod words;
