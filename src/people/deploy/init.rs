//! `ddb-deploy init`: its options and what it prints.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::stories::init::{InitAnswer, InitRequest, init};
use crate::words::name::{Architecture, Codename, Component};

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder; default is this one
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Codename of the suite
    #[arg(long, default_value = "trixie", value_name = "CODENAME")]
    suite: Codename,
    /// Component of the suite; may be repeated
    #[arg(long = "component", default_value = "main", value_name = "NAME")]
    components: Vec<Component>,
    /// Architecture of the suite beside all; may be repeated; default is this machine's
    #[arg(long = "architecture", value_name = "NAME")]
    architectures: Vec<Architecture>,
    /// Who publishes: Origin and Label of every Release
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// The address that clients will use
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The Git-LFS address that git lfs pull asks in every clone, written to .lfsconfig: that of ddb-publish serve
    #[arg(long, value_name = "URL")]
    lfs_url: Option<String>,
    /// Make a bare repository, without a work tree
    #[arg(long)]
    bare: bool,
}

pub(super) fn run(common: &Common, options: Init) -> Result<Exit, Failure> {
    let folder = options.folder.unwrap_or_else(|| common.archive.clone());
    let mut architectures = options.architectures;
    if architectures.iter().all(Architecture::is_all) {
        let unknown = || Failure::usage("this machine has no Debian architecture; name one with --architecture");
        architectures.insert(0, environment::host_architecture().ok_or_else(unknown)?);
    }
    let answer = init(&InitRequest {
        author: environment::author(&folder, environment::now(common.now)),
        folder,
        bare: options.bare,
        suite: options.suite,
        components: options.components,
        architectures,
        origin: options.origin,
        url: options.url,
        lfs_url: options.lfs_url,
    })?;
    answer::print(&answer, common.json);
    Ok(Exit::Done)
}

impl Answer for InitAnswer {
    fn text(&self) -> String {
        let folder = self.repository.display();
        format!(
            "Made an apt archive with the suite {suite} in {folder}.\n\nNext:\n  ddb-publish -C {folder} key generate    makes the signing key\n  ddb-deploy -C {folder} commit out/      adds what dpkg-buildpackage left in out/\n  ddb-publish -C {folder} dists {suite}   publishes to {folder}/public\n",
            suite = self.suite,
            folder = folder.to_string().trim_end_matches('/')
        )
    }
}
