//! `ddb-deploy fetch`: its options and what it prints.

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::lfs::fetch::{FetchAnswer, FetchRequest, fetch};
use crate::words::name::SourceName;

#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// Only these files, and those below these folders (pool/main/h)
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Only what this suite offers
    #[arg(long, value_name = "SUITE")]
    suite: Option<String>,
    /// Only files of this source package; may be repeated
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<SourceName>,
    /// What all earlier commits name too
    #[arg(long)]
    all: bool,
    /// How many objects at once
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    jobs: usize,
}

pub(super) fn run(common: &Common, options: Fetch) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let request = FetchRequest {
        archive: common.archive.clone(),
        branch: common.branch.clone(),
        suite: options.suite,
        sources: options.sources,
        paths: options.paths,
        history: options.all,
        jobs: options.jobs,
    };
    let answer = fetch(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(Exit::Done)
}

impl Answer for FetchAnswer {
    fn text(&self) -> String {
        format!(
            "{} objects ({} bytes): {} were there, {} fetched ({} bytes) from {}; `git lfs checkout` puts them into the work tree\n",
            self.objects, self.bytes, self.present, self.fetched, self.fetched_bytes, self.store
        )
    }
}
