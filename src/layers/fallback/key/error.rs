//! Why there is no key.

/// A key that cannot be used. The key is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What stands there is no key.
    #[error("{of} holds no key: {why}")]
    Unusable {
        /// Where it stands.
        of: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is no key.
    #[error("the key cannot be used: {0}")]
    Malformed(&'static str),
}
