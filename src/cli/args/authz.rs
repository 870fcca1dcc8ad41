//! `llmesh authz`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::input::{InputArgs, Output};

/// `llmesh authz`
#[derive(Clone, Debug, Args)]
pub struct AuthzArgs {
    /// What is asked.
    #[command(subcommand)]
    pub command: AuthzCommand,
}

/// What is asked of policies.
#[derive(Clone, Debug, Subcommand)]
pub enum AuthzCommand {
    /// Whether one request may pass, and the rule that decides, with its file and line.
    Explain(ExplainArgs),
    /// Who may call what of which service.
    Matrix(MatrixArgs),
}

/// `llmesh authz explain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit code: 0 it may pass, 1 it may not, 2 it cannot be told.

Examples:
  llmesh authz explain -f mesh/ --from ai-services/conversation-service-sa --to llm-service --method POST --path /api/llm/chat
  llmesh authz explain -f mesh/ --to llm-service --path /metrics
      A caller without a certificate.
  llmesh authz explain -f mesh/ --from spiffe://cluster.local/ns/a/sa/b --to llm-service --header 'x-team: red'")]
pub struct ExplainArgs {
    /// Files and folders of Istio resources.
    #[command(flatten)]
    pub input: InputArgs,
    /// Resources that win over those under -f.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub overlay: Vec<PathBuf>,
    /// Who calls: a service account (of the service's namespace, or NAMESPACE/NAME) or a spiffe:// URI; without it, a caller
    /// that has no certificate.
    #[arg(long, value_name = "SA|URI")]
    pub from: Option<String>,
    /// The service that is called.
    #[arg(long, value_name = "SERVICE")]
    pub to: String,
    /// The method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: http::Method,
    /// The path, and the query behind `?`.
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
    /// A request header, `NAME: VALUE`; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The caller's address.
    #[arg(long, value_name = "IP")]
    pub from_ip: Option<IpAddr>,
    /// The workload's port [default: the service's only one].
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `llmesh authz matrix`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Callers are the service accounts that the files name, and a caller without a certificate.

Examples:
  llmesh authz matrix -f mesh/
  llmesh authz matrix -f mesh/ -o json")]
pub struct MatrixArgs {
    /// Files and folders of Istio resources.
    #[command(flatten)]
    pub input: InputArgs,
    /// Resources that win over those under -f.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub overlay: Vec<PathBuf>,
    /// How the table is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

fn parse_header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text
        .split_once([':', '='])
        .ok_or("expected NAME: VALUE, such as 'x-team: red'")?;
    let name = http::HeaderName::try_from(name.trim());
    let value = http::HeaderValue::try_from(value.trim());
    match (name, value) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err("this is no header".to_owned()),
    }
}
