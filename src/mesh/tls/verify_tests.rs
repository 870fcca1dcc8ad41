use super::*;

fn dns(name: &str) -> Name {
    Name::Dns(name.to_owned())
}

#[test]
fn names_fit_as_istio_matches_them() {
    let exact = |s: &str| NameMatch::Exact(s.to_owned());
    let prefix = |s: &str| NameMatch::Prefix(s.to_owned());
    let suffix = |s: &str| NameMatch::Suffix(s.to_owned());
    let spiffe = || Name::Uri("spiffe://cluster.local/ns/a/sa/b".to_owned());
    let ip = || Name::Ip("10.0.0.7".parse().unwrap());
    for (name, wanted, fits) in [
        (dns("a.example.com"), exact("a.example.com"), true),
        (dns("a.example.com"), exact("A.Example.com"), true),
        (dns("a.example.com"), exact("b.example.com"), false),
        // The certificate's own wildcard stands for one label.
        (dns("*.example.com"), exact("a.example.com"), true),
        (dns("*.example.com"), exact("a.b.example.com"), false),
        (dns("*.example.com"), exact("example.com"), false),
        (dns("*.example.com"), exact(".example.com"), false),
        (dns("a.example.com"), suffix(".example.com"), true),
        (dns("a.example.com.evil"), suffix(".example.com"), false),
        (dns("evilexample.com"), suffix(".example.com"), false),
        (dns("api.openai.com"), prefix("api."), true),
        (dns("papi.openai.com"), prefix("api."), false),
        (spiffe(), exact("spiffe://cluster.local/ns/a/sa/b"), true),
        (spiffe(), exact("spiffe://cluster.local/ns/a/sa/B"), false),
        (spiffe(), prefix("spiffe://cluster.local/ns/a/"), true),
        (spiffe(), suffix("/sa/b"), true),
        (ip(), exact("10.0.0.7"), true),
        (ip(), exact("10.0.0.8"), false),
        (ip(), prefix("10.0."), true),
    ] {
        assert_eq!(name.fits(&wanted), fits, "{name} and {wanted:?}");
    }
}

#[test]
fn many_names_are_told_by_the_first_few() {
    let many: Vec<_> = (0..8).map(|n| dns(&format!("{n}.x"))).collect();
    assert_eq!(list(&many), "0.x, 1.x, 2.x, 3.x, 4.x, 3 more");
    assert_eq!(list(&[]), "no name at all");
}

#[test]
fn what_a_peer_wrote_breaks_no_line() {
    assert_eq!(printable("CN=a\n[x] \u{1b}[31m"), "CN=a?[x] ?[31m");
}
