//! `ddb-publish export`: its options and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::archive::OpenArchive;
use crate::stories::export::{ExportAnswer, ExportRequest, export};
use crate::stories::served::snapshot::SnapshotId;
use crate::stories::upstream::Purpose;
use crate::words::name::Codename;

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder; it must not be there yet, or be empty, or be an earlier export, which is replaced
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only this suite; may be repeated; default is every suite that was published
    #[arg(long = "suite", value_name = "CODENAME")]
    codenames: Vec<Codename>,
    /// An older state: a commit of the archive, or a time such as 20261125T084413Z
    #[arg(long, value_name = "ID")]
    snapshot: Option<SnapshotId>,
    /// The address in the sources stanzas; default is the archive's, else the folder
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) fn run(common: &Common, options: Export) -> Result<ExitCode, Failure> {
    let open = OpenArchive::open(&common.folder(Purpose::Whole)?, common.branch.as_deref())?;
    let progress = Progress::new(common.verbose);
    let Export { folder, codenames, snapshot, url } = options;
    let answer = export(&ExportRequest { folder, codenames, snapshot, url }, &open, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(Exit::Done.into())
}

impl Answer for ExportAnswer {
    fn text(&self) -> String {
        let suite = |suite: &crate::stories::export::ExportedSuite| {
            format!("  {}: Release {} of {}, commit {}\n", suite.codename, suite.sequence, suite.date, suite.base)
        };
        let suites: String = self.suites.iter().map(suite).collect();
        format!(
            "Exported to {}{}: {} pool files with {} bytes, {} other files.\n{suites}",
            self.folder.display(),
            if self.replaced { ", in place of an earlier export" } else { "" },
            self.pool_files,
            self.pool_bytes,
            self.other_files
        )
    }
}
