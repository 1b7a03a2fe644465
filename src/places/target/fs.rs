//! A published tree in a local folder, for a web server or for `file:` sources.
//!
//! Pool files are reflinks where the file system has them, else hard links to the store's read-only objects, else copies.
//! Every file appears by rename; `settle` brings files and folders to the disk.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::{Content, PublishTarget, TargetError};
use crate::formats::pool::pointer::Pointer;
use crate::places::pointer_of;
use crate::places::store::{ObjectStore, StoreError};
use crate::words::archive::Links;

/// A published tree in a folder.
#[derive(Debug)]
pub struct FolderTarget {
    root: PathBuf,
    links: Links,
    /// Folders whose entries changed; all of them are there.
    unsettled: Mutex<BTreeSet<PathBuf>>,
    /// That the file system was found to have no reflinks between store and tree.
    without_reflinks: AtomicBool,
}

const LOCK: &str = ".ddb-lock";

/// The folder of files that are being written. What a killed publisher leaves there is removed by the next one.
const INCOMING: &str = ".ddb-incoming";

/// How many files are looked at or written at once: who waits for the disk uses no processor.
const AT_ONCE: usize = 4;

/// Fewer folders wait for the disk one by one; for more, everything that the file system has not written yet is waited for once.
const MANY: usize = 32;

impl FolderTarget {
    /// Returns the tree in this folder, which is made when first written.
    pub fn new(root: &Path, links: Links) -> Self {
        Self { root: root.to_owned(), links, unsettled: Mutex::new(BTreeSet::new()), without_reflinks: AtomicBool::new(false) }
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what a publisher leaves in the tree for the next one.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(INCOMING)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    fn failed(&self, operation: &'static str, path: &str) -> impl Fn(io::Error) -> TargetError + use<> {
        let (target, path) = (self.describe(), path.to_owned());
        move |source| TargetError::Io { target: target.clone(), operation, path: path.clone(), source }
    }

    /// Makes the folders above a path and remembers each whose entries change, for `settle`.
    fn make_folder_of(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().unwrap_or(&self.root).to_owned();
        let mut unsettled = self.unsettled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if unsettled.contains(&folder) {
            return Ok(());
        }
        for above in folder.ancestors().take_while(|above| above.starts_with(&self.root)) {
            let known = above.exists();
            unsettled.insert(above.to_owned());
            if known {
                break;
            }
        }
        let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists()).collect();
        fs::create_dir_all(&folder)?;
        for made in missing {
            // Readers of a published tree are others, whatever the umask of the publisher is.
            fs::set_permissions(made, Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn incoming(&self) -> io::Result<PathBuf> {
        let folder = self.root.join(INCOMING);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        let folder = self.incoming()?;
        let file = tempfile::Builder::new().prefix(".ddb-").tempfile_in(&folder)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        Ok(file)
    }

    fn write_bytes(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make_folder_of(file)?;
        let mut incoming = self.temporary()?;
        incoming.write_all(bytes)?;
        if file.ends_with("InRelease") {
            date_after(incoming.as_file(), file)?;
        }
        incoming.as_file().sync_data()?;
        incoming.persist(file).map_err(|fault| fault.error)?;
        Ok(())
    }

    fn write_link(&self, file: &Path, origin: &Path) -> io::Result<()> {
        self.make_folder_of(file)?;
        match fs::hard_link(origin, file) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked,
        }
        // A hard link cannot replace a file, so it is made under another name and renamed. Renaming onto another link of
        // the same file does nothing and leaves the other name, which is removed when it is dropped.
        let folder = self.incoming()?;
        let name = tempfile::Builder::new().prefix(".ddb-").make_in(&folder, |name| fs::hard_link(origin, name))?.into_temp_path();
        fs::rename(&name, file)
    }

    fn write_reflink(&self, file: &Path, origin: &Path) -> io::Result<()> {
        self.make_folder_of(file)?;
        let incoming = self.temporary()?;
        rustix::fs::ioctl_ficlone(incoming.as_file(), &File::open(origin)?)?;
        incoming.as_file().sync_data()?;
        incoming.persist(file).map_err(|fault| fault.error)?;
        Ok(())
    }

    /// Makes a reflink, or a hard link where the file system has no reflinks.
    fn write_shared(&self, file: &Path, origin: &Path) -> io::Result<()> {
        if !self.without_reflinks.load(Ordering::Relaxed) {
            match self.write_reflink(file, origin) {
                Ok(()) => return Ok(()),
                // Other faults are of this file alone.
                Err(fault) if has_none(&fault) => self.without_reflinks.store(true, Ordering::Relaxed),
                Err(_) => {}
            }
        }
        self.write_link(file, origin)
    }

    fn write_object(&self, path: &str, file: &Path, pointer: &Pointer, store: &dyn ObjectStore) -> Result<(), TargetError> {
        let object = |source| TargetError::Object { path: path.to_owned(), source: Box::new(source) };
        if store.size(&pointer.oid).map_err(object)? != Some(pointer.size) {
            return Err(object(StoreError::Missing { store: store.describe(), oid: pointer.oid }));
        }
        let origin = store.local_path(&pointer.oid);
        let named = |links, source| TargetError::Links { target: self.describe(), path: path.to_owned(), links, source };
        let no_folder = || io::Error::other("the object store is no local folder");
        match (self.links, &origin) {
            (Links::Auto, Some(origin)) if self.write_shared(file, origin).is_ok() => Ok(()),
            (Links::Reflink, Some(origin)) => self.write_reflink(file, origin).map_err(|source| named("reflink", source)),
            (Links::Hard, Some(origin)) => self.write_link(file, origin).map_err(|source| named("hard", source)),
            (Links::Reflink, None) => Err(named("reflink", no_folder())),
            (Links::Hard, None) => Err(named("hard", no_folder())),
            (Links::Auto | Links::Copy, _) => self.copy_object(path, file, pointer, store),
        }
    }

    fn copy_object(&self, path: &str, file: &Path, pointer: &Pointer, store: &dyn ObjectStore) -> Result<(), TargetError> {
        let mut reader =
            store.open(&pointer.oid).map_err(|source| TargetError::Object { path: path.to_owned(), source: Box::new(source) })?;
        let failed = self.failed("write", path);
        self.make_folder_of(file).map_err(&failed)?;
        let mut incoming = self.temporary().map_err(&failed)?;
        let copied = io::copy(&mut reader, incoming.as_file_mut()).map_err(&failed)?;
        if copied != pointer.size {
            return Err(failed(io::Error::other(format!("object {} has {copied} bytes, not {}", pointer.oid, pointer.size))));
        }
        incoming.as_file().sync_data().map_err(&failed)?;
        incoming.persist(file).map_err(|fault| failed(fault.error))?;
        Ok(())
    }
}

/// Tells whether a reflink failed because there are none between these two places.
fn has_none(fault: &io::Error) -> bool {
    let never = [Errno::XDEV, Errno::OPNOTSUPP, Errno::NOTTY, Errno::INVAL, Errno::NOSYS];
    never.iter().any(|errno| fault.raw_os_error() == Some(errno.raw_os_error()))
}

/// Dates a file a second later at least than the one that it replaces. Clients ask for what was modified since, in whole
/// seconds, and whoever read the old one in the same second would be told until the next publish that it is the newest.
fn date_after(incoming: &File, replaced: &Path) -> io::Result<()> {
    let Ok(before) = fs::metadata(replaced).and_then(|metadata| metadata.modified()) else { return Ok(()) };
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    if seconds(incoming.metadata()?.modified()?) <= seconds(before) {
        incoming.set_modified(UNIX_EPOCH + Duration::from_secs(seconds(before) + 1))?;
    }
    Ok(())
}

impl PublishTarget for FolderTarget {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory].contains(&fault.kind()) => Ok(None),
            Err(fault) => Err(self.failed("read", path)(fault)),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>, TargetError> {
        match fs::metadata(self.root.join(path)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(self.failed("look at", path)(fault)),
        }
    }

    fn holds(&self, path: &str, pointer: &Pointer) -> Result<bool, TargetError> {
        if self.size(path)? != Some(pointer.size) {
            return Ok(false);
        }
        Ok(self.hash(path)? == Some(*pointer))
    }

    fn hash(&self, path: &str) -> Result<Option<Pointer>, TargetError> {
        match File::open(self.root.join(path)) {
            Ok(file) => pointer_of(file).map(Some).map_err(self.failed("read", path)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(self.failed("read", path)(fault)),
        }
    }

    fn write(&self, path: &str, content: &Content, store: &dyn ObjectStore) -> Result<(), TargetError> {
        let file = self.root.join(path);
        match content {
            Content::Bytes(bytes) => self.write_bytes(&file, bytes).map_err(self.failed("write", path)),
            Content::SameAs(other, _) => self.write_link(&file, &self.root.join(other)).map_err(self.failed("write", path)),
            Content::Object(pointer) => self.write_object(path, &file, pointer, store),
        }
    }

    fn remove(&self, path: &str) -> Result<(), TargetError> {
        match fs::remove_file(self.root.join(path)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", path)(fault)),
            _ => Ok(()),
        }
    }

    fn settle(&self) -> Result<(), TargetError> {
        let folders = std::mem::take(&mut *self.unsettled.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let many = folders.len() > MANY;
        // A part of the tree, as its pool, may lie on another file system.
        let mut synced = BTreeSet::new();
        let mut sync = |folder: &Path| {
            let open = File::open(folder)?;
            match many {
                true if !synced.insert(open.metadata()?.dev()) => Ok(()),
                true => Ok(rustix::fs::syncfs(&open)?),
                false => open.sync_all(),
            }
        };
        folders.iter().try_for_each(|folder| sync(folder).map_err(self.failed("sync", &folder.display().to_string())))
    }

    fn local_root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn is_link_to(&self, path: &str, origin: &Path) -> bool {
        let same = |one: &fs::Metadata, other: &fs::Metadata| one.dev() == other.dev() && one.ino() == other.ino();
        let found = fs::symlink_metadata(self.root.join(path)).and_then(|here| Ok((here, fs::symlink_metadata(origin)?)));
        found.is_ok_and(|(here, origin)| same(&here, &origin))
    }

    fn lanes(&self) -> usize {
        AT_ONCE
    }

    fn exclusive(&self) -> Result<Box<dyn std::any::Any>, TargetError> {
        let failed = self.failed("lock", LOCK);
        self.make_folder_of(&self.root.join(LOCK)).map_err(&failed)?;
        let lock = File::options().create(true).append(true).open(self.root.join(LOCK)).map_err(&failed)?;
        lock.lock().map_err(&failed)?;
        self.clear().map_err(self.failed("clear", INCOMING))?;
        Ok(Box::new(lock))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract_however_it_links() {
        for links in [Links::Auto, Links::Hard, Links::Copy] {
            let folder = tempfile::tempdir().unwrap();
            super::super::contract::check(&FolderTarget::new(&folder.path().join("public"), links), &folder.path().join("objects"));
            let public = folder.path().join("public");
            let strangers =
                |left: Vec<String>| left.into_iter().filter(|path| path.contains(".ddb-") && !path.ends_with(LOCK)).collect::<Vec<_>>();
            assert_eq!(strangers(walk(&public)), [""; 0]);
            fs::write(public.join(INCOMING).join(".ddb-left"), b"by a killed publisher").unwrap();
            drop(FolderTarget::new(&public, links).exclusive().unwrap());
            assert_eq!(strangers(walk(&public)), [""; 0]);
        }
    }

    #[test]
    fn hard_links_share_the_object() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::places::store::fs::FolderStore::new(&folder.path().join("objects"));
        let file = folder.path().join("file");
        fs::write(&file, b"x").unwrap();
        let pointer = Pointer { oid: crate::words::digest::ObjectId::of(b"x"), size: 1 };
        store.put(&pointer, crate::places::store::Source::File(&file)).unwrap();
        let target = FolderTarget::new(&folder.path().join("public"), Links::Hard);
        target.write("pool/x", &Content::Object(pointer), &store).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&target.root().join("pool/x")), inode(&store.local_path(&pointer.oid).unwrap()));
    }

    fn walk(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(walk(&path));
            } else {
                found.push(path.display().to_string());
            }
        }
        found
    }
}
