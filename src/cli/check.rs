//! `llmesh check`: load and lint, every problem at once.

mod baseline;
mod forms;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use serde_json::json;

use self::baseline::Baseline;
use super::{
    args::{CheckArgs, CheckOutput, GraphForm, InputArgs},
    cannot_run, err,
    table::Table,
};
use crate::{
    base::BoxError,
    config::{self, Diagnostic, Graph, Loaded, Severity, Source},
    model::MeshModel,
};

/// Exit 0 if clean or only warned about, 1 on warnings under `--strict`, 2 on errors.
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    if let Some(name) = &args.explain {
        return explain(name);
    }
    match checked(args) {
        Ok((loaded, tally)) => {
            report(args, &loaded, &tally);
            match tally {
                Tally { errors: 1.., .. } => ExitCode::from(2),
                Tally { warnings: 1.., .. } if args.strict => ExitCode::from(1),
                _ => ExitCode::SUCCESS,
            }
        }
        Err(error) => cannot_run(format_args!("llmesh: {error}")),
    }
}

/// Says what a rule is about.
fn explain(name: &str) -> ExitCode {
    if let Some(rule) = config::rule(name) {
        super::out(format_args!("{rule}"));
        return ExitCode::SUCCESS;
    }
    let all: Vec<_> = config::rules().map(|rule| rule.id).collect();
    cannot_run(format_args!(
        "llmesh: no rule is called {name:?}; the rules are:\n  {}",
        all.join("\n  ")
    ))
}

/// Loads and lints, without what is known already.
fn checked(args: &CheckArgs) -> Result<(Loaded, Tally), BoxError> {
    let sources = sources(&args.input, &args.overlay)?;
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let mut options = config::Options::default()
        .with_strict(args.strict)
        .with_lint(true)
        .with_credentials(config::credential_is_there)
        .with_files(config::file_is_there);
    options.secrets.clone_from(&args.input.secrets);
    let mut loaded = config::load(&sources, &options);
    let old = baseline.map_or(0, |baseline| baseline.take(&mut loaded.diagnostics));
    let mut tally = Tally::of(&loaded.diagnostics, sources.len());
    tally.known = loaded.ignored + old;
    Ok((loaded, tally))
}

fn report(args: &CheckArgs, loaded: &Loaded, tally: &Tally) {
    if let (Some(form), Some(graph)) = (args.graph, &loaded.graph) {
        super::out(format_args!("{}", drawn(form, graph).trim_end()));
        for d in &config::shown(&loaded.diagnostics) {
            err(format_args!("{d}"));
        }
        err(format_args!("{}", tally.line()));
        return;
    }
    match args.output {
        CheckOutput::Json => super::out(format_args!("{:#}", tally.to_json(loaded))),
        CheckOutput::Sarif => super::out(format_args!("{:#}", forms::sarif(&loaded.diagnostics))),
        CheckOutput::Github => {
            for d in &config::shown(&loaded.diagnostics) {
                super::out(format_args!("{}", forms::github(d)));
            }
        }
        CheckOutput::Text => text(args, loaded, tally),
    }
}

fn drawn(form: GraphForm, graph: &Graph) -> String {
    match form {
        GraphForm::Text if graph.calls.is_empty() => {
            "nothing says who calls whom: annotate callers with `llmesh.io/calls: HOST, HOST`\n"
                .to_owned()
        }
        GraphForm::Text => format!("{}\n{} settings\n", graph.to_text(), graph.settings),
        GraphForm::Svg => graph.to_svg(),
        GraphForm::Mermaid => graph.to_mermaid(),
    }
}

/// The report for people.
fn text(args: &CheckArgs, loaded: &Loaded, tally: &Tally) {
    for d in &config::shown(&loaded.diagnostics) {
        super::out(format_args!(
            "{}",
            paint(d, std::io::stdout().is_terminal())
        ));
    }
    if let Some(table) = loaded.model.as_ref().and_then(policy_table) {
        super::out(format_args!("\n{table}"));
    }
    super::out(format_args!("{}", tally.line()));
    let hosts = loaded.model.as_ref().map(|model| &model.virtual_hosts);
    if hosts.is_some_and(Vec::is_empty) {
        super::out(format_args!("{}", nothing(args)));
    }
}

/// The texts of what is read.
pub(super) fn sources(input: &InputArgs, overlay: &[PathBuf]) -> Result<Vec<Source>, BoxError> {
    let (files, mut sources) = input.split()?;
    let read = if input.recursive {
        config::read_trees
    } else {
        config::read_paths
    };
    sources.extend(read(&files, overlay)?);
    Ok(sources)
}

/// What is said where no host is served.
fn nothing(args: &CheckArgs) -> String {
    let mut text =
        "nothing here is served: no VirtualService, ServiceEntry or Service for the mesh"
            .to_owned();
    if !args.input.recursive {
        text.push_str(" (sub-folders are read with -R)");
    }
    text
}

/// How many of each.
struct Tally {
    files: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    /// What annotations or the baseline say is known.
    known: usize,
}

impl Tally {
    fn of(diagnostics: &[Diagnostic], files: usize) -> Self {
        let count = |severity| {
            diagnostics
                .iter()
                .filter(|d| d.severity == severity)
                .count()
        };
        Self {
            files,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            known: 0,
        }
    }

    fn line(&self) -> String {
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let known = match self.known {
            0 => String::new(),
            known => format!("; {known} more known"),
        };
        format!(
            "{} checked: {}, {}, {}{known}",
            plural(self.files, "file"),
            plural(self.errors, "error"),
            plural(self.warnings, "warning"),
            plural(self.notes, "note")
        )
    }

    fn to_json(&self, loaded: &Loaded) -> serde_json::Value {
        let policies = loaded.model.iter().flat_map(policies);
        let policies = policies.map(
            |[host, route, policy]| json!({"virtual_host": host, "route": route, "policy": policy}),
        );
        json!({
            "diagnostics": loaded.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
            "llm_policies": policies.collect::<Vec<_>>(),
            "calls": loaded.graph.iter().flat_map(calls).collect::<Vec<_>>(),
            "summary": {"files": self.files, "errors": self.errors, "warnings": self.warnings, "notes": self.notes, "known": self.known},
        })
    }
}

/// The call graph, one object a call.
fn calls(graph: &Graph) -> impl Iterator<Item = serde_json::Value> {
    graph.calls.iter().map(|call| {
        json!({
            "caller": graph.nodes[call.from],
            "callee": graph.nodes[call.to],
            "figures": call.figures,
            "sends_in_an_outage": call.amplification,
            "told_by": call.told_by,
        })
    })
}

/// Virtual host, route and policy of each route that has an LLM policy.
fn policies(model: &MeshModel) -> impl Iterator<Item = [String; 3]> {
    model.virtual_hosts.iter().flat_map(|host| {
        let routes = host.routes.iter().zip(&host.llm);
        routes.filter_map(|(route, policy)| {
            let policy = policy.as_ref()?;
            Some([
                host.name.to_string(),
                route.name.to_string(),
                policy.origin.clone(),
            ])
        })
    })
}

fn policy_table(model: &MeshModel) -> Option<Table> {
    let mut rows = policies(model).peekable();
    rows.peek()?;
    let mut table = Table::new(&["VHOST NAME", "ROUTE", "LLM POLICY"]);
    rows.for_each(|row| table.row(row));
    Some(table)
}

/// Colours the severity on a terminal.
fn paint(d: &Diagnostic, terminal: bool) -> String {
    let plain = d.to_string();
    if !terminal {
        return plain;
    }
    let (word, code) = match d.severity {
        Severity::Error => ("error[", 31),
        Severity::Warning => ("warning[", 33),
        Severity::Note => ("note[", 36),
    };
    plain.replacen(
        word,
        &format!("\x1b[1;{code}m{}\x1b[0m[", &word[..word.len() - 1]),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, load};

    #[test]
    fn each_route_is_shown_with_its_policy() {
        let text = include_str!("../config/llm_policy/everything.yaml");
        let loaded = load(&[Source::new("a.yaml", text)], &Options::default());
        let shown = policy_table(loaded.model.as_ref().unwrap()).unwrap();
        let row =
            |host: &str, route: &str, policy: &str| format!("{host:<29}   {route:<5}   {policy}\n");
        assert_eq!(
            shown.to_string(),
            row("VHOST NAME", "ROUTE", "LLM POLICY")
                + &row("llm.ai.svc.cluster.local:8080", "chat", "LlmPolicy/ai/chat")
        );
        let json = Tally::of(&loaded.diagnostics, 1).to_json(&loaded);
        assert_eq!(
            json["llm_policies"],
            json!([{"virtual_host": "llm.ai.svc.cluster.local:8080", "route": "chat", "policy": "LlmPolicy/ai/chat"}])
        );
        assert!(policy_table(&MeshModel::default()).is_none());
    }
}
