//! `credentialName`: secrets of a folder and of the files.

use std::{fs, path::PathBuf};

use llmesh::{
    config::{Loaded, Options, Severity, Source, load},
    model::tls::{Identity, Revoked, Roots, Tls, Verify},
};

const CLUSTER: &str = "outbound|443||api.vendor.example";

/// A host whose rule names a secret, and more resources.
fn mesh(mode: &str, credential: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [api.vendor.example]\n  resolution: STATIC\n  ports: [{{number: 443, name: https}}]\n  endpoints: [{{address: 10.0.0.1}}]\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n}}\nspec: {{host: api.vendor.example, trafficPolicy: {{tls: {{mode: {mode}, credentialName: '{credential}'}}}}}}\n{more}"
    )
}

fn secret(name: &str, values: &str) -> String {
    format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{{name}}}\n{values}\n")
}

fn read(text: &str, options: &Options) -> (Loaded, Tls) {
    let loaded = load(&[Source::new("a.yaml", text)], options);
    let model = loaded.model.as_ref().expect("it stops nothing");
    let tls = model.clusters[CLUSTER].tls.clone();
    (loaded, tls.expect("TLS is spoken"))
}

fn roots(tls: &Tls) -> Option<&Roots> {
    match &tls.verify {
        Verify::Chain { roots, .. } => Some(roots),
        Verify::Nothing => None,
    }
}

fn warned(loaded: &Loaded, rule: &str) -> bool {
    let mut all = loaded.diagnostics.iter();
    all.any(|d| d.severity == Severity::Warning && d.rule == rule)
}

/// The values are base64 of `CERT`, `KEY` and `ROOT`.
const TLS: &str =
    "type: kubernetes.io/tls\ndata: {tls.crt: Q0VSVA==, tls.key: S0VZ, ca.crt: Uk9PVA==}";
const GENERIC: &str = "stringData: {cert: CERT, key: KEY, cacert: ROOT}";

#[test]
fn objects_of_either_kind_are_found() {
    let own = || Some(Identity::Secret("n/s".to_owned()));
    let own_roots = Roots::Secret("n/s".to_owned());
    for (values, keys) in [
        (TLS, ["tls.crt", "tls.key", "ca.crt"]),
        (GENERIC, ["cert", "key", "cacert"]),
        (
            "type: Opaque\ndata: {tls.crt: \"Q0VS\\n VA==\", tls.key: aWdub3JlZA==, ca.crt: Uk9PVA==}\nstringData: {tls.key: KEY}",
            ["tls.crt", "tls.key", "ca.crt"],
        ),
    ] {
        let text = mesh("MUTUAL", "s", &secret("name: s, namespace: n", values));
        let (loaded, tls) = read(&text, &Options::default());
        assert_eq!(tls.identity, own(), "{values}");
        assert_eq!(roots(&tls), Some(&own_roots), "{values}");
        assert_eq!(tls.unmet, None);
        let model = loaded.model.as_ref().expect("it loads");
        let held = &model.secrets["n/s"].0;
        let bytes = keys.map(|key| held[key].to_vec());
        assert_eq!(bytes, [&b"CERT"[..], b"KEY", b"ROOT"], "{values}");
        assert!(!warned(&loaded, "unknown-secret"), "{values}");
        // Nothing that is shown of it shows a value.
        let shown = format!("{loaded:?}{:?}", Source::new("a.yaml", &*text));
        for value in [
            "CERT",
            "KEY",
            "ROOT",
            "Q0VSVA",
            "S0VZ",
            "67, 69, 82",
            "75, 69, 89",
        ] {
            assert!(!shown.contains(value), "{value} in {shown}");
        }
        let (_, tls) = read(
            &mesh("SIMPLE", "s", &secret("name: s, namespace: n", values)),
            &Options::default(),
        );
        assert_eq!(
            (tls.identity.clone(), roots(&tls)),
            (None, Some(&own_roots))
        );
    }
}

#[test]
fn a_secret_by_every_name_that_it_may_have() {
    let pair = "stringData: {tls.crt: c, tls.key: k}";
    for (credential, object) in [
        ("s", "name: s, namespace: n"),
        ("kubernetes://s", "name: s, namespace: n"),
        ("kubernetes-gateway://other/s", "name: s, namespace: other"),
        ("other/s", "name: s, namespace: other"),
        ("a.b", "name: a.b, namespace: n"),
        // The caller's own namespace.
        ("s", "name: s, namespace: caller"),
    ] {
        let options = Options::default().with_namespace("caller");
        let text = mesh("MUTUAL", credential, &secret(object, pair));
        let (loaded, tls) = read(&text, &options);
        assert!(
            matches!(tls.identity, Some(Identity::Secret(_))),
            "{credential}"
        );
        // It has no authorities, so the system's are asked.
        assert_eq!(roots(&tls), Some(&Roots::System));
        assert_eq!(
            (tls.unmet, warned(&loaded, "unknown-secret")),
            (None, false)
        );
    }
    // Authorities of a secret of their own go before those beside the key.
    let more = secret("name: s, namespace: n", GENERIC)
        + &secret(
            "name: s-cacert, namespace: n",
            "stringData: {ca.crt: other}",
        );
    let (loaded, tls) = read(&mesh("MUTUAL", "s", &more), &Options::default());
    assert_eq!(roots(&tls), Some(&Roots::Secret("n/s-cacert".to_owned())));
    let model = loaded.model.expect("it loads");
    let names: Vec<_> = model.secrets.keys().collect();
    assert_eq!(names, ["n/s", "n/s-cacert"]);
}

#[test]
fn one_that_leads_nowhere_fails_its_cluster_alone() {
    let key_only = secret("name: s, namespace: n", "stringData: {tls.key: k}");
    let elsewhere = secret("name: s, namespace: m", TLS);
    let broken = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\ndata: [";
    for (mode, credential, more) in [
        ("MUTUAL", "s", ""),
        ("SIMPLE", "s", ""),
        ("MUTUAL", "s", &*key_only),
        ("SIMPLE", "s", &key_only),
        ("MUTUAL", "s", &elsewhere),
        ("MUTUAL", "s", broken),
        ("MUTUAL", "../../etc", ""),
        ("MUTUAL", "a/../b", ""),
    ] {
        let text = mesh(mode, credential, more);
        let (loaded, tls) = read(&text, &Options::default());
        assert!(tls.unmet.is_some(), "{mode} {credential} {more}");
        assert!(
            warned(&loaded, "unknown-secret"),
            "{mode} {credential} {more}"
        );
        assert_eq!(loaded.count(Severity::Error), 0, "{:?}", loaded.diagnostics);
    }
}

#[test]
fn what_is_no_base64_is_told_by_its_key() {
    let values = "data: {tls.crt: Q0VSVA==, tls.key: '%%secret%%', unrelated: '%%'}";
    let text = mesh("MUTUAL", "s", &secret("name: s, namespace: n", values));
    let (loaded, _) = read(&text, &Options::default());
    let told = loaded.diagnostics.iter().filter(|d| d.rule == "bad-secret");
    let told: Vec<_> = told.map(|d| d.message.as_str()).collect();
    assert_eq!(told, ["`tls.key` of Secret n/s (a.yaml:15) is no base64"]);
}

#[test]
fn secrets_that_nobody_names_are_nobodys_business() {
    let more =
        secret("name: s, namespace: n", "data: {a: '%%', b: [1]}") + &secret("name: s", "x: 1");
    let (loaded, _) = read(
        &mesh(
            "MUTUAL",
            "s2",
            &(more + &secret("name: s2, namespace: n", GENERIC)),
        ),
        &Options::default(),
    );
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert_eq!(loaded.model.expect("it loads").secrets.len(), 1);
}

#[test]
fn a_file_that_held_a_secret_is_broken_rather_than_foreign() {
    let rest = Source::new("a.yaml", mesh("MUTUAL", "s", ""));
    let held = Source::new("s.yaml", secret("name: s, namespace: n", GENERIC));
    let before = load(&[rest.clone(), held], &Options::default());
    let half = Source::new(
        "s.yaml",
        "---\napiVersion: v1\nkind: Secret\nstringData: {cert: [",
    );
    let options = Options::default().with_known_files(before.files);
    let after = load(&[rest, half], &options);
    assert!(after.model.is_none(), "the last one stays in force");
}

/// A folder of secrets, with files in it.
fn folder(name: &str, files: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("llmesh-secrets-{name}-{}", std::process::id()));
    for file in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, "x").expect("it can be written");
    }
    folder
}

#[test]
fn a_folder_holds_secrets_as_kubernetes_mounts_them() {
    let ns = ["n/s/tls.crt", "n/s/tls.key", "n/s/ca.crt"];
    let flat = ["s/tls.crt", "s/tls.key", "s/ca.crt"];
    let generic = ["s/cert", "s/key", "s/cacert"];
    let apart = ["n/s/tls.crt", "n/s/tls.key", "n/s-cacert/cacert"];
    for (name, files) in [
        ("ns", ns),
        ("flat", flat),
        ("generic", generic),
        ("apart", apart),
    ] {
        let folder = folder(name, &files);
        let options = Options::default().with_secrets(&folder);
        // The folder goes before objects.
        let text = mesh("MUTUAL", "s", &secret("name: s, namespace: n", GENERIC));
        let (loaded, tls) = read(&text, &options);
        let [certificate, key, ca] = files.map(|file| folder.join(file));
        assert_eq!(tls.identity, Some(Identity::Files { certificate, key }));
        assert_eq!(roots(&tls), Some(&Roots::File(ca)));
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        assert!(loaded.model.expect("it loads").secrets.is_empty());
        fs::remove_dir_all(folder).expect("it is there");
    }
    // An object serves what the folder lacks; a list of what was taken back is heeded.
    let folder = folder("some", &["n/s/ca.crt", "n/s/ca.crl"]);
    let options = Options::default().with_secrets(&folder);
    let text = mesh("MUTUAL", "s", &secret("name: s, namespace: n", GENERIC));
    let (_, tls) = read(&text, &options);
    assert!(matches!(tls.identity, Some(Identity::Secret(_))));
    let (_, tls) = read(&mesh("SIMPLE", "s", ""), &options);
    let revoked = match tls.verify {
        Verify::Chain { revoked, .. } => revoked,
        Verify::Nothing => None,
    };
    assert_eq!(revoked, Some(Revoked::File(folder.join("n/s/ca.crl"))));
    fs::remove_dir_all(folder).expect("it is there");
}

#[test]
fn a_list_of_what_was_taken_back_stands_beside_its_authorities() {
    let revoked = |tls: Tls| match tls.verify {
        Verify::Chain { revoked, .. } => revoked,
        Verify::Nothing => None,
    };
    for key in ["crl", "ca.crl"] {
        let values = format!("stringData: {{cacert: ROOT, {key}: LIST}}");
        let text = mesh("SIMPLE", "s", &secret("name: s, namespace: n", &values));
        let (loaded, tls) = read(&text, &Options::default());
        assert_eq!(revoked(tls), Some(Revoked::Secret("n/s".to_owned())));
        assert!(!warned(&loaded, "not-in-force"), "{:?}", loaded.diagnostics);
    }
    // Where the authorities are elsewhere it is not looked at, and that is said.
    let pair = secret(
        "name: s, namespace: n",
        "stringData: {cert: c, key: k, crl: LIST}",
    );
    let own = secret("name: s-cacert, namespace: n", "stringData: {cacert: ROOT}");
    let (loaded, tls) = read(&mesh("MUTUAL", "s", &(pair + &own)), &Options::default());
    assert_eq!(revoked(tls), None);
    assert!(warned(&loaded, "not-in-force"));
}

#[test]
fn a_secret_may_come_into_the_folder_later() {
    let folder = PathBuf::from("/nowhere/secrets");
    let options = Options::default().with_secrets(&folder);
    let (loaded, tls) = read(&mesh("MUTUAL", "s", ""), &options);
    let secret = folder.join("n/s");
    let files = Identity::Files {
        certificate: secret.join("tls.crt"),
        key: secret.join("tls.key"),
    };
    assert_eq!(
        (tls.identity.clone(), tls.unmet.clone()),
        (Some(files), None)
    );
    assert_eq!(roots(&tls), Some(&Roots::File(secret.join("ca.crt"))));
    assert!(warned(&loaded, "unknown-secret"));
}
