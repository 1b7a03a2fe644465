//! What was found so far, and what people said to be known of it.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::answer::{Finding, FindingKind};
use crate::words::digest::Sha256;

/// How many hexadecimal digits of a digest name an alarm that has no name of its own.
const NAME: usize = 16;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) alarms: Vec<Finding>,
    pub(super) unreachable: Vec<Finding>,
    pub(super) notes: Vec<Finding>,
    /// What people said in this run.
    said: BTreeSet<String>,
    /// What they ever said.
    known: BTreeSet<String>,
}

/// Returns a name for an alarm: the same each time that it is about the same.
pub(super) fn name_of(kind: FindingKind, parts: &[&dyn Display]) -> String {
    let text = parts.iter().fold(format!("{kind:?}\n"), |text, part| format!("{text}{part}\n"));
    Sha256::of(text.as_bytes()).to_hex().chars().take(NAME).collect()
}

impl Findings {
    /// Begins with what was said to be known before, and is said now.
    pub(super) fn new(before: &BTreeSet<String>, now: &[String]) -> Self {
        let said: BTreeSet<String> = now.iter().cloned().collect();
        let known = before.union(&said).cloned().collect();
        Self { said, known, ..Self::default() }
    }

    /// Tells whether somebody ever said that this is known.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Says an alarm, unless somebody ever said that it is known. Its name must be another as soon as it is about something else.
    pub(super) fn alarm(&mut self, kind: FindingKind, subject: &str, name: String, text: String) {
        if !self.knows(&name) {
            self.push(kind, subject, name, text);
        }
    }

    /// Says an alarm about something that is not as it was. Returns whether somebody says in this very run that it is known: what is
    /// now counts from then on, and the same change at another time is an alarm again.
    pub(super) fn change(&mut self, kind: FindingKind, subject: &str, name: String, text: String) -> bool {
        let known = self.said.contains(&name);
        if known {
            self.note(FindingKind::Acknowledged, subject, text);
        } else {
            self.push(kind, subject, name, text);
        }
        known
    }

    /// Says an alarm that nobody can say to be known.
    pub(super) fn lasting(&mut self, kind: FindingKind, subject: &str, text: String) {
        self.alarms.push(Finding { kind, subject: subject.to_owned(), text, acknowledge: None });
    }

    pub(super) fn unreachable(&mut self, subject: &str, text: String) {
        let kind = FindingKind::Unreachable;
        self.unreachable.push(Finding { kind, subject: subject.to_owned(), text, acknowledge: None });
    }

    pub(super) fn note(&mut self, kind: FindingKind, subject: &str, text: String) {
        self.notes.push(Finding { kind, subject: subject.to_owned(), text, acknowledge: None });
    }

    /// Returns a place for findings that are said after these.
    pub(super) fn apart(&self) -> Self {
        Self { said: self.said.clone(), known: self.known.clone(), ..Self::default() }
    }

    /// Says what was found apart.
    pub(super) fn join(&mut self, other: Self) {
        self.alarms.extend(other.alarms);
        self.unreachable.extend(other.unreachable);
        self.notes.extend(other.notes);
    }

    fn push(&mut self, kind: FindingKind, subject: &str, name: String, text: String) {
        let text = format!("{text}. Once that is understood, say --acknowledge {name}");
        self.alarms.push(Finding { kind, subject: subject.to_owned(), text, acknowledge: Some(name) });
    }
}
