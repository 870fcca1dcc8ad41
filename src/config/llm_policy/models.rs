//! `models`: other names of models.

use super::fallback::name;
use crate::{config::decode::Object, llm::request::Aliases};

/// Reads `models`: from the names that callers use to those that are asked for.
pub(super) fn read(spec: &Object<'_>) -> Aliases {
    let Some(map) = spec.get("models") else {
        return Aliases::default();
    };
    let entries = map.entries();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, field) in &entries {
        let Some(model) = name(field) else {
            continue;
        };
        let visible = !key.is_empty() && key.len() <= super::fallback::MAX_NAME;
        if !visible || key.chars().any(char::is_control) {
            let message = "the name of a model that callers ask for has 1 to 256 characters, all of them visible";
            field.error("bad-name", message, "");
        } else if model.contains('*') {
            let hint = "`*` may stand in the name that callers use, which is before the colon";
            let message = format!("{model:?} is no model that can be asked for: it has a `*`");
            field.error("bad-name", message, hint);
        } else {
            pairs.push(((*key).to_owned(), model));
        }
    }
    let aliases = Aliases::new(pairs);
    for (key, field) in &entries {
        let given = aliases.pairs().find(|(name, _)| name == key);
        if let Some((_, model)) = given
            && aliases.names().any(|name| name == model)
            && let Some(next) = aliases.of(model)
        {
            let message = format!(
                "{key:?} stands for {model:?}, which itself stands for {next:?}: {model:?} is asked for"
            );
            let hint = "a name is looked up once; write the model that is meant";
            field.warn("alias-of-alias", message, hint);
        }
    }
    aliases
}
