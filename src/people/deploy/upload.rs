//! `ddb-deploy upload`: its options, what it takes from a CI job, and what it prints.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::commit::job;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::people::provenance::ProvenanceOptions;
use crate::people::uploader::UploaderKey;
use crate::stories::upload::{Settings, UploadAnswer, UploadRequest, upload};

#[derive(Debug, Args)]
pub(super) struct Upload {
    /// The folder that the build left
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Leave OUT as it is and write pointers and manifest into this folder
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The suite: its codename, its Suite or one of its distributions
    #[arg(long, env = "DDB_SUITE", value_name = "SUITE")]
    suite: Option<String>,
    /// Take the settings from this ddb.toml instead of an archive repository
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    #[command(flatten)]
    key: UploaderKey,
    #[command(flatten)]
    provenance: ProvenanceOptions,
}

pub(super) fn run(common: &Common, options: Upload) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let now = environment::now(common.now);
    let sealer = options.key.sealer(now)?;
    // What nobody signed is claimed by the deploy job.
    let attestor = options.provenance.attestor()?.filter(|attestor| attestor.key.is_some());
    let settings = match options.store {
        Some(file) => Settings::File(file),
        None => Settings::Archive { folder: common.archive.clone(), branch: common.branch.clone() },
    };
    let request = UploadRequest {
        settings,
        out: options.out,
        to: options.to,
        suite: options.suite.filter(|suite| !suite.is_empty()),
        package: environment::variable("PACKAGE"),
        version: environment::variable("VERSION"),
        job: job()?,
        sealer: sealer.as_ref(),
        attestor: attestor.as_ref(),
        now,
    };
    answer::print(&upload(&request, &|event| progress.show(event))?, common.json);
    Ok(Exit::Done)
}

impl Answer for UploadAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for build in &self.builds {
            text.push_str(&format!("{} {}: uploaded for {}\n", build.source, build.version, self.suite));
        }
        let signed = match self.sealed_by.as_slice() {
            [] => "not signed".to_owned(),
            keys => format!("signed by {}", keys.join(" and ")),
        };
        text.push_str(&format!("{} ({signed})\n", self.manifest));
        text.push_str(&format!(
            "{} new objects ({} bytes) in {}; {} files replaced by pointers, {} were before\n",
            self.new_objects, self.new_bytes, self.store, self.replaced, self.pointers
        ));
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}
