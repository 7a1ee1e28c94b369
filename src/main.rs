//! The `sallyport` program.

use std::process::ExitCode;

/// In place of glibc's: with it a relayed call takes a tenth less of the processor (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sallyport::cli::main()
}
