//! What is read, and how a report is written.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Args, ValueEnum};

use crate::{cli::providers::Provider, config::Source};

/// What is read.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("input").required(true).multiple(true).args(["files", "paths", "providers"]))]
pub struct InputArgs {
    /// Files and folders of Istio and llmesh resources; `-` is standard input, read once. Files of other tools in a folder
    /// do no harm.
    #[arg(short = 'f', long = "file", value_name = "PATH", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The same, without -f.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// LLM providers that come with llmesh: openai, azure-openai=RESOURCE, anthropic, gemini, vertex=LOCATION, bedrock=REGION,
    /// mistral, groq, together, openrouter, deepseek, xai, cohere, ollama, vllm. Files go before them.
    #[arg(long = "provider", value_name = "NAME", value_delimiter = ',')]
    pub providers: Vec<Provider>,
    /// Secrets that `credentialName` of a DestinationRule names, as Kubernetes mounts them: DIR/NAMESPACE/NAME/tls.crt, or
    /// DIR/NAME/tls.crt. Followed as they change.
    #[arg(long, value_name = "DIR", value_parser = parse_folder)]
    pub secrets: Option<PathBuf>,
    /// Read the sub-folders of folders too.
    #[arg(short = 'R', long)]
    pub recursive: bool,
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

// === impl InputArgs ===

impl InputArgs {
    /// The files and folders, and the texts that are none: of providers, and of standard input if it is asked for.
    ///
    /// # Errors
    /// If standard input cannot be read or is no UTF-8.
    pub fn split(&self) -> io::Result<(Vec<PathBuf>, Vec<Source>)> {
        let stdin = Path::new("-");
        let all = || self.files.iter().chain(&self.paths);
        let files = all().filter(|path| *path != stdin).cloned().collect();
        let mut texts: Vec<_> = self.providers.iter().map(Provider::source).collect();
        if all().any(|path| path == stdin) {
            let text = io::read_to_string(io::stdin())?;
            texts.push(Source::new("standard input", text));
        }
        Ok((files, texts))
    }
}

/// One that is not there would leave out without a word what was meant to be read.
fn parse_folder(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    let found = folder.is_dir().then_some(folder);
    found.ok_or_else(|| "there is no folder of this name".to_owned())
}
