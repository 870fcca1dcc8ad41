//! What kind of resource a document is, and which reader takes it.
//!
//! A folder holds more than resources. What is not for the mesh is noted and stops nothing, whatever it looks like; what
//! is for the mesh and wrong is an error, and no other resource's. Each resource is therefore read on its own, and what
//! was found is judged once it is read.

use std::sync::Arc;

use super::{
    decode::{Cx, Field},
    diagnostic::{Origin, Place, Report, Severity},
    document::{self, Document, Problem},
    file::{FILL_IN, File, OPEN},
    foreign,
    guard::Guard,
    istio::mesh_config,
    kinds::{self, Class},
    left_out::{Id, LeftOut},
    marks,
    read::off_mesh,
    reader::{Reader, Resources},
    source::Source,
};

/// The rules that hold inside the mesh only.
const MESH_ONLY: [&str; 2] = ["wildcard-host", "jwt-claim-match"];

// === impl Reader ===

impl Reader<'_> {
    /// Reads all documents of a file.
    pub(super) fn file(&self, order: usize, source: &Source, out: &mut Resources) {
        let name: Arc<str> = source.name.as_str().into();
        let place = Place::file(order, &name);
        let text = source.text.as_str();
        if let Some((certain, message, hint)) = source.unread(document::MAX_BYTES) {
            let ours = certain || marks::names_mesh(text);
            out.guards
                .extend(Guard::of_skipped(text, &place, self.namespace));
            self.unreadable(&place, "file-not-read", (message, hint), ours, out);
            return;
        }
        if self.patches.contains(&foreign::normal(&name)) {
            let message = "a patch of a kustomization, not a resource: it is not read";
            let hint = "load what `kustomize build` gives";
            self.report.note(&place, "kustomize-patch", message, hint);
            let parsed = document::parse(text);
            for root in parsed.iter().filter_map(|d| d.root.as_ref()) {
                let origin = Arc::clone(&place.origin);
                let cx = Cx {
                    report: self.report,
                    origin,
                };
                out.guards.extend(Guard::of_patch(&Field::root(cx, root)));
            }
            return;
        }
        let documents = document::parse(text);
        if !self.ours.contains(&name) && documents.iter().any(is_template) {
            let message = "a template, not a resource: it is not read";
            let hint = "load what it renders to, as with `helm template`";
            self.report.note(&place, "template", message, hint);
            out.guards
                .extend(Guard::of_skipped(text, &place, self.namespace));
            return;
        }
        let file = File::new(&name, text);
        for document in &documents {
            let origin = Arc::new(Origin {
                order,
                file: Arc::clone(&name),
                document: document.number,
                layer: source.layer,
                ..Origin::default()
            });
            let Some(root) = document.root.as_ref() else {
                self.broken(&file, &origin, document, out);
                continue;
            };
            let cx = Cx {
                report: self.report,
                origin,
            };
            self.document(&file, Field::root(cx, root), &document.problems, out);
        }
    }

    /// A document that is no YAML.
    fn broken(
        &self,
        file: &File<'_>,
        origin: &Arc<Origin>,
        document: &Document,
        out: &mut Resources,
    ) {
        for problem in &document.problems {
            let place = problem.place(origin);
            if document.names_mesh {
                let text = file.document_at(problem.line);
                let guards = Guard::of_text(&text, &place, self.namespace);
                out.guards.extend(guards);
                out.security.close_text(&text, &place, self.namespace);
            }
            if document.names_mesh && file.has_placeholder(problem.line) {
                self.report.warn(&place, "placeholder", OPEN, FILL_IN);
                continue;
            }
            let said = (problem.message.clone(), problem.hint);
            self.unreadable(&place, problem.rule, said, document.names_mesh, out);
        }
    }

    /// Text that cannot be read: an error if it holds, or may hold, a resource.
    fn unreadable(
        &self,
        place: &Place,
        rule: &'static str,
        (message, hint): (String, &'static str),
        ours: bool,
        out: &mut Resources,
    ) {
        if !ours && !self.ours.contains(&place.origin.file) {
            let message = format!("{message}; it shows no resource of the mesh, and is ignored");
            self.report.note(place, rule, message, hint);
            return;
        }
        let found = Report::default();
        found.error(place, rule, message, hint);
        if self.lenient {
            out.left_out
                .extend(found.first_error().map(|d| LeftOut::of(&d)));
        } else {
            out.incomplete = true;
        }
        self.report.absorb(found);
    }

    fn document(
        &self,
        file: &File<'_>,
        field: Field<'_>,
        problems: &[Problem],
        out: &mut Resources,
    ) {
        if mesh_config::is_one(&field) {
            return;
        }
        if field.peek(&[]).is_some_and(foreign::is_patch) {
            let message = "a patch for kustomize (`$patch`), not a resource: it is not read";
            let hint = "load what `kustomize build` gives";
            field.note("kustomize-patch", message, hint);
            out.guards.extend(Guard::of_patch(&field));
            return;
        }
        let version = field.peek_str(&["apiVersion"]);
        let kind = field.peek_str(&["kind"]);
        let (Some(version), Some(kind)) = (version, kind) else {
            self.nameless(file, &field, out);
            return;
        };
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        if kind.ends_with("List")
            && (kind == "List" || kinds::is_read(group, kind.trim_end_matches("List")))
            && let Some(items) = field.step("items").filter(|items| !items.is_null())
        {
            let items = items.list();
            for (index, item) in items.iter().enumerate() {
                let lines = item.line()..items.get(index + 1).map_or(u32::MAX, Field::line);
                let own: Vec<_> = problems
                    .iter()
                    .filter(|problem| lines.contains(&problem.line))
                    .cloned()
                    .collect();
                self.document(file, item.clone(), &own, out);
            }
            return;
        }
        let namespace = field.peek_str(&["metadata", "namespace"]);
        let name = field.peek_str(&["metadata", "name"]);
        let outer = field.origin();
        let origin = Arc::new(Origin {
            order: outer.order,
            file: Arc::clone(&outer.file),
            document: outer.document,
            layer: outer.layer,
            kind: kind.to_owned(),
            namespace: namespace.unwrap_or(self.namespace).to_owned(),
            name: name.unwrap_or_default().to_owned(),
        });
        let field = field.with_origin(origin);
        self.resource(file, &field, (group, version), problems, out);
    }

    /// Reads a resource, and takes it if nothing is wrong with it.
    fn resource(
        &self,
        file: &File<'_>,
        field: &Field<'_>,
        (group, version): (&str, &str),
        problems: &[Problem],
        out: &mut Resources,
    ) {
        let origin = field.origin();
        let mut found = Report::default();
        let mut own = Resources::default();
        let class = self.read(
            (&field.with_report(&found), (group, version)),
            out,
            &mut own,
        );
        match class {
            Some(Class::Other) => {
                self.report.absorb(found);
                for (name, secret) in own.secrets {
                    out.secrets.entry(name).or_insert(secret);
                }
                return;
            }
            Some(Class::Workload) => found.soften(),
            _ => {
                for problem in problems {
                    let place = problem.place(origin);
                    found.error(&place, problem.rule, problem.message.as_str(), problem.hint);
                }
            }
        }
        if class.is_some() {
            own.facts.read(field);
        }
        if own.is_off_mesh() {
            found.retain(|d| d.severity == Severity::Error && !MESH_ONLY.contains(&d.rule));
            off_mesh(&field.with_report(&found), &own);
        }
        if !self.is_good(file, field, found, out) {
            let guard = Guard::of(field, self.namespace).or_else(|| Guard::of_patch(field));
            out.guards.extend(guard);
            out.security.close(field);
            return;
        }
        let first = out.seen.get(&origin.id());
        if class.is_none() && first.is_some_and(|first| first.origin.layer == origin.layer) {
            // The second of a name, which would be the last to be applied.
            out.guards.extend(Guard::of_patch(field));
        }
        if matches!(class, Some(Class::Mesh | Class::Topology)) {
            if !origin.name.is_empty() {
                out.seen.insert(origin.id(), field.place());
            }
            out.files.insert(Arc::clone(&origin.file));
            let named = field.peek_str(&["metadata", "namespace"]);
            out.namespaces.extend(named.map(str::to_owned));
        }
        if !own.security.is_empty() {
            out.files.insert(Arc::clone(&origin.file));
        }
        out.append(own);
    }

    /// Whether a resource counts, judged by what was found in it.
    fn is_good(
        &self,
        file: &File<'_>,
        field: &Field<'_>,
        found: Report,
        out: &mut Resources,
    ) -> bool {
        let errors = found.errors();
        let excuse = file.excuse(&errors.iter().collect::<Vec<_>>());
        if let (Some((severity, rule, message)), false) = (excuse, errors.is_empty()) {
            self.report
                .add(&field.place(), severity, rule, message, FILL_IN);
            return false;
        }
        self.report.absorb(found);
        if !self.lenient {
            return true;
        }
        let refused = self.refused.get(&Id::of(field.origin()));
        if let Some(finding) = refused {
            self.report.keep(finding.clone());
        }
        let first = errors.first().or(refused);
        out.left_out.extend(first.map(LeftOut::of));
        first.is_none()
    }

    /// A document without `apiVersion` or `kind`.
    fn nameless(&self, file: &File<'_>, field: &Field<'_>, out: &mut Resources) {
        let text = |key: &str| field.peek_str(&[key]);
        let (version, kind) = (text("apiVersion"), text("kind"));
        if kinds::is_half_known(version, kind) {
            let missing = if version.is_none() {
                "apiVersion"
            } else {
                "kind"
            };
            let message = format!("`{missing}` is missing, or no string");
            let hint = "such as apiVersion: networking.istio.io/v1, kind: VirtualService";
            let found = Report::default();
            found.error(&field.place(), "missing-field", message, hint);
            if !self.is_good(file, field, found, out) {
                out.guards.extend(Guard::of(field, self.namespace));
            }
            return;
        }
        let headless = [["metadata", "name"].as_slice(), &["spec"]];
        if version.or(kind).is_none() && headless.iter().all(|path| field.peek(path).is_some()) {
            let message = "not a Kubernetes object: it has `metadata` and `spec`, but neither `apiVersion` nor `kind`, and is ignored";
            field.warn("not-kubernetes", message, "add both");
            out.guards.extend(Guard::of(field, self.namespace));
            return;
        }
        let message = "not a Kubernetes object: it is ignored";
        field.note("not-kubernetes", message, "");
    }
}

/// Whether a document is a template, by its text or by what a resource in it holds.
fn is_template(document: &Document) -> bool {
    let Some(root) = &document.root else {
        return document.template;
    };
    let text = |name: &str| root.get(name).and_then(|node| node.as_str());
    let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return false;
    };
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    kinds::is_read(group, kind) && foreign::is_templated(root)
}
