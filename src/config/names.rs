//! Host names: what Istio accepts, and what short ones stand for.

use std::net::{IpAddr, Ipv6Addr};

/// The domain of services in a cluster.
pub(super) const DOMAIN: &str = "cluster.local";

/// A DNS label (RFC 1123): what subsets and ports are named with.
pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Checks a host of a VirtualService, DestinationRule or ServiceEntry: a DNS name, or one whose first label is a
/// wildcard (`*`) or begins with one. Istio takes an IP address for a host of a VirtualService only.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check_host(text: &str) -> Result<(), &'static str> {
    check_length(text)?;
    let (first, rest) = text.split_once('.').unwrap_or((text, ""));
    let plain = first.strip_prefix('*').unwrap_or(first);
    let label = plain.strip_prefix('-').filter(|_| first != plain);
    if !(first == "*" || is_dns_label(label.unwrap_or(plain))) || first.len() > 63 {
        return Err(no_label(first));
    }
    if first.len() == text.len() {
        return Ok(());
    }
    check_labels(rest)
}

/// Checks a DNS name that is no wildcard. It may end with a dot.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check_fqdn(text: &str) -> Result<(), &'static str> {
    check_length(text)?;
    check_labels(text)
}

fn check_length(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("the host is empty"),
        1..=255 => Ok(()),
        _ => Err("a host name has at most 255 characters"),
    }
}

fn check_labels(text: &str) -> Result<(), &'static str> {
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    if let Some(bad) = labels.find(|label| !is_dns_label(label)) {
        // Nothing at all comes after a name's final dot.
        return if text.is_empty() {
            Ok(())
        } else {
            Err(no_label(bad))
        };
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a host name does not end with a number: this looks like an IP address");
    }
    Ok(())
}

fn no_label(label: &str) -> &'static str {
    if label.contains(':') {
        "a host carries no port or scheme: it is for every port that callers name"
    } else if label.contains('*') {
        "a wildcard stands at the beginning, such as `*.` and then a domain"
    } else {
        "this is no DNS name: letters, digits and `-` between dots"
    }
}

/// A host in lower case and without the dot that may end it.
pub(super) fn whole(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The full name of a host as written in a resource of `namespace`, in lower case. A name without a dot is a service of
/// that namespace; a dot at the end only says that the name is whole.
pub(super) fn fqdn(host: &str, namespace: &str) -> String {
    let mut host = host.to_ascii_lowercase();
    if host.ends_with('.') {
        host.pop();
        host
    } else if host.contains('.') || host.starts_with('*') || is_own(&host) || is_ip(&host) {
        host
    } else {
        format!("{host}.{namespace}.svc.{DOMAIN}")
    }
}

fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Whether a host stands for this machine: no service of a mesh, but what callers name who have the proxy as their base URL.
pub(super) fn is_own(host: &str) -> bool {
    let own = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(own)
}

/// The names under which callers in `client_namespace` know a host: itself, and the short forms of a cluster service.
pub(super) fn domains(host: &str, client_namespace: &str) -> Vec<String> {
    let mut domains = vec![host.to_owned()];
    if host.parse::<Ipv6Addr>().is_ok() {
        domains.push(format!("[{host}]"));
    }
    let local = host
        .strip_suffix(DOMAIN)
        .and_then(|rest| rest.strip_suffix(".svc."));
    if let Some((name, namespace)) = local.and_then(|rest| rest.split_once('.'))
        && !namespace.contains('.')
        && !name.starts_with('*')
    {
        if namespace == client_namespace {
            domains.push(name.to_owned());
        }
        domains.push(format!("{name}.{namespace}"));
        domains.push(format!("{name}.{namespace}.svc"));
    }
    domains
}

/// The namespace in a cluster service's full name.
pub(super) fn namespace_of(host: &str) -> Option<&str> {
    let rest = host.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?;
    rest.split_once('.').map(|(_, namespace)| namespace)
}

/// Whether `pattern` (exact, or `*.suffix`) covers `host`.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_grow() {
        for (host, full) in [
            ("llm", "llm.ns.svc.cluster.local"),
            ("LLM", "llm.ns.svc.cluster.local"),
            ("llm.ai", "llm.ai"),
            ("LLM.ai.", "llm.ai"),
            ("llm.", "llm"),
            ("*.ai", "*.ai"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("LocalHost", "localhost"),
            ("localhost.", "localhost"),
            ("localhosts", "localhosts.ns.svc.cluster.local"),
        ] {
            assert_eq!(fqdn(host, "ns"), full);
        }
    }

    #[test]
    fn domains_of_a_service() {
        let host = "llm.ai.svc.cluster.local";
        let own = [host, "llm", "llm.ai", "llm.ai.svc"];
        assert_eq!(domains(host, "ai"), own);
        assert_eq!(domains(host, "b"), [host, "llm.ai", "llm.ai.svc"]);
        assert_eq!(domains("api.openai.com", "ai"), ["api.openai.com"]);
        assert_eq!(domains("a.b.c.svc.cluster.local", "c").len(), 1);
        assert_eq!(domains("localhost", "ai"), ["localhost"]);
        assert_eq!(domains("::1", "ai"), ["::1", "[::1]"]);
    }

    #[test]
    fn hosts_are_checked() {
        let longest = "x".repeat(63);
        for good in [
            "a", "a.b", "a.b.", "a.", "*", "*.a.b", "*a.b", "*-a.b", "*a", "A-b.c", "1", "1.a",
            &longest,
        ] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        let long = "x".repeat(64);
        for bad in [
            "", ".", "a..b", "a..", "a.*", "a*.b", "**.a", "*--a.b", "-a", "a:80", "http://a",
            "a b", "a_b", "ns/a", "10.0.0.1", "::1", "a.1", &long,
        ] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn full_names_are_checked() {
        for good in ["a", "istio.io", "istio.io.", "a-b.c.svc.cluster.local"] {
            assert_eq!(check_fqdn(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "*", "*.a", "10.0.0.1", "1", "a/b", "a_b"] {
            assert!(check_fqdn(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wildcards_cover_what_is_below() {
        assert!(covers("*.x", "a.x") && covers("*.x", "a.b.x") && covers("a", "a"));
        assert!(!covers("*.x", "x") && !covers("*.x", ".x") && !covers("a", "b"));
    }
}
