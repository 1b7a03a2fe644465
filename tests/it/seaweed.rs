//! SeaweedFS, a real S3 server: one for all tests of the process, and others that a test may kill and start again.
//!
//! `tests/prepare.sh` installs it. Servers die with the process that runs the tests, however that ends.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use ddb::places::s3::{Client, Credentials, Limits};
use ddb::words::archive::BucketSettings;

use crate::sandbox::{Sandbox, cache};

pub mod cluster;

/// May do everything.
pub const WRITER: (&str, &str) = ("ddb-writer", "ddb-writer-secret");
/// May read and list.
pub const READER: (&str, &str) = ("ddb-reader", "ddb-reader-secret");

/// Buckets that anybody may read.
pub const PUBLIC: [&str; 5] = ["public-pool", "public-direct", "public-served", "public-pipeline", "public-attacked"];

/// How long a server may take until it answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running S3 server with a folder of its own.
pub struct Seaweed {
    folder: tempfile::TempDir,
    ports: [u16; 4],
    process: Mutex<Option<Process>>,
    _janitor: Janitor,
}

/// A bucket that is there, and who may do what in it.
pub struct Bucket {
    pub name: String,
    /// `http://127.0.0.1:<port>`, or that of a proxy before the server.
    pub endpoint: String,
}

impl Seaweed {
    /// The server that all tests share; each uses buckets of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Seaweed> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of one's own.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("ddb-weed-").tempdir().unwrap();
        std::fs::write(folder.path().join("s3.json"), identities()).unwrap();
        let janitor = Janitor::of(folder.path());
        let server = Self { folder, ports: free_ports(), process: Mutex::new(None), _janitor: janitor };
        server.start_again();
        server
    }

    /// Starts it where it was killed, on the same ports and with what it kept.
    pub fn start_again(&self) {
        let [s3, master, volume, filer] = self.ports;
        let data = self.folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let arguments = [
            "server".to_owned(),
            "-ip=127.0.0.1".to_owned(),
            "-ip.bind=127.0.0.1".to_owned(),
            format!("-dir={}", data.display()),
            "-s3".to_owned(),
            format!("-s3.port={s3}"),
            format!("-s3.config={}", self.folder.path().join("s3.json").display()),
            "-s3.autoCreateBucket=false".to_owned(),
            "-s3.port.iceberg=0".to_owned(),
            "-s3.port.lance=0".to_owned(),
            format!("-master.port={master}"),
            "-master.telemetry=false".to_owned(),
            "-master.electionTimeout=1s".to_owned(),
            "-master.heartbeatInterval=200ms".to_owned(),
            "-master.volumeSizeLimitMB=64".to_owned(),
            format!("-volume.port={volume}"),
            "-volume.max=3000".to_owned(),
            "-volume.preStopSeconds=0".to_owned(),
            format!("-filer.port={filer}"),
            format!("-filer.localSocket={}", self.folder.path().join("filer.sock").display()),
            format!("-s3.localSocket={}", self.folder.path().join("s3.sock").display()),
        ];
        *self.process.lock().unwrap() = Some(weed(&arguments, self.folder.path(), "weed.log"));
        self.wait_until_it_stores();
    }

    /// Kills it at once, as power failure would.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap().take());
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Makes a bucket of this name (three letters at least), which must be new.
    pub fn bucket(&self, name: &str) -> Bucket {
        make_bucket(self.ports[3], name);
        Bucket { name: name.to_owned(), endpoint: self.endpoint() }
    }

    /// Where the server writes what it does.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("weed.log")).unwrap_or_default()
    }

    fn wait_until_it_stores(&self) {
        let started = Instant::now();
        let until = |what: &str, done: &dyn Fn() -> bool| {
            while !done() {
                assert!(started.elapsed() < PATIENCE, "SeaweedFS does not {what}:\n{}", self.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        until("take files", &|| request(self.ports[3], "PUT", "/ready", b"ready").is_some_and(|status| status / 100 == 2));
        until("answer", &|| request(self.ports[0], "GET", "/", b"").is_some());
    }
}

impl Bucket {
    /// The table of ddb.toml that names this bucket, such as `[store.s3]`.
    pub fn table(&self, table: &str, prefix: &str) -> String {
        format!(
            "\n[{table}]\nbucket = \"{}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\nprefix = \"{prefix}\"\n",
            self.name, self.endpoint
        )
    }

    pub fn settings(&self, prefix: &str) -> BucketSettings {
        BucketSettings {
            bucket: self.name.clone(),
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            prefix: prefix.to_owned(),
            path_style: None,
        }
    }

    /// A client in the test's own process.
    pub fn client(&self, prefix: &str, limits: Limits) -> Client {
        Client::with(&self.settings(prefix), limits, Some(credentials(WRITER))).unwrap()
    }

    /// The same bucket behind another address.
    pub fn behind(&self, endpoint: &str) -> Self {
        Self { name: self.name.clone(), endpoint: endpoint.to_owned() }
    }
}

/// A key pair as the client takes it.
pub fn credentials((access, secret): (&str, &str)) -> Credentials {
    Credentials { access_key: access.to_owned(), secret_key: secret.to_owned(), token: None }
}

/// Lets programs in a sandbox use these credentials.
pub fn give(sandbox: &mut Sandbox, (access, secret): (&str, &str)) {
    for (name, value) in [("AWS_ACCESS_KEY_ID", access), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_EC2_METADATA_DISABLED", "true")] {
        sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
}

fn identities() -> String {
    let one = |name: &str, (access, secret): (&str, &str), actions: &str| {
        format!(r#"{{"name":"{name}","credentials":[{{"accessKey":"{access}","secretKey":"{secret}"}}],"actions":[{actions}]}}"#)
    };
    let writer = one("writer", WRITER, r#""Admin","Read","List","Tagging","Write""#);
    let reader = one("reader", READER, r#""Read","List""#);
    let read = PUBLIC.map(|bucket| format!(r#""Read:{bucket}""#)).join(",");
    format!(r#"{{"identities":[{writer},{reader},{{"name":"anonymous","actions":[{read}]}}]}}"#)
}

/// A bucket is a folder of the filer.
fn make_bucket(filer: u16, name: &str) {
    let status = request(filer, "POST", &format!("/buckets/{name}/"), b"");
    assert!(status.is_some_and(|status| status / 100 == 2), "bucket {name} cannot be made: {status:?}");
}

/// Sends a plain HTTP request and returns the status, `None` where no answer comes.
fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

/// Ports that are free together with the one 10,000 above, where SeaweedFS listens too; below those that the kernel gives away.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let mut found = Vec::new();
    let mut held = Vec::new();
    while found.len() < COUNT {
        let port = fastrand::u16(10_000..22_000);
        let (Ok(plain), Ok(above)) = (TcpListener::bind(("127.0.0.1", port)), TcpListener::bind(("127.0.0.1", port + 10_000))) else {
            continue;
        };
        held.push((plain, above));
        found.push(port);
    }
    found.try_into().unwrap()
}

/// Starts a weed program in a folder.
fn weed(arguments: &[String], folder: &Path, log: &str) -> Process {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(log)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(cache("weed/bin/weed")).args(arguments).current_dir(folder);
    command.env_clear().env("HOME", folder).env("PATH", std::env::var("PATH").unwrap());
    // Every bucket has volumes of its own, seven at once unless told.
    command.env("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1");
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Process::start(command)
}

/// Removes a folder when the tests end in a way in which nothing is dropped: at the end of what it reads.
struct Janitor(Child);

impl Janitor {
    fn of(folder: &Path) -> Self {
        let wait = r#"read -r end; while rm -rf -- "$0"; [ -e "$0" ]; do sleep 0.2; done"#;
        let mut command = Command::new("sh");
        command.args(["-c", wait]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is killed when this value goes; if the tests end before, the signal that it asked setpriv for ends it.
struct Process {
    stop: Option<Sender<()>>,
    stopped: Mutex<Receiver<()>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let (stop, stopping) = channel::<()>();
        let (tell, stopped) = channel::<()>();
        let (began, started) = channel::<()>();
        // The kernel sends the signal when the thread ends that started it: so that thread lives as long as the process may.
        std::thread::spawn(move || {
            let mut child: Child = command.spawn().expect("setpriv (util-linux) is needed");
            began.send(()).unwrap();
            let _ = stopping.recv();
            let _ = child.kill();
            let _ = child.wait();
            let _ = tell.send(());
        });
        started.recv().unwrap();
        Self { stop: Some(stop), stopped: Mutex::new(stopped) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.stopped.lock().unwrap().recv();
    }
}
