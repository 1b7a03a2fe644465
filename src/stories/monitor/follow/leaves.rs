//! The leaves of a tree: all that are new, or as many as one run may read.

use std::collections::{BTreeMap, BTreeSet};

use super::{KnownHead, Look, Stopped};
use crate::formats::merkle::compact::CompactRange;
use crate::places::transparency::reader::SignedHead;
use crate::stories::monitor::Begin;
use crate::stories::monitor::answer::FindingKind;
use crate::stories::monitor::state::{KeptLeaf, LogMemory};
use crate::words::digest::Sha256;

impl Look<'_> {
    /// Returns the range of the leaves before the first that ever was read, and of those that need not be read.
    pub(super) fn begin(&mut self, kept: Option<&LogMemory>, head: &SignedHead) -> Result<(CompactRange, CompactRange), Stopped> {
        if let Some((range, kept)) = kept.and_then(|kept| Some((kept.compact()?, kept))) {
            let begun = CompactRange::new(kept.start, kept.begun.clone());
            // Leaves with a new key may be among those that were read.
            let again = !self.reader.keys().is_subset(&kept.keys);
            return Ok(match begun {
                Some(begun) if again => (begun.clone(), begun),
                Some(begun) => (begun, range),
                None => (range.clone(), range),
            });
        }
        let range = match self.request.begin {
            Begin::Beginning => CompactRange::default(),
            Begin::Now => {
                let edge = self.reader.edge(head.size, &head.root);
                edge.map_err(|fault| self.failed(FindingKind::LeavesNotOfTree, fault))?
            }
        };
        let text = format!("seen for the first time; what it shows is believed, and its leaves are read from {} on", range.size());
        self.findings.note(FindingKind::FirstLook, &self.subject, text);
        Ok((range.clone(), range))
    }

    /// Reads all new leaves, or as many as one run may; returns the root hashes of trees between that somebody was shown.
    pub(super) fn read(
        &mut self,
        range: &mut CompactRange,
        head: &SignedHead,
        known: &[KnownHead],
        leaves: &mut Vec<KeptLeaf>,
    ) -> Result<BTreeMap<u64, Sha256>, Stopped> {
        let wanted: BTreeSet<u64> = known.iter().map(|known| known.size).collect();
        let (mut passed, from) = (BTreeMap::new(), range.size());
        let read = self.reader.leaves(from, head.size, &self.request.limits.read, &mut |hash, own| {
            range.append(hash);
            if wanted.contains(&range.size()) {
                passed.insert(range.size(), range.root());
            }
            leaves.extend(own.map(|own| KeptLeaf { index: own.index, about: own.about, fault: own.fault }));
        });
        read.map_err(|fault| self.failed(FindingKind::LeavesNotOfTree, fault))?;
        self.read = range.size().saturating_sub(from);
        if range.size() < head.size {
            let old = (range.size(), &range.root());
            let held = self.reader.check_consistency(old, (head.size, &head.root));
            held.map_err(|fault| self.failed(FindingKind::LeavesNotOfTree, fault))?;
            (self.part, self.missed) = (true, true);
            let text = format!(
                "its tree has {} leaves, of which {} were read by now; as many as --leaves and --patience allow in one run, and the next one goes \
                 on",
                head.size,
                range.size()
            );
            self.findings.unreachable(&self.subject, text);
        } else if range.root() != head.root {
            let (size, root) = (head.size, range.root());
            let text = format!(
                "the leaves that it gives from {from} on are not those of the tree of {size} leaves that it signed: they make the root hash \
                 {root}, and it signed {}",
                head.root
            );
            let name = self.name(FindingKind::LeavesNotOfTree, &[&size, &root, &head.root]);
            self.alarm(FindingKind::LeavesNotOfTree, name, text);
            return Err(Stopped);
        }
        Ok(passed)
    }
}
