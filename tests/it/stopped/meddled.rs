//! A published tree where something happens in the middle of a publish.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};

use ddb::formats::pool::pointer::Pointer;
use ddb::places::store::ObjectStore;
use ddb::places::target::{Content, PublishTarget, TargetError};

/// A tree where something happens once, right before a path is written or before the tree is held.
pub struct Meddled<'a> {
    tree: Box<dyn PublishTarget>,
    reader: Option<Box<dyn PublishTarget>>,
    /// The path; none where the tree is held.
    before: Option<&'a str>,
    meanwhile: &'a (dyn Fn() + Send + Sync),
    once: AtomicBool,
}

impl<'a> Meddled<'a> {
    /// It happens before this path is written.
    pub fn before(tree: Box<dyn PublishTarget>, path: &'a str, meanwhile: &'a (dyn Fn() + Send + Sync)) -> Self {
        Self { tree, reader: None, before: Some(path), meanwhile, once: AtomicBool::new(false) }
    }

    /// It happens before the tree is held.
    pub fn before_it_is_held(tree: Box<dyn PublishTarget>, meanwhile: &'a (dyn Fn() + Send + Sync)) -> Self {
        Self { before: None, ..Self::before(tree, "", meanwhile) }
    }

    /// The same tree, which writes without conditions, as to a server that ignores them: what it reads, it reads through another
    /// client.
    pub fn reading_through(self, reader: Box<dyn PublishTarget>) -> Self {
        Self { reader: Some(reader), ..self }
    }

    fn comes_to(&self, moment: Option<&str>) {
        if moment == self.before && !self.once.swap(true, Ordering::SeqCst) {
            (self.meanwhile)();
        }
    }
}

impl PublishTarget for Meddled<'_> {
    fn describe(&self) -> String {
        self.tree.describe()
    }
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        self.reader.as_ref().unwrap_or(&self.tree).read(path)
    }
    fn size(&self, path: &str) -> Result<Option<u64>, TargetError> {
        self.tree.size(path)
    }
    fn holds(&self, path: &str, pointer: &Pointer) -> Result<bool, TargetError> {
        self.tree.holds(path, pointer)
    }
    fn write(&self, path: &str, content: &Content, store: &dyn ObjectStore) -> Result<(), TargetError> {
        self.comes_to(Some(path));
        self.tree.write(path, content, store)
    }
    fn remove(&self, path: &str) -> Result<(), TargetError> {
        self.tree.remove(path)
    }
    fn settle(&self) -> Result<(), TargetError> {
        self.tree.settle()
    }
    fn exclusive(&self) -> Result<Box<dyn Any>, TargetError> {
        self.comes_to(None);
        self.tree.exclusive()
    }
    fn is_remote(&self) -> bool {
        self.tree.is_remote()
    }
    fn lanes(&self) -> usize {
        self.tree.lanes()
    }
}
