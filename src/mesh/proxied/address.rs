//! Where a proxy is, and what it is told to let one through.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, uri::Authority};
use zeroize::Zeroizing;

/// A proxy that is spoken to in HTTP. Shown as host and port, never with its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether it is spoken to over TLS.
    pub(super) tls: bool,
    /// A name or an IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

const FORM: &str = "it is written [http://|https://][USER:PASSWORD@]HOST[:PORT], with % codes for special characters in USER and PASSWORD";

// === impl Address ===

impl Address {
    /// Reads a URL. What it says of an error quotes nothing of it.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => {
                return Err("HTTP proxies (http:// or https://) are spoken to, not SOCKS");
            }
            _ => return Err(FORM),
        };
        let whole = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match whole.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, whole),
        };
        let place: Authority = place.parse().map_err(|_| FORM)?;
        let port = match place.as_str().strip_prefix(place.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => place.port_u16().ok_or(FORM)?,
        };
        let host = place.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || port == 0 {
            return Err(FORM);
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            authorization: user.map(basic).transpose()?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === free functions ===

/// `USER[:PASSWORD]`, with `%` codes, as the Basic scheme sends them.
fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair = decoded(user)?;
    pair.push(b':');
    pair.extend_from_slice(&decoded(password)?);
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&text).map_err(|_| FORM)?;
    value.set_sensitive(true);
    Ok(value)
}

fn decoded(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).ok_or(FORM);
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let code = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(code).map_err(|_| FORM)?);
        } else {
            bytes.push(byte);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_who() {
        for (url, place, authorization) in [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("proxy.example:3128", "proxy.example:3128", None),
            (" HTTP://proxy.example/ ", "proxy.example:80", None),
            ("http://192.0.2.1:8080/", "192.0.2.1:8080", None),
            ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", None),
            (
                "http://Aladdin:open%20sesame@proxy.example:1",
                "proxy.example:1",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            // A password with an @ that should have been written %40.
            (
                "a:b@c@proxy.example",
                "proxy.example:80",
                Some("Basic YTpiQGM="),
            ),
            ("a@proxy.example", "proxy.example:80", Some("Basic YTo=")),
            ("https://proxy.example", "proxy.example:443", None),
            (
                "HTTPS://a@proxy.example:3128/",
                "proxy.example:3128",
                Some("Basic YTo="),
            ),
        ] {
            let address = Address::parse(url).unwrap();
            let tls = url.to_ascii_lowercase().starts_with("https:");
            assert_eq!(address.tls, tls, "{url}");
            assert_eq!(address.to_string(), place, "{url}");
            let value = address.authorization.as_ref();
            assert_eq!(value.map(|v| v.to_str().unwrap()), authorization, "{url}");
            assert_eq!(format!("{address:?}"), place, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        for url in [
            "",
            "http://",
            "https://secret:secret@",
            "socks5://secret:secret@proxy.example",
            "ftp://secret@proxy.example",
            "http://secret:secret@",
            "http://secret:secret@proxy.example:99999",
            "http://secret:secret@proxy.example:0",
            "http://secret:secret@proxy.example:",
            "http://secret:secret@proxy example",
            "http://secret:%zz@proxy.example",
            "http://secret:%4@proxy.example",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
