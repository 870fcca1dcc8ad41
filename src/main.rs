//! The llmesh binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    llmesh::cli::main()
}
