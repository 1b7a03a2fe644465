//! The object store in a bucket: its contract, and what becomes of it when the server or the connection fails.

use std::io::Read as _;
use std::time::Duration;

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::{Failed, Limits};
use ddb::places::store::s3::S3Store;
use ddb::places::store::{ObjectStore, Put, Source, StoreError};
use ddb::words::date::{Span, Timestamp};

use crate::faults::{Fault, Faults};
use crate::s3_client::{bytes, pointer};
use crate::seaweed::{Bucket, Seaweed, WRITER, credentials};

pub mod suite;

const PART: u64 = 5 << 20;

pub fn store(bucket: &Bucket) -> S3Store {
    S3Store::with(&bucket.settings("lfs/objects"), None, Some(PART), Some(credentials(WRITER))).unwrap()
}

/// The store, with a client that gives up soon.
fn impatient(bucket: &Bucket) -> S3Store {
    let limits = Limits { part_size: PART, tries: Some(3), patience: Duration::from_millis(500), ..Limits::default() };
    S3Store::of(bucket.client("lfs/objects", limits))
}

fn read(store: &dyn ObjectStore, pointer: &Pointer) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    store.open(&pointer.oid).unwrap().read_to_end(&mut read)?;
    Ok(read)
}

/// What is in the bucket besides whole objects: nothing but these keys.
fn uploads_left(bucket: &Bucket) -> usize {
    bucket.client("", Limits::default()).unfinished_uploads("").unwrap().len()
}

#[test]
fn the_store_in_a_bucket_keeps_the_contract() {
    let bucket = Seaweed::shared().bucket("store-contract");
    suite::contract::check(&store(&bucket));
    bucket
        .client("lfs/objects", Limits::default())
        .put("aa/stranger", &b""[..], Default::default(), ddb::places::s3::Condition::Always)
        .unwrap();
    assert_eq!(store(&bucket).list().unwrap().strangers, ["lfs/objects/aa/stranger"]);
}

#[test]
fn an_old_object_that_is_found_present_counts_as_written_now() {
    let bucket = Seaweed::shared().bucket("store-refresh");
    let store = store(&bucket);
    let object = pointer(b"old object");
    store.put(&object, Source::Bytes(b"old object")).unwrap();
    let written = store.modified(&object.oid).unwrap().unwrap();
    while store.client().server_time().unwrap().0 <= written.0 + 1 {
        store.size(&object.oid).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(store.put(&object, Source::Bytes(b"old object")).unwrap(), Put::Present);
    assert_eq!(store.modified(&object.oid).unwrap(), Some(written), "it is younger than a day");
    let copies = store.requests().copies;
    assert!(store.refresh_older(&object, Span::of_seconds(1)).unwrap());
    assert_eq!(store.requests().copies, copies + 1);
    assert!(store.modified(&object.oid).unwrap().unwrap() > written);
    assert_eq!(read(&store, &object).unwrap(), b"old object");
    assert!(!store.remove_older(&object.oid, Timestamp(written.0 + 1)).unwrap(), "it is in use");
    store.remove(&object.oid).unwrap();
    assert!(!store.refresh_older(&object, Span::of_seconds(1)).unwrap());
}

#[test]
fn derived_objects_lie_beside_the_objects_and_are_not_listed_with_them() {
    let bucket = Seaweed::shared().bucket("store-derived");
    let store = store(&bucket);
    suite::contract::check(&store.derived("blocks-v1"));
    let object = pointer(b"object");
    store.put(&object, Source::Bytes(b"object")).unwrap();
    assert_eq!(store.list().unwrap().objects.len(), 1);
    assert_eq!(
        store.derived("blocks-v1").bucket_key(&object.oid).unwrap().key.split("/").take(3).collect::<Vec<_>>(),
        ["lfs", "derived", "blocks-v1"]
    );
}

#[test]
fn a_public_address_is_used_and_else_one_is_signed() {
    let bucket = Seaweed::shared().bucket("store-address");
    let object = pointer(b"object");
    let signing = store(&bucket);
    signing.put(&object, Source::Bytes(b"object")).unwrap();
    let url = signing.download_address(&object.oid, 60).unwrap().unwrap();
    assert_eq!(ureq::get(&url).call().unwrap().body_mut().read_to_vec().unwrap(), b"object");
    let public = S3Store::with(&bucket.settings("lfs/objects"), Some("https://cdn.example.org/o/"), None, None).unwrap();
    let hex = object.oid.to_hex();
    assert_eq!(
        public.download_address(&object.oid, 60).unwrap().unwrap(),
        format!("https://cdn.example.org/o/{}/{}/{hex}", &hex[..2], &hex[2..4])
    );
}

#[test]
fn an_object_of_another_size_is_written_again() {
    let bucket = Seaweed::shared().bucket("store-short");
    let store = store(&bucket);
    let object = pointer(b"whole object");
    let key = store.bucket_key(&object.oid).unwrap().key;
    bucket.client("", Limits::default()).put(&key, &b"whole"[..], Default::default(), ddb::places::s3::Condition::Always).unwrap();
    assert_eq!(store.put(&object, Source::Bytes(b"whole object")).unwrap(), Put::New);
    assert_eq!(store.put(&object, Source::Bytes(b"whole object")).unwrap(), Put::Present);
    assert_eq!(read(&store, &object).unwrap(), b"whole object");
}

#[test]
fn bytes_that_are_not_the_objects_end_in_an_error_when_read() {
    let bucket = Seaweed::shared().bucket("store-damaged");
    let store = store(&bucket);
    let object = pointer(b"good bytes");
    let key = store.bucket_key(&object.oid).unwrap().key;
    bucket.client("", Limits::default()).put(&key, &b"evil bytes"[..], Default::default(), ddb::places::s3::Condition::Always).unwrap();
    let fault = read(&store, &object).unwrap_err();
    assert_eq!(fault.kind(), std::io::ErrorKind::InvalidData, "{fault}");
}

/// Each fault hits the first requests of one kind.
#[test]
fn single_faults_are_overcome_by_trying_again() {
    let bucket = Seaweed::shared().bucket("store-faults");
    let requests = [
        (1000, "HEAD", ""),
        (1000, "PUT", ""),
        (1000, "GET", ""),
        (6_000_000, "PUT", "partNumber=2"),
        (6_000_000, "POST", "uploads"),
        (6_000_000, "POST", "uploadId"),
    ];
    let faults = [
        Fault::Drop,
        Fault::LoseAnswer,
        Fault::Status(500, "InternalError"),
        Fault::Status(503, "SlowDown"),
        Fault::Status(429, "TooManyRequests"),
        Fault::CutAnswer(70),
        Fault::CutRequest(30),
        Fault::Delay(Duration::from_millis(50)),
    ];
    let cases: Vec<_> = requests.iter().flat_map(|request| faults.iter().map(move |fault| (*request, *fault))).collect();
    std::thread::scope(|scope| {
        for (turn, cases) in cases.chunks(7).enumerate() {
            let bucket = &bucket;
            scope.spawn(move || cases.iter().enumerate().for_each(|(nth, case)| overcome(bucket, *case, (turn * 100 + nth) as u64)));
        }
    });
    assert_eq!(uploads_left(&bucket), 0);
    let listing = store(&bucket).list().unwrap();
    assert_eq!((listing.objects.len(), listing.strangers.len()), (cases.len(), 0));
}

fn overcome(bucket: &Bucket, ((length, method, path), fault): ((usize, &str, &str), Fault), seed: u64) {
    let faults = Faults::before(&bucket.endpoint);
    let store = store(&bucket.behind(&faults.endpoint()));
    let content = bytes(length, seed);
    let object = pointer(&content);
    faults.add(method, path, 0, if length > 1000 { 1 } else { 2 }, fault);
    let tried = format!("{length} bytes, {method} {path}, {fault:?}");
    assert_eq!(store.put(&object, Source::Bytes(&content)).unwrap_or_else(|error| panic!("{tried}: {error}")), Put::New, "{tried}");
    assert!(read(&store, &object).unwrap() == content, "{tried}");
    assert!(faults.log().iter().any(|logged| logged.fault == Some(fault)), "{tried}: nothing was hit");
}

#[test]
fn a_download_goes_on_where_it_was_cut_off() {
    let bucket = Seaweed::shared().bucket("store-cut");
    let faults = Faults::before(&bucket.endpoint);
    let store = store(&bucket.behind(&faults.endpoint()));
    let content = bytes(3 << 20, 1);
    let object = pointer(&content);
    store.put(&object, Source::Bytes(&content)).unwrap();
    faults.log();
    faults.add("GET", "", 0, 3, Fault::CutAnswer(1 << 19));
    assert!(read(&store, &object).unwrap() == content);
    assert_eq!(faults.log().len(), 4);
    let received = store.requests().bytes_received;
    assert!(received < (3 << 20) + 100_000, "nothing was fetched twice: {received}");
    faults.heal().always("GET", "", Fault::CutAnswer(0));
    let fault = read(&impatient(&bucket.behind(&faults.endpoint())), &object).unwrap_err();
    assert!(fault.to_string().contains("broke off after 0 bytes"), "{fault}");
}

#[test]
fn lasting_faults_end_in_a_clear_error_and_leave_nothing_half_written() {
    let bucket = Seaweed::shared().bucket("store-lasting");
    let faults = Faults::before(&bucket.endpoint);
    let store = store(&bucket.behind(&faults.endpoint()));
    let content = bytes(11 << 20, 1);
    let object = pointer(&content);
    for (method, path, fault, failed, says) in [
        ("PUT", "partNumber=2", Fault::Status(403, "AccessDenied"), Failed::Denied, "403 AccessDenied"),
        ("POST", "uploadId", Fault::Status(400, "MalformedXML"), Failed::Other, "400 MalformedXML"),
        ("HEAD", "", Fault::Status(400, "Odd"), Failed::Other, "status 400"),
        ("", "", Fault::Status(400, "ExpiredToken"), Failed::Denied, "get new credentials"),
    ] {
        faults.heal().always(method, path, fault);
        let Err(StoreError::S3(error)) = store.put(&object, Source::Bytes(&content)) else { panic!("{fault:?}") };
        let text = error.to_string();
        assert_eq!(error.failed, failed, "{text}");
        assert!(text.contains(says) && text.contains("store-lasting") && text.contains(&faults.endpoint()), "{text}");
        faults.heal();
        assert_eq!(store.size(&object.oid).unwrap(), None);
        assert_eq!(uploads_left(&bucket), 0, "{fault:?}");
    }
    assert_eq!(store.put(&object, Source::Bytes(&content)).unwrap(), Put::New);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let bucket = Seaweed::shared().bucket("store-hangs");
    let faults = Faults::before(&bucket.endpoint);
    let store = impatient(&bucket.behind(&faults.endpoint()));
    let object = pointer(b"object");
    faults.add("PUT", "", 0, 2, Fault::Hang);
    store.put(&object, Source::Bytes(b"object")).unwrap();
    faults.always("", "", Fault::Hang);
    let Err(StoreError::S3(error)) = store.size(&object.oid) else { panic!("no answer came") };
    assert_eq!(error.failed, Failed::Unreachable, "{error}");
    assert!(error.to_string().contains("time"), "{error}");
}

#[test]
fn an_upload_that_was_killed_is_gone_on_with() {
    let bucket = Seaweed::shared().bucket("store-resumed");
    let faults = Faults::before(&bucket.endpoint);
    let store = store(&bucket.behind(&faults.endpoint()));
    let content = bytes(29 << 20, 1);
    let object = pointer(&content);
    // As after SIGKILL: parts are there, and nobody aborts.
    faults.always("PUT", "partNumber=6", Fault::Status(403, "AccessDenied")).always("DELETE", "", Fault::Status(403, "AccessDenied"));
    store.put(&object, Source::Bytes(&content)).unwrap_err();
    assert_eq!(uploads_left(&bucket), 1);
    faults.wait_until_quiet();
    let before = faults.heal().log().iter().filter(|logged| logged.method == "PUT" && logged.status == Some(200)).count();
    assert!(before >= 2, "{before} parts were sent");
    assert_eq!(store.put(&object, Source::Bytes(&content)).unwrap(), Put::New);
    let after = faults.log().iter().filter(|logged| logged.method == "PUT").count();
    assert_eq!(before + after, 6, "no part is sent twice");
    assert!(read(&store, &object).unwrap() == content);
    assert_eq!(uploads_left(&bucket), 0);
}

#[test]
fn two_jobs_upload_the_same_large_object_at_once() {
    let bucket = Seaweed::shared().bucket("store-twice");
    let content = bytes(23 << 20, 1);
    let object = pointer(&content);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| store(&bucket).put(&object, Source::Bytes(&content)).unwrap());
        }
    });
    assert!(read(&store(&bucket), &object).unwrap() == content);
    assert_eq!(uploads_left(&bucket), 0);
}

#[test]
fn a_proxy_can_play_a_server_that_knows_no_conditions() {
    use ddb::places::s3::Condition;
    let bucket = Seaweed::shared().bucket("faults-conditions");
    let faults = Faults::before(&bucket.endpoint);
    let client = bucket.behind(&faults.endpoint()).client("", Limits::default());
    client.put("a key+ü", &b"1"[..], Default::default(), Condition::Absent).unwrap();
    client.put("a key+ü", &b"2"[..], Default::default(), Condition::Absent).unwrap_err();
    faults.always("PUT", "", Fault::IgnoreConditions);
    client.put("a key+ü", &b"2"[..], Default::default(), Condition::Absent).unwrap();
}
