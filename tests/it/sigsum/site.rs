//! Real Sigsum logs and witnesses of a test, at free ports, started and stopped as the test wants.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::ports::{port, wait_for};
use crate::sandbox::{Run, Sandbox, cache};

/// A program of Sigsum.
pub fn program(name: &str) -> String {
    cache("sigsum/bin").join(name).display().to_string()
}

/// A log with one witness of its own; both are killed when the test ends.
pub struct Log<'a> {
    sandbox: &'a Sandbox,
    name: String,
    port: u16,
    witness_port: u16,
    log: Option<Child>,
    witness: Option<Child>,
    /// Times that an empty log was begun.
    begun: u32,
    /// `--rate-limit-file`
    limits: Option<PathBuf>,
}

impl<'a> Log<'a> {
    /// Makes keys and starts both.
    pub fn start(sandbox: &'a Sandbox, name: &str) -> Self {
        let mut log = Self::new(sandbox, name);
        log.start_witness();
        log.start_log();
        log
    }

    /// Makes keys and starts nothing.
    pub fn new(sandbox: &'a Sandbox, name: &str) -> Self {
        let log =
            Self { sandbox, name: name.to_owned(), port: port(), witness_port: port(), log: None, witness: None, begun: 0, limits: None };
        std::fs::create_dir_all(log.path("")).unwrap();
        for key in ["log", "witness"] {
            sandbox.run(&program("sigsum-key"), &["generate", "-o", &log.file(key)]).ok();
        }
        let policy = format!("witness w {} http://127.0.0.1:{}\nquorum w\n", log.hex("witness"), log.witness_port);
        sandbox.write(log.path("witnesses"), policy);
        log
    }

    /// Takes only so many entries a day from a key, and none from others.
    pub fn limited(mut self, key_hash: &str, limit: u32) -> Self {
        self.limits = Some(self.sandbox.write(self.path("limits"), format!("key {key_hash} {limit}\n")));
        self
    }

    fn path(&self, file: &str) -> PathBuf {
        self.sandbox.path(format!("sigsum/{}/{file}", self.name))
    }

    fn file(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    /// The log's public key as a policy names it.
    pub fn key(&self) -> String {
        self.hex("log")
    }

    /// Lets the log ask another witness too, by its line of a policy. Each of them is enough for it.
    pub fn also_asks(&self, witness: &str) {
        let own = format!("witness w {} http://127.0.0.1:{}\n", self.hex("witness"), self.witness_port);
        let name = witness.split(' ').nth(1).unwrap();
        self.sandbox.write(self.path("witnesses"), format!("{own}{witness}group g any w {name}\nquorum g\n"));
    }

    /// A public key as a policy names it.
    fn hex(&self, key: &str) -> String {
        self.sandbox.run(&program("sigsum-key"), &["to-hex", "-k", &format!("{}.pub", self.file(key))]).ok().out.trim().to_owned()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its lines of a policy: the log, and a witness of the same name.
    pub fn lines(&self) -> String {
        format!("log {} {}\nwitness {} {}\n", self.hex("log"), self.url(), self.name, self.hex("witness"))
    }

    fn quiet(&self, program_name: &str, arguments: &[&str]) -> Child {
        let mut command = self.sandbox.command(&program(program_name), arguments);
        // Debian's build asks for the old patterns of Go's router, with which the log knows no address.
        command.env("GODEBUG", "httpmuxgo121=0").env("SIGSUM_LOGSERVER_CONFIG", "/dev/null");
        let log = std::fs::File::options().create(true).append(true).open(self.path(&format!("{program_name}.stderr"))).unwrap();
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    pub fn start_witness(&mut self) {
        let address = format!("127.0.0.1:{}", self.witness_port);
        let (key, log) = (self.file("witness"), format!("{}.pub", self.file("log")));
        let mut child =
            self.quiet("sigsum-witness", &["-k", &key, "--log-key", &log, "--state-file", &self.file("witness.state"), &address]);
        wait_for(self.witness_port, &mut child);
        self.witness = Some(child);
    }

    /// Starts the log with an empty tree: it keeps its tree in memory.
    pub fn start_log(&mut self) {
        self.begun += 1;
        let sth = self.file(&format!("sth.{}", self.begun));
        let made = self.quiet("sigsum-mktree", &["--mode", "empty", "--sth-file", &sth]).wait().unwrap();
        assert!(made.success(), "sigsum-mktree failed");
        let (external, internal) = (format!("127.0.0.1:{}", self.port), format!("127.0.0.1:{}", port()));
        let (key, policy) = (self.file("log"), self.file("witnesses"));
        let mut arguments = vec!["--backend", "ephemeral", "--key-file", &key, "--external-endpoint", &external];
        arguments.extend(["--internal-endpoint", &internal, "--interval", "200ms", "--sth-file", &sth, "--policy-file", &policy]);
        let limits = self.limits.as_ref().map(|limits| limits.display().to_string());
        arguments.extend(limits.iter().flat_map(|limits| ["--rate-limit-file", limits]));
        let mut child = self.quiet("sigsum-log-primary", &arguments);
        wait_for(self.port, &mut child);
        self.log = Some(child);
    }

    pub fn stop_log(&mut self) {
        stop(&mut self.log);
    }

    pub fn stop_witness(&mut self) {
        stop(&mut self.witness);
    }

    /// Lets the witness forget what it saw, as somebody would who lies for a log.
    pub fn forget(&mut self) {
        stop(&mut self.witness);
        std::fs::remove_file(self.path("witness.state")).unwrap();
        self.start_witness();
    }

    /// How many leaves the log says to have.
    pub fn size(&self) -> u64 {
        let run = self.sandbox.run("curl", &["-sf", &format!("{}/get-tree-head", self.url())]).ok();
        run.out.lines().find_map(|line| line.strip_prefix("size=")).unwrap().parse().unwrap()
    }
}

fn stop(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        stop(&mut self.log);
        stop(&mut self.witness);
    }
}

/// Makes a key that submits and returns its public line.
pub fn submit_key(sandbox: &Sandbox, name: &str) -> String {
    let file = sandbox.path(name);
    sandbox.run(&program("sigsum-key"), &["generate", "-o", &file.display().to_string()]).ok();
    std::fs::read_to_string(sandbox.path(format!("{name}.pub"))).unwrap()
}

/// The key hash of a public line.
pub fn key_hash(sandbox: &Sandbox, name: &str) -> String {
    let file = sandbox.path(format!("{name}.pub")).display().to_string();
    sandbox.run(&program("sigsum-key"), &["to-hash", "-k", &file]).ok().out.trim().to_owned()
}

/// Commits a policy and a Sigsum log to the archive; `more` are lines of its table.
pub fn configure(sandbox: &Sandbox, policy: &str, more: &str) {
    let public = if sandbox.path("submit.pub").exists() {
        std::fs::read_to_string(sandbox.path("submit.pub")).unwrap()
    } else {
        submit_key(sandbox, "submit")
    };
    sandbox.write("archive/keys/sigsum.policy", policy);
    sandbox.write("archive/keys/sigsum.pub", public);
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    let settings = settings.split("\n[logs.sigsum]").next().unwrap().to_owned();
    let table = format!("\n[logs.sigsum]\npolicy = \"keys/sigsum.policy\"\nkey = \"keys/sigsum.pub\"\n{more}");
    sandbox.write("archive/ddb.toml", settings + &table);
    sandbox.git(&["add", "ddb.toml", "keys"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Log to Sigsum"]).ok();
}

/// Gives the key that submits to every later command.
pub fn give_key(sandbox: &mut Sandbox) {
    let key = std::fs::read_to_string(sandbox.path("submit")).unwrap();
    sandbox.environment.insert("DDB_SIGSUM_KEY".to_owned(), key);
}

/// What sigsum-verify says of a proof of a file, by paths in the sandbox.
pub fn sigsum_verify(sandbox: &Sandbox, proof: &str, file: &str, policy: &str) -> Run {
    let script = "exec \"$1\" -k \"$2\" -p \"$3\" \"$4\" <\"$5\"";
    let path = |path: &str| sandbox.path(path).display().to_string();
    let arguments = ["-c", script, "sh", &program("sigsum-verify"), &path("submit.pub"), &path(policy), &path(proof), &path(file)];
    sandbox.run("sh", &arguments)
}
