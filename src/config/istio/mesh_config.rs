//! MeshConfig: what holds for the whole mesh.
//!
//! It is read from an `IstioOperator` (`spec.meshConfig`), from the ConfigMap `istio` (key `mesh`) that Istio runs by, and
//! from a file that is nothing but a MeshConfig. Names may be written as protobuf does (`access_log_file`). The first one
//! wins, an overlay's before all others. What is not in force is noted, and stops nothing.

mod fields;

use std::sync::Arc;

use super::retries;
use crate::{
    base::{
        Ratio,
        operator::{ParseError, Template},
    },
    config::{
        Layer, Source,
        decode::{Cx, Field, nearest},
        diagnostic::{Origin, Report},
        document,
    },
    layers::{
        metrics::access_log::params::{self, Encoding, Format},
        retry,
    },
    model::{AccessLog, Normalization, OutboundPolicy, Settings},
};

/// Fields that only a MeshConfig has: a file with one of them at its top, and no `kind`, is one.
const OWN: [&str; 14] = [
    "accessLogEncoding",
    "accessLogFile",
    "accessLogFormat",
    "defaultConfig",
    "defaultHttpRetryPolicy",
    "defaultProviders",
    "enableAutoMtls",
    "enableTracing",
    "extensionProviders",
    "outboundTrafficPolicy",
    "pathNormalization",
    "rootNamespace",
    "trustDomain",
    "trustDomainAliases",
];

/// What a MeshConfig says.
#[derive(Debug, Default)]
pub(in crate::config) struct MeshConfig {
    pub(in crate::config) settings: Settings,
    /// The policy of rules without `retries`.
    pub(in crate::config) retry: Option<retry::params::Params>,
}

type JsonFields = Vec<(String, params::Field)>;

/// The fields of a message, by their names in camel case.
struct Fields<'a>(Vec<(String, Field<'a>)>);

/// Reads the MeshConfig among these texts; the default if there is none.
pub(in crate::config) fn find(
    sources: &[Source],
    default_retry: &retry::params::Params,
    report: &Report,
) -> MeshConfig {
    let mut found: Option<(MeshConfig, String)> = None;
    for layer in Layer::DOWNWARD {
        for (order, source) in sources.iter().enumerate() {
            if source.layer != layer || !may_hold_one(&source.text) {
                continue;
            }
            let file: Arc<str> = source.name.as_str().into();
            for document in document::parse(&source.text) {
                let Some(root) = &document.root else { continue };
                let origin = Arc::new(Origin {
                    order,
                    file: Arc::clone(&file),
                    document: document.number,
                    layer,
                    ..Origin::default()
                });
                let root = Field::root(Cx { report, origin }, root);
                with_mesh(&root, |mesh| match &found {
                    None => {
                        let place = mesh.place().to_string();
                        found = Some((read(mesh, default_retry), place));
                    }
                    Some((_, first)) => {
                        let message = format!(
                            "a MeshConfig is already given at {first}: this one has no effect"
                        );
                        mesh.warn("mesh-config-conflict", message, "keep one of the two");
                    }
                });
            }
        }
    }
    found.map(|(mesh, _)| mesh).unwrap_or_default()
}

/// Whether a document is or holds a MeshConfig.
pub(in crate::config) fn is_one(root: &Field<'_>) -> bool {
    match (root.peek_str(&["apiVersion"]), root.peek_str(&["kind"])) {
        (Some(version), Some("IstioOperator")) => {
            version.starts_with("install.istio.io/") && root.peek(&["spec", "meshConfig"]).is_some()
        }
        (Some("v1"), Some("ConfigMap")) => {
            let name = root.peek_str(&["metadata", "name"]).unwrap_or_default();
            (name == "istio" || name.starts_with("istio-"))
                && root.peek_str(&["data", "mesh"]).is_some()
        }
        (None, None) => {
            root.peek(&["apiVersion"]).is_none()
                && root.peek(&["kind"]).is_none()
                && root.is_mapping()
                && root
                    .entries()
                    .iter()
                    .any(|(name, _)| OWN.contains(&&*camel(name)))
        }
        _ => false,
    }
}

/// A quick look, so that large files are not read twice.
fn may_hold_one(text: &str) -> bool {
    let snake = |name: &&str| text.contains(&*snake(name));
    text.contains("meshConfig")
        || (text.contains("ConfigMap") && text.contains("mesh"))
        || OWN.iter().any(|name| text.contains(name))
        || OWN.iter().any(snake)
}

fn with_mesh(root: &Field<'_>, mut take: impl FnMut(&Field<'_>)) {
    if !is_one(root) {
        return;
    }
    if let Some(mesh) = root.step("spec").and_then(|spec| spec.step("meshConfig")) {
        let message = "of an IstioOperator only `spec.meshConfig` is read";
        root.note("not-in-force", message, "");
        take(&mesh);
    } else if let Some(mesh) = root.step("data").and_then(|data| data.step("mesh")) {
        let Some(text) = mesh.str_quietly() else {
            return;
        };
        // As many lines as stand before it in the file, so that places in it are right.
        let lines = usize::try_from(mesh.place().line.saturating_sub(1)).unwrap_or_default();
        for document in document::parse(&("\n".repeat(lines) + text)) {
            match (&document.root, document.problems.first()) {
                (Some(node), None) => take(&mesh.inside(node)),
                (_, Some(problem)) => {
                    let message = format!("`mesh` cannot be read: {}", problem.message);
                    mesh.warn("bad-mesh-config", message, problem.hint);
                }
                (None, None) => {}
            }
        }
    } else {
        take(root);
    }
}

fn read(mesh: &Field<'_>, default_retry: &retry::params::Params) -> MeshConfig {
    let mut found = MeshConfig::default();
    if mesh.is_null() {
        return found;
    }
    let mut fields = Fields::of(mesh);
    let settings = &mut found.settings;
    settings.access_log = access_log(&mut fields);
    settings.outbound = outbound(&mut fields);
    settings.normalization = normalization(&mut fields);
    settings.tracing = fields.take("enableTracing").and_then(|f| f.bool());
    settings.root_namespace = fields
        .string("rootNamespace")
        .filter(|name| name != "istio-system");
    settings.trust_domain = fields.string("trustDomain");
    settings.trust_domain_aliases = fields
        .take("trustDomainAliases")
        .map(|f| f.strings())
        .unwrap_or_default()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    if let Some(config) = fields.take("defaultConfig") {
        settings.sampling = sampling(&config);
    }
    found.retry = fields
        .take("defaultHttpRetryPolicy")
        .and_then(|field| retries::read(&field, default_retry));
    fields.note(mesh);
    found
}

fn access_log(fields: &mut Fields<'_>) -> Option<AccessLog> {
    let file = fields
        .string("accessLogFile")
        .filter(|file| !file.is_empty());
    let encoding = fields
        .take("accessLogEncoding")
        .and_then(|field| field.word(&[("TEXT", Encoding::Text), ("JSON", Encoding::Json)]));
    let encoding = encoding.unwrap_or(Encoding::Text);
    let mut format = Format::from(encoding);
    if let Some(field) = fields.take("accessLogFormat")
        && let Some(text) = field.str().filter(|text| !text.is_empty())
        && let Some(own) = log_format(&field, text, encoding)
    {
        format = own;
    }
    file.map(|file| AccessLog::new(file, format))
}

fn log_format(field: &Field<'_>, text: &str, encoding: Encoding) -> Option<Format> {
    let format = match encoding {
        Encoding::Text => Format::text(text),
        Encoding::Json => match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(object)) => json(&object).map(Format::json),
            _ => {
                let message = "this is no JSON object: Istio's own format is used";
                let hint = "such as {\"status\": \"%RESPONSE_CODE%\"}; for a text set `accessLogEncoding: TEXT`";
                field.warn("bad-log-format", message, hint);
                return None;
            }
        },
    };
    match format {
        Ok(format) => {
            for name in format.absent() {
                let message = format!("`%{name}%` has no value in llmesh: the log shows `-`");
                field.note("not-in-force", message, "");
            }
            Some(format)
        }
        Err(error) => {
            field.error("bad-log-format", error.to_string(), "");
            None
        }
    }
}

fn json(object: &serde_json::Map<String, serde_json::Value>) -> Result<JsonFields, ParseError> {
    let field = |value: &serde_json::Value| {
        Ok(match value {
            serde_json::Value::String(text) => params::Field::Text(Template::parse(text)?),
            serde_json::Value::Object(object) => params::Field::Object(json(object)?),
            other => params::Field::Fixed(other.to_string()),
        })
    };
    let fields = object.iter();
    fields
        .map(|(key, value)| Ok((key.clone(), field(value)?)))
        .collect()
}

fn outbound(fields: &mut Fields<'_>) -> Option<OutboundPolicy> {
    let field = fields.take("outboundTrafficPolicy")?;
    let mode = Fields::of(&field).take("mode")?;
    let policy = mode.word(&[
        ("REGISTRY_ONLY", OutboundPolicy::RegistryOnly),
        ("ALLOW_ANY", OutboundPolicy::AllowAny),
        ("ALLOW_ANY_DYNAMIC_DNS", OutboundPolicy::AllowAny),
    ])?;
    if policy == OutboundPolicy::AllowAny {
        let message = "the proxy refuses hosts that the mesh does not know all the same (502): a caller must not choose where requests and keys go";
        mode.note(
            "not-in-force",
            message,
            "add a ServiceEntry for each outside host",
        );
    }
    Some(policy)
}

fn normalization(fields: &mut Fields<'_>) -> Normalization {
    let mut read = || {
        let field = fields.take("pathNormalization")?;
        let form = Fields::of(&field).take("normalization")?;
        form.word(&[
            ("DEFAULT", Normalization::Base),
            ("BASE", Normalization::Base),
            ("NONE", Normalization::None),
            ("MERGE_SLASHES", Normalization::MergeSlashes),
            (
                "DECODE_AND_MERGE_SLASHES",
                Normalization::DecodeAndMergeSlashes,
            ),
        ])
    };
    read().unwrap_or_default()
}

fn sampling(config: &Field<'_>) -> Option<Ratio> {
    let tracing = Fields::of(config).take("tracing")?;
    let sampling = Fields::of(&tracing).take("sampling")?;
    Ratio::from_percent(sampling.percent()?).ok()
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn of(field: &Field<'a>) -> Self {
        let entries = field.entries().into_iter();
        Self(entries.map(|(name, field)| (camel(name), field)).collect())
    }

    /// A field that has a value.
    fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        let (_, field) = self.0.remove(at);
        (!field.is_null()).then_some(field)
    }

    fn string(&mut self, name: &str) -> Option<String> {
        self.take(name)?.str().map(str::to_owned)
    }

    /// Names those that nobody took.
    fn note(self, of: &Field<'_>) {
        let known = || fields::MESH_CONFIG.iter().copied();
        let mut names = Vec::new();
        for (name, field) in &self.0 {
            if known().any(|known| known == name) {
                names.push(name.as_str());
                continue;
            }
            // Istio may have it since: it stops nothing.
            let hint = nearest(name, known()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("`{name}` is no field of a MeshConfig that is known here");
            field.warn("unknown-field", message, hint.unwrap_or_default());
        }
        if names.is_empty() {
            return;
        }
        let message = format!(
            "of this MeshConfig these are not in force in llmesh: {}",
            names.join(", ")
        );
        of.note("not-in-force", message, "");
    }
}

/// `accessLogFile` for `access_log_file`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
