//! The binary: every freed buffer is wiped, the rest is [`bursar::run`].

use std::alloc::System;
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> std::process::ExitCode {
    bursar::run(std::env::args_os().collect())
}
