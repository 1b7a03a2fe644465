//! The S3 client against a real server.

use std::io::Read as _;

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::{Client, Condition, Failed, Headers, Limits, UploadError};
use ddb::words::digest::ObjectId;

use crate::seaweed::{READER, Seaweed, credentials};

const HEADERS: Headers<'_> = Headers { content_type: Some("text/plain"), cache_control: Some("max-age=60"), sha256: None };

/// Small parts, so that files of some MiB go in parts.
pub fn small_parts() -> Limits {
    Limits { part_size: 5 << 20, parts: 3, copy_whole: 6 << 20, copy_part: 5 << 20, ..Limits::default() }
}

pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    content
}

pub fn pointer(bytes: &[u8]) -> Pointer {
    Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 }
}

fn all(client: &Client, key: &str) -> Vec<u8> {
    let mut read = Vec::new();
    client.get(key).unwrap().unwrap().read_to_end(&mut read).unwrap();
    read
}

#[test]
fn keys_are_written_looked_at_read_listed_and_removed() {
    let client = Seaweed::shared().bucket("client-keys").client("some/prefix", Limits::default());
    assert_eq!(client.head("a/key").unwrap(), None);
    assert!(client.get("a/key").unwrap().is_none());
    let etag = client.put("a/key", &b"0123456789"[..], HEADERS, Condition::Always).unwrap();
    let head = client.head("a/key").unwrap().unwrap();
    assert_eq!(
        (head.size, head.etag, head.content_type.as_deref(), head.cache_control.as_deref()),
        (10, etag, HEADERS.content_type, HEADERS.cache_control)
    );
    assert_eq!(all(&client, "a/key"), b"0123456789");
    for (range, expected) in [(0..4, &b"0123"[..]), (4..100, b"456789"), (10..12, b""), (3..3, b"")] {
        let mut read = Vec::new();
        client.get_range("a/key", range).unwrap().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, expected);
    }
    let odd = "pool/a+b_1%3a2~rc1 ü.deb";
    client.copy("client-keys", "some/prefix/a/key", 10, odd, Headers { content_type: Some("x/y"), ..Headers::NONE }).unwrap();
    let copied = client.head(odd).unwrap().unwrap();
    assert_eq!((copied.content_type.as_deref(), copied.cache_control), (Some("x/y"), None));
    client.copy("client-keys", &client.key(odd), 10, "from-odd", HEADERS).unwrap();
    assert_eq!(all(&client, "from-odd"), b"0123456789");
    for number in 0..5 {
        client.put(&format!("many/{number}"), vec![b'x'; number], Headers::default(), Condition::Always).unwrap();
    }
    let listed: Vec<_> = client.list("many/").unwrap().into_iter().map(|entry| (entry.key, entry.size)).collect();
    assert_eq!(listed, (0..5).map(|number| (format!("many/{number}"), number)).collect::<Vec<_>>());
    let (page, next) = client.list_page("many/", None, 2).unwrap();
    let (rest, end) = client.list_page("many/", next.as_deref(), 10).unwrap();
    assert_eq!((page.len(), rest.len(), end), (2, 3, None));
    assert_eq!(client.list("").unwrap().len(), 8);
    for _ in 0..2 {
        client.delete("a/key").unwrap();
        assert_eq!(client.head("a/key").unwrap(), None);
    }
    let requests = client.requests();
    assert_eq!((requests.copies, requests.removals, requests.writes), (2, 2, 6), "{requests:?}");
    assert!(requests.bytes_received > 1000 && requests.bytes_sent == 20, "{requests:?}");
}

#[test]
fn conditions_hold_or_say_so() {
    let client = Seaweed::shared().bucket("client-conditions").client("", Limits::default());
    let first = client.put("key", &b"1"[..], HEADERS, Condition::Absent).unwrap();
    let failed = client.put("key", &b"2"[..], HEADERS, Condition::Absent).unwrap_err();
    assert_eq!(failed.failed, Failed::Condition);
    client.put("key", &b"2"[..], HEADERS, Condition::Unchanged(&first)).unwrap();
    assert_eq!(client.put("key", &b"3"[..], HEADERS, Condition::Unchanged(&first)).unwrap_err().failed, Failed::Condition);
    assert_eq!(all(&client, "key"), b"2");
}

#[test]
fn large_files_go_in_parts_and_are_copied_in_parts() {
    let client = Seaweed::shared().bucket("client-parts").client("", small_parts());
    let content = bytes((17 << 20) + 11, 1);
    client.upload("large", &pointer(&content), &|| Ok(Box::new(&content[..])), HEADERS, true).unwrap();
    assert_eq!(all(&client, "large"), content);
    let before = client.requests();
    client.copy("client-parts", "large", content.len() as u64, "copied", HEADERS).unwrap();
    assert_eq!(client.requests().copies - before.copies, 4);
    assert_eq!(all(&client, "copied"), content);
    assert_eq!(client.head("copied").unwrap().unwrap().cache_control.as_deref(), HEADERS.cache_control);
}

#[test]
fn other_bytes_than_announced_never_become_an_object() {
    let client = Seaweed::shared().bucket("client-changed").client("", small_parts());
    for length in [100, 12 << 20] {
        let content = bytes(length, 2);
        let expected = pointer(&content);
        let mut other = content.clone();
        *other.last_mut().unwrap() ^= 1;
        for wrong in [other, content[..length - 1].to_vec(), [&content[..], b"x"].concat()] {
            let failed = client.upload("key", &expected, &|| Ok(Box::new(&wrong[..])), HEADERS, true).unwrap_err();
            assert!(matches!(failed, UploadError::Changed { .. }), "{failed}");
            assert_eq!(client.head("key").unwrap(), None);
        }
    }
}

#[test]
fn refusals_say_what_to_do_and_no_secret() {
    let bucket = Seaweed::shared().bucket("client-refusals");
    let reader = Client::with(&bucket.settings(""), Limits::default(), Some(credentials(READER))).unwrap();
    let denied = reader.put("key", &b"1"[..], HEADERS, Condition::Always).unwrap_err();
    assert_eq!((denied.failed, denied.status), (Failed::Denied, Some(403)));
    assert!(denied.to_string().contains("may not write"), "{denied}");
    let wrong = Client::with(&bucket.settings(""), Limits::default(), Some(credentials((READER.0, "not-the-secret")))).unwrap();
    let denied = wrong.get("key").err().unwrap();
    assert!(denied.to_string().contains("AWS_SECRET_ACCESS_KEY") && !denied.to_string().contains("not-the-secret"), "{denied}");
    let unknown = Client::with(&bucket.settings(""), Limits::default(), Some(credentials(("nobody", "x")))).unwrap();
    let denied = unknown.list("").unwrap_err();
    assert!(denied.to_string().contains("AWS_ACCESS_KEY_ID"), "{denied}");
    let mut settings = bucket.settings("");
    settings.bucket = "no-such-bucket".to_owned();
    let missing = Client::with(&settings, Limits::default(), Some(credentials(crate::seaweed::WRITER))).unwrap();
    let failed = missing.list("").unwrap_err();
    assert_eq!(failed.failed, Failed::NoBucket, "{failed}");
}

#[test]
fn many_threads_share_a_client() {
    let client = Seaweed::shared().bucket("client-threads").client("", Limits::default());
    ddb::places::s3::threads().unwrap().scope(|scope| {
        for number in 0..64 {
            let client = client.clone();
            scope.spawn(move |_| {
                client.put(&format!("{number}"), vec![b'x'; 1000], HEADERS, Condition::Always).unwrap();
                assert_eq!(all(&client, &format!("{number}")).len(), 1000);
            });
        }
    });
    assert_eq!(client.list("").unwrap().len(), 64);
}

#[test]
fn signed_addresses_serve_one_purpose() {
    let bucket = Seaweed::shared().bucket("client-signed");
    let client = bucket.client("lfs", Limits::default());
    let content = b"0123456789";
    let send = |key: &str, bytes: &[u8]| {
        let signed = client.presign_put(key, &ObjectId::of(content), content.len() as u64, 60).unwrap();
        let mut request = ureq::put(&signed.url);
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        request.send(bytes).map(|answer| answer.status().as_u16())
    };
    assert_eq!(send("key", content).unwrap(), 200);
    assert_eq!(all(&client, "key"), content);
    assert!(matches!(send("other", b"9876543210"), Err(ureq::Error::StatusCode(400..=403))));
    assert_eq!(client.head("other").unwrap(), None);
    let address = client.presign_get("key", 60).unwrap();
    assert_eq!(ureq::get(&address).call().unwrap().body_mut().read_to_vec().unwrap(), content);
    assert!(matches!(ureq::get(address.replace("/key?", "/other?")).call(), Err(ureq::Error::StatusCode(403))));
    assert!(client.presign_get("key", 8 * 86400).is_err(), "a week is the most");
}
