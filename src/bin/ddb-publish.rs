//! `ddb-publish`: the archive repository into a signed apt archive. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ddb::people::publish::main()
}
