//! What `--upstream-proxy` takes.

use std::{convert::Infallible, fmt, str::FromStr};

use crate::mesh::{BadProxy, UpstreamProxy};

/// What `--upstream-proxy` says. It may hold a password, so nothing shows it.
#[derive(Clone)]
pub struct ProxyArg(String);

// === impl ProxyArg ===

impl ProxyArg {
    /// The proxies that it names.
    ///
    /// # Errors
    /// If it, or a variable of the environment, is no URL of an HTTP proxy.
    pub fn read(&self) -> Result<UpstreamProxy, BadProxy> {
        if self.0 == "env" {
            return UpstreamProxy::from_env();
        }
        self.0
            .parse::<UpstreamProxy>()
            .map(UpstreamProxy::except_env)
    }
}

impl FromStr for ProxyArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ProxyArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyArg")
    }
}
