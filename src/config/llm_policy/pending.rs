//! Fields that are read and checked, and that no layer puts in force yet. README.md lists them too.

use crate::config::decode::Object;

/// Each such field below `spec`, and what holds without it. A layer that puts one in force takes its line away.
pub(super) const PENDING: &[(&[&str], &str)] = &[
    (&["timeouts", "headers"], NO_CLOCK),
    (&["timeouts", "firstToken"], NO_CLOCK),
    (&["timeouts", "interToken"], NO_CLOCK),
    (&["timeouts", "minTokensPerSecond"], NO_CLOCK),
    (&["timeouts", "window"], NO_CLOCK),
    (
        &["retries", "beforeFirstToken"],
        "`retryOn` alone says what is retried",
    ),
    (&["fallback"], NO_FALLBACK),
    (&["fallbackOn"], NO_FALLBACK),
    (&["resume"], "a cut stream is not continued"),
    (&["limits"], "no token and no request is counted"),
    (
        &["defaultOutputTokens"],
        "no token and no request is counted",
    ),
    (&["usage"], "usage is asked for by the caller only"),
    (&["reasoning"], NO_HOLD),
    (&["holdBytes"], NO_HOLD),
    (&["headers"], "no answer carries `x-llmesh-*`"),
];

const NO_CLOCK: &str = "only `timeout` and `perTryTimeout` of the route bound an answer";
const NO_FALLBACK: &str = "requests go to the route's own destinations only";
const NO_HOLD: &str = "nothing of a stream is held back";

/// Says so where a policy gives one of them.
pub(super) fn report(spec: &Object<'_>) {
    for (path, effect) in PENDING {
        let start = spec.field().clone();
        let field = path.iter().try_fold(start, |field, name| field.step(name));
        if let (Some(field), Some(name)) = (field, path.last())
            && !field.is_null()
        {
            let message = format!("`{name}` is valid but not in force in llmesh yet: {effect}");
            field.note("not-in-force", message, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PENDING;
    use crate::config::{Options, Severity, Source, load};

    /// A policy that gives every field there is.
    const EVERYTHING: &str = include_str!("everything.yaml");

    #[test]
    fn every_pending_field_is_one_that_is_known_and_is_said_once() {
        let loaded = load(&[Source::new("a.yaml", EVERYTHING)], &Options::default());
        let mut said: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.rule == "not-in-force")
            .inspect(|d| assert_eq!(d.severity, Severity::Note))
            .map(|d| d.path.clone())
            .collect();
        let mut pending: Vec<_> = PENDING
            .iter()
            .map(|(path, _)| format!("spec.{}", path.join(".")))
            .collect();
        said.sort();
        pending.sort();
        assert_eq!(said, pending);
        assert_eq!(loaded.count(Severity::Error), 0, "{:?}", loaded.diagnostics);
    }
}
