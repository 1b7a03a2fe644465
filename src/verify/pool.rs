//! Pool files: compared with the indices that list them, found by package, and found by a file's own bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::answer::{CheckedFiles, Class, FileAnswer, Finding, Listing, VersionAnswer};
use super::indices::File;
use super::paragraphs::{Offer, PoolFile};
use super::site::Site;
use super::{VerifyAnswer, VerifyError, VerifyRequest, provenance};
use crate::words::digest::{Listed, OidHasher, Sha256};

/// How many pool files are read at once: most of the time goes into waiting for a server.
const LANES: usize = 8;

/// What of the pool is asked for.
pub(super) struct Wanted {
    pool: bool,
    packages: Vec<String>,
    files: Vec<Asked>,
}

/// A file that may be what the archive published.
struct Asked {
    path: PathBuf,
    name: String,
    sha256: Sha256,
    size: u64,
}

/// An offer that was wanted, and where it stands.
pub(super) struct Match {
    pub(super) suite: String,
    pub(super) index: String,
    pub(super) date: String,
    pub(super) offer: Offer,
}

impl Wanted {
    /// Reads the files that are asked about.
    pub(super) fn of(request: &VerifyRequest) -> Result<Self, VerifyError> {
        let mut files = Vec::new();
        for path in &request.files {
            let fault = |source| VerifyError::Read { path: path.clone(), source };
            let mut hasher = OidHasher::default();
            std::io::copy(&mut std::fs::File::open(path).map_err(fault)?, &mut hasher).map_err(fault)?;
            let (sha256, size) = hasher.finish();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push(Asked { path: path.clone(), name, sha256, size });
        }
        Ok(Self { pool: request.pool, packages: request.packages.clone(), files })
    }

    /// Tells whether anything of the indices' content is asked for.
    pub(super) fn anything(&self) -> bool {
        self.pool || !self.packages.is_empty() || !self.files.is_empty()
    }

    /// Tells whether this offer is asked for.
    pub(super) fn wants(&self, offer: &Offer) -> bool {
        self.pool || self.wants_package(offer) || self.files.iter().any(|asked| offer.files.iter().any(|file| asked.is_like(file)))
    }

    fn wants_package(&self, offer: &Offer) -> bool {
        let source = offer.source.as_deref().and_then(|source| source.split_ascii_whitespace().next());
        self.packages.iter().any(|wanted| *wanted == offer.package || Some(wanted.as_str()) == source)
    }
}

impl Asked {
    fn is(&self, file: &PoolFile) -> bool {
        file.sha256 == self.sha256 && file.size == self.size
    }

    fn is_like(&self, file: &PoolFile) -> bool {
        self.is(file) || file.path.rsplit('/').next() == Some(&self.name)
    }
}

/// Reads the pool files of these offers that are asked for, each once.
pub(super) fn check(site: &Site, wanted: &Wanted, offers: &[(String, Offer)]) -> (CheckedFiles, Vec<Finding>) {
    let mut files: BTreeMap<&str, (&PoolFile, &str)> = BTreeMap::new();
    let mut findings = Vec::new();
    for (index, offer) in offers.iter().filter(|(_, offer)| wanted.pool || wanted.wants_package(offer)) {
        for file in &offer.files {
            let (first, other) = *files.entry(&file.path).or_insert((file, index));
            if first != file {
                findings.push(Finding::new(Class::Pool, &file.path, format!("is listed with other bytes by {index} than by {other}")));
            }
        }
    }
    let look = |(file, index): &(&PoolFile, &str)| {
        let listed = Listed { size: file.size, sha256: file.sha256, md5: None, sha1: None, sha512: None };
        let look = File { site, path: &file.path, listed: &listed, suffix: "", plain: None };
        look.check("", None, &mut Vec::new()).map(|()| file.size).map_err(|fault| {
            let mut finding = fault.finding(Class::Pool, &file.path);
            finding.reason.push_str(&format!(" (listed by {index})"));
            finding
        })
    };
    let files: Vec<_> = files.into_values().collect();
    let looked: Vec<Result<u64, Finding>> = match rayon::ThreadPoolBuilder::new().num_threads(LANES).build() {
        Ok(lanes) => lanes.install(|| files.par_iter().map(look).collect()),
        // Without threads of its own it goes on with those that there are.
        Err(_) => files.iter().map(look).collect(),
    };
    let mut checked = CheckedFiles::default();
    for result in looked {
        match result {
            Ok(size) => {
                checked.files += 1;
                checked.bytes += size;
            }
            Err(finding) => findings.push(finding),
        }
    }
    (checked, findings)
}

/// Answers what was asked about packages and files.
pub(super) fn answer(request: &VerifyRequest, wanted: &Wanted, matches: Vec<Match>, answer: &mut VerifyAnswer) -> Result<(), VerifyError> {
    for package in &wanted.packages {
        let of_package = Wanted { pool: false, packages: vec![package.clone()], files: Vec::new() };
        let mut versions: Vec<VersionAnswer> = matches.iter().filter(|found| of_package.wants_package(&found.offer)).map(version).collect();
        versions.sort();
        versions.dedup();
        if versions.is_empty() {
            answer.findings.push(Finding::new(Class::NotPublished, package, "is no package that the verified indices offer"));
        }
        answer.versions.append(&mut versions);
    }
    for asked in &wanted.files {
        let listed: Vec<(&Match, &PoolFile)> = matches
            .iter()
            .flat_map(|found| found.offer.files.iter().filter(|file| asked.is(file)).map(move |file| (found, file)))
            .collect();
        let offer = listed.first().map(|(found, _)| &found.offer);
        let provenance = request.repository.as_deref().map(|path| provenance::of(path, asked.sha256, asked.size)).transpose()?.flatten();
        if listed.is_empty() {
            answer.findings.push(Finding::new(
                Class::NotPublished,
                asked.path.display().to_string(),
                stranger(asked, &matches, provenance.as_ref()),
            ));
        } else if let (Some(repository), None) = (&request.repository, &provenance) {
            let reason = format!(
                "is published, and no commit of {} brought it: fetch there, and if that does not help, its history was rewritten",
                repository.display()
            );
            answer.findings.push(Finding::new(Class::NotPublished, asked.path.display().to_string(), reason));
        }
        answer.files.push(FileAnswer {
            file: asked.path.display().to_string(),
            sha256: asked.sha256,
            size: asked.size,
            package: offer.map(|offer| offer.package.clone()),
            version: offer.map(|offer| offer.version.clone()),
            architecture: offer.map(|offer| offer.architecture.clone()),
            source: offer.and_then(|offer| offer.source.clone()),
            listed: listed
                .iter()
                .map(|(found, file)| Listing {
                    suite: found.suite.clone(),
                    index: found.index.clone(),
                    path: file.path.clone(),
                    date: found.date.clone(),
                })
                .collect(),
            provenance,
        });
    }
    Ok(())
}

fn version(found: &Match) -> VersionAnswer {
    let Offer { package, version, architecture, files, .. } = &found.offer;
    VersionAnswer {
        package: package.clone(),
        version: version.clone(),
        architecture: architecture.clone(),
        suite: found.suite.clone(),
        files: files.iter().map(|file| file.path.clone()).collect(),
    }
}

/// Says what is known about a file that no index lists.
fn stranger(asked: &Asked, matches: &[Match], provenance: Option<&super::ProvenanceAnswer>) -> String {
    let namesake = matches.iter().flat_map(|found| &found.offer.files).find(|file| asked.is_like(file));
    let known = match (namesake, provenance) {
        (Some(file), _) => format!("; the archive publishes other bytes under that name: SHA256 {}, {} bytes", file.sha256, file.size),
        (None, Some(known)) if known.releases.is_empty() => {
            format!("; its repository has the file since commit {}, and no Release offered it", known.commit)
        }
        (None, Some(known)) => format!("; its repository says that earlier Releases did: {}", known.releases.join(", ")),
        (None, None) => String::new(),
    };
    format!("is not what the archive publishes: no verified index lists SHA256 {} with {} bytes{known}", asked.sha256, asked.size)
}
