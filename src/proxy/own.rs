//! The listener's own address: callers that use the proxy as their SDK's base URL name it, and no service, as the host.
//!
//! Where such a request goes has to be said: by a VirtualService that names the address (`hosts: [localhost]`), which then
//! serves it like any other host, or by [`Own`]. It is then that host's request in every way, its name as `Host` included.
//! Nothing else ever goes there: a host that is unknown stays unknown, since whoever chooses the host must not choose where
//! keys go.
//!
//! What counts as the own address: `localhost` (and below), every loopback address, `0.0.0.0` and `[::]`, the address that
//! the connection was accepted on, and [`Own::names`]. A name of this machine that is not listed is none: a page in a browser
//! could make one lead here (DNS rebinding). The port is the listener's; in an HTTP/1 request in origin form it may be any, as
//! behind a container's published port, since only whoever takes llmesh for the server itself sends that form.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use http::{
    HeaderValue, Request, Uri, Version,
    header::HOST,
    uri::{Authority, PathAndQuery},
};

use crate::{
    base::{Error, Kind, Told, ext::Arrival},
    layers::route::RequestView,
};

/// Where requests for the listener's own address go. By default nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Own {
    /// Names, beside `localhost`, by which callers reach the listener: a container's, say. In lower case.
    pub names: Vec<String>,
    /// The host that they go to.
    pub host: Option<String>,
    /// The host that those go to whose path begins with this element, which is taken off. They go before
    /// [`host`](Self::host).
    pub prefixes: BTreeMap<String, String>,
}

// === impl Own ===

impl Own {
    /// Makes a request for the listener's own address one for the host that it goes to; others, and those for a host that is
    /// `known`, stay as they are.
    ///
    /// # Errors
    /// [`Kind::UnknownHost`] if nothing says where they go, [`Kind::NoRoute`] if none of the prefixes fits.
    pub(super) fn readdress<B>(
        &self,
        request: &mut Request<B>,
        known: impl FnOnce(&str) -> bool,
    ) -> Result<(), Error> {
        let view = RequestView::new(request);
        let host = view.host();
        if !self.is_own(request, &view) || known(host) {
            return Ok(());
        }
        let first = view.path.trim_start_matches('/').split('/').next();
        let prefix = first.and_then(|first| self.prefixes.get_key_value(first));
        let (host, cut) = match (prefix, &self.host) {
            (Some((prefix, host)), _) => (host, prefix.len() + 1),
            (None, Some(host)) => (host, 0),
            (None, None) if self.prefixes.is_empty() => return Err(nowhere(view.authority)),
            (None, None) => return Err(self.no_prefix(view.authority)),
        };
        let path = (cut > 0).then(|| without(view.path_and_query, cut));
        rewrite(request, host, path.as_deref())
    }

    fn is_own<B>(&self, request: &Request<B>, view: &RequestView<'_>) -> bool {
        let Some(local) = request.extensions().get::<Arrival>().and_then(|a| a.local) else {
            return false;
        };
        if !self.is_own_host(view.host(), local) {
            return false;
        }
        let to_us = request.uri().authority().is_none() && request.version() < Version::HTTP_2;
        to_us || view.port().unwrap_or(80) == local.port()
    }

    fn is_own_host(&self, host: &str, local: SocketAddr) -> bool {
        if let Some(ip) = address(host) {
            return ip.is_loopback() || ip.is_unspecified() || ip == local.ip().to_canonical();
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let below = |name: &str| {
            let at = host.len().checked_sub(name.len());
            let split = at.and_then(|at| host.split_at_checked(at));
            split.is_some_and(|(before, end)| {
                (before.is_empty() || before.ends_with('.')) && end.eq_ignore_ascii_case(name)
            })
        };
        below("localhost")
            || self
                .names
                .iter()
                .any(|name| host.eq_ignore_ascii_case(name))
    }

    fn no_prefix(&self, authority: &str) -> Error {
        let prefixes: Vec<_> = self.prefixes.keys().map(|p| format!("/{p}")).collect();
        let detail = format!(
            "{} is llmesh itself, which stands for several hosts: begin the path with {}",
            quoted(authority),
            prefixes.join(", ")
        );
        Error::new(Kind::NoRoute).with_source(Told(detail.into()))
    }
}

// === free functions ===

fn nowhere(authority: &str) -> Error {
    let detail = format!(
        "{} is llmesh itself; `--provider NAME` or `--default-host HOST` says where such requests go, or a VirtualService with this host; or name the service as Host",
        quoted(authority)
    );
    Error::new(Kind::UnknownHost).with_detail(detail)
}

fn quoted(authority: &str) -> String {
    let short: String = authority.chars().take(255).collect();
    format!("{short:?}")
}

/// An IP address, of version 6 in brackets. One of version 4 within version 6 is that of version 4.
fn address(host: &str) -> Option<IpAddr> {
    // Most hosts are names.
    if !host.starts_with(|c: char| c == '[' || c.is_ascii_digit()) {
        return None;
    }
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let ip: IpAddr = inner.unwrap_or(host).parse().ok()?;
    (inner.is_some() == ip.is_ipv6()).then(|| ip.to_canonical())
}

/// Path and query without their first so many bytes.
fn without(path_and_query: &str, bytes: usize) -> String {
    let rest = path_and_query.get(bytes..).unwrap_or_default();
    if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    }
}

fn rewrite<B>(request: &mut Request<B>, host: &str, path: Option<&str>) -> Result<(), Error> {
    let bad = |error: http::Error| Error::new(Kind::BadRequest).with_source(error);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.authority.is_some() {
        parts.authority = Some(Authority::try_from(host).map_err(|e| bad(e.into()))?);
    }
    if let Some(path) = path {
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|e| bad(e.into()))?);
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|e| bad(e.into()))?;
    let value = HeaderValue::from_str(host).map_err(|e| bad(e.into()))?;
    request.headers_mut().insert(HOST, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use std::error::Error as _;

    use super::*;
    use crate::base::time::Instant;

    fn own(names: &[&str], host: Option<&str>, prefixes: &[(&str, &str)]) -> Own {
        let text = |s: &str| s.to_owned();
        Own {
            names: names.iter().copied().map(text).collect(),
            host: host.map(text),
            prefixes: prefixes.iter().map(|(a, b)| (text(a), text(b))).collect(),
        }
    }

    /// A request as the dispatcher sees it, accepted on this address.
    fn request(target: &str, host: &str, local: &str) -> Request<()> {
        let mut request = Request::builder().uri(target).header(HOST, host);
        if target == "*" {
            request = request.method(Method::OPTIONS);
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(Arrival {
            at: Instant::now(),
            peer: None,
            local: Some(local.parse().unwrap()),
            tls: false,
        });
        request
    }

    /// Where it goes: the host and the target, or the error.
    fn goes(own: &Own, mut request: Request<()>) -> Result<(String, String), Error> {
        own.readdress(&mut request, |host| host == "known")?;
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        Ok((host, request.uri().to_string()))
    }

    const LOCAL: &str = "127.0.0.1:15001";

    #[test]
    fn only_the_own_address_goes_to_the_default_host() {
        let own = own(&["llmesh"], Some("api.example.com"), &[]);
        for (target, host, local, ours) in [
            ("/v1", "127.0.0.1:15001", LOCAL, true),
            ("/v1", "localhost:15001", LOCAL, true),
            ("/v1", "LocalHost.:15001", LOCAL, true),
            ("/v1", "api.localhost:15001", LOCAL, true),
            ("/v1", "127.9.8.7", LOCAL, true),
            ("/v1", "0.0.0.0:15001", LOCAL, true),
            ("/v1", "[::1]:15001", "[::1]:15001", true),
            ("/v1", "[::]:15001", LOCAL, true),
            ("/v1", "[::ffff:127.0.0.1]:15001", LOCAL, true),
            // A published port of a container; a port of 80 that is not told.
            ("/v1", "localhost:8080", "172.17.0.2:15001", true),
            ("/v1", "localhost", LOCAL, true),
            ("/v1", "172.17.0.2:15001", "172.17.0.2:15001", true),
            ("/v1", "172.17.0.2:15001", "[::ffff:172.17.0.2]:15001", true),
            ("/v1", "llmesh:15001", LOCAL, true),
            ("/v1", "LLMESH", LOCAL, true),
            // Whoever uses it as a forward proxy means the address that he names.
            ("http://localhost:15001/v1", "localhost:15001", LOCAL, true),
            ("http://localhost:8080/v1", "localhost:8080", LOCAL, false),
            ("http://localhost/v1", "localhost", LOCAL, false),
            ("/v1", "172.17.0.3:15001", "172.17.0.2:15001", false),
            ("/v1", "unknown:15001", LOCAL, false),
            ("/v1", "notlocalhost:15001", LOCAL, false),
            ("/v1", "localhost.example.com", LOCAL, false),
            ("/v1", "llmesh.example.com", LOCAL, false),
            ("/v1", "a.llmesh", LOCAL, false),
            ("/v1", "::1", LOCAL, false),
            ("/v1", "[127.0.0.1]", LOCAL, false),
            ("/v1", "known", LOCAL, false),
        ] {
            let Ok((to, _)) = goes(&own, request(target, host, local)) else {
                panic!("{target} {host}")
            };
            let expected = if ours { "api.example.com" } else { host };
            assert_eq!(to, expected, "{target} of {host} on {local}");
        }
    }

    #[test]
    fn a_known_host_is_served_as_it_is() {
        let mut request = request("/v1", "localhost:15001", LOCAL);
        let own = own(&[], Some("api.example.com"), &[]);
        own.readdress(&mut request, |host| host == "localhost")
            .unwrap();
        assert_eq!(request.headers()[HOST], "localhost:15001");
    }

    #[test]
    fn prefixes_are_whole_elements_and_are_taken_off() {
        let own = own(&[], Some("root"), &[("openai", "a"), ("open", "b")]);
        for (target, host, rest) in [
            ("/openai/v1/chat?x=1", "a", "/v1/chat?x=1"),
            ("/open/openai", "b", "/openai"),
            ("/openai", "a", "/"),
            ("/openai?x=/y", "a", "/?x=/y"),
            ("/openai/", "a", "/"),
            ("/openaix/v1", "root", "/openaix/v1"),
            ("/v1/openai", "root", "/v1/openai"),
            ("/", "root", "/"),
            ("/OpenAI/v1", "root", "/OpenAI/v1"),
        ] {
            let went = goes(&own, request(target, "localhost", LOCAL)).unwrap();
            assert_eq!(went, (host.to_owned(), rest.to_owned()), "{target}");
        }
    }

    #[test]
    fn http2_and_absolute_targets_change_too() {
        let own = own(&[], None, &[("openai", "api.openai.com")]);
        let target = "http://127.0.0.1:15001/openai/v1/models";
        let (host, uri) = goes(&own, request(target, "127.0.0.1:15001", LOCAL)).unwrap();
        assert_eq!(host, "api.openai.com");
        assert_eq!(uri, "http://api.openai.com/v1/models");
        let mut request = request("http://localhost:8080/openai", "localhost:8080", LOCAL);
        *request.version_mut() = Version::HTTP_2;
        own.readdress(&mut request, |_| false).unwrap();
        assert_eq!(request.headers()[HOST], "localhost:8080");
    }

    #[test]
    fn where_nothing_says_where_the_error_does() {
        let at = |own: &Own| goes(own, request("/v1/chat", "localhost:15001", LOCAL)).unwrap_err();
        let error = at(&Own::default());
        assert_eq!(error.kind(), Kind::UnknownHost);
        let text = error.to_string();
        assert!(
            text.contains("localhost:15001") && text.contains("--default-host"),
            "{text}"
        );
        let error = at(&own(&[], None, &[("groq", "g"), ("openai", "o")]));
        assert_eq!(error.kind(), Kind::NoRoute);
        let told = error.source().map(ToString::to_string);
        let told = told.unwrap_or_default();
        assert!(told.ends_with("/groq, /openai"), "{told}");
    }
}
