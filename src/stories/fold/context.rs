//! Everything that the indices of a suite are a function of, beside its records: configuration, override files, the renderer.
//!
//! Its digest is recorded with each Release. Only a fold with the same digest may start from what was recorded; the records
//! themselves are compared by Git. `key` covers both, so equal keys mean equal indices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::FoldError;
use crate::formats::index::Style;
use crate::formats::index::overrides::{OverrideError, Overrides};
use crate::formats::release::{Index, expected_contents, expected_indices};
use crate::places::git::read::Snapshot;
use crate::places::git::{Oid, Repository};
use crate::words::archive::{Archive, Suite};
use crate::words::digest::Sha256;
use crate::words::name::{Codename, Component};

/// Counts the ways in which records were rendered and indices sorted: another number whenever the same records give other text.
const RENDERING: u32 = 1;

/// What a suite is folded with.
pub(super) struct Context<'a> {
    /// The repository, for threads to open.
    pub(super) git_dir: PathBuf,
    pub(super) commit: Oid,
    pub(super) archive: &'a Archive,
    pub(super) codename: &'a Codename,
    pub(super) suite: &'a Suite,
    pub(super) style: Style,
    pub(super) overrides: BTreeMap<Component, Overrides>,
    /// The indices of the suite, sorted.
    pub(super) indices: Vec<Index>,
    /// Its Contents, sorted.
    pub(super) contents: Vec<Index>,
    /// Of all this but the records.
    pub(super) digest: Sha256,
    /// Of all this and the records.
    pub(super) key: Sha256,
}

impl<'a> Context<'a> {
    pub(super) fn read(
        repository: &Repository,
        snapshot: &Snapshot<'_>,
        archive: &'a Archive,
        codename: &'a Codename,
    ) -> Result<Self, FoldError> {
        let suite = archive
            .suite(codename)
            .ok_or_else(|| FoldError::NoSuite { codename: codename.clone(), known: archive.suites.keys().cloned().collect() })?;
        let style = Style::of(archive, suite);
        let (overrides, files) = read_overrides(snapshot, suite)?;
        let digest = digest(suite, &style, &files);
        let key = key(&digest, snapshot.oid_of(&format!("suites/{codename}"))?, snapshot.oid_of("pool")?);
        let installs = |component: &&Component| {
            let folder = format!("suites/{codename}/{component}/debian-installer");
            snapshot.oid_of(&folder).ok().flatten().is_some()
        };
        let installer: BTreeSet<Component> = suite.components.iter().filter(installs).cloned().collect();
        let (indices, contents) = (expected_indices(suite, &installer), expected_contents(suite, &installer));
        let (git_dir, commit) = (repository.git().path().to_owned(), snapshot.commit());
        Ok(Self { git_dir, commit, archive, codename, suite, style, overrides, indices, contents, digest, key })
    }
}

/// Returns the digest of everything but the records.
fn digest(suite: &Suite, style: &Style, overrides: &BTreeMap<String, Vec<u8>>) -> Sha256 {
    let names = |names: Vec<&str>| names.join(" ");
    let components = names(suite.components.iter().map(Component::as_str).collect());
    let architectures = names(suite.architectures.iter().map(|name| name.as_str()).collect());
    let files: Vec<String> = overrides.iter().map(|(path, bytes)| format!("{path} {}", Sha256::of(bytes))).collect();
    let text = format!(
        "rendering {RENDERING}\nstyle {style:?}\ncomponents {components}\narchitectures {architectures}\noverrides\n{}\n{:?}\n",
        files.join("\n"),
        suite.overrides
    );
    Sha256::of(text.as_bytes())
}

/// Returns the digest of everything: trees are named by their content.
fn key(context: &Sha256, records: Option<Oid>, pool: Option<Oid>) -> Sha256 {
    Sha256::of(format!("context {context}\nrecords {records:?}\npool {pool:?}\n").as_bytes())
}

/// Takes the lines of an override file of one kind.
type ReadOverrides = fn(&mut Overrides, &[u8]) -> Result<(), OverrideError>;

type OverrideFiles = (BTreeMap<Component, Overrides>, BTreeMap<String, Vec<u8>>);

/// Reads the override files, and returns their bytes too.
fn read_overrides(snapshot: &Snapshot<'_>, suite: &Suite) -> Result<OverrideFiles, FoldError> {
    let (mut all, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for (component, files) in &suite.overrides {
        let mut overrides = Overrides::default();
        let read: [(&Option<String>, ReadOverrides); 4] = [
            (&files.binary, Overrides::read_binary),
            (&files.udeb, Overrides::read_udeb),
            (&files.source, Overrides::read_source),
            (&files.extra, Overrides::read_extra),
        ];
        for (path, take) in read.iter().filter_map(|(path, take)| Some((path.as_ref()?, take))) {
            let bytes = snapshot.file(path)?.ok_or_else(|| FoldError::NoOverrides { path: path.clone(), component: component.clone() })?;
            take(&mut overrides, &bytes).map_err(|source| FoldError::Overrides { path: path.clone(), source })?;
            texts.insert(path.clone(), bytes);
        }
        all.insert(component.clone(), overrides);
    }
    Ok((all, texts))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "[suites.x]\narchitectures = [\"amd64\", \"all\"]\ncomponents = [\"main\", \"contrib\"]\n\
        [suites.x.overrides.main]\nbinary = \"overrides/main\"\n";

    fn digest_of(configuration: &str, overrides: &[(&str, &str)]) -> Sha256 {
        let archive = Archive::parse(configuration).unwrap();
        let suite = archive.suites.values().next().unwrap();
        let files = overrides.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        digest(suite, &Style::of(&archive, suite), &files)
    }

    #[test]
    fn whatever_changes_the_text_of_an_index_changes_the_digest() {
        let files = [("overrides/main", "foo optional net\n")];
        let usual = digest_of(CONFIGURATION, &files);
        assert_eq!(usual, digest_of(CONFIGURATION, &files));
        let changed = |from: &str, to: &str| {
            let configuration = CONFIGURATION.replacen(from, to, 1);
            assert_ne!(configuration, CONFIGURATION);
            digest_of(&configuration, &files)
        };
        let others = [
            changed("[\"amd64\", \"all\"]", "[\"amd64\"]"),
            changed("\"amd64\"", "\"arm64\""),
            changed("[\"main\", \"contrib\"]", "[\"main\"]"),
            changed("[\"main\", \"contrib\"]", "[\"contrib\", \"main\"]"),
            changed("components", "descriptions = \"long\"\ncomponents"),
            changed("components", "package-digests = [\"sha512\"]\ncomponents"),
            changed(
                "[suites.x]",
                "[store.s3]\nbucket = \"b\"\nprefix = \"deb/objects\"\n[target]\nmode = \"direct\"\n[target.s3]\nbucket = \"b\"\nprefix = \"deb\"\n[suites.x]",
            ),
            changed("binary =", "udeb ="),
            changed("overrides.main", "overrides.contrib"),
            digest_of(CONFIGURATION, &[("overrides/main", "foo optional web\n")]),
            digest_of(CONFIGURATION, &[("overrides/other", "foo optional net\n")]),
            digest_of(CONFIGURATION, &[]),
        ];
        let distinct: BTreeSet<Sha256> = others.iter().copied().chain([usual]).collect();
        assert_eq!(distinct.len(), others.len() + 1, "each is another one");
        // What stands in Release alone changes no index.
        for (from, to) in [("components", "valid-for = \"7d\"\ncomponents"), ("[suites.x]", "[archive]\norigin = \"x\"\n[suites.x]")] {
            assert_eq!(changed(from, to), usual);
        }
    }

    #[test]
    fn whatever_changes_the_records_or_the_pool_changes_the_key() {
        let oid = |digit: char| Some(digit.to_string().repeat(40).parse().unwrap());
        let keys = [
            key(&Sha256::of(b"a"), oid('1'), oid('2')),
            key(&Sha256::of(b"b"), oid('1'), oid('2')),
            key(&Sha256::of(b"a"), oid('3'), oid('2')),
            key(&Sha256::of(b"a"), oid('1'), oid('3')),
            key(&Sha256::of(b"a"), None, oid('2')),
            key(&Sha256::of(b"a"), oid('1'), None),
        ];
        assert_eq!(BTreeSet::from(keys).len(), 6);
    }
}
