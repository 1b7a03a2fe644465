//! Ceph's S3 gateway as second engine, with DDB_SLOW=1: what works on SeaweedFS works on it too, and what it does otherwise.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use ddb::places::s3::{Condition, Failed, Headers, Limits};
use ddb::places::store::s3::S3Store;
use ddb::places::store::{ObjectStore as _, Source};

use crate::s3_client::{bytes, pointer, small_parts};
use crate::s3_store::suite;
use crate::sandbox::{Sandbox, cache};
use crate::seaweed::{Bucket, WRITER, credentials, free_ports, give};

/// A gateway that ends with this value, or with the tests: it reads from them to its end.
struct Ceph {
    child: Child,
    port: u16,
}

impl Ceph {
    fn start() -> Self {
        let [port, monitor] = free_ports();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ceph.sh");
        let mut command = Command::new(script);
        command.arg(cache("ceph")).args([port.to_string(), monitor.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script} does not come up");
        Self { child, port }
    }

    fn bucket(&self, name: &str) -> Bucket {
        let bucket = Bucket { name: name.to_owned(), endpoint: format!("http://127.0.0.1:{}", self.port) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(aws_sdk_s3::config::Credentials::new(WRITER.0, WRITER.1, None, None, "test"))
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .endpoint_url(&bucket.endpoint)
            .force_path_style(true)
            .build();
        runtime.block_on(aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(name).send()).unwrap();
        bucket
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn a_second_engine_serves_objects_parts_copies_and_a_whole_archive() {
    if std::env::var_os("DDB_SLOW").is_none() {
        return;
    }
    let ceph = Ceph::start();
    let bucket = ceph.bucket("contract");
    suite::contract::check(&S3Store::with(&bucket.settings("lfs/objects"), None, Some(5 << 20), Some(credentials(WRITER))).unwrap());

    let bucket = ceph.bucket("parts");
    let store = S3Store::of(bucket.client("", small_parts()));
    let content = bytes((17 << 20) + 11, 1);
    let object = pointer(&content);
    store.put(&object, Source::Bytes(&content)).unwrap();
    let headers = Headers { content_type: Some("x/y"), ..Headers::NONE };
    let client = store.client();
    client.copy("parts", &store.bucket_key(&object.oid).unwrap().key, object.size, "copied +ü", headers).unwrap();
    let mut copied = Vec::new();
    client.get("copied +ü").unwrap().unwrap().read_to_end(&mut copied).unwrap();
    assert!(copied == content);
    assert_eq!(client.head("copied +ü").unwrap().unwrap().content_type.as_deref(), Some("x/y"));
    assert_eq!(client.unfinished_uploads("").unwrap(), []);

    let etag = client.put("key", &b"1"[..], headers, Condition::Absent).unwrap();
    assert_eq!(client.put("key", &b"2"[..], headers, Condition::Absent).unwrap_err().failed, Failed::Condition);
    assert_eq!(client.put("key", &b"2"[..], headers, Condition::Unchanged(&format!("\"{etag}\""))).unwrap_err().failed, Failed::Condition);
    client.put("key", &b"2"[..], headers, Condition::Unchanged(&etag)).unwrap();

    let bucket = ceph.bucket("archive");
    let mut sandbox = Sandbox::with_archive();
    give(&mut sandbox, WRITER);
    let before = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    let places = format!("{}{}", bucket.table("store.s3", "lfs/objects"), bucket.table("target.s3", "debian"));
    sandbox.write("archive/ddb.toml", format!("{before}{places}"));
    sandbox.git(&["commit", "-qam", "Place the objects and the tree"]).ok();
    sandbox.deb("out", "one", "1.0", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    let served = bucket.client("debian", Limits::default());
    assert!(served.head("pool/main/o/one/one_1.0_amd64.deb").unwrap().is_some());
    sandbox.deb("out", "two", "1.0", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
