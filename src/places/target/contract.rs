//! The suite that every published tree must pass. It is also a module of the tests that have a real S3 server.

use super::{Content, FolderStore, ObjectId, ObjectStore as _, Pointer, PublishTarget, Source};

/// Runs the whole contract on an empty tree; the objects lie in `objects`.
pub(crate) fn check(target: &dyn PublishTarget, objects: &std::path::Path) {
    let store = FolderStore::new(objects);
    let file = objects.join("file");
    std::fs::create_dir_all(objects).unwrap();
    std::fs::write(&file, b"object").unwrap();
    let pointer = Pointer { oid: ObjectId::of(b"object"), size: 6 };
    store.put(&pointer, Source::File(&file)).unwrap();

    let _held = target.exclusive().unwrap();
    assert_eq!(target.read("dists/x/Release").unwrap(), None);
    assert_eq!(target.size("dists/x/Release").unwrap(), None);
    target.remove("dists/x/Release").unwrap();
    target.write("dists/x/Release", &Content::Bytes(b"one".to_vec().into()), &store).unwrap();
    target.write("dists/x/Release", &Content::Bytes(b"three".to_vec().into()), &store).unwrap();
    assert_eq!(target.read("dists/x/Release").unwrap().as_deref(), Some(&b"three"[..]));
    assert_eq!(target.size("dists/x/Release").unwrap(), Some(5));

    let three = Pointer { oid: ObjectId::of(b"three"), size: 5 };
    target.write("dists/x/copy", &Content::SameAs("dists/x/Release".into(), three), &store).unwrap();
    assert!(target.holds("dists/x/copy", &three).unwrap());
    target.write("dists/x/Release", &Content::Bytes(b"four".to_vec().into()), &store).unwrap();
    assert_eq!(target.read("dists/x/copy").unwrap().as_deref(), Some(&b"three"[..]), "a copy does not follow its origin");

    for _ in 0..2 {
        target.write("pool/main/f/fo/fo_1_all.deb", &Content::Object(pointer), &store).unwrap();
        assert_eq!(target.read("pool/main/f/fo/fo_1_all.deb").unwrap().as_deref(), Some(&b"object"[..]));
    }
    assert!(target.holds("pool/main/f/fo/fo_1_all.deb", &pointer).unwrap());
    assert!(!target.holds("pool/main/f/fo/fo_1_all.deb", &Pointer { oid: ObjectId::of(b"tcejbo"), size: 6 }).unwrap());
    assert!(!target.holds("pool/main/f/fo/fo_2_all.deb", &pointer).unwrap());
    let missing = Pointer { oid: ObjectId::of(b"nowhere"), size: 7 };
    assert!(target.write("pool/x", &Content::Object(missing), &store).is_err());
    assert_eq!(target.size("pool/x").unwrap(), None);
    target.settle().unwrap();
    target.remove("dists/x/copy").unwrap();
    assert_eq!(target.size("dists/x/copy").unwrap(), None);
}
