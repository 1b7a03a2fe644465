//! Provenance of a build output: each package's record names the envelope that the build job left, else one that is signed now, else
//! what the CI job claims.
//!
//! What was left stays as it is; beside an envelope without signatures there is one that is signed now, where there is a key. A record that names a signed envelope says nothing of whether the signature counts: that is judged
//! where a suite's policy asks for it (`stories::provenance`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use p256::elliptic_curve::rand_core::OsRng;

use super::Problem;
use super::compose::{Files, component_of};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::ProvenanceError;
use crate::formats::provenance::claims::Claims;
use crate::formats::provenance::dsse::Envelope;
use crate::formats::provenance::in_toto::{self, Made};
use crate::formats::provenance::key::SecretKey;
use crate::formats::statement::{Build, PooledFile, Statement};
use crate::formats::suite::record::{self, CLAIMS, PROVENANCE};
use crate::places::build_output::OutputProvenance;
use crate::places::build_output::scratch::Scratch;
use crate::words::digest::{ExtraDigests, FileFacts, Sha256};
use crate::words::name::FileName;

/// Who says where files come from.
#[derive(Debug)]
pub struct Attestor {
    /// What the CI job says of itself, or options.
    pub claims: Claims,
    /// What signs it; without, it is a claim.
    pub key: Option<SecretKey>,
}

/// Provenance that was made now.
#[derive(Debug, Default)]
pub(crate) struct Attested {
    /// Its files, by name.
    pub(crate) files: BTreeMap<String, Pointer>,
    /// Holds them as long as they may be needed.
    scratch: Option<Scratch>,
}

/// Why provenance cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// What was left does not fit.
    #[error("the provenance does not fit the build output")]
    Problems(Vec<Problem>),
    /// It cannot be signed.
    #[error("the provenance cannot be signed")]
    Sign(#[from] ProvenanceError),
    /// It cannot be written.
    #[error("cannot write the provenance")]
    Write(#[from] std::io::Error),
}

/// Lets each record of a statement name the provenance of its package. `within` is a folder for files that are made now.
pub(super) fn attest(
    statement: &mut Statement,
    files: &mut Files,
    left: Vec<OutputProvenance>,
    attestor: Option<&Attestor>,
    within: &Path,
) -> Result<Attested, AttestError> {
    let (mut used, mut attested, mut problems) = (BTreeSet::new(), Attested::default(), Vec::new());
    if left.is_empty() && attestor.is_none() {
        return Ok(attested);
    }
    let taken: BTreeSet<&str> = left.iter().map(|one| one.file.name.as_str()).collect();
    for build in &mut statement.builds {
        let may_sign = attestor.is_some_and(|attestor| attestor.key.is_some());
        let bare = take_left(build, files, &left, may_sign, &mut used);
        if bare.is_empty() {
            continue;
        }
        let signed = build.records().any(|(file, _)| left.iter().any(|one| one.signed && one.subjects.contains(&file.facts.sha256)));
        match attestor {
            Some(attestor) if attestor.key.is_some() || !signed => {
                let made = make(build, &bare, attestor, &taken)?;
                let scratch = match attested.scratch.take() {
                    Some(scratch) => scratch,
                    None => Scratch::make(within)?,
                };
                made.add(build, &bare, files, scratch.folder(), &mut attested)?;
                attested.scratch = Some(scratch);
            }
            // What is named in part was meant to be named whole.
            _ if signed => problems.extend(bare.iter().map(|(name, sha256)| {
                let reason = format!(
                    "no provenance here names its sha256 {sha256}, although other files of {} {} have one",
                    build.source, build.version
                );
                Problem { file: name.clone(), reason }
            })),
            _ => {}
        }
    }
    let unused = left.iter().filter(|one| !used.contains(&one.file.name));
    problems.extend(unused.map(|one| {
        let reason = "names no package here that another provenance does not name; remove it, or add the files that it is about";
        Problem { file: one.file.name.to_string(), reason: reason.to_owned() }
    }));
    if problems.is_empty() { Ok(attested) } else { Err(AttestError::Problems(problems)) }
}

/// Takes what the build job left, and returns the packages of a build that nothing of it names, by name; where there is a key, also
/// those that nothing names which carries a signature.
fn take_left(
    build: &mut Build,
    files: &mut Files,
    left: &[OutputProvenance],
    may_sign: bool,
    used: &mut BTreeSet<FileName>,
) -> BTreeMap<String, Sha256> {
    let component = component_of(build);
    let mut bare = BTreeMap::new();
    let mut named: BTreeMap<Sha256, &OutputProvenance> = BTreeMap::new();
    for (file, _) in build.records() {
        let names = || left.iter().filter(|one| one.subjects.contains(&file.facts.sha256));
        let found = names().find(|one| one.signed).or_else(|| names().next());
        if found.is_none_or(|one| !one.signed && may_sign) {
            bare.insert(file.path.file().to_string(), file.facts.sha256);
        }
        named.extend(found.map(|one| (file.facts.sha256, one)));
    }
    for one in named.values() {
        let path = PoolPath::new(component.clone(), build.source.clone(), one.file.name.clone());
        if build.provenance.iter().all(|known| known.path != path) {
            files.insert(Pointer::from(&one.file.facts), one.file.path.clone());
            build.provenance.push(PooledFile { path, facts: one.file.facts.clone() });
        }
        used.insert(one.file.name.clone());
    }
    name_in_records(build, |sha256| {
        let one = named.get(sha256)?;
        Some((if one.signed { PROVENANCE } else { CLAIMS }, Pointer::from(&one.file.facts)))
    });
    bare
}

fn name_in_records(build: &mut Build, of: impl Fn(&Sha256) -> Option<(&'static str, Pointer)>) {
    let binaries = build.binaries.iter_mut().map(|binary| (&binary.file, &mut binary.record));
    for (file, text) in binaries.chain(build.source_package.iter_mut().map(|source| (&source.file, &mut source.record))) {
        if let Some((field, object)) = of(&file.facts.sha256) {
            record::add_object(text, field, &object);
        }
    }
}

/// An envelope or statement that was made.
struct MadeFile {
    name: FileName,
    bytes: Vec<u8>,
    field: &'static str,
}

/// Makes the statement about some packages of a build, and signs it where there is a key.
fn make(build: &Build, bare: &BTreeMap<String, Sha256>, attestor: &Attestor, taken: &BTreeSet<&str>) -> Result<MadeFile, AttestError> {
    let name = |file: &PooledFile| (file.path.file().to_string(), file.facts.sha256);
    let mut subjects = bare.clone();
    let parts = build.source_package.iter().filter(|source| bare.contains_key(source.file.path.file().as_str()));
    let parts = parts.flat_map(|source| source.parts.iter().filter(|part| part.here));
    subjects.extend(parts.map(|part| (part.path.file().to_string(), part.sha256)));
    let evidence = build.evidence.iter().map(name).collect();
    let made = Made { package: build.source.as_str(), version: build.version.as_str(), files: &subjects, evidence: &evidence };
    let payload = in_toto::write(&made, &attestor.claims);
    let digest: String = Sha256::of(&payload).to_hex().chars().take(12).collect();
    let (bytes, field, ending) = match &attestor.key {
        Some(key) => (Envelope::sign(payload, key, &mut OsRng)?.encode(), PROVENANCE, ".intoto.json"),
        None => (payload, CLAIMS, ".provenance.json"),
    };
    let stem = format!("{}_{}_{}", build.source, build.version.without_epoch(), architecture(build));
    let plain = format!("{stem}{ending}");
    let text = if taken.contains(plain.as_str()) { format!("{stem}.{digest}{ending}") } else { plain };
    match text.parse() {
        Ok(name) => Ok(MadeFile { name, bytes, field }),
        Err(fault) => {
            Err(AttestError::Problems(vec![Problem { file: text, reason: format!("cannot be the name of provenance: {fault}") }]))
        }
    }
}

/// Returns what the provenance of a build is named by, as a .changes is.
fn architecture(build: &Build) -> &str {
    let mut architectures: BTreeSet<&str> = build.binaries.iter().map(|binary| binary.architecture.as_str()).collect();
    if architectures.len() > 1 {
        architectures.remove("all");
    }
    let mut architectures = architectures.into_iter();
    match (architectures.next(), architectures.next()) {
        (None, _) => "source",
        (Some(only), None) => only,
        _ => "multi",
    }
}

impl MadeFile {
    /// Writes the file and lets the records name it.
    fn add(
        self,
        build: &mut Build,
        bare: &BTreeMap<String, Sha256>,
        files: &mut Files,
        folder: &Path,
        attested: &mut Attested,
    ) -> Result<(), AttestError> {
        let file = folder.join(self.name.as_str());
        write(&file, &self.bytes)?;
        let facts = FileFacts::of(&self.bytes, ExtraDigests::default());
        let object = Pointer::from(&facts);
        let about: BTreeSet<&Sha256> = bare.values().collect();
        name_in_records(build, |sha256| about.contains(sha256).then_some((self.field, object)));
        let path = PoolPath::new(component_of(build), build.source.clone(), self.name.clone());
        build.provenance.push(PooledFile { path, facts });
        files.insert(object, file);
        attested.files.insert(self.name.to_string(), object);
        Ok(())
    }
}

/// Writes a file that only this run has.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    std::io::Write::write_all(&mut file, bytes)
}
