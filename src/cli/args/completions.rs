//! `llmesh completions`.

use clap::Args;

/// `llmesh completions`
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "\
Examples:
  source <(llmesh completions bash)
      For this shell.
  llmesh completions bash > ~/.local/share/bash-completion/completions/llmesh
  llmesh completions zsh > ~/.zfunc/_llmesh                  # with `fpath+=~/.zfunc` before compinit in ~/.zshrc
  llmesh completions fish > ~/.config/fish/completions/llmesh.fish
      For all that come.")]
pub struct CompletionsArgs {
    /// Whose script.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
