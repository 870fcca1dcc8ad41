//! Endpoints that are names: resolved at the start and again and again.
//!
//! A name that cannot be resolved, or resolves to nothing, keeps the addresses it had: a failing name server must not
//! take a running service's endpoints away.

use std::{
    collections::HashSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::task::{AbortHandle, JoinSet};

use super::BoxFuture;
use crate::{
    base::{SharedRng, time::sleep},
    model::{Discovery, Endpoint},
};

/// Resolves names.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`, with `port`, in the order of the answer.
    ///
    /// # Errors
    /// Any: the addresses known so far stay.
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The host's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

/// Another resolver, but for some names that lead to given addresses, as with curl's `--resolve`.
#[derive(Debug)]
pub struct Pinned {
    pins: Vec<Pin>,
    others: Arc<dyn Resolve>,
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
}

/// One address and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The address.
    pub address: SocketAddr,
    /// The configured endpoint's weight.
    pub weight: u32,
    /// The configured endpoint's position: its labels and locality are found there.
    pub origin: usize,
}

/// When to resolve.
#[derive(Clone, Debug)]
pub struct Params {
    /// Time between the end of one resolution and the next.
    pub every: Duration,
    /// Up to this share of [`every`](Self::every) is added, drawn each time, so that many proxies do not ask at once.
    pub jitter: f64,
    /// How long one name may take.
    pub timeout: Duration,
    /// How long [`start`] waits for the first answers.
    pub first_wait: Duration,
    /// Draws the jitter.
    pub rng: SharedRng,
}

/// A running resolution. Dropping it ends it.
#[derive(Debug)]
#[must_use = "resolution ends when this is dropped"]
pub struct Refresher(AbortHandle);

/// What is known about each configured name.
struct Names {
    endpoints: Vec<Endpoint>,
    first_only: bool,
    known: Vec<Vec<SocketAddr>>,
}

// === impl Resolve for System ===

impl Resolve for System {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

// === impl Pin ===

impl Pin {
    /// `host` with `port` leads to these addresses; only who is dialled changes, not whose certificate is asked for.
    #[must_use]
    pub fn new(host: &str, port: u16, addresses: Vec<SocketAddr>) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        Self {
            host,
            port,
            addresses,
        }
    }

    fn is_for(&self, name: &str, port: u16) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.port == port && self.host.eq_ignore_ascii_case(name)
    }
}

// === impl Pinned ===

impl Pinned {
    /// The first pin of a name holds; names without one are left to `others`.
    #[must_use]
    pub fn new(pins: Vec<Pin>, others: Arc<dyn Resolve>) -> Self {
        Self { pins, others }
    }
}

impl Resolve for Pinned {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        match self.pins.iter().find(|pin| pin.is_for(name, port)) {
            Some(pin) => Box::pin(std::future::ready(Ok(pin.addresses.clone()))),
            None => self.others.resolve(name, port),
        }
    }
}

impl fmt::Debug for dyn Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolve")
    }
}

// === impl Params ===

impl Default for Params {
    /// Every 5 s as Envoy's `dns_refresh_rate`, with 10 % jitter; 5 s for one name and for the start.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            jitter: 0.1,
            timeout: Duration::from_secs(5),
            first_wait: Duration::from_secs(5),
            rng: SharedRng::default(),
        }
    }
}

// === impl Refresher ===

impl Drop for Refresher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Names ===

impl Names {
    fn new(endpoints: &[Endpoint], first_only: bool) -> Self {
        let used = if first_only { 1 } else { endpoints.len() };
        Self {
            endpoints: endpoints.iter().take(used).cloned().collect(),
            first_only,
            known: vec![Vec::new(); used],
        }
    }

    /// Asks for all names at once. One that fails or has no address keeps what it had.
    async fn refresh(&mut self, resolver: &Arc<dyn Resolve>, timeout: Duration) {
        let mut asking = JoinSet::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let (resolver, endpoint) = (Arc::clone(resolver), endpoint.clone());
            asking.spawn(async move {
                let Endpoint { address, port, .. } = &endpoint;
                (at, look_up(&*resolver, address, *port, timeout).await)
            });
        }
        while let Some(answer) = asking.join_next().await {
            let Ok((at, answer)) = answer else {
                continue;
            };
            let name = self.endpoints.get(at).map(|e| e.address.as_str());
            match answer {
                Ok(found) if found.is_empty() => {
                    tracing::warn!(name, "a name has no addresses; the last ones stay");
                }
                Ok(found) => {
                    if let Some(known) = self.known.get_mut(at) {
                        *known = found;
                    }
                }
                Err(error) => {
                    tracing::warn!(name, %error, "a name cannot be resolved; its last addresses stay");
                }
            }
        }
    }

    fn resolved(&self) -> Vec<Resolved> {
        let mut seen = HashSet::new();
        let per_name = if self.first_only { 1 } else { usize::MAX };
        self.endpoints
            .iter()
            .zip(&self.known)
            .enumerate()
            .flat_map(|(origin, (endpoint, known))| {
                known.iter().take(per_name).map(move |address| Resolved {
                    address: *address,
                    weight: endpoint.weight,
                    origin,
                })
            })
            .filter(|resolved| seen.insert(resolved.address))
            .collect()
    }
}

// === free functions ===

/// The addresses of a cluster's endpoints, and for names a task that keeps them fresh and calls `changed` with the
/// whole new set whenever it differs (in any order) from the one before.
///
/// Waits at most [`Params::first_wait`] for names; what has not been answered by then comes through `changed`.
/// [`Discovery::Original`] has none.
///
/// # Cancel safety
/// Dropping the future ends the resolution.
pub async fn start<F>(
    discovery: &Discovery,
    resolver: Arc<dyn Resolve>,
    params: Params,
    changed: F,
) -> (Vec<Resolved>, Option<Refresher>)
where
    F: Fn(Vec<Resolved>) + Send + Sync + 'static,
{
    let mut names = match discovery {
        Discovery::Static(endpoints) => return (static_addresses(endpoints), None),
        Discovery::Original => return (Vec::new(), None),
        Discovery::Dns(endpoints) => Names::new(endpoints, false),
        Discovery::DnsFirst(endpoints) => Names::new(endpoints, true),
    };
    let (first, answered) = tokio::sync::oneshot::channel();
    let wait = params.first_wait;
    let task = tokio::spawn(async move {
        names.refresh(&resolver, params.timeout).await;
        let mut last = names.resolved();
        // Nobody waits any more: it is a change then.
        if let Err(late) = first.send(last.clone())
            && !late.is_empty()
        {
            changed(late);
        }
        loop {
            let extra = params.every.mul_f64(params.jitter * params.rng.unit());
            sleep(params.every + extra).await;
            names.refresh(&resolver, params.timeout).await;
            let now = names.resolved();
            if !same(&last, &now) {
                last.clone_from(&now);
                changed(now);
            }
        }
    });
    let refresher = Refresher(task.abort_handle());
    let found = match tokio::time::timeout(wait, answered).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    (found, Some(refresher))
}

/// The endpoints whose address is an IP address, IPv6 with or without brackets; others are left out with a warning.
#[must_use]
pub fn static_addresses(endpoints: &[Endpoint]) -> Vec<Resolved> {
    let mut seen = HashSet::new();
    endpoints
        .iter()
        .enumerate()
        .filter_map(|(origin, endpoint)| {
            let Some(ip) = ip(&endpoint.address) else {
                tracing::warn!(address = endpoint.address, "not an IP address");
                return None;
            };
            Some(Resolved {
                address: SocketAddr::new(ip, endpoint.port),
                weight: endpoint.weight,
                origin,
            })
        })
        .filter(|resolved| seen.insert(resolved.address))
        .collect()
}

/// The addresses of a name, or the one that the text is.
pub(super) async fn look_up(
    resolver: &dyn Resolve,
    name: &str,
    port: u16,
    timeout: Duration,
) -> io::Result<Vec<SocketAddr>> {
    if let Some(ip) = ip(name) {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    tokio::time::timeout(timeout, resolver.resolve(name, port))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An IP address, IPv6 with or without brackets.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text)
        .parse()
        .ok()
}

/// Name servers rotate their answers: order is not a change.
fn same(a: &[Resolved], b: &[Resolved]) -> bool {
    let key = |r: &Resolved| (r.address, r.weight, r.origin);
    let (a, b): (HashSet<_>, HashSet<_>) =
        (a.iter().map(key).collect(), b.iter().map(key).collect());
    a == b
}
