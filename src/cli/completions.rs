//! `llmesh completions`: the script by which a shell completes commands, flags and their values.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::{Cli, CompletionsArgs};

/// Prints the script.
#[must_use]
pub fn run(args: CompletionsArgs) -> ExitCode {
    super::out(format_args!("{}", script(args.shell).trim_end()));
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "llmesh", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_commands_flags_and_values() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["proxy-config", "completions", "access-log"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            let values = matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish);
            for word in ["endpoints", "faults"] {
                assert!(!values || script.contains(word), "{shell}: {word}");
            }
        }
    }
}
