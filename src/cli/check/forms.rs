//! Findings as other tools read them: SARIF, and GitHub's workflow commands.

use serde_json::{Value, json};

use crate::config::{self, Diagnostic, Severity};

/// One SARIF 2.1.0 log, with the rules of what is found.
pub(super) fn sarif(findings: &[Diagnostic]) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut ids: Vec<_> = findings.iter().map(|d| d.rule).collect();
    ids.sort_unstable();
    ids.dedup();
    let rules = ids.iter().map(|id| match config::rule(id) {
        Some(rule) => json!({
            "id": id,
            "shortDescription": {"text": rule.why},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": level(rule.severity)},
        }),
        None => json!({"id": id}),
    });
    let results = findings.iter().map(|d| {
        let mut place = json!({"artifactLocation": {"uri": *d.file}});
        if d.line > 0 {
            place["region"] = json!({"startLine": d.line, "startColumn": d.column.max(1)});
        }
        json!({
            "ruleId": d.rule,
            "level": level(d.severity),
            "message": {"text": text(d)},
            "locations": [{"physicalLocation": place}],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "llmesh",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// A workflow command, which GitHub shows beside the line.
pub(super) fn github(d: &Diagnostic) -> String {
    let word = match d.severity {
        Severity::Note => "notice",
        other => other.as_str(),
    };
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let mut line = format!("::{word} file={}", property(&d.file));
    if d.line > 0 {
        line.push_str(&format!(",line={},col={}", d.line, d.column.max(1)));
    }
    format!("{line},title={}::{}", property(d.rule), escaped(&text(d)))
}

/// The resource, what is wrong and the way out.
fn text(d: &Diagnostic) -> String {
    let mut text = d.message.clone();
    if !d.resource.is_empty() {
        text = format!("{}: {text}", d.resource);
    }
    if !d.hint.is_empty() {
        text = format!("{text}\nhint: {}", d.hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, Source, load};

    fn findings() -> Vec<Diagnostic> {
        let text = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n}\nspec: {egress: [{hosts: [./a]}]}\n";
        load(&[Source::new("a,b.yaml", text)], &Options::default()).diagnostics
    }

    #[test]
    fn sarif_has_places_and_rules() {
        let log = sarif(&findings());
        let results = log["runs"][0]["results"].as_array().unwrap();
        let error = results.iter().find(|r| r["level"] == "error").unwrap();
        assert_eq!(error["ruleId"], "sidecar-short-host");
        let place = &error["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a,b.yaml");
        assert_eq!(place["region"]["startLine"], 4);
        let rules = log["runs"][0]["tool"]["driver"]["rules"]
            .as_array()
            .unwrap();
        let rule = rules
            .iter()
            .find(|r| r["id"] == "sidecar-short-host")
            .unwrap();
        assert!(rule["help"]["text"].as_str().is_some_and(|t| !t.is_empty()));
    }

    #[test]
    fn commands_are_escaped() {
        let all: Vec<_> = findings().iter().map(github).collect();
        let error = all.iter().find(|line| line.starts_with("::error")).unwrap();
        assert!(
            error.starts_with("::error file=a%2Cb.yaml,line=4,col="),
            "{error}"
        );
        assert!(
            error.contains(",title=sidecar-short-host::Sidecar n/s: "),
            "{error}"
        );
        assert!(
            error.contains("%0Ahint: write ./a.n.svc.cluster.local"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}
