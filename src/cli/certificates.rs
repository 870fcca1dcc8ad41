//! The certificates of a running proxy as a table, and what its clusters speak of TLS.

use serde_json::Value;

use super::table::Table;

/// The table of the page `/certs`.
#[must_use]
pub(super) fn table(certs: &Value) -> String {
    let all = list(&certs["certificates"]);
    if all.is_empty() {
        return "No certificates: no cluster has one of its own, or authorities other than the system's.\n"
            .to_owned();
    }
    let mut table = Table::new(&[
        "FROM",
        "TYPE",
        "SUBJECT",
        "SAN",
        "SERIAL",
        "NOT BEFORE",
        "NOT AFTER",
        "DAYS LEFT",
        "CLUSTERS",
    ]);
    for entry in all {
        let (kind, shown) = match list(&entry["cert_chain"]).first() {
            Some(own) => ("Cert Chain", own),
            None => ("CA", &entry["ca_cert"][0]),
        };
        table.row([
            text(&shown["path"]),
            kind.to_owned(),
            text(&shown["subject"]),
            names(&shown["subject_alt_names"]),
            text(&shown["serial_number"]),
            text(&shown["valid_from"]),
            text(&shown["expiration_time"]),
            text(&shown["days_until_expiration"]),
            clusters(&entry["clusters"]),
        ]);
    }
    table.to_string()
}

/// What a cluster of the configuration dump speaks: the mode and the name that is sent, `-` in plain text.
#[must_use]
pub(super) fn tls_of(cluster: &Value) -> [String; 2] {
    let tls = &cluster["metadata"]["filter_metadata"]["llmesh"]["tls"];
    let mode = match (&tls["mode"], &tls["unmet"], &tls["roots"]) {
        (Value::String(mode), Value::String(_), _) => format!("{mode} (unmet)"),
        (Value::String(mode), _, Value::String(roots)) if roots == "not verified" => {
            format!("{mode} (not verified)")
        }
        (mode, ..) => text(mode),
    };
    [mode, text(&tls["sni"])]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn names(names: &Value) -> String {
    let all = list(names).iter().filter_map(Value::as_object);
    let all: Vec<_> = all.flat_map(|name| name.values().map(text)).collect();
    match all.as_slice() {
        [] => "-".to_owned(),
        all => all.join(","),
    }
}

fn clusters(clusters: &Value) -> String {
    match list(clusters) {
        [] => "-".to_owned(),
        [one] => text(one),
        [first, rest @ ..] => format!("{}, {} more", text(first), rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_certificate_has_a_line() {
        let certs = json!({"certificates": [
            {"cert_chain": [{"path": "/c.pem", "subject": "CN=me", "subject_alt_names": [{"dns": "a"}, {"uri": "b"}],
                "serial_number": "0a", "valid_from": "2024", "expiration_time": "2025", "days_until_expiration": 7}],
             "clusters": ["x", "y", "z"]},
            {"ca_cert": [{"path": "/ca.pem"}], "clusters": ["x"]},
        ]});
        let shown = table(&certs);
        let rows: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|c| !c.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(
            rows[1],
            [
                "/c.pem",
                "Cert Chain",
                "CN=me",
                "a,b",
                "0a",
                "2024",
                "2025",
                "7",
                "x, 2 more"
            ],
            "{shown}"
        );
        assert_eq!(rows[2][..2], ["/ca.pem", "CA"], "{shown}");
        assert!(table(&json!({"certificates": []})).starts_with("No certificates"));
    }

    #[test]
    fn what_a_cluster_speaks() {
        let of = |tls: Value| {
            tls_of(&json!({"metadata": {"filter_metadata": {"llmesh": {"tls": tls}}}}))
        };
        assert_eq!(of(Value::Null), ["-", "-"]);
        let mut tls = json!({"mode": "SIMPLE", "sni": "a", "roots": "system", "unmet": null});
        assert_eq!(of(tls.clone()), ["SIMPLE", "a"]);
        tls["unmet"] = json!("why");
        assert_eq!(of(tls), ["SIMPLE (unmet)", "a"]);
        let open = json!({"mode": "SIMPLE", "sni": null, "roots": "not verified", "unmet": null});
        assert_eq!(of(open), ["SIMPLE (not verified)", "-"]);
    }
}
