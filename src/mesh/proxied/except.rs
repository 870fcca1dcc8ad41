//! What goes past a proxy: `NO_PROXY`.

use std::net::IpAddr;

/// The entries of a list such as `.corp.example, 10.0.0.0/8, build:8080`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Except(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    /// All ports if there is none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Everything,
    /// A name and all below it, lower case, without a dot at either end.
    Domain(String),
    /// The addresses that agree with this one in so many leading bits.
    Network(IpAddr, u32),
}

// === impl Except ===

impl Except {
    /// Adds a list. Its elements are separated by commas or spaces; names stand for all below them too, with a leading dot
    /// or `*.` or without.
    pub(super) fn add(&mut self, list: &str) {
        let elements = list.split(|c: char| c == ',' || c.is_whitespace());
        self.0.extend(elements.filter_map(Entry::parse));
    }

    /// Whether this name, or address in words, goes past the proxy.
    pub(super) fn has_host(&self, host: &str, port: u16) -> bool {
        if let Ok(ip) = host.parse() {
            return self.has_ip(ip, port);
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        below(&host, "localhost")
            || self.any(port, |what| match what {
                What::Domain(domain) => below(&host, domain),
                other => *other == What::Everything,
            })
    }

    /// Whether this address does.
    pub(super) fn has_ip(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback()
            || self.any(port, |what| match what {
                What::Network(network, bits) => agree(*network, ip, *bits),
                other => *other == What::Everything,
            })
    }

    fn any(&self, port: u16, is: impl Fn(&What) -> bool) -> bool {
        let here = |entry: &&Entry| entry.port.is_none_or(|p| p == port);
        self.0.iter().filter(here).any(|entry| is(&entry.what))
    }
}

// === impl Entry ===

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if let Some((address, bits)) = text.split_once('/') {
            let network = network(address, bits);
            if network.is_none() {
                tracing::warn!(
                    entry = text,
                    "not a network; this element of NO_PROXY has no effect"
                );
            }
            return network.map(|what| Self { what, port: None });
        }
        // An IPv6 address has colons of its own.
        if let Ok(ip) = text.parse() {
            return Some(Self::new(exactly(ip), None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            return Some(Self::new(exactly(ip), port));
        }
        if host == "*" {
            return Some(Self::new(What::Everything, port));
        }
        let name = host.strip_prefix('*').unwrap_or(host);
        let name = name.trim_matches('.').to_ascii_lowercase();
        (!name.is_empty()).then(|| Self::new(What::Domain(name), port))
    }

    const fn new(what: What, port: Option<u16>) -> Self {
        Self { what, port }
    }
}

// === free functions ===

fn exactly(ip: IpAddr) -> What {
    let ip = ip.to_canonical();
    What::Network(ip, if ip.is_ipv4() { 32 } else { 128 })
}

fn network(address: &str, bits: &str) -> Option<What> {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(What::Network(ip, bits))
}

fn agree(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

fn below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_means_what_other_clients_take_it_for() {
        for (list, past, through) in [
            (
                "corp.example",
                &["corp.example", "a.corp.example", "A.Corp.Example."][..],
                &["xcorp.example", "corp.example.org", "example"][..],
            ),
            (
                ".corp.example",
                &["corp.example", "a.b.corp.example"],
                &["xcorp.example"],
            ),
            ("*.corp.example", &["a.corp.example"], &["xcorp.example"]),
            ("*", &["api.example", "192.0.2.1", "2001:db8::1"], &[]),
            (
                "10.0.0.0/8,192.0.2.7",
                &["10.255.0.1", "192.0.2.7", "::ffff:10.1.2.3"],
                &["11.0.0.1", "192.0.2.8", "10.example"],
            ),
            ("192.0.2.128/25", &["192.0.2.129"], &["192.0.2.127"]),
            (
                "2001:db8::/32 fe80::1",
                &["2001:db8:1::1", "fe80::1"],
                &["2001:db9::1", "fe80::2", "192.0.2.1"],
            ),
            ("0.0.0.0/0", &["192.0.2.1"], &["2001:db8::1", "api.example"]),
            (
                " a.example ,, b.example c.example ",
                &["a.example", "b.example", "x.c.example"],
                &["d.example"],
            ),
            (
                "a.example:443,[2001:db8::1]:443,192.0.2.1:443,*:443",
                &["a.example", "x.a.example", "2001:db8::1", "192.0.2.1"],
                &[],
            ),
            (
                "a.example:80,[2001:db8::1]:80,192.0.2.1:80,*:80",
                &[],
                &["a.example", "2001:db8::1", "192.0.2.1"],
            ),
            ("10.0.0.0/33,x/8,a:b:c,:,.,*.", &[], &["10.0.0.1", "x"]),
            // A machine's own addresses and names, whatever is listed.
            (
                "",
                &["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"],
                &["api.example", "notlocalhost", "10.0.0.1"],
            ),
        ] {
            let mut except = Except::default();
            except.add(list);
            for host in past {
                assert!(except.has_host(host, 443), "{list:?}: {host}");
            }
            for host in through {
                assert!(!except.has_host(host, 443), "{list:?}: {host}");
            }
        }
    }
}
