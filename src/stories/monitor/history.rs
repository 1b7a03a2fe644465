//! Where the archive's branches are, by its remote, and whether they still hold what they held when they were seen last.

use std::collections::BTreeMap;

use super::MonitorError;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::state::State;
use crate::places::git::Oid;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::served::history::BRANCHES;

/// Fetches the archive's branch and those of its Releases, and returns where they are.
pub(super) fn look(open: &OpenArchive) -> Result<BTreeMap<String, Oid>, MonitorError> {
    let patterns = [open.branch.clone(), format!("{BRANCHES}*")];
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let Some(remote) = &open.remote else {
        let mut tips = open.repository.references(BRANCHES)?;
        tips.extend(open.repository.tip(&open.branch)?.map(|tip| (open.branch.clone(), tip)));
        return Ok(tips);
    };
    let _held = open.repository.hold_remote()?;
    remote.fetch(&patterns).map_err(OpenError::Remote)?;
    let mut tips = BTreeMap::new();
    for (name, tip) in open.repository.references(&remote.tracking(BRANCHES))? {
        if let Some(short) = name.strip_prefix(&remote.tracking(BRANCHES)) {
            tips.insert(format!("{BRANCHES}{short}"), tip);
        }
    }
    tips.extend(open.repository.tip(&remote.tracking(&open.branch))?.map(|tip| (open.branch.clone(), tip)));
    Ok(tips)
}

/// Compares branches with where they were, and remembers where they are: of a branch that was rewritten, where it was. Where somebody says
/// that the archive's branch was meant to be, what stood there before is the archive's still.
pub(super) fn compare(
    open: &OpenArchive,
    state: &mut State,
    tips: &BTreeMap<String, Oid>,
    findings: &mut Findings,
) -> Result<(), MonitorError> {
    let mut remembered: BTreeMap<String, String> = tips.iter().map(|(name, tip)| (name.clone(), tip.to_string())).collect();
    for (name, was) in &state.branches {
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        // Both are named by the commit that is lost, which stays the same while the branch goes on.
        let Some(tip) = tips.get(name) else {
            let text = format!(
                "it was at commit {was} and is gone; every Release that was staged stands there. Push it again from a clone that has it"
            );
            let kind = FindingKind::BranchGone;
            if !findings.change(kind, short, name_of(kind, &[&short, was]), text) {
                remembered.insert(name.clone(), was.clone());
            } else if *name == open.branch {
                state.vouched.insert(was.clone());
            }
            continue;
        };
        let held = was.parse::<Oid>().map_or(Ok(false), |was| open.repository.is_ancestor(was, *tip))?;
        if held {
            continue;
        }
        let text = format!(
            "Git history was rewritten: it was at commit {was}, which is not in the history of {tip}, where it is now. Compare the two in a \
             clone that has both"
        );
        let kind = FindingKind::HistoryRewritten;
        if !findings.change(kind, short, name_of(kind, &[&short, was]), text) {
            remembered.insert(name.clone(), was.clone());
        } else if *name == open.branch {
            state.vouched.insert(was.clone());
        }
    }
    state.branches = remembered;
    Ok(())
}
