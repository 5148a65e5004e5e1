//! The daemon's binary; everything is in the library.

/// Wipes every piece of memory that is freed, so that no copy of a secret outlives its use.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    bursard::main()
}
