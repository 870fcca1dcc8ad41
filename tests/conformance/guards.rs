//! Rules that are not read and ask for TLS: no request leaves in plain text for them.

use llmesh::config::{Loaded, Options, Source, load};

const HOST: &str = "api.vendor.example";

/// The host with a port in plain HTTP, and one that waits for TLS.
fn entry() -> Source {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [{HOST}]\n  resolution: STATIC\n  ports: [{{number: 8080, name: http, protocol: HTTP}}, {{number: 443, name: https, protocol: HTTPS}}]\n  endpoints: [{{address: 10.0.0.1}}]\n"
    );
    Source::new("mesh/entry.yaml", text)
}

fn rule(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {metadata}\nspec:\n{spec}\n"
    )
}

fn read(sources: &[Source]) -> Loaded {
    let mut all = vec![entry()];
    all.extend(sources.iter().cloned());
    let options = Options::default().with_lenient(true).with_namespace("n");
    load(&all, &options)
}

/// What of the host is not sent in plain text, and whether that is said.
fn plain(loaded: &Loaded) -> bool {
    let model = loaded.model.as_ref().expect("the rest is served");
    let cluster = |port: u16| {
        let name = format!("outbound|{port}||{HOST}");
        model.clusters.get(&*name).map(|c| c.tls.is_some())
    };
    assert_eq!(cluster(443), Some(true), "the port waits for TLS");
    let mut told = loaded.diagnostics.iter();
    let told = told.any(|d| d.rule == "tls-not-in-force" && d.message.contains("answered 503"));
    assert_eq!(told, cluster(8080).is_none(), "{:?}", loaded.diagnostics);
    cluster(8080) == Some(false)
}

fn alone(text: &str) -> bool {
    plain(&read(&[Source::new("mesh/rule.yaml", text)]))
}

#[test]
fn broken_text_in_any_case_of_letters() {
    let own = "{name: a, namespace: n}";
    for spec in [
        format!("  host: {HOST}\n  trafficPolicy:\n    tls:\n      mode: simple\n     x: ["),
        format!("  host: {HOST}\n  trafficPolicy:\n    tls: {{mode: \"Mutual\""),
        format!("  host: '{HOST}'\n  trafficPolicy: {{tls: {{mode: SIMPLE}}, ["),
        format!("  host: {HOST} # the vendor\n  trafficPolicy:\n    tls: simple\n  x: ["),
        format!("  trafficPolicy: {{tls: {{mode: simple}}\n  host: {HOST}"),
    ] {
        assert!(!alone(&rule(own, &spec)), "{spec}");
    }
    for spec in [
        // A load balancer is simple too.
        format!("  host: {HOST}\n  trafficPolicy:\n    loadBalancer: {{simple: RANDOM}}\n   x: ["),
        format!("  host: {HOST}\n  trafficPolicy:\n    tls: {{mode: disable}}\n  x: ["),
        "  host: other.example\n  trafficPolicy:\n    tls:\n      mode: simple\n  x: [".to_owned(),
        format!("  host: {HOST}\n  # tls: {{mode: simple}}\n  x: ["),
    ] {
        assert!(alone(&rule(own, &spec)), "{spec}");
    }
}

#[test]
fn what_is_wrong_and_left_out() {
    let own = "{name: a, namespace: n}";
    let simple = "{tls: {mode: simple}}";
    for text in [
        rule(own, &format!("  host: {HOST}\n  trafficPolicy: {simple}")),
        rule(
            own,
            &format!("  host: {HOST}\n  trafficPolicy: {{tls: {{mode: Simple}}}}"),
        ),
        rule(own, &format!("  host: {HOST}\n  trafficPolicy: {simple}"))
            .replace("DestinationRule", "DestinatonRule"),
        rule(own, &format!("  host: {HOST}\n  trafficPolicy: {simple}"))
            .replace("kind: DestinationRule\n", ""),
        rule(
            own,
            &format!("  host: {HOST}\n  trafficPolicy: {{tls: {{mode: SIMPLE}}}}"),
        )
        .replace("networking.istio.io/v1", "networking.istio.io/v9"),
    ] {
        assert!(!alone(&text), "{text}");
    }
    let disable = "  trafficPolicy: {tls: {mode: disable}}";
    assert!(alone(&rule(own, &format!("  host: {HOST}\n{disable}"))));
}

#[test]
fn hosts_that_are_still_to_be_filled_in() {
    let own = "{name: a, namespace: n}";
    let tls = "  trafficPolicy: {tls: {mode: SIMPLE}}";
    for (host, is_plain) in [
        ("\"${NAME}.vendor.example\"", false),
        ("'{{ .Values.name }}.vendor.example'", false),
        ("{{ .Values.name }}.vendor.example", false),
        ("$(NAME).vendor.example", false),
        ("'{{ .Values.name }}.other.example'", true),
        // Nothing tells whom it is for; ports that wait for TLS get it all the same.
        ("'{{ .Values.host }}'", true),
        ("${HOST}", true),
    ] {
        let text = rule(own, &format!("  host: {host}\n{tls}"));
        assert_eq!(alone(&text), is_plain, "{host}");
    }
}

#[test]
fn templates_and_patches() {
    let template = |mode: &str| {
        rule(
            "{name: '{{ .Release.Name }}'}",
            &format!(
                "  host: {HOST}\n  trafficPolicy:\n    {{{{- if .Values.tls }}}}\n    tls:\n      mode: {mode}\n    {{{{- end }}}}"
            ),
        )
    };
    assert!(!alone(&template("SIMPLE")));
    assert!(!alone(&template("mutual")));
    // What the mesh itself would speak is its own matter.
    assert!(alone(&template("ISTIO_MUTUAL")));
    let many = format!("a: {{{{ .Values.a }}}}\n---\n{}", template("SIMPLE"));
    assert!(!alone(&many));

    // It is there as well, rendered.
    let rendered = |block: &str| {
        let spec = format!("  host: {HOST}\n  trafficPolicy: {{{block}}}");
        Source::new("mesh/rendered.yaml", rule("{name: r, namespace: n}", &spec))
    };
    let at_port = |mode: &str| {
        format!("portLevelSettings: [{{port: {{number: 8080}}, tls: {{mode: {mode}}}}}]")
    };
    let both = |block: &str| {
        let template = Source::new("mesh/templates/rule.yaml", template("SIMPLE"));
        read(&[template, rendered(block)])
    };
    assert!(plain(&both(&at_port("DISABLE"))));
    let model = both(&at_port("SIMPLE")).model.expect("it is served");
    assert!(
        model.clusters["outbound|8080||api.vendor.example"]
            .tls
            .is_some()
    );

    // Patches: of a kustomization, or by their own words; with the host or by the name of what they patch.
    let patch = |host: &str, mark: &str| {
        rule(
            "{name: r}",
            &format!("{host}  {mark}trafficPolicy: {{tls: {{mode: SIMPLE}}}}"),
        )
    };
    let kustomization = Source::new("mesh/kustomization.yaml", "patches: [{path: tls.yaml}]\n");
    let base = || rendered("loadBalancer: {simple: RANDOM}");
    let with =
        |name: &str, text: String| read(&[kustomization.clone(), base(), Source::new(name, text)]);
    assert!(!plain(&with("mesh/tls.yaml", patch("", ""))));
    assert!(!plain(&with(
        "mesh/x.yaml",
        patch("", "$patch: replace\n  ")
    )));
    assert!(!plain(&with("mesh/patch-tls.yaml", patch("", ""))));
    let other = patch("", "").replace("name: r", "name: other");
    assert!(plain(&with("mesh/tls.yaml", other)));
    let disable = patch("", "").replace("SIMPLE", "DISABLE");
    assert!(plain(&with("mesh/tls.yaml", disable)));
}

/// Rules of the caller's namespace go before those of the service's, however exact these are.
#[test]
fn a_rule_in_force_goes_before_only_where_it_would() {
    let wrong = "  trafficPolicy: {tls: {mode: SIMPLE}, loadBalancer: {simple: FOO}}";
    let good = "  trafficPolicy: {loadBalancer: {simple: RANDOM}}";
    let wide = "*.vendor.example";
    for (left_out, in_force, is_plain) in [
        (("caller", wide), ("n", HOST), false),
        (("caller", wide), ("caller", HOST), true),
        (("n", wide), ("n", HOST), true),
        (("n", HOST), ("n", wide), false),
        (("n", wide), ("n", "*.example"), false),
        (("n", HOST), ("caller", HOST), true),
        (("istio-system", HOST), ("n", wide), true),
        (("caller", HOST), ("n", HOST), false),
        (("elsewhere", HOST), ("n", HOST), true),
    ] {
        let rule = |(namespace, host): (&str, &str), name: &str, spec: &str| {
            let metadata = format!("{{name: {name}, namespace: {namespace}}}");
            rule(&metadata, &format!("  host: '{host}'\n{spec}"))
        };
        let sources = [
            entry(),
            Source::new("mesh/wrong.yaml", rule(left_out, "wrong", wrong)),
            Source::new("mesh/good.yaml", rule(in_force, "good", good)),
        ];
        let options = Options::default()
            .with_lenient(true)
            .with_namespace("caller");
        let loaded = load(&sources, &options);
        assert_eq!(plain(&loaded), is_plain, "{left_out:?} {in_force:?}");
    }
}
