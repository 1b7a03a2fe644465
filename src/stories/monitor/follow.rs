//! One log: from the tree that was seen last to the tree that it shows now, leaf by leaf.
//!
//! The new tree must hold the old one (the log's proof), the leaves that it gives must be those of the new tree (its root hash is
//! made again from the kept compact range and all new leaves), and trees that others were shown must be in it. Where that fails, the
//! old tree stays what is remembered, so that the alarm comes again.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{FindingKind, Findings, FollowedLog};
use super::state::{KeptLeaf, LogMemory};
use super::{Begin, MonitorRequest};
use crate::formats::merkle::compact::CompactRange;
use crate::places::transparency::reader::{Lack, LogReader, ReadError, SignedHead};
use crate::words::archive::LogKind;
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

/// Why a look ended early: it was said.
struct Stopped;

/// Looks at a log.
pub(super) fn follow(
    reader: &LogReader,
    kept: Option<&LogMemory>,
    known: &[KnownHead],
    request: &MonitorRequest,
    findings: &mut Findings,
) -> Followed {
    let (kind, name) = (reader.kind(), reader.name());
    let mut look = Look { reader, subject: subject(kind, &name), request, findings, lacking: false, witnesses: Vec::new() };
    let memory = look.tree(kept, known);
    let (lacking, witnesses) = (look.lacking, look.witnesses);
    let complete = memory.is_ok();
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
        read: memory.as_ref().map_or(0, |memory| memory.size.saturating_sub(from)),
        own: memory.as_ref().map_or(0, |memory| memory.leaves.len()),
        witnesses,
    };
    Followed { kind, name, memory, keep: complete && !lacking, complete, from, answer: Some(answer) }
}

struct Look<'a> {
    reader: &'a LogReader,
    subject: String,
    request: &'a MonitorRequest,
    findings: &'a mut Findings,
    /// Whether the tree head lacks cosignatures.
    lacking: bool,
    witnesses: Vec<String>,
}

impl Look<'_> {
    fn tree(&mut self, kept: Option<&LogMemory>, known: &[KnownHead]) -> Result<LogMemory, Stopped> {
        let head = self.head(kept, known)?;
        let (mut range, start) = self.begin(kept, &head)?;
        let mut leaves = kept.map_or_else(Vec::new, |kept| kept.leaves.clone());
        let passed = self.read(&mut range, &head, known, &mut leaves)?;
        let mut heads = kept.map_or_else(BTreeMap::new, |kept| kept.heads.clone());
        for other in known.iter().filter(|other| other.size > 0) {
            if heads.get(&other.size) != Some(&other.root) && self.agrees(other, &head, &passed) {
                heads.insert(other.size, other.root);
            }
        }
        let (size, root, range) = (head.size, head.root, range.roots().to_vec());
        Ok(LogMemory { at: self.request.now, size, root, range, head: head.text, start, leaves, heads })
    }

    /// Reads the tree head and compares it with the one before.
    fn head(&mut self, kept: Option<&LogMemory>, known: &[KnownHead]) -> Result<SignedHead, Stopped> {
        let seen = known.iter().map(|known| known.size).chain(kept.map(|kept| kept.size)).max().unwrap_or_default();
        let head = self.reader.head(self.request.now, self.request.limits.head_age, seen);
        let head = head.map_err(|fault| self.failed(FindingKind::BadTreeHead, fault))?;
        self.witnesses = head.witnesses.iter().map(|(name, _)| name.clone()).collect();
        self.lacking = head.lacks.is_some();
        match &head.lacks {
            Some(Lack::Quorum(reason)) => {
                self.alarm(FindingKind::QuorumShort, format!("{reason}; nobody vouches that others see the same tree"))
            }
            Some(Lack::Fresh(reason)) => {
                self.alarm(FindingKind::TreeHeadOld, format!("{reason}: it may be an old tree head, shown to this monitor alone"));
            }
            None => {}
        }
        let Some(kept) = kept else { return Ok(head) };
        let seen = kept.at.iso8601();
        if head.size < kept.size {
            let text = format!(
                "its tree has {} leaves, and it had {} on {seen}: the log was set back or lies. If it was begun anew, and all were told, say \
                 --acknowledge {}",
                head.size,
                kept.size,
                self.reader.name()
            );
            return Err(self.alarm_and_stop(FindingKind::TreeShrunk, text));
        }
        if head.size == kept.size && head.root != kept.root {
            let text = format!(
                "its tree of {} leaves has the root hash {}, and it had {} on {seen}: it shows two trees. The state file has the one that it \
                 signed before",
                head.size, head.root, kept.root
            );
            return Err(self.alarm_and_stop(FindingKind::SplitView, text));
        }
        match self.reader.check_consistency((kept.size, &kept.root), (head.size, &head.root)) {
            Ok(()) => Ok(head),
            Err(fault) => Err(self.failed(FindingKind::SplitView, fault)),
        }
    }

    /// Returns the range of the leaves that need not be read, and the first leaf that ever was.
    fn begin(&mut self, kept: Option<&LogMemory>, head: &SignedHead) -> Result<(CompactRange, u64), Stopped> {
        if let Some((range, kept)) = kept.and_then(|kept| Some((kept.compact()?, kept))) {
            return Ok((range, kept.start));
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
        let start = range.size();
        Ok((range, start))
    }

    /// Reads all new leaves; returns the root hashes of trees between that somebody was shown.
    fn read(
        &mut self,
        range: &mut CompactRange,
        head: &SignedHead,
        known: &[KnownHead],
        leaves: &mut Vec<KeptLeaf>,
    ) -> Result<BTreeMap<u64, Sha256>, Stopped> {
        let wanted: BTreeSet<u64> = known.iter().map(|known| known.size).collect();
        let (mut passed, from) = (BTreeMap::new(), range.size());
        let read = self.reader.leaves(from, head.size, &mut |hash, own| {
            range.append(hash);
            if wanted.contains(&range.size()) {
                passed.insert(range.size(), range.root());
            }
            leaves.extend(own.map(|own| KeptLeaf { index: own.index, about: own.about, fault: own.fault }));
        });
        read.map_err(|fault| self.failed(FindingKind::LeavesNotOfTree, fault))?;
        if range.root() != head.root {
            let (size, root) = (head.size, range.root());
            let text = format!(
                "the leaves that it gives from {from} on are not those of the tree of {size} leaves that it signed: they make the root hash \
                 {root}, and it signed {}",
                head.root
            );
            return Err(self.alarm_and_stop(FindingKind::LeavesNotOfTree, text));
        }
        Ok(passed)
    }

    /// Tells whether a tree that somebody was shown is in the one that is shown now.
    fn agrees(&mut self, other: &KnownHead, head: &SignedHead, passed: &BTreeMap<u64, Sha256>) -> bool {
        let KnownHead { size, root, from } = other;
        if *size > head.size {
            let text = format!(
                "it signed a tree of {size} leaves for {from}, and shows {} now: it was set back or lies. Where that is known, say \
                 --acknowledge {root}",
                head.size
            );
            self.alarm(FindingKind::TreeShrunk, text);
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
                 here: not everybody sees the same log. Where that is known, say --acknowledge {root}",
                head.size
            );
            self.alarm(FindingKind::SplitView, text);
        }
        same
    }

    fn alarm(&mut self, kind: FindingKind, text: String) {
        self.findings.alarm(kind, &self.subject, text);
    }

    fn alarm_and_stop(&mut self, kind: FindingKind, text: String) -> Stopped {
        self.alarm(kind, text);
        Stopped
    }

    /// Says why something could not be read; a lie is an alarm of this kind.
    fn failed(&mut self, kind: FindingKind, fault: ReadError) -> Stopped {
        match fault {
            ReadError::Lies(text) => self.alarm(kind, text),
            ReadError::Down(text) => self.findings.unreachable(&self.subject, format!("{text} ({})", self.reader.url())),
        }
        Stopped
    }
}
