//! Addresses on the command line: where to listen, where to ask, and where a name leads.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use crate::mesh::discovery::Pin;

/// An address to listen on, with an optional label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// The version that answers name.
    pub label: Option<String>,
}

/// Reads `PORT` or `:PORT` (on 127.0.0.1), `IP:PORT`, `[IPv6]:PORT` or `NAME:PORT`. Of a name's addresses the first of
/// version 4 is taken, if there is one.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port(bare)?)));
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.contains("://") {
        return Err("this is a URL: an address is HOST:PORT, such as localhost:15001".to_owned());
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let example = SocketAddr::new(ip, 15001);
        return Err(format!("the port is missing, as in {example}"));
    }
    let Some((name, digits)) = text.rsplit_once(':') else {
        return Err(format!("the port is missing, as in {text}:15001"));
    };
    let port = port(digits)?;
    if name == "*" {
        return Err(format!("every address of this machine is 0.0.0.0:{port}"));
    }
    if name.contains([':', '/', ' ']) {
        return Err(
            "expected HOST:PORT; an IPv6 address stands in brackets, as in [::1]:15001".into(),
        );
    }
    let found = (name, port).to_socket_addrs();
    let mut found: Vec<_> = found
        .map_err(|e| format!("{name} cannot be resolved: {e}"))?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    let first = found.first().copied();
    first.ok_or_else(|| format!("{name} has no address"))
}

/// Reads `HOST:PORT:ADDRESS[,ADDRESS]`, each address with a port of its own or not.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn pin(text: &str) -> Result<Pin, String> {
    const FORM: &str = "expected HOST:PORT:ADDRESS, such as api.openai.com:443:127.0.0.1 or api.openai.com:443:127.0.0.1:8443";
    let (host, rest) = text.split_once(':').ok_or(FORM)?;
    let (digits, addresses) = rest.split_once(':').ok_or(FORM)?;
    if host.is_empty() || host.contains(['[', '/', ' ']) {
        return Err(FORM.to_owned());
    }
    let port = port(digits)?;
    let addresses: Result<Vec<_>, String> = addresses
        .split(',')
        .map(|text| {
            let ip = text
                .strip_prefix('[')
                .and_then(|t| t.strip_suffix(']'))
                .unwrap_or(text);
            let ip = ip.parse().map(|ip: IpAddr| SocketAddr::new(ip, port));
            let address = ip.or_else(|_| text.parse());
            address.map_err(|_| format!("{text:?} is no IP address. {FORM}"))
        })
        .collect();
    Ok(Pin::new(host, port, addresses?))
}

fn port(digits: &str) -> Result<u16, String> {
    let number = digits.parse();
    number.map_err(|_| format!("{digits:?} is no port: a number up to 65535"))
}

// === impl Listen ===

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, label) = match text.split_once('=') {
            Some((at, label)) => (at, Some(label)),
            None => (text, None),
        };
        let visible =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_graphic());
        if label.is_some_and(|label| !visible(label)) {
            return Err("a label is visible ASCII, such as v1".to_owned());
        }
        Ok(Self {
            address: address(at)?,
            label: label.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_ports_and_names() {
        for (text, is) in [
            ("15001", "127.0.0.1:15001"),
            (":15001", "127.0.0.1:15001"),
            ("0", "127.0.0.1:0"),
            ("0.0.0.0:15001", "0.0.0.0:15001"),
            ("[::1]:15001", "[::1]:15001"),
            ("localhost:15001", "127.0.0.1:15001"),
        ] {
            assert_eq!(address(text), Ok(is.parse().unwrap()), "{text}");
        }
        for (text, says) in [
            ("", "port is missing"),
            (":", "no port"),
            ("127.0.0.1", "127.0.0.1:15001"),
            ("::1", "[::1]:15001"),
            ("[::1]", "[::1]:15001"),
            ("localhost", "localhost:15001"),
            ("localhost:", "no port"),
            ("localhost:http", "no port"),
            ("70000", "no port"),
            ("localhost:70000", "no port"),
            ("http://localhost:15001", "a URL"),
            ("*:15001", "0.0.0.0:15001"),
            ("::1:2:15001", "brackets"),
            ("a b:1", "HOST:PORT"),
            ("name.invalid:15001", "name.invalid"),
        ] {
            let error = address(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn pins_are_as_curls_and_may_have_another_port() {
        let pinned = |text: &str, to: &[&str]| {
            let to = to.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(pin(text), Ok(Pin::new("a.b", 443, to)), "{text}");
        };
        pinned("a.b:443:127.0.0.1", &["127.0.0.1:443"]);
        pinned("A.b.:443:127.0.0.1:8443", &["127.0.0.1:8443"]);
        pinned("a.b:443:::1", &["[::1]:443"]);
        pinned("a.b:443:[::1]", &["[::1]:443"]);
        pinned("a.b:443:[::1]:8443", &["[::1]:8443"]);
        pinned("a.b:443:127.0.0.1,[::1]:1", &["127.0.0.1:443", "[::1]:1"]);
        for bad in [
            "",
            "a.b",
            "a.b:443",
            "a.b:443:",
            "a.b:x:127.0.0.1",
            ":443:127.0.0.1",
        ] {
            assert!(pin(bad).is_err(), "{bad}");
        }
        assert!(pin("a.b:443:c.d").unwrap_err().contains("no IP address"));
    }

    #[test]
    fn mock_listens_where_it_is_told() {
        let listen = |text: &str| text.parse::<Listen>();
        let at = |address: &str, label: Option<&str>| {
            Ok(Listen {
                address: address.parse().unwrap(),
                label: label.map(str::to_owned),
            })
        };
        assert_eq!(
            listen("127.0.0.1:9001=v1"),
            at("127.0.0.1:9001", Some("v1"))
        );
        assert_eq!(listen("[::1]:9001"), at("[::1]:9001", None));
        assert_eq!(listen("9001=v2"), at("127.0.0.1:9001", Some("v2")));
        assert_eq!(listen("localhost:9001"), at("127.0.0.1:9001", None));
        for bad in ["", "127.0.0.1", "9001=", "9001=a b", "70000"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }
}
