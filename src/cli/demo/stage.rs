//! The stage: mock services, and the proxy in front of them.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use super::tally::Tally;
use crate::{
    base::BoxError,
    config::Source,
    proxy::{Input, Options, Proxy},
    testing::upstream::{Sequences, Upstream},
};

const MESH: &str = include_str!("mesh.yaml");

/// The stage: mock services, the proxy in front of them, and what it noted.
pub(super) struct Stage {
    pub(super) proxy: Proxy,
    pub(super) v1: Vec<Upstream>,
    pub(super) v2: Vec<Upstream>,
    pub(super) tally: Arc<Tally>,
    pub(super) mesh: String,
}

// === impl Stage ===

impl Stage {
    pub(super) async fn build() -> Result<Self, BoxError> {
        let sequences = Sequences::new();
        let start = |label: &'static str| {
            Upstream::builder()
                .label(label)
                .sequences(&sequences)
                .record(false)
                .start()
        };
        let v1 = vec![start("v1").await?, start("v1").await?, start("v1").await?];
        let v2 = vec![start("v2").await?, start("v2").await?];
        let dead = dead_port().await?;
        let mut mesh = MESH.replace("$DEAD", &dead.port().to_string());
        let ports = [
            ("$V1_A", &v1[0]),
            ("$V1_B", &v1[1]),
            ("$V1_C", &v1[2]),
            ("$V2_A", &v2[0]),
            ("$V2_B", &v2[1]),
        ];
        for (name, upstream) in ports {
            mesh = mesh.replace(name, &upstream.addr().port().to_string());
        }
        let tally = Arc::new(Tally::default());
        let mut options = Options::new(Input::inline(vec![Source::new(
            "demo/mesh.yaml",
            mesh.clone(),
        )]));
        options.outbound = SocketAddr::from(([127, 0, 0, 1], 0));
        options.admin = None;
        options.reports = vec![Arc::clone(&tally) as _];
        let proxy = Proxy::start(options).await?;
        Ok(Self {
            proxy,
            v1,
            v2,
            tally,
            mesh,
        })
    }

    /// Puts a changed mesh in force.
    pub(super) async fn reload(&self, change: impl Fn(&str) -> String) -> bool {
        let source = Source::new("demo/mesh.yaml", change(&self.mesh));
        self.proxy.reloader().replace_inline(vec![source]).await
    }
}

/// A loopback port where nobody listens: one that was free a moment ago.
async fn dead_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()
}
