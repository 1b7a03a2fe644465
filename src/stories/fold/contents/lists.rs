//! Where file lists come from: beside the objects, where a deploy left them under the digest that stands in the record; or made
//! again from the package, which costs reading it whole.
//!
//! A list is named by its SHA-256 in Git, in the record or, for records that name none, with the last Release. What does not have
//! its hash is not there, so nobody who can write to the store can bring a line into Contents. Where a list is lost and the package
//! gives another one than the record names, the package is right: its hash stands in Git too.

use std::io::{self, BufReader, Read};

use crate::formats::artifact::deb;
use crate::formats::contents::FileList;
use crate::formats::contents::file_list::LIMIT;
use crate::formats::pool::pointer::Pointer;
use crate::places::store::ObjectStore;
use crate::stories::fold::FoldError;
use crate::words::digest::{Hashing, OidHasher, Sha256};

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
    /// What the list is, where Git says that.
    pub(super) digest: Option<Sha256>,
}

impl<'a> Lists<'a> {
    /// Lists lie in this store of derived objects, packages in this one. Unless `keeps`, nothing is written.
    pub(in crate::stories::fold) fn new(lists: &'a dyn ObjectStore, packages: &'a dyn ObjectStore, keeps: bool) -> Self {
        Self { lists, packages, keeps }
    }

    /// Returns the store that is waited for longest.
    pub(super) fn farthest(&self) -> &'a dyn ObjectStore {
        if self.lists.is_remote() { self.lists } else { self.packages }
    }

    /// Returns the list of a package: another one than the package is asked for with, where the package itself had to be read.
    pub(super) fn get(&self, package: &Package<'_>) -> Result<FileList, FoldError> {
        if let Some(list) = package.digest.and_then(|digest| self.kept(&digest)) {
            return Ok(list);
        }
        let list = self.read(package)?;
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

    /// Reads a package once, to its end.
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
        let inner = self.packages.open(&package.file.oid).map_err(|fault| failed(&fault))?;
        let mut reader = BufReader::with_capacity(1 << 18, Hashing::new(inner, OidHasher::default()));
        let contents = deb::read(&mut reader, deb::Depth::Whole);
        // What the object is, before what it says.
        io::copy(&mut reader, &mut io::sink()).map_err(|fault| failed(&fault))?;
        let (_, hasher) = reader.into_inner().into_parts();
        let (oid, size) = hasher.finish();
        if (Pointer { oid, size }) != *package.file {
            return Err(failed(&format!("its object has sha256 {oid} and {size} bytes")));
        }
        Ok(FileList::of(&contents.map_err(|fault| failed(&fault))?.paths))
    }
}
