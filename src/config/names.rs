//! Host names: what Istio accepts, and what short ones stand for.

use std::net::IpAddr;

/// The domain of services in a cluster.
const DOMAIN: &str = "cluster.local";

/// A DNS label (RFC 1123): what subsets and ports are named with.
pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Checks a host of a VirtualService, DestinationRule or ServiceEntry: a DNS name, an IP address, or a wildcard with
/// `*` as its first label.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check_host(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("the host is empty");
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if text.len() > 253 {
        return Err("a host name has at most 253 characters");
    }
    if text.contains(':') {
        return Err("a host carries no port or scheme");
    }
    let rest = text.strip_prefix("*.").unwrap_or(text);
    if rest.contains('*') {
        return Err("a wildcard is `*.` and then a domain");
    }
    if rest.ends_with('.') {
        return Err("a host has no dot at its end");
    }
    if !rest.split('.').all(is_dns_label) {
        return Err("this is no DNS name: letters, digits and `-` between dots");
    }
    Ok(())
}

/// The full name of a host as written in a resource of `namespace`, in lower case. A name without a dot is a service of
/// that namespace.
pub(super) fn fqdn(host: &str, namespace: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.contains('.') || host.starts_with('*') || host.parse::<IpAddr>().is_ok() {
        host
    } else {
        format!("{host}.{namespace}.svc.{DOMAIN}")
    }
}

/// The names under which callers in `client_namespace` know a host: itself, and the short forms of a cluster service.
pub(super) fn domains(host: &str, client_namespace: &str) -> Vec<String> {
    let mut domains = vec![host.to_owned()];
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
            ("*.ai", "*.ai"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
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
    }

    #[test]
    fn hosts_are_checked() {
        for good in ["a", "a.b", "*.a.b", "10.0.0.1", "::1", "A-b.c"] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        for bad in [
            "", "a..b", "a.*", "*a.b", "a.", "-a", "a:80", "http://a", "a b", "a_b", "*.",
        ] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wildcards_cover_what_is_below() {
        assert!(covers("*.x", "a.x") && covers("*.x", "a.b.x") && covers("a", "a"));
        assert!(!covers("*.x", "x") && !covers("*.x", ".x") && !covers("a", "b"));
    }
}
