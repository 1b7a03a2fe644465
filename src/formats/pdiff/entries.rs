//! Where two sequences of entries differ: a linear walk over both that meets again at the nearest entry that they share.
//!
//! Entries of an index are sorted and all but a few are the same in both sequences, which makes the walk exact; for any other
//! sequences its answer is right, but may be longer than the shortest one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

/// Entries of the old sequence and those that stand in their place in the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// Adds a difference; one that touches the last one becomes part of it.
pub(super) fn note(hunks: &mut Vec<Hunk>, old: Range<usize>, new: Range<usize>) {
    match hunks.last_mut() {
        Some(last) if last.old.end == old.start && last.new.end == new.start => {
            last.old.end = old.end;
            last.new.end = new.end;
        }
        _ => hunks.push(Hunk { old, new }),
    }
}

/// Returns where the sequences differ, in order; what lies between two differences is the same in both.
pub(super) fn hunks(old: &[&str], new: &[&str]) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    // Made at the first difference that is more than one entry: often there is none.
    let mut places: Option<(Places<'_>, Places<'_>)> = None;
    let (mut at_old, mut at_new) = (0, 0);
    while let (Some(gone), Some(come)) = (old.get(at_old), new.get(at_new)) {
        if gone == come {
            at_old += 1;
            at_new += 1;
            continue;
        }
        let (after_gone, after_come) = (old.get(at_old + 1), new.get(at_new + 1));
        let (removed, inserted) = if after_gone == Some(come) {
            (1, 0)
        } else if after_come == Some(gone) {
            (0, 1)
        } else if after_gone.is_some() && after_gone == after_come {
            (1, 1)
        } else {
            let (in_old, in_new) = places.get_or_insert_with(|| (Places::of(old, at_old), Places::of(new, at_new)));
            match (in_old.next(come, at_old), in_new.next(gone, at_new)) {
                (None, None) => (1, 1),
                (Some(_), None) => (1, 0),
                (None, Some(_)) => (0, 1),
                (Some(old), Some(new)) if old - at_old <= new - at_new => (old - at_old, 0),
                (Some(_), Some(new)) => (0, new - at_new),
            }
        };
        note(&mut hunks, at_old..at_old + removed, at_new..at_new + inserted);
        at_old += removed;
        at_new += inserted;
    }
    if at_old < old.len() || at_new < new.len() {
        note(&mut hunks, at_old..old.len(), at_new..new.len());
    }
    hunks
}

/// Where each entry of a sequence stands.
struct Places<'a> {
    entries: &'a [&'a str],
    /// Hash and position, sorted.
    sorted: Vec<(u64, usize)>,
}

impl<'a> Places<'a> {
    /// The entries from this position on.
    fn of(entries: &'a [&'a str], from: usize) -> Self {
        let mut sorted: Vec<_> = entries.iter().enumerate().skip(from).map(|(at, entry)| (hash(entry), at)).collect();
        sorted.sort_unstable();
        Self { entries, sorted }
    }

    /// The first place of this entry from a position on.
    fn next(&self, entry: &str, from: usize) -> Option<usize> {
        let hash = hash(entry);
        let first = self.sorted.partition_point(|place| *place < (hash, from));
        let (_, at) = self.sorted.get(first).filter(|(found, _)| *found == hash)?;
        // Another entry with the same hash counts as none: the answer is longer then, not wrong.
        (self.entries.get(*at) == Some(&entry)).then_some(*at)
    }
}

fn hash(entry: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    entry.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &[&str], new: &[&str], expected: &[(Range<usize>, Range<usize>)]) {
        let expected: Vec<_> = expected.iter().map(|(old, new)| Hunk { old: old.clone(), new: new.clone() }).collect();
        assert_eq!(hunks(old, new), expected, "{old:?} {new:?}");
    }

    #[test]
    fn sorted_sequences_differ_where_entries_came_went_or_changed() {
        check(&[], &[], &[]);
        check(&["a"], &["a"], &[]);
        check(&[], &["a"], &[(0..0, 0..1)]);
        check(&["a"], &[], &[(0..1, 0..0)]);
        check(&["a", "c"], &["a", "b", "c"], &[(1..1, 1..2)]);
        check(&["a", "b", "c"], &["a", "c"], &[(1..2, 1..1)]);
        check(&["a", "b1", "c", "d"], &["a", "b2", "c"], &[(1..2, 1..2), (3..4, 3..3)]);
        check(&["b1", "b2", "c"], &["a", "b3", "c"], &[(0..2, 0..2)]);
        check(&["a", "b", "c", "d"], &["d", "a", "b", "c"], &[(0..0, 0..1), (3..4, 4..4)]);
    }
}
