//! `fallback`: other targets, in names still to be linked.

use super::{
    credential,
    dialects::DIALECTS,
    prefix::{MAX_PATH, is_plain_path},
};
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::Place,
        names,
    },
    layers::fallback::{Credential, KeyHeader},
    llm::{Dialect, DialectMode},
};

/// A target by name.
#[derive(Debug)]
pub(in crate::config) struct TargetRef {
    pub(in crate::config) place: Place,
    /// The full name; `None` is the route's own host.
    pub(in crate::config) host: Option<(String, Place)>,
    pub(in crate::config) port: Option<(u16, Place)>,
    pub(in crate::config) subset: Option<(String, Place)>,
    pub(in crate::config) model: Option<String>,
    /// The path of its base URL.
    pub(in crate::config) path: Option<String>,
    /// The API that it is said to speak.
    pub(in crate::config) dialect: Option<Dialect>,
    pub(in crate::config) credential: Option<(Credential, Place)>,
    /// The header that carries its key.
    pub(in crate::config) header: Option<KeyHeader>,
    pub(in crate::config) account: Option<String>,
    pub(in crate::config) larger: bool,
    pub(in crate::config) prefill: bool,
}

/// The longest name of a model or account.
pub(super) const MAX_NAME: usize = 256;

/// Reads `fallback`.
pub(super) fn read(spec: &Object<'_>) -> Vec<TargetRef> {
    let mut targets: Vec<TargetRef> = Vec::new();
    for field in spec.list("fallback") {
        let Some(target) = target(&field) else {
            continue;
        };
        if let Some(first) = targets.iter().find(|first| first.same(&target)) {
            let message = format!("the same target as the one in line {}", first.place.line);
            let hint = "a target that failed is not asked again; keep one of the two";
            field.warn("fallback-repeated", message, hint);
        }
        targets.push(target);
    }
    targets
}

fn target(field: &Field<'_>) -> Option<TargetRef> {
    let object = field.object()?;
    let host = object.get("host").map(|host| host_name(&host));
    let subset = object.get("subset").map(|subset| subset_name(&subset));
    let port = object
        .get("port")
        .map(|port| Some((port.port()?, port.place())));
    let credential = object
        .get("credential")
        .map(|field| Some((credential::of_target(&field)?, field.place())));
    let model = object.get("model").map(|model| name(&model));
    let account = object.get("account").map(|account| name(&account));
    let path = object.get("path").map(|path| base_path(&path));
    let dialect = object.get("dialect").map(|dialect| spoken(&dialect));
    let target = TargetRef {
        place: field.place(),
        model: maybe(model)?,
        account: maybe(account)?,
        path: maybe(path)?,
        dialect: maybe(dialect)?,
        larger: object.bool("larger").unwrap_or_default(),
        prefill: object.bool("prefill").unwrap_or(true),
        host: maybe(host)?,
        port: maybe(port)?,
        subset: maybe(subset)?,
        header: credential.as_ref().and_then(|read| read.as_ref()?.0.1),
        credential: maybe(credential)?.map(|((from, _), place)| (from, place)),
    };
    if object.is_empty() {
        let hint = "name a `subset`, a `host`, a `path`, a `model` or a `credential`";
        field.error("empty-target", "the target is empty", hint);
        return None;
    }
    Some(target)
}

/// What is absent is fine; what is wrong is not.
#[expect(clippy::option_option, reason = "absent, wrong, right")]
fn maybe<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

fn host_name(field: &Field<'_>) -> Option<(String, Place)> {
    let text = field.str()?;
    if text.contains('*') {
        field.error("bad-host", "a target must be one host", "");
        return None;
    }
    if let Err(why) = names::check_host(text) {
        field.error("bad-host", format!("{text:?}: {why}"), "");
        return None;
    }
    let host = names::fqdn(text, &field.origin().namespace);
    Some((host, field.place()))
}

fn subset_name(field: &Field<'_>) -> Option<(String, Place)> {
    let text = field.str()?;
    if !names::is_dns_label(text) {
        let message = format!("{text:?} is no subset name");
        field.error("bad-name", message, "letters, digits and `-`");
        return None;
    }
    Some((text.to_owned(), field.place()))
}

/// The path of a base URL.
fn base_path(field: &Field<'_>) -> Option<String> {
    let text = field.str()?;
    if !is_plain_path(text) {
        let message = format!(
            "expected the path of the target's base URL, such as /openai/v1: it begins with `/`, has no more than {MAX_PATH} characters and neither `?`, `#`, `*` nor blanks"
        );
        let hint = "it takes the place of what stands before the API's own part: of /v1 in /v1/chat/completions";
        field.error("bad-path", message, hint);
        return None;
    }
    Some(text.to_owned())
}

/// A dialect that a target speaks.
fn spoken(field: &Field<'_>) -> Option<Dialect> {
    let fixed = DIALECTS.iter().filter_map(|(name, setting)| match setting {
        DialectMode::Fixed(dialect) => Some((*name, *dialect)),
        DialectMode::Auto | DialectMode::StatusOnly => None,
    });
    field.word(&fixed.collect::<Vec<_>>())
}

/// A model or an account: visible text.
pub(super) fn name(field: &Field<'_>) -> Option<String> {
    let text = field.str()?;
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        let message = format!("a name has 1 to {MAX_NAME} characters, all of them visible");
        field.error("bad-name", message, "");
        return None;
    }
    Some(text.to_owned())
}

// === impl TargetRef ===

impl TargetRef {
    /// Whether a request would be the same at both.
    fn same(&self, other: &Self) -> bool {
        fn value<T>(named: &Option<(T, Place)>) -> Option<&T> {
            named.as_ref().map(|(value, _)| value)
        }
        value(&self.host) == value(&other.host)
            && value(&self.port) == value(&other.port)
            && value(&self.subset) == value(&other.subset)
            && value(&self.credential) == value(&other.credential)
            && self.model == other.model
            && self.path == other.path
    }
}
