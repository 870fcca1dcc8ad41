//! TLS to upstreams: what files say of it, and what a cluster then speaks.

use std::path::{Path, PathBuf};

use llmesh::{
    config::{Loaded, Options, Severity, Source, load},
    model::{
        Cluster, Protocol,
        tls::{Identity, NameMatch, Revoked, Roots, Tls, Verify},
    },
};

use crate::load_text;

const HOST: &str = "api.vendor.example";

/// A ServiceEntry of the host with a port, and what comes after it.
fn mesh(port: &str, rest: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [{HOST}]\n  resolution: STATIC\n  ports: [{{{port}}}]\n  endpoints: [{{address: 10.0.0.1}}]\n{rest}"
    )
}

/// A DestinationRule of the host.
fn rule(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec: {{host: {HOST}, {spec}}}\n"
    )
}

fn cluster(loaded: &Loaded, name: &str) -> Cluster {
    let model = loaded.model.as_ref();
    let model = model.unwrap_or_else(|| panic!("it loads: {:?}", loaded.diagnostics));
    let cluster = model.clusters.get(name);
    cluster
        .unwrap_or_else(|| panic!("{name} is among {:?}", model.clusters.keys()))
        .clone()
}

fn has(loaded: &Loaded, severity: Severity, rule: &str) -> bool {
    let mut found = loaded.diagnostics.iter();
    found.any(|d| d.severity == severity && d.rule == rule)
}

/// The TLS of the host's only cluster, whose port is 80 in plain HTTP, by a `tls` block.
fn by_block(block: &str) -> (Option<Tls>, Loaded) {
    let rule = rule(&format!("trafficPolicy: {{tls: {{{block}}}}}"));
    let loaded = load_text(&mesh("number: 80, name: http, protocol: HTTP", &rule));
    (
        cluster(&loaded, "outbound|80||api.vendor.example").tls,
        loaded,
    )
}

fn simple() -> Tls {
    Tls::simple(Some(HOST.to_owned()))
}

fn chain(roots: Roots, names: Vec<NameMatch>) -> Verify {
    Verify::Chain {
        roots,
        names,
        revoked: None,
    }
}

#[test]
fn each_mode_of_a_rule() {
    assert_eq!(by_block("mode: SIMPLE").0, Some(simple()));
    assert_eq!(by_block("mode: DISABLE").0, None);
    let files = "mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, caCrl: /crl.pem";
    let mut mutual = simple();
    mutual.identity = Some(Identity::Files {
        certificate: PathBuf::from("/c.pem"),
        key: PathBuf::from("/k.pem"),
    });
    mutual.verify = Verify::Chain {
        roots: Roots::File(PathBuf::from("/ca.pem")),
        names: Vec::new(),
        revoked: Some(Revoked::File(PathBuf::from("/crl.pem"))),
    };
    assert_eq!(by_block(files).0, Some(mutual));

    let (of_mesh, loaded) = by_block("mode: ISTIO_MUTUAL");
    assert!(of_mesh.is_some_and(|tls| tls.unmet.is_some()));
    assert!(has(&loaded, Severity::Warning, "tls-not-in-force"));
}

#[test]
fn each_field_of_a_block() {
    let (sni, _) = by_block("mode: SIMPLE, sni: other.example");
    assert_eq!(sni, Some(Tls::simple(Some("other.example".to_owned()))));

    let names = "mode: SIMPLE, subjectAltNames: [a.example, 'spiffe://x/*', '*.b.example', '']";
    let all = vec![
        NameMatch::Exact("a.example".to_owned()),
        NameMatch::Prefix("spiffe://x/".to_owned()),
        NameMatch::Suffix(".b.example".to_owned()),
    ];
    let listed = by_block(names).0.expect("TLS is spoken");
    assert_eq!(listed.verify, chain(Roots::System, all));

    let (skipped, loaded) = by_block("mode: SIMPLE, insecureSkipVerify: true");
    assert_eq!(skipped.map(|tls| tls.verify), Some(Verify::Nothing));
    assert!(has(&loaded, Severity::Warning, "tls-not-verified"));
    assert_eq!(
        by_block("mode: SIMPLE, insecureSkipVerify: false").0,
        Some(simple())
    );
}

/// Spec 2.1, 2.6: blocks replace each other as wholes.
#[test]
fn the_nearest_block_holds_as_a_whole() {
    let sni = |name: &str| format!("tls: {{mode: SIMPLE, sni: {name}}}");
    let at = |port: u16, block: &str| {
        format!("portLevelSettings: [{{port: {{number: {port}}}, {block}}}]")
    };
    let other = "loadBalancer: {simple: RANDOM}";
    let top = format!("{}, {}", sni("top"), at(80, &sni("top80")));
    let policy = |top: &str, own: &str| {
        format!("trafficPolicy: {{{top}}}, subsets: [{{name: s, trafficPolicy: {{{own}}}}}]")
    };
    for (spec, whole, subset) in [
        (policy(&sni("top"), other), Some("top"), Some("top")),
        (policy(&top, other), Some("top80"), Some("top80")),
        (policy(&top, &sni("own")), Some("top80"), Some("own")),
        (
            policy(&top, &format!("{}, {}", sni("own"), at(80, &sni("own80")))),
            Some("top80"),
            Some("own80"),
        ),
        (policy(&top, "tls: {mode: DISABLE}"), Some("top80"), None),
        // An entry for the port replaces the block at the top, also where it has none itself.
        (
            policy(&format!("{}, {}", sni("top"), at(80, other)), other),
            None,
            None,
        ),
        (
            policy(&format!("{}, {}", sni("top"), at(81, other)), other),
            Some("top"),
            Some("top"),
        ),
        (policy(other, &sni("own")), None, Some("own")),
        // What is left out of the nearest block is the default, not another block's.
        (
            policy(&top, "tls: {mode: SIMPLE}"),
            Some("top80"),
            Some(HOST),
        ),
    ] {
        let loaded = load_text(&mesh(
            "number: 80, name: http, protocol: HTTP",
            &rule(&spec),
        ));
        let name = |of: &str| {
            let tls = cluster(&loaded, &format!("outbound|80|{of}|{HOST}")).tls;
            tls.and_then(|tls| tls.server_name)
        };
        assert_eq!(name("").as_deref(), whole, "{spec}");
        assert_eq!(name("s").as_deref(), subset, "{spec}");
    }
}

/// A port that waits for TLS, by its declaration, its name or its number, is spoken to in TLS unless a rule says DISABLE.
#[test]
fn ports_that_wait_for_tls() {
    for (port, wanted) in [
        ("number: 443, name: out, protocol: HTTPS", true),
        ("number: 443, name: out, protocol: https", true),
        ("number: 8443, name: out, protocol: TLS", true),
        ("number: 8443, name: https", true),
        ("number: 8443, name: https-api, protocol: HTTP", true),
        ("number: 8443, name: https, protocol: TCP", true),
        ("number: 8443, name: tls-api", true),
        ("number: 443, name: http, protocol: HTTP", true),
        ("number: 443, name: grpc, protocol: GRPC", true),
        ("number: 443, name: web", true),
        ("number: 443, name: web, protocol: TCP", true),
        (
            "number: 80, name: http, protocol: HTTP, targetPort: 443",
            true,
        ),
        ("number: 80, name: http, protocol: HTTP", false),
        ("number: 8443, name: http, protocol: HTTP", false),
        ("number: 80, name: httpsome", false),
        ("number: 4430, name: tlsome", false),
    ] {
        let number: String = port.chars().filter(char::is_ascii_digit).collect();
        let number = number.strip_suffix("443").filter(|n| *n == "80");
        let number = number.map_or_else(|| digits(port), str::to_owned);
        let name = format!("outbound|{number}||{HOST}");
        for (rule, tls) in [
            (String::new(), wanted),
            (rule("trafficPolicy: {tls: {mode: DISABLE}}"), false),
            (rule("trafficPolicy: {tls: {mode: SIMPLE}}"), true),
            (rule("trafficPolicy: {tls: {sni: x}}"), wanted),
            (
                rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}"),
                wanted,
            ),
        ] {
            let loaded = load_text(&mesh(port, &rule));
            let cluster = cluster(&loaded, &name);
            assert_eq!(cluster.tls.is_some(), tls, "{port} {rule}");
            if let Some(tls) = cluster.tls {
                assert_eq!(tls, simple(), "{port} {rule}");
            }
            let said = has(&loaded, Severity::Warning, "plain-text-to-tls");
            assert_eq!(said, wanted && rule.contains("DISABLE"), "{port} {rule}");
        }
    }
}

/// The first number of a port.
fn digits(port: &str) -> String {
    let from = port.trim_start_matches(|c: char| !c.is_ascii_digit());
    from.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn ports_of_kubernetes_services() {
    let service = |port: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: n}}\nspec:\n  ports: [{{{port}}}]\n"
        )
    };
    for (port, wanted) in [
        ("name: https-web, port: 443", true),
        ("name: https, port: 8443", true),
        ("name: tls, port: 8443", true),
        ("name: web, port: 8443, appProtocol: https", true),
        ("name: web, port: 443", true),
        ("port: 443, targetPort: 8443", true),
        ("name: http, port: 80, targetPort: 443", true),
        // The number of a service's port is its own choice: a word goes before it.
        ("name: http, port: 443, targetPort: 8080", false),
        ("name: grpc, port: 443, targetPort: 9000", false),
        ("name: web, port: 443, appProtocol: http", false),
        ("name: https, port: 8443, appProtocol: http", false),
        ("name: http, port: 80", false),
    ] {
        let loaded = load_text(&service(port));
        let name = format!("outbound|{}||a.n.svc.cluster.local", digits(port));
        let tls = cluster(&loaded, &name).tls;
        let own = Tls::simple(Some("a.n.svc.cluster.local".to_owned()));
        assert_eq!(tls, wanted.then_some(own), "{port}");
        let model = loaded.model.expect("it loads");
        assert_eq!(model.virtual_hosts.len(), 1, "{port}");
    }
}

#[test]
fn the_number_alone_is_told_of() {
    let told = |port: &str, rest: &str| {
        let loaded = load_text(&mesh(port, rest));
        let mut all = loaded.diagnostics.into_iter();
        all.find(|d| d.rule == "tls-by-number").map(|d| d.severity)
    };
    let http = "number: 443, name: http, protocol: HTTP";
    assert_eq!(told(http, ""), Some(Severity::Warning));
    assert_eq!(told("number: 443, name: web", ""), Some(Severity::Note));
    assert_eq!(told("number: 443, name: web, protocol: HTTPS", ""), None);
    let simple = rule("trafficPolicy: {tls: {mode: SIMPLE}}");
    assert_eq!(told(http, &simple), None);
}

#[test]
fn what_is_spoken_within_tls() {
    let policy = |word: &str| {
        rule(&format!(
            "trafficPolicy: {{connectionPool: {{http: {{h2UpgradePolicy: {word}}}}}, tls: {{mode: SIMPLE}}}}"
        ))
    };
    let none = || String::new();
    let client = rule("trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}");
    for (port, rule, protocol) in [
        (
            "number: 443, name: o, protocol: HTTPS",
            none(),
            Protocol::Negotiated,
        ),
        (
            "number: 443, name: o, protocol: TLS",
            none(),
            Protocol::Negotiated,
        ),
        (
            "number: 443, name: o, protocol: HTTP",
            none(),
            Protocol::Negotiated,
        ),
        (
            "number: 443, name: o, protocol: HTTP2",
            none(),
            Protocol::Http2,
        ),
        (
            "number: 443, name: o, protocol: GRPC",
            none(),
            Protocol::Http2,
        ),
        (
            "number: 443, name: o, protocol: HTTPS",
            policy("UPGRADE"),
            Protocol::Http2,
        ),
        (
            "number: 443, name: o, protocol: HTTPS",
            policy("DO_NOT_UPGRADE"),
            Protocol::Http1,
        ),
        (
            "number: 443, name: o, protocol: HTTPS",
            policy("DEFAULT"),
            Protocol::Negotiated,
        ),
        (
            "number: 443, name: o, protocol: GRPC",
            policy("DO_NOT_UPGRADE"),
            Protocol::Http2,
        ),
        (
            "number: 443, name: o, protocol: HTTPS",
            client,
            Protocol::AsCaller,
        ),
        (
            "number: 80, name: o, protocol: HTTP",
            policy("DEFAULT"),
            Protocol::Http1,
        ),
        (
            "number: 80, name: o, protocol: HTTP",
            policy("UPGRADE"),
            Protocol::Http2,
        ),
        (
            "number: 443, name: o, protocol: HTTPS",
            self::rule("trafficPolicy: {tls: {mode: DISABLE}}"),
            Protocol::Http1,
        ),
    ] {
        let loaded = load_text(&mesh(port, &rule));
        let name = format!("outbound|{}||{HOST}", digits(port));
        let spoken = cluster(&loaded, &name).pool.protocol;
        assert_eq!(spoken, protocol, "{port} {rule}");
    }
}

/// Neither the caller's Host nor an endpoint's address is the name: the host of the service is.
#[test]
fn the_name_that_is_sent() {
    let entry = |host: &str, more: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: ['{host}']\n  ports: [{{number: 443, name: https, protocol: HTTPS}}]\n{more}"
        )
    };
    let of = |text: &str, host: &str| {
        let loaded = load_text(text);
        let tls = cluster(&loaded, &format!("outbound|443||{host}")).tls;
        tls.expect("TLS is spoken")
    };
    let dns = entry(
        "a.example",
        "  resolution: DNS\n  endpoints: [{address: b.example}]\n",
    );
    assert_eq!(
        of(&dns, "a.example"),
        Tls::simple(Some("a.example".to_owned()))
    );

    let many = of(&entry("*.a.example", "  resolution: NONE\n"), "*.a.example");
    assert_eq!(many.server_name, None);
    let below = vec![NameMatch::Suffix(".a.example".to_owned())];
    assert_eq!(many.verify, chain(Roots::System, below));

    let listed = "  resolution: DNS\n  subjectAltNames: [c.example]\n";
    let listed = of(&entry("a.example", listed), "a.example");
    let names = vec![NameMatch::Exact("c.example".to_owned())];
    assert_eq!(listed.verify, chain(Roots::System, names));

    let external = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {type: ExternalName, externalName: api.vendor.example, ports: [{name: https, port: 443}]}\n";
    assert_eq!(of(external, "a.n.svc.cluster.local"), simple());
}

#[test]
fn paths_are_of_the_file_that_names_them() {
    let text = mesh(
        "number: 443, name: https",
        &rule("trafficPolicy: {tls: {mode: SIMPLE, caCertificates: certs/ca.pem}}"),
    );
    for (file, path) in [
        ("mesh/tls/a.yaml", "mesh/tls/certs/ca.pem"),
        ("/etc/mesh/a.yaml", "/etc/mesh/certs/ca.pem"),
        ("a.yaml", "certs/ca.pem"),
    ] {
        let loaded = load(&[Source::new(file, &*text)], &Options::default());
        let tls = cluster(&loaded, "outbound|443||api.vendor.example").tls;
        let roots = Roots::File(PathBuf::from(path));
        assert_eq!(tls.map(|tls| tls.verify), Some(chain(roots, Vec::new())));
    }
}

#[test]
fn a_file_that_is_not_there_stops_nothing() {
    fn none(_: &Path) -> bool {
        false
    }
    fn all(_: &Path) -> bool {
        true
    }
    let text = mesh(
        "number: 443, name: https",
        &rule(
            "trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: c, privateKey: k, caCertificates: a, caCrl: r}}",
        ),
    );
    let findings = |files: fn(&Path) -> bool| {
        let options = Options::default().with_files(files);
        let loaded = load(&[Source::new("a.yaml", &*text)], &options);
        assert!(
            cluster(&loaded, "outbound|443||api.vendor.example")
                .tls
                .is_some()
        );
        let missing = loaded
            .diagnostics
            .iter()
            .filter(|d| d.rule == "missing-file");
        let paths = missing.map(|d| {
            assert_eq!(d.severity, Severity::Warning);
            assert!(d.message.contains("answered 503"), "{d}");
            d.path.rsplit('.').next().unwrap_or_default().to_owned()
        });
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        paths
    };
    let fields = ["caCertificates", "caCrl", "clientCertificate", "privateKey"];
    assert_eq!(findings(none), fields);
    assert!(findings(all).is_empty());
}

#[test]
fn plain_ports_come_first_where_a_caller_addresses_none() {
    let ports = "number: 8443, name: https}, {number: 8080, name: http";
    let model = load_text(&mesh(ports, "")).model.expect("it loads");
    assert_eq!(model.virtual_hosts[0].ports, [8080, 8443]);
}

/// A rule that says DISABLE for a port that waits for TLS is an error once keys would go there, unless it is this machine.
#[test]
fn keys_are_not_sent_in_plain_text_to_a_port_that_waits_for_tls() {
    let entry = |host: &str, port: &str, address: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {}, namespace: n}}\nspec:\n  hosts: [{host}]\n  resolution: DNS\n  ports: [{{{port}}}]\n  endpoints: [{{address: {address}}}]\n",
            host.replace('.', "-")
        )
    };
    let disable = |host: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d, namespace: n}}\nspec: {{host: {host}, trafficPolicy: {{tls: {{mode: DISABLE}}}}}}\n"
        )
    };
    let policy = |spec: &str| {
        format!(
            "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: p, namespace: n}}\nspec: {{hosts: [a.example]{spec}}}\n"
        )
    };
    let https = "number: 443, name: https, protocol: HTTPS";
    let http = "number: 8080, name: http, protocol: HTTP";
    let to_b = ", fallback: [{host: b.example, credential: {env: KEY}}]";
    for (mesh, is_error, is_warning) in [
        (
            entry("a.example", https, "10.0.0.1") + &disable("a.example") + &policy(""),
            true,
            true,
        ),
        (
            entry("a.example", https, "10.0.0.1") + &disable("'*.example'") + &policy(""),
            true,
            true,
        ),
        (
            entry("a.example", http, "10.0.0.1")
                + &entry("b.example", https, "b.vendor.example")
                + &disable("b.example")
                + &policy(to_b),
            true,
            true,
        ),
        // No key goes there.
        (
            entry("a.example", http, "10.0.0.1")
                + &entry("b.example", https, "10.0.0.2")
                + &disable("b.example")
                + &policy(""),
            false,
            true,
        ),
        (
            entry("a.example", https, "10.0.0.1") + &disable("a.example"),
            false,
            true,
        ),
        // It stays on this machine.
        (
            entry("a.example", https, "127.0.0.1") + &disable("a.example") + &policy(""),
            false,
            true,
        ),
        (
            entry("a.example", https, "localhost") + &disable("a.example") + &policy(""),
            false,
            true,
        ),
        // The port is not said to wait for TLS.
        (
            entry("a.example", http, "10.0.0.1") + &disable("a.example") + &policy(""),
            false,
            false,
        ),
        (
            entry("a.example", https, "10.0.0.1") + &policy(""),
            false,
            false,
        ),
    ] {
        let loaded = load_text(&mesh);
        let error = has(&loaded, Severity::Error, "key-in-plain-text");
        assert_eq!(error, is_error, "{mesh}\n{:?}", loaded.diagnostics);
        assert_eq!(loaded.model.is_none(), is_error, "{mesh}");
        let warned = has(&loaded, Severity::Warning, "plain-text-to-tls");
        assert_eq!(warned, is_warning, "{mesh}");
        if is_error {
            // Lenient reading leaves the rule out, and TLS is spoken.
            let options = Options::default().with_lenient(true);
            let lenient = load(&[Source::new("a.yaml", &*mesh)], &options);
            assert_eq!(lenient.left_out.len(), 1, "{mesh}");
            let model = lenient.model.expect("the rest is served");
            let mut clusters = model.clusters.values();
            let all = clusters.all(|c| c.tls.is_some() || c.name.port == 8080);
            assert!(all, "{mesh}");
        }
    }
}
