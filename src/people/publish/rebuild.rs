//! `ddb-publish rebuild`: its options and what it prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::formats::blocks::encoders::Encoders;
use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::{Failure, plain};
use crate::people::progress::Progress;
use crate::stories::archive::OpenArchive;
use crate::stories::rebuild::{Outcome, ReadSite, RebuildAnswer, RebuildRequest, RebuiltFile, ReleaseId, Verdict, rebuild};
use crate::stories::upstream::Purpose;
use crate::verify::PublishedTree;

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// Which Release: trixie, trixie@12, trixie@20261125T084413Z, a commit, or the SHA-256 of a Release
    #[arg(value_name = "RELEASE")]
    release: ReleaseId,
    /// Leave what was made in this folder, which must not be there yet or be empty
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Compare with what clients are given too: an http or https address, or a folder; what stands before dists/
    #[arg(long, value_name = "URL|DIR")]
    site: Option<String>,
    /// Leave Contents out, which need the object store
    #[arg(long, conflicts_with = "local_objects")]
    without_contents: bool,
    /// Make Contents of the packages that `git lfs pull` brought into this clone, and not of what the object store has
    #[arg(long)]
    local_objects: bool,
    /// Exit with 0 although files were compared only so; may be repeated
    #[arg(long, value_name = "HOW")]
    accept: Vec<Accept>,
}

/// How a file may have been compared without being looked at itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Accept {
    /// By the digest of its plain form, since another compressor made it and its bytes are not at hand
    PlainSame,
    /// Not at all, with --without-contents
    LeftOut,
}

pub(super) fn run(common: &Common, options: Rebuild) -> Result<ExitCode, Failure> {
    let open = OpenArchive::open(&common.folder(Purpose::Whole)?, common.branch.as_deref())?;
    let progress = Progress::new(common.verbose);
    let authorities = environment::variable("SSL_CERT_FILE").map(PathBuf::from);
    let tree = options.site.as_deref().map(|location| PublishedTree::of(location, authorities.as_deref().map(Path::new))).transpose()?;
    let read = tree.as_ref().map(|tree| move |path: &str, limit: u64| tree.read(path, limit));
    let request = RebuildRequest {
        release: options.release,
        output: options.output,
        site: read.as_ref().map(|read| read as &ReadSite<'_>),
        without_contents: options.without_contents,
        local_objects: options.local_objects,
        now: environment::now(common.now),
    };
    let answer = rebuild(&request, &open, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(exit(&answer, &options.accept).into())
}

fn exit(answer: &RebuildAnswer, accepted: &[Accept]) -> Exit {
    let is_accepted = |file: &RebuiltFile| match file.outcome {
        Outcome::PlainSame => accepted.contains(&Accept::PlainSame),
        Outcome::LeftOut => accepted.contains(&Accept::LeftOut),
        Outcome::Same | Outcome::SameContent | Outcome::Differs => true,
    };
    match answer.verdict {
        Verdict::Differs => Exit::Differs,
        Verdict::NotWhole if !answer.files.iter().all(is_accepted) => Exit::NotWhole,
        Verdict::Same | Verdict::SameContent | Verdict::NotWhole => Exit::Done,
    }
}

impl Answer for RebuildAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&format!("{}: {}\n", plain(&finding.file), plain(&finding.reason)));
        }
        text.push_str(&format!(
            "{}: Release {} of {}, made by ddb {} from commit {}\n",
            self.codename,
            self.sequence,
            self.date,
            plain(&self.ddb),
            self.base
        ));
        let mut line = |line: String| text.push_str(&format!("  {}\n", plain(&line)));
        line(format!("sha256 {}", self.release));
        if let Some(signature) = &self.signature {
            line(format!("signed by {}", signature.signed_by.join(", ")));
        }
        let same = self.files.iter().filter(|file| file.outcome == Outcome::Same).count();
        line(format!(
            "{same} of {} files came out with the same bytes, Release {}",
            self.files.len(),
            if is_same(self) { "among them" } else { "not among them" }
        ));
        for (file, what) in self.files.iter().filter_map(|file| Some((file, otherwise(file)?))) {
            let reason = file.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            line(format!("{}: {what}{reason}", file.path));
        }
        if matches!(self.verdict, Verdict::SameContent | Verdict::NotWhole) && self.encoders != self.own_encoders {
            let names = |names: &Encoders| names.iter().cloned().collect::<Vec<_>>().join("; ");
            let recorded = if self.encoders.is_empty() { "not recorded".to_owned() } else { names(&self.encoders) };
            line(format!("compressors then: {recorded}; here: {}", names(&self.own_encoders)));
        }
        if let Some(folder) = &self.output {
            line(format!("what was made is in {}", folder.display()));
        }
        self.notes.iter().for_each(|note| line(format!("note: {note}")));
        text.push_str(&match (self.verdict, self.findings.len()) {
            (Verdict::Same, _) => format!("{}: commit {} gives what was published, byte for byte.\n", self.codename, self.base),
            (Verdict::SameContent, _) => format!("{}: commit {} gives the content that was published.\n", self.codename, self.base),
            (Verdict::NotWhole, _) => not_whole(self),
            (Verdict::Differs, 1) => format!("{}: 1 problem.\n", self.codename),
            (Verdict::Differs, number) => format!("{}: {number} problems.\n", self.codename),
        });
        text
    }
}

/// Says what was not compared and what to do about it.
fn not_whole(answer: &RebuildAnswer) -> String {
    let number = |outcome| answer.files.iter().filter(|file| file.outcome == outcome).count();
    let mut missing = Vec::new();
    match number(Outcome::PlainSame) {
        0 => {}
        files => missing.push(format!("{files} by the digest of the plain form alone (say --site, or --accept plain-same)")),
    }
    match number(Outcome::LeftOut) {
        0 => {}
        files => missing.push(format!("{files} not at all (--accept left-out takes that)")),
    }
    format!("{}: nothing differs from what commit {} gives, but of the files {}.\n", answer.codename, answer.base, missing.join(", and "))
}

fn is_same(answer: &RebuildAnswer) -> bool {
    answer.files.first().is_some_and(|release| release.outcome == Outcome::Same)
}

/// Returns what people read about a file that did not come out byte for byte and is no problem.
fn otherwise(file: &RebuiltFile) -> Option<&'static str> {
    match file.outcome {
        Outcome::Same | Outcome::Differs => None,
        Outcome::SameContent => Some("the same content, other bytes"),
        Outcome::PlainSame => Some("its plain form is the same"),
        Outcome::LeftOut => Some("left out"),
    }
}
