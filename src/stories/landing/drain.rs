//! A drain: everything that waits in the inbox, replayed in order on the newest commit, as one push.
//!
//! The push moves the archive's branch, removes the inbox branches and leaves the verdicts, all or nothing: a verdict that says
//! "landed" is there exactly when the commit is.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::chain::{Chain, Replayed, Unfit};
use super::verdicts;
use super::waiting::Waiting;
use crate::formats::inbox::{BuildVerdict, Parked, ParkedVerdict, Verdicts};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::Statement;
use crate::formats::statement::replay::Rules;
use crate::places::git::land::Edits;
use crate::places::git::remote::Move;
use crate::places::git::{Author, GitError, Oid};
use crate::places::store::{Intent, ObjectStore, StoreError, in_parallel};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::provenance::Objects;

/// How many statements one push lands at most: each is some hundred bytes of git's arguments.
pub const BATCH: usize = 256;

/// A statement that was never parked, and what has to be done before its commit may be pushed.
pub struct Own<'a> {
    /// The statement.
    pub statement: &'a Statement,
    /// How it is landed.
    pub rules: Rules,
    /// Where its provenance and packages are, which need not be in the store yet.
    pub objects: Objects<'a>,
    /// Stores the objects that the edits name.
    pub store: &'a mut dyn FnMut(&Replayed) -> Result<(), StoreError>,
}

/// What the server did not take at earlier tries.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Why it did not take what these parked commits change.
    pub statements: BTreeMap<Oid, String>,
    /// It did not take verdicts without history.
    pub forced: bool,
}

/// What a drain would push.
pub struct Drained {
    /// The newest commit behind it.
    pub tip: Oid,
    /// The moves, empty where nothing is to be done.
    pub moves: Vec<Move>,
    /// What became of each parked statement, by its commit.
    pub verdicts: Verdicts,
    /// What became of the statement that was not parked, and its commit.
    pub own: Option<(Replayed, Option<Oid>)>,
}

/// Why a drain cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The statement that was not parked does not fit.
    #[error(transparent)]
    Own(Unfit),
    /// The archive cannot be read or written.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GitError> for DrainError {
    fn from(fault: GitError) -> Self {
        Self::Unfit(fault.into())
    }
}

/// Replays what waits, and a statement of one's own, on a commit.
///
/// # Errors
/// The own statement does not fit, or the archive or the store cannot be used. A parked statement that does not fit gets its
/// verdict and holds up nobody.
pub fn drain(
    open: &OpenArchive,
    store: &dyn ObjectStore,
    base: Oid,
    waiting: &[Waiting],
    refusals: &Refusals,
    own: Option<Own<'_>>,
    committer: &Author,
) -> Result<Drained, DrainError> {
    let mut chain = Chain::at(open, base).map_err(Unfit::from)?;
    let statements = waiting.iter().filter_map(|waiting| waiting.parked.as_ref().ok()).map(|parked| &parked.statement);
    let all = statements.chain(own.iter().map(|own| own.statement));
    chain.prepare(all.flat_map(|statement| &statement.builds).map(|build| &build.source))?;
    let mut drained = Drained { tip: base, moves: Vec::new(), verdicts: Verdicts::new(), own: None };
    // One's own statement goes first: what it is found to be does not depend on others that wait.
    if let Some(own) = own {
        let replayed = chain.replay(own.statement, own.rules, own.objects).map_err(DrainError::Own)?;
        (own.store)(&replayed)?;
        let commit = chain.extend(own.statement, &replayed, "", committer, committer)?;
        drained.own = Some((replayed, commit));
    }
    for waiting in waiting {
        let verdict = match (&waiting.parked, refusals.statements.get(&waiting.commit)) {
            (Err(reason), _) | (_, Some(reason)) => ParkedVerdict::rejected(reason),
            (Ok(parked), None) => land_one(&mut chain, store, waiting, parked, committer)?,
        };
        drained.moves.push(Move { reference: waiting.reference.clone(), old: Some(waiting.commit), new: None });
        drained.verdicts.insert(waiting.commit.to_string(), verdict.shortened());
    }
    drained.tip = chain.tip();
    if !drained.verdicts.is_empty() {
        drained.moves.push(verdicts::leave(open, &drained.verdicts, !refusals.forced, committer)?);
    }
    if drained.tip != base {
        let old = open.expected(base)?;
        drained.moves.push(Move { reference: open.branch.clone(), old, new: Some(drained.tip) });
    }
    Ok(drained)
}

fn land_one(
    chain: &mut Chain<'_>,
    store: &dyn ObjectStore,
    waiting: &Waiting,
    parked: &Parked,
    committer: &Author,
) -> Result<ParkedVerdict, DrainError> {
    let replayed = match chain.replay(&parked.statement, parked.rules, Objects::of(store)) {
        Ok(replayed) => replayed,
        Err(Unfit::Conflicts(conflicts)) => return Ok(ParkedVerdict { conflicts, rejected: None, ..ParkedVerdict::rejected("") }),
        Err(Unfit::Suite(problems)) => {
            let reasons: Vec<String> = problems.into_iter().map(|problem| format!("{}: {}", problem.file, problem.reason)).collect();
            return Ok(ParkedVerdict::rejected(reasons.join("; ")));
        }
        // What the archive holds of that source alone is not what it should be.
        Err(Unfit::Open(OpenError::Git(fault @ GitError::Content { .. }))) => return Ok(ParkedVerdict::rejected(fault.to_string())),
        Err(fault) => return Err(fault.into()),
    };
    if let Some(reason) = missing_objects(store, &replayed.edits)? {
        return Ok(ParkedVerdict::rejected(reason));
    }
    let mut trailers = format!("Ddb-Parked: {}\n", waiting.commit);
    if let Some(fingerprint) = &waiting.sealed_by {
        trailers.push_str(&format!("Ddb-Sealed-By: {fingerprint}\n"));
    }
    let commit = chain.extend(&parked.statement, &replayed, &trailers, &waiting.author, committer)?;
    let paths = |wanted: bool| {
        replayed.edits.iter().filter(|(_, content)| content.is_some() == wanted).map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    let builds = replayed.outcome.builds.iter();
    Ok(ParkedVerdict {
        commit: commit.map(|oid| oid.to_string()),
        builds: builds.map(|build| BuildVerdict { verdict: build.verdict, notes: build.notes.clone() }).collect(),
        added: paths(true),
        removed: paths(false),
        conflicts: Vec::new(),
        rejected: None,
    })
}

/// Looks whether the objects of new pointers are in the store: whoever parked them said so before.
fn missing_objects(store: &dyn ObjectStore, edits: &Edits) -> Result<Option<String>, StoreError> {
    let pointers: Vec<(&String, Pointer)> = edits
        .iter()
        .filter(|(path, _)| path.parse::<PoolPath>().is_ok())
        .filter_map(|(path, content)| Some((path, Pointer::decode(content.as_deref()?).ok()?)))
        .collect();
    store.announce(Intent::Open, &pointers.iter().map(|(_, pointer)| *pointer).collect::<Vec<_>>())?;
    // Found present, an object counts as written now: the collector of garbage leaves it alone.
    let there: Vec<bool> = in_parallel(store, || pointers.par_iter().map(|(_, pointer)| store.refresh(pointer)).collect::<Result<_, _>>())?;
    let Some((path, pointer)) = pointers.iter().zip(there).find(|(_, there)| !there).map(|(pair, _)| pair) else { return Ok(None) };
    Ok(Some(match store.size(&pointer.oid)? {
        Some(size) if size != pointer.size => {
            format!("the object {} of {path} has {size} bytes in {}, not {}", pointer.oid, store.describe(), pointer.size)
        }
        _ => format!("the object {} of {path} is not in {}; deploy again", pointer.oid, store.describe()),
    }))
}
