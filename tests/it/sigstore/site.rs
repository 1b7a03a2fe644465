//! Real services of Sigstore for a test: Rekor's server, a timestamp authority and Fulcio at free ports, and cosign as second opinion.
//!
//! Building the three takes minutes, so they are there with DDB_SLOW=1, or where an earlier such run has left them.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ddb::formats::sigstore::secret_key::SecretKey;
use ddb::formats::sigstore::signer::Signer;
use ddb::formats::sigstore::trusted_root::TrustedRoot;
use ddb::places::credentials::Secret;
use ddb::places::transparency::sigstore::{IdentityToken, Secrets, Services, SigstoreLog};

use crate::ports::{port, wait_for};
use crate::sandbox::{Run, Sandbox, cache};

/// The address that logs of tests say to have; they are asked at others.
pub const ORIGIN: &str = "rekor.example";

/// Tells whether Rekor's server is there; with DDB_SLOW=1 it must be.
pub fn is_built() -> bool {
    std::env::var_os("DDB_SLOW").is_some() || cache("cosign").with_file_name("rekor").exists()
}

fn program(name: &str) -> String {
    cache("rekor/bin").join(name).display().to_string()
}

fn ports<const COUNT: usize>() -> [u16; COUNT] {
    std::array::from_fn(|_| port())
}

/// A log, which keeps its tree in a folder of the sandbox; killed when the test ends.
pub struct Rekor<'a> {
    sandbox: &'a Sandbox,
    folder: PathBuf,
    ports: [u16; 3],
    child: Option<Child>,
}

impl<'a> Rekor<'a> {
    /// Makes an Ed25519 key and starts a log.
    pub fn start(sandbox: &'a Sandbox, name: &str) -> Self {
        Self::start_with(sandbox, name, &["-algorithm", "ed25519"])
    }

    /// The same with a key that openssl makes by these options.
    pub fn start_with(sandbox: &'a Sandbox, name: &str, key: &[&str]) -> Self {
        let folder = sandbox.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut log = Self { sandbox, folder, ports: ports(), child: None };
        sandbox.run("openssl", &[&["genpkey", "-out", &log.file("log.pem")], key].concat()).ok();
        sandbox.run("openssl", &["pkey", "-in", &log.file("log.pem"), "-pubout", "-out", &log.file("log.pub")]).ok();
        log.start_again();
        log
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    pub fn start_again(&mut self) {
        let [http, grpc, metrics] = self.ports.map(|port| port.to_string());
        let (tiles, key) = (self.file("tiles"), self.file("log.pem"));
        let mut arguments = vec!["serve", "--hostname", ORIGIN, "--http-port", &http, "--grpc-port", &grpc];
        arguments.extend(["--http-metrics-port", &metrics, "--storage-dir", &tiles, "--signer-filepath", &key]);
        arguments.extend(["--checkpoint-interval", "1s", "--batch-max-age", "200ms"]);
        let output = std::fs::File::create(self.folder.join("output")).unwrap();
        let mut command = self.sandbox.command(&program("rekor-server"), &arguments);
        let mut child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        wait_for(self.ports[0], &mut child);
        self.child = Some(child);
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// How many entries the log has.
    pub fn size(&self) -> u64 {
        let checkpoint = std::fs::read_to_string(self.folder.join("tiles/checkpoint")).unwrap();
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }

    /// What cosign is told of the log: its name and key.
    pub fn trusted(&self) -> String {
        let (key, start) = (self.file("log.pub"), "2024-01-01T00:00:00Z");
        format!("--rekor=url=https://{ORIGIN},public-key={key},start-time={start},origin={ORIGIN}")
    }
}

impl Drop for Rekor<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A timestamp authority with a key that it makes when it starts.
pub struct Authority {
    port: u16,
    chain: String,
    child: Child,
}

impl Authority {
    pub fn start(sandbox: &Sandbox, name: &str) -> Self {
        let [port] = ports();
        let text = port.to_string();
        let arguments = ["serve", "--host", "127.0.0.1", "--port", &text, "--timestamp-signer", "memory", "--disable-ntp-monitoring"];
        let mut command = sandbox.command(&program("timestamp-server"), &arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for(port, &mut child);
        let chain = sandbox.path(format!("{name}.pem")).display().to_string();
        sandbox.run("curl", &["-sfo", &chain, &format!("http://127.0.0.1:{port}/api/v1/timestamp/certchain")]).ok();
        Self { port, chain, child }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/timestamp", self.port)
    }

    /// What cosign is told of it.
    pub fn trusted(&self) -> String {
        format!("--tsa=url=https://tsa.example,certificate-chain={},start-time=2024-01-01T00:00:00Z", self.chain)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fulcio (`tests/sigstore/fulcio/main.go`), with a forge that gives identity tokens to its jobs, and a certificate transparency log.
pub struct Fulcio {
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl Fulcio {
    pub fn start(sandbox: &Sandbox, name: &str) -> Self {
        let [port] = ports();
        let folder = sandbox.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        let output = std::fs::File::create(folder.join("output")).unwrap();
        let mut command = sandbox.command(&program("fulcio"), &[&port.to_string(), &folder.display().to_string()]);
        let mut child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        wait_for(port, &mut child);
        let mut fulcio = Self { port, folder, child };
        fulcio.wait();
        let bundle = sandbox.run("curl", &["-sf", &format!("{}/api/v2/trustBundle", fulcio.url())]).ok().json();
        std::fs::write(fulcio.folder.join("chain.pem"), bundle["chains"][0]["certificates"][0].as_str().unwrap()).unwrap();
        fulcio
    }

    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(90);
        while !self.folder.join("ready").exists() {
            assert!(self.child.try_wait().unwrap().is_none(), "Fulcio ended when it was started");
            assert!(Instant::now() < until, "Fulcio is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Who vouches for its jobs.
    pub fn issuer(&self) -> String {
        format!("{}/jobs", self.url())
    }

    /// The identity token of a job of a branch of `debian/archive`; `more` is added to the address.
    pub fn token(&self, sandbox: &Sandbox, branch: &str, more: &str) -> String {
        let project = if more.contains("project=") { "" } else { "&project=debian/archive" };
        let url = format!("{}/token?ref={branch}{project}{more}", self.url());
        sandbox.run("curl", &["-sf", &url]).ok().out
    }

    /// What cosign is told of it.
    pub fn trusted(&self) -> String {
        let chain = self.folder.join("chain.pem");
        format!("--fulcio=url=https://fulcio.example,certificate-chain={},start-time=2024-01-01T00:00:00Z", chain.display())
    }

    /// What cosign is told of the certificate transparency log.
    pub fn promised(&self) -> String {
        let key = self.folder.join("ct.pub");
        format!("--ctfe=url=https://ct.example,public-key={},start-time=2024-01-01T00:00:00Z", key.display())
    }
}

impl Drop for Fulcio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name that certificates give to jobs of the main branch of `debian/archive`.
pub const SUBJECT: &str = "https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/main";

/// Commits a Sigstore log to the archive, into which jobs of the main branch sign without a key.
pub fn configure_keyless(sandbox: &Sandbox, services: &[String], fulcio: &Fulcio, lines: &str) {
    trusted_root(sandbox, services, "archive/keys/trusted_root.json");
    let issuer = fulcio.issuer();
    let signer = format!("identity = \"{SUBJECT}\"\nissuer = \"{issuer}\"\n");
    table(sandbox, &format!("{signer}{lines}"));
}

/// A log that jobs of the main branch sign into, with this identity token.
pub fn keyless_log(services: Services, fulcio: &Fulcio, root: &Path, token: Option<String>) -> SigstoreLog {
    let signer = Signer::Identity { subject: SUBJECT.to_owned(), issuer: fulcio.issuer() };
    let given = |text| IdentityToken::Given { source_name: "token".to_owned(), text: Secret::new(text) };
    let secrets = Secrets { key: None, token: token.map_or(IdentityToken::None, given) };
    let root = TrustedRoot::parse(&std::fs::read(root).unwrap()).unwrap();
    SigstoreLog::new(services, signer, secrets, root, Duration::from_secs(90), None).unwrap()
}

/// Runs cosign in the sandbox.
pub fn cosign(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run(&cache("cosign/bin/cosign").display().to_string(), arguments)
}

/// Makes a key that signs entries: `<name>.pem`, and `<name>.pub` beside it.
pub fn signing_key(sandbox: &Sandbox, name: &str) {
    let path = |ending: &str| sandbox.path(format!("{name}.{ending}")).display().to_string();
    let curve = "ec_paramgen_curve:P-256";
    sandbox.run("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", &path("pem")]).ok();
    sandbox.run("openssl", &["pkey", "-in", &path("pem"), "-pubout", "-out", &path("pub")]).ok();
}

/// The same, and the key itself.
pub fn secret_key(sandbox: &Sandbox, name: &str) -> SecretKey {
    signing_key(sandbox, name);
    SecretKey::read(&std::fs::read_to_string(sandbox.path(format!("{name}.pem"))).unwrap()).unwrap()
}

/// A file that real services gave, see `tests/data/README.md`.
pub fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/sigstore/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Lets cosign write the trusted root that names these services.
pub fn trusted_root(sandbox: &Sandbox, services: &[String], file: &str) {
    let file = sandbox.path(file).display().to_string();
    let mut arguments = vec!["trusted-root", "create", "--out", &file];
    arguments.extend(services.iter().map(String::as_str));
    cosign(sandbox, &arguments).ok();
}

/// Commits a Sigstore log to the archive: who is trusted, the key `sigstore`, and lines of its table.
pub fn configure(sandbox: &Sandbox, services: &[String], lines: &str) {
    if !sandbox.path("sigstore.pem").exists() {
        signing_key(sandbox, "sigstore");
    }
    trusted_root(sandbox, services, "archive/keys/trusted_root.json");
    std::fs::copy(sandbox.path("sigstore.pub"), sandbox.path("archive/keys/sigstore.pub")).unwrap();
    table(sandbox, &format!("key = \"keys/sigstore.pub\"\n{lines}"));
}

/// Commits lines of the table of the Sigstore log.
pub fn table(sandbox: &Sandbox, lines: &str) {
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    let settings = settings.split("\n[logs.sigstore]").next().unwrap().to_owned();
    let table = format!("\n[logs.sigstore]\ntrusted-root = \"keys/trusted_root.json\"\n{lines}");
    sandbox.write("archive/ddb.toml", settings + &table);
    sandbox.git(&["add", "ddb.toml", "keys"]).ok();
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Log to Sigstore"]).ok();
}

/// Gives the key that signs entries to every later command.
pub fn give_key(sandbox: &mut Sandbox) {
    let key = std::fs::read_to_string(sandbox.path("sigstore.pem")).unwrap();
    sandbox.environment.insert("DDB_SIGSTORE_KEY".to_owned(), key);
}

/// What cosign says of a bundle of a file, by paths in the sandbox.
pub fn verify_blob(sandbox: &Sandbox, bundle: &str, file: &str) -> Run {
    let path = |path: &str| sandbox.path(path).display().to_string();
    let (key, root) = (path("archive/keys/sigstore.pub"), path("archive/keys/trusted_root.json"));
    cosign(sandbox, &["verify-blob", "--key", &key, "--trusted-root", &root, "--bundle", &path(bundle), &path(file)])
}
