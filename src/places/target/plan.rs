//! The plan of a publish: ordered writes as a value, printed by `--dry-run` and stopped after every step by a test.
//!
//! Order: pool files, then by-hash files, then the indices under their names, then Release.gpg and Release, and InRelease last
//! and alone. A client that reads InRelease and then by-hash files therefore sees a whole old or a whole new archive at any
//! moment. Removals are a plan of their own, applied after the new state is marked served.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Content, PublishTarget, TargetError};
use crate::places::lanes::in_lanes;
use crate::places::store::ObjectStore;

/// The class of a step. Steps are applied in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A package's file.
    Pool,
    /// An index under its digest.
    ByHash,
    /// An index under its name.
    Index,
    /// The keyring and the sources stanza.
    Client,
    /// `Release.gpg`
    Signature,
    /// `Release`
    Release,
    /// `InRelease`, the commit point.
    InRelease,
    /// A by-hash file whose time is over.
    Removal,
}

/// One write, or one removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What kind of file.
    pub class: Class,
    /// The path in the published tree.
    pub path: String,
    /// Its new content; `None` removes it.
    pub content: Option<Content>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            None => write!(f, "remove {}", self.path),
            Some(Content::Bytes(bytes)) => write!(f, "write  {} ({} bytes)", self.path, bytes.len()),
            Some(Content::Object(pointer)) => write!(f, "link   {} (object {}, {} bytes)", self.path, pointer.oid, pointer.size),
            Some(Content::SameAs(other, _)) => write!(f, "link   {} (as {other})", self.path),
        }
    }
}

/// Ordered steps. Only a plan changes a published tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Step>,
}

impl Plan {
    /// Returns these steps in the order of publication: by class, in it what repeats another path last, then by path.
    pub fn new(mut steps: Vec<Step>) -> Self {
        steps.sort_by(|a, b| (a.class, repeats(a), &a.path).cmp(&(b.class, repeats(b), &b.path)));
        Self { steps }
    }

    /// Returns the steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Tells whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Carries out the steps in order, those of one class side by side where the tree has lanes for that (what repeats another
    /// path after it); what a class needs is durable before the next class begins. Before each class it is asked whether to
    /// go on: where nothing keeps a second publisher waiting, it may have overtaken this one.
    ///
    /// # Errors
    /// The first step that fails; no class after its own is begun.
    pub fn apply(
        &self,
        target: &dyn PublishTarget,
        store: &dyn ObjectStore,
        done: &(dyn Fn(&Step) + Sync),
        go_on: &dyn Fn() -> bool,
    ) -> Result<Applied, TargetError> {
        let mut class = None;
        for steps in self.steps.chunk_by(|a, b| (a.class, repeats(a)) == (b.class, repeats(b))) {
            let own = steps.first().map(|step| step.class);
            if own != class {
                if class.is_some() {
                    target.settle()?;
                }
                if !go_on() {
                    return Ok(Applied::Overtaken);
                }
            }
            class = own;
            in_lanes(target.lanes(), steps, |step| {
                if !is_within(&step.path) {
                    return Err(TargetError::Outside { target: target.describe(), path: step.path.clone() });
                }
                match &step.content {
                    Some(content) => target.write(&step.path, content, store)?,
                    None => target.remove(&step.path)?,
                }
                done(step);
                Ok::<_, TargetError>(())
            })?;
        }
        if class.is_some() {
            target.settle()?;
        }
        Ok(Applied::Whole)
    }
}

/// Whether a plan was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// All of it.
    Whole,
    /// Only some classes of it, because it was said not to go on.
    Overtaken,
}

/// Tells whether a path stays in the tree, or the folder that it is joined to.
pub fn is_within(path: &str) -> bool {
    path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

/// Tells whether a step needs another one of its class.
fn repeats(step: &Step) -> bool {
    matches!(step.content, Some(Content::SameAs(..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pool::pointer::Pointer;
    use crate::words::digest::ObjectId;

    #[test]
    fn a_path_never_leads_out_of_the_tree() {
        for path in ["dists/x/InRelease", "x.sources", "pool/a/..b/c.d"] {
            assert!(is_within(path), "{path}");
        }
        for path in ["", "/etc/passwd", "../x", "dists/../../x", "dists//x", "dists/.", "dists/"] {
            assert!(!is_within(path), "{path}");
        }
    }

    #[test]
    fn in_release_is_last_and_what_it_needs_comes_before() {
        let step = |class, path: &str| Step { class, path: path.to_owned(), content: Some(Content::Bytes(Vec::new().into())) };
        let empty = Pointer { oid: ObjectId::of(b""), size: 0 };
        let plan = Plan::new(vec![
            step(Class::InRelease, "dists/x/InRelease"),
            step(Class::Release, "dists/x/Release"),
            step(Class::Index, "dists/x/main/binary-amd64/Packages.gz"),
            step(Class::Signature, "dists/x/Release.gpg"),
            step(Class::Pool, "pool/b"),
            Step {
                content: Some(Content::SameAs("0".to_owned(), empty)),
                ..step(Class::ByHash, "dists/x/main/binary-amd64/by-hash/MD5Sum/1")
            },
            step(Class::ByHash, "dists/x/main/binary-amd64/by-hash/SHA256/0"),
            step(Class::Pool, "pool/a"),
        ]);
        let order: Vec<&str> = plan.steps().iter().map(|step| step.path.rsplit('/').next().unwrap_or_default()).collect();
        assert_eq!(order, ["a", "b", "0", "1", "Packages.gz", "Release.gpg", "Release", "InRelease"]);
    }
}
