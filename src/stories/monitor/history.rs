//! Where the archive's branches are, by its remote, and whether they still hold what they held when they were seen last.

use std::collections::BTreeMap;

use super::MonitorError;
use super::answer::FindingKind;
use super::findings::Findings;
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

/// Compares branches with where they were; returns what is to be remembered: of a branch that was rewritten, where it was.
pub(super) fn compare(
    open: &OpenArchive,
    kept: &BTreeMap<String, String>,
    tips: &BTreeMap<String, Oid>,
    findings: &mut Findings,
) -> Result<BTreeMap<String, String>, MonitorError> {
    let mut remembered: BTreeMap<String, String> = tips.iter().map(|(name, tip)| (name.clone(), tip.to_string())).collect();
    for (name, was) in kept {
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        // Both are named by the commit that is lost, which stays the same while the branch goes on.
        let Some(tip) = tips.get(name) else {
            let text = format!(
                "it was at commit {was} and is gone; every Release that was staged stands there. Push it again from a clone that has it"
            );
            if !findings.change(FindingKind::BranchGone, short, was.clone(), text) {
                remembered.insert(name.clone(), was.clone());
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
        if !findings.change(FindingKind::HistoryRewritten, short, was.clone(), text) {
            remembered.insert(name.clone(), was.clone());
        }
    }
    Ok(remembered)
}
