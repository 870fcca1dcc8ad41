//! The llmesh binary.

use std::process::ExitCode;

/// A request allocates dozens of small pieces and frees them at once; glibc's allocator spends a fifth of its instructions
/// on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    llmesh::cli::main()
}
