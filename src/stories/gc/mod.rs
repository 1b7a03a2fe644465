//! `ddb-deploy gc`: which objects nobody needs any more, and their removal in two steps with a pause between them.
//!
//! Needed are objects that a ref names, its recent history, a parked statement or a retained Release (`places::git::roots`), and
//! every object that was written or found present by a deploy or upload not long ago, whatever names it: that is the lease of
//! unfinished work, since `ObjectStore::put` and `refresh` renew it. The blocks of indices are collected by the same rules, for
//! the Releases that are kept, and the file lists of packages, for the records that are. Without `delete` this is only said.
//!
//! With `delete`, what is not needed is *marked*, with the time, in an object beside the store (`marks`). A later run removes
//! what was marked long enough ago, is not needed now either, and was not written since. It reads the refs again before every
//! batch and after the last one. So a deploy loses an object that it found present only if it takes longer than the lease, or
//! if the removal of a server that knows no condition on deletes falls between its refresh and its last look, milliseconds
//! apart; the first is refused by `commit`, which looks again before it commits, the second is found by the last reading.

mod answer;
mod error;
pub mod marks;
mod roots;

use std::collections::BTreeSet;
use std::path::PathBuf;

use rayon::prelude::*;

pub use answer::{Amount, Collected, GcAnswer};
pub use error::GcError;

use crate::formats::blocks::sheet;
use crate::formats::contents::file_list;
use crate::places::git::roots::Retention;
use crate::places::store::{ObjectStore, StoreError, Stored, in_parallel};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::words::date::{Span, Timestamp};
use crate::words::digest::ObjectId;
use answer::amount;
use marks::Marks;
use roots::Roots;

/// Shortest time for which unfinished work is safe, in seconds: stores renew it only once a day.
pub const SHORTEST_LEASE: u32 = 2 * 86_400;

/// How far the store's clock may be from ours, in seconds, reading a large archive included: far less than the lease.
const CLOCKS: i64 = 6 * 3600;

/// How many objects are removed between two readings of the refs.
const BATCH: usize = 500;

/// What is kept, and whether anything is removed.
#[derive(Debug, Clone)]
pub struct GcRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// Other repositories whose objects lie in the same store.
    pub also: Vec<PathBuf>,
    /// How long the objects of a commit are kept after it was last current.
    pub retention: Span,
    /// How long the objects of a Release are kept after it was last current; `None` is for ever.
    pub releases: Option<Span>,
    /// How long an object is kept that nothing names yet.
    pub unfinished: Span,
    /// How long a marked object waits for its removal.
    pub grace: Span,
    /// Mark and remove.
    pub delete: bool,
    /// The time.
    pub now: Timestamp,
    /// Whether that is what the clock says, so that it can be compared with the store's.
    pub by_clock: bool,
}

/// Makes the plan, and with `delete` marks and removes.
///
/// # Errors
/// See [`GcError`]; nothing is removed unless everything that may need it was read. A run that is stopped is run again.
pub fn gc(request: &GcRequest, listener: Listener<'_>) -> Result<GcAnswer, GcError> {
    if request.unfinished.seconds() < i64::from(SHORTEST_LEASE) {
        return Err(GcError::Lease { given: request.unfinished });
    }
    let open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    open.repository.expect_whole()?;
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    if archive.store.lfs.is_some() {
        return Err(GcError::Forge);
    }
    let generations = archive.suites.values().map(|suite| suite.keep_generations).max().unwrap_or_default();
    let since = |span: Span| request.now.minus(span);
    let retention = Retention {
        commits: since(request.retention),
        releases: request.releases.map_or(Timestamp(i64::MIN), since),
        generations: usize::try_from(generations).unwrap_or(usize::MAX),
    };
    listener(Event::Begin { step: "reading refs", parts: 0 });
    let contents = archive.suites.values().any(|suite| suite.contents);
    let mut roots = Roots::open(&open, request, retention, contents)?;
    roots.read()?;
    listener(Event::End);

    let own = Sweep { store: open.store(&archive)?, marks: open.derived(&archive, marks::OF_OBJECTS)?, kind: Kind::Objects, request };
    let blocks = Sweep {
        store: open.derived(&archive, sheet::KIND)?,
        marks: open.derived(&archive, marks::OF_BLOCKS)?,
        kind: Kind::Blocks,
        request,
    };
    let (objects, removed) = own.run(&mut roots, listener)?;
    let (blocks, _) = blocks.run(&mut roots, listener)?;
    let lists = if contents {
        let (store, marks) = (open.derived(&archive, file_list::KIND)?, open.derived(&archive, marks::OF_LISTS)?);
        Some(Sweep { store, marks, kind: Kind::Lists, request }.run(&mut roots, listener)?.0)
    } else {
        None
    };
    roots.read()?;
    let mut endangered = Vec::new();
    for oid in removed.into_iter().filter(|oid| roots.names(Kind::Objects, oid)) {
        // Whoever found it gone in time wrote it again before the commit.
        if own.store.size(&oid)?.is_none() {
            endangered.push(oid);
        }
    }
    Ok(GcAnswer {
        delete: request.delete,
        refs: roots.count(),
        commits: roots.commits(),
        releases: roots.releases(),
        objects,
        blocks,
        lists,
        endangered,
    })
}

/// What kind of object is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Objects,
    Blocks,
    Lists,
}

/// Collecting in one store.
struct Sweep<'a> {
    store: Box<dyn ObjectStore>,
    marks: Box<dyn ObjectStore>,
    kind: Kind,
    request: &'a GcRequest,
}

impl Sweep<'_> {
    /// Makes the plan and, where asked, marks and removes; returns what was removed.
    fn run(&self, roots: &mut Roots<'_>, listener: Listener<'_>) -> Result<(Collected, Vec<ObjectId>), GcError> {
        let (marks_store, request) = (self.marks.as_ref(), self.request);
        let marks = Marks::read(marks_store)?;
        let stored = self.store.list()?.objects;
        let plan = self.plan(&stored, roots, &marks);
        let earliest = |mark: &dyn Fn(&Stored) -> Option<Timestamp>| {
            plan.waiting.iter().filter_map(mark).min().map(|at| at.plus(request.grace).iso8601())
        };
        let mut collected = Collected {
            store: self.store.describe(),
            stored: amount(&stored),
            needed: plan.needed,
            unfinished: plan.unfinished,
            waiting: amount(&plan.waiting),
            removable: amount(plan.removable.iter().map(|(stored, _)| stored)),
            removed: Amount::default(),
            earliest: earliest(&|stored| marks.first(stored)),
        };
        if !request.delete {
            return Ok((collected, Vec::new()));
        }
        // What is to be removed now stays marked until it is gone, should this run be stopped.
        let unneeded = plan.waiting.iter().chain(plan.removable.iter().map(|(stored, _)| stored));
        let times = marks.renewed(unneeded, request.now);
        let written = Marks::replace(marks_store, &marks, times.clone(), request.now)?;
        collected.earliest = earliest(&|stored| times.get(&stored.oid).copied());
        if request.by_clock {
            self.compare_clocks(&written)?;
        }
        let removed = self.remove(&plan, roots, listener)?;
        collected.removed = amount(&removed);
        let removed: Vec<ObjectId> = removed.iter().map(|stored| stored.oid).collect();
        if !removed.is_empty() {
            let gone: BTreeSet<&ObjectId> = removed.iter().collect();
            let left = times.into_iter().filter(|(oid, _)| !gone.contains(oid)).collect();
            Marks::replace(marks_store, &written, left, request.now)?;
        }
        Ok((collected, removed))
    }

    /// Compares our time with that at which the store says that the marks were written just now.
    fn compare_clocks(&self, written: &Marks) -> Result<(), GcError> {
        let ours = self.request.now;
        for file in written.files() {
            if let Some(theirs) = self.marks.modified(file)?.filter(|theirs| (theirs.0 - ours.0).abs() > CLOCKS) {
                return Err(GcError::Clock { store: self.store.describe(), ours, theirs });
            }
        }
        Ok(())
    }

    fn plan(&self, stored: &[Stored], roots: &Roots<'_>, marks: &Marks) -> Plan {
        let mut plan = Plan::default();
        let written_before = self.request.now.minus(self.request.unfinished);
        let marked_before = self.request.now.minus(self.request.grace);
        for object in stored {
            if roots.names(self.kind, &object.oid) {
                plan.needed.add(object);
            } else if object.modified >= written_before {
                plan.unfinished.add(object);
            } else {
                match marks.first(object).filter(|mark| *mark <= marked_before) {
                    Some(mark) => plan.removable.push((*object, mark)),
                    None => plan.waiting.push(*object),
                }
            }
        }
        plan
    }

    /// Removes what the plan says, unless a ref names it meanwhile or somebody wrote it again.
    fn remove(&self, plan: &Plan, roots: &mut Roots<'_>, listener: Listener<'_>) -> Result<Vec<Stored>, GcError> {
        let store = self.store.as_ref();
        let mut removed = Vec::new();
        listener(Event::Begin { step: "removing objects", parts: plan.removable.len() });
        for batch in plan.removable.chunks(BATCH) {
            roots.read()?;
            let unneeded: Vec<_> = batch.iter().filter(|(stored, _)| !roots.names(self.kind, &stored.oid)).collect();
            let remove = |(stored, mark): &&(Stored, Timestamp)| {
                let gone = store.remove_older(&stored.oid, *mark)?;
                listener(Event::Part { name: stored.oid.to_string() });
                Ok(gone.then_some(*stored))
            };
            let gone = in_parallel(store, || unneeded.par_iter().map(remove).collect::<Result<Vec<_>, StoreError>>())?;
            removed.extend(gone.into_iter().flatten());
        }
        listener(Event::End);
        Ok(removed)
    }
}

/// What becomes of every object.
#[derive(Default)]
struct Plan {
    needed: Amount,
    unfinished: Amount,
    waiting: Vec<Stored>,
    /// Each with the time of its mark: what was written since is not removed.
    removable: Vec<(Stored, Timestamp)>,
}
