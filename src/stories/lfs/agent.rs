//! `ddb-deploy lfs-agent`: git-lfs's transfer agent for an archive's object store (git-lfs `docs/custom-transfers.md`).
//!
//! git-lfs starts several of these programs and talks to each by lines of JSON. Which store it is says `ddb.toml` of HEAD in
//! the object database: while `git clone` fills the work tree, that is all there is. What comes is checked before git-lfs gets
//! it, and what goes is checked by the store.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::{open_clone, store_of_clone};
use crate::formats::git_lfs::agent::{AgentError, Order, Report, ready};
use crate::formats::pool::pointer::Pointer;
use crate::places::git::Oid;
use crate::places::store::fs::FolderStore;
use crate::places::store::{ObjectStore, Source, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::words::causes::chain;

/// What an agent has at hand once git-lfs has begun.
struct Session {
    store: Box<dyn ObjectStore>,
    /// Where files for git-lfs are made, on its own file system.
    local: FolderStore,
}

/// Follows the orders of git-lfs until it ends. What fails is told to git-lfs, which tells its user.
///
/// # Errors
/// git-lfs cannot be heard, or does not listen any more.
pub fn serve(folder: &Path, orders: impl BufRead, reports: &mut dyn Write) -> io::Result<()> {
    let mut session: Result<Session, String> = Err("no init was received".to_owned());
    for line in orders.lines() {
        let line = line?;
        match Order::read(&line) {
            Ok(Order::Init { remote, .. }) => {
                session = begin(folder, &remote);
                let error = session.as_ref().err().map(|message| AgentError { code: 1, message: format!("ddb: {message}") });
                say(reports, &ready(error))?;
            }
            Ok(Order::Upload { oid, size, path }) => {
                let done = session.as_ref().map_err(Clone::clone).and_then(|session| upload(session, &oid, size, &path));
                if done.is_ok() {
                    say(reports, &Report::Progress { oid: oid.clone(), so_far: size, since_last: size }.line())?;
                }
                say(reports, &complete(oid, done.map(|()| None)).line())?;
            }
            Ok(Order::Download { oid, size }) => {
                let done = match &session {
                    Ok(session) => download(session, &oid, size, reports),
                    Err(message) => Err(message.clone()),
                };
                say(reports, &complete(oid, done.map(Some)).line())?;
            }
            Ok(Order::Terminate) => break,
            Err(fault) => say(reports, &ready(Some(AgentError { code: 1, message: format!("ddb does not understand: {fault}") })))?,
        }
    }
    Ok(())
}

fn say(reports: &mut dyn Write, line: &str) -> io::Result<()> {
    writeln!(reports, "{line}")?;
    reports.flush()
}

fn complete(oid: String, done: Result<Option<String>, String>) -> Report {
    match done {
        Ok(path) => Report::Complete { oid, path, error: None },
        Err(message) => Report::Complete { oid, path: None, error: Some(AgentError { code: 1, message: format!("ddb: {message}") }) },
    }
}

fn begin(folder: &Path, remote: &str) -> Result<Session, String> {
    let open = open_clone(folder, None).map_err(|fault| chain(&fault))?;
    let archive = configuration(&open, remote).map_err(|fault| chain(&fault))?;
    let store = store_of_clone(&open, &archive, remote).map_err(|fault| chain(&fault))?;
    Ok(Session { store, local: FolderStore::of_clone(&open.repository) })
}

/// Returns the configuration at HEAD, else at the newest commit of the remote's own branch: a commit of before the archive, or
/// another branch, may be checked out.
fn configuration(open: &OpenArchive, remote: &str) -> Result<crate::words::archive::Archive, OpenError> {
    let at = |commit: Oid| open.configuration(&open.repository.snapshot(commit)?);
    let remotes_own = open.repository.tip(&format!("refs/remotes/{remote}/HEAD")).ok().flatten();
    match (open.repository.tip("HEAD").ok().flatten(), remotes_own) {
        (Some(head), Some(other)) => match at(head) {
            Err(OpenError::NoArchive { .. }) => at(other),
            found => found,
        },
        (Some(commit), None) | (None, Some(commit)) => at(commit),
        (None, None) => open.tip().and_then(|tip| open.configuration(&tip)),
    }
}

fn upload(session: &Session, oid: &str, size: u64, path: &str) -> Result<(), String> {
    let pointer = Pointer { oid: oid.parse().map_err(|fault| format!("{oid}: {fault}"))?, size };
    session.store.put(&pointer, Source::File(Path::new(path))).map(drop).map_err(|fault| chain(&fault))
}

fn download(session: &Session, oid: &str, size: u64, reports: &mut dyn Write) -> Result<String, String> {
    let pointer = Pointer { oid: oid.parse().map_err(|fault| format!("{oid}: {fault}"))?, size };
    // The server of a store behind the batch API wants the size, which git-lfs knows.
    session.store.announce(crate::places::store::Intent::Open, &[pointer]).map_err(|fault| chain(&fault))?;
    let mut so_far = 0;
    let mut tell = |since_last: u64| {
        so_far += since_last;
        say(reports, &Report::Progress { oid: oid.to_owned(), so_far, since_last }.line())
    };
    let fetched = session.local.receive(&pointer, session.store.as_ref(), &mut tell).map_err(|fault| match fault {
        StoreError::Missing { .. } => format!("{fault}; was it ever deployed or pushed there?"),
        fault => chain(&fault),
    })?;
    let (_, path) = fetched.keep().map_err(|fault| fault.to_string())?;
    let path = std::path::absolute(&path).unwrap_or(path);
    path.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}
