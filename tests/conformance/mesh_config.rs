//! MeshConfig in its three forms, and what it comes to.
//!
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/>

use llmesh::{
    base::{Ratio, operator::Template},
    config::{Loaded, Severity},
    metrics::access_log::{Encoding, Field, Format},
    model::{Normalization, OutboundPolicy, Settings},
    route::params::Action,
};

use crate::load_text;

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {selector: {app: a}, ports: [{name: http, port: 80}]}\n";

/// A MeshConfig alone, in the ConfigMap and in an IstioOperator.
fn forms(mesh: &str) -> [String; 3] {
    let indented = |by: &str| {
        let lines = mesh.lines().map(|line| format!("{by}{line}\n"));
        lines.collect::<String>()
    };
    [
        format!("{mesh}{SERVICE}"),
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n{}  meshNetworks: 'networks: {{}}'\n{SERVICE}",
            indented("    ")
        ),
        format!(
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: i}}\nspec:\n  profile: default\n  meshConfig:\n{}{SERVICE}",
            indented("    ")
        ),
    ]
}

fn settings(loaded: &Loaded) -> &Settings {
    let model = loaded.model.as_ref();
    &model
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
        .settings
}

/// The findings about it, as severity, rule and message.
fn found(loaded: &Loaded) -> Vec<String> {
    let all = loaded.diagnostics.iter();
    let all = all.filter(|d| !d.resource.starts_with("Service"));
    all.map(|d| format!("{}[{}] {}: {}", d.severity, d.rule, d.line, d.message))
        .collect()
}

#[test]
fn a_field_that_is_none_is_said_to_be_none() {
    let mesh = "accessLogFle: /dev/stdout\nenable_tracng: true\nnext_years: 1\ningressClass: x\n";
    let loaded = load_text(&format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: i}}\nspec:\n  meshConfig:\n    {}\n{SERVICE}",
        mesh.trim().replace('\n', "\n    ")
    ));
    assert!(loaded.model.is_some(), "it stops nothing");
    let about: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == "unknown-field")
        .map(|d| format!("{} {} {}: {}", d.severity, d.line, d.message, d.hint))
        .collect();
    let known = "is no field of a MeshConfig that is known here";
    assert_eq!(
        about,
        [
            format!("warning 6 `accessLogFle` {known}: did you mean `accessLogFile`?"),
            format!("warning 7 `enableTracng` {known}: did you mean `enableTracing`?"),
            format!("warning 8 `nextYears` {known}: "),
        ]
    );
    let noted = found(&loaded).join("\n");
    assert!(
        noted.contains("not in force in llmesh: ingressClass"),
        "{noted}"
    );
}

#[test]
fn all_forms_say_the_same() {
    let mesh = "accessLogFile: /dev/stdout
accessLogEncoding: JSON
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
defaultHttpRetryPolicy: {attempts: 4, retryOn: 'reset,503'}
pathNormalization: {normalization: MERGE_SLASHES}
enableTracing: false
defaultConfig: {tracing: {sampling: 12.5}, concurrency: 2}
trustDomain: corp.example
trustDomainAliases: [old.example]
enableAutoMtls: true
";
    let snake = "access_log_file: /dev/stdout
access_log_encoding: JSON
outbound_traffic_policy: {mode: REGISTRY_ONLY}
default_http_retry_policy: {attempts: 4, retryOn: 'reset,503'}
path_normalization: {normalization: MERGE_SLASHES}
enable_tracing: false
default_config: {tracing: {sampling: 12.5}}
trust_domain: corp.example
trust_domain_aliases: [old.example]
something_new: {a: 1}
";
    for text in forms(mesh).iter().chain(&forms(snake)) {
        let loaded = load_text(text);
        let settings = settings(&loaded);
        let log = settings.access_log.as_ref().expect("a log");
        assert_eq!(log.file, "/dev/stdout");
        assert_eq!(log.format, Format::from(Encoding::Json));
        assert_eq!(settings.outbound, Some(OutboundPolicy::RegistryOnly));
        assert_eq!(settings.normalization, Normalization::MergeSlashes);
        assert_eq!(settings.tracing, Some(false));
        assert_eq!(settings.sampling, Ratio::from_percent(12.5).ok());
        assert_eq!(settings.trust_domain.as_deref(), Some("corp.example"));
        assert_eq!(settings.trust_domain_aliases, ["old.example"]);
        let host = &loaded.model.as_ref().unwrap().virtual_hosts[0];
        let Action::Forward(forward) = &host.routes[0].action else {
            panic!("{host:?}");
        };
        assert_eq!(forward.retry.retries, 4);
        assert_eq!(forward.retry.retry_on.to_string(), "reset,503");
        // The rest is told, and stops nothing.
        let found = found(&loaded);
        for told in &found {
            let unknown =
                told.starts_with("warning[unknown-field]") && told.contains("somethingNew");
            assert!(
                told.starts_with("note[not-in-force]") || unknown,
                "{found:?}"
            );
        }
        let named = |f: &String| f.contains("enableAutoMtls") || f.contains("somethingNew");
        assert!(found.iter().any(named), "{found:?}");
    }
}

#[test]
fn nothing_said_is_nothing_changed() {
    for text in [
        SERVICE.to_owned(),
        forms("rootNamespace: istio-system\n")[0].clone(),
    ] {
        let loaded = load_text(&text);
        assert_eq!(*settings(&loaded), Settings::default());
    }
    // A ConfigMap of another name is none of Istio's.
    let other = forms("enableTracing: false\n")[1].replace("name: istio,", "name: other,");
    assert_eq!(settings(&load_text(&other)).tracing, None);
}

#[test]
fn the_five_forms_of_paths() {
    for (name, form) in [
        ("DEFAULT", Normalization::Base),
        ("BASE", Normalization::Base),
        ("NONE", Normalization::None),
        ("MERGE_SLASHES", Normalization::MergeSlashes),
        (
            "DECODE_AND_MERGE_SLASHES",
            Normalization::DecodeAndMergeSlashes,
        ),
    ] {
        let text = format!("pathNormalization: {{normalization: {name}}}\n{SERVICE}");
        assert_eq!(settings(&load_text(&text)).normalization, form, "{name}");
    }
}

#[test]
fn log_formats_are_read_with_their_operators() {
    let log = |rest: &str| {
        let loaded = load_text(&format!("accessLogFile: /dev/stdout\n{rest}{SERVICE}"));
        let format = settings(&loaded).access_log.clone().expect("a log").format;
        (format, found(&loaded))
    };
    let text = |text: &str| Format::text(text).unwrap();
    assert_eq!(log("").0, Format::from(Encoding::Text));
    assert_eq!(
        log("accessLogFormat: \"%REQ(:METHOD)% %RESPONSE_CODE%\\n\"\n").0,
        text("%REQ(:METHOD)% %RESPONSE_CODE%")
    );
    let (format, found) = log(
        "accessLogEncoding: JSON\naccessLogFormat: '{\"code\": \"%RESPONSE_CODE%\", \"n\": 1, \"in\": {\"p\": \"%PROTOCOL%\"}}'\n",
    );
    let field = |text: &str| Field::Text(Template::parse(text).unwrap());
    let fields = vec![
        ("code".to_owned(), field("%RESPONSE_CODE%")),
        (
            "in".to_owned(),
            Field::Object(vec![("p".to_owned(), field("%PROTOCOL%"))]),
        ),
        ("n".to_owned(), Field::Fixed("1".to_owned())),
    ];
    assert_eq!((format, found.len()), (Format::json(fields), 0));
    // As Istio does with what is no object.
    let (format, found) = log("accessLogEncoding: JSON\naccessLogFormat: '%PROTOCOL%'\n");
    assert_eq!(format, Format::from(Encoding::Json));
    assert!(found[0].starts_with("warning[bad-log-format]"), "{found:?}");
    let (_, found) = log("accessLogFormat: '%DYNAMIC_METADATA(a:b)%'\n");
    assert!(
        found[0].contains("`%DYNAMIC_METADATA%` has no value"),
        "{found:?}"
    );
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (mesh, line, named) in [
        (
            "accessLogFile: /dev/stdout\naccessLogFormat: '%NO_SUCH%'\n",
            2,
            "`%NO_SUCH%` is no operator",
        ),
        (
            "enableTracing: false\npathNormalization: {normalization: SLASHES}\n",
            2,
            "\"SLASHES\" is not known here",
        ),
        (
            "enableTracing: false\ndefaultHttpRetryPolicy: {attempts: 1, retryOn: rset}\n",
            2,
            "\"rset\" is not a retry-on term",
        ),
        ("enableTracing: 'no'\n", 1, "a boolean"),
        (
            "outboundTrafficPolicy: {mode: SOME}\n",
            1,
            "\"SOME\" is not known here",
        ),
    ] {
        for (text, before) in forms(mesh).iter().zip([0, 5, 6]) {
            let loaded = load_text(text);
            assert!(loaded.model.is_none(), "{text}");
            let error = loaded
                .diagnostics
                .iter()
                .find(|d| d.severity == Severity::Error);
            let error = error.expect("an error");
            assert!(error.message.contains(named), "{error}");
            assert_eq!(error.line, before + line, "{error}\n{text}");
        }
    }
}

#[test]
fn the_first_one_wins_and_hosts_outside_stay_refused() {
    let two = format!("enableTracing: false\n---\nenableTracing: true\n{SERVICE}");
    let loaded = load_text(&two);
    assert_eq!(settings(&loaded).tracing, Some(false));
    let found = found(&loaded);
    assert!(
        found[0].starts_with("warning[mesh-config-conflict]"),
        "{found:?}"
    );
    let message = &loaded.diagnostics[0].message;
    assert!(
        message.contains("already given at test.yaml:1:"),
        "{message}"
    );
    let loaded = load_text(&format!(
        "outboundTrafficPolicy: {{mode: ALLOW_ANY}}\n{SERVICE}"
    ));
    assert_eq!(settings(&loaded).outbound, Some(OutboundPolicy::AllowAny));
    let found = crate::mesh_config::found(&loaded);
    assert!(
        found[0].contains("add a ServiceEntry") || found[0].contains("refuses hosts"),
        "{found:?}"
    );
}
