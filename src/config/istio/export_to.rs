//! `exportTo`: the namespaces that see a resource.

use crate::config::{decode::Object, names};

/// Reads `exportTo`; empty is everywhere. Only a ServiceEntry may be seen by nobody (`~`).
pub(super) fn read(spec: &Object<'_>, nobody: bool) -> Vec<String> {
    let mut namespaces: Vec<String> = Vec::new();
    let Some(list) = spec.get("exportTo") else {
        return namespaces;
    };
    let own = &list.origin().namespace;
    let full = |text: &str| {
        if text == "." {
            own.clone()
        } else {
            text.to_owned()
        }
    };
    for (text, field) in list.strings() {
        let known = matches!(text, "*" | ".") || (nobody && text == "~");
        if !known && !names::is_dns_label(text) {
            let message = format!("{text:?} is no namespace");
            let hint = "`*`, `.` or the name of a namespace; a ServiceEntry also takes `~`";
            field.error("bad-namespace", message, hint);
        } else if namespaces.iter().any(|other| full(other) == full(text)) {
            let message = format!("{text:?} is there already");
            field.error("duplicate-namespace", message, "keep one of the two");
        } else {
            namespaces.push(text.to_owned());
        }
    }
    for (alone, whom) in [("*", "everybody"), ("~", "nobody")] {
        if namespaces.len() > 1 && namespaces.iter().any(|other| other == alone) {
            let message = format!("`{alone}` is {whom}, and stands alone");
            list.error("one-of", message, "remove it, or the others");
        }
    }
    namespaces
}
