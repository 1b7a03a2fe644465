//! Blobs that a partial clone lacks: fetched in one request, not one by one as they are met.

use super::remote::Remote;
use super::{GitError, Oid, Repository};

impl Repository {
    /// Makes sure that these objects are here. Does nothing in a clone that is whole.
    ///
    /// # Errors
    /// The remote does not give what is missing.
    pub fn hydrate(&self, objects: impl IntoIterator<Item = Oid>) -> Result<(), GitError> {
        let Some(name) = self.promisor() else { return Ok(()) };
        let store = self.git().odb().map_err(super::failed("open the object database"))?;
        // Once for all: a look-up that refreshes reads the folder of packs again for every object that is missing.
        store.refresh().map_err(super::failed("read the object database"))?;
        let missing: Vec<Oid> = objects.into_iter().filter(|oid| !store.exists_ext(*oid, git2::OdbLookupFlags::NO_REFRESH)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let failed = |fault: &dyn std::fmt::Display| GitError::Hydrate { count: missing.len(), fault: fault.to_string() };
        let remote = Remote::of_branch(self, "", Some(&name)).map_err(|fault| failed(&fault))?;
        let Some(remote) = remote else { return Ok(()) };
        remote.fetch_objects(&missing).map_err(|fault| failed(&fault))?;
        store.refresh().map_err(super::failed("read the object database again"))
    }

    /// Returns the name of the remote that promised what a partial clone lacks.
    fn promisor(&self) -> Option<String> {
        let config = self.git().config().and_then(|mut config| config.snapshot()).ok()?;
        let mut found = None;
        let entries = config.entries(Some("^remote\\..*\\.promisor$")).ok()?;
        entries
            .for_each(|entry| {
                if entry.value().is_ok_and(|value| value == "true") {
                    found = entry.name().ok().and_then(|name| Some(name.strip_prefix("remote.")?.strip_suffix(".promisor")?.to_owned()));
                }
            })
            .ok()?;
        found
    }
}
