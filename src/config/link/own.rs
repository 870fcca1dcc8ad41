//! VirtualServices that serve the proxy's own address: what they send to a provider must carry the provider's name.

use http::header::HOST;

use super::Linker;
use crate::config::{
    diagnostic::Severity,
    istio::{
        rule::{DestinationRef, ForwardRule, RuleAction},
        service_entry::PortProtocol,
        virtual_service::VirtualService,
    },
    names,
};

// === impl Linker ===

impl Linker<'_> {
    /// Warns of rules that would tell a TLS service that it is `localhost`: those of providers refuse that, or answer for another.
    pub(super) fn check_own_host(&self, service: &VirtualService, host: &str) {
        if !names::is_own(host) {
            return;
        }
        for rule in &service.rules {
            let Some(RuleAction::Forward(forward)) = &rule.action else {
                continue;
            };
            let kept = forward.destinations.iter().find(|destination| {
                !names_host(forward, destination) && self.speaks_tls(&destination.host)
            });
            if let Some(destination) = kept {
                let to = &destination.host;
                let message = format!(
                    "requests reach {to} with the Host that the caller sent, which is {host}"
                );
                let hint = format!("add `rewrite: {{authority: {to}}}` to the rule");
                self.missing(
                    (to, "host kept"),
                    &destination.place,
                    (Severity::Warning, "own-host-kept"),
                    message,
                    hint,
                );
            }
        }
    }

    fn speaks_tls(&self, host: &str) -> bool {
        let known = self.registry.concrete(host);
        known.is_some_and(|(_, known)| {
            let mut ports = known.ports.iter();
            ports.any(|port| port.protocol == PortProtocol::Tls)
        })
    }
}

/// Whether a rule gives requests for a destination a host of their own.
fn names_host(forward: &ForwardRule, destination: &DestinationRef) -> bool {
    let rewritten = forward
        .rewrite
        .as_ref()
        .is_some_and(|r| r.authority.is_some());
    rewritten
        || [&forward.headers, &destination.headers].iter().any(|ops| {
            let mut written = ops.request_set.iter().chain(&ops.request_add);
            written.any(|(name, _)| *name == HOST)
        })
}
