//! Folders as platform teams have them: what is not for the mesh does no harm there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use llmesh::config::{Loaded, Options, Severity, load, read_paths, read_trees};

use crate::load_text;

const SERVICE: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a.n.svc.cluster.local]\n  resolution: STATIC\n  ports: [{number: 80, name: http}]\n  endpoints: [{address: 127.0.0.1}]\n";

/// A folder of its own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "llmesh-folders-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = Self(std::env::temp_dir().join(name));
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, bytes).expect("it can be written");
    }

    fn load(&self) -> Loaded {
        let sources = read_paths(std::slice::from_ref(&self.0), &[]).expect("it can be read");
        load(&sources, &Options::default())
    }

    fn load_trees(&self) -> Loaded {
        let sources = read_trees(std::slice::from_ref(&self.0), &[]).expect("it can be read");
        load(&sources, &Options::default())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asserts that there are notes at most, and that the one service is served.
fn harmless(loaded: &Loaded) {
    let other: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(ToString::to_string)
        .collect();
    assert_eq!(other, Vec::<String>::new());
    let hosts = &loaded
        .model
        .as_ref()
        .expect("nothing is wrong")
        .virtual_hosts;
    let hosts: Vec<_> = hosts.iter().map(|host| host.domains[0].as_str()).collect();
    assert_eq!(hosts, ["a.n.svc.cluster.local"]);
}

fn rules(loaded: &Loaded) -> Vec<(String, &'static str)> {
    let name = |d: &llmesh::config::Diagnostic| {
        let name = Path::new(&*d.file).file_name();
        name.and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned()
    };
    loaded
        .diagnostics
        .iter()
        .map(|d| (name(d), d.rule))
        .collect()
}

#[test]
fn files_of_other_tools_are_notes() {
    for (name, text) in [
        (
            "Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 0.1.0\ndependencies: []\n",
        ),
        ("Chart.yaml", "name: shop\nversion: 0.1.0\n"),
        (
            "values.yaml",
            "replicas: 2\nkind: DaemonSet\nimage: {tag: \"\"}\n",
        ),
        ("values.yaml", "# nothing\n"),
        (
            "values.schema.json",
            "{\"$schema\": \"http://json-schema.org/schema#\", \"type\": \"object\"}",
        ),
        (
            "kustomization.yaml",
            "resources: [a.yaml]\nnamePrefix: x-\n",
        ),
        (
            "kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
        ),
        ("kustomization.yaml", "kind: Component\nresources: []\n"),
        (
            "docker-compose.yml",
            "version: '3'\nx-base: &base {restart: always, image: a}\nservices:\n  b:\n    <<: *base\n    image: b\n",
        ),
        (
            "ci.yml",
            "on: [push]\njobs:\n  t:\n    steps:\n    - run: echo ${{ github.sha }}\n    - run: |\n        {{ x }}\n",
        ),
        (".gitlab-ci.yml", "a: [\n"),
        (
            "gitlab-ci.yml",
            "test:\n  script: !reference [.setup, script]\n",
        ),
        ("drone.yml", "kind: pipeline\ntype: docker\nsteps: []\n"),
        (
            "playbook.yml",
            "- hosts: all\n  tasks:\n  - debug: msg=\"{{ x }}\"\n",
        ),
        (
            "vars.yml",
            "password: !vault |\n  $ANSIBLE_VAULT;1.1\n  00\n",
        ),
        (
            "cf.yaml",
            "Resources:\n  B:\n    Name: !Sub \"${A}-b\"\n    Arn: !GetAtt [B, Arn]\n",
        ),
        (
            "openapi.yaml",
            "openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths:\n  /a: {get: {responses: {200: {description: ok}}}}\n",
        ),
        ("swagger.json", "{\"swagger\": \"2.0\", \"paths\": {}}"),
        (
            "dashboard.json",
            "{\n\t\"title\": \"t\",\n\t\"panels\": [{\"targets\": [{\"expr\": \"sum(rate(x{a=\\\"{{b}}\\\"}[5m]))\"}]}]\n}\n",
        ),
        (
            "package.json",
            "{\"name\": \"x\", \"scripts\": {\"a\": \"b\"}}",
        ),
        ("tsconfig.json", "{\n  // a comment\n  \"a\": 1,\n}\n"),
        ("list.json", "[1, 2, 3]"),
        ("word.yaml", "hello\n"),
        ("number.yaml", "42\n"),
        ("null.yaml", "null\n"),
        ("empty.yaml", ""),
        ("blank.yaml", "\n\n---\n---\n# nothing\n...\n"),
        ("broken.yaml", "a: b: c\n"),
        ("tabs.yaml", "a:\n\tb: 1\n"),
        ("twice.yaml", "a: 1\na: 2\n"),
        ("deep.json", &"[".repeat(1000)),
        (
            "bomb.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
        ),
        ("long.yaml", &format!("a: {}\n", "x".repeat(1 << 20))),
        (
            "crd.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: virtualservices.networking.istio.io}\nspec: {group: networking.istio.io, names: {kind: VirtualService}}\n",
        ),
        (
            "app.yaml",
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {helm: {values: \"a: {{ .Values.b }}\"}}}\n",
        ),
        (
            "sealed.yaml",
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a}\nspec: {encryptedData: {a: AgBy}}\n",
        ),
        (
            "sops.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: ENC[AES256_GCM,data:x,type:str]\nsops: {mac: y}\n",
        ),
        (
            "rules.yaml",
            "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec: {groups: [{rules: [{alert: x, annotations: {summary: \"{{ $labels.pod }}\"}}]}]}\n",
        ),
        (
            "lists.yaml",
            "apiVersion: v1\nkind: ConfigMapList\nitems: null\n---\napiVersion: v1\nkind: List\nitems: []\n",
        ),
        ("half.yaml", "kind: Thing\nmetadata: {name: a}\n"),
        (
            "half.yaml",
            "apiVersion: example.com/v1\nmetadata: {name: a}\n",
        ),
    ] {
        let folder = Folder::new(&[("a.yaml", SERVICE), (name, text)]);
        harmless(&folder.load());
        // In front of the service in one file as well.
        if !name.ends_with("json") && !text.contains("{{ x }}\n") {
            harmless(&load_text(&format!("{text}\n---\n{SERVICE}")));
        }
    }
}

#[test]
fn a_chart_is_a_note() {
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [a]\n  http:\n  - route: [{destination: {host: a}}]\n";
    for template in [
        format!("{{{{- if .Values.mesh.enabled }}}}\n{route}{{{{- end }}}}\n"),
        route.replace("[a]", "\n  {{- range .Values.hosts }}\n  - {{ . }}\n  {{- end }}"),
        route.replace("name: a", "name: {{ include \"shop.name\" . }}"),
        route.replace("name: a", "name: \"{{ include \"shop.name\" . }}\""),
        // YAML by its looks.
        route.replace("hosts: [a]", "hosts: [\"{{ .Values.host }}\"]"),
        route.replace("host: a", "host: '{{ .Release.Name }}-a'"),
        route.replace("name: a", "name: a\n  labels: {{- include \"shop.labels\" . | nindent 4 }}"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: \"{{ .Release.Name }}\", namespace: \"{{ .Release.Namespace }}\"}\nspec: {ports: [{port: 80}]}\n".to_owned(),
        "{% if mesh %}\napiVersion: networking.istio.io/v1\nkind: VirtualService\n{% endif %}\n".to_owned(),
    ] {
        let folder = Folder::new(&[
            ("Chart.yaml", "apiVersion: v2\nname: shop\n"),
            ("values.yaml", "mesh: {enabled: true}\n"),
            ("templates/_helpers.tpl", "{{- define \"shop.name\" -}}x{{- end -}}"),
            ("templates/NOTES.txt", "{{ x"),
            ("templates/a.yaml", SERVICE),
            ("templates/route.yaml", &template),
        ]);
        let loaded = folder.load_trees();
        harmless(&loaded);
        assert!(
            rules(&loaded).contains(&("route.yaml".to_owned(), "template")),
            "{template}: {:?}",
            rules(&loaded)
        );
    }
}

#[test]
fn braces_of_other_tools_make_no_template() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, annotations: {x: \"{{ .Values.y }}\"}}\nspec:\n  template:\n    metadata:\n      labels: {app: a}\n      annotations: {vault.hashicorp.com/agent-inject-template-a: \"{{- with secret \\\"a\\\" -}}\"}\n    spec: {containers: [{args: [\"--template={{ .Name }}\"]}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {t: \"{{ range .Alerts }}\"}\n---\n";
    harmless(&load_text(&format!("{text}{SERVICE}")));
}

#[test]
fn kustomize_patches_are_notes() {
    let base = "resources: [a.yaml]\npatches:\n- path: patches/rule.yaml\n- {path: ops.json, target: {kind: VirtualService}}\npatchesStrategicMerge: [./half.yaml]\n";
    let folder = Folder::new(&[
        ("a.yaml", SERVICE),
        ("kustomization.yaml", base),
        (
            "patches/rule.yaml",
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n",
        ),
        (
            "ops.json",
            "[{\"op\": \"add\", \"path\": \"/spec/http/0/timeout\", \"value\": \"5s\"}]",
        ),
        (
            "half.yaml",
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n$patch: delete\n",
        ),
        // Not listed, and told by its name.
        (
            "overlays/b/patch-route.yaml",
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a]}\n",
        ),
    ]);
    let loaded = folder.load_trees();
    harmless(&loaded);
    let mut told: Vec<_> = rules(&loaded)
        .into_iter()
        .filter(|(_, rule)| *rule == "kustomize-patch")
        .collect();
    told.sort();
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["half.yaml", "ops.json", "patch-route.yaml", "rule.yaml"]
    );
    // A kustomization without extension counts too, and a patch that says so whoever lists it.
    let half = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {http: [{timeout: 3s}]}\n";
    let folder = Folder::new(&[
        ("a.yaml", SERVICE),
        (
            "Kustomization",
            "resources: [a.yaml]\npatches: [{path: p.yaml}]\n",
        ),
        ("p.yaml", half),
        (
            "gone.yaml",
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: n}\n$patch: delete\n",
        ),
        (
            "inner.yaml",
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  subsets: [{name: v1, $patch: delete}]\n",
        ),
    ]);
    let loaded = folder.load();
    harmless(&loaded);
    let told = rules(&loaded);
    for name in ["p.yaml", "gone.yaml", "inner.yaml"] {
        let note = (name.to_owned(), "kustomize-patch");
        assert!(told.contains(&note), "{told:?}");
    }
    // Half a resource of another name is what it looks like.
    let folder = Folder::new(&[(
        "a.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a]}\n",
    )]);
    assert!(folder.load().model.is_none());
}

#[test]
fn places_that_are_not_filled_in_stop_nothing_and_are_told() {
    for value in ["${HOST}", "shop-$(ENV)", "<%= host %>"] {
        let text = format!(
            "{SERVICE}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts:\n  - \"{value}\"\n  http: [{{route: [{{destination: {{host: a}}}}]}}]\n"
        );
        let loaded = load_text(&text);
        let told: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| (d.rule, d.severity))
            .collect();
        assert_eq!(told, [("placeholder", Severity::Warning)], "{value}");
        assert!(loaded.model.is_some());
        // In brackets it is no YAML either.
        let open = text.replace(&format!("\n  - \"{value}\""), &format!(" [{{a: {value}}}]"));
        let loaded = load_text(&open);
        assert!(loaded.model.is_some(), "{:?}", loaded.diagnostics);
        // What is wrong elsewhere in it is an error.
        assert!(
            load_text(&text.replace("http: [", "htp: ["))
                .model
                .is_none()
        );
    }
}

#[test]
fn a_broken_resource_is_an_error_in_any_company() {
    for broken in [
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nspec: {hosts: [a\n",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nspec:\n  {}\n  action: DENY\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [\n",
        "kind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a]}\n",
    ] {
        let folder = Folder::new(&[
            ("a.yaml", SERVICE),
            ("Chart.yaml", "name: x\n"),
            ("b.yaml", broken),
        ]);
        let loaded = folder.load();
        assert!(loaded.model.is_none(), "{broken}");
        assert_eq!(
            rules(&loaded)
                .iter()
                .filter(|(name, _)| name == "b.yaml")
                .count(),
            1
        );
    }
}

#[test]
fn bytes_that_are_no_text_stop_nothing_unless_they_are_ours() {
    let utf16 = |big: bool| {
        let mut bytes = Vec::new();
        for unit in "\u{feff}".encode_utf16().chain(SERVICE.encode_utf16()) {
            bytes.extend(if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            });
        }
        bytes
    };
    for (name, bytes, good) in [
        ("latin.yaml", b"# caf\xe9\na: 1\n".to_vec(), true),
        ("image.yaml", vec![0x89, b'P', 0, 1, 2, 0xff], true),
        ("nul.yaml", b"a: \x00\n".to_vec(), true),
        (
            "ours.yaml",
            [b"# caf\xe9\n", SERVICE.as_bytes()].concat(),
            false,
        ),
    ] {
        let folder = Folder::new(&[("a.yaml", SERVICE)]);
        folder.write(name, &bytes);
        let loaded = folder.load();
        if good {
            harmless(&loaded);
        } else {
            assert_eq!(rules(&loaded), [("ours.yaml".to_owned(), "file-not-read")]);
            assert!(loaded.model.is_none());
        }
    }
    // What Windows tools write is read.
    for big in [false, true] {
        let folder = Folder::new(&[]);
        folder.write("a.yaml", &utf16(big));
        harmless(&folder.load());
    }
    for text in [
        format!("\u{feff}{SERVICE}"),
        SERVICE.replace('\n', "\r\n"),
        format!("%YAML 1.1\n---\n{SERVICE}...\n"),
    ] {
        harmless(&Folder::new(&[("a.yaml", &text)]).load());
    }
}

#[test]
fn what_is_too_large_stops_nothing_unless_it_is_ours() {
    let large = "x".repeat(17 << 20);
    let folder = Folder::new(&[
        ("a.yaml", SERVICE),
        ("dump.json", &format!("{{\"a\": \"{large}\"}}")),
    ]);
    let loaded = folder.load();
    harmless(&loaded);
    assert_eq!(rules(&loaded), [("dump.json".to_owned(), "file-not-read")]);
    let folder = Folder::new(&[("a.yaml", &format!("{SERVICE}# {large}"))]);
    assert!(folder.load().model.is_none());
}

#[test]
fn folders_are_read_flat_or_below() {
    let folder = Folder::new(&[
        ("z.yaml", "a: 1\n"),
        ("mesh/a.yaml", SERVICE),
        ("mesh/deep/b.YML", "a: 1\n"),
        (".git/config.yaml", "kind: VirtualService\n"),
        ("mesh/.hidden.yaml", "kind: VirtualService\n"),
        ("mesh/notes.txt", "kind: VirtualService\n"),
    ]);
    let flat = folder.load();
    assert_eq!(rules(&flat), [("z.yaml".to_owned(), "not-kubernetes")]);
    let all = folder.load_trees();
    harmless(&all);
    assert_eq!(all.diagnostics.len(), 2);
    fs::remove_file(folder.0.join("z.yaml")).expect("it is there");
    let error = read_paths(std::slice::from_ref(&folder.0), &[]).expect_err("nothing is read");
    assert!(
        error
            .to_string()
            .contains("only in sub-folders: -R reads them too"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_once() {
    use std::os::unix::fs::symlink;
    // A mounted ConfigMap: files lead through `..data` into a folder with a date.
    let folder = Folder::new(&[("..2026_01_01/a.yaml", SERVICE)]);
    symlink("..2026_01_01", folder.0.join("..data")).expect("a link");
    symlink("..data/a.yaml", folder.0.join("a.yaml")).expect("a link");
    symlink("nowhere.yaml", folder.0.join("gone.yaml")).expect("a link");
    symlink(".", folder.0.join("loop")).expect("a link");
    harmless(&folder.load());
    harmless(&folder.load_trees());
    // Named twice, read once.
    let paths = [folder.0.clone(), folder.0.join("a.yaml")];
    let sources = read_paths(&paths, &[]).expect("it can be read");
    assert_eq!(sources.len(), 1);
}

#[test]
fn long_values_are_cut_in_findings() {
    let long = "x".repeat(10_000);
    for text in [
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [\"{long}\"]\n"
        ),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [\"a {long} b {long}\"]\n"
        ),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {long}}}\nspec:\n  {long}: 1\n"
        ),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  http: [{{timeout: \"{long}\"}}]\n"
        ),
        format!("apiVersion: v1\nkind: {long}\n"),
        format!("apiVersion: networking.istio.io/v1\nkind: {long}\n"),
        format!("apiVersion: networking.istio.io/{long}\nkind: VirtualService\n"),
        format!("{long}: 1\napiVersion: networking.istio.io/v1\n{long}: 2\n"),
        format!("apiVersion: networking.istio.io/v1\na: *{long}\n"),
    ] {
        let loaded = load_text(&text);
        assert!(!loaded.diagnostics.is_empty());
        for found in &loaded.diagnostics {
            let shown = found.to_string();
            assert!(
                shown.len() < 1000,
                "{} characters: {}",
                shown.len(),
                &shown[..200]
            );
        }
    }
    // The end of the message stays.
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [\"{long}..\"]\n"
    );
    let loaded = load_text(&text);
    let found = loaded
        .diagnostics
        .iter()
        .find(|d| d.rule == "bad-host")
        .expect("it is no host");
    assert!(
        found.message.contains("…\": a host name has at most "),
        "{found}"
    );
}
