//! apt as a client of the archive: the machine's own apt with a configuration and a state of its own, and apt 3 in a copy of
//! trixie's root folder. Nothing of the machine's own apt is read or changed.

use std::path::{Path, PathBuf};

use crate::sandbox::{Run, Sandbox, cache};

/// One apt with its own configuration, lists and caches, in a folder that is removed with the test.
pub struct Apt<'a> {
    sandbox: &'a Sandbox,
    pub kind: Kind,
    /// The root folder of its system; `None` is the machine's.
    system: Option<PathBuf>,
    /// Whether that is a copy of its own.
    own_system: bool,
    /// Its folder.
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The apt that is installed where the tests run (bookworm's: 2.6, gpgv).
    Machine,
    /// Trixie's (3.0, sqv), by chroot.
    Trixie,
    /// Sid's (3.3 and later, sqv), by chroot.
    Sid,
}

/// The folder that programs run in and downloads go to.
const WORK: &str = "work";

/// The folder for temporary files; apt 3 leaves some behind.
const TEMPORARY: &str = "tmp";

/// What the machine's apt believes to be installed, so that packages for its system can be installed in its folder.
const INSTALLED: &str =
    "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\nMaintainer: none\nDescription: stand-in\n\n";

impl<'a> Apt<'a> {
    /// The machine's apt. What it installs goes into its folder.
    pub fn of_machine(sandbox: &'a Sandbox) -> Self {
        let apt = Self::new(sandbox, Kind::Machine, None, false);
        for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
            std::fs::create_dir_all(apt.path(folder)).unwrap();
        }
        apt.write("var/lib/dpkg/status", INSTALLED);
        let inside = apt.inside();
        apt.configure(&format!(
            "Dir::State::status \"{inside}/var/lib/dpkg/status\";\nDPkg::Options {{ \"--root={inside}\"; }};\nDPkg::Path \"{PATH}\";\nAPT::Sandbox::User \"root\";\n"
        ));
        apt
    }

    /// Trixie's apt in the root folder that all tests share, where it can do anything but install.
    pub fn of_trixie(sandbox: &'a Sandbox) -> Self {
        let apt = Self::new(sandbox, Kind::Trixie, Some(cache("trixie")), false);
        apt.configure("Dir::State::status \"/var/lib/dpkg/status\";\nDir::Bin::dpkg \"/bin/false\";\n");
        apt
    }

    /// Sid's apt in a root folder that has hardly anything else, where it can look and download.
    pub fn of_sid(sandbox: &'a Sandbox) -> Self {
        let apt = Self::new(sandbox, Kind::Sid, Some(cache("sid")), false);
        apt.configure(
            "Dir::State::status \"/var/lib/dpkg/status\";\nDir::Bin::dpkg \"/bin/false\";\nAPT::Sandbox::User \"root\";\nAPT::Architectures { \"amd64\"; };\n",
        );
        apt
    }

    /// Trixie's apt in a copy of that root folder, where packages are really installed.
    pub fn of_own_trixie(sandbox: &'a Sandbox) -> Self {
        // Beside the shared one, on the same file system: a temporary folder may forbid device files.
        let copy = tempfile::Builder::new().prefix("trixie-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        as_root(sandbox, &["cp", "-a", "--reflink=auto", &format!("{}/.", text(&cache("trixie"))), &text(&copy)]).ok();
        let apt = Self::new(sandbox, Kind::Trixie, Some(copy), true);
        apt.configure("Dir::State::status \"/var/lib/dpkg/status\";\n");
        apt
    }

    /// Both, to look and download.
    pub fn both(sandbox: &'a Sandbox) -> [Self; 2] {
        [Self::of_machine(sandbox), Self::of_trixie(sandbox)]
    }

    /// Both, to install.
    pub fn both_to_install(sandbox: &'a Sandbox) -> [Self; 2] {
        [Self::of_machine(sandbox), Self::of_own_trixie(sandbox)]
    }

    fn new(sandbox: &'a Sandbox, kind: Kind, system: Option<PathBuf>, own_system: bool) -> Self {
        let above = system.as_ref().map_or_else(|| sandbox.path("home"), |system| system.join("tmp"));
        let folder = tempfile::Builder::new().prefix("apt-").tempdir_in(above).unwrap().keep();
        // apt fetches as another user, who must be able to look in.
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let apt = Self { sandbox, kind, system, own_system, folder };
        for folder in ["apt.conf.d", "preferences.d", "sources.list.d", "trusted.gpg.d"] {
            std::fs::create_dir_all(apt.path("etc/apt").join(folder)).unwrap();
        }
        for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", WORK, TEMPORARY] {
            std::fs::create_dir_all(apt.path(folder)).unwrap();
        }
        std::fs::set_permissions(apt.path(TEMPORARY), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        apt
    }

    fn configure(&self, more: &str) {
        let inside = self.inside();
        self.write("apt.conf", format!(
            "Dir \"{inside}\";\nAPT::Architecture \"amd64\";\nAPT::Install-Recommends \"false\";\nAcquire::Languages \"en\";\nAcquire::Retries \"0\";\n{more}"
        ));
    }

    /// Its folder, as programs of its system see it.
    pub fn inside(&self) -> String {
        let below = self.system.as_ref().and_then(|system| self.folder.strip_prefix(system).ok());
        below.map_or_else(|| text(&self.folder), |below| format!("/{}", below.display()))
    }

    /// A path of its system, for a look from outside.
    pub fn of_system(&self, path: &str) -> PathBuf {
        self.system.clone().unwrap_or_else(|| self.folder.clone()).join(path.trim_start_matches('/'))
    }

    /// A path in its folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// A downloaded file.
    pub fn downloaded(&self, file: &str) -> PathBuf {
        self.path(WORK).join(file)
    }

    /// Writes a file in its folder.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(path), content).unwrap();
    }

    /// Uses this sources stanza and no other.
    pub fn use_stanza(&self, stanza: &str) {
        self.write("etc/apt/sources.list.d/test.sources", stanza);
    }

    /// Runs a program of its system, in its folder for downloads.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let inside = self.inside();
        let (folder, home, configuration) = (format!("{inside}/{WORK}"), format!("HOME={inside}"), format!("APT_CONFIG={inside}/apt.conf"));
        let temporary = format!("TMPDIR={inside}/{TEMPORARY}");
        let system = self.system.as_ref().map(|system| text(system));
        let mut all: Vec<&str> = system.iter().flat_map(|system| ["chroot", system]).collect();
        all.extend([
            "/usr/bin/env",
            "-i",
            "-C",
            &folder,
            &home,
            &configuration,
            &temporary,
            PATH_IS,
            "LC_ALL=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        all.extend(arguments);
        as_root(self.sandbox, &all)
    }

    pub fn get(&self, arguments: &[&str]) -> Run {
        self.run(&[&["apt-get", "-q", "-y"], arguments].concat())
    }

    pub fn cache(&self, arguments: &[&str]) -> Run {
        self.run(&[&["apt-cache"], arguments].concat())
    }

    /// `apt-get update`, where every failure counts, also of one index.
    pub fn update(&self, more: &[&str]) -> Run {
        self.get(&[&["update", "-o", "APT::Update::Error-Mode=any"], more].concat())
    }

    /// An update that says nothing on standard error: neither errors nor warnings.
    #[track_caller]
    pub fn updates(&self) -> Run {
        let run = self.update(&[]).ok();
        assert_eq!(run.err, "", "{:?} warned\n{}", self.kind, run.out);
        run
    }

    /// An update that fails and says one of these texts (each apt has its own words).
    #[track_caller]
    pub fn refuses_update(&self, texts: &[&str]) {
        let run = self.update(&[]);
        assert!(
            run.code == 100 && texts.iter().any(|text| run.err.contains(text)),
            "{:?} exited with {}\n{}{}",
            self.kind,
            run.code,
            run.out,
            run.err
        );
    }

    /// Forgets the lists and what was downloaded.
    pub fn forget(&self) {
        let (lists, archives, work) = (self.path("var/lib/apt/lists"), self.path("var/cache/apt/archives"), self.path(WORK));
        let script = "rm -rf \"$@\"; mkdir -p \"$1/partial\" \"$2/partial\" \"$3\"; chmod a+rwx \"$@\"";
        as_root(self.sandbox, &["sh", "-c", script, "sh", &text(&lists), &text(&archives), &text(&work)]).ok();
    }

    /// Keeps a copy of the lists, to be used again.
    pub fn keep_lists(&self) {
        as_root(self.sandbox, &["cp", "-a", &text(&self.path("var/lib/apt/lists")), &text(&self.path("lists.kept"))]).ok();
    }

    /// Goes back to the lists that were kept.
    pub fn use_kept_lists(&self) {
        as_root(self.sandbox, &["cp", "-a", &format!("{}/.", text(&self.path("lists.kept"))), &text(&self.path("var/lib/apt/lists"))]).ok();
    }

    /// The versions of a package that can be installed, best first.
    pub fn versions(&self, package: &str) -> Vec<String> {
        let run = self.cache(&["madison", package]);
        let binary = |line: &&str| !line.trim_end().ends_with("Sources");
        run.out.lines().filter(binary).filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect()
    }
}

impl Drop for Apt<'_> {
    fn drop(&mut self) {
        let folder = self.system.as_ref().filter(|_| self.own_system).unwrap_or(&self.folder);
        as_root(self.sandbox, &["rm", "-rf", "--one-file-system", &text(folder)]);
    }
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const PATH_IS: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

pub fn as_root(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    if am_root() { sandbox.run(arguments[0], &arguments[1..]) } else { sandbox.run("sudo", arguments) }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn am_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
