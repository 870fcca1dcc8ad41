//! Every subcommand and flag.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{config::Source, testing::upstream::Answer};

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
    /// The main job on embedded mock LLM services; needs no files and ends by itself.
    Demo(DemoArgs),
    /// What is in force in a running proxy, as istioctl shows it.
    ProxyConfig(ProxyConfigArgs),
    /// Scripted LLM endpoints, for demos, benches and chaos tests.
    Mock(MockArgs),
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
      A repository as it is: sub-folders too, and what is wrong is left out by name.")]
pub struct RunArgs {
    /// Files and folders of Istio and llmesh resources; reloaded when they change.
    #[command(flatten)]
    pub input: InputArgs,
    /// Resources that win over those under -f for the same host.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub overlay: Vec<PathBuf>,
    /// Where programs of this host send their calls.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15001")]
    pub outbound: SocketAddr,
    /// Statistics, metrics and the configuration in force.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
    pub admin: SocketAddr,
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
    /// How long a graceful stop waits for requests in flight.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub drain: Duration,
    /// Write one line per request to stdout, with Istio's fields.
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "json")]
    pub access_log: Option<LogFormat>,
}

/// What is read.
#[derive(Clone, Debug, Default, Args)]
pub struct InputArgs {
    /// Files and folders of Istio and llmesh resources; `-` is standard input, read once. Files of other tools in a folder
    /// do no harm.
    #[arg(short = 'f', long = "file", value_name = "PATH", num_args = 1.., required_unless_present = "paths")]
    pub files: Vec<PathBuf>,
    /// The same, without -f.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Read the sub-folders of folders too.
    #[arg(short = 'R', long)]
    pub recursive: bool,
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

/// `llmesh check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit code: 0 clean or warnings only, 1 warnings with --strict, 2 errors.

Examples:
  llmesh check -f mesh/
      What is wrong, where, and what to write instead.
  llmesh check -f mesh/ --strict -o json
      For CI: one JSON document, and warnings fail.
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
    pub output: Output,
    /// Warnings fail.
    #[arg(long)]
    pub strict: bool,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
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

/// `llmesh mock`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The path picks the dialect: /v1/chat/completions, /openai/deployments/D/chat/completions and /v1/responses (OpenAI,
Azure), /v1/messages (Anthropic), …:generateContent and …:streamGenerateContent (Gemini), /api/chat (Ollama), /v2/chat
(Cohere), /model/M/converse and …/converse-stream (Bedrock); others answer as OpenAI chat. Point an SDK's base URL here.

What goes wrong is asked for by the model's name, after its last @:
  m@503                              every request fails        m@429;retry-after=2;times=1    once, then good
  m@503;times=2,429,200,loop         in turn, and again (or ,hold: the last stays)
  m@503;flap-ms=5000                 5 s bad, 5 s good, …       m@case=anthropic-015           a case of /mock/cases
or by request headers, which pass through a proxy between: x-mock-status: 503, x-mock-times: 1, …,
x-mock-sequence: 503,429;retry-after-ms=300,200, and x-mock-key: ID (turns are counted for each ID). Names and values:
  status=N        or N alone         error=E        or E alone  fault=F        or F alone
  retry-after=S   retry-after-ms=N   header-NAME=V              case=ID
  delay-ms=N      before the head    first-token-delay-ms=N     token-delay-ms=N      tokens-per-second=R
  tokens=N        body-bytes=N       ping-ms=N   while waiting  stall-ms=N   how long stall:N lasts
  finish=stop | length | content_filter                         tool[=NAME]  call a tool of the request
  no-prefill      refuse prefills    gzip | bad-gzip            times=N      flap-ms=N
  E: rate_limit ramp_limit request_exceeds_limit insufficient_quota quota_window overloaded context_length
     content_filter invalid_request too_large auth permission not_found conflict timeout server_error
  F: hang close reset refuse:MS   before an answer;   page   HTML instead of it
     cut:N reset:N end:N stall:N error:N malformed:N   after N events of a stream, N tokens (cut:3t), N bytes of a body
     no-done double-finish content-after-finish   at the end of a stream
Models named NAME@20250514, NAME@latest and NAME@default ask for nothing.

The text is \"The quick brown fox … home. 13 14 …\", 16 tokens unless told; a last turn of the assistant's is continued.
Prompt tokens are words. Answers name who gave them: x-mock-listener, x-mock-version.

Examples:
  llmesh mock --listen 127.0.0.1:9001=v1 --listen 127.0.0.1:9011=v2
  curl -i localhost:9001/v1/chat/completions -d '{\"model\":\"m@rate_limit;retry-after=2;times=1\"}'
  curl -N localhost:9001/v1/messages -d '{\"model\":\"m@cut:3t\",\"stream\":true}' -H 'x-api-key: k'
  curl -X POST localhost:9001/mock/script -d '{\"status\":500}'          every answer of this listener is a 500 …
  curl -X DELETE localhost:9001/mock/script                            … until then
  curl localhost:9001/mock/usage                      tokens, attempts, hang-ups by key and model
  curl localhost:9001/mock/stats                      also /mock/prompts, /mock/cases
  curl -X DELETE localhost:9001/mock/state            forgets turns and counts
  llmesh mock --listen 9001 --answer 'delay-ms=50;tokens=40'           all answers take 50 ms and have 40 tokens")]
pub struct MockArgs {
    /// Where to listen, and which version label to give; may be given several times.
    #[arg(
        long,
        value_name = "[IP:]PORT[=LABEL]",
        default_value = "127.0.0.1:9001"
    )]
    pub listen: Vec<Listen>,
    /// What to answer to requests that do not ask for something themselves, such as `503` or `overloaded;delay-ms=20`.
    #[arg(long, value_name = "ANSWER")]
    pub answer: Option<Answer>,
    /// Worker threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
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
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
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

/// An address to listen on, with an optional label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// The version that answers name.
    pub label: Option<String>,
}

// === impl InputArgs ===

impl InputArgs {
    /// The files and folders, and the text of standard input if it is asked for.
    ///
    /// # Errors
    /// If standard input cannot be read or is no UTF-8.
    pub fn split(&self) -> io::Result<(Vec<PathBuf>, Vec<Source>)> {
        let stdin = Path::new("-");
        let all = || self.files.iter().chain(&self.paths);
        let files = all().filter(|path| *path != stdin).cloned().collect();
        let mut texts = Vec::new();
        if all().any(|path| path == stdin) {
            let text = io::read_to_string(io::stdin())?;
            texts.push(Source::new("standard input", text));
        }
        Ok((files, texts))
    }
}

// === impl Listen ===

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, label) = match text.split_once('=') {
            Some((address, label)) => (address, Some(label)),
            None => (text, None),
        };
        let address = match address.parse::<u16>() {
            Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
            Err(_) => address.parse().map_err(|_| {
                format!("`{address}` is neither IP:PORT, such as 127.0.0.1:9001, nor a port")
            })?,
        };
        let visible =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_graphic());
        if label.is_some_and(|label| !visible(label)) {
            return Err("a label is visible ASCII, such as v1".to_owned());
        }
        Ok(Self {
            address,
            label: label.map(str::to_owned),
        })
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .trim_end_matches('s')
        .parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds.ok_or_else(|| "expected seconds, such as 5 or 0.5".to_owned())
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
