//! `ddb-deploy`: build output into the archive repository. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ddb::people::deploy::main()
}
