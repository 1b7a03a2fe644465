//! `ddb-deploy lfs-agent`: what git-lfs runs, and its installation.

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::stories::lfs::agent;
use crate::stories::lfs::install::{InstallAnswer, InstallRequest, install};

#[derive(Debug, Args)]
pub(super) struct LfsAgent {
    /// Write the Git settings that make git-lfs use this program in the clone
    #[arg(long, conflicts_with = "uninstall")]
    install: bool,
    /// Remove these settings
    #[arg(long)]
    uninstall: bool,
    /// Set it for the user, for every repository whose Git-LFS address begins so, instead of for one clone
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) fn run(common: &Common, options: LfsAgent) -> Result<Exit, Failure> {
    if options.install || options.uninstall {
        let request = InstallRequest {
            archive: common.archive.clone(),
            url: options.url,
            program: environment::this_program().map_err(|fault| Failure::new(&fault, Exit::Failed, Vec::new()))?,
            remove: options.uninstall,
        };
        answer::print(&install(&request)?, common.json);
        return Ok(Exit::Done);
    }
    if options.url.is_some() {
        return Err(Failure::usage("--url goes with --install and --uninstall"));
    }
    // git-lfs on the other side of the pipe is no terminal; the lock is held for as long as it talks.
    let done = agent::serve(&common.archive, std::io::stdin().lock(), &mut std::io::stdout().lock());
    done.map_err(|fault| Failure::new(&fault, Exit::Failed, Vec::new()))?;
    Ok(Exit::Done)
}

impl Answer for InstallAnswer {
    fn text(&self) -> String {
        let place = match (&self.repository, &self.url) {
            (Some(repository), _) => repository.display().to_string(),
            (None, url) => format!("the user's configuration, for {}", url.as_deref().unwrap_or_default()),
        };
        let done = if self.removed { "removed from" } else { "set in" };
        let mut text: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        text.push_str(&format!("{} settings {done} {place}\n", self.settings.len()));
        text
    }
}
