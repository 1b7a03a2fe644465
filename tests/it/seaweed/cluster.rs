//! Three masters and three volume servers of SeaweedFS, every byte on two of them, and single ones killed and brought back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Bucket, Janitor, PATIENCE, Process, free_ports, identities, make_bucket, request, weed};

/// A running cluster. Its filer is one, and not killed.
pub struct Cluster {
    folder: tempfile::TempDir,
    filer: u16,
    s3: u16,
    arguments: BTreeMap<String, Vec<String>>,
    running: BTreeMap<String, Process>,
    _janitor: Janitor,
}

impl Cluster {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("ddb-weed-").tempdir().unwrap();
        std::fs::write(folder.path().join("s3.json"), identities()).unwrap();
        let masters: [u16; 3] = free_ports();
        let [filer, s3, volumes @ ..]: [u16; 5] = free_ports();
        let peers = masters.map(|port| format!("127.0.0.1:{port}")).join(",");
        let mut arguments = BTreeMap::new();
        let mut add = |name: String, more: Vec<String>| {
            std::fs::create_dir_all(folder.path().join(&name)).unwrap();
            arguments.insert(name, more);
        };
        let own = ["-ip=127.0.0.1".to_owned(), "-ip.bind=127.0.0.1".to_owned()];
        for (number, port) in masters.iter().enumerate() {
            let more = [
                "master".to_owned(),
                format!("-port={port}"),
                format!("-mdir=master-{number}"),
                format!("-peers={peers}"),
                "-defaultReplication=001".to_owned(),
                "-volumeSizeLimitMB=64".to_owned(),
                "-telemetry=false".to_owned(),
                "-electionTimeout=2s".to_owned(),
            ];
            add(format!("master-{number}"), [&more[..], &own].concat());
        }
        for (number, port) in volumes.iter().enumerate() {
            let more = [
                "volume".to_owned(),
                format!("-port={port}"),
                format!("-dir=volume-{number}"),
                "-max=100".to_owned(),
                format!("-master={peers}"),
                "-preStopSeconds=0".to_owned(),
            ];
            add(format!("volume-{number}"), [&more[..], &own].concat());
        }
        let more = [
            "filer".to_owned(),
            format!("-port={filer}"),
            format!("-master={peers}"),
            "-defaultStoreDir=filer".to_owned(),
            "-defaultReplicaPlacement=001".to_owned(),
            format!("-localSocket={}", folder.path().join("filer.sock").display()),
        ];
        add("filer".to_owned(), [&more[..], &own].concat());
        let more = [
            "s3".to_owned(),
            format!("-port={s3}"),
            format!("-filer=127.0.0.1:{filer}"),
            "-config=s3.json".to_owned(),
            "-autoCreateBucket=false".to_owned(),
            "-port.iceberg=0".to_owned(),
            "-port.lance=0".to_owned(),
            format!("-localSocket={}", folder.path().join("s3.sock").display()),
            "-ip.bind=127.0.0.1".to_owned(),
        ];
        add("s3".to_owned(), more.to_vec());
        let janitor = Janitor::of(folder.path());
        let mut cluster = Self { folder, filer, s3, arguments, running: BTreeMap::new(), _janitor: janitor };
        for name in cluster.arguments.keys().cloned().collect::<Vec<_>>() {
            cluster.bring_back(&name);
        }
        cluster.wait_until_it_stores();
        cluster
    }

    /// Kills one of `master-0` to `master-2`, `volume-0` to `volume-2`.
    pub fn kill(&mut self, name: &str) {
        self.running.remove(name).unwrap();
    }

    /// Starts what was killed again.
    pub fn bring_back(&mut self, name: &str) {
        let process = weed(&self.arguments[name], self.folder.path(), &format!("{name}.log"));
        self.running.insert(name.to_owned(), process);
    }

    pub fn bucket(&self, name: &str) -> Bucket {
        make_bucket(self.filer, name);
        Bucket { name: name.to_owned(), endpoint: format!("http://127.0.0.1:{}", self.s3) }
    }

    fn wait_until_it_stores(&self) {
        let started = Instant::now();
        let stores = || request(self.filer, "PUT", "/ready", b"ready").is_some_and(|status| status / 100 == 2);
        while !stores() || request(self.s3, "GET", "/", b"").is_none() {
            assert!(started.elapsed() < PATIENCE, "the cluster does not start: see {}", self.folder.path().display());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
