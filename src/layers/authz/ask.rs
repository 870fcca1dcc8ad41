//! Where policies are, and what they are told of a request.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, request::Parts};

use super::{
    engine::{Decision, Engine},
    facts::{Fact, Facts},
};
use crate::base::{
    Denied, Error, Kind,
    ext::{Arrival, PeerIdentity},
};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where the policies in force are.
pub trait Policies: Send + Sync + 'static {
    /// Those in force now; asked once a request. `None` where it is not known which: then nothing passes.
    fn engine(&self) -> Option<Arc<Engine>>;
}

/// Policies that are asked for a port of a workload.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) policies: Arc<dyn Policies>,
    pub(super) port: Option<u16>,
}

// === impl Policies ===

impl Policies for Arc<Engine> {
    fn engine(&self) -> Option<Self> {
        Some(Self::clone(self))
    }
}

impl<F> Policies for F
where
    F: Fn() -> Option<Arc<Engine>> + Send + Sync + 'static,
{
    fn engine(&self) -> Option<Arc<Engine>> {
        self()
    }
}

// === impl Asked ===

impl Asked {
    /// Asks about a request.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] if it may not pass.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Error> {
        let refuse =
            |details: String| Err(Error::new(Kind::Forbidden).with_source(Denied(details.into())));
        let Some(engine) = self.policies.engine() else {
            return refuse("rbac_access_denied_matched_policy[none]".to_owned());
        };
        if engine.is_open() {
            return Ok(());
        }
        let decision = engine.decide(&facts(head, self.port));
        tell(&decision);
        if decision.allowed {
            return Ok(());
        }
        refuse(decision.details())
    }
}

/// What policies that decide nothing have to say goes to the log.
fn tell(decision: &Decision) {
    if let Some(rule) = &decision.audited {
        tracing::info!(target: "llmesh::authz", %rule, allowed = decision.allowed, "audited");
    }
    if let Some(would) = decision.tried {
        tracing::info!(
            target: "llmesh::authz",
            allowed = decision.allowed,
            would_be_allowed = would,
            "a policy that is only tried out would change this"
        );
    }
}

fn facts(head: &Parts, port: Option<u16>) -> Facts<'_> {
    let arrival = head.extensions.get::<Arrival>();
    let peer = arrival.and_then(|arrival| arrival.peer);
    let local = arrival.and_then(|arrival| arrival.local);
    let identity = head.extensions.get::<PeerIdentity>();
    let direct = Fact::perhaps(peer.map(|peer| peer.ip()));
    let mut facts = Facts::of_head(head);
    // Without a handshake nothing was proved.
    facts.peer = Fact::known(identity.and_then(|identity| identity.uri.as_deref()));
    facts.sni = Fact::known(identity.and_then(|identity| identity.sni.as_deref()));
    facts.source_ip = direct;
    facts.remote_ip = forwarded_for(&head.headers).map_or(direct, Fact::Is);
    facts.destination_ip = Fact::perhaps(local.map(|local| local.ip()));
    facts.port = Fact::perhaps(port.or_else(|| local.map(|local| local.port())));
    facts
}

/// The last address of `x-forwarded-for`: who it was for the hop before, with no hops trusted beyond it.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all(FORWARDED_FOR).iter().next_back()?;
    let last = line.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse().ok()
}
