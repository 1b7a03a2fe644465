//! One log: from the tree that was seen last to the tree that it shows now, leaf by leaf.
//!
//! The new tree must hold the old one (the log's proof), the leaves that it gives must be those of the new tree (its root hash is
//! made again from the kept compact range and all new leaves), and trees that others were shown must be in it. Where that fails, the
//! old tree stays what is remembered, so that the alarm comes again. Of a tree that is too large for one run a part is read, and the
//! log must show that its tree holds that part, before it is remembered.

mod leaves;
mod tree_head;

use std::collections::BTreeMap;
use std::fmt::Display;

use super::MonitorRequest;
use super::answer::{FindingKind, FollowedLog};
use super::findings::{Findings, name_of};
use super::state::{Earlier, KeptLeaf, LogMemory};
use crate::places::transparency::reader::{LogReader, ReadError, SignedHead};
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// A tree of a log that somebody was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownHead {
    pub(super) size: u64,
    pub(super) root: Sha256,
    /// Who was shown it.
    pub(super) from: String,
}

/// What is known of a log after a look.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) kind: LogKind,
    pub(super) name: String,
    /// What its leaves are compared by.
    pub(super) memory: Option<LogMemory>,
    /// Whether that is to be remembered.
    pub(super) keep: bool,
    /// Whether all leaves of the tree that it shows now were read.
    pub(super) complete: bool,
    /// The first leaf that was new.
    pub(super) from: u64,
    /// What is said of the look; `None` where the log is not followed any more, and is only remembered.
    pub(super) answer: Option<FollowedLog>,
}

impl Followed {
    /// Returns what is remembered of a log that is not followed any more.
    pub(super) fn remembered(kind: LogKind, name: &str, memory: &LogMemory) -> Self {
        let (memory, from) = (Some(memory.clone()), memory.size);
        Self { kind, name: name.to_owned(), memory, keep: false, complete: false, from, answer: None }
    }
}

/// How messages name a log.
pub(super) fn subject(kind: LogKind, name: &str) -> String {
    let short: String = name.chars().take(if kind == LogKind::Sigsum { 16 } else { 80 }).collect();
    format!("{kind} log {short}")
}

/// Returns the name of the alarm that a tree is not in the one that a log shows.
fn of_tree(log: &str, root: &Sha256) -> String {
    name_of(FindingKind::SplitView, &[&"tree", &log, root])
}

/// Why a look ended early: it was said.
struct Stopped;

/// Looks at a log that is trusted since some time.
pub(super) fn follow(
    reader: &LogReader,
    kept: Option<&LogMemory>,
    mut known: Vec<KnownHead>,
    since: Timestamp,
    request: &MonitorRequest,
    findings: &mut Findings,
) -> Followed {
    let (kind, name) = (reader.kind(), reader.name());
    let own = kept.and_then(|kept| kept.signed).map(|(size, root)| KnownHead { size, root, from: "this monitor".to_owned() });
    known.extend(own);
    known.retain(|head| !kept.is_some_and(|kept| kept.earlier.roots.contains(&head.root)) && !findings.knows(&of_tree(&name, &head.root)));
    let begun = kept.map_or(since, |kept| kept.at);
    let mut look = Look {
        reader,
        subject: subject(kind, &name),
        request,
        findings,
        begun,
        lacking: false,
        missed: false,
        anew: false,
        part: false,
        read: 0,
        witnesses: Vec::new(),
    };
    let memory = look.tree(kept, known);
    look.unfollowed(memory.is_err());
    look.overdue();
    let Look { lacking, witnesses, part, read, .. } = look;
    let complete = memory.is_ok() && !part;
    let keep = memory.is_ok() && !lacking;
    let memory = memory.ok().or_else(|| kept.cloned());
    let from = kept.map_or_else(|| memory.as_ref().map_or(0, |memory| memory.start), |kept| kept.size);
    let answer = FollowedLog {
        log: kind,
        name: name.clone(),
        url: reader.url().to_owned(),
        complete,
        size: memory.as_ref().map_or(0, |memory| memory.size),
        root: memory.as_ref().map(|memory| memory.root),
        start: memory.as_ref().map_or(0, |memory| memory.start),
        read,
        own: memory.as_ref().map_or(0, |memory| memory.own().count() + usize::try_from(memory.more).unwrap_or_default()),
        witnesses,
    };
    Followed { kind, name, memory, keep, complete, from, answer: Some(answer) }
}

struct Look<'a> {
    reader: &'a LogReader,
    subject: String,
    request: &'a MonitorRequest,
    findings: &'a mut Findings,
    /// When everything was looked at last.
    begun: Timestamp,
    /// Whether the tree head lacks cosignatures.
    lacking: bool,
    /// Whether something was not reached, or not all was read.
    missed: bool,
    /// Whether the log was begun anew, and that is known.
    anew: bool,
    /// Whether leaves are left for the next run.
    part: bool,
    /// How many leaves were read.
    read: u64,
    witnesses: Vec<String>,
}

impl Look<'_> {
    fn tree(&mut self, kept: Option<&LogMemory>, mut known: Vec<KnownHead>) -> Result<LogMemory, Stopped> {
        let head = self.head(kept, &known)?;
        let earlier = match kept {
            Some(kept) if self.anew => kept.ended(),
            Some(kept) => kept.earlier.clone(),
            None => Earlier::default(),
        };
        known.retain(|head| !earlier.roots.contains(&head.root));
        let kept = kept.filter(|_| !self.anew);
        let (begun, mut range) = self.begin(kept, &head)?;
        let from = range.size();
        // Those that are read again are counted again.
        let more = kept.filter(|kept| kept.size == from).map_or(0, |kept| kept.more);
        let (mut leaves, rest): (Vec<KeptLeaf>, Vec<KeptLeaf>) =
            kept.map_or_else(Vec::new, |kept| kept.leaves.clone()).into_iter().partition(|leaf| leaf.index < from);
        let passed = self.read(&mut range, &head, &known, &mut leaves)?;
        leaves.extend(rest.into_iter().filter(|leaf| leaf.index >= range.size()));
        let mut heads = kept.map_or_else(BTreeMap::new, |kept| kept.heads.clone());
        let seen = kept.map_or(0, |kept| kept.size);
        let mut signed = self.part.then_some((head.size, head.root));
        for other in known.iter().filter(|other| other.size > 0) {
            // What is in the tree that was read before is in this one.
            if other.size <= seen && heads.get(&other.size) == Some(&other.root) {
                continue;
            }
            if self.agrees(other, &head, &passed) {
                heads.insert(other.size, other.root);
            } else if let Some(before) = kept.and_then(|kept| kept.signed).filter(|before| before.1 == other.root) {
                signed = Some(before);
            }
        }
        let at = if self.missed { self.begun } else { self.request.now };
        let (start, keys) = (begun.size(), self.reader.keys());
        let (size, root, range, begun) = (range.size(), range.root(), range.roots().to_vec(), begun.roots().to_vec());
        Ok(LogMemory { at, size, root, range, head: head.text, start, leaves, more, heads, begun, keys, signed, earlier })
    }

    /// Tells whether a tree that somebody was shown is in the one that is shown now.
    fn agrees(&mut self, other: &KnownHead, head: &SignedHead, passed: &BTreeMap<u64, Sha256>) -> bool {
        let KnownHead { size, root, from } = other;
        if *size > head.size {
            let text = format!("it signed a tree of {size} leaves for {from}, and shows {} now: it was set back or lies", head.size);
            self.alarm(FindingKind::TreeShrunk, of_tree(&self.reader.name(), root), text);
            return false;
        }
        let same = match passed.get(size) {
            Some(own) => own == root,
            None if *size == head.size => *root == head.root,
            None => match self.reader.check_consistency((*size, root), (head.size, &head.root)) {
                Ok(()) => true,
                Err(ReadError::Lies(_)) => false,
                Err(fault) => {
                    self.failed(FindingKind::SplitView, fault);
                    return false;
                }
            },
        };
        if !same {
            let text = format!(
                "the tree of {size} leaves with the root hash {root} that it signed for {from} is not in the tree of {} leaves that it shows \
                 here: not everybody sees the same log",
                head.size
            );
            self.alarm(FindingKind::SplitView, of_tree(&self.reader.name(), root), text);
        }
        same
    }

    fn alarm(&mut self, kind: FindingKind, name: String, text: String) {
        self.findings.alarm(kind, &self.subject, name, text);
    }

    /// Returns a name for an alarm about what the log shows since it was read to its end: after that, the same is an alarm again.
    fn name(&self, kind: FindingKind, parts: &[&dyn Display]) -> String {
        let (log, since) = (self.reader.name(), self.begun.iso8601());
        let mut all: Vec<&dyn Display> = vec![&log, &since];
        all.extend_from_slice(parts);
        name_of(kind, &all)
    }

    /// Says why something could not be read; a lie is an alarm of this kind.
    fn failed(&mut self, kind: FindingKind, fault: ReadError) -> Stopped {
        match fault {
            ReadError::Lies(text) => {
                let name = self.name(kind, &[&text]);
                self.alarm(kind, name, text);
            }
            ReadError::Down(text) => {
                self.missed = true;
                self.findings.unreachable(&self.subject, format!("{text} ({})", self.reader.url()));
            }
        }
        Stopped
    }
}
