//! Properties over random input.

mod balance;
mod bodies;
mod retry;
mod route;
mod trace;
