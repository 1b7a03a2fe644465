//! Micro benchmarks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod compression;
mod timer;

fn main() {
    // cargo bench adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == "compression") {
        compression::matrix(&arguments[1..]);
    }
}
