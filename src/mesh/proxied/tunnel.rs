//! A connection by way of a proxy: `CONNECT` (RFC 9110 section 9.3.6).

use std::{fmt::Display, future::pending, net::SocketAddr, pin::pin, sync::Arc};

use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT},
    uri::Authority,
};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::{address::Address, outside::Outside};
use crate::{
    base::{Error, Kind, error::ConnectFailure},
    body::Body,
    mesh::{
        connect::{BoxIo, Dial},
        discovery::look_up,
        tls::{Client, Failure, Offer, Refusal, What},
    },
};

/// The longest head that a proxy may answer with.
const LONGEST_HEAD: usize = 16 << 10;

/// Opens connections through one proxy.
#[derive(Clone)]
pub(super) struct Tunnel {
    pub(super) proxy: Arc<Address>,
    /// How it is spoken to, if over TLS.
    pub(super) tls: Option<Arc<Client>>,
    /// How the proxy itself is found and reached.
    pub(super) outside: Outside,
}

/// Why there is no tunnel.
struct Closed(ConnectFailure, String);

// === impl Tunnel ===

impl Tunnel {
    /// A connection to `to` (`host:port`), within the dial's time.
    ///
    /// # Errors
    /// Of kind [`Kind::Connect`]; the cause names the proxy by host and port.
    pub(super) async fn open(&self, to: &str, dial: Dial) -> Result<BoxIo, Error> {
        let opened = async {
            let (io, refusal) = self.reach(dial).await?;
            let asked = self.ask(io, to).await;
            // A server of TLS may say only now that it wants a certificate.
            asked.map_err(|closed| refusal.get().map_or(closed, insecure))
        };
        let Closed(failure, why) = match tokio::time::timeout(dial.timeout, opened).await {
            Ok(Ok(io)) => return Ok(io),
            Ok(Err(closed)) => closed,
            Err(_) => {
                let why = format!("opened no tunnel to {to} in time");
                Closed(ConnectFailure::Timeout, why)
            }
        };
        let why = format!("the proxy {} {why}", self.proxy);
        Err(Error::new(Kind::Connect(failure)).with_source(why))
    }

    /// A connection to the proxy, at the first of its addresses that takes it, and why it may be refused yet.
    async fn reach(&self, dial: Dial) -> Result<(BoxIo, Refusal), Closed> {
        let Address { host, port, .. } = &*self.proxy;
        let found = look_up(&*self.outside.resolve, host, *port, dial.timeout).await;
        let found = found.map_err(|e| unreached(ConnectFailure::Dns, e))?;
        let each = Dial {
            // None may use up the time of those behind it.
            timeout: dial.timeout / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX),
            ..dial
        };
        let mut last = unreached(ConnectFailure::Dns, "its name has no address");
        for address in found {
            match self.outside.connect.connect(address, each).await {
                Ok(io) => return self.secure(io, address).await,
                Err(error) => {
                    let failure = match error.kind() {
                        Kind::Connect(failure) => failure,
                        _ => ConnectFailure::Local,
                    };
                    let cause = std::error::Error::source(&error);
                    last = match cause {
                        Some(cause) => unreached(failure, cause),
                        None => unreached(failure, &error),
                    };
                }
            }
        }
        Err(last)
    }

    /// The TLS to the proxy itself, if it has one.
    async fn secure(&self, io: BoxIo, at: SocketAddr) -> Result<(BoxIo, Refusal), Closed> {
        let Some(tls) = &self.tls else {
            return Ok((io, Refusal::default()));
        };
        let made = tls.handshake(io, at, Offer::Http1).await;
        made.map(|made| (made.io, made.refused))
            .map_err(|failure| insecure(&failure))
    }

    /// Has the proxy open the tunnel.
    async fn ask(&self, io: BoxIo, to: &str) -> Result<BoxIo, Closed> {
        let request = self.request(to)?;
        let broken = |error: hyper::Error| {
            let why = if error.is_parse() {
                format!("answered CONNECT {to} with what is no HTTP")
            } else {
                format!("closed the connection before it answered CONNECT {to}")
            };
            Closed(ConnectFailure::Refused, why)
        };
        let mut http = http1::Builder::new();
        http.max_buf_size(LONGEST_HEAD);
        let (mut sender, connection) = http.handshake(TokioIo::new(io)).await.map_err(broken)?;
        let mut connection = pin!(connection.with_upgrades());
        let answered = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            if !response.status().is_success() {
                return Err(refused(&response, to));
            }
            hyper::upgrade::on(response).await.map_err(broken)
        };
        let moving = async {
            // How it ends is told where the answer is waited for.
            let _ = connection.as_mut().await;
            pending().await
        };
        tokio::select! {
            upgraded = answered => Ok(Box::new(TokioIo::new(upgraded?)) as BoxIo),
            never = moving => never,
        }
    }

    fn request(&self, to: &str) -> Result<Request<Body>, Closed> {
        let no_name = || {
            let why = format!("cannot be asked for {to:?}, which is no host name");
            Closed(ConnectFailure::Local, why)
        };
        let authority = Authority::try_from(to).map_err(|_| no_name())?;
        let host = HeaderValue::from_str(to).map_err(|_| no_name())?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from(authority);
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        let agent = concat!("llmesh/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(authorization) = &self.proxy.authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

// === free functions ===

fn unreached(failure: ConnectFailure, why: impl Display) -> Closed {
    Closed(failure, format!("cannot be reached: {why}"))
}

/// The proxy cannot be spoken to over TLS.
fn insecure(failure: &Failure) -> Closed {
    let kind = match failure.what {
        What::Broken => ConnectFailure::Refused,
        _ => ConnectFailure::Tls,
    };
    let why = format!("cannot be spoken to over TLS: {}", failure.reason);
    Closed(kind, why)
}

/// The status, and after a 407 the schemes that the proxy takes; nothing else of what it wrote.
fn refused(response: &Response<Incoming>, to: &str) -> Closed {
    let status = response.status();
    let mut why = format!("refused a tunnel to {to}: {status}");
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let schemes: Vec<_> = response
            .headers()
            .get_all(PROXY_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split_whitespace().next())
            .filter(|scheme| {
                scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
            .filter(|scheme| scheme.len() <= 32)
            .take(4)
            .collect();
        let schemes = if schemes.is_empty() {
            "credentials".to_owned()
        } else {
            schemes.join(", ")
        };
        why.push_str(&format!(" (it wants {schemes}; Basic is what can be sent)"));
    }
    Closed(ConnectFailure::Refused, why)
}
