//! Taking a build output: as files, or as an upload left it, with pointers in place of files and a manifest beside them.
//!
//! What was uploaded is fetched back, read and compared with the manifest like files that came here themselves; or, where a
//! configured uploader signed the manifest, taken as it says, with no more than the sizes of the objects asked for.

mod manifests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use manifests::Manifests;

use super::attest::{AttestError, Attested, Attestor, attest};
use super::compose::{self, Files, Said};
use super::{DeployError, Problem, choose_suite, depth, extra_digests, refused};
use crate::formats::manifest::differences;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::{Build, Statement};
use crate::formats::suite::record::Record;
use crate::places::build_output::scratch::Scratch;
use crate::places::build_output::uploaded::{LayOutError, Present, Uploaded, missing};
use crate::places::build_output::{self, BuildOutput, OutputBinary, ReadOptions};
use crate::places::digest_of;
use crate::places::sign::uploaders::Uploaders;
use crate::places::store::{Intent, ObjectStore, StoreError, in_parallel};
use crate::stories::event::{Event, Listener};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;

/// What is checked about files that were uploaded before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Objects are fetched, hashed and read as if the files had come here themselves.
    #[default]
    Full,
    /// The manifest is believed, which an uploader must have signed; objects are asked for their sizes alone.
    Head,
}

/// What was taken from uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UploadsAnswer {
    /// How many manifests were in the build output.
    pub manifests: usize,
    /// How many of its files were pointers.
    pub pointers: usize,
    /// What was checked.
    pub verify: Verify,
    /// Fingerprints of the uploaders who signed the manifests, where that was checked.
    pub sealed_by: Vec<String>,
    /// What was not checked, each a sentence.
    pub not_checked: Vec<String>,
}

/// What there is to take, and by which rules.
pub(crate) struct Taking<'a> {
    pub(crate) out: &'a Path,
    pub(crate) suite: Option<&'a str>,
    pub(crate) said: Said<'a>,
    pub(crate) archive: &'a Archive,
    pub(crate) uploaders: Option<&'a Uploaders>,
    pub(crate) now: Timestamp,
    /// Where file lists are kept; none where no suite wants Contents, or nothing is to be written.
    pub(crate) lists: Option<&'a dyn ObjectStore>,
    /// Who says where files come from of which nothing in the build output does.
    pub(crate) attestor: Option<&'a Attestor>,
    /// A folder in which files may be made that are needed for a moment.
    pub(crate) work: &'a Path,
    pub(crate) listener: Listener<'a>,
}

/// What was taken.
pub(crate) struct Taken {
    pub(crate) statement: Statement,
    /// The file of each object that is here.
    pub(crate) files: Files,
    /// Whether the files were read here and the records are what they say; else both are the word of who signed a manifest.
    pub(crate) written: bool,
    /// What came from uploads, if anything did.
    pub(crate) uploads: Option<UploadsAnswer>,
    /// Holds fetched files as long as they may be needed.
    _scratch: Option<Scratch>,
    _attested: Option<Attested>,
}

/// What was read.
pub(crate) struct ReadOutput {
    pub(crate) statement: Statement,
    /// The file of each object.
    pub(crate) files: Files,
    /// The provenance that was made.
    pub(crate) attested: Attested,
}

/// Takes a build output in whatever form it is.
pub(crate) fn take(taking: &Taking<'_>, verify: Verify, store: &dyn ObjectStore) -> Result<Taken, DeployError> {
    match Uploaded::look(taking.out) {
        Ok(uploaded) if !uploaded.is_plain() => {
            let manifests = Manifests::read(taking, &uploaded, verify)?;
            match verify {
                Verify::Full => taking.fetched(&uploaded, &manifests, store),
                Verify::Head => taking.believed(&uploaded, manifests, store),
            }
        }
        // What cannot be looked at is said when the files are read, with everything else.
        _ => {
            let ReadOutput { statement, files, attested } = taking.read(taking.out, taking.suite, taking.uploaders)?;
            Ok(Taken { statement, files, written: true, uploads: None, _scratch: None, _attested: Some(attested) })
        }
    }
}

impl Taking<'_> {
    /// Reads files and composes what they say.
    pub(crate) fn read(&self, dir: &Path, suite: Option<&str>, uploaders: Option<&Uploaders>) -> Result<ReadOutput, DeployError> {
        let mut output = self.read_files(dir, uploaders)?;
        let suite = choose_suite(suite, self.archive, &output.distributions)?;
        self.keep_lists(&output)?;
        let left = std::mem::take(&mut output.provenance);
        let composed = compose::statement(&suite, self.archive, output, self.said);
        let (mut statement, mut files) = composed.map_err(|problems| self.refused(problems))?;
        let attested = attest(&mut statement, &mut files, left, self.attestor, self.work).map_err(|fault| match fault {
            AttestError::Problems(problems) => self.refused(problems),
            fault => DeployError::Attest(fault),
        })?;
        Ok(ReadOutput { statement, files, attested })
    }

    /// Keeps the file list of each package, beside the objects: harmless where nothing comes of the deploy, and made again from the
    /// package where it gets lost.
    fn keep_lists(&self, output: &BuildOutput) -> Result<(), StoreError> {
        let Some(store) = self.lists else { return Ok(()) };
        let keep = |binary: &OutputBinary| {
            let list = &binary.contents;
            store.put_new(&Pointer { oid: list.digest(), size: list.bytes().len() as u64 }, list.bytes())
        };
        in_parallel(store, || output.binaries.par_iter().try_for_each(keep))
    }

    fn read_files(&self, dir: &Path, uploaders: Option<&Uploaders>) -> Result<BuildOutput, DeployError> {
        let begun = AtomicBool::new(false);
        let progress = |name: &str, parts: usize| {
            if !begun.swap(true, Ordering::Relaxed) {
                (self.listener)(Event::Begin { step: "reading build output", parts });
            }
            (self.listener)(Event::Part { name: name.to_owned() });
        };
        let (extra, depth) = (extra_digests(self.archive), depth(self.archive));
        let options = ReadOptions { extra, depth, uploaders, now: self.now, progress: Some(&progress) };
        let output = build_output::read(dir, &options).map_err(|problems| refused(self.out, problems))?;
        (self.listener)(Event::End);
        Ok(output)
    }

    pub(crate) fn refused(&self, problems: Vec<Problem>) -> DeployError {
        DeployError::Refused { out: self.out.to_owned(), problems }
    }

    /// Lays the files of an upload out in a folder.
    pub(crate) fn lay_out(&self, uploaded: &Uploaded, store: &dyn ObjectStore, work: &Path) -> Result<Scratch, DeployError> {
        let scratch = Scratch::make(work).map_err(|source| LayOutError::Io { path: work.to_owned(), source })?;
        (self.listener)(Event::Begin { step: "fetching uploaded files", parts: uploaded.files.len() });
        let done = |name: &str| (self.listener)(Event::Part { name: name.to_owned() });
        store.announce(Intent::Open, &uploaded.files.iter().filter_map(|file| file.pointer).collect::<Vec<_>>())?;
        in_parallel(store, || uploaded.lay_out(self.out, store, scratch.folder(), &done)).map_err(|fault| match fault {
            LayOutError::Problems(problems) => refused(self.out, problems),
            fault => fault.into(),
        })?;
        (self.listener)(Event::End);
        Ok(scratch)
    }

    /// Takes an upload by reading everything again.
    fn fetched(&self, uploaded: &Uploaded, manifests: &Manifests, store: &dyn ObjectStore) -> Result<Taken, DeployError> {
        let scratch = self.lay_out(uploaded, store, self.work)?;
        // Who signed a manifest has signed for every file that it names.
        let sealed = manifests.all_sealed() && uploaded.files.iter().all(|file| manifests.names(&file.name));
        let uploaders = self.uploaders.filter(|_| !sealed);
        let suite = manifests.suite.as_str();
        let ReadOutput { mut statement, files, attested } = self.read(scratch.folder(), Some(suite), uploaders)?;
        let problems: Vec<Problem> = manifests
            .found
            .iter()
            .flat_map(|found| {
                let differences = differences(&found.manifest.statement, &statement);
                differences.into_iter().map(|reason| Problem { file: found.path.clone(), reason })
            })
            .collect();
        if !problems.is_empty() {
            return Err(self.refused(problems));
        }
        if sealed {
            statement.signed_by = manifests.sealed_by();
        }
        statement.job = statement.job.or_else(|| manifests.job());
        let unchecked = "the signatures of the manifests were not checked: ddb.toml names no uploaders";
        let has_unchecked = self.uploaders.is_none() && manifests.found.iter().any(|found| found.sealed.signature().is_some());
        let not_checked = has_unchecked.then(|| unchecked.to_owned()).into_iter().collect();
        let uploads = manifests.answer(uploaded, Verify::Full, not_checked);
        Ok(Taken { statement, files, written: true, uploads: Some(uploads), _scratch: Some(scratch), _attested: Some(attested) })
    }

    /// Takes an upload as its signed manifests say.
    fn believed(&self, uploaded: &Uploaded, manifests: Manifests, store: &dyn ObjectStore) -> Result<Taken, DeployError> {
        let mut files = Files::new();
        let mut problems = Vec::new();
        for file in uploaded.files.iter().filter(|file| file.pointer.is_none()) {
            let path = self.out.join(&file.path);
            let failed = |source| LayOutError::Io { path: path.clone(), source };
            let found = Pointer::from(&std::fs::File::open(&path).and_then(digest_of).map_err(failed)?);
            match manifests.pointer(&file.name) {
                Some(pointer) if pointer == found => drop(files.insert(found, path)),
                Some(_) => problems.push(problem(&file.path, "is not the file that the manifest names".to_owned())),
                None => problems.push(problem(
                    &file.path,
                    "is named by no manifest, and --verify=head reads no files; upload it too, or use --verify=full".to_owned(),
                )),
            }
        }
        let pointers: Vec<_> = uploaded.files.iter().filter_map(|file| file.pointer.map(|pointer| (file, pointer))).collect();
        (self.listener)(Event::Begin { step: "asking for uploaded objects", parts: pointers.len() });
        store.announce(Intent::Open, &pointers.iter().map(|(_, pointer)| *pointer).collect::<Vec<_>>())?;
        let ask = |(file, pointer): &(&Present, Pointer)| {
            let there = store.refresh(pointer)?;
            (self.listener)(Event::Part { name: file.name.clone() });
            Ok((!there).then(|| problem(&file.path, missing(store, pointer))))
        };
        let asked: Vec<Option<Problem>> = in_parallel(store, || pointers.par_iter().map(ask).collect::<Result<_, StoreError>>())?;
        (self.listener)(Event::End);
        problems.extend(asked.into_iter().flatten());
        let bytes: u64 = pointers.iter().map(|(_, pointer)| pointer.size).sum();
        let not_checked = if self.archive.suite(&manifests.suite).is_some_and(|suite| suite.require_provenance) {
            // Packages and .dsc are read where they land.
            vec!["the bytes of files that are no package and no .dsc: the store was asked for their sizes alone".to_owned()]
        } else {
            vec![
                format!("the bytes of {} objects ({bytes} bytes): the store was asked for their sizes alone", pointers.len()),
                "whether packages, .dsc and .changes say what the records in the manifest say".to_owned(),
            ]
        };
        let signatures = "signatures of .changes and .dsc: the manifest's signature stands for them";
        let not_checked = not_checked.into_iter().chain([signatures.to_owned()]).collect();
        let uploads = manifests.answer(uploaded, Verify::Head, not_checked);
        let statement = manifests.statement(self.said.job);
        self.check_key(&statement)?;
        problems.extend(compose::check_job(&statement, self.said));
        if !problems.is_empty() {
            return Err(self.refused(problems));
        }
        Ok(Taken { statement, files, written: false, uploads: Some(uploads), _scratch: None, _attested: None })
    }
}

impl Taking<'_> {
    /// Refuses a key that would sign for files which nobody here has read.
    fn check_key(&self, statement: &Statement) -> Result<(), DeployError> {
        if self.attestor.is_none_or(|attestor| attestor.key.is_none()) {
            return Ok(());
        }
        let signed = |text: &str| Record::parse(text.as_bytes()).is_ok_and(|record| record.provenance.is_some());
        let mut records = statement.builds.iter().flat_map(Build::records);
        match records.find(|(_, text)| !signed(text)) {
            Some((file, _)) => Err(DeployError::Verify(format!(
                "--verify=head reads no files, so the key for provenance would sign for {} without anybody having read it here; give the key \
                 (DDB_PROVENANCE_KEY) to `ddb-deploy upload`, use --verify=full, or unset it",
                file.path.file()
            ))),
            None => Ok(()),
        }
    }
}

fn problem(path: &Path, reason: String) -> Problem {
    Problem { file: path.display().to_string(), reason }
}
