//! Every subcommand and flag.

mod authz;
mod check;
mod completions;
mod inbound;
mod input;
mod mock;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    authz::{AuthzArgs, AuthzCommand, ExplainArgs, MatrixArgs},
    check::{CheckArgs, CheckOutput, FixArgs, GraphForm},
    completions::CompletionsArgs,
    inbound::InboundArgs,
    input::{InputArgs, Output},
    mock::MockArgs,
};
use super::{address, upstream_proxy::ProxyArg};
use crate::mesh::discovery::Pin;

/// The service mesh for AI traffic: retries, deadlines, circuit breaking, canaries and limits that know LLM APIs,
/// from the Istio resources you already have.
#[derive(Debug, Parser)]
#[command(
    name = "llmesh",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  llmesh demo
      A bad day, a canary and an outage on mock LLM services: what callers see, in a table.
  llmesh check -f mesh/
      What is wrong in a folder of Istio resources, where, and what to write instead.
  llmesh run -f mesh/
      Serve them: calls go to 127.0.0.1:15001, with the service's name as Host.
  llmesh mock --listen 127.0.0.1:9001=v1 --listen 127.0.0.1:9011=v2
      Two fake LLM endpoints that answer and fail on command; `llmesh mock --help` says how.

`llmesh COMMAND --help` shows each command's flags and examples."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The proxy: serve a mesh's resources, and follow their changes.
    Run(RunArgs),
    /// Load and lint resources: every problem, its place and the way out.
    Check(CheckArgs),
    /// Repair what has one way out, as a diff or in the files.
    Fix(FixArgs),
    /// The main job on embedded mock LLM services; needs no files and ends by itself.
    Demo(DemoArgs),
    /// What is in force in a running proxy, as istioctl shows it.
    ProxyConfig(ProxyConfigArgs),
    /// Who may call what, by the policies of files.
    Authz(AuthzArgs),
    /// Scripted LLM endpoints, for demos, benches and chaos tests.
    Mock(MockArgs),
    /// What a shell completes after `llmesh`, to stdout.
    Completions(CompletionsArgs),
}

/// Where and how logs are written. They go to stderr.
#[derive(Clone, Debug, Default, Args)]
pub struct LogArgs {
    /// Level, or filter such as `info,llmesh::proxy=debug` [env: LLMESH_LOG] [default: info].
    #[arg(long = "log", global = true, value_name = "FILTER")]
    pub filter: Option<String>,
    /// How log lines are written.
    #[arg(long = "log-format", global = true, value_enum, default_value_t)]
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `llmesh run`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  llmesh run -f mesh/
      Serve every Istio resource in mesh/ on the default ports, and follow changes.
  curl -H 'Host: llm-service' http://127.0.0.1:15001/v1/chat/completions -d @chat.json
      Call a service of the mesh by its Host header.
  http_proxy=http://127.0.0.1:15001 ./my-service
      Or let an unchanged program use llmesh as its HTTP proxy.
  llmesh run -f mesh/ --overlay experiment.yaml
      Try a canary; deleting experiment.yaml ends it.
  llmesh run -R deploy/ --lenient
      A repository as it is: sub-folders too, and what is wrong is left out by name.
  llmesh run --provider openai
  OPENAI_BASE_URL=http://127.0.0.1:15001/v1 ./my-service
      No files: retries, waits and clocks between a program and its provider.
  llmesh run --provider openai,anthropic
      Several: http://127.0.0.1:15001/openai/v1 and http://127.0.0.1:15001/anthropic.")]
pub struct RunArgs {
    /// Files and folders of Istio and llmesh resources; reloaded when they change.
    #[command(flatten)]
    pub input: InputArgs,
    /// Resources that win over those under -f for the same host.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub overlay: Vec<PathBuf>,
    /// Where programs of this host send their calls: HOST:PORT, or a port of 127.0.0.1.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15001", value_parser = address::address)]
    pub outbound: SocketAddr,
    /// Applications, and where requests for them come in.
    #[command(flatten)]
    pub inbound: InboundArgs,
    /// Statistics, metrics and the configuration in force.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000", value_parser = address::address)]
    pub admin: SocketAddr,
    /// Who is called by the proxy's own address.
    #[command(flatten)]
    pub own: OwnArgs,
    /// Dial another address for a host and port, as curl does: HOST:PORT:ADDRESS,ADDRESS…, each address with a port or not.
    /// Certificates are asked for as ever. May be given several times.
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = address::pin)]
    pub resolve: Vec<Pin>,
    /// Worker threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// Connections from callers at a time; more are closed as soon as they come [default: half of the open files that the
    /// system allows, so that the other half is left for the services].
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZeroUsize>,
    /// The workload that this proxy stands for.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Treat what two resources claim at once (the same host) as an error.
    #[arg(long)]
    pub strict: bool,
    /// Leave out what is wrong, by name, and serve the rest; without it nothing is served, and no change taken, until all
    /// is right. What is left out stands in the log, in /ready?verbose and in server.config_left_out of /stats.
    #[arg(long)]
    pub lenient: bool,
    /// Reach services through an HTTP proxy: `env` for what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name, or
    /// http://USER:PASSWORD@HOST:PORT (all but HOST may be left out) for everything but what NO_PROXY names; with https:// the
    /// proxy itself is spoken to over TLS, and the system's authorities must know it. Without this the environment is not
    /// asked. A password is better kept in the environment than on a command line.
    #[arg(long, value_name = "env|URL")]
    pub upstream_proxy: Option<ProxyArg>,
    /// How long a graceful stop waits for requests in flight.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub drain: Duration,
    /// Send traces to this collector: OTLP over HTTP in protobuf, such as http://127.0.0.1:4318. The OTEL_* variables hold as
    /// well; OTEL_EXPORTER_OTLP_ENDPOINT alone turns it on. Which traces are sent the caller says, else the MeshConfig's
    /// percentage, else 1 %. A collector that is not there costs traces, never a request.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Write one line per request to stdout, with Istio's fields.
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "json")]
    pub access_log: Option<LogFormat>,
}

/// Who is called by the proxy's own address, as by clients that have it as their base URL.
#[derive(Clone, Debug, Default, Args)]
pub struct OwnArgs {
    /// The host that requests for the proxy's own address (localhost, or the address it listens on) go to [default: the one
    /// provider's]. Other hosts are served by their names as ever, and unknown ones not at all.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_target)]
    pub default_host: Option<String>,
    /// A name by which callers reach the proxy beside localhost, such as its container's; may be given several times.
    #[arg(long = "own-name", value_name = "NAME", value_parser = parse_host)]
    pub own_names: Vec<String>,
}

/// Who this process is in the mesh: what Sidecar, AuthorizationPolicy and `sourceLabels` select by.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// Namespace of the workload; short host names are read in it.
    #[arg(long, value_name = "NS")]
    pub namespace: Option<String>,
    /// Name of the workload.
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// Service account of the workload.
    #[arg(long, value_name = "SA")]
    pub service_account: Option<String>,
    /// A label of the workload; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
}

/// What a demo plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Three days of a mesh: faults under traffic, a canary, an outage.
    #[default]
    Mesh,
    /// The fault drill: every way in which a provider fails, with retries, one fallback and 30 s.
    Faults,
}

/// `llmesh demo`
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(after_help = "\
Starts mock LLM endpoints on free loopback ports and the proxy in front of them, sends traffic while they fail, and
prints what callers saw and whether it was as promised. Needs no files and no network, and ends by itself.
Exit code: 0 all as promised, 1 a promise was broken, 2 it could not be staged.

Examples:
  llmesh demo
  llmesh demo --scenario faults
      What callers see of all that goes wrong with LLM providers; takes a minute.")]
pub struct DemoArgs {
    /// What is played.
    #[arg(long, value_enum, default_value_t)]
    pub scenario: Scenario,
    /// How the report is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `llmesh proxy-config`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  llmesh proxy-config routes
  llmesh proxy-config endpoints --admin 127.0.0.1:15000
  llmesh proxy-config all -o json")]
pub struct ProxyConfigArgs {
    /// Which part of the configuration in force.
    #[arg(value_enum)]
    pub part: ConfigPart,
    /// The admin address of the running proxy.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000", value_parser = address::address)]
    pub admin: SocketAddr,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A part of the configuration in force, by istioctl's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConfigPart {
    /// Virtual hosts and their routes.
    Routes,
    /// Clusters and their policies.
    Clusters,
    /// Endpoints and their health.
    Endpoints,
    /// Listeners.
    Listeners,
    /// Certificates: names and dates, never keys.
    Secret,
    /// All of these.
    All,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .trim_end_matches('s')
        .parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.ok_or_else(|| "expected seconds, such as 5 or 0.5".to_owned())
}

/// A host name with or without a port, in lower case.
fn parse_target(text: &str) -> Result<String, String> {
    // A URL's colon is none before a port.
    let host = if text.contains('/') {
        text
    } else {
        text.split(':').next().unwrap_or(text)
    };
    parse_host(host)?;
    let port = text.split_once(':').map_or("80", |(_, port)| port);
    if port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is no port: a number up to 65535"));
    }
    Ok(text.to_ascii_lowercase())
}

/// A host name, in lower case.
fn parse_host(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(
            "expected a host name without scheme or path, such as api.openai.com".to_owned(),
        );
    }
    Ok(text.to_ascii_lowercase())
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as app=llm-service".to_owned()),
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
