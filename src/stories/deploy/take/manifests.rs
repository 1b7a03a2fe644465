//! The manifests of a build output: read, compared with what lies beside them, and united into one statement.

use std::collections::BTreeMap;

use super::{Taking, UploadsAnswer, Verify, problem};
use crate::formats::manifest::Manifest;
use crate::formats::pool::pointer::Pointer;
use crate::formats::sealed::Sealed;
use crate::formats::statement::{Build, Statement};
use crate::places::build_output::uploaded::Uploaded;
use crate::stories::deploy::{DeployError, Problem, choose_suite};
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

/// A manifest that was read.
pub(crate) struct FoundManifest {
    pub(super) path: String,
    pub(crate) manifest: Manifest,
    pub(crate) sealed: Sealed,
    pointers: BTreeMap<String, Pointer>,
    /// The uploader who signed it, where that was checked.
    sealed_by: Option<String>,
}

/// All manifests of a build output; never none.
pub(crate) struct Manifests {
    pub(super) suite: Codename,
    pub(crate) found: Vec<FoundManifest>,
}

impl Manifests {
    /// Reads the manifests and compares them with what lies beside them.
    pub(crate) fn read(taking: &Taking<'_>, uploaded: &Uploaded, verify: Verify) -> Result<Self, DeployError> {
        if verify == Verify::Head && taking.uploaders.is_none() {
            let reason = "--verify=head believes manifests that an uploader signed, and `uploaders` of ddb.toml names nobody; use --verify=full, or name keyrings there";
            return Err(DeployError::Verify(reason.to_owned()));
        }
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for file in &uploaded.manifests {
            let read = Manifest::read(&file.name, &file.bytes).map_err(|fault| fault.to_string()).and_then(|(manifest, sealed)| {
                let sealed_by = check_seal(&sealed, taking, verify)?;
                let pointers = manifest.pointers();
                Ok(FoundManifest { path: file.path.display().to_string(), manifest, sealed, pointers, sealed_by })
            });
            match read {
                Ok(manifest) => found.push(manifest),
                Err(reason) => problems.push(problem(&file.path, reason)),
            }
        }
        // Where a manifest is not usable, what it would have said about pointers is not known.
        if problems.is_empty() {
            problems.extend(compare(&found, uploaded));
        }
        // A pointer without a manifest is a problem, so there is a manifest.
        match found.first().map(|found: &FoundManifest| found.manifest.statement.suite.clone()) {
            Some(suite) if problems.is_empty() => {
                let manifests = Self { suite, found };
                manifests.check_suite(taking)?;
                Ok(manifests)
            }
            _ => Err(taking.refused(problems)),
        }
    }

    fn check_suite(&self, taking: &Taking<'_>) -> Result<(), DeployError> {
        let suite = &self.suite;
        if let Some(other) = self.found.iter().map(|found| &found.manifest.statement.suite).find(|other| *other != suite) {
            return Err(DeployError::Suite(format!(
                "the manifests are for several suites, {suite} and {other}; deploy them one after another"
            )));
        }
        let named = taking.suite.map(|name| choose_suite(Some(name), taking.archive, &std::collections::BTreeSet::new())).transpose()?;
        match named {
            Some(named) if named != *suite => {
                Err(DeployError::Suite(format!("the manifest is for suite {suite}, not {named}; upload again with --suite {named}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn job(&self) -> Option<String> {
        self.found.iter().find_map(|found| found.manifest.statement.job.clone())
    }

    pub(super) fn all_sealed(&self) -> bool {
        self.found.iter().all(|found| found.sealed_by.is_some())
    }

    pub(super) fn sealed_by(&self) -> Vec<String> {
        self.found.iter().filter_map(|found| found.sealed_by.clone()).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn names(&self, file: &str) -> bool {
        self.pointer(file).is_some()
    }

    pub(crate) fn pointer(&self, file: &str) -> Option<Pointer> {
        self.found.iter().find_map(|found| found.pointers.get(file).copied())
    }

    pub(super) fn answer(&self, uploaded: &Uploaded, verify: Verify, not_checked: Vec<String>) -> UploadsAnswer {
        UploadsAnswer {
            manifests: self.found.len(),
            pointers: uploaded.files.iter().filter(|file| file.pointer.is_some()).count(),
            verify,
            sealed_by: self.sealed_by(),
            not_checked,
        }
    }

    /// Returns one statement that says what all manifests say.
    pub(super) fn statement(self, job: Option<&str>) -> Statement {
        let (suite, signed_by) = (self.suite.clone(), self.sealed_by());
        let job = job.map(str::to_owned).or_else(|| self.job());
        let mut builds: BTreeMap<(SourceName, Version), Build> = BTreeMap::new();
        for build in self.found.into_iter().flat_map(|found| found.manifest.statement.builds) {
            match builds.entry((build.source.clone(), build.version.clone())) {
                std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(build)),
                std::collections::btree_map::Entry::Occupied(mut taken) => unite(taken.get_mut(), build),
            }
        }
        Statement { suite, builds: builds.into_values().collect(), job, signed_by }
    }
}

/// Compares names and pointers with what lies in the build output.
fn compare(manifests: &[FoundManifest], uploaded: &Uploaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &uploaded.files {
        let Some(pointer) = file.pointer else { continue };
        let mut named = manifests.iter().filter_map(|found| found.pointers.get(&file.name).map(|said| (found, said))).peekable();
        if named.peek().is_none() {
            let reason = "is a Git-LFS pointer that no manifest here names; lay the manifest of its upload beside it, or the file itself";
            problems.push(problem(&file.path, reason.to_owned()));
        }
        for (found, said) in named.filter(|(_, said)| **said != pointer) {
            let reason = format!(
                "points at object {} with {} bytes, {} says {} with {}",
                pointer.oid, pointer.size, found.path, said.oid, said.size
            );
            problems.push(problem(&file.path, reason));
        }
    }
    let present: std::collections::BTreeSet<&str> = uploaded.files.iter().map(|file| file.name.as_str()).collect();
    for found in manifests {
        for name in found.pointers.keys().filter(|name| !present.contains(name.as_str())) {
            problems.push(Problem { file: found.path.clone(), reason: format!("names {name}, which is not there") });
        }
    }
    problems
}

/// Adds what another manifest says about the same build.
fn unite(build: &mut Build, other: Build) {
    if build.source_package.is_none() {
        build.source_package = other.source_package;
    }
    for binary in other.binaries {
        if build.binaries.iter().all(|known| known.file.path != binary.file.path) {
            build.binaries.push(binary);
        }
    }
    for file in other.evidence {
        if build.evidence.iter().all(|known| known.path != file.path) {
            build.evidence.push(file);
        }
    }
    for file in other.provenance {
        if build.provenance.iter().all(|known| known.facts.sha256 != file.facts.sha256) {
            build.provenance.push(file);
        }
    }
}

/// Checks a manifest's signature where the archive names uploaders; none is needed unless the manifest is to be believed.
fn check_seal(sealed: &Sealed, taking: &Taking<'_>, verify: Verify) -> Result<Option<String>, String> {
    match (taking.uploaders, sealed.signature()) {
        (Some(uploaders), Some(_)) => uploaders.check_seal(sealed, taking.now).map(Some).map_err(|fault| fault.to_string()),
        (_, None) if verify == Verify::Head => Err(
            "carries no signature, and --verify=head believes signed manifests only; upload with DDB_UPLOADER_KEY, or use --verify=full"
                .to_owned(),
        ),
        _ => Ok(None),
    }
}
