//! A folder of its own for each test, with its own HOME, and the programs run in it with nothing of the caller's environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use serde_json::Value;

/// A test's folder; removed at the end.
pub struct Sandbox {
    folder: tempfile::TempDir,
    /// Environment of every program beside HOME and PATH.
    pub environment: BTreeMap<String, String>,
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
    command: String,
}

impl Run {
    /// The run, if it exited with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// The run, if it exited with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.command, self.out, self.err);
        self
    }

    /// The answer of a command run with `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {}\n{}{}", self.command, self.out, self.err))
    }

    /// The run, if standard error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "\"{text}\" is not said by {}\n{}{}", self.command, self.out, self.err);
        self
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    fn below(folder: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("ddb-test-").tempdir_in(folder).unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        // apt runs its methods as another user, who must be able to look in.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder, environment: BTreeMap::new() }
    }

    /// A sandbox with an archive in `archive/`: suite trixie, component main, amd64 and all, with a signing key.
    pub fn with_archive() -> Self {
        Self::new().and_archive()
    }

    /// The same on the disk, wherever temporary files are: for tests in which it must take its time.
    pub fn with_archive_on_disk() -> Self {
        Self::below(Path::new("/var/tmp")).and_archive()
    }

    /// The same as with_archive, made at this time, which is the time of every later command that is not given another.
    pub fn with_archive_at(now: &str) -> Self {
        let mut sandbox = Self::new();
        sandbox.environment.insert("DDB_NOW".to_owned(), now.to_owned());
        sandbox.and_archive()
    }

    fn and_archive(self) -> Self {
        self.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test"]).ok();
        self.publish(&["-C", "archive", "key", "generate", "--name", "Test archive", "--email", "archive@example.org"]).ok();
        self
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    /// The published tree.
    pub fn public(&self) -> PathBuf {
        self.path("archive/public")
    }

    /// Runs ddb-deploy in the sandbox's folder.
    pub fn deploy(&self, arguments: &[&str]) -> Run {
        self.run(env!("CARGO_BIN_EXE_ddb-deploy"), arguments)
    }

    /// Runs ddb-publish in the sandbox's folder.
    pub fn publish(&self, arguments: &[&str]) -> Run {
        self.run(env!("CARGO_BIN_EXE_ddb-publish"), arguments)
    }

    /// Deploys a folder into the archive.
    pub fn commit(&self, out: impl AsRef<Path>, more: &[&str]) -> Run {
        let out = self.path(out);
        let mut arguments = vec!["-C", "archive", "commit", out.to_str().unwrap()];
        arguments.extend(more);
        self.deploy(&arguments)
    }

    /// Publishes trixie.
    pub fn dists(&self, more: &[&str]) -> Run {
        let mut arguments = vec!["-C", "archive", "dists", "trixie"];
        arguments.extend(more);
        self.publish(&arguments)
    }

    /// Publishes trixie at a given time.
    pub fn dists_at(&self, now: &str, more: &[&str]) -> Run {
        let mut arguments = vec!["-C", "archive", "dists", "trixie", "--now", now];
        arguments.extend(more);
        self.publish(&arguments)
    }

    pub fn git(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["-C", "archive"];
        all.extend(arguments);
        self.run("git", &all)
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let output = self
            .command(program, arguments)
            .output()
            .unwrap_or_else(|fault| panic!("{program} is needed ({fault}); tests/run.sh installs it"));
        run_of(program, arguments, &output)
    }

    /// A program that is not started yet, for tests that run several at once.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path("home")).env("PATH", path_with_sbin()).env("LC_ALL", "C.UTF-8");
        command.env("GIT_AUTHOR_NAME", "Test").env("GIT_AUTHOR_EMAIL", "test@example.org");
        command.env("GIT_COMMITTER_NAME", "Test").env("GIT_COMMITTER_EMAIL", "test@example.org");
        command.envs(&self.environment);
        command
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Makes a real .deb with dpkg-deb in a folder; `fields` are control lines that replace or follow the usual ones.
    pub fn deb(&self, folder: &str, package: &str, version: &str, architecture: &str, fields: &str) -> PathBuf {
        self.deb_with(folder, package, version, architecture, fields, &["-Zxz"])
    }

    /// The same, with options for dpkg-deb such as `-Zgzip`.
    pub fn deb_with(&self, folder: &str, package: &str, version: &str, architecture: &str, fields: &str, options: &[&str]) -> PathBuf {
        let tree = tempfile::tempdir_in(self.folder.path()).unwrap();
        let control = tree.path().join("DEBIAN/control");
        std::fs::create_dir(control.parent().unwrap()).unwrap();
        let mut text = format!("Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n");
        let usual = [
            ("Maintainer", "Test <test@example.org>"),
            ("Section", "misc"),
            ("Priority", "optional"),
            ("Description", "test package\n long text of it"),
        ];
        for (field, value) in usual {
            if !fields.lines().any(|line| line.starts_with(&format!("{field}:"))) {
                text.push_str(&format!("{field}: {value}\n"));
            }
        }
        text.push_str(fields);
        std::fs::write(control, text).unwrap();
        let file = tree.path().join(format!("usr/share/doc/{package}/version"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("{version}\n")).unwrap();
        for path in [tree.path(), &tree.path().join("DEBIAN"), &tree.path().join("usr")] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
        let file = self.path(folder).join(format!("{package}_{without_epoch}_{architecture}.deb"));
        std::fs::create_dir_all(self.path(folder)).unwrap();
        let mut arguments = vec!["--root-owner-group"];
        arguments.extend(options);
        arguments.extend(["-b", tree.path().to_str().unwrap(), file.to_str().unwrap()]);
        self.run("dpkg-deb", &arguments).ok();
        file
    }
}

fn run_of(program: &str, arguments: &[&str], output: &Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        command: format!("{program} {}", arguments.join(" ")),
    }
}

fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap())
}

/// What `tests/prepare.sh` made: `corpus/`, `out/`, `trixie/`.
pub fn cache(path: &str) -> PathBuf {
    let root = std::env::var("DDB_TEST_CACHE").unwrap_or_else(|_| format!("{}/target/test-cache", env!("CARGO_MANIFEST_DIR")));
    let path = Path::new(&root).join(path);
    assert!(path.exists(), "{} is missing; tests/run.sh (or tests/prepare.sh) makes it", path.display());
    path
}
