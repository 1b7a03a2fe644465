//! Which patches lead from which state of an index to the next: a recorded input of a publish, bounded in number and bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::digest::Sha256;

/// Length and SHA-256 of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Facts {
    /// Returns the facts of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: Sha256::of(bytes) }
    }
}

/// One patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name, without `.gz`. No two patches of an index have the same one, so that no cache between can mix them up; apt
    /// applies patches in the order of their names.
    pub name: String,
    /// The plain index that it changes.
    pub from: Facts,
    /// The script.
    pub patch: Facts,
    /// The compressed script, which is what is published; its SHA-256 names the recorded object.
    pub download: Facts,
}

impl Step {
    /// Tells whether its name is the number of a patch and the beginning of its digest, as every patch is named.
    pub fn is_named_well(&self) -> bool {
        let parts = self.name.split_once('-');
        let number = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        parts.is_some_and(|(made, end)| number(made) && end == ending(&self.download))
    }
}

/// Returns what the name of a patch ends with, by which no two have the same.
fn ending(download: &Facts) -> String {
    let mut hex = download.sha256.to_hex();
    hex.truncate(8);
    hex
}

/// The patches of one index, oldest first: each leads to the state that the next one changes, the last one to `current`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The plain index as it is published now.
    pub current: Facts,
    /// How many patches were ever made.
    pub made: u64,
    /// Those that are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many patches at most.
    pub patches: usize,
    /// How many bytes all of them have at most, compressed: the size of the compressed index that apt would fetch instead.
    pub bytes: u64,
}

impl History {
    /// Returns the history of an index that has just been published for the first time.
    pub fn begin(current: Facts) -> Self {
        Self { current, made: 0, steps: Vec::new() }
    }

    /// Returns the history after the index was changed from `old` to `new` by a patch.
    ///
    /// If `old` is not where the history ends, older patches lead nowhere and are left out. The oldest are left out until
    /// the limits are kept, which can be all: a patch larger than the index has no use.
    #[must_use]
    pub fn advance(&self, old: Facts, new: Facts, patch: &[u8], compressed: &[u8], limits: Limits) -> Self {
        if new == old {
            return self.restart(new);
        }
        let download = Facts::of(compressed);
        let made = self.made + 1;
        let name = format!("{made:08}-{}", ending(&download));
        let kept = if self.current == old { self.steps.clone() } else { Vec::new() };
        let mut next = Self { current: new, made, steps: kept };
        next.steps.push(Step { name, from: old, patch: Facts::of(patch), download });
        next.limit(limits);
        next
    }

    /// Returns the history after the index was changed and no patch could be made.
    #[must_use]
    pub fn restart(&self, new: Facts) -> Self {
        if self.current == new { self.clone() } else { Self { current: new, made: self.made, steps: Vec::new() } }
    }

    /// Leaves the oldest patches out until the rest keeps the limits.
    fn limit(&mut self, limits: Limits) {
        let mut bytes = 0u64;
        let fits = |step: &&Step| {
            bytes = bytes.saturating_add(step.download.size);
            bytes <= limits.bytes
        };
        let kept = self.steps.iter().rev().take(limits.patches).take_while(fits).count();
        self.steps.drain(..self.steps.len() - kept);
    }

    /// Returns the path of a patch's published file; `index` is the plain index's path.
    pub fn patch_path(index: &str, step: &Step) -> String {
        format!("{index}.diff/{}.gz", step.name)
    }

    /// Returns the path of the list of patches; `index` is the plain index's path.
    pub fn index_path(index: &str) -> String {
        format!("{index}.diff/Index")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;

    pub(crate) const LIMITS: Limits = Limits { patches: 3, bytes: 1000 };

    pub(crate) fn state(number: u8) -> Facts {
        Facts::of(&[number])
    }

    /// A history that went through these states.
    pub(crate) fn through(states: &[u8]) -> History {
        let mut history = History::begin(state(states[0]));
        for pair in states.windows(2) {
            history = history.advance(state(pair[0]), state(pair[1]), &pair[..1], pair, LIMITS);
        }
        history
    }

    fn starts(history: &History) -> Vec<Facts> {
        history.steps.iter().map(|step| step.from).collect()
    }

    #[test]
    fn patches_lead_from_each_state_to_the_next_and_the_oldest_are_left_out() {
        assert_eq!(through(&[1]).steps, []);
        let three = through(&[1, 2, 3, 4]);
        assert_eq!(starts(&three), [state(1), state(2), state(3)]);
        let four = three.advance(state(4), state(5), b"patch", b"compressed", LIMITS);
        assert_eq!(starts(&four), [state(2), state(3), state(4)]);
        assert_eq!((four.current, four.made), (state(5), 4));
        assert_eq!(four.steps[..2], three.steps[1..]);
        let made = &four.steps[2];
        assert_eq!((made.patch, made.download), (Facts::of(b"patch"), Facts::of(b"compressed")));
        assert_eq!(made.name, format!("00000004-{}", &Sha256::of(b"compressed").to_hex()[..8]));
        assert_eq!(History::patch_path("main/source/Sources", made), format!("main/source/Sources.diff/{}.gz", made.name));
    }

    #[test]
    fn names_are_sorted_as_patches_are_applied() {
        let names = |history: &History| history.steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
        let mut history = through(&[1, 2]);
        history.made = 99;
        let history = history.advance(state(2), state(1), b"", b"", LIMITS).advance(state(1), state(2), b"", b"", LIMITS);
        assert_eq!(history.steps.len(), 3);
        assert!(names(&history).is_sorted());
    }

    #[test]
    fn together_they_are_no_larger_than_the_index() {
        let three = through(&[1, 2, 3, 4]);
        let with = |bytes| three.advance(state(4), state(5), b"", &[0; 10], Limits { patches: 9, bytes }).steps.len();
        assert_eq!([16, 15, 14, 13, 12, 11, 10, 9].map(with), [4, 3, 3, 2, 2, 1, 1, 0]);
        let none = three.advance(state(4), state(5), b"", b"", Limits { patches: 0, bytes: 100 });
        assert_eq!((none.steps.len(), none.made, none.current), (0, 4, state(5)));
    }

    #[test]
    fn a_history_that_ends_elsewhere_starts_anew_and_repeats_no_name() {
        let history = through(&[1, 2, 3]);
        let anew = history.advance(state(9), state(10), b"", b"", LIMITS);
        assert_eq!(starts(&anew), [state(9)]);
        assert_eq!(anew.made, 3);
        let restarted = history.restart(state(9));
        assert_eq!((restarted.current, restarted.made, restarted.steps.len()), (state(9), 2, 0));
        assert_eq!(history.restart(state(3)), history);
    }

    #[test]
    fn nothing_changed_makes_no_patch() {
        let history = through(&[1, 2, 3]);
        assert_eq!(history.advance(state(3), state(3), b"", b"", LIMITS), history);
    }

    #[test]
    fn it_is_recorded_as_json() {
        let history = through(&[1, 2, 3]);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}
