//! Sorting the lines of a whole suite in little memory: runs that are sorted and held compressed, merged when they are read.
//!
//! A run takes 16 MiB of paths and packages, so Debian's largest Contents (650 MB of text) is some 45 runs of 2 MB, and reading
//! it merges 45 streams. It can be read as often as needed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead};

use super::packed::Packed;
use super::table;

/// Bytes of a run before it is compressed.
const RUN: usize = 16 << 20;

/// Bytes that a line costs beside its text while it is sorted.
const LINE: usize = 16;

/// Lines of any number of packages.
#[derive(Debug, Default)]
pub struct Runs {
    /// Text of the lines that are not sorted yet, and where each of them lies: path, then package.
    text: String,
    lines: Vec<(u32, u32, u32)>,
    runs: Vec<Packed>,
}

impl Runs {
    /// Adds that a package, as it stands in lines, installs a path.
    ///
    /// # Errors
    /// The compressor lacks memory.
    pub fn push(&mut self, path: &str, package: &str) -> io::Result<()> {
        if self.text.len() + (self.lines.len() * LINE) + path.len() + package.len() > RUN {
            self.pack()?;
        }
        let at = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let begin = at(self.text.len());
        self.text.push_str(path);
        let middle = at(self.text.len());
        self.text.push_str(package);
        self.lines.push((begin, middle, at(self.text.len())));
        Ok(())
    }

    fn pack(&mut self) -> io::Result<()> {
        let text = &self.text;
        let part = |begin: u32, end: u32| text.get(begin as usize..end as usize).unwrap_or_default();
        let key = |line: &(u32, u32, u32)| (part(line.0, line.1), table::name_of(part(line.1, line.2)));
        self.lines.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        let mut sorted = String::with_capacity(text.len() + 2 * self.lines.len());
        for line in &self.lines {
            sorted.push_str(part(line.0, line.1));
            sorted.push('\0');
            sorted.push_str(part(line.1, line.2));
            sorted.push('\n');
        }
        if !sorted.is_empty() {
            self.runs.push(Packed::of(&sorted)?);
        }
        self.text.clear();
        self.lines.clear();
        Ok(())
    }

    /// Ends the last run, so that all can be read.
    ///
    /// # Errors
    /// The compressor lacks memory.
    pub fn finish(mut self) -> io::Result<Sorted> {
        self.pack()?;
        Ok(Sorted { runs: self.runs })
    }
}

/// Lines that can be read in order.
#[derive(Debug)]
pub struct Sorted {
    runs: Vec<Packed>,
}

impl Sorted {
    /// Begins to read all lines in order.
    ///
    /// # Errors
    /// The decompressor lacks memory.
    pub fn lines(&self) -> io::Result<Lines<'_>> {
        let mut lines = Lines { readers: Vec::with_capacity(self.runs.len()), heads: BinaryHeap::new(), next: None };
        for run in &self.runs {
            lines.readers.push(Box::new(run.reader()?));
            lines.refill(lines.readers.len() - 1)?;
        }
        Ok(lines)
    }
}

/// What a run comes to next: path, name of the package, its position, and the package as it stands in a line.
type Head = Reverse<(String, String, usize, String)>;

/// The lines of Contents, in order.
pub struct Lines<'a> {
    readers: Vec<Box<dyn BufRead + 'a>>,
    heads: BinaryHeap<Head>,
    /// The path of the next line with its packages, where it was looked at.
    next: Option<(String, Vec<String>)>,
}

impl Lines<'_> {
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let Some(reader) = self.readers.get_mut(run) else { return Ok(()) };
        let mut line = String::new();
        if reader.read_line(&mut line)? > 0
            && let Some((path, package)) = line.trim_end_matches('\n').split_once('\0')
        {
            self.heads.push(Reverse((path.to_owned(), table::name_of(package).to_owned(), run, package.to_owned())));
        }
        Ok(())
    }

    /// Returns the path of the next line.
    ///
    /// # Errors
    /// The decompressor lacks memory.
    pub fn peek(&mut self) -> io::Result<Option<&str>> {
        if self.next.is_none() {
            let Some(Reverse((path, _, run, package))) = self.heads.pop() else { return Ok(None) };
            self.refill(run)?;
            let mut packages = vec![package];
            while self.heads.peek().is_some_and(|Reverse(head)| head.0 == path) {
                let Some(Reverse((_, _, run, package))) = self.heads.pop() else { break };
                self.refill(run)?;
                packages.push(package);
            }
            packages.dedup();
            self.next = Some((path, packages));
        }
        Ok(self.next.as_ref().map(|(path, _)| path.as_str()))
    }

    /// Adds the next line to a text; tells whether there was one.
    ///
    /// # Errors
    /// The decompressor lacks memory.
    pub fn push_next(&mut self, text: &mut String) -> io::Result<bool> {
        self.peek()?;
        let Some((path, packages)) = self.next.take() else { return Ok(false) };
        table::push_line(text, &path, packages.iter().map(String::as_str));
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn text(entries: &[(String, String)], every: usize) -> String {
        let mut runs = Runs::default();
        for (at, (path, package)) in entries.iter().enumerate() {
            runs.push(path, package).unwrap();
            if at % every == every - 1 {
                runs.pack().unwrap();
            }
        }
        let sorted = runs.finish().unwrap();
        let read = || {
            let (mut lines, mut text) = (sorted.lines().unwrap(), String::new());
            while lines.push_next(&mut text).unwrap() {}
            text
        };
        let first = read();
        assert_eq!(first, read(), "it can be read again");
        first
    }

    proptest! {
        #[test]
        fn runs_of_any_length_give_what_sorting_gives(
            entries in proptest::collection::vec(("[a-c]{1,3}", "(net|web)/[pq]{1,2}"), 0..40), every in 1usize..50,
        ) {
            let mut seen = BTreeSet::new();
            let entries: Vec<(String, String)> =
                entries.into_iter().filter(|(path, package)| seen.insert((path.clone(), table::name_of(package).to_owned()))).collect();
            let mut expected: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
            for (path, package) in &entries {
                expected.entry(path).or_default().insert(table::name_of(package), package);
            }
            let mut plain = String::new();
            expected.iter().for_each(|(path, packages)| table::push_line(&mut plain, path, packages.values().copied()));
            prop_assert_eq!(text(&entries, every), plain);
        }
    }
}
