//! Orders of layers that compile and break a promise are told in debug builds, at the first request.
//!
//! Types cannot say that retries stand above the classifier they depend on: each layer works alone as well. So layers whose
//! place matters leave a mark in the request's extensions, and those that must not stand below one look for it. In release
//! builds nothing is left and nothing is looked for.

use http::Extensions;

/// A layer whose place matters to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Leaves the class that retries and breakers read.
    Classify = 1,
    /// Knows what a stream came to.
    Stream = 2,
    /// Makes the span of an attempt.
    Inject = 4,
    /// Tells the upstream what is left of the deadline.
    Propagate = 8,
    /// Counts requests and tokens.
    #[cfg(feature = "llm")]
    Limit = 16,
    /// Puts a key of this side in the place of the caller's.
    #[cfg(feature = "llm")]
    OwnKey = 32,
}

/// The steps that a request passed.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Default)]
struct Passed(u8);

/// A call begins: what was passed before is another call's.
pub(crate) fn begin(request: &mut Extensions) {
    #[cfg(debug_assertions)]
    request.remove::<Passed>();
    #[cfg(not(debug_assertions))]
    let _ = request;
}

/// Leaves a mark.
pub(crate) fn pass(request: &mut Extensions, step: Step) {
    #[cfg(debug_assertions)]
    {
        request.get_or_insert_default::<Passed>().0 |= step as u8;
    }
    #[cfg(not(debug_assertions))]
    let _ = (request, step);
}

/// Says, in debug builds, that `step` must not stand above whoever asks, and why.
///
/// # Panics
/// In debug builds, if the request passed `step`.
pub(crate) fn not_below(request: &Extensions, step: Step, why: &str) {
    #[cfg(debug_assertions)]
    {
        let passed = request.get::<Passed>().copied().unwrap_or_default().0;
        assert!(passed & step as u8 == 0, "wrong order of layers: {why}");
    }
    #[cfg(not(debug_assertions))]
    let _ = (request, step, why);
}
