//! The tree head that a log shows, against the one that was seen last.

use std::collections::BTreeMap;

use super::{KnownHead, Look, Stopped};
use crate::places::transparency::reader::{Lack, ReadError, SignedHead};
use crate::stories::monitor::answer::FindingKind;
use crate::stories::monitor::findings::name_of;
use crate::stories::monitor::state::LogMemory;

impl Look<'_> {
    /// Reads the tree head and compares it with the one before.
    pub(super) fn head(&mut self, kept: Option<&LogMemory>, known: &[KnownHead]) -> Result<SignedHead, Stopped> {
        let seen = known.iter().map(|known| known.size).chain(kept.map(|kept| kept.size)).max().unwrap_or_default();
        let head = self.reader.head(self.request.now, self.request.limits.head_age, seen);
        let head = head.map_err(|fault| self.failed(FindingKind::BadTreeHead, fault))?;
        self.witnesses = head.witnesses.iter().map(|(name, _)| name.clone()).collect();
        self.lacking = head.lacks.is_some();
        match &head.lacks {
            Some(Lack::Quorum(reason)) => {
                // That the log signed two trees shows without witnesses.
                self.conflict(kept, known, &head);
                // Nobody vouches that this tree ends.
                let text = format!("{reason}; nobody vouches that others see the same tree, and its leaves are not read");
                let name = self.name(FindingKind::QuorumShort, &[&head.size, &head.root]);
                self.alarm(FindingKind::QuorumShort, name, text);
                return Err(Stopped);
            }
            Some(Lack::Fresh(reason)) => {
                let text = format!("{reason}: it may be an old tree head, shown to this monitor alone");
                let name = self.name(FindingKind::TreeHeadOld, &[&head.size, &head.root]);
                self.alarm(FindingKind::TreeHeadOld, name, text);
            }
            None => {}
        }
        let Some(kept) = kept else { return Ok(head) };
        let Some((kind, text)) = self.against(kept, &head)? else { return Ok(head) };
        // Whoever says so in this very run knows that the log was begun anew.
        let name = name_of(kind, &[&self.reader.name(), &kept.root]);
        self.anew = self.findings.change(kind, &self.subject, name, text);
        if self.anew { Ok(head) } else { Err(Stopped) }
    }

    /// Says that a tree head for which nobody vouches, but that the log signed, is not of the tree that it showed before.
    fn conflict(&mut self, kept: Option<&LogMemory>, known: &[KnownHead], head: &SignedHead) {
        // That it does not show how its trees agree is no sign that they do.
        if let Some((kind, text)) = kept.and_then(|kept| self.against(kept, head).ok().flatten()) {
            // What is known of this one is not known of another.
            let name = self.name(kind, &[&head.size, &head.root]);
            return self.alarm(kind, name, text);
        }
        // Without asking the log: there may be many.
        let told = known.iter().filter(|known| known.size > head.size || (known.size == head.size && known.root != head.root));
        for other in told {
            self.agrees(other, head, &BTreeMap::new());
        }
    }

    /// Returns what is wrong with a tree head, by the tree that was read before; nothing where its tree holds that one.
    fn against(&mut self, kept: &LogMemory, head: &SignedHead) -> Result<Option<(FindingKind, String)>, Stopped> {
        let seen = kept.at.iso8601();
        Ok(Some(if head.size < kept.size {
            let text = format!(
                "its tree has {} leaves, and {} were read until {seen}: the log was set back or lies, or was begun anew, and all were told",
                head.size, kept.size
            );
            (FindingKind::TreeShrunk, text)
        } else if head.size == kept.size && head.root != kept.root {
            let text = format!(
                "its tree of {} leaves has the root hash {}, and it had {} on {seen}: it shows two trees. The state file has the one that it \
                 signed before",
                head.size, head.root, kept.root
            );
            (FindingKind::SplitView, text)
        } else {
            match self.reader.check_consistency((kept.size, &kept.root), (head.size, &head.root)) {
                Ok(()) => return Ok(None),
                Err(ReadError::Lies(text)) => (FindingKind::SplitView, text),
                Err(fault @ ReadError::Down(_)) => return Err(self.failed(FindingKind::SplitView, fault)),
            }
        }))
    }

    /// Says that nothing is learned of the log, where that was not said: what is wrong with it may be known to somebody, and its leaves
    /// are not.
    pub(super) fn unfollowed(&mut self, stopped: bool) {
        if (stopped || self.lacking) && !self.missed {
            self.missed = true;
            let text =
                "what it shows is not believed, so that nothing is known of new leaves; what is wrong is an alarm of its own, or known";
            self.findings.unreachable(&self.subject, text.to_owned());
        }
    }

    /// Says that the log was not looked at whole for too long.
    pub(super) fn overdue(&mut self) {
        let limit = self.request.limits.unreached;
        if self.missed && self.request.now > self.begun.plus(limit) {
            let since = self.begun.iso8601();
            let text = format!("it was not read to its end since {since}, longer than {limit}: it fails, or hides what it has");
            let name = name_of(FindingKind::Unreached, &[&self.reader.name(), &since]);
            self.alarm(FindingKind::Unreached, name, text);
        }
    }
}
