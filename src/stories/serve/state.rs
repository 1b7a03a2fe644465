//! What the gateway shows at the moment, as a value: made from refs and commits, replaced as a whole when a ref moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, SharedListener};
use crate::stories::served::history::{self, BRANCHES};
use crate::stories::served::snapshot::Histories;
use crate::stories::served::{Edition, ServedError, Whole};
use crate::words::archive::Archive;
use crate::words::causes::chain;
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// What is shown.
pub(super) struct State {
    /// Counts the states from 1.
    pub(super) generation: u64,
    /// The newest commit of the archive, and its configuration.
    pub(super) tip: Oid,
    pub(super) archive: Archive,
    /// The branches of Releases, by their full names.
    branches: BTreeMap<String, Oid>,
    /// Every served Release.
    pub(super) histories: Histories,
    /// The newest one of each suite.
    pub(super) newest: BTreeMap<Codename, Arc<Whole>>,
    /// What `dists/` and `pool/` are made of.
    pub(super) current: Arc<View>,
}

/// The Releases that some paths are answered from.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The Releases of each suite, newest first: named files are the first one's, by-hash files anyone's.
    pub(super) editions: BTreeMap<Codename, Vec<Edition>>,
    /// The commits whose pointers the pool is, newest first, with the Date of their Release.
    pub(super) bases: Vec<(Oid, Timestamp)>,
}

impl View {
    pub(super) fn new(editions: BTreeMap<Codename, Vec<Edition>>) -> Self {
        let mut bases: Vec<(Oid, Timestamp)> = editions.values().flatten().map(|edition| (edition.base, edition.date)).collect();
        bases.sort_by_key(|(base, date)| (std::cmp::Reverse(*date), *base));
        // A commit that several Releases are made from counts from the first of them on.
        let mut first: BTreeMap<Oid, Timestamp> = BTreeMap::new();
        for (base, date) in &bases {
            first.insert(*base, *date);
        }
        let mut bases: Vec<(Oid, Timestamp)> = first.into_iter().collect();
        bases.sort_by_key(|(base, date)| (std::cmp::Reverse(*date), *base));
        Self { editions, bases }
    }
}

impl State {
    /// Reads what is to be shown; `None` where nothing moved since the earlier state.
    ///
    /// A suite whose branch cannot be read is shown as it was before, and that is told.
    pub(super) fn load(
        open: &OpenArchive,
        earlier: Option<&Self>,
        now: Timestamp,
        events: &SharedListener,
    ) -> Result<Option<Self>, ServedError> {
        let tip = open.repository.expect_tip(&open.branch)?;
        let branches = open.repository.references(BRANCHES)?;
        if earlier.is_some_and(|earlier| earlier.tip == tip && earlier.branches == branches) {
            return Ok(None);
        }
        let archive = open.configuration(&open.repository.snapshot(tip)?)?;
        let (mut histories, mut newest, mut editions) = (Histories::new(), BTreeMap::new(), BTreeMap::new());
        for (name, tip) in &branches {
            let Some(codename) = name.strip_prefix(BRANCHES).and_then(|name| name.parse::<Codename>().ok()) else { continue };
            let known = earlier.and_then(|earlier| earlier.histories.get(&codename)).map(Vec::as_slice).unwrap_or_default();
            let same = |edition: &Edition| {
                let before = earlier.and_then(|earlier| earlier.newest.get(&codename));
                before.filter(|whole| whole.edition == *edition).map(Arc::clone)
            };
            let read = history::served(&open.repository, &codename, *tip, known).and_then(|history| {
                let Some(first) = history.first() else { return Ok(None) };
                let whole = same(first).map_or_else(|| Whole::read(open, first).map(Arc::new), Ok)?;
                Ok(Some((history, whole)))
            });
            let (history, whole) = match read {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err(fault) => {
                    events(Event::Warning(format!("{codename}: {}", chain(&fault))));
                    match earlier.and_then(|earlier| earlier.newest.get(&codename)) {
                        Some(whole) => (known.to_vec(), Arc::clone(whole)),
                        None => continue,
                    }
                }
            };
            let kept = history::kept(&history, whole.archive.suite(&codename), now);
            editions.insert(codename.clone(), history.iter().take(kept).cloned().collect());
            newest.insert(codename.clone(), whole);
            histories.insert(codename, history);
        }
        let generation = earlier.map_or(0, |earlier| earlier.generation) + 1;
        Ok(Some(Self { generation, tip, archive, branches, histories, newest, current: Arc::new(View::new(editions)) }))
    }
}
