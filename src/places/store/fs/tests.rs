//! A folder of objects keeps the contract of stores, and comes back from what was killed.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    super::super::contract::check(&FolderStore::new(&folder.path().join("objects")));
}

#[test]
fn objects_are_read_only_and_listed_and_an_object_cut_short_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    let file = folder.path().join("stranger");
    fs::write(&file, b"bytes").unwrap();
    let pointer = Pointer { oid: ObjectId::of(b"bytes"), size: 5 };
    store.put(&pointer, Source::File(&file)).unwrap();
    let path = store.local_path(&pointer.oid).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    let listing = store.list().unwrap();
    assert_eq!(listing.objects.iter().map(|stored| (stored.oid, stored.size)).collect::<Vec<_>>(), [(pointer.oid, 5)]);
    assert_eq!(listing.strangers, [file.display().to_string()]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"byt").unwrap();
    assert_eq!(store.put(&pointer, Source::File(&file)).unwrap(), Put::New);
    assert_eq!(fs::read(&path).unwrap(), b"bytes");
}

#[test]
fn an_object_is_as_old_as_its_last_put_and_a_removal_that_was_killed_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    let pointer = Pointer { oid: ObjectId::of(b"bytes"), size: 5 };
    store.put(&pointer, Source::Bytes(b"bytes")).unwrap();
    let path = store.local_path(&pointer.oid).unwrap();
    let written = store.modified(&pointer.oid).unwrap().unwrap();
    let long_ago = fs::metadata(&path).unwrap().modified().unwrap() - std::time::Duration::from_secs(90 * 86_400);
    File::open(&path).unwrap().set_modified(long_ago).unwrap();
    assert!(store.modified(&pointer.oid).unwrap().unwrap() < written);
    assert_eq!(store.put(&pointer, Source::Bytes(b"bytes")).unwrap(), Put::Present);
    assert!(store.modified(&pointer.oid).unwrap().unwrap() >= written);

    // However a put and a removal meet, what was put is there in the end.
    for turn in 0..500 {
        File::open(&path).unwrap().set_modified(long_ago).unwrap();
        std::thread::scope(|scope| {
            let put = scope.spawn(|| store.put(&pointer, Source::Bytes(b"bytes")).unwrap());
            for _ in 0..turn % 50 {
                std::hint::spin_loop();
            }
            scope.spawn(|| store.remove_older(&pointer.oid, written).unwrap());
            put.join().unwrap();
        });
        assert_eq!(store.size(&pointer.oid).unwrap(), Some(5), "turn {turn}");
    }
    fs::rename(&path, folder.path().join(".incoming").join(format!("{ASIDE}{}", pointer.oid))).unwrap();
    assert_eq!(store.size(&pointer.oid).unwrap(), None);
    assert_eq!(store.list().unwrap().objects.len(), 1);
    assert_eq!(store.size(&pointer.oid).unwrap(), Some(5));
}
