//! The `sallyport` program.

use std::process::ExitCode;

/// In place of glibc's: with it a relayed call takes a tenth less of the processor (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How the allocator is set. A thread's cache is looked through after every MiB, which is thirty calls or so, and not after
/// every 64 KiB, which is each. It holds 100 objects of every small size at least, not 20: the calls that are under way at
/// once have more of the larger ones. Where it is full, an eighth goes back, not half, since most is needed again at once.
/// Nothing else is this symbol, and the allocator only reads it.
#[allow(unsafe_code, reason = "the allocator takes its settings from a symbol of this name")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 113] =
    b"tcache_gc_incr_bytes:1048576,tcache_nslots_small_min:100,tcache_nslots_small_max:400,lg_tcache_flush_small_div:3\0";

fn main() -> ExitCode {
    sallyport::cli::main()
}
