//! `ddb-publish`: the archive repository into a signed apt archive. Everything is in the library.

use std::process::ExitCode;

/// Many small strings are made on several threads and kept for different times, of which the C library's allocator keeps a
/// multiple in memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ddb::people::publish::main()
}
