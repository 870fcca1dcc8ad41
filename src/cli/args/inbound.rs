//! The inbound side of `llmesh run`.

use std::net::SocketAddr;

use clap::Args;

use crate::cli::address;

/// Applications, and where requests for them come in.
#[derive(Clone, Debug, Default, Args)]
pub struct InboundArgs {
    /// Where requests for the application behind --app come in; with several, the first --inbound is for the first --app. What
    /// AuthorizationPolicies do not let in never reaches it. Mutual TLS is not in force here: a STRICT port is closed.
    #[arg(long, value_name = "ADDR", value_parser = address::address)]
    pub inbound: Vec<SocketAddr>,
    /// The application: its port is the workload's, which policies mean.
    #[arg(long, value_name = "ADDR", value_parser = address::address)]
    pub app: Vec<SocketAddr>,
}

// === impl InboundArgs ===

impl InboundArgs {
    /// The pairs.
    ///
    /// # Errors
    /// If there are not as many of one as of the other, in words.
    pub fn pairs(&self) -> Result<Vec<(SocketAddr, SocketAddr)>, String> {
        let (inbound, app) = (self.inbound.len(), self.app.len());
        if inbound != app {
            return Err(format!(
                "--inbound and --app come in pairs: {inbound} and {app} are given"
            ));
        }
        let pairs = self.inbound.iter().zip(&self.app);
        Ok(pairs.map(|(listen, app)| (*listen, *app)).collect())
    }
}
