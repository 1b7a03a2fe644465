//! The fold: `suites/<codename>` at one commit becomes every index of the suite, as bytes.
//!
//! Read the records in parallel, check each against its pointer, choose what each index lists, render, sort, cut, compress.
//! Nothing but the commit goes in, so the same commit gives the same bytes on any machine and for any number of threads. No
//! .deb is opened.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::PublishError;
use super::records::{self, Loaded};
use crate::formats::blocks;
use crate::formats::index::order::{self, SortKey};
use crate::formats::index::overrides::{OverrideError, Overrides};
use crate::formats::index::select::{Offer, Selection, select};
use crate::formats::index::{Style, packages, sources, translation};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Index, IndexFile, IndexKind, expected_indices, folder_release};
use crate::formats::statement::source_version_of;
use crate::formats::suite::place::IndexName;
use crate::formats::suite::record::Record;
use crate::places::git::Repository;
use crate::places::git::read::Snapshot;
use crate::words::archive::{Archive, Compression, ExtraDigest, Suite};
use crate::words::deb822::Paragraph;
use crate::words::digest::{ExtraDigests, FileFacts};
use crate::words::name::{Codename, Component};

/// Every index of a suite.
pub struct Fold {
    /// The indices by path, listed in Release.
    pub files: Vec<IndexFile>,
    /// The bytes of those that are written, by path relative to Release.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// The compressed blocks of those that are compressed, by the same path.
    pub blocks: BTreeMap<String, Compressed>,
    /// The files that the indices name, by path.
    pub pool: BTreeMap<PoolPath, Pointer>,
    /// How many binary packages the suite offers.
    pub packages: usize,
    /// How many source packages.
    pub sources: usize,
    /// What a person should know: packages that another source took over, records of unknown architectures.
    pub notes: Vec<String>,
}

/// The blocks of a compressed index, in order.
pub struct Compressed {
    /// How they are compressed.
    pub compression: Compression,
    /// Each a whole file of its kind.
    pub blocks: Vec<Vec<u8>>,
}

/// One file of an index, with its bytes if it is written and its blocks if it is compressed.
struct Made {
    file: IndexFile,
    bytes: Option<Vec<u8>>,
    blocks: Option<Compressed>,
}

/// Folds a suite.
///
/// # Errors
/// Git cannot be read, or records and pointers disagree: all of them are named.
pub fn fold(repository: &Repository, snapshot: &Snapshot<'_>, archive: &Archive, codename: &Codename) -> Result<Fold, PublishError> {
    let suite = archive
        .suite(codename)
        .ok_or_else(|| PublishError::NoSuite { codename: codename.clone(), known: archive.suites.keys().cloned().collect() })?;
    let loaded = records::load(snapshot, codename)?;
    let (records, pool) = records::check(repository, snapshot, &loaded)?;
    let overrides = read_overrides(snapshot, suite)?;
    let offers: Vec<Offer> = loaded.iter().map(offer).collect();
    let selection = select(&offers, suite);
    let style = Style::of(archive, suite);
    let rendered = render(&loaded, &records, &style, &overrides)?;
    let installer: BTreeSet<Component> = loaded
        .iter()
        .filter(|record| matches!(record.place.index, IndexName::Installer(_)))
        .map(|record| record.place.component.clone())
        .collect();
    let indices = expected_indices(suite, &installer);
    let made: Vec<Vec<Made>> = indices
        .par_iter()
        .map(|index| {
            let text = match &index.kind {
                IndexKind::Records(name) => listed_text(index, name, &selection, &rendered),
                IndexKind::TranslationEn => translations(index, &loaded, &records, &style)?,
            };
            make_files(index, text, codename, suite, archive)
        })
        .collect::<Result<_, PublishError>>()?;
    let (mut contents, mut compressed) = (BTreeMap::new(), BTreeMap::new());
    let mut files = Vec::new();
    for Made { file, bytes, blocks } in made.into_iter().flatten() {
        contents.extend(bytes.map(|bytes| (file.path.clone(), bytes)));
        compressed.extend(blocks.map(|blocks| (file.path.clone(), blocks)));
        files.push(file);
    }
    let sources = loaded.iter().filter(|record| record.place.index == IndexName::Source).count();
    Ok(Fold { files, contents, blocks: compressed, pool, packages: loaded.len() - sources, sources, notes: notes(&loaded, &selection) })
}

/// Takes the lines of an override file of one kind.
type ReadOverrides = fn(&mut Overrides, &[u8]) -> Result<(), OverrideError>;

fn read_overrides(snapshot: &Snapshot<'_>, suite: &Suite) -> Result<BTreeMap<Component, Overrides>, PublishError> {
    let mut all = BTreeMap::new();
    for (component, files) in &suite.overrides {
        let mut overrides = Overrides::default();
        let read: [(&Option<String>, ReadOverrides); 4] = [
            (&files.binary, Overrides::read_binary),
            (&files.udeb, Overrides::read_udeb),
            (&files.source, Overrides::read_source),
            (&files.extra, Overrides::read_extra),
        ];
        for (path, take) in read.iter().filter_map(|(path, take)| Some((path.as_ref()?, take))) {
            let bytes =
                snapshot.file(path)?.ok_or_else(|| PublishError::NoOverrides { path: path.clone(), component: component.clone() })?;
            take(&mut overrides, &bytes).map_err(|source| PublishError::Overrides { path: path.clone(), source })?;
        }
        all.insert(component.clone(), overrides);
    }
    Ok(all)
}

fn offer(record: &Loaded) -> Offer {
    let version = match record.place.index {
        IndexName::Source => None,
        _ => source_version_of(&Paragraph::of_checked(&record.text)),
    };
    Offer::at(&record.place, version.unwrap_or_else(|| record.place.version.clone()))
}

/// Renders the paragraph of every record once; an arch:all package is the same text in every index.
fn render(
    loaded: &[Loaded],
    records: &[Record<'_>],
    style: &Style,
    overrides: &BTreeMap<Component, Overrides>,
) -> Result<Vec<(SortKey, String)>, PublishError> {
    let paragraph = |(loaded, record): (&Loaded, &Record<'_>)| {
        let overrides = overrides.get(&loaded.place.component);
        let failed = |source| PublishError::Render { path: loaded.place.to_string(), source };
        match loaded.place.index {
            IndexName::Source => {
                Ok((sources::sort_key(record).map_err(failed)?, sources::render(record, style, overrides).map_err(failed)?))
            }
            _ => Ok((packages::sort_key(record).map_err(failed)?, packages::render(record, style, overrides).map_err(failed)?)),
        }
    };
    loaded.par_iter().zip(records.par_iter()).map(paragraph).collect()
}

fn listed_text(index: &Index, name: &IndexName, selection: &Selection, rendered: &[(SortKey, String)]) -> String {
    let listed = selection.listed.get(&(index.component.clone(), name.clone())).map(Vec::as_slice).unwrap_or_default();
    order::join(listed.iter().filter_map(|at| rendered.get(*at).cloned()).collect())
}

fn translations(index: &Index, loaded: &[Loaded], records: &[Record<'_>], style: &Style) -> Result<String, PublishError> {
    let of_component = loaded
        .iter()
        .zip(records)
        .filter(|(loaded, _)| loaded.place.component == index.component && matches!(loaded.place.index, IndexName::Binary(_)));
    let mut entries = Vec::new();
    for (loaded, record) in of_component {
        entries
            .extend(translation::entry(record, style).map_err(|source| PublishError::Render { path: loaded.place.to_string(), source })?);
    }
    Ok(translation::render(entries))
}

/// Returns the plain form (listed, not written), the compressed forms and the folder's Release.
fn make_files(index: &Index, text: String, codename: &Codename, suite: &Suite, archive: &Archive) -> Result<Vec<Made>, PublishError> {
    let path = index.path();
    let wanted = |digest| suite.release_digests.contains(&digest);
    let extra = ExtraDigests { sha1: wanted(ExtraDigest::Sha1), sha512: wanted(ExtraDigest::Sha512) };
    let written = |path: String, bytes: Vec<u8>, blocks| Made {
        file: IndexFile { facts: FileFacts::of(&bytes, extra), path, written: true },
        bytes: Some(bytes),
        blocks,
    };
    let plain = IndexFile { path: path.clone(), facts: FileFacts::of(text.as_bytes(), extra), written: false };
    let mut files = vec![Made { file: plain, bytes: None, blocks: None }];
    let cuts = blocks::cut(text.as_bytes());
    let compressed: Vec<_> = suite
        .compression
        .par_iter()
        .map(|compression| {
            let path = format!("{path}{}", compression.suffix());
            let failed = |source| PublishError::Compress { path: path.clone(), source };
            let each = blocks::compress_each(text.as_bytes(), &cuts, *compression).map_err(failed)?;
            let joined = blocks::join(&each, *compression).map_err(failed)?;
            Ok(written(path, joined, Some(Compressed { compression: *compression, blocks: each })))
        })
        .collect::<Result<_, PublishError>>()?;
    files.extend::<Vec<_>>(compressed);
    if let Some((path, text)) = folder_release(index, codename, suite, &archive.archive) {
        files.push(written(path, text.into_bytes(), None));
    }
    Ok(files)
}

fn notes(loaded: &[Loaded], selection: &Selection) -> Vec<String> {
    let path = |at: usize| loaded.get(at).map(|record| record.place.to_string()).unwrap_or_default();
    let mut notes: Vec<String> = selection
        .dominated
        .iter()
        .map(|dominated| {
            format!(
                "{} is left out of {}: {} offers that package too, with a higher version",
                path(dominated.offer),
                dominated.index,
                path(dominated.winner)
            )
        })
        .collect();
    notes.extend(
        selection.outside.iter().map(|at| format!("{} is in no index: the suite has no such architecture or component", path(*at))),
    );
    notes
}
