//! Reads what a build left in `out/`: every file once, all checks that need no archive, all problems together.
//!
//! Known files are .deb, .udeb, .ddeb, .dsc, whatever a .dsc lists, .changes, .buildinfo and logs (`*.log`, `*.build`, also
//! compressed) and provenance (`*.intoto.jsonl`, `*.sigstore.json`, see `formats::provenance`), flat or in sub-folders. Names that begin with a dot are left out (`.gitkeep`, editors' files): none of the
//! above has one. Links, devices and fifos are refused and never opened. Either the whole folder is good, or nothing of it
//! is returned. What an upload left there (pointers and a manifest, see `uploaded`) is found and not read as a build.
//! Suites, pool and conflicts are not known here.

mod checks;
mod reading;
pub mod scratch;
pub mod uploaded;
mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::formats::artifact::control::Binary;
use crate::formats::artifact::deb::Depth;
use crate::formats::artifact::dsc::Dsc;
use crate::formats::contents::FileList;
use crate::places::sign::uploaders::Uploaders;
use crate::words::causes::chain;
use crate::words::date::Timestamp;
use crate::words::digest::{ExtraDigests, FileFacts, Md5, Sha256};
use crate::words::name::{FileName, SourceName};
use crate::words::version::Version;

/// Is told each file's name and the number of all files.
pub type Progress<'a> = &'a (dyn Fn(&str, usize) + Sync);

/// How a build output is read.
#[derive(Clone, Copy)]
pub struct ReadOptions<'a> {
    /// Digests that the facts carry beside MD5 and SHA-256.
    pub extra: ExtraDigests,
    /// How much of a package is unpacked.
    pub depth: Depth,
    /// Whose signatures count. Where given, every .changes must carry one, and every package be covered by one.
    pub uploaders: Option<&'a Uploaders>,
    /// The time at which signatures are judged.
    pub now: Timestamp,
    /// Called after each file with its name and the number of all files; from several threads.
    pub progress: Option<Progress<'a>>,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the build output; `.` for the folder itself.
    pub file: PathBuf,
    /// What is wrong and, where it helps, what to do; one line.
    pub reason: String,
}

/// Everything that is wrong with a build output, sorted by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|problem| format!("{}: {}", problem.file.display(), problem.reason)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Where it lies: the folder that was given and the path below it.
    pub path: PathBuf,
    /// Its plain name.
    pub name: FileName,
    /// Its size and digests.
    pub facts: FileFacts,
}

/// A binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputBinary {
    /// The .deb, .udeb or .ddeb.
    pub file: OutputFile,
    /// Its control paragraph.
    pub binary: Binary,
    /// What it installs; nothing where only the control text was asked for.
    pub contents: FileList,
}

/// A file that a .dsc lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPart {
    /// Its plain name.
    pub name: FileName,
    /// Length in bytes, as the .dsc says.
    pub size: u64,
    /// MD5, as the .dsc says.
    pub md5: Option<Md5>,
    /// SHA-256, as the .dsc says.
    pub sha256: Sha256,
    /// The file itself; `None` where it is expected to be in the pool.
    pub here: Option<OutputFile>,
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSource {
    /// The .dsc.
    pub file: OutputFile,
    /// Its paragraph.
    pub dsc: Dsc,
    /// Section of the .dsc in a .changes.
    pub section: Option<String>,
    /// Priority of the .dsc in a .changes.
    pub priority: Option<String>,
    /// The files that it lists.
    pub parts: Vec<OutputPart>,
}

/// What a piece of evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceKind {
    /// A .changes.
    Changes,
    /// A .buildinfo.
    Buildinfo,
    /// A build log.
    Log,
}

/// A file about a build that is kept and not offered to apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputEvidence {
    /// The file.
    pub file: OutputFile,
    /// What it is.
    pub kind: EvidenceKind,
    /// The source that was built.
    pub source: SourceName,
    /// The version of that source.
    pub source_version: Version,
}

/// A file that says where others come from. Nobody has checked who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputProvenance {
    /// The envelope or bundle.
    pub file: OutputFile,
    /// The digests of the files that it names.
    pub subjects: BTreeSet<Sha256>,
    /// Whether it carries any signature.
    pub signed: bool,
}

/// A whole build output. Lists are in the order of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOutput {
    /// .deb, .udeb and .ddeb files.
    pub binaries: Vec<OutputBinary>,
    /// .dsc files with what they list.
    pub sources: Vec<OutputSource>,
    /// .changes, .buildinfo and logs.
    pub evidence: Vec<OutputEvidence>,
    /// Envelopes and bundles that the build job left.
    pub provenance: Vec<OutputProvenance>,
    /// Every `Distribution` of the .changes.
    pub distributions: BTreeSet<String>,
    /// Fingerprints of the uploaders whose signatures counted.
    pub signed_by: BTreeSet<String>,
}

/// Reads a build output.
///
/// # Errors
/// Every problem of every file, sorted by file; at least one.
pub fn read(dir: &Path, options: &ReadOptions<'_>) -> Result<BuildOutput, Problems> {
    let (mut found, mut problems) = walk::files(dir);
    found.retain(|found| found.kind != walk::Kind::Manifest);
    if found.is_empty() && problems.is_empty() {
        let reason = "holds no files; give the folder that the build wrote to".to_owned();
        return Err(Problems(vec![Problem { file: PathBuf::from("."), reason }]));
    }
    let files = reading::read_all(dir, found, options);
    let output = checks::check(files, options, &mut problems);
    if problems.is_empty() {
        return Ok(output);
    }
    problems.sort();
    problems.dedup();
    Err(Problems(problems))
}

/// Returns an error and its causes as one line.
fn in_one_line(fault: &dyn std::error::Error) -> String {
    chain(fault).replace('\n', " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
