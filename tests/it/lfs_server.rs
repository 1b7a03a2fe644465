//! giftless, a Git-LFS batch server (from PyPI; `tests/prepare.sh` puts it into the cache): one process for each test.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::sandbox::{Sandbox, cache};

/// A running server; stopped at the end of the test.
pub struct LfsServer {
    child: Child,
    address: String,
    storage: PathBuf,
}

/// Who may do what.
pub enum Access {
    /// Anybody may do everything.
    Anybody,
    /// Whoever has a token made by `token`.
    Token,
    /// As `Anybody`, by TLS with the certificate in `certificate.pem` and `key.pem` of the sandbox.
    AnybodyByTls,
}

const KEY: &str = "a secret of this test that is long enough for HS256";

impl LfsServer {
    pub fn start(sandbox: &Sandbox, access: &Access) -> Self {
        let storage = sandbox.path("lfs-storage");
        let authentication = match access {
            Access::Anybody | Access::AnybodyByTls => "  - giftless.auth.allow_anon:read_write\n".to_owned(),
            Access::Token => {
                format!("  - factory: giftless.auth.jwt:factory\n    options:\n      algorithm: HS256\n      private_key: {KEY}\n")
            }
        };
        let transfer = format!(
            "TRANSFER_ADAPTERS:\n  basic:\n    factory: giftless.transfer.basic_streaming:factory\n    options:\n      storage_class: giftless.storage.local_storage:LocalStorage\n      storage_options:\n        path: {}\n",
            storage.display()
        );
        let settings = sandbox.write("giftless.yaml", format!("AUTH_PROVIDERS:\n{authentication}{transfer}LEGACY_ENDPOINTS: false\n"));
        let mut arguments = vec!["-u", "-W", "ignore", "-m", "flask", "--app", "giftless.wsgi_entrypoint", "run", "--port", "0"];
        if matches!(access, Access::AnybodyByTls) {
            arguments.extend(["--cert", "certificate.pem", "--key", "key.pem"]);
        }
        let mut child = sandbox
            .command("/usr/bin/python3", &arguments)
            .env("PYTHONPATH", cache("giftless/lib"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GIFTLESS_CONFIG_FILE", settings)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("giftless did not start:\n{said}")).unwrap();
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("Running on ") {
                break rest.trim_end_matches(|letter: char| !letter.is_ascii_digit()).to_owned();
            }
        };
        // Whoever writes a log must be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, storage }
    }

    /// The address of the batch API of one repository.
    pub fn url(&self) -> String {
        format!("{}/group/archive.git/info/lfs", self.address)
    }

    /// What to add to ddb.toml.
    pub fn table(&self) -> String {
        format!("\n[store.lfs]\nurl = \"{}\"\n", self.url())
    }

    /// The file that holds an object.
    pub fn object(&self, oid: &str) -> PathBuf {
        self.storage.join("group/archive").join(oid)
    }

    /// How many objects it has.
    pub fn count(&self) -> usize {
        std::fs::read_dir(self.storage.join("group/archive")).map_or(0, Iterator::count)
    }

    /// A token that is good for so many seconds from now; a negative number makes an expired one.
    pub fn token(sandbox: &Sandbox, seconds: i64) -> String {
        let script = format!(
            "import jwt, time; print(jwt.encode({{'exp': int(time.time()) + {seconds}, 'scopes': ['obj:group/archive/*']}}, '{KEY}', algorithm='HS256'))"
        );
        let output = sandbox.command("/usr/bin/python3", &["-c", &script]).env("PYTHONPATH", cache("giftless/lib")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // giftless takes it as the password of this user.
        format!("_jwt:{}", String::from_utf8(output.stdout).unwrap().trim())
    }
}

impl Drop for LfsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
