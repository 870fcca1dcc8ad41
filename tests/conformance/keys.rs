//! Keys in `LlmPolicy`: where they are read from, who callers are, and that no finding repeats one.

use llmesh::{
    config::{Loaded, Options, Severity, Source, load},
    layers::{
        callers::{Caller, CallerKey, Digest},
        fallback::{Credential, KeyHeader, OwnKey},
        limit::tokens::By,
    },
    model::LlmPolicy,
};

const MESH: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm.ai.svc.cluster.local]
  resolution: STATIC
  ports: [{name: http, number: 8080, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: p, namespace: ai}
spec:
  hosts: [llm]
";

/// `printf %s abc | sha256sum`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A key, as somebody might paste it.
const KEY: &str = "sk-PASTED-0123456789";

fn loaded(spec: &str) -> Loaded {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("{MESH}{spec}");
    load(&[Source::new("m.yaml", text)], &Options::default())
}

fn compiled(spec: &str) -> LlmPolicy {
    let loaded = loaded(spec);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let model = loaded.model.expect("it can be read");
    let policy = model.virtual_hosts[0].llm[0].as_deref();
    policy.expect("there is one").clone()
}

#[test]
fn a_key_of_the_own_target_has_a_place_a_header_and_may_stand_in() {
    let own = |spec: &str| compiled(spec).credential;
    assert_eq!(own(""), None);
    let env = || OwnKey::new(Credential::Env("K".into()));
    assert_eq!(own("credential: {env: K}"), Some(env()));
    for (word, header) in [
        ("authorization", KeyHeader::Authorization),
        ("x-api-key", KeyHeader::XApiKey),
        ("api-key", KeyHeader::ApiKey),
        ("x-goog-api-key", KeyHeader::XGoogApiKey),
    ] {
        let spec = format!("credential: {{env: K, header: {word}, passthrough: true}}");
        let expected = env().with_header(header).with_passthrough(true);
        assert_eq!(own(&spec), Some(expected));
        let spec = format!("fallback: [{{model: m, credential: {{env: K, header: {word}}}}}]");
        assert_eq!(compiled(&spec).fallback.targets[0].header, Some(header));
    }
    let only = OwnKey::default().with_passthrough(true);
    assert_eq!(own("credential: {passthrough: true}"), Some(only));
    assert!(!compiled("").plaintext);
    assert!(compiled("credentials: {plaintext: true}").plaintext);
}

#[test]
fn callers_have_names_keys_models_and_limits() {
    let policy = compiled(&format!(
        "callers:
- {{name: web, sha256: {ABC}, models: [gpt-4o*, small], limits: [{{requestsPerMinute: 60}}, {{name: t, tokensPerMinute: 9}}]}}
- {{name: Team.B_2@x, sha256: ['sha256:{}'], env: B_KEY, file: /run/b}}
limits: [{{key: {{caller: true}}, requestsPerMinute: 1}}]",
        ABC.replace("ba78", "0000").to_uppercase()
    ));
    let web = Caller::new("web")
        .with_sha256(Digest::of(b"abc"))
        .with_model("gpt-4o*")
        .with_model("small");
    assert_eq!(policy.callers[0], web);
    let [
        CallerKey::Sha256(other),
        CallerKey::Stored(env),
        CallerKey::Stored(file),
    ] = policy.callers[1].keys.as_slice()
    else {
        panic!("{:?}", policy.callers[1]);
    };
    assert_ne!(*other, Digest::of(b"abc"));
    assert_eq!(env, &Credential::Env("B_KEY".into()));
    assert_eq!(file, &Credential::File("/run/b".into()));
    let limits = policy.limits.limits.iter();
    let limits: Vec<_> = limits.map(|l| (&*l.name, l.caller.as_deref())).collect();
    assert_eq!(
        limits,
        [
            ("ai/p/caller", None),
            ("ai/p/web/route", Some("web")),
            ("ai/p/web/t", Some("web")),
        ]
    );
    assert_eq!(policy.limits.limits[0].by, By::Caller);
    let shown = format!("{policy:?}");
    assert!(!shown.contains("ba78") && !shown.contains("186"), "{shown}");
}

const HASH: &str =
    "hint: `printf %s \"$KEY\" | sha256sum` prints the `sha256`; never write the key itself";

#[test]
fn what_is_wrong_is_said_without_a_key() {
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let bad_hash = "error[bad-hash] spec.callers[0].sha256: this is no SHA-256 of a key: 64 hexadecimal digits";
    for (spec, expected) in [
        (format!("credential: {KEY}"), "error[bad-credential] spec.credential: a credential says where its key is, `env` or `file`, or that keys of callers pass through"),
        (format!("credential: {{env: {KEY}}}"), "error[bad-credential] spec.credential.env: this is no name of an environment variable"),
        (format!("credential: {{file: {KEY}}}"), "error[bad-credential] spec.credential.file: this is no absolute path of a file"),
        (format!("credential: {{env: A, header: {KEY}}}"), "error[bad-key-header] spec.credential.header: no key is sent in this header"),
        ("credential: {env: A, header: key}".to_owned(), "hint: authorization (as `Bearer`), x-api-key, api-key or x-goog-api-key"),
        ("credential: {env: A, file: /b}".to_owned(), "error[one-of] spec.credential: `env` and `file` exclude each other"),
        ("credential: {}".to_owned(), "error[bad-credential]"),
        ("credential: {passthrough: true, header: api-key}".to_owned(), "warning[header-without-key] spec.credential.header: there is no key to put in it"),
        ("credential: {env: A, passthru: true}".to_owned(), "error[unknown-field] spec.credential.passthru: `passthru` is not a field here"),
        ("credentials: {plaintxt: true}".to_owned(), "error[unknown-field] spec.credentials.plaintxt"),
        ("callers: []".to_owned(), "error[empty-callers] spec.callers: `callers` is empty: nobody could come in"),
        (format!("callers: {{web: {KEY}}}"), "error[wrong-type] spec.callers: expected a list, found a mapping"),
        ("callers: [{name: web}]".to_owned(), "error[caller-without-key] spec.callers[0]: a caller is known by its key: `sha256`, `env` or `file`"),
        (format!("callers: [{{sha256: {ABC}}}]"), "spec.callers[0]"),
        (format!("callers: [{{name: web, sha256: {KEY}}}]"), bad_hash),
        (format!("callers: [{{name: web, sha256: {KEY}}}]"), HASH),
        (format!("callers: [{{name: web, sha256: {}}}]", &ABC[2..]), bad_hash),
        (format!("callers: [{{name: web, sha256: {ABC}00}}]"), bad_hash),
        (format!("callers: [{{name: web, sha256: [{ABC}, {KEY}]}}]"), "error[bad-hash] spec.callers[0].sha256[1]: this is no SHA-256 of a key"),
        ("callers: [{name: web, sha256: 12345678}]".to_owned(), "error[bad-hash] spec.callers[0].sha256: expected the SHA-256 of a key as text"),
        (format!("callers: [{{name: web, sha256: {of_nothing}}}]"), "error[bad-hash] spec.callers[0].sha256: this is the SHA-256 of an empty text, which is no key"),
        (format!("callers: [{{name: web, env: {KEY}}}]"), "error[bad-credential] spec.callers[0].env: this is no name of an environment variable"),
        (format!("callers: [{{name: web, key: {KEY}}}]"), "error[unknown-field] spec.callers[0].key"),
        (format!("callers: [{{name: web, key: {KEY}}}]"), "hint: write `env: WEB_KEY`: the variable holds the key; or `file` with the path of a file, or `sha256`"),
        (format!("callers: [{{name: web, apiKey: {{value: {KEY}}}}}]"), "hint: write `env: WEB_KEY`"),
        (format!("callers: [{{name: '{KEY} {KEY}', env: A}}]"), "error[bad-name] spec.callers[0].name: a caller's name has 1 to 64 characters"),
        ("callers: [{name: '', env: A}]".to_owned(), "error[bad-name] spec.callers[0].name"),
        ("callers: [{name: web, env: A}, {name: web, env: B}]".to_owned(), "error[duplicate-caller] spec.callers[1]: \"web\" is already the name of the caller in line 16"),
        (format!("callers: [{{name: a, sha256: {ABC}}}, {{name: b, sha256: {}}}]", ABC.to_uppercase()), "error[duplicate-caller-key] spec.callers[1]: it has a key of \"a\" in line 16: one key is one caller's"),
        ("callers: [{name: a, env: K}, {name: b, env: K}]".to_owned(), "error[duplicate-caller-key] spec.callers[1]"),
        ("callers: [{name: web, env: A, models: []}]".to_owned(), "error[empty-models] spec.callers[0].models: `models` is empty: the caller could use none"),
        ("callers: [{name: web, env: A, models: ['']}]".to_owned(), "error[bad-name] spec.callers[0].models[0]"),
        ("callers: [{name: web, env: A, limits: [{}]}]".to_owned(), "error[empty-limit] spec.callers[0].limits[0]"),
        ("limits: [{name: web/route, requestsPerMinute: 1}]\ncallers: [{name: web, env: A, limits: [{requestsPerMinute: 1}]}]".to_owned(), "error[duplicate-limit] spec.callers[0]: a limit is called \"ai/p/web/route\" already"),
        ("limits: [{key: {caller: true}, requestsPerMinute: 1}]".to_owned(), "warning[limit-without-callers] spec.limits: a limit is for each caller, and no callers are named"),
    ] {
        let loaded = loaded(&spec);
        let all: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let all = all.join("\n").replace("LlmPolicy ai/p ", "");
        assert!(all.contains(expected), "{spec}\n{all}");
        let shown = format!("{all} {:?} {:?}", loaded.diagnostics, loaded.model);
        for secret in ["PASTED", "12345678", "ba7816", "BA7816", "e3b0c4"] {
            assert!(!shown.contains(secret), "{spec}\n{shown}");
        }
    }
}

#[test]
fn what_becomes_of_keys_on_their_way_is_told() {
    let far = |spec: &str| {
        let text = MESH.replace("127.0.0.1", "10.0.0.1");
        let more = "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: ai}
spec:
  hosts: [api.example]
  resolution: DNS
  ports: [{name: https, number: 443, protocol: HTTPS}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  http:
  - {name: own, route: [{destination: {host: llm}}], headers: {request: {set: {authorization: Bearer k}}}}
";
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("{}{spec}{more}", text.replace("  hosts: [llm]\n", ""));
        let loaded = load(&[Source::new("m.yaml", text)], &Options::default());
        let warned = loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Warning);
        warned
            .map(|d| (d.rule, d.message.clone()))
            .collect::<Vec<_>>()
    };
    let without_tls = "its keys are not sent to llm.ai.svc.cluster.local, which is spoken to without TLS: such requests are answered 503";
    let overwritten = "route \"own\" of llm.ai.svc.cluster.local:8080 puts a key in `authorization` before the policy looks at the callers': one that comes there is lost";
    let astray = "its key goes to all hosts of the policy: api.example, llm.ai.svc.cluster.local";
    for (spec, expected) in [
        (
            "hosts: [llm]\ncredential: {env: K}",
            vec![("key-without-tls", without_tls)],
        ),
        (
            "hosts: [llm]\ncredential: {env: K}\ncredentials: {plaintext: true}",
            vec![],
        ),
        ("hosts: [llm]\ncredential: {passthrough: true}", vec![]),
        ("hosts: [api.example]\ncredential: {env: K}", vec![]),
        (
            "hosts: [api.example]\nfallback: [{host: llm, credential: {env: K}}]",
            vec![("key-without-tls", without_tls)],
        ),
        ("hosts: [api.example]\nfallback: [{host: llm}]", vec![]),
        (
            "hosts: [llm]\ncallers: [{name: a, env: A}]",
            vec![("caller-key-overwritten", overwritten)],
        ),
        (
            "credential: {env: K}\ncredentials: {plaintext: true}",
            vec![("key-for-all-hosts", astray)],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(r, m)| (r, m.to_owned()))
            .collect();
        assert_eq!(far(spec), expected, "{spec}");
    }
}
