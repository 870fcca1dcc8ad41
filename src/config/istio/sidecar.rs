//! Sidecar: not in force, but its commonest mistake is found.

use crate::config::decode::Object;

/// Reports short names in `egress[].hosts`.
pub(in crate::config) fn check(spec: Object<'_>) {
    let spec = spec.lenient();
    for listener in spec.list("egress") {
        let Some(listener) = listener.object() else {
            continue;
        };
        let listener = listener.lenient();
        for (text, field) in listener
            .get("hosts")
            .map(|h| h.strings())
            .unwrap_or_default()
        {
            let Some((namespace, host)) = text.split_once('/') else {
                let message = format!("{text:?} is not `namespace/host`");
                field.error("bad-host", message, "such as ./* or istio-system/*");
                continue;
            };
            if host == "*" || host.contains('.') {
                continue;
            }
            let own = match namespace {
                "." | "*" | "~" => &field.origin().namespace,
                other => other,
            };
            field.error(
                "sidecar-short-host",
                format!("{host:?} is a short name; Istio wants the full one here"),
                format!("write {namespace}/{host}.{own}.svc.cluster.local"),
            );
        }
    }
}
