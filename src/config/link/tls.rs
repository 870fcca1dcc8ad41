//! TLS towards the endpoints of a cluster: by DestinationRule, or by what a port is declared as.
//!
//! A port that waits for TLS is never spoken to in plain text unless a DestinationRule says `DISABLE` in so many words.
//! What TLS needs and is not there is a reference that leads nowhere: its cluster fails, by name, and nothing else does.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

use super::{Linker, registry::Known};
use crate::{
    config::{
        diagnostic::{Place, Severity},
        istio::{
            client_tls::{Mode, NO_IDENTITY, Named, TlsBlock},
            service_entry::{HTTPS, PortProtocol, ServicePort},
        },
    },
    layers::route::params::Action,
    model::{
        Cluster, ClusterName, Discovery, Endpoint, VirtualHost,
        tls::{Identity, NameMatch, Revoked, Roots, Tls, Verify},
    },
};

/// The port of a service.
#[derive(Clone, Copy)]
pub(super) struct Towards<'a> {
    pub(super) host: &'a str,
    pub(super) service: &'a Known,
    pub(super) port: &'a ServicePort,
}

// === impl Towards ===

impl Towards<'_> {
    /// Whether the port waits for TLS: by itself, or because its endpoints' ports do.
    pub(super) fn waits_for_tls(&self) -> bool {
        let endpoints = self.service.endpoints.get(&self.port.number);
        let mut endpoints = endpoints.into_iter().flatten();
        self.port.tls || endpoints.any(|endpoint| endpoint.port == HTTPS)
    }

    /// Whether plain text is meant where it is spoken, also for programs that ask for `https`.
    pub(super) fn plain_text(&self, block: Option<&TlsBlock>) -> bool {
        match block {
            Some(block) => block.mode == Mode::Disable,
            None => !self.waits_for_tls() && self.service.internal && self.port.says_http,
        }
    }

    /// TLS as the port itself asks for it.
    fn by_itself(&self) -> Tls {
        let name = self.service.server_name.as_deref().unwrap_or(self.host);
        // The many hosts behind a wildcard have no one name, and each of them has one below it.
        let (server_name, below) = match name.strip_prefix('*') {
            Some(end) => (None, Some(NameMatch::Suffix(end.to_owned()))),
            None => (Some(name.to_owned()), None),
        };
        let listed = &self.service.server_names;
        let names = if listed.is_empty() {
            below.into_iter().collect()
        } else {
            listed.clone()
        };
        let mut tls = Tls::simple(server_name);
        tls.verify = Verify::Chain {
            roots: Roots::System,
            names,
            revoked: None,
        };
        tls
    }
}

// === impl Linker ===

impl Linker<'_> {
    /// How TLS is spoken to a port; `None` is plain text.
    pub(super) fn tls(&self, to: &Towards<'_>, block: Option<&TlsBlock>) -> Option<Tls> {
        let Some(block) = block else {
            return to.waits_for_tls().then(|| {
                self.note_by_number(to);
                to.by_itself()
            });
        };
        match block.mode {
            Mode::Disable => {
                if to.waits_for_tls() {
                    self.warn_plain(to, block);
                }
                None
            }
            Mode::Simple | Mode::Mutual => Some(self.of_block(to, block)),
            Mode::IstioMutual => {
                let mut tls = to.by_itself();
                tls.unmet = Some(NO_IDENTITY.to_owned());
                Some(tls)
            }
        }
    }

    fn of_block(&self, to: &Towards<'_>, block: &TlsBlock) -> Tls {
        let mut tls = to.by_itself();
        if let Some(sni) = &block.sni {
            tls.server_name = Some(sni.clone());
        }
        if let Some(place) = &block.unverified {
            let message = format!(
                "the certificate of {} is not verified: whoever answers in its place reads all that is sent, keys included",
                to.host
            );
            let hint = "remove `insecureSkipVerify`, and name the authority in `caCertificates`";
            self.report.warn(place, "tls-not-verified", message, hint);
            tls.verify = Verify::Nothing;
        } else if let Verify::Chain {
            roots,
            names,
            revoked,
        } = &mut tls.verify
        {
            if !block.names.is_empty() {
                names.clone_from(&block.names);
            }
            if let Some(file) = &block.authorities {
                *roots = Roots::File(self.file(to, file));
            }
            *revoked = block
                .revoked
                .as_ref()
                .map(|file| Revoked::File(self.file(to, file)));
        }
        if block.mode == Mode::Mutual
            && let (Some(certificate), Some(key)) = (&block.certificate, &block.key)
        {
            tls.identity = Some(Identity::Files {
                certificate: self.file(to, certificate),
                key: self.file(to, key),
            });
        }
        self.credential(block, to.host, &mut tls);
        tls
    }

    /// A file that TLS needs. One that is not there fails its cluster until it is.
    fn file(&self, to: &Towards<'_>, file: &Named) -> PathBuf {
        if self
            .options
            .files
            .is_some_and(|is_there| !is_there(&file.path))
        {
            let message = format!(
                "{} cannot be read: requests to {} are answered 503 (UF) until it can",
                file.path.display(),
                to.host
            );
            let hint = "a path that is not absolute is looked for beside the file that names it";
            self.report.warn(&file.place, "missing-file", message, hint);
        }
        file.path.clone()
    }

    /// Says so where only a number tells of TLS.
    fn note_by_number(&self, to: &Towards<'_>) {
        let Towards { host, port, .. } = to;
        if port.protocol == PortProtocol::Tls {
            return;
        }
        let severity = if port.says_http {
            Severity::Warning
        } else {
            Severity::Note
        };
        let message = format!(
            "port {} of {host} is not declared as HTTPS, but its number is HTTPS's: it is spoken to in TLS",
            port.number
        );
        let hint = "write `protocol: HTTPS`; a DestinationRule with `tls: {mode: DISABLE}` sends its requests in plain text";
        self.report
            .add(&port.place, severity, "tls-by-number", message, hint);
    }

    fn warn_plain(&self, to: &Towards<'_>, block: &TlsBlock) {
        let message = format!(
            "port {} of {} waits for TLS, and this says DISABLE: its requests, and keys in them, leave in plain text",
            to.port.number, to.host
        );
        let hint = "remove it, or use mode SIMPLE";
        self.report
            .warn(&block.place, "plain-text-to-tls", message, hint);
    }

    /// Keys that would leave in plain text where TLS is waited for: an error, unless they stay on this machine.
    pub(super) fn check_exposed(
        &self,
        clusters: &BTreeMap<Arc<str>, Cluster>,
        hosts: &[VirtualHost],
    ) {
        let exposed = self.exposed.borrow();
        for host in hosts {
            for (route, policy) in host.routes.iter().zip(&host.llm) {
                let (Action::Forward(forward), Some(policy)) = (&route.action, policy) else {
                    continue;
                };
                if policy.plaintext {
                    continue;
                }
                let own = forward.destinations.iter().map(|to| &to.cluster);
                let targets = policy.fallback.targets.iter().map(|to| &to.cluster);
                for name in own.chain(targets) {
                    let (Some(place), Some(cluster)) = (exposed.get(name), clusters.get(name))
                    else {
                        continue;
                    };
                    if !stays_here(&cluster.discovery) {
                        self.refuse_exposed(place, &cluster.name, &host.name);
                    }
                }
            }
        }
    }

    fn refuse_exposed(&self, place: &Place, name: &ClusterName, route_of: &str) {
        let message = format!(
            "port {} of {} waits for TLS, and keys of LLM requests to {route_of} would leave for it in plain text",
            name.port, name.host
        );
        let hint = "remove `mode: DISABLE`, or use mode SIMPLE";
        self.report.error(place, "key-in-plain-text", message, hint);
    }
}

/// Whether all addresses are of this machine.
pub(super) fn stays_here(discovery: &Discovery) -> bool {
    let is_local = |endpoint: &Endpoint| {
        let ip = endpoint.address.parse::<IpAddr>();
        ip.map_or(endpoint.address == "localhost", |ip| ip.is_loopback())
    };
    match discovery {
        Discovery::Static(all) | Discovery::Dns(all) | Discovery::DnsFirst(all) => {
            all.iter().all(is_local)
        }
        Discovery::Original => false,
    }
}
