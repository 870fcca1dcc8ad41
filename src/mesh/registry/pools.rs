//! The connection pools of one cluster.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{Request, Response};
use tower::Service;

use crate::{
    base::{BoxError, ext::Record},
    body::Body,
    mesh::{
        asked,
        discovery::{self, Resolved},
        pool::{Limits, Pool},
        proxied::Network,
        tls::Client,
    },
    model::{self, Discovery},
};

/// The connection pools of a cluster, one an address.
pub(super) struct Pools {
    by_address: ArcSwap<BTreeMap<SocketAddr, Noted>>,
    /// What the addresses before these were.
    left: ArcSwap<BTreeMap<SocketAddr, Origin>>,
    limits: Limits,
    pub(super) network: Network,
    /// `None` is plain text.
    tls: ArcSwapOption<Client>,
    /// Whether plain text, where it is spoken, is what the files mean.
    plain_text: AtomicBool,
    /// Held while pools are kept or renewed: none may be kept whose TLS is not in force any more.
    writing: Mutex<()>,
}

/// A pool that notes its workload's version in the request's record.
#[derive(Clone)]
pub(super) struct Noted {
    pool: Pool,
    origin: Origin,
    /// Whether programs that ask for `https` are to be refused.
    exposed: bool,
}

/// What is known of a configured endpoint, for all of its addresses.
#[derive(Clone, Default)]
pub(super) struct Origin {
    /// Its name, if it is no address.
    host: Option<Arc<str>>,
    /// Its `version` label.
    version: Option<Arc<str>>,
}

// === impl Pools ===

impl Pools {
    pub(super) fn new(
        limits: Limits,
        network: Network,
        tls: Option<Arc<Client>>,
        plain_text: bool,
    ) -> Self {
        Self {
            by_address: ArcSwap::default(),
            left: ArcSwap::default(),
            limits,
            network,
            tls: ArcSwapOption::new(tls),
            plain_text: AtomicBool::new(plain_text),
            writing: Mutex::new(()),
        }
    }

    /// Keeps the pools of these addresses, makes new ones, drops (and so drains) the rest.
    pub(super) fn keep(&self, known: &[Resolved], origins: &[Origin]) {
        let _writing = self.writing();
        let before = self.by_address.load();
        let noted = |r: &Resolved| {
            let origin = origins.get(r.origin).cloned().unwrap_or_default();
            match before.get(&r.address) {
                Some(was) if was.origin.host == origin.host => Noted {
                    origin,
                    ..was.clone()
                },
                _ => self.noted(r.address, origin),
            }
        };
        let now = known.iter().map(|r| (r.address, noted(r))).collect();
        let left = before.iter();
        let left = left.map(|(address, noted)| (*address, noted.origin.clone()));
        self.left.store(Arc::new(left.collect()));
        self.by_address.store(Arc::new(now));
    }

    fn noted(&self, address: SocketAddr, origin: Origin) -> Noted {
        let tls = self.tls();
        let connect = self.network.connector(tls.is_some(), origin.host.as_ref());
        Noted {
            pool: Pool::over(address, self.limits.clone(), connect, tls),
            origin,
            exposed: false,
        }
    }

    /// Connections are made another way from now on: pools with those that were made before are drained.
    pub(super) fn renew(&self, tls: Option<Arc<Client>>) {
        let _writing = self.writing();
        self.tls.store(tls);
        let before = self.by_address.load();
        let renewed = before
            .iter()
            .map(|(address, noted)| (*address, self.noted(*address, noted.origin.clone())));
        self.by_address.store(Arc::new(renewed.collect()));
    }

    /// What they are made with, if TLS is spoken.
    pub(super) fn tls(&self) -> Option<Arc<Client>> {
        self.tls.load_full()
    }

    /// Sets whether plain text, where it is spoken, is what the files mean.
    pub(super) fn mean_plain_text(&self, it_is: bool) {
        self.plain_text.store(it_is, Ordering::Relaxed);
    }

    /// The name that people know an address by, where it only stands for one.
    pub(super) fn named(&self, address: SocketAddr) -> Option<Arc<str>> {
        self.by_address.load().get(&address)?.pool.named()
    }

    /// What they share.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host at an address. One that has just left the set gets a pool of its own for this last request.
    pub(super) fn host(&self, address: SocketAddr) -> Noted {
        let known = self.by_address.load().get(&address).cloned();
        let mut noted = known.unwrap_or_else(|| {
            let left = self.left.load().get(&address).cloned();
            self.noted(address, left.unwrap_or_default())
        });
        noted.exposed = self.tls.load().is_none() && !self.plain_text.load(Ordering::Relaxed);
        noted
    }
}

// === impl Noted ===

impl Service<Request<Body>> for Noted {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = <Pool as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.pool.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.exposed
            && let Err(error) = asked::check(&request, self.pool.address())
        {
            return Box::pin(std::future::ready(Err(error.into())));
        }
        if let Some(record) = request.extensions().get::<Record>() {
            record.note(|n| {
                n.version.clone_from(&self.origin.version);
                n.endpoint_name = self.pool.named();
            });
        }
        self.pool.call(request)
    }
}

/// What is known of each configured endpoint.
pub(super) fn origins(discovery: &Discovery) -> Arc<[Origin]> {
    let endpoints = match discovery {
        Discovery::Static(all) | Discovery::Dns(all) | Discovery::DnsFirst(all) => all.as_slice(),
        Discovery::Original => &[],
    };
    let origin = |e: &model::Endpoint| Origin {
        host: discovery::ip(&e.address)
            .is_none()
            .then(|| e.address.as_str().into()),
        version: e.labels.get("version").map(|v| v.as_str().into()),
    };
    endpoints.iter().map(origin).collect()
}
