//! Whether a key of the archive vouches for Releases on a branch, as publishers ask before they follow them (`recorded.asc`). What no key
//! vouches for was never served, whatever the branch says: who may push there and has no key left it.

use std::collections::{BTreeMap, BTreeSet};

use super::MonitorError;
use super::releases::Releases;
use super::state::State;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::{self, Staged, Trust};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Looks at the Releases that came since the last look, and at those that were found to be nobody's; at a first look all are believed.
/// A key vouches for the newest one that counts and, by what that says itself, for those that it follows.
///
/// # Errors
/// Git cannot be read.
pub(super) fn check(
    open: &OpenArchive,
    (releases, tips): (&mut Releases, &BTreeMap<String, Oid>),
    state: &mut State,
    now: Timestamp,
) -> Result<(), MonitorError> {
    let mut new: BTreeSet<Sha256> = BTreeSet::new();
    for (codename, reached) in &state.newest {
        let Ok(codename) = codename.parse() else { continue };
        new.extend(releases.since(&codename, reached).into_iter().map(|release| release.release));
    }
    let trust = Trust::of(open, now);
    let mut chains: BTreeMap<Codename, BTreeMap<Sha256, Staged>> = BTreeMap::new();
    for release in &mut releases.known {
        let digest = release.release.to_hex();
        if !new.contains(&release.release) && !state.unvouched.contains(&digest) {
            continue;
        }
        if !chains.contains_key(&release.codename) {
            let tip = tips.get(&stage::branch(&release.codename)).copied();
            let chain = trust.branch_at(&release.codename, tip)?.chain(&open.repository, &release.codename)?;
            let chain = chain.into_iter().map(|staged| (Sha256::of(&staged.release), staged)).collect();
            chains.insert(release.codename.clone(), chain);
        }
        let staged = chains.get(&release.codename).and_then(|chain| chain.get(&release.release));
        release.vouched = staged.is_some();
        // Only where a key signed what clients got.
        release.served = release.served.filter(|_| staged.is_some_and(|staged| staged.signatures.is_some()));
        let _ = if release.vouched { state.unvouched.remove(&digest) } else { state.unvouched.insert(digest) };
    }
    Ok(())
}
