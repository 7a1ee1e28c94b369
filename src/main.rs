//! The `sallyport` program.

use std::process::ExitCode;

/// In place of glibc's: with it a relayed call takes a tenth less of the processor (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How the allocator is set: a thread's cache is looked through after every MiB, which is thirty calls or so, and not after
/// every 64 KiB, which is each. Nothing else is this symbol, and the allocator only reads it.
#[allow(unsafe_code, reason = "the allocator takes its settings from a symbol of this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 29] = b"tcache_gc_incr_bytes:1048576\0";

fn main() -> ExitCode {
    sallyport::cli::main()
}
