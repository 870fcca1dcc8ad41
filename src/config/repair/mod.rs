//! Mechanical repairs: findings that have one way out, made in the texts themselves.
//!
//! What is not repaired stays byte for byte, comments and order included. Repairs that together make an error of anything
//! are not made.

mod edit;
mod find;
mod repairs;

use self::{
    edit::Edit,
    repairs::{REPAIRS, Texts},
};
use super::{Diagnostic, Options, Severity, Source, document, load};

/// Each round may show what the one before hid.
const MAX_ROUNDS: usize = 8;

/// A text and what was repaired in it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fixed {
    /// The position of its source.
    pub source: usize,
    /// The text as repaired.
    pub text: String,
    /// The findings that are no more.
    pub repaired: Vec<Diagnostic>,
}

/// The names of the rules whose findings can be repaired.
pub fn repairable() -> impl Iterator<Item = &'static str> {
    REPAIRS.iter().map(|(rule, _)| *rule)
}

/// Repairs what can be, of one rule or of all; gives the texts that change.
///
/// # Examples
/// ```
/// use llmesh::config::{Options, Source, fix};
///
/// let text = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n}\nspec:\n  egress:\n  - hosts: [./a] # of ours\n";
/// let fixed = fix(&[Source::new("sidecar.yaml", text)], &Options::default(), None);
/// assert!(fixed[0].text.contains("- hosts: [./a.n.svc.cluster.local] # of ours"));
/// ```
#[must_use]
pub fn fix(sources: &[Source], options: &Options, only: Option<&str>) -> Vec<Fixed> {
    let options = options.clone().with_lint(true);
    let mut now = sources.to_vec();
    let mut repaired: Vec<Vec<Diagnostic>> = vec![Vec::new(); sources.len()];
    let mut findings = load(&now, &options).diagnostics;
    for _ in 0..MAX_ROUNDS {
        let (next, made) = round(&now, &findings, only);
        if made.is_empty() {
            break;
        }
        let after = load(&next, &options).diagnostics;
        if errors(&after) > errors(&findings) || after.len() >= findings.len() + made.len() {
            break;
        }
        for (source, finding) in made {
            repaired[source].push(finding);
        }
        (now, findings) = (next, after);
    }
    for finding in repaired.iter_mut() {
        finding.retain(|was| !findings.iter().any(|is| is_same(was, is)));
    }
    let all = now.into_iter().zip(repaired).enumerate();
    let changed = all.filter(|(source, (new, _))| new.text != sources[*source].text);
    changed
        .map(|(source, (new, repaired))| Fixed {
            source,
            text: new.text,
            repaired,
        })
        .collect()
}

/// Makes all repairs that do not touch each other; gives the texts, and where which finding was repaired.
fn round(
    sources: &[Source],
    findings: &[Diagnostic],
    only: Option<&str>,
) -> (Vec<Source>, Vec<(usize, Diagnostic)>) {
    let texts = Texts {
        sources,
        documents: sources.iter().map(|s| document::parse(&s.text)).collect(),
    };
    let mut edits: Vec<Vec<Edit>> = vec![Vec::new(); sources.len()];
    let mut made = Vec::new();
    for found in findings
        .iter()
        .filter(|d| only.is_none_or(|rule| d.rule == rule))
    {
        let repair = REPAIRS.iter().find(|(rule, _)| *rule == found.rule);
        let Some((source, edit)) = repair.and_then(|(_, repair)| repair(&texts, found)) else {
            continue;
        };
        let place = |other: &Edit| (other.line, other.column) == (edit.line, edit.column);
        if !edits[source].iter().any(place) {
            made.push((source, found.clone()));
            edits[source].push(edit);
        }
    }
    let mut next = sources.to_vec();
    for (source, edits) in next.iter_mut().zip(edits) {
        source.text = edit::apply(&source.text, edits);
    }
    (next, made)
}

/// Whether two findings are of one rule and place.
fn is_same(was: &Diagnostic, is: &Diagnostic) -> bool {
    let key = |d: &Diagnostic| (d.rule, d.order, d.resource.clone(), d.path.clone());
    key(was) == key(is)
}

fn errors(findings: &[Diagnostic]) -> usize {
    findings
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count()
}
