//! LLM semantics: what providers' answers mean.
//!
//! A 429 may be pacing, an empty account or a request that can never fit; a 400 may be an invalid key; a 200 may carry an
//! error. [`LlmClassifier`] tells them apart. What it knows is data: [`dialect`] says whose API it is, [`fault`] reads an
//! error body of any of the known shapes, [`table`] and [`pattern`] take signals to classes, [`wait`] the hints that stand in
//! bodies, [`answer`] the errors that come with a 200, [`usage`] the token counts, [`stream`] what a streamed answer is while it
//! runs. [`request`] knows what is asked for, [`account`] what it cost, [`errors`] how an error of ours is told.
//!
//! **An answer is a failure only on positive evidence**: an error that it holds, a page where only a completion can be, a stream
//! of a known grammar that ends before its end. What is not recognised passes byte for byte, at once, is never sent again, is
//! never turned into another status, is never counted against an endpoint or model, and never ends uncleanly. So three
//! questions come before any judgement. *Is it an LLM call?* Method and path say so ([`dialect`]), or the operator; a dialect
//! that is set makes no call of another request. *What is it?* Its first bytes say so, whatever its label says (`sniff`).
//! *Has it said anything?* White space and comments are nothing, however long they last.
//!
//! Nothing of a body is kept in a class, an error or a log, and no input panics.
#![doc = ""]
#![doc = include_str!("judged.md")]

pub mod account;
pub mod answer;
pub(crate) mod base_path;
pub mod caller;
pub mod classify;
pub(crate) mod coding;
pub(crate) mod content;
pub mod credential;
pub mod dialect;
pub mod errors;
pub mod fault;
mod finding;
pub mod glob;
pub(crate) mod path;
pub mod pattern;
mod provider;
pub mod refused;
pub mod request;
mod signals;
pub(crate) mod sniff;
pub mod status;
pub mod stream;
pub mod table;
pub mod usage;
pub mod wait;

pub use self::{
    classify::LlmClassifier,
    dialect::{Dialect, DialectMode, Provider},
    usage::Usage,
};
