//! HTTP proxies on the way out: connections to endpoints are opened through one, with `CONNECT`.
//!
//! Behind a company's proxy names from outside often cannot be resolved, so the proxy is told the name. An endpoint that is
//! a name then stands under an address of its own in `100::/64`, which leads nowhere (RFC 6666): pools and balancers know it
//! by that, and only the connector knows what it stands for; people are told the name. Endpoints that are addresses are asked for by address.
//!
//! What goes past the proxy (`NO_PROXY`, and always the machine's own loopback addresses) is resolved and dialled as without
//! one. Plain-text connections go through a tunnel as well; a proxy may have to be told that other ports than 443 are allowed.
//!
//! A proxy with an `https://` URL is itself spoken to over TLS, so that neither its password nor the names that it is told go
//! in clear text; the TLS to an endpoint is then inside that to the proxy.

mod address;
mod except;
mod outside;
mod tunnel;

use std::{env, error::Error as StdError, fmt, net::SocketAddr, str::FromStr, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use self::{address::Address, except::Except, outside::Outside, tunnel::Tunnel};
use super::{
    BoxFuture,
    connect::{BoxIo, Connect, Dial},
    discovery::Resolve,
    tls::{Client, Defaults, Store},
};
use crate::{
    base::{Error, Kind, error::ConnectFailure},
    model::tls::{Roots, Tls, Verify},
};

/// Which proxies upstream connections go through, and what goes past them. Off unless it is asked for.
///
/// `Debug` shows hosts and ports, never credentials.
///
/// # Examples
/// ```
/// use llmesh::mesh::UpstreamProxy;
///
/// let proxy: UpstreamProxy = "http://user:secret@proxy.corp.example:3128".parse()?;
/// let proxy = proxy.except(".corp.example, 10.0.0.0/8");
/// assert!(!format!("{proxy:?}").contains("secret"));
/// # Ok::<(), llmesh::mesh::BadProxy>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamProxy {
    /// For connections on which TLS is spoken.
    tls: Option<Arc<Address>>,
    /// For plain-text ones.
    plain: Option<Arc<Address>>,
    except: Arc<Except>,
}

/// A proxy that cannot be used. Quotes nothing of its URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProxy {
    /// The variable that holds the URL.
    variable: Option<&'static str>,
    why: &'static str,
}

/// How names are found and connections made: directly, or through a proxy where there is one.
#[derive(Clone)]
pub struct Network {
    outside: Outside,
    proxy: Option<Arc<UpstreamProxy>>,
    /// How proxies that speak TLS are spoken to: the one for TLS connections, the one for plain-text ones.
    secured: [Option<Arc<Client>>; 2],
}

/// Finds names of those that go past a proxy, and addresses that stand for the others.
struct StandIns {
    except: Arc<Except>,
    resolve: Arc<dyn Resolve>,
}

/// Connections to one endpoint.
struct Via {
    tunnel: Tunnel,
    except: Arc<Except>,
    /// The name of the endpoint, if it has one.
    host: Option<Arc<str>>,
}

// === impl UpstreamProxy ===

impl UpstreamProxy {
    /// As the environment says: `HTTPS_PROXY` for connections on which TLS is spoken, `HTTP_PROXY` for plain-text ones,
    /// `ALL_PROXY` for those of both that have none, `NO_PROXY` for what goes past them. Names in lower case go before names
    /// in upper case; empty ones are not there.
    ///
    /// # Errors
    /// If one of them is no URL of an HTTP proxy.
    pub fn from_env() -> Result<Self, BadProxy> {
        Self::read(|name| env::var(name).ok())
    }

    /// Adds to what goes past the proxy, in the form of `NO_PROXY`: names (for all below them too), `*`, addresses, networks
    /// (`10.0.0.0/8`), each but a network with a `:PORT` if only that is meant; separated by commas or spaces.
    #[must_use]
    pub fn except(mut self, list: &str) -> Self {
        Arc::make_mut(&mut self.except).add(list);
        self
    }

    /// What the environment lets go past a proxy.
    #[must_use]
    pub fn except_env(self) -> Self {
        let list = either(|name| env::var(name).ok(), "no_proxy", "NO_PROXY");
        self.except(&list.map(|(_, list)| list).unwrap_or_default())
    }

    /// Whether no connection goes through a proxy.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.tls.is_none() && self.plain.is_none()
    }

    fn read(env: impl Fn(&str) -> Option<String>) -> Result<Self, BadProxy> {
        let read = |lower, upper| match either(&env, lower, upper) {
            Some((variable, url)) => match Address::parse(&url) {
                Ok(address) => Ok(Some(Arc::new(address))),
                Err(why) => Err(BadProxy {
                    variable: Some(variable),
                    why,
                }),
            },
            None => Ok(None),
        };
        let or_all = |found: Option<Arc<Address>>| match found {
            Some(found) => Ok(Some(found)),
            None => read("all_proxy", "ALL_PROXY"),
        };
        let list = either(&env, "no_proxy", "NO_PROXY").map(|(_, list)| list);
        let proxy = Self {
            tls: or_all(read("https_proxy", "HTTPS_PROXY")?)?,
            plain: or_all(read("http_proxy", "HTTP_PROXY")?)?,
            except: Arc::default(),
        };
        Ok(proxy.except(&list.unwrap_or_default()))
    }

    fn of(&self, tls: bool) -> Option<&Arc<Address>> {
        let proxy = if tls { &self.tls } else { &self.plain };
        proxy.as_ref()
    }
}

impl FromStr for UpstreamProxy {
    type Err = BadProxy;

    /// A URL, for all connections: `[http://|https://][USER:PASSWORD@]HOST[:PORT]`.
    fn from_str(url: &str) -> Result<Self, BadProxy> {
        let address = Address::parse(url).map_err(|why| BadProxy {
            variable: None,
            why,
        })?;
        let address = Some(Arc::new(address));
        Ok(Self {
            tls: address.clone(),
            plain: address,
            except: Arc::default(),
        })
    }
}

// === impl BadProxy ===

impl fmt::Display for BadProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = self.variable.map(|name| format!(" of {name}"));
        let variable = variable.unwrap_or_default();
        write!(f, "the proxy{variable} cannot be used: {}", self.why)
    }
}

impl StdError for BadProxy {}

// === impl Network ===

impl Network {
    /// Connections are made, and names resolved, through these.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>, resolve: Arc<dyn Resolve>) -> Self {
        Self {
            outside: Outside { connect, resolve },
            proxy: None,
            secured: [None, None],
        }
    }

    /// The same by way of proxies. The certificates of those that speak TLS are checked against the authorities of `defaults`,
    /// or the system's; they are shown none.
    #[must_use]
    pub fn through(mut self, proxy: Option<UpstreamProxy>, defaults: &Defaults) -> Self {
        let proxy = proxy.filter(|proxy| !proxy.is_none());
        if let Some(UpstreamProxy { tls, plain, .. }) = &proxy {
            let (tls, plain) = (tls.as_ref(), plain.as_ref());
            tracing::info!(
                target: "llmesh",
                tls = tls.map(tracing::field::display),
                plain = plain.map(tracing::field::display),
                "upstream connections go through a proxy"
            );
            self.secured = [tls, plain].map(|address| secured(address?, defaults));
        }
        self.proxy = proxy.map(Arc::new);
        self
    }

    /// Resolves the names of endpoints on whose connections TLS is spoken, or is not.
    pub(super) fn resolver(&self, tls: bool) -> Arc<dyn Resolve> {
        let resolve = &self.outside.resolve;
        match self.proxy.as_ref().filter(|p| p.of(tls).is_some()) {
            Some(proxy) => Arc::new(StandIns {
                except: Arc::clone(&proxy.except),
                resolve: Arc::clone(resolve),
            }),
            None => Arc::clone(resolve),
        }
    }

    /// Connects to the addresses of one endpoint, which the [resolver](Self::resolver) found for `host`, or which are its own.
    pub(super) fn connector(&self, tls: bool, host: Option<&Arc<str>>) -> Arc<dyn Connect> {
        match self.proxy.as_ref().and_then(|p| Some((p, p.of(tls)?))) {
            Some((proxy, address)) => Arc::new(Via {
                tunnel: Tunnel {
                    proxy: Arc::clone(address),
                    tls: self.secured[usize::from(!tls)].clone(),
                    outside: self.outside.clone(),
                },
                except: Arc::clone(&proxy.except),
                host: host.cloned(),
            }),
            None => Arc::clone(&self.outside.connect),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

// === impl StandIns ===

impl Resolve for StandIns {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, std::io::Result<Vec<SocketAddr>>> {
        if self.except.has_host(name, port) {
            return self.resolve.resolve(name, port);
        }
        Box::pin(std::future::ready(Ok(vec![stand_in(name, port)])))
    }
}

// === impl Via ===

impl Connect for Via {
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        let (ip, port) = (address.ip(), address.port());
        let to = match &self.host {
            Some(host) if is_stand_in(address) => format!("{}:{port}", host.trim_end_matches('.')),
            None if is_stand_in(address) => {
                let error = Error::new(Kind::Connect(ConnectFailure::Local))
                    .with_source("nothing is known of where this endpoint is");
                return Box::pin(std::future::ready(Err(error)));
            }
            None if !self.except.has_ip(ip, port) => SocketAddr::new(ip, port).to_string(),
            // Found on this side, because it goes past the proxy.
            _ => return self.tunnel.outside.connect.connect(address, dial),
        };
        Box::pin(async move { self.tunnel.open(&to, dial).await })
    }

    fn named(&self, address: SocketAddr) -> Option<Arc<str>> {
        self.host.clone().filter(|_| is_stand_in(address))
    }
}

// === free functions ===

/// How a proxy is spoken to, if over TLS.
fn secured(address: &Address, defaults: &Defaults) -> Option<Arc<Client>> {
    let wanted = Tls {
        server_name: Some(address.host.clone()),
        verify: Verify::Chain {
            roots: Roots::System,
            names: Vec::new(),
            revoked: None,
        },
        identity: None,
        unmet: None,
    };
    let store = Store::new(Defaults {
        roots: defaults.roots.clone(),
        identity: None,
    });
    let client = || Client::new(wanted, &store, &format!("the proxy {address}"));
    address.tls.then(|| Arc::new(client()))
}

/// The first of two variables that is there and not empty.
fn either(
    env: impl Fn(&str) -> Option<String>,
    lower: &'static str,
    upper: &'static str,
) -> Option<(&'static str, String)> {
    [lower, upper].into_iter().find_map(|name| {
        let value = env(name).filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    })
}

const STAND_INS: u128 = 0x0100 << 112;

/// The address that a name stands under.
fn stand_in(name: &str, port: u16) -> SocketAddr {
    let ip = STAND_INS | u128::from(xxh3_64(name.to_ascii_lowercase().as_bytes()));
    SocketAddr::new(std::net::Ipv6Addr::from_bits(ip).into(), port)
}

fn is_stand_in(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V6(address) => address.ip().to_bits() >> 64 == STAND_INS >> 64,
        SocketAddr::V4(_) => false,
    }
}

#[cfg(feature = "tls")]
#[cfg(test)]
mod tests;
