//! `ddb-deploy doctor`: what it prints.

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::doctor::{DoctorAnswer, DoctorRequest, Outcome, doctor};
use crate::stories::upstream::Purpose;

#[derive(Debug, Args)]
pub(super) struct Doctor {}

pub(super) fn run(common: &Common, _: Doctor) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let now = environment::now(common.now);
    let archive = common.folder(Purpose::Deploy)?;
    let request = DoctorRequest { author: environment::author(&archive, now), archive, branch: common.branch.clone(), now };
    let answer = doctor(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(if answer.failed == 0 { Exit::Done } else { Exit::Archive })
}

impl Answer for DoctorAnswer {
    fn text(&self) -> String {
        let width = |of: fn(&crate::stories::doctor::Check) -> usize| self.checks.iter().map(of).max().unwrap_or_default();
        let (places, names) = (width(|check| check.place.len()), width(|check| check.name.len()));
        let mut text = String::new();
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Warning => "warning",
                Outcome::Failed => "FAILED",
                Outcome::NotApplicable => "-",
            };
            text.push_str(&format!("{:places$}  {:names$}  {outcome:7}  {}\n", check.place, check.name, check.seen));
            if !check.follows.is_empty() {
                text.push_str(&format!("{:1$}{2}\n", "", places + names + 13, check.follows));
            }
        }
        let number = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        text.push_str(&format!("{} failed, {}\n", number(self.failed, "check"), number(self.warnings, "warning")));
        text
    }
}
