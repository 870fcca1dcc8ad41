//! The whole proxy on a simulated network with a paused clock.
//!
//! Each scenario runs once for each of many seeds, every run in a runtime of its own: the seed draws latencies, arrival
//! times, faults and everything that the proxy itself draws. Time jumps from one timer to the next, so half a minute of
//! traffic takes a second or less and every duration is exact to the timer's millisecond. The number of seeds is small where runs hardly
//! differ; `SIM_TIMES=10 cargo test --test sim` runs ten times as many.
#![allow(
    clippy::unwrap_used,
    reason = "in helpers of tests too, a panic is how a test fails"
)]

mod caller;
mod cancel;
mod latency;
mod mesh;
mod net;
mod outage;
mod overload;
mod partition;
mod relay;
mod reload;
mod sim;
mod storm;
mod upstream;
