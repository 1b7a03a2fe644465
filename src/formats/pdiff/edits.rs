//! The difference between two states of an index, as edits of its lines.

use super::entries::{Hunk, hunks};
use super::shortest::shortest;

/// Lines of an index that are replaced by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The first of the old lines, from 0.
    pub at: usize,
    /// How many old lines.
    pub removed: usize,
    /// The lines that stand in their place, each with its end.
    pub inserted: String,
}

/// Returns what changed between two texts made of paragraphs, in order; `first_line` is where `old` begins in its index.
///
/// The texts are a block of an index and what stands in its place, or whole indices. Paragraphs are matched by their text,
/// then by their first line, and changed ones line by line: for indices the edits are those of `diff --ed`. Any two texts
/// give edits that lead from one to the other.
pub fn paragraph_edits(old: &str, new: &str, first_line: usize) -> Vec<Edit> {
    let mut script = Script { line: first_line, edits: Vec::new() };
    let (old, new, _) = script.without_common(old, new, "\n\n");
    let (old, new) = (Pieces::paragraphs(old), Pieces::paragraphs(new));
    script.differences(&old, &new, &hunks(&old.list, &new.list), |script, old, new| script.changed_paragraphs(old, new));
    script.edits
}

/// The same for indices whose entries are lines (Contents).
pub fn line_edits(old: &str, new: &str, first_line: usize) -> Vec<Edit> {
    let mut script = Script { line: first_line, edits: Vec::new() };
    let (old, new, _) = script.without_common(old, new, "\n");
    let (old, new) = (Pieces::lines(old), Pieces::lines(new));
    script.differences(&old, &new, &hunks(&old.list, &new.list), Script::replace);
    script.edits
}

/// Returns the text after these edits; `None` if they are not in order or not inside the text.
pub fn apply(old: &str, edits: &[Edit]) -> Option<String> {
    let mut new = String::with_capacity(old.len());
    let (mut rest, mut line) = (old, 0);
    for edit in edits {
        let (kept, after) = split_lines(rest, edit.at.checked_sub(line)?)?;
        let (_, after) = split_lines(after, edit.removed)?;
        new.push_str(kept);
        new.push_str(&edit.inserted);
        rest = after;
        line = edit.at + edit.removed;
    }
    new.push_str(rest);
    Some(new)
}

/// Returns this many lines of a text, and what follows.
fn split_lines(text: &str, lines: usize) -> Option<(&str, &str)> {
    let Some(last) = lines.checked_sub(1) else { return Some(("", text)) };
    match memchr::memchr_iter(b'\n', text.as_bytes()).nth(last) {
        Some(end) => text.split_at_checked(end + 1),
        // The last line may lack its end.
        None => (lines_of(text) == lines).then_some((text, "")),
    }
}

/// How many lines a text has; its last one may lack its end.
fn lines_of(text: &str) -> usize {
    let open = !text.is_empty() && !text.ends_with('\n');
    memchr::memchr_iter(b'\n', text.as_bytes()).count() + usize::from(open)
}

/// A text in pieces of whole lines.
struct Pieces<'a> {
    text: &'a str,
    list: Vec<&'a str>,
}

impl<'a> Pieces<'a> {
    fn paragraphs(text: &'a str) -> Self {
        let mut list = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest.as_bytes(), b"\n\n").map_or(rest.len(), |at| at + 2);
            let (paragraph, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            list.push(paragraph);
            rest = after;
        }
        Self { text, list }
    }

    fn lines(text: &'a str) -> Self {
        Self { text, list: text.split_inclusive('\n').collect() }
    }

    /// These pieces as one text.
    fn joined(&self, pieces: std::ops::Range<usize>) -> &'a str {
        let start = |piece: usize| self.list.get(piece).map_or(self.text.len(), |piece| piece.as_ptr().addr() - self.text.as_ptr().addr());
        self.text.get(start(pieces.start)..start(pieces.end)).unwrap_or_default()
    }
}

/// The edits so far, and the old line where what was not looked at begins.
struct Script {
    line: usize,
    edits: Vec<Edit>,
}

impl Script {
    fn keep(&mut self, text: &str) {
        self.line += lines_of(text);
    }

    fn replace(&mut self, old: &str, new: &str) {
        let (at, removed) = (self.line, lines_of(old));
        self.line += removed;
        match self.edits.last_mut().filter(|edit| edit.at + edit.removed == at) {
            Some(edit) => {
                edit.removed += removed;
                edit.inserted.push_str(new);
            }
            None if removed == 0 && new.is_empty() => {}
            None => self.edits.push(Edit { at, removed, inserted: new.to_owned() }),
        }
    }

    /// Passes over the entries that both texts begin with. Returns what remains of each, without the entries that both end
    /// with, and those.
    fn without_common<'a>(&mut self, old: &'a str, new: &'a str, end_of_entry: &str) -> (&'a str, &'a str, &'a str) {
        let (end, step) = (end_of_entry.as_bytes(), end_of_entry.len());
        let same = common_start(old.as_bytes(), new.as_bytes());
        let start = old.as_bytes().get(..same).and_then(|same| memchr::memmem::rfind(same, end)).map_or(0, |at| at + step);
        let (start, old) = old.split_at_checked(start).unwrap_or(("", old));
        let new = new.get(start.len()..).unwrap_or_default();
        self.keep(start);
        let same = common_end(old.as_bytes(), new.as_bytes());
        let tail = old.as_bytes().get(old.len() - same..).unwrap_or_default();
        let kept = memchr::memmem::find(tail, end).map_or(0, |at| same - at - step);
        let (old, tail) = old.split_at_checked(old.len() - kept).unwrap_or((old, ""));
        (old, new.get(..new.len() - tail.len()).unwrap_or_default(), tail)
    }

    /// Goes over two texts that differ in these pieces.
    fn differences(&mut self, old: &Pieces<'_>, new: &Pieces<'_>, hunks: &[Hunk], mut changed: impl FnMut(&mut Self, &str, &str)) {
        let mut at = 0;
        for hunk in hunks {
            self.keep(old.joined(at..hunk.old.start));
            changed(self, old.joined(hunk.old.clone()), new.joined(hunk.new.clone()));
            at = hunk.old.end;
        }
        self.keep(old.joined(at..old.list.len()));
    }

    /// Paragraphs without an equal on the other side: those that begin with the same line are states of one paragraph.
    fn changed_paragraphs(&mut self, old: &str, new: &str) {
        if old.is_empty() || new.is_empty() {
            return self.replace(old, new);
        }
        let (old, new) = (Pieces::paragraphs(old), Pieces::paragraphs(new));
        let (mut at_old, mut at_new) = (0, 0);
        for hunk in hunks(&first_lines(&old), &first_lines(&new)) {
            self.changed_pairs(&old, &new, at_old..hunk.old.start, at_new);
            self.changed_lines(old.joined(hunk.old.clone()), new.joined(hunk.new.clone()));
            (at_old, at_new) = (hunk.old.end, hunk.new.end);
        }
        self.changed_pairs(&old, &new, at_old..old.list.len(), at_new);
    }

    fn changed_pairs(&mut self, old: &Pieces<'_>, new: &Pieces<'_>, pieces: std::ops::Range<usize>, first_new: usize) {
        for (piece, other) in pieces.zip(first_new..) {
            self.changed_lines(old.joined(piece..piece + 1), new.joined(other..other + 1));
        }
    }

    fn changed_lines(&mut self, old: &str, new: &str) {
        if old.is_empty() || new.is_empty() {
            return self.replace(old, new);
        }
        let (old, new, tail) = self.without_common(old, new, "\n");
        let (old, new) = (Pieces::lines(old), Pieces::lines(new));
        let found = shortest(&old.list, &new.list).unwrap_or_else(|| hunks(&old.list, &new.list));
        self.differences(&old, &new, &found, Self::replace);
        self.keep(tail);
    }
}

/// How many bytes are compared at once: equal runs are long, and compared at the speed of memory.
const RUN: usize = 4096;

/// How many bytes both begin with.
fn common_start(one: &[u8], other: &[u8]) -> usize {
    let runs = one.chunks_exact(RUN).zip(other.chunks_exact(RUN)).take_while(|(one, other)| one == other).count() * RUN;
    let rest = one.iter().skip(runs).zip(other.iter().skip(runs));
    runs + rest.take_while(|(one, other)| one == other).count()
}

/// How many bytes both end with.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    let runs = one.rchunks_exact(RUN).zip(other.rchunks_exact(RUN)).take_while(|(one, other)| one == other).count() * RUN;
    let rest = one.iter().rev().skip(runs).zip(other.iter().rev().skip(runs));
    runs + rest.take_while(|(one, other)| one == other).count()
}

fn first_lines<'a>(paragraphs: &Pieces<'a>) -> Vec<&'a str> {
    paragraphs.list.iter().map(|paragraph| paragraph.split_inclusive('\n').next().unwrap_or_default()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Package `name`'s paragraph at a version.
    fn paragraph(name: &str, version: u32) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nMaintainer: Test\nDepends: libc6\nFilename: pool/{name}_{version}.deb\nSize: {version}00\nDescription: text\n\n"
        )
    }

    fn index(paragraphs: &[(&str, u32)]) -> String {
        paragraphs.iter().map(|(name, version)| paragraph(name, *version)).collect()
    }

    fn edit(at: usize, removed: usize, inserted: &str) -> Edit {
        Edit { at, removed, inserted: inserted.to_owned() }
    }

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[Edit]) {
        let edits = paragraph_edits(old, new, 0);
        assert_eq!(edits, expected);
        assert_eq!(apply(old, &edits).as_deref(), Some(new));
    }

    #[test]
    fn only_the_lines_of_a_paragraph_that_changed_are_replaced() {
        let (old, new) = (index(&[("a", 1), ("b", 1), ("c", 1)]), index(&[("a", 1), ("b", 2), ("c", 1)]));
        check(&old, &new, &[edit(9, 1, "Version: 2\n"), edit(12, 2, "Filename: pool/b_2.deb\nSize: 200\n")]);
        let later = paragraph_edits(&old, &new, 100);
        assert_eq!(later.iter().map(|edit| edit.at).collect::<Vec<_>>(), [109, 112]);
    }

    #[test]
    fn paragraphs_that_came_and_went_are_whole_edits() {
        let all = index(&[("a", 1), ("b", 1), ("c", 1)]);
        check(&index(&[("a", 1), ("c", 1)]), &all, &[edit(8, 0, &paragraph("b", 1))]);
        check(&all, &index(&[("a", 1), ("c", 1)]), &[edit(8, 8, "")]);
        check(&index(&[("b", 1), ("c", 1)]), &all, &[edit(0, 0, &paragraph("a", 1))]);
        check(&index(&[("a", 1), ("b", 1)]), &all, &[edit(16, 0, &paragraph("c", 1))]);
        check(&all, "", &[edit(0, 24, "")]);
        check("", &all, &[edit(0, 0, &all)]);
        check(&all, &all, &[]);
    }

    #[test]
    fn a_package_that_came_beside_a_changed_one_is_no_state_of_it() {
        let (old, new) = (index(&[("b", 1), ("d", 1)]), index(&[("a", 7), ("b", 2), ("d", 1)]));
        let changed = [edit(1, 1, "Version: 2\n"), edit(4, 2, "Filename: pool/b_2.deb\nSize: 200\n")];
        check(&old, &new, &[&[edit(0, 0, &paragraph("a", 7))], &changed[..]].concat());
    }

    #[test]
    fn lines_are_entries_of_contents() {
        let edits = line_edits("bin/a x\nbin/b x\nbin/d x\n", "bin/a x\nbin/b x,y\nbin/c y\nbin/d x\n", 5);
        assert_eq!(edits, [edit(6, 1, "bin/b x,y\nbin/c y\n")]);
    }

    #[test]
    fn edits_outside_the_text_or_out_of_order_do_not_apply() {
        assert_eq!(apply("a\nb\n", &[edit(1, 1, "c\n")]).as_deref(), Some("a\nc\n"));
        assert_eq!(apply("a\nb", &[edit(2, 0, "c\n")]).as_deref(), Some("a\nbc\n"));
        for bad in [[edit(3, 0, "c\n"), edit(3, 0, "")], [edit(1, 2, ""), edit(3, 0, "")], [edit(1, 1, ""), edit(0, 1, "")]] {
            assert_eq!(apply("a\nb\n", &bad), None, "{bad:?}");
        }
    }

    fn in_order(edits: &[Edit]) -> bool {
        edits.windows(2).all(|pair| matches!(pair, [one, other] if one.at + one.removed < other.at))
    }

    proptest! {
        #[test]
        fn any_two_texts_give_edits_from_one_to_the_other(old in "[ab\n.é]{0,40}", new in "[ab\n.é]{0,40}") {
            for edits in [paragraph_edits(&old, &new, 0), line_edits(&old, &new, 0)] {
                prop_assert!(in_order(&edits), "{:?}", edits);
                prop_assert_eq!(apply(&old, &edits), Some(new.clone()));
            }
        }

        #[test]
        fn so_do_any_two_indices(old in proptest::collection::btree_map("[a-d]{1,2}", 0u32..3, 0..12), new in proptest::collection::btree_map("[a-d]{1,2}", 0u32..3, 0..12)) {
            let text = |index: &std::collections::BTreeMap<String, u32>| index.iter().map(|(name, version)| paragraph(name, *version)).collect::<String>();
            let edits = paragraph_edits(&text(&old), &text(&new), 0);
            prop_assert!(in_order(&edits), "{:?}", edits);
            prop_assert_eq!(apply(&text(&old), &edits), Some(text(&new)));
            // Nothing of a paragraph that both have is touched.
            let touched = edits.iter().map(|edit| edit.removed).sum::<usize>();
            let gone = old.iter().filter(|(name, version)| new.get(*name) != Some(version)).count();
            prop_assert!(touched <= gone * 8);
        }
    }
}
