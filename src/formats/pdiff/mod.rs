//! pdiffs: what changed in an index between two published states, so that apt fetches that and not the index again.
//!
//! `edits` compares two states, `ed` writes the difference as the script that apt's `rred` applies, `history` keeps which
//! patches lead from which state to the next and renders `Packages.diff/Index`. Patches are in sequence: each leads from one
//! state to the next one and never changes once it is made; a client that is several states behind fetches several and its
//! apt applies them in one pass (measured with 2.6 and 3.0). Patches merged by the publisher (`X-Patch-Precedence`) would
//! have to be made anew, all of them, at every publish.

pub mod ed;
pub mod edits;
mod entries;
pub mod history;
mod index;
mod shortest;

pub use edits::{Edit, line_edits, paragraph_edits};
pub use history::{Facts, History, Limits, Step};
pub use index::IndexError;
