//! `llmesh check` and `llmesh fix`: their flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::InputArgs;

/// `llmesh check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit code: 0 clean or warnings only, 1 warnings with --strict, 2 errors.

Examples:
  llmesh check -f mesh/
      What is wrong, where, and what to write instead.
  llmesh check -f mesh/ --strict -o json
      For CI: one JSON document, and warnings fail. `-o sarif` and `-o github` show findings beside the lines.
  llmesh check -f mesh/ --strict --baseline known.json
      Only what is new since `llmesh check -f mesh/ -o json > known.json`.
  llmesh check -f mesh/ --graph=svg > calls.svg
      Who calls whom, with timeouts, sends and breakers at the edges.
  llmesh check --explain retry-amplification
      Why a rule is one, and an example of it.
  helm template chart/ | llmesh check -f -
      What a chart or a kustomization gives.")]
pub struct CheckArgs {
    /// Files and folders of Istio and llmesh resources.
    #[command(flatten)]
    pub input: InputArgs,
    /// Resources that win over those under -f for the same host.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub overlay: Vec<PathBuf>,
    /// How the report is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: CheckOutput,
    /// Warnings fail.
    #[arg(long)]
    pub strict: bool,
    /// Draw who calls whom in place of the report; what is found then goes to standard error.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub graph: Option<GraphForm>,
    /// Leave out what is in this file, which `check -o json` wrote. Errors are always told.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Say what a rule is about, with an example; needs no files.
    #[arg(long, value_name = "RULE", group = "input")]
    pub explain: Option<String>,
}

/// `llmesh fix`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Repairs durations without unit, misspelt fields and words, quoted numbers, short hosts of Sidecars, breakers that may eject
nobody, and missing retry budgets. Comments and order stay.
Exit code: 0 done, or nothing to repair; 2 it could not run.

Examples:
  llmesh fix -f mesh/
      What would change, as a diff that `patch -p0` takes.
  llmesh fix -f mesh/ --rule retries-without-budget --write
      Change the files.")]
pub struct FixArgs {
    /// Files and folders of Istio and llmesh resources.
    #[command(flatten)]
    pub input: InputArgs,
    /// Repair this rule's findings only.
    #[arg(long, value_name = "RULE")]
    pub rule: Option<String>,
    /// Change the files; without, only the diff is shown.
    #[arg(long)]
    pub write: bool,
}

/// The form of a check's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One SARIF 2.1.0 document, for code scanning.
    Sarif,
    /// GitHub's workflow commands: each finding beside its line.
    Github,
}

/// How the call graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphForm {
    /// A tree of lines.
    Text,
    /// An image.
    Svg,
    /// A flow chart for Markdown pages.
    Mermaid,
}
