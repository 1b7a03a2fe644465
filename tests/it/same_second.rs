//! Two Releases that are served within one second: clients ask for what was modified since, in whole seconds, and must not be
//! told that the first is still the newest.

use std::os::unix::fs::MetadataExt as _;

use ddb::places::s3::Limits;
use ddb::places::store::fs::FolderStore;
use ddb::places::target::fs::FolderTarget;
use ddb::places::target::s3::S3Target;
use ddb::places::target::{Content, PublishTarget};
use ddb::words::archive::Links;

use crate::sandbox::Sandbox;
use crate::seaweed::Seaweed;

const PATH: &str = "dists/trixie/InRelease";

/// Writes three of them as fast as it goes and returns when each was modified, in seconds.
fn write_three(sandbox: &Sandbox, target: &dyn PublishTarget, modified: impl Fn() -> i64) -> Vec<i64> {
    let store = FolderStore::new(&sandbox.path("objects"));
    let write = |text: &str| {
        target.read(PATH).unwrap();
        target.write(PATH, &Content::Bytes(text.as_bytes().to_vec().into()), &store).unwrap();
        assert_eq!(target.read(PATH).unwrap().unwrap(), text.as_bytes());
        modified()
    };
    vec![write("one"), write("two"), write("three")]
}

#[test]
fn in_a_folder_each_is_dated_in_a_second_of_its_own() {
    let sandbox = Sandbox::new();
    let target = FolderTarget::new(&sandbox.path("public"), Links::Auto);
    let times = write_three(&sandbox, &target, || std::fs::metadata(sandbox.path("public").join(PATH)).unwrap().mtime());
    assert!(times.is_sorted_by(|before, after| before < after), "{times:?}");
}

#[test]
fn in_a_bucket_each_is_dated_in_a_second_of_its_own() {
    let sandbox = Sandbox::new();
    let bucket = Seaweed::shared().bucket("same-second");
    let client = bucket.client("public", Limits::default());
    let times = write_three(&sandbox, &S3Target::with(client.clone()), || client.head(PATH).unwrap().unwrap().modified.0);
    assert!(times.is_sorted_by(|before, after| before < after), "{times:?}");
}
