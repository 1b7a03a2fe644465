//! How many leaves of a log are remembered: one or some for each Release, and of all others so many. Anybody may log what names our
//! key, and a log that lies gives as many leaves as it likes; the state must stay one that can be read.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::follow::{Followed, subject};
use super::releases::Releases;
use super::state::LogMemory;
use crate::words::digest::Sha256;

/// How many leaves are remembered that are about no Release, of those that our key signed and of those that it did not.
const OTHERS: usize = 1000;

/// How many leaves of one Release are remembered: a log may have taken it again.
const SAME: usize = 10;

/// Forgets the leaves that are too many, and says how many they were.
pub(super) fn leaves(logs: &mut [Followed], releases: &Releases, findings: &mut Findings) {
    for log in logs {
        let known: BTreeSet<Sha256> = releases.known.iter().map(|release| release.logged_as(log.kind)).collect();
        let Some(memory) = &mut log.memory else { continue };
        forget(memory, &known);
        let more = memory.more;
        if more > 0 {
            let about = subject(log.kind, &log.name);
            let text = format!(
                "it has {more} more leaves with our key, which are neither named nor remembered: {OTHERS} are that are about nothing that was \
                 ever staged, or {SAME} that are about one Release. Somebody floods the log, or has the key"
            );
            let name = name_of(FindingKind::LeavesUncounted, &[&log.kind, &log.name, &more]);
            findings.alarm(FindingKind::LeavesUncounted, &about, name, text);
        }
    }
}

fn forget(memory: &mut LogMemory, known: &BTreeSet<Sha256>) {
    let before = memory.leaves.len();
    let (mut signed, mut unsigned, mut of_release) = (0, 0, BTreeMap::<Sha256, usize>::new());
    memory.leaves.retain(|leaf| {
        let (count, most) = match leaf.fault {
            // A flood of those that anybody can log must not hide those that the key signed.
            Some(_) => (&mut unsigned, OTHERS),
            None if known.contains(&leaf.about) => (of_release.entry(leaf.about).or_default(), SAME),
            None => (&mut signed, OTHERS),
        };
        *count += 1;
        *count <= most
    });
    memory.more += (before - memory.leaves.len()) as u64;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stories::monitor::state::KeptLeaf;
    use crate::words::date::Timestamp;

    #[test]
    fn a_flood_of_leaves_hides_none_that_the_key_signed() {
        let leaf = |index: u64, about: Sha256, forged: bool| KeptLeaf { index, about, fault: forged.then(|| "forged".to_owned()) };
        let own = Sha256::of(b"Release");
        let mut leaves: Vec<KeptLeaf> = (0..3000).map(|index| leaf(index, Sha256::of(&index.to_be_bytes()), true)).collect();
        leaves.extend((3000..3020).map(|index| leaf(index, own, false)));
        leaves.push(leaf(3020, Sha256::of(b"stolen"), false));
        let mut memory = LogMemory {
            at: Timestamp(0),
            size: 0,
            root: own,
            range: Vec::new(),
            head: String::new(),
            start: 0,
            leaves,
            more: 5,
            heads: BTreeMap::new(),
            begun: Vec::new(),
            keys: BTreeSet::new(),
            signed: None,
            earlier: crate::stories::monitor::state::Earlier::default(),
        };
        forget(&mut memory, &BTreeSet::from([own]));
        assert_eq!((memory.leaves.len(), memory.more), (1000 + 10 + 1, 5 + 2000 + 10));
        assert_eq!(memory.leaves.last().unwrap().index, 3020);
        let kept = memory.clone();
        forget(&mut memory, &BTreeSet::from([own]));
        assert_eq!(memory, kept);
    }
}
