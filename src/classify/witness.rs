//! Who is told of attempts that are not handed on.

use std::{fmt, sync::Arc};

use super::Class;

/// Is told of the class of each attempt that another one follows, before the wait. In a request's extensions; retry tells.
#[derive(Clone)]
pub struct AttemptObserver(Arc<dyn Fn(&Class) + Send + Sync>);

// === impl AttemptObserver ===

impl AttemptObserver {
    /// Tells `told`.
    pub fn new(told: impl Fn(&Class) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Tells of an attempt.
    pub fn tell(&self, class: &Class) {
        (self.0)(class);
    }
}

impl fmt::Debug for AttemptObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptObserver")
    }
}
