//! Real packages of Debian (`tests/corpus/packages.list`), deployed and published; what Debian's own archive says about the
//! same files is the measure (`debian`), two other index makers are a second opinion (`peers`), and the bytes do not depend on
//! threads, place or order (`repeat`).

mod contents;
mod debian;
mod paragraph;
mod peers;
mod repeat;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::sandbox::{Sandbox, cache};

const COMPONENTS: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];

/// When archives are made and packages deployed.
const MADE: &str = "2026-09-01T00:00:00Z";

/// When they are published.
const PUBLISHED_AT: &str = "2026-09-12T07:55:41Z";

/// An archive for the corpus, with nothing in it; `tables` go into ddb.toml.
fn empty_archive(tables: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive_at(MADE);
    configure(&sandbox, tables);
    sandbox
}

/// An archive with the whole corpus, not yet published.
fn archive() -> Sandbox {
    let sandbox = empty_archive("");
    sandbox.commit(cache("corpus/files"), &[]).ok();
    sandbox
}

/// An archive that tests only read: made for the first of them, removed with the last that uses it.
struct Shared {
    make: fn() -> Sandbox,
    made: Mutex<Weak<Sandbox>>,
}

impl Shared {
    const fn new(make: fn() -> Sandbox) -> Self {
        Self { make, made: Mutex::new(Weak::new()) }
    }

    fn get(&self) -> Arc<Sandbox> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.upgrade().unwrap_or_else(|| {
            let sandbox = Arc::new((self.make)());
            *made = Arc::downgrade(&sandbox);
            sandbox
        })
    }
}

/// The whole corpus, published without override files.
static PUBLISHED: Shared = Shared::new(|| {
    let sandbox = archive();
    sandbox.dists(&["--now", PUBLISHED_AT]).ok();
    sandbox
});

/// Writes and commits ddb.toml, and what else was written into the archive.
fn configure(sandbox: &Sandbox, tables: &str) {
    let components = COMPONENTS.map(|name| format!("\"{name}\"")).join(", ");
    let text = format!(
        "[archive]\norigin = \"Test\"\nlabel = \"Test\"\nurl = \"https://deb.example.org/\"\n\n\
         [suites.trixie]\nsuite = \"stable\"\ncomponents = [{components}]\narchitectures = [\"amd64\", \"all\"]\n{tables}"
    );
    sandbox.write("archive/ddb.toml", text);
    sandbox.git(&["add", "."]).ok();
    sandbox.git(&["commit", "--quiet", "-m", "Configure the archive"]).ok();
}

/// The text of an index as a client gets it.
#[track_caller]
fn published(sandbox: &Sandbox, index: &str) -> String {
    let path = sandbox.public().join(format!("dists/trixie/{index}.xz"));
    sandbox.run("xz", &["-dc", path.to_str().unwrap()]).ok().out
}
