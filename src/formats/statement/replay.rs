//! Replay: what a statement changes on a tip, as a pure function of both (design: "Deploy = a statement, landed by replay").
//!
//! - A build replaces what its source offered for *its* architectures, nothing else. A build is named by its source version
//!   and rebuild number (`+bN`): a newer one replaces, an older one is superseded, the same one delivered in parts is united.
//! - A source or arch:all record stays while some architecture still offers a binary of that source version.
//! - Same name, same bytes: nothing to do. Same name, other bytes: evidence is kept beside the first; source and arch:all files
//!   that another architecture's build already brought are kept as they are, with a note; anything else is refused.
//! - A record that differs in its provenance alone stays as it is, unless signed provenance comes to one that has none. Provenance
//!   goes into the pool where a record names it.
//!
//! Nothing is removed from the pool: what a suite no longer offers can be offered again, and a name never means other bytes.

mod evidence;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use evidence::with_digest;

use super::{Binary, Build, PooledFile, SourcePackage, Statement, source_version_of};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::words::deb822::Paragraph;
use crate::words::digest::Sha256;
use crate::words::name::{Architecture, Codename, SourceName};
use crate::words::version::Version;
use evidence::renewed;

/// What the tip says about the sources of a statement.
#[derive(Debug, Clone, Default)]
pub struct Tip {
    /// The records of these sources in every suite.
    pub records: BTreeMap<RecordPlace, String>,
    /// The pointers in the pool folders of these sources.
    pub pool: BTreeMap<PoolPath, Pointer>,
}

/// What is done when a name is taken by other bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Nothing of the statement lands.
    #[default]
    Refuse,
    /// The bytes that were there first stay.
    Keep,
    /// The new bytes take the name.
    Replace,
}

/// How a statement is landed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// What is done when a name is taken by other bytes.
    pub on_conflict: OnConflict,
    /// Whether an older version may displace a newer one.
    pub downgrade: bool,
}

/// What became of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The suite offers it now.
    Landed,
    /// The suite offered it before, with the same bytes.
    AlreadyLanded,
    /// The suite offers something newer.
    Superseded,
}

/// What a statement changes and what became of each build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Paths in the repository with their new content; `None` removes.
    pub edits: BTreeMap<String, Option<String>>,
    /// One entry for each build, in the statement's order.
    pub builds: Vec<BuildOutcome>,
}

/// What became of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOutcome {
    /// The verdict.
    pub verdict: Verdict,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Names whose first bytes were kept: path, digest that stays, digest that came.
    pub differing: Vec<(PoolPath, Sha256, Sha256)>,
}

/// Why a statement does not land: one entry for every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Conflict {
    /// The file's place in the pool.
    pub path: PoolPath,
    /// What is wrong and what to do.
    pub reason: String,
    /// Whether the name is taken by other bytes; else a .dsc names a file that is nowhere.
    pub taken: bool,
}

/// Computes what the statement changes on this tip.
///
/// # Errors
/// Every file whose name is taken by other bytes, and every file that a .dsc names and that is nowhere.
pub fn replay(statement: &Statement, tip: &Tip, rules: Rules) -> Result<Outcome, Vec<Conflict>> {
    let mut state = Tip::default();
    let mut conflicts = Vec::new();
    let mut builds = Vec::with_capacity(statement.builds.len());
    let mut sources = by_source(tip);
    for build in &statement.builds {
        // Nothing of one source depends on another, so each build sees its own source alone.
        let Tip { records, pool } = sources.remove(&build.source).unwrap_or_default();
        let mut own = State { records, pool, conflicts: Vec::new() };
        builds.push(own.land(&statement.suite, build, rules));
        conflicts.append(&mut own.conflicts);
        sources.insert(build.source.clone(), Tip { records: own.records, pool: own.pool });
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    for own in sources.into_values() {
        state.records.extend(own.records);
        state.pool.extend(own.pool);
    }
    Ok(Outcome { edits: difference(tip, state), builds })
}

fn by_source(tip: &Tip) -> BTreeMap<SourceName, Tip> {
    let mut sources: BTreeMap<SourceName, Tip> = BTreeMap::new();
    for (place, text) in &tip.records {
        sources.entry(place.source.clone()).or_default().records.insert(place.clone(), text.clone());
    }
    for (path, pointer) in &tip.pool {
        sources.entry(path.source().clone()).or_default().pool.insert(path.clone(), *pointer);
    }
    sources
}

fn difference(tip: &Tip, state: Tip) -> BTreeMap<String, Option<String>> {
    let gone = tip.records.keys().filter(|place| !state.records.contains_key(place));
    let mut edits: BTreeMap<String, Option<String>> = gone.map(|place| (place.to_string(), None)).collect();
    for (place, text) in state.records {
        if tip.records.get(&place) != Some(&text) {
            edits.insert(place.to_string(), Some(text));
        }
    }
    for (path, pointer) in state.pool {
        if tip.pool.get(&path) != Some(&pointer) {
            edits.insert(path.to_string(), Some(pointer.encode()));
        }
    }
    edits
}

/// What a build is called when builds of one source are compared: source version, then rebuild number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildName {
    pub(crate) source_version: Version,
    rebuild: u32,
}

impl BuildName {
    fn new(source_version: Version, version: &Version) -> Self {
        let rebuild = if *version == source_version { 0 } else { version.binary_rebuild() };
        Self { source_version, rebuild }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.source_version.compare(&other.source_version).then(self.rebuild.cmp(&other.rebuild))
    }
}

pub(crate) fn build_name(place: &RecordPlace, text: &str) -> BuildName {
    let source_version = source_version_of(&Paragraph::of_checked(text)).unwrap_or_else(|| place.version.clone());
    BuildName::new(source_version, &place.version)
}

/// The tip while builds are landed on it.
struct State {
    records: BTreeMap<RecordPlace, String>,
    pool: BTreeMap<PoolPath, Pointer>,
    conflicts: Vec<Conflict>,
}

/// What one build puts in, before it is known what stays.
#[derive(Default)]
struct Landing {
    notes: Vec<String>,
    differing: Vec<(PoolPath, Sha256, Sha256)>,
    added: BTreeMap<RecordPlace, Vec<(PoolPath, Pointer)>>,
    superseded: bool,
}

impl State {
    fn land(&mut self, suite: &Codename, build: &Build, rules: Rules) -> BuildOutcome {
        let before = (self.records.clone(), self.pool.clone());
        let mut landing = Landing::default();
        let has_architecture = build.architectures().next().is_some();
        for architecture in build.architectures() {
            let units: Vec<&Binary> = build.binaries.iter().filter(|binary| binary.architecture == *architecture).collect();
            self.land_architecture(suite, build, architecture, &units, rules, &mut landing);
        }
        for binary in build.binaries.iter().filter(|binary| binary.architecture.is_all()) {
            self.land_binary(binary, &binary.place(suite, &build.source), rules, has_architecture, &mut landing);
        }
        if let Some(source) = &build.source_package {
            self.land_source(source, &source.place(suite, build), rules, has_architecture, &mut landing);
        }
        let newest = rules.downgrade.then_some(&build.version);
        self.retain(suite, &build.source, newest);
        for (place, files) in std::mem::take(&mut landing.added) {
            if self.records.contains_key(&place) {
                self.pool.extend(files);
            } else {
                landing.superseded = true;
                landing.notes.push(format!("{} {} is older than what {suite} offers", place.package, place.version));
            }
        }
        if before.0 != self.records || !landing.superseded {
            self.keep_evidence(&build.evidence, &mut landing);
        }
        self.keep_provenance(&build.provenance, &mut landing);
        let changed = before.0 != self.records || before.1 != self.pool;
        let verdict = match (changed, landing.superseded) {
            (true, _) => Verdict::Landed,
            (false, true) => Verdict::Superseded,
            (false, false) => Verdict::AlreadyLanded,
        };
        BuildOutcome { verdict, notes: landing.notes, differing: landing.differing }
    }

    /// Lands the binaries of one architecture in place of what the source offered for it, unless that is newer.
    fn land_architecture(
        &mut self,
        suite: &Codename,
        build: &Build,
        architecture: &Architecture,
        units: &[&Binary],
        rules: Rules,
        landing: &mut Landing,
    ) {
        let rebuild = units.iter().map(|unit| BuildName::new(build.version.clone(), &unit.version).rebuild).max().unwrap_or(0);
        let name = BuildName { source_version: build.version.clone(), rebuild };
        let mut displaced = Vec::new();
        for (place, text) in &self.records {
            let same_slot = place.codename == *suite && place.source == build.source && place.index.architecture() == Some(architecture);
            if !same_slot {
                continue;
            }
            let moved = units.iter().any(|unit| unit.package == place.package && unit.place(suite, &build.source) != *place);
            match build_name(place, text).compare(&name) {
                Ordering::Greater if !rules.downgrade => {
                    landing
                        .notes
                        .push(format!("{architecture}: {suite} already offers {} {}, which is newer", place.package, place.version));
                    landing.superseded = true;
                    return;
                }
                Ordering::Equal if !moved => {}
                _ => displaced.push(place.clone()),
            }
        }
        for place in displaced {
            self.records.remove(&place);
        }
        for unit in units {
            self.land_binary(unit, &unit.place(suite, &build.source), rules, false, landing);
        }
    }

    fn land_binary(&mut self, binary: &Binary, place: &RecordPlace, rules: Rules, keep_first: bool, landing: &mut Landing) {
        let files = vec![(binary.file.path.clone(), Pointer::from(&binary.file.facts))];
        self.land_unit(&binary.file, &binary.record, place, files, rules, keep_first, landing);
    }

    fn land_source(&mut self, source: &SourcePackage, place: &RecordPlace, rules: Rules, keep_first: bool, landing: &mut Landing) {
        let mut files = vec![(source.file.path.clone(), Pointer::from(&source.file.facts))];
        let dsc_is_new_or_same = self.pool.get(&source.file.path).is_none_or(|first| *first == Pointer::from(&source.file.facts));
        if dsc_is_new_or_same || rules.on_conflict == OnConflict::Replace {
            for part in &source.parts {
                let wanted = Pointer { oid: part.sha256, size: part.size };
                match self.pool.get(&part.path) {
                    Some(first) if *first == wanted => {}
                    Some(first) if rules.on_conflict == OnConflict::Replace && !self.named_elsewhere(&first.oid, place) && part.here => {
                        files.push((part.path.clone(), wanted));
                    }
                    Some(first) => self.refuse(&part.path, first.oid, part.sha256, "another version may need the bytes that are there; rename the new file (a new upstream version or a repack suffix)"),
                    None if part.here => files.push((part.path.clone(), wanted)),
                    None => self.conflicts.push(Conflict {
                        path: part.path.clone(),
                        reason: format!("{} names it, but it is neither in the build output nor in the pool; add the file", source.file.path.file()),
                        taken: false,
                    }),
                }
            }
        }
        self.land_unit(&source.file, &source.record, place, files, rules, keep_first, landing);
    }

    #[expect(clippy::too_many_arguments, reason = "one private step that two callers share; the values have no name as a group")]
    fn land_unit(
        &mut self,
        file: &PooledFile,
        record: &str,
        place: &RecordPlace,
        files: Vec<(PoolPath, Pointer)>,
        rules: Rules,
        keep_first: bool,
        landing: &mut Landing,
    ) {
        let coming = Pointer::from(&file.facts);
        let first = self.pool.get(&file.path).copied().filter(|first| *first != coming);
        let Some(first) = first else {
            let replace = rules.on_conflict == OnConflict::Replace;
            let text = self.records.get(place).map_or_else(|| record.to_owned(), |known| renewed(record, known, &coming.oid, replace));
            self.records.insert(place.clone(), text);
            landing.added.insert(place.clone(), files);
            return;
        };
        let keep = rules.on_conflict == OnConflict::Keep || (keep_first && rules.on_conflict == OnConflict::Refuse);
        if keep {
            let Some(kept) = self.record_naming(&first.oid, place) else {
                self.refuse(
                    &file.path,
                    first.oid,
                    coming.oid,
                    "no suite offers the bytes that are there any more, so they cannot be kept; use a new version",
                );
                return;
            };
            landing
                .notes
                .push(format!("{}: other bytes than the first ones, which stay ({} stays, {} came)", file.path, first.oid, coming.oid));
            landing.differing.push((file.path.clone(), first.oid, coming.oid));
            self.records.insert(place.clone(), kept);
            landing.added.insert(place.clone(), Vec::new());
        } else if rules.on_conflict == OnConflict::Replace {
            if self.named_elsewhere(&first.oid, place) {
                self.refuse(
                    &file.path,
                    first.oid,
                    coming.oid,
                    "another suite offers the bytes that are there, so they cannot be replaced; use a new version",
                );
                return;
            }
            landing.notes.push(format!("{}: replaced ({} went, {} came)", file.path, first.oid, coming.oid));
            self.records.insert(place.clone(), record.to_owned());
            landing.added.insert(place.clone(), files);
        } else {
            self.refuse(&file.path, first.oid, coming.oid, "use a new version, or --on-conflict keep or replace");
        }
    }

    fn refuse(&mut self, path: &PoolPath, first: Sha256, coming: Sha256, remedy: &str) {
        let reason =
            format!("the archive already holds this name with other bytes (sha256 {first} there, {coming} in the build output); {remedy}");
        self.conflicts.push(Conflict { path: path.clone(), reason, taken: true });
    }

    /// Returns the record of this package that names these bytes, in this suite or another.
    fn record_naming(&self, oid: &Sha256, wanted: &RecordPlace) -> Option<String> {
        let digest = oid.to_hex();
        let names = |(place, text): &(&RecordPlace, &String)| {
            place.package == wanted.package && place.version == wanted.version && text.contains(&digest)
        };
        self.records.iter().find(names).map(|(_, text)| text.clone())
    }

    /// Tells whether a record elsewhere names these bytes: another version's .dsc, or another suite's record.
    fn named_elsewhere(&self, oid: &Sha256, own: &RecordPlace) -> bool {
        let digest = oid.to_hex();
        self.records.iter().any(|(place, text)| place != own && text.contains(&digest))
    }

    /// Drops source and arch:all records of versions that are neither the newest nor still offered by an architecture.
    fn retain(&mut self, suite: &Codename, source: &SourceName, newest: Option<&Version>) {
        for sources in [false, true] {
            let offered = self.versions(suite, source, |index| match index.architecture() {
                Some(architecture) => sources || !architecture.is_all(),
                None => false,
            });
            let own = |index: &IndexName| match index.architecture() {
                Some(architecture) => !sources && architecture.is_all(),
                None => sources,
            };
            let own_versions = self.versions(suite, source, own);
            let top = newest.filter(|version| own_versions.contains(version)).or_else(|| own_versions.iter().max()).cloned();
            self.records.retain(|place, text| {
                if place.codename != *suite || place.source != *source || !own(&place.index) {
                    return true;
                }
                let version = source_version(place, text);
                Some(&version) == top.as_ref() || offered.contains(&version)
            });
        }
    }

    fn versions(&self, suite: &Codename, source: &SourceName, wanted: impl Fn(&IndexName) -> bool) -> BTreeSet<Version> {
        let of_source =
            self.records.iter().filter(|(place, _)| place.codename == *suite && place.source == *source && wanted(&place.index));
        of_source.map(|(place, text)| source_version(place, text)).collect()
    }
}

fn source_version(place: &RecordPlace, text: &str) -> Version {
    match place.index {
        IndexName::Source => place.version.clone(),
        _ => build_name(place, text).source_version,
    }
}

#[cfg(test)]
mod tests;
