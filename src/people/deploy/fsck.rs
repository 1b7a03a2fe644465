//! `ddb-deploy fsck`: its options and what it prints.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::fsck::{FsckAnswer, FsckRequest, fsck};
use crate::stories::upstream::Purpose;

#[derive(Debug, Args)]
pub(super) struct Fsck {
    /// Hash every object and every published pool file again
    #[arg(long)]
    full: bool,
    /// The published tree, where it is not the configured one
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
}

pub(super) fn run(common: &Common, options: Fsck) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let request = FsckRequest {
        archive: common.folder(Purpose::Publish)?,
        branch: common.branch.clone(),
        target: options.target,
        full: options.full,
    };
    let answer = fsck(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(if answer.findings.is_empty() { Exit::Done } else { Exit::Damaged })
}

impl Answer for FsckAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&format!("{}: {}\n", finding.path, finding.fault));
        }
        text.push_str(&format!(
            "{} pointers, {} records, {} objects ({}), {} published files: {}\n",
            self.pointers,
            self.records,
            self.objects,
            match self.unreferenced_objects {
                Some(number) => format!("{number} not named by this commit"),
                None => "the store cannot be listed; each was asked for by name".to_owned(),
            },
            self.published,
            match self.findings.len() {
                0 => "clean".to_owned(),
                1 => "1 problem".to_owned(),
                number => format!("{number} problems"),
            }
        ));
        text
    }
}
