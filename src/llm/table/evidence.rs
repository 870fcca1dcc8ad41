//! What is known of a failed response.

use std::time::SystemTime;

use ::http::HeaderMap;

use crate::llm::{dialect::Provider, fault::Fault};

/// What is known of a failed response.
#[derive(Clone, Debug)]
pub(crate) struct Evidence<'a> {
    /// The HTTP status, or the one that stands in its place.
    pub(super) status: u16,
    /// Whether that was told, by the response or in digits by its body. If not, it is the error's type in figures.
    pub(super) told: bool,
    /// Whether the error came inside a success.
    pub(super) inside: bool,
    pub(super) headers: &'a HeaderMap,
    pub(super) fault: &'a Fault<'a>,
    pub(super) provider: Option<Provider>,
    /// Whether the request was for an LLM API: an ordinary service's 404 is an answer, a model's is a fault.
    pub(super) llm: bool,
    pub(super) now: SystemTime,
}
