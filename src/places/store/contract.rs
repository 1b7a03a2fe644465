//! The suite that every object store must pass. It is also a module of the tests that have a real S3 server.

use super::{Listing, ObjectId, ObjectStore, Pointer, Put, Source, StoreError, Timestamp};

/// Runs the whole contract on an empty store.
pub(crate) fn check(store: &dyn ObjectStore) {
    assert_eq!(store.list().unwrap(), Listing::default());
    let (pointer, wrong) = check_unlisted(store);
    store.remove(&ObjectId::of(b"small")).unwrap();
    let listing = store.list().unwrap();
    let names: Vec<_> = listing.objects.iter().map(|stored| (stored.oid, stored.size)).collect();
    let mut expected = vec![(pointer.oid, 10), (ObjectId::of(b"racing"), 6)];
    expected.sort();
    assert_eq!((names, listing.strangers), (expected, Vec::new()));
    assert!(store.refresh(&pointer).unwrap());
    assert!(!store.refresh(&Pointer { size: 11, ..pointer }).unwrap());
    assert!(!store.refresh(&wrong).unwrap());
    let written = store.modified(&pointer.oid).unwrap().unwrap();
    assert_eq!(store.modified(&wrong.oid).unwrap(), None);
    assert!(!store.remove_older(&pointer.oid, written).unwrap(), "it is not older than itself");
    assert_eq!(store.size(&pointer.oid).unwrap(), Some(10));
    let racing = ObjectId::of(b"racing");
    assert!(store.remove_older(&racing, Timestamp(written.0 + 100)).unwrap());
    assert_eq!(store.size(&racing).unwrap(), None);
    assert!(store.remove_older(&racing, written).unwrap(), "it is gone");
    for _ in 0..2 {
        store.remove(&pointer.oid).unwrap();
        assert_eq!(store.size(&pointer.oid).unwrap(), None);
    }
}

/// Runs what holds for a store that can neither list nor remove, too; returns an object that it has and one that it has not.
pub(crate) fn check_unlisted(store: &dyn ObjectStore) -> (Pointer, Pointer) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"some bytes").unwrap();
    let pointer = Pointer { oid: ObjectId::of(b"some bytes"), size: 10 };
    assert_eq!(store.size(&pointer.oid).unwrap(), None);
    assert!(matches!(store.open(&pointer.oid), Err(StoreError::Missing { .. })));

    let wrong = Pointer { oid: ObjectId::of(b"other bytes"), size: 10 };
    assert!(matches!(store.put(&wrong, Source::File(&file)), Err(StoreError::Changed { .. })));
    assert_eq!(store.size(&wrong.oid).unwrap(), None);

    assert_eq!(store.put(&pointer, Source::File(&file)).unwrap(), Put::New);
    assert_eq!(store.put(&pointer, Source::Bytes(b"some bytes")).unwrap(), Put::Present);
    assert_eq!(store.size(&pointer.oid).unwrap(), Some(10));
    let mut read = Vec::new();
    store.open(&pointer.oid).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"some bytes");
    for (range, expected) in [(0..4, &b"some"[..]), (5..10, b"bytes"), (8..100, b"es")] {
        let mut part = Vec::new();
        store.open_range(&pointer.oid, range).unwrap().read_to_end(&mut part).unwrap();
        assert_eq!(part, expected);
    }
    assert!(matches!(store.open_range(&wrong.oid, 0..1), Err(StoreError::Missing { .. })));
    let small = Pointer { oid: ObjectId::of(b"small"), size: 5 };
    assert!(matches!(store.put_new(&small, b"other"), Err(StoreError::Changed { .. })));
    assert_eq!(store.size(&small.oid).unwrap(), None);
    for _ in 0..2 {
        store.put_new(&small, b"small").unwrap();
        assert_eq!(store.size(&small.oid).unwrap(), Some(5));
    }

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let racing = Pointer { oid: ObjectId::of(b"racing"), size: 6 };
                let own = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(own.path(), b"racing").unwrap();
                store.put(&racing, Source::File(own.path())).unwrap();
                assert_eq!(store.size(&racing.oid).unwrap(), Some(6));
            });
        }
    });
    (pointer, wrong)
}
