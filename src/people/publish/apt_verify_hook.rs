//! `ddb-publish apt-verify-hook`: its options and what it prints.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};

use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::verify::VerifyError;
use crate::verify::hook::{HookConfigError, HookError, HookFiles, Installed, Part, check, install};
use crate::words::name::FileName;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("needs").multiple(true)), group(ArgGroup::new("signer").multiple(true)))]
pub(super) struct AptVerifyHook {
    /// Write what makes apt call this, and with the other options the configuration of an archive
    #[arg(long)]
    install: bool,
    /// Opt in the archive whose keys are in this keyring; needs the options of Sigsum, those of Sigstore or both
    #[arg(long, value_name = "FILE", requires_all = ["install", "needs", "origin"])]
    keyring: Option<PathBuf>,
    /// The public key that submits the archive's Releases to Sigsum logs
    #[arg(long, value_name = "FILE", requires_all = ["keyring", "sigsum_policy"], group = "needs")]
    sigsum_key: Option<PathBuf>,
    /// The policy: which Sigsum logs and witnesses count; a file or the name of a built-in one
    #[arg(long, value_name = "FILE|NAME", requires_all = ["keyring", "sigsum_key"])]
    sigsum_policy: Option<PathBuf>,
    /// The logs and authorities of Sigstore that are trusted
    #[arg(long, value_name = "FILE", requires_all = ["keyring", "signer"], group = "needs")]
    sigstore_trusted_root: Option<PathBuf>,
    /// The public key of the archive's Sigstore signatures (PEM)
    #[arg(long, value_name = "FILE", requires = "sigstore_trusted_root", group = "signer")]
    sigstore_key: Option<PathBuf>,
    /// Who signs instead of a key: a build job's address or a mail address, whole
    #[arg(long, value_name = "TEXT", requires_all = ["sigstore_trusted_root", "sigstore_issuer"], group = "signer")]
    sigstore_identity: Option<String>,
    /// Who vouches for --sigstore-identity, such as https://gitlab.com
    #[arg(long, value_name = "URL", requires = "sigstore_identity")]
    sigstore_issuer: Option<String>,
    /// The Origin in the archive's Release: it is recognised by this too, also when it signs with a key that the keyring lacks
    #[arg(long, value_name = "TEXT", requires = "keyring")]
    origin: Option<String>,
    /// What the archive's files in the configuration are named
    #[arg(long, value_name = "NAME", default_value = "archive")]
    name: FileName,
    /// Where the archives that are opted in are named
    #[arg(long, value_name = "DIR", default_value = "/etc/ddb/verify.d", conflicts_with = "install")]
    config: PathBuf,
    /// The program that apt is to run, as a path below --root; default is this one, or /usr/bin/ddb-publish with --root
    #[arg(long, value_name = "FILE", requires = "install")]
    program: Option<PathBuf>,
    /// Install into the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", requires = "install")]
    root: PathBuf,
    /// What apt or apt-verify hands over: the arguments of gpgv
    #[arg(last = true, value_name = "ARGUMENT", conflicts_with = "install")]
    arguments: Vec<OsString>,
}

pub(super) fn run(common: &Common, options: AptVerifyHook) -> Result<ExitCode, Failure> {
    if !options.install {
        check(&options.arguments, &options.config)?;
        return Ok(Exit::Done.into());
    }
    let archive = match &options.keyring {
        Some(keyring) => Some((options.name.to_string(), parts(&options, keyring)?)),
        None => None,
    };
    let root = std::path::absolute(&options.root).unwrap_or_else(|_| options.root.clone());
    let own = || {
        if root != Path::new("/") {
            return Ok(PathBuf::from("/usr/bin/ddb-publish"));
        }
        environment::this_program().map_err(|source| VerifyError::Read { path: PathBuf::from("/proc/self/exe"), source })
    };
    let program = options.program.clone().map_or_else(own, Ok)?;
    let files = HookFiles { root, program, archive };
    answer::print(&install(&files)?, common.json);
    Ok(Exit::Done.into())
}

/// Returns the files of an archive's configuration by their endings.
fn parts(options: &AptVerifyHook, keyring: &Path) -> Result<Vec<Part>, Failure> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source });
    let name = &options.name;
    let mut parts = vec![("asc", read(keyring)?)];
    let mut conf = format!("Signed-By: {name}.asc\n");
    let mut field = |field: &str, value: &str| match value.contains(['\n', '\r']) {
        true => Err(Failure::usage(&format!("the value for {field} has more than one line"))),
        false => {
            conf.push_str(&format!("{field}: {value}\n"));
            Ok(())
        }
    };
    // The command line wants one with every keyring.
    if let Some(origin) = &options.origin {
        field("Origin", origin)?;
    }
    if let (Some(key), Some(policy)) = (&options.sigsum_key, &options.sigsum_policy) {
        parts.push(("pub", read(key)?));
        field("Sigsum-Key", &format!("{name}.pub"))?;
        if policy.exists() {
            parts.push(("policy", read(policy)?));
            field("Sigsum-Policy", &format!("{name}.policy"))?;
        } else {
            field("Sigsum-Policy", &policy.display().to_string())?;
        }
    }
    if let Some(root) = &options.sigstore_trusted_root {
        parts.push(("trusted_root.json", read(root)?));
        field("Sigstore-Trusted-Root", &format!("{name}.trusted_root.json"))?;
    }
    if let Some(key) = &options.sigstore_key {
        parts.push(("pem", read(key)?));
        field("Sigstore-Key", &format!("{name}.pem"))?;
    }
    for (name, value) in [("Sigstore-Identity", &options.sigstore_identity), ("Sigstore-Issuer", &options.sigstore_issuer)] {
        if let Some(value) = value {
            field(name, value)?;
        }
    }
    parts.push(("conf", conf.into_bytes()));
    Ok(parts)
}

impl From<HookError> for Failure {
    fn from(error: HookError) -> Self {
        let exit = match &error {
            HookError::Unproven { .. } => Exit::Unproven,
            HookError::Signature { .. } => Exit::Unsigned,
            HookError::Arguments => Exit::Usage,
            HookError::Config(HookConfigError { .. }) => Exit::Archive,
            HookError::Read { .. } => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl Answer for Installed {
    fn text(&self) -> String {
        let mut text: String = self.files.iter().map(|path| format!("Wrote {}\n", path.display())).collect();
        text.push_str(&match self.opted_in {
            0 => {
                "No archive is opted in: --keyring and --origin do that, with --sigsum-key and --sigsum-policy, with --sigstore-trusted-root and --sigstore-key, or all of them.\n"
                    .to_owned()
            },
            1 => "1 archive is opted in.\n".to_owned(),
            number => format!("{number} archives are opted in.\n"),
        });
        self.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
        text
    }
}
