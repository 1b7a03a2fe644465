//! Where file lists come from: beside the objects, where a deploy left them under the digest that stands in the record; or made
//! again from the package, which costs reading it whole.
//!
//! A list is named by its SHA-256 in Git, in the record or, for records that name none, with the last Release. What does not have
//! its hash is not there, so nobody who can write to the store can bring a line into Contents.

use std::io::{BufReader, Read};

use crate::formats::artifact::deb;
use crate::formats::contents::FileList;
use crate::formats::contents::file_list::LIMIT;
use crate::formats::pool::pointer::Pointer;
use crate::places::digest_of;
use crate::places::store::ObjectStore;
use crate::stories::fold::FoldError;
use crate::words::digest::Sha256;

/// The places of file lists and of packages.
#[derive(Clone, Copy)]
pub(in crate::stories::fold) struct Lists<'a> {
    lists: &'a dyn ObjectStore,
    packages: &'a dyn ObjectStore,
    keeps: bool,
}

/// Whose list is wanted.
pub(super) struct Package<'a> {
    /// The record, for messages.
    pub(super) record: &'a str,
    /// The .deb.
    pub(super) file: &'a Pointer,
    /// What the list must be, where Git says that.
    pub(super) digest: Option<Sha256>,
}

impl<'a> Lists<'a> {
    /// Lists lie in this store of derived objects, packages in this one. Unless `keeps`, nothing is written.
    pub(in crate::stories::fold) fn new(lists: &'a dyn ObjectStore, packages: &'a dyn ObjectStore, keeps: bool) -> Self {
        Self { lists, packages, keeps }
    }

    /// Returns the store of lists.
    pub(super) fn store(&self) -> &'a dyn ObjectStore {
        self.lists
    }

    /// Returns the list of a package.
    pub(super) fn get(&self, package: &Package<'_>) -> Result<FileList, FoldError> {
        if let Some(list) = package.digest.and_then(|digest| self.kept(&digest)) {
            return Ok(list);
        }
        let list = self.read(package)?;
        if let Some(digest) = package.digest.filter(|digest| *digest != list.digest()) {
            let fault = format!("it says {digest}, the package gives {}; deploy that package again", list.digest());
            return Err(FoldError::List { record: package.record.to_owned(), fault });
        }
        if self.keeps {
            let pointer = Pointer { oid: list.digest(), size: list.bytes().len() as u64 };
            self.lists.put_new(&pointer, list.bytes())?;
        }
        Ok(list)
    }

    fn kept(&self, digest: &Sha256) -> Option<FileList> {
        let mut bytes = Vec::new();
        self.lists.open(digest).ok()?.take(LIMIT + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > LIMIT || Sha256::of(&bytes) != *digest {
            return None;
        }
        FileList::parse(bytes).ok()
    }

    /// Reads a package to its end.
    fn read(&self, package: &Package<'_>) -> Result<FileList, FoldError> {
        let failed = |fault: &dyn std::fmt::Display| FoldError::List {
            record: package.record.to_owned(),
            fault: format!(
                "it is not in {}, and the package {} in {} cannot be read: {fault}; bring the object back, or deploy that build output again",
                self.lists.describe(),
                package.file.oid,
                self.packages.describe()
            ),
        };
        let open = || self.packages.open(&package.file.oid).map_err(|fault| failed(&fault));
        // What the object is, before what it says.
        let found = Pointer::from(&digest_of(open()?).map_err(|fault| failed(&fault))?);
        if found != *package.file {
            return Err(failed(&format!("its object has sha256 {} and {} bytes", found.oid, found.size)));
        }
        let contents = deb::read(BufReader::with_capacity(1 << 18, open()?)).map_err(|fault| failed(&fault))?;
        Ok(FileList::of(&contents.paths))
    }
}
