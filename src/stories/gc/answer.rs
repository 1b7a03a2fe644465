//! What was collected, as it is said in text and JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::places::store::Stored;
use crate::words::digest::ObjectId;

/// A number of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Amount {
    /// How many.
    pub objects: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What is kept, what is not, and what was done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GcAnswer {
    /// Whether objects were marked and removed, or the plan was only made.
    pub delete: bool,
    /// Refs that were read, in all repositories.
    pub refs: usize,
    /// Commits whose pointers were read.
    pub commits: usize,
    /// Commits with a Release that is kept.
    pub releases: usize,
    /// The object store.
    pub objects: Collected,
    /// The blocks that indices of Releases are joined from.
    pub blocks: Collected,
    /// The file lists that Contents are made of; `null` where no suite has Contents.
    pub lists: Option<Collected>,
    /// Objects that a commit began to name while they were removed, and that are gone. Deploy those build outputs again.
    pub endangered: Vec<ObjectId>,
}

/// What became of one store.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Collected {
    /// The store, as messages name it.
    pub store: String,
    /// Everything in it.
    pub stored: Amount,
    /// Named by a commit, statement or Release that is kept.
    pub needed: Amount,
    /// Named by nothing that is kept, and written or found present not long ago: unfinished deploys, uploads and publishes.
    pub unfinished: Amount,
    /// Needed by nobody, and not marked for long enough yet.
    pub waiting: Amount,
    /// Needed by nobody and marked long enough ago: what `--delete` removes.
    pub removable: Amount,
    /// What was removed.
    pub removed: Amount,
    /// When what waits may be removed at the earliest, ISO 8601; `null` where nothing is marked.
    pub earliest: Option<String>,
}

impl Amount {
    pub(super) fn add(&mut self, object: &Stored) {
        self.objects += 1;
        self.bytes += object.size;
    }
}

pub(super) fn amount<'a>(objects: impl IntoIterator<Item = &'a Stored>) -> Amount {
    let mut sum = Amount::default();
    objects.into_iter().for_each(|object| sum.add(object));
    sum
}
