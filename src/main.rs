//! The `sallyport` program.

use std::process::ExitCode;

/// A relayed request allocates some eighty times; jemalloc does that in a tenth less of the whole request's time than
/// glibc does, and gives memory back when streams have ended (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sallyport::cli::main()
}
